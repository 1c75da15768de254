-- Remember that an update was handled, and forget those that Telegram has forgotten.
-- ARGV: bot and update, s for which it is remembered
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', 'restora:updates', '-inf', time[1] - ARGV[2])
redis.call('ZADD', 'restora:updates', time[1], ARGV[1])
return 1
