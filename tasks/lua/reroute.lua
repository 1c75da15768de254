-- Move jobs of a queue that nobody serves any more to one that somebody does; the fair clock is one for all queues.
-- ARGV: from queue, to queue, how many at most
-- Answer: how many
local entries = redis.call('ZRANGE', 'restora:queue:' .. ARGV[1], 0, ARGV[3] - 1, 'WITHSCORES')
for i = 1, #entries, 2 do
    redis.call('ZREM', 'restora:queue:' .. ARGV[1], entries[i])
    local job = 'restora:job:' .. string.sub(entries[i], 14)
    if redis.call('EXISTS', job) == 1 then
        redis.call('ZADD', 'restora:queue:' .. ARGV[2], entries[i + 1], entries[i])
        redis.call('HSET', job, 'queue', ARGV[2])
    end
end
return #entries / 2
