-- Forget a user: every record of theirs, open or over, and every place their number or one of their jobs stands in.
-- A record goes with everything about it in one step; the scripts that workers call do nothing for one that is gone.
-- with parts/tally.lua
-- ARGV: user id, how many records to take at most (a script holds everybody up; ask again until none were looked at), how
--       many to pass over, chat and message of the wish ('': not said in a chat), what the ids of this bot's jobs begin with
-- What was sent, or asked for, in that chat after the wish is spared: a bot that died may meet the wish a second time.
-- Answer: {how many were looked at, how many of these were spared, {{field, value, ...} of the record as it was, ...}}
local user, records = 'restora:user:' .. ARGV[1], 'restora:records:' .. ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer, spared = {}, 0
-- held: user and chat of a record, message of the picture and of who asked for it; another bot's have other numbers
local function is_spared(id, held)
    local is_ours = string.sub(id, 1, #ARGV[6]) == ARGV[6]
    if not is_ours or held[1] ~= ARGV[1] or held[2] ~= ARGV[4] then return false end
    return math.max(tonumber(held[3]), tonumber(held[4] or '0')) > tonumber(ARGV[5])
end
local ids = redis.call('ZRANGE', records, ARGV[3], ARGV[3] + ARGV[2] - 1)
if #ids == 0 then -- open jobs of versions that kept no such list; those that are spared would come up for ever
    for _, id in ipairs(redis.call('SMEMBERS', user)) do
        local held = redis.call('HMGET', 'restora:job:' .. id, 'user_id', 'chat_id', 'message_id', 'asked_in')
        local is_wanted = not is_spared(id, held) and not redis.call('ZSCORE', records, id)
        if is_wanted and #ids < tonumber(ARGV[2]) then ids[#ids + 1] = id end
    end
end
for _, id in ipairs(ids) do
    local job = 'restora:job:' .. id
    local held = redis.call('HMGET', job, 'state', 'user_id', 'queue', 'entry', 'chat_id', 'message_id', 'asked_in')
    local is_theirs = held[1] and held[2] == ARGV[1]
    if is_theirs and is_spared(id, {held[2], held[5], held[6], held[7]}) then
        spared = spared + 1
    else
        redis.call('ZREM', records, id) -- first a write that a full Redis allows: whoever wants to go may go
        redis.call('ZREM', 'restora:aside', id)
        redis.call('ZREM', 'restora:leases', id)
        redis.call('ZREM', 'restora:untold', id)
        redis.call('SREM', user, id)
        if is_theirs then
            answer[#answer + 1] = redis.call('HGETALL', job)
            if held[1] == 'queued' then
                redis.call('ZREM', 'restora:queue:' .. held[3], held[4])
                redis.call('DECR', 'restora:queued')
            end
            if held[1] == 'queued' or held[1] == 'running' or held[1] == 'delivering' then tally(now, 'cancelled') end
            redis.call('DEL', job)
        end
    end
end
if redis.call('SCARD', user) == 0 then
    redis.call('ZREM', 'restora:turns', ARGV[1])
    redis.call('ZREM', 'restora:taken', ARGV[1])
end
-- What was deleted still stands in the append-only file until that is written anew; a janitor sees to it.
if #answer > 0 then redis.call('INCR', 'restora:forgotten') end
return {#ids, spared, answer}
