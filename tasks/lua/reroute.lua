-- Move the jobs of a queue that nobody serves any more to one that somebody does, keeping their places.
-- ARGV: from queue, to queue
-- Answer: how many
local entries = redis.call('ZRANGE', 'restora:queue:' .. ARGV[1], 0, -1, 'WITHSCORES')
local shift = tonumber(redis.call('GET', 'restora:clock:' .. ARGV[2]) or '0')
    - tonumber(redis.call('GET', 'restora:clock:' .. ARGV[1]) or '0')
for i = 1, #entries, 2 do
    redis.call('ZADD', 'restora:queue:' .. ARGV[2], math.max(0, entries[i + 1] + shift), entries[i])
    redis.call('HSET', 'restora:job:' .. string.sub(entries[i], 14), 'queue', ARGV[2])
end
redis.call('DEL', 'restora:queue:' .. ARGV[1], 'restora:clock:' .. ARGV[1], 'restora:tags:' .. ARGV[1])
return #entries / 2
