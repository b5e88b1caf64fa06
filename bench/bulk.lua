-- For wrk: wrk -s bulk.lua URL [-- BODY]
-- GETs, or with a body POSTs of it; one line of JSON about the run, with the latency's percentiles.

function init(args)
   if args[1] then
      wrk.method = "POST"
      wrk.body = args[1]
      wrk.headers["Content-Type"] = "application/json"
   end
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format(
      '\nsummary {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}\n',
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
      e.connect + e.read + e.write + e.timeout + e.status))
end
