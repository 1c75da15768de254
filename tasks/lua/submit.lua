-- Take a picture in: one job per message, fair between users, bounded per user and over all.
-- ARGV: job id, user id, queue, limit per user, limit over all, then field, value, ... of the record
-- Answer: {"fresh" | "known"} or {"user_limit" | "queue_full"}
local id, user, queue = ARGV[1], ARGV[2], ARGV[3]
local job = 'restora:job:' .. id
if redis.call('EXISTS', job) == 1 then return {'known'} end
if redis.call('SCARD', 'restora:user:' .. user) >= tonumber(ARGV[4]) then return {'user_limit'} end
if tonumber(redis.call('GET', 'restora:queued') or '0') >= tonumber(ARGV[5]) then return {'queue_full'} end

-- Start-time fair queueing (Goyal, Vin, Cheng 1996) with equal costs: a user's pictures get one tag after the other, a
-- newcomer's first tag is the clock, so twenty pictures of one user let everybody else's first one pass.
local clock = tonumber(redis.call('GET', 'restora:clock') or '0')
local tag = math.max(clock, tonumber(redis.call('HGET', 'restora:tags', user) or '0'))
redis.call('HSET', 'restora:tags', user, tag + 1)

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = string.format('%012d|%s', redis.call('INCR', 'restora:sequence'), id)
redis.call('HSET', job, unpack(ARGV, 6))
redis.call('HSET', job, 'state', 'queued', 'queued_ms', now, 'since_ms', now, 'entry', entry, 'tag', tag)
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
