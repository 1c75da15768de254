-- The cards of the workers that are alive.
-- Answer: {card as JSON, ...}
local time = redis.call('TIME')
local names = redis.call('ZRANGEBYSCORE', 'restora:workers', time[1] * 1000 + math.floor(time[2] / 1000), '+inf')
if #names == 0 then return {} end
return redis.call('HMGET', 'restora:cards', unpack(names))
