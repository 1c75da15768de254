-- A rewrite of Redis's file is over: what was forgotten until it began is not in the new one.
-- ARGV: the note of that rewrite, the number of times somebody had been forgotten when it began ('': it failed), s until
--       which the file is not written anew again
-- Answer: 1, or 0 when it has to be written anew once more: it failed, or somebody was forgotten meanwhile
if redis.call('GET', 'restora:rewriting') ~= ARGV[1] then return 0 end -- another janitor has seen it, too
redis.call('DEL', 'restora:rewriting')
redis.call('SET', 'restora:rewritten', 1, 'EX', ARGV[3]) -- also one that failed has cost memory and disk
if redis.call('GET', 'restora:forgotten') ~= ARGV[2] then return 0 end
redis.call('DEL', 'restora:forgotten')
return 1
