-- From here on the result goes out: cancelling comes too late, and only this attempt may do it.
-- ARGV: job id, attempt, lease in ms
-- Answer: the record as {field, value, ...}, again when asked again; {} when the job is not this worker's any more
local job = 'restora:job:' .. ARGV[1]
local held = redis.call('HMGET', job, 'state', 'attempt')
if (held[1] ~= 'running' and held[1] ~= 'delivering') or held[2] ~= ARGV[2] then return {} end
local time = redis.call('TIME')
redis.call('ZREM', 'restora:leases', ARGV[1]) -- first a write that a full Redis allows: work in hand may go on
redis.call('ZADD', 'restora:leases', time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
redis.call('HSET', job, 'state', 'delivering')
return redis.call('HGETALL', job)
