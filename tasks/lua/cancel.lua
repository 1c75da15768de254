-- Cancel jobs of a user. A queued or running job is over at once: its worker finds out when it next renews its lease,
-- and cannot deliver before that. A job whose result is on its way is left alone.
-- with parts/tally.lua
-- ARGV: user id, only running for at least this many ms (0: all), lifetime of the record in s, chat and message of the
--       wish ('': not said in a chat), ms after which the janitor tells the owner, what the ids of this bot's
--       jobs begin with, job id, ...
-- What was sent, or asked for, in that chat after the wish is left alone: a bot that died may meet the wish a second time. Another bot's
-- messages have other numbers.
-- Answer: {id, state before, id, state before, ...}
local user = 'restora:user:' .. ARGV[1]
local ids = {unpack(ARGV, 8)}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer, stopped = {}, false
for _, id in ipairs(ids) do
    local job = 'restora:job:' .. id
    local fields = {'state', 'user_id', 'queue', 'entry', 'started_ms', 'chat_id', 'message_id', 'asked_in'}
    local held = redis.call('HMGET', job, unpack(fields))
    local state = held[1]
    local ran_long = state == 'running' and now - tonumber(held[5]) >= tonumber(ARGV[2])
    local old_enough = ARGV[2] == '0' or ran_long or state == 'cancelled' -- by a call before, whose answer got lost
    local is_ours = string.sub(id, 1, #ARGV[7]) == ARGV[7]
    local in_that_chat = is_ours and held[6] == ARGV[4]
    local is_later = in_that_chat and math.max(tonumber(held[7]), tonumber(held[8] or '0')) > tonumber(ARGV[5])
    if state and held[2] == ARGV[1] and old_enough and not is_later then
        if state == 'queued' or state == 'running' then
            redis.call('ZREM', 'restora:leases', id)
            redis.call('ZREM', 'restora:aside', id)
            if state == 'queued' then
                redis.call('ZREM', 'restora:queue:' .. held[3], held[4])
                redis.call('DECR', 'restora:queued')
            end
            redis.call('SREM', user, id)
            redis.call('HSET', job, 'state', 'cancelled', 'ended_ms', now, 'file_id', '', 'file_name', '')
            redis.call('ZADD', 'restora:untold', now + ARGV[6], id)
            redis.call('EXPIRE', job, ARGV[3])
            tally(now, 'cancelled')
            stopped = true
        end
        answer[#answer + 1] = id
        answer[#answer + 1] = state
    end
end
-- What was cancelled was not served, so it must not put the user's next picture behind everybody else's: that comes after
-- the last one that was taken or is left. With very many left that is not worth the time.
if stopped and redis.call('SCARD', user) <= 50 then
    local turn = tonumber(redis.call('ZSCORE', 'restora:taken', ARGV[1]) or '0')
    for _, id in ipairs(redis.call('SMEMBERS', user)) do
        turn = math.max(turn, tonumber(redis.call('HGET', 'restora:job:' .. id, 'tag') or '0'))
    end
    if turn > tonumber(redis.call('GET', 'restora:clock') or '0') then
        redis.call('ZADD', 'restora:turns', 'XX', turn, ARGV[1])
    else
        redis.call('ZREM', 'restora:turns', ARGV[1])
    end
end
if stopped and redis.call('SCARD', user) == 0 then redis.call('EXPIRE', 'restora:records:' .. ARGV[1], ARGV[3]) end
return answer
