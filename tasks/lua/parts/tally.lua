-- Counts the end of a job for /stats and /metrics, in the same step that ends it. The keys are bounded: a hash for each
-- ten minutes of the last day, and one for ever; their fields are the ways to end, and steps of a scale of times.
-- how: 'done', 'cancelled' or 'failed:CODE'; waited and worked: ms, or nil where that says nothing
local function tally(now, how, waited, worked)
    local slice = 'restora:stats:' .. math.floor(now / 600000)
    redis.call('HINCRBY', 'restora:ends', how, 1)
    redis.call('HINCRBY', slice, how, 1)
    for what, ms in pairs({wait = waited, work = worked}) do
        local step = math.ceil(math.log(math.max(1, ms)) / math.log(1.25))
        redis.call('HINCRBY', slice, what .. ':' .. step, 1)
    end
    redis.call('EXPIRE', slice, 90000)
end

