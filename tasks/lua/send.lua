-- Ask whether a message may be sent, and count it if so.
-- ARGV: bot, chat; then for all chats together, and once more for this one: ms from one message to the next, how many may
--       come at once, how many of these are left to others, for how many ms ahead a turn may be given
-- Answer: {1, ms until it may be sent}, or {0, ms after which to ask again, "chat" | "all"}: who has to wait
local all = 'restora:sending:' .. ARGV[1]
local chat = all .. ':' .. ARGV[2]
local silence = redis.call('PTTL', 'restora:silence:' .. ARGV[1] .. ':' .. ARGV[2])
if silence > 0 then return {0, silence, 'chat'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

-- The generic cell rate algorithm (ITU-T I.371): all that is known of a budget is when it will be whole again.
local function look(key, first)
    local gap, burst, kept, ahead = unpack(ARGV, first, first + 3)
    local whole = math.max(now, tonumber(redis.call('GET', key) or '0'))
    whole = math.min(whole, now + burst * gap + 5000) -- Redis's clock may have been put back; turns are given no further
    -- Half a millisecond is rounding: times of today have few digits left behind the point.
    return whole + gap, math.max(0, whole - now - (burst - 1 - kept) * gap - 0.5), tonumber(ahead)
end

local all_whole, all_wait, all_ahead = look(all, 3)
local chat_whole, chat_wait, chat_ahead = look(chat, 7)
if chat_wait > chat_ahead then return {0, math.ceil(chat_wait - chat_ahead), 'chat'} end
if all_wait > all_ahead then return {0, math.ceil(all_wait - all_ahead), 'all'} end
redis.call('SET', all, string.format('%.3f', all_whole), 'PX', math.ceil(all_whole - now))
redis.call('SET', chat, string.format('%.3f', chat_whole), 'PX', math.ceil(chat_whole - now))
return {1, math.ceil(math.max(all_wait, chat_wait))}
