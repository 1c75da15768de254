-- Where a queued job stands, and the work before it.
-- ARGV: job id, how many records to look at
-- Answer: {jobs before it, their pixels, own pixels} or {} when it is not queued
local job = 'restora:job:' .. ARGV[1]
local held = redis.call('HMGET', job, 'state', 'queue', 'entry', 'pixels')
if held[1] ~= 'queued' then return {} end
local rank = redis.call('ZRANK', 'restora:queue:' .. held[2], held[3])
if not rank then return {} end
local looked_at = math.min(rank, tonumber(ARGV[2]))
local pixels = 0
if looked_at > 0 then
    for _, entry in ipairs(redis.call('ZRANGE', 'restora:queue:' .. held[2], 0, looked_at - 1)) do
        pixels = pixels + tonumber(redis.call('HGET', 'restora:job:' .. string.sub(entry, 14), 'pixels') or '0')
    end
    pixels = pixels * rank / looked_at -- beyond that, as many as on average before
end
return {rank, math.floor(pixels), tonumber(held[4])}
