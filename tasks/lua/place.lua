-- Where a queued job stands, the work before it, and the work that is being done.
-- ARGV: job id, how many records to look at
-- Answer: {jobs before it, own pixels, {kind of a job before it, its pixels, ...}, {worker of a running job, kind,
--         pixels, progress, ms left by its own pace or -1 where that is not known yet, ...}} or {} when it is not
--         queued. Of more jobs than may be looked at it is every second, third, ... one.
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
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local before, running = {}, {}
for i, entry in ipairs(entries) do
    local other = redis.call('HMGET', 'restora:job:' .. string.sub(entry, 14), 'kind', 'pixels')
    before[2 * i - 1], before[2 * i] = other[1] or '', other[2] or '0'
end
for _, id in ipairs(redis.call('ZRANGE', 'restora:leases', 0, ARGV[2])) do
    local other = redis.call('HMGET', 'restora:job:' .. id, 'state', 'worker', 'kind', 'pixels', 'progress', 'attempt', 'pace')
    if other[1] == 'running' then
        for field = 2, 5 do running[#running + 1] = other[field] or '0' end
        local left, progress = '-1', tonumber(other[5] or '0')
        local attempt, since, first = string.match(other[7] or '', '^(%d+):(%d+):(.+)$')
        if attempt and attempt == other[6] and progress - tonumber(first) >= 0.1 then
            left = string.format('%.0f', (now - since) / (progress - tonumber(first)) * (1 - progress))
        end
        running[#running + 1] = left
    end
end
return {rank, held[4], before, running}
