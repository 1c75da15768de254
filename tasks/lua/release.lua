-- Give a running job back to its old place in the queue.
-- ARGV: job id, attempt, "1" when the attempt does not count (the worker is leaving, nothing went wrong)
-- Answer: 1, or 0 when the job is not this worker's any more
local id = ARGV[1]
local job = 'restora:job:' .. id
local held = redis.call('HMGET', job, 'state', 'attempt', 'queue', 'tag', 'entry')
if (held[1] ~= 'running' and held[1] ~= 'delivering') or held[2] ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
redis.call('ZREM', 'restora:leases', id)
redis.call('HSET', job, 'state', 'queued', 'worker', '', 'progress', 0,
    'since_ms', time[1] * 1000 + math.floor(time[2] / 1000))
if ARGV[3] == '1' then redis.call('HINCRBY', job, 'forgiven', 1) end
-- The clock may have started anew since; its old tag must not put the job behind everybody who came later.
local clock = tonumber(redis.call('GET', 'restora:clock:' .. held[3]) or '0')
redis.call('ZADD', 'restora:queue:' .. held[3], math.min(tonumber(held[4]), clock), held[5])
redis.call('INCR', 'restora:queued')
return 1
