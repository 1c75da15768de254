-- Take a picture in: one job per message, fair between users, bounded per user and over all.
-- ARGV: job id, user id, queue, limit per user, limit over all, cost, then field, value, ... of the record
-- Answer: {"fresh" | "known"} or {"user_limit" | "queue_full"}
local id, user, queue, cost = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[6])
local job = 'restora:job:' .. id
if redis.call('EXISTS', job) == 1 then return {'known'} end
if redis.call('SCARD', 'restora:user:' .. user) >= tonumber(ARGV[4]) then return {'user_limit'} end
if tonumber(redis.call('GET', 'restora:queued') or '0') >= tonumber(ARGV[5]) then return {'queue_full'} end

-- Fair queueing (Demers, Keshav, Shenker 1989): the tag is the time on the fair clock at which the picture would be done
-- if all users' pictures were done at once, each user's one after the other. So the short ones of newcomers come first,
-- and twenty pictures of one user let everybody else's first one pass. claim.lua moves the clock.
local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
local tag = math.max(clock, tonumber(redis.call('ZSCORE', 'restora:turns', user) or '0')) + cost
redis.call('ZADD', 'restora:turns', tag, user)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = string.format('%012d|%s', redis.call('INCR', 'restora:sequence'), id)
redis.call('HSET', job, unpack(ARGV, 7))
redis.call('HSET', job, 'state', 'queued', 'queued_ms', now, 'since_ms', now, 'entry', entry, 'tag', tag, 'cost', cost)
redis.call('ZADD', 'restora:queue:' .. queue, tag, entry)
redis.call('SADD', 'restora:user:' .. user, id)
local records = 'restora:records:' .. user -- also of jobs that are over, for forget.lua; it ends with the last of them
redis.call('ZADD', records, now, id)
redis.call('PERSIST', records)
for _, old in ipairs(redis.call('ZRANGE', records, 0, 1)) do
    if redis.call('EXISTS', 'restora:job:' .. old) == 0 then redis.call('ZREM', records, old) end
end
redis.call('INCR', 'restora:queued')
return {'fresh'}
