-- After an entry with an idle time was read: whether it is alive, and its renewal if it was read for
-- its own sake.
-- KEYS[1]   the entry; KEYS[2..] the tags it carries
-- ARGV[1]   its header as it was read
-- ARGV[2]   its idle time in milliseconds; 0: do not renew it
-- ARGV[3]   when it ends, in milliseconds of Redis's time; 0: never
-- ARGV[4..] the nonces it carries
-- Gives 0 if a tag has another nonce by now or the end is over; else the milliseconds to the end
-- (-1: there is none), those to the expiry as it was renewed (-1: it was not), and Redis's time.
if #KEYS > 1 then
  -- As without an idle time: what is no string is as good as nothing.
  local nonces = redis.call('MGET', unpack(KEYS, 2))
  for i = 1, #KEYS - 1 do
    if nonces[i] ~= ARGV[i + 3] then return 0 end
  end
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local idle, left = tonumber(ARGV[2]), -1
if ARGV[3] ~= '0' then
  left = tonumber(ARGV[3]) - now
  if left <= 0 then return 0 end
end
if idle == 0 then return { left, -1, now } end
-- The header of an entry with an idle time is its alone: it has an id.
if redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1) ~= ARGV[1] then return { left, -1, now } end
if left >= 0 and left < idle then idle = left end
local renewed = redis.pcall('PEXPIRE', KEYS[1], idle)
if type(renewed) == 'table' then
  -- Where nothing may be written at the moment, reading goes on.
  if renewed.err:find('^%-?READONLY') or renewed.err:find('^%-?MISCONF') then
    return { left, -1, now }
  end
  return renewed
end
return { left, idle, now }
