-- Changes an entry only if it is still as it was read.
-- KEYS[1]   the entry; KEYS[2..] the tags it must be alive by
-- ARGV[1]   SHA-1 of its bytes as they were read; empty: there was none
-- ARGV[2]   what to do: SET, UNLINK, PEXPIRE or PERSIST
-- ARGV[3]   milliseconds until it expires; empty: never; KEEPTTL: as before
-- ARGV[4]   milliseconds that its tags must live at least; empty: for ever; KEEPTTL: as before
-- ARGV[5]   the bytes to set
-- ARGV[6..] the nonces of its tags
-- Gives 1, and 0 if it is not the same or not alive any more.
local entry = redis.pcall('GET', KEYS[1])
if type(entry) == 'table' then return entry end
if ARGV[1] == '' then
  if entry then return 0 end
elseif not entry or redis.sha1hex(entry) ~= ARGV[1] then
  return 0
end
for i = 2, #KEYS do
  -- What another program has put there is no nonce, whatever it is.
  if redis.pcall('GET', KEYS[i]) ~= ARGV[i + 4] then return 0 end
end
local action, expiry, life = ARGV[2], ARGV[3], ARGV[4]
-- First: if a command is refused here, nothing is done yet.
local done
for i = 2, #KEYS do
  if life == '' then
    done = redis.pcall('PERSIST', KEYS[i])
  elseif life ~= 'KEEPTTL' then
    local left = redis.call('PTTL', KEYS[i])
    if left >= 0 and left < tonumber(life) then done = redis.pcall('PEXPIRE', KEYS[i], life) end
  end
  if type(done) == 'table' then return done end
end
if action == 'SET' then
  if expiry == 'KEEPTTL' then
    done = redis.pcall('SET', KEYS[1], ARGV[5], 'KEEPTTL')
  elseif expiry == '' then
    done = redis.pcall('SET', KEYS[1], ARGV[5])
  else
    done = redis.pcall('SET', KEYS[1], ARGV[5], 'PX', expiry)
  end
elseif action == 'PEXPIRE' then
  done = redis.pcall('PEXPIRE', KEYS[1], expiry)
else
  done = redis.pcall(action, KEYS[1])
end
if type(done) == 'table' and done.err then return done end
return 1
