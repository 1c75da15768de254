-- Give a running job back: to its old place in the queue, or aside until it is due.
-- ARGV: job id, attempt, "1" when the attempt does not count (nothing is wrong with the job), ms to put it aside for,
--       "1" when nothing of its result can have arrived, sends so far of which nobody knows whether they arrived,
--       "1" when its worker keeps the result and should be the one to take it again
-- Answer: 1, or 0 when the job is not this worker's any more
local id = ARGV[1]
local job = 'restora:job:' .. id
local held = redis.call('HMGET', job, 'state', 'attempt', 'queue', 'tag', 'entry', 'worker')
if held[1] == 'queued' and held[2] == ARGV[2] then return 1 end -- asked again, since the first answer was lost
if (held[1] ~= 'running' and held[1] ~= 'delivering') or held[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', 'restora:leases', id)
redis.call('HSET', job, 'state', 'queued', 'worker', '', 'progress', 0, 'since_ms', now)
if held[1] == 'delivering' and ARGV[5] ~= '1' then redis.call('HSET', job, 'resent', 1) end
if ARGV[6] ~= '0' then redis.call('HSET', job, 'unknown_sends', ARGV[6]) end
if ARGV[3] == '1' then redis.call('HINCRBY', job, 'forgiven', 1) end
redis.call('INCR', 'restora:queued')
if tonumber(ARGV[4]) > 0 then
    redis.call('ZADD', 'restora:aside', now + ARGV[4], id)
    if ARGV[7] == '1' then redis.call('HSET', job, 'keeper', held[6]) end
else
    -- The clock may have started anew since; its old tag must not put the job behind everybody who came later.
    local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
    redis.call('ZADD', 'restora:queue:' .. held[3], math.min(tonumber(held[4]), clock), held[5])
end
return 1
