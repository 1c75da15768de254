-- Where a queued job stands, the work before it, and the work that is being done.
-- ARGV: job id, how many records to look at
-- Answer: {jobs before it, own pixels, {pixels of a job before it, ...}, {worker of a running job, pixels, progress, ...}}
--         or {} when it is not queued
local job = 'restora:job:' .. ARGV[1]
local held = redis.call('HMGET', job, 'state', 'queue', 'entry', 'pixels')
if held[1] ~= 'queued' then return {} end
local rank = redis.call('ZRANK', 'restora:queue:' .. held[2], held[3])
if not rank then return {} end
local before, running = {}, {}
local looked_at = math.min(rank, tonumber(ARGV[2]))
if looked_at > 0 then
    for _, entry in ipairs(redis.call('ZRANGE', 'restora:queue:' .. held[2], 0, looked_at - 1)) do
        before[#before + 1] = redis.call('HGET', 'restora:job:' .. string.sub(entry, 14), 'pixels') or '0'
    end
end
for _, id in ipairs(redis.call('ZRANGE', 'restora:leases', 0, ARGV[2])) do
    local other = redis.call('HMGET', 'restora:job:' .. id, 'state', 'worker', 'pixels', 'progress')
    if other[1] == 'running' then
        for field = 2, 4 do running[#running + 1] = other[field] or '0' end
    end
end
return {rank, held[4], before, running}
