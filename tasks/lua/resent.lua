-- Flag a job whose result may have been sent twice.
-- ARGV: job id, attempt
local job = 'restora:job:' .. ARGV[1]
if redis.call('HGET', job, 'attempt') == ARGV[2] then redis.call('HSET', job, 'resent', 1) end
return 1
