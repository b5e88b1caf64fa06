-- The Cache Server API on Redis inside nginx, as an OpenResty user writes it
-- with care: one round trip for a GET (GET and PTTL pipelined), a pool of kept
-- connections, values passed on as the JSON text that is stored, and every
-- error looked at.

local cjson = require "cjson.safe"
local client = require "nginx.redis"

local POOL = 1024            -- kept connections to Redis, for each nginx process
local IDLE_MS = 60000
local TIMEOUT_MS = 1000
local DEFAULT_TTL = 3600

local M = {}   -- M.address: of Redis, set by the configuration

function M.send(status, body)
   ngx.status = status
   ngx.header["Content-Type"] = "application/json"
   ngx.header["Content-Length"] = #body
   ngx.print(body)
end

function M.fail(status, detail)
   return M.send(status, '{"detail":' .. cjson.encode(detail) .. '}')
end

-- value is JSON text; ttl in seconds, or nil.
function M.envelope(key, value, ttl)
   return '{"key":' .. cjson.encode(key) .. ',"value":' .. value .. ',"ttl":' .. (ttl or "null")
      .. ',"timestamp":"' .. ngx.utctime() .. '"}'
end

function M.key()
   local raw = ngx.var.request_uri:match("^/cache/([^?]+)")
   return raw and ngx.unescape_uri(raw)
end

-- All replies to what `append` put into the pipeline; nil and a message if not all are good.
function M.ask(append)
   local redis = client:new()
   redis:set_timeout(TIMEOUT_MS)
   local ok, err = redis:connect(M.address)
   if not ok then
      return nil, err
   end
   redis:init_pipeline(2)
   append(redis)
   local replies
   replies, err = redis:commit_pipeline()
   if not replies then
      redis:close()
      return nil, err
   end
   redis:set_keepalive(IDLE_MS, POOL)
   for _, reply in ipairs(replies) do
      if type(reply) == "table" and reply[1] == false then
         return nil, reply[2]
      end
   end
   return replies
end

-- The value (nil if there is none) and the seconds it has left; false and a message on an error.
function M.fetch(key)
   local replies, err = M.ask(function(redis)
      redis:get(key)
      redis:pttl(key)
   end)
   if not replies then
      return false, err
   end
   if replies[1] == ngx.null then
      return nil
   end
   return replies[1], replies[2] >= 0 and math.ceil(replies[2] / 1000) or nil
end

function M.get(key)
   local value, ttl = M.fetch(key)
   if value == false then
      return M.fail(503, ttl)
   end
   if not value then
      return M.fail(404, "Key not found")
   end
   return M.send(200, M.envelope(key, value, ttl))
end

-- The value as JSON text and the ttl of a PUT's body; nil and what is wrong with it.
function M.entry()
   ngx.req.read_body()
   local body = ngx.req.get_body_data()
   local document = body and cjson.decode(body)
   if type(document) ~= "table" or document.value == nil then
      return nil, "A JSON object with a value is expected"
   end
   local ttl = document.ttl
   if ttl == nil or ttl == ngx.null then
      ttl = DEFAULT_TTL
   elseif type(ttl) ~= "number" or ttl < 1 then
      return nil, "ttl must be a positive number"
   end
   return cjson.encode(document.value), math.floor(ttl)
end

function M.put(key)
   local value, ttl = M.entry()
   if not value then
      return M.fail(422, ttl)
   end
   local replies, err = M.ask(function(redis)
      redis:set(key, value, "EX", ttl)
   end)
   if not replies then
      return M.fail(503, err)
   end
   return M.send(200, M.envelope(key, value, ttl))
end

-- `handlers` has functions get and put that take a key.
function M.serve(handlers)
   local key = M.key()
   local method = ngx.req.get_method()
   if not key then
      return M.fail(404, "Not found")
   elseif method == "GET" then
      return handlers.get(key)
   elseif method == "PUT" then
      return handlers.put(key)
   end
   return M.fail(405, "Method not allowed")
end

return M
