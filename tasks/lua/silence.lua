-- A chat wants silence: nothing goes there for a while, whoever would send it.
-- ARGV: bot, chat, ms
local key = 'restora:silence:' .. ARGV[1] .. ':' .. ARGV[2]
if redis.call('PTTL', key) < tonumber(ARGV[3]) then redis.call('SET', key, 1, 'PX', ARGV[3]) end
return 1
