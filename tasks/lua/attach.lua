-- Note which message shows a job's status, unless the job is past needing one.
-- ARGV: job id, message id
-- Answer: the state the job is in now, or '' when the record is gone
local job = 'restora:job:' .. ARGV[1]
local state = redis.call('HGET', job, 'state')
if not state then return '' end
if state == 'queued' or state == 'running' then redis.call('HSET', job, 'status_message_id', ARGV[2]) end
return state
