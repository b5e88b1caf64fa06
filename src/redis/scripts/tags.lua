-- Before an entry with tags or an idle time is written: what its header must say.
-- KEYS      the tags it will carry
-- ARGV[1]   milliseconds that they must live at least; empty: for ever
-- ARGV[2..] a fresh nonce for each, for those that have none
-- Gives Redis's time in milliseconds and the tags' nonces.
local life = tonumber(ARGV[1])
local time = redis.call('TIME')
local answer = { time[1] * 1000 + math.floor(time[2] / 1000) }
for i, tag in ipairs(KEYS) do
  local nonce = redis.call('GET', tag)
  if not nonce then
    nonce = ARGV[i + 1]
    local set
    if life then
      set = redis.pcall('SET', tag, nonce, 'PX', life)
    else
      set = redis.pcall('SET', tag, nonce)
    end
    if set.err then return set end
  elseif not life then
    redis.call('PERSIST', tag)
  else
    local left = redis.call('PTTL', tag)
    if left >= 0 and left < life then redis.call('PEXPIRE', tag, life) end
  end
  answer[i + 1] = nonce
end
return answer
