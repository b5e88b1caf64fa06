-- For wrk: wrk -s wrk.lua URL [-- METHOD BODY]
-- The request is made once, so that no Lua runs between requests; the outcome is one line of JSON
-- instead of wrk's own text, which shows neither the exact count nor the time.

function init(args)
   if args[1] then
      wrk.method = args[1]
      wrk.body = args[2]
      wrk.headers["Content-Type"] = "application/json"
   end
end

function done(summary)
   local e = summary.errors
   io.write(string.format(
      '\nsummary {"requests":%d,"microseconds":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,'
      .. '"timeout":%d,"status":%d}\n',
      summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.timeout,
      e.status))
end
