-- Removes an entry, and says what it was.
-- KEYS[1]   the entry
-- Gives 0: there was none; 1: it is removed; a text: it is removed, and had this header, whose tags
-- say whether it was alive.
local head = redis.pcall('GETRANGE', KEYS[1], 0, 8)
local header = 1
if head == '\0larder1 ' then
  header = redis.call('GETRANGE', KEYS[1], 0, 16383):match('^[^\n]*\n') or 1
end
local removed = redis.pcall('UNLINK', KEYS[1])
if removed == 1 then return header end
return removed
