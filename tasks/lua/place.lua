-- Where a queued job stands, the work before it, and the work that is being done.
-- ARGV: job id, how many records to look at
-- Answer: {jobs before it, own pixels, {pixels of a job before it, ...}, {worker of a running job, pixels, progress, ...}}
--         or {} when it is not queued. Of more jobs than may be looked at it is every second, third, ... one.
local job = 'restora:job:' .. ARGV[1]
local held = redis.call('HMGET', job, 'state', 'queue', 'entry', 'pixels')
if held[1] ~= 'queued' then return {} end
local queue = 'restora:queue:' .. held[2]
local rank = redis.call('ZRANK', queue, held[3])
if not rank then return {} end
local entries, most = {}, tonumber(ARGV[2])
if rank > most then -- short ones come first, so the first ones alone would promise too much
    for i = 0, most - 1 do entries[i + 1] = redis.call('ZRANGE', queue, math.floor(i * rank / most), math.floor(i * rank / most))[1] end
elseif rank > 0 then
    entries = redis.call('ZRANGE', queue, 0, rank - 1)
end
local before, running = {}, {}
for i, entry in ipairs(entries) do
    before[i] = redis.call('HGET', 'restora:job:' .. string.sub(entry, 14), 'pixels') or '0'
end
for _, id in ipairs(redis.call('ZRANGE', 'restora:leases', 0, ARGV[2])) do
    local other = redis.call('HMGET', 'restora:job:' .. id, 'state', 'worker', 'pixels', 'progress')
    if other[1] == 'running' then
        for field = 2, 4 do running[#running + 1] = other[field] or '0' end
    end
end
return {rank, held[4], before, running}
