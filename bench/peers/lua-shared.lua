-- lua-redis.lua behind a lua_shared_dict that all nginx processes share. What
-- it holds is answered without asking Redis for up to NEAR_S seconds, whatever
-- others write meanwhile: fast, and stale for that long.

local backend = require "lua-redis"

local NEAR_S = 10

local M = {}

-- The dictionary keeps a 32-bit number with each value: here the second in which the value
-- expires, 0 if it doesn't.
local function keep(key, value, ttl)
   local near = ttl and math.min(ttl, NEAR_S) or NEAR_S
   ngx.shared.near:set(key, value, near, ttl and ngx.time() + ttl or 0)
end

function M.get(key)
   local value, expiry = ngx.shared.near:get(key)
   if value then
      local ttl = expiry and expiry > 0 and math.max(expiry - ngx.time(), 0) or nil
      return backend.send(200, backend.envelope(key, value, ttl))
   end
   local ttl
   value, ttl = backend.fetch(key)
   if value == false then
      return backend.fail(503, ttl)
   end
   if not value then
      return backend.fail(404, "Key not found")
   end
   keep(key, value, ttl)
   return backend.send(200, backend.envelope(key, value, ttl))
end

function M.put(key)
   local value, ttl = backend.entry()
   if not value then
      return backend.fail(422, ttl)
   end
   local replies, err = backend.ask(function(redis)
      redis:set(key, value, "EX", ttl)
   end)
   if not replies then
      return backend.fail(503, err)
   end
   keep(key, value, ttl)
   return backend.send(200, backend.envelope(key, value, ttl))
end

return M
