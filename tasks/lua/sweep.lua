-- The janitor's round: jobs whose worker fell silent are queued again or, after too many attempts, failed; jobs that
-- were put aside and are due go back to their queue.
-- with parts/tally.lua
-- ARGV: attempts allowed, longest run in ms, lifetime of the record in s; then in ms: longest lease, lease, longest time
--       that a job is put aside for
-- Answer: {{queue of a requeued job, ...}, {id of a failed job, ...}}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
local requeued, failed = {}, {}

local function enqueue(queue, tag, entry)
    redis.call('ZADD', 'restora:queue:' .. queue, math.min(tonumber(tag), clock), entry)
    requeued[#requeued + 1] = queue
end

-- Further in the future than anything is written: the clock was put back since. Who still holds a job renews its lease at
-- once; one that nobody renews would not come due before the clock is where it was.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:leases', '(' .. now + ARGV[4], '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZREM', 'restora:leases', id) -- first a write that a full Redis allows
    redis.call('ZADD', 'restora:leases', now + ARGV[5], id)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:aside', '(' .. now + ARGV[6], '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZREM', 'restora:aside', id)
    redis.call('ZADD', 'restora:aside', now, id)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:leases', '-inf', now, 'LIMIT', 0, 100)) do
    local job = 'restora:job:' .. id
    local held = redis.call('HMGET', job, 'attempt', 'queue', 'tag', 'entry', 'user_id', 'started_ms', 'forgiven', 'state')
    redis.call('ZREM', 'restora:leases', id)
    if held[1] then
        if held[8] == 'delivering' then redis.call('HSET', job, 'resent', 1) end -- it may have arrived, and not only once
        -- A delivery that was cut off is repeated however long it took: the work may have arrived already.
        local overlong = held[8] == 'running' and now - tonumber(held[6]) >= tonumber(ARGV[2])
        if overlong or tonumber(held[1]) - tonumber(held[7] or '0') >= tonumber(ARGV[1]) then
            local code = overlong and 'timeout' or 'worker_lost'
            redis.call('HSET', job, 'state', 'failed', 'error', code, 'ended_ms', now, 'file_id', '', 'file_name', '')
            tally(now, 'failed:' .. code)
            redis.call('SREM', 'restora:user:' .. held[5], id)
            if redis.call('SCARD', 'restora:user:' .. held[5]) == 0 then
                redis.call('EXPIRE', 'restora:records:' .. held[5], ARGV[3])
            end
            redis.call('ZADD', 'restora:untold', now, id)
            redis.call('EXPIRE', job, ARGV[3])
            failed[#failed + 1] = id
        else
            redis.call('HSET', job, 'state', 'queued', 'worker', '', 'progress', 0, 'since_ms', now)
            redis.call('INCR', 'restora:queued')
            enqueue(held[2], held[3], held[4])
        end
    end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'restora:aside', '-inf', now, 'LIMIT', 0, 100)) do
    local held = redis.call('HMGET', 'restora:job:' .. id, 'queue', 'tag', 'entry')
    redis.call('ZREM', 'restora:aside', id)
    if held[1] then
        redis.call('HSET', 'restora:job:' .. id, 'since_ms', now)
        enqueue(held[1], held[2], held[3])
    end
end
return {requeued, failed}
