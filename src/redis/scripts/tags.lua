-- Before an entry with tags or an idle time is written: what its header must say.
-- KEYS      the tags it will carry
-- ARGV[1]   milliseconds that they must live at least; empty: for ever
-- ARGV[2..] a fresh nonce for each, for those that have none
-- Gives Redis's time in milliseconds and the tags' nonces.
local life = tonumber(ARGV[1])
local time = redis.call('TIME')
local answer = { time[1] * 1000 + math.floor(time[2] / 1000) }
for i, tag in ipairs(KEYS) do
  -- pcall: before Redis 7 an error that ends a script has lost its first word.
  local nonce = redis.pcall('GET', tag)
  if type(nonce) == 'table' then return nonce end
  local done
  if not nonce then
    nonce = ARGV[i + 1]
    if life then
      done = redis.pcall('SET', tag, nonce, 'PX', life)
    else
      done = redis.pcall('SET', tag, nonce)
    end
  elseif not life then
    done = redis.pcall('PERSIST', tag)
  else
    local left = redis.call('PTTL', tag)
    if left >= 0 and left < life then done = redis.pcall('PEXPIRE', tag, life) end
  end
  if type(done) == 'table' and done.err then return done end
  answer[i + 1] = nonce
end
return answer
