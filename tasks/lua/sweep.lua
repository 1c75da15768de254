-- The janitor's round: jobs whose worker fell silent are queued again or, after too many attempts, failed.
-- ARGV: attempts allowed, longest run in ms, lifetime of the record in s
-- Answer: {{queue of a requeued job, ...}, {id of a failed job, ...}}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local requeued, failed = {}, {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:leases', '-inf', now, 'LIMIT', 0, 100)) do
    local job = 'restora:job:' .. id
    local held = redis.call('HMGET', job, 'attempt', 'queue', 'tag', 'entry', 'user_id', 'started_ms', 'forgiven', 'state')
    redis.call('ZREM', 'restora:leases', id)
    if held[1] then
        local overlong = now - tonumber(held[6]) >= tonumber(ARGV[2])
        if overlong or tonumber(held[1]) - tonumber(held[7] or '0') >= tonumber(ARGV[1]) then
            redis.call('HSET', job, 'state', 'failed', 'error', overlong and 'timeout' or 'worker_lost', 'ended_ms', now)
            redis.call('SREM', 'restora:user:' .. held[5], id)
            redis.call('ZADD', 'restora:untold', now, id)
            redis.call('EXPIRE', job, ARGV[3])
            failed[#failed + 1] = id
        else
            redis.call('HSET', job, 'state', 'queued', 'worker', '', 'progress', 0, 'since_ms', now)
            if held[8] == 'delivering' then redis.call('HSET', job, 'resent', 1) end
            local clock = tonumber(redis.call('GET', 'restora:clock:' .. held[2]) or '0')
            redis.call('ZADD', 'restora:queue:' .. held[2], math.min(tonumber(held[3]), clock), held[4])
            redis.call('INCR', 'restora:queued')
            requeued[#requeued + 1] = held[2]
        end
    end
end
return {requeued, failed}
