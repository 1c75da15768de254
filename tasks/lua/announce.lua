-- A worker says that it is alive and what it can do.
-- ARGV: worker, card as JSON, ms after which a silent worker is forgotten, s for which its queues count as served,
--       queue, ...
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', 'restora:workers', '-inf', now)) do
    redis.call('ZREM', 'restora:workers', name)
    redis.call('HDEL', 'restora:cards', name)
end
redis.call('ZADD', 'restora:workers', now + ARGV[3], ARGV[1])
redis.call('HSET', 'restora:cards', ARGV[1], ARGV[2])
for i = 5, #ARGV do redis.call('SET', 'restora:served:' .. ARGV[i], 1, 'EX', ARGV[4]) end
return 1
