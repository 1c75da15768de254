-- Redis has begun to write its file anew: what was forgotten until then is not in the new one.
-- ARGV: the number of times somebody had been forgotten then, s until which it is not written anew again
-- Answer: 1, or 0 when somebody was forgotten meanwhile and it has to be written anew once more
redis.call('EXPIRE', 'restora:rewritten', ARGV[2])
if redis.call('GET', 'restora:forgotten') ~= ARGV[1] then return 0 end
redis.call('DEL', 'restora:forgotten')
return 1
