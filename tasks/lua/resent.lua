-- Flag a job whose result may have been sent twice.
-- ARGV: job id, attempt, sends so far of which nobody knows whether they arrived
local job = 'restora:job:' .. ARGV[1]
if redis.call('HGET', job, 'attempt') == ARGV[2] then
    redis.call('HDEL', job, '') -- first a write that a full Redis allows: work in hand may go on
    redis.call('HSET', job, 'resent', 1, 'unknown_sends', ARGV[3])
end
return 1
