-- For wrk: wrk -s mix.lua URL -- GET_PATH PUT_PATH PUT_BODY KEY KEYS EXPONENT PUTS
-- GETs and PUTs of keys drawn from a Zipf distribution: the n-th of KEYS keys comes up 1/n^EXPONENT
-- times as often as the first; PUTS is the share of PUTs. The paths contain %s, which becomes a
-- key: KEY with a number for its %d. Requests are made beforehand, so that little Lua runs between
-- them; each thread draws its own.

dofile((debug.getinfo(1, "S").source:gsub("^@(.*)mix%.lua$", "%1wrk.lua")))

local REQUESTS = 65536
local threads = 0
local made, at = {}, 0

function setup(thread)
   threads = threads + 1
   thread:set("seed", threads)
end

-- sums[n]: how often one of the first n keys comes up.
local function zipf(keys, exponent)
   local sums, sum = {}, 0
   for n = 1, keys do
      sum = sum + 1 / n ^ exponent
      sums[n] = sum
   end
   return sums
end

local function draw(sums)
   local x, low, high = math.random() * sums[#sums], 1, #sums
   while low < high do
      local middle = math.floor((low + high) / 2)
      if sums[middle] < x then
         low = middle + 1
      else
         high = middle
      end
   end
   return low
end

function init(args)
   local get_path, put_path, body, key = args[1], args[2], args[3], args[4]
   local keys, exponent, puts = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
   local sums = zipf(keys, exponent)
   math.randomseed(os.time() * 16 + seed)
   for i = 1, REQUESTS do
      local name = key:format(draw(sums) - 1)
      if math.random() < puts then
         made[i] = wrk.format("PUT", put_path:format(name), {
            ["Host"] = wrk.headers["Host"], ["Content-Type"] = "application/json"}, body)
      else
         made[i] = wrk.format("GET", get_path:format(name))
      end
   end
end

function request()
   at = at % REQUESTS + 1
   return made[at]
end
