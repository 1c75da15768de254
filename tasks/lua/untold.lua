-- Take ended jobs whose owner is due to be told, and put each off so that nobody else tells at the same time.
-- ARGV: put off by, in ms, how many at most
-- Answer: {job id, ...}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Further in the future than anything is written: the clock was put back since.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:untold', '(' .. now + ARGV[1], '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZADD', 'restora:untold', now, id)
end
local due = redis.call('ZRANGEBYSCORE', 'restora:untold', '-inf', now, 'LIMIT', 0, ARGV[2])
for _, id in ipairs(due) do redis.call('ZADD', 'restora:untold', now + ARGV[1], id) end
return due
