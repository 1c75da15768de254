-- Keep a lease, note the progress and since when there is any, and learn whether the job is still this worker's.
-- ARGV: job id, attempt, lease in ms, progress in [0, 1]
-- Answer: {1, status message id} while it is; {0, state} when it was cancelled or given to somebody else
local job = 'restora:job:' .. ARGV[1]
local held = redis.call('HMGET', job, 'state', 'attempt', 'status_message_id', 'pace')
if (held[1] ~= 'running' and held[1] ~= 'delivering') or held[2] ~= ARGV[2] then return {0, held[1] or ''} end
local time = redis.call('TIME')
redis.call('ZREM', 'restora:leases', ARGV[1]) -- first a write that a full Redis allows: work in hand may go on
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', 'restora:leases', now + ARGV[3], ARGV[1])
redis.call('HSET', job, 'progress', ARGV[4])
if tonumber(ARGV[4]) > 0 and string.match(held[4] or '', '^%d+') ~= ARGV[2] then
    redis.call('HSET', job, 'pace', ARGV[2] .. ':' .. string.format('%.0f', now) .. ':' .. ARGV[4])
end
return {1, held[3] or '0'}
