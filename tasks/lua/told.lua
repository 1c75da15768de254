-- The owner of an ended job knows how it ended.
-- ARGV: job id
local job = 'restora:job:' .. ARGV[1]
redis.call('ZREM', 'restora:untold', ARGV[1]) -- first a write that a full Redis allows
if redis.call('EXISTS', job) == 1 then redis.call('HSET', job, 'told', 1) end -- or this would make a record of nobody's
return 1
