-- Forget a user: every record of theirs, open or over, and every place their number or one of their jobs stands in.
-- A record goes with everything about it in one step; the scripts that workers call do nothing for one that is gone.
-- with parts/tally.lua
-- ARGV: user id, how many records to take at most (a script holds everybody up; ask again until none were looked at)
-- Answer: {how many were looked at, {{field, value, ...} of the record as it was, ...}}
local user, records = 'restora:user:' .. ARGV[1], 'restora:records:' .. ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
redis.call('ZREM', records, '') -- first a write that a full Redis allows: forgetting makes room
local ids = redis.call('ZRANGE', records, 0, ARGV[2] - 1)
if #ids == 0 then ids = redis.call('SRANDMEMBER', user, ARGV[2]) end -- open jobs of versions that kept no such list
for _, id in ipairs(ids) do
    local job = 'restora:job:' .. id
    local held = redis.call('HMGET', job, 'state', 'user_id', 'queue', 'entry')
    if held[1] and held[2] == ARGV[1] then
        answer[#answer + 1] = redis.call('HGETALL', job)
        if held[1] == 'queued' then
            redis.call('ZREM', 'restora:queue:' .. held[3], held[4])
            redis.call('DECR', 'restora:queued')
        end
        if held[1] == 'queued' or held[1] == 'running' or held[1] == 'delivering' then tally(now, 'cancelled') end
        redis.call('DEL', job)
    end
    redis.call('ZREM', 'restora:aside', id)
    redis.call('ZREM', 'restora:leases', id)
    redis.call('ZREM', 'restora:untold', id)
    redis.call('SREM', user, id)
    redis.call('ZREM', records, id)
end
if redis.call('SCARD', user) == 0 then
    redis.call('ZREM', 'restora:turns', ARGV[1])
    redis.call('ZREM', 'restora:taken', ARGV[1])
end
-- What was deleted still stands in the append-only file until that is written anew; a janitor sees to it.
if #answer > 0 then redis.call('INCR', 'restora:forgotten') end
return {#ids, answer}
