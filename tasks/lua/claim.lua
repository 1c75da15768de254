-- Hand the next job of these queues to a worker, under a lease.
-- ARGV: lease in ms, worker, ms for which a job is left to the worker that keeps its result, queue, ...
-- Answer: the record as {field, value, ...}, or {} when there is nothing to do
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Whether another worker, which lives, has the result already and has not had the time yet to come for the job.
local function is_left_to_another(id)
    local held = redis.call('HMGET', 'restora:job:' .. id, 'keeper', 'since_ms')
    if not held[1] or held[1] == ARGV[2] then return false end
    local waited = now - tonumber(held[2] or '0')
    if waited < 0 or waited >= tonumber(ARGV[3]) then return false end -- below zero: the clock was put back since
    return tonumber(redis.call('ZSCORE', 'restora:workers', held[1]) or '0') > now
end

-- The first entry of a queue that is for this worker. Of very many that are not the first is taken all the same.
local function head_of(queue)
    local first
    for rank = 0, 49 do
        local entry = redis.call('ZRANGE', queue, rank, rank, 'WITHSCORES')
        if not entry[1] or not is_left_to_another(string.sub(entry[1], 14)) then return entry end
        first = first or entry
    end
    return first
end

local best, best_queue, best_tag
for i = 4, #ARGV do
    local head = head_of('restora:queue:' .. ARGV[i])
    local tag = tonumber(head[2])
    if head[1] and (not best or tag < best_tag or (tag == best_tag and head[1] < best)) then
        best, best_queue, best_tag = head[1], ARGV[i], tag
    end
end
if not best then return {} end
redis.call('ZREM', 'restora:queue:' .. best_queue, best)
local id = string.sub(best, 14)
local job = 'restora:job:' .. id
local queued = redis.call('DECR', 'restora:queued')
if redis.call('EXISTS', job) == 0 then return {} end -- or the writes below would make a record of nobody's
local attempt = redis.call('HINCRBY', job, 'attempt', 1)
if queued <= 0 then
    -- Nobody waits, so nobody has to be caught up with: start the fair clock anew.
    redis.call('DEL', 'restora:clock', 'restora:turns', 'restora:taken', 'restora:work')
else
    -- The clock shows how far each user would be if all who still have a turn to come had shared the work done so far.
    -- What has just been taken is not done yet, and what is done once more was counted before.
    local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
    local work = tonumber(redis.call('GET', 'restora:work') or '0')
    while work > 0 do
        local first = redis.call('ZRANGE', 'restora:turns', 0, 0, 'WITHSCORES')
        if not first[1] then break end
        local users, ahead = redis.call('ZCARD', 'restora:turns'), math.max(0, tonumber(first[2]) - clock)
        if ahead * users > work then
            clock = clock + work / users
            break
        end
        clock, work = math.max(clock, tonumber(first[2])), work - ahead * users
        redis.call('ZREMRANGEBYSCORE', 'restora:turns', '-inf', first[2])
    end
    redis.call('SET', 'restora:clock', string.format('%.17g', clock))
    redis.call('ZADD', 'restora:taken', best_tag, redis.call('HGET', job, 'user_id'))
    redis.call('ZREMRANGEBYSCORE', 'restora:taken', '-inf', clock)
    redis.call('SET', 'restora:work', attempt == 1 and (redis.call('HGET', job, 'cost') or '1') or '0')
end
redis.call('HDEL', job, 'keeper')
redis.call('HSET', job, 'state', 'running', 'worker', ARGV[2], 'started_ms', now, 'since_ms', now, 'progress', 0)
redis.call('ZADD', 'restora:leases', now + ARGV[1], id)
return redis.call('HGETALL', job)
