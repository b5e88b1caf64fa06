-- Adds to a counter, or makes it.
-- KEYS[1]   the entry
-- ARGV[1]   what to add; ARGV[2] its value if it is made; empty: that would overflow
-- ARGV[3]   milliseconds until it expires if it is made; empty: never
-- Gives the new value and the milliseconds left (-1: no expiry); 0: it has a header, which is not
-- for a script to read; 1: it is no integer; 2: the sum would overflow.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 8)
if type(head) == 'table' then return head end
if head == '' and redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[2] == '' then return 2 end
  local set
  if ARGV[3] == '' then
    set = redis.pcall('SET', KEYS[1], ARGV[2])
  else
    set = redis.pcall('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  end
  if set.err then return set end
elseif head == '\0larder1 ' then
  return 0
else
  local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
  if type(sum) == 'table' then
    if sum.err:find('not an integer', 1, true) then return 1 end
    if sum.err:find('overflow', 1, true) then return 2 end
    return sum
  end
end
-- A number in Lua has 53 bits: the text is asked for.
return { redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1]) }
