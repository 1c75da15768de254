-- Hand the next job of these queues to a worker, under a lease.
-- ARGV: lease in ms, worker, queue, ...
-- Answer: the record as {field, value, ...}, or {} when there is nothing to do
local best, best_queue, best_tag
for i = 3, #ARGV do
    local head = redis.call('ZRANGE', 'restora:queue:' .. ARGV[i], 0, 0, 'WITHSCORES')
    local tag = tonumber(head[2])
    if head[1] and (not best or tag < best_tag or (tag == best_tag and head[1] < best)) then
        best, best_queue, best_tag = head[1], ARGV[i], tag
    end
end
if not best then return {} end
redis.call('ZREM', 'restora:queue:' .. best_queue, best)
local queued = redis.call('DECR', 'restora:queued')
if queued <= 0 then
    -- Nobody waits, so nobody has to be caught up with: start the fair clock anew.
    redis.call('DEL', 'restora:clock', 'restora:tags')
else
    -- The clock also moves by itself, or a stream of newcomers could keep somebody's second picture waiting for ever.
    local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
    redis.call('SET', 'restora:clock', tostring(math.max(best_tag, clock + 1 / (queued + 1))))
end
local id = string.sub(best, 14)
local job = 'restora:job:' .. id
if redis.call('EXISTS', job) == 0 then return {} end -- or the writes below would make a record of nobody's
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', job, 'attempt', 1)
redis.call('HSET', job, 'state', 'running', 'worker', ARGV[2], 'started_ms', now, 'since_ms', now, 'progress', 0)
redis.call('ZADD', 'restora:leases', now + ARGV[1], id)
return redis.call('HGETALL', job)
