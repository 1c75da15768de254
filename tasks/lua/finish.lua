-- End a job as done or failed.
-- with parts/tally.lua
-- ARGV: job id, attempt, state, error code, ms after which the janitor tells the owner (-1: nothing to tell),
--       lifetime of the record in s, "1" when nothing of a result can have arrived, "1" when it may have been sent twice
-- Answer: 1, again when asked again; 0 when the job is not this worker's any more
local id = ARGV[1]
local job = 'restora:job:' .. id
local held = redis.call('HMGET', job, 'state', 'attempt', 'user_id', 'queued_ms', 'started_ms')
if held[2] ~= ARGV[2] then return 0 end
if held[1] == ARGV[3] then return 1 end
if held[1] ~= 'running' and held[1] ~= 'delivering' then return 0 end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREM', 'restora:leases', id) -- first a write that a full Redis allows: work in hand may end
redis.call('HSET', job, 'state', ARGV[3], 'error', ARGV[4], 'ended_ms', now, 'file_id', '', 'file_name', '')
local may_contradict = held[1] == 'delivering' and ARGV[3] ~= 'done' and ARGV[7] ~= '1'
if may_contradict or ARGV[8] == '1' then redis.call('HSET', job, 'resent', 1) end
redis.call('SREM', 'restora:user:' .. held[3], id)
if redis.call('SCARD', 'restora:user:' .. held[3]) == 0 then
    redis.call('EXPIRE', 'restora:records:' .. held[3], ARGV[6])
end
if ARGV[5] ~= '-1' then redis.call('ZADD', 'restora:untold', now + ARGV[5], id) end
redis.call('EXPIRE', job, ARGV[6])
local waited = tonumber(held[5]) - tonumber(held[4])
if ARGV[3] == 'done' then
    tally(now, 'done', waited, now - tonumber(held[5]))
else
    tally(now, 'failed:' .. ARGV[4], waited)
end
return 1
