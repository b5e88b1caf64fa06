"""T27: the wall clock jumps; nothing is measured by it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from figures import show_failures
from harness import SANITIZED, VALGRIND, eventually
from hook import Hook
from scenario import Finding, Size, scenario
from world import World

HOUR = 3600.0
TTL = 2


@scenario("T27", "the wall clock jumps by an hour", fronts=("nginx",))
def clock_jumps(world: World, size: Size) -> Iterator[Finding]:
    """An hour ahead, back, and back by another, under load: no watchdog, deadline, breaker or ttl
    of larder's is by that clock."""
    if SANITIZED or VALGRIND:  # nothing can be preloaded
        return
    hook = Hook(world.directory("hook"))
    redis = world.redis()
    larder = world.larder(redis, env=hook.environment, watchdog_timeout=1000, redis_timeout=5000)
    front = world.front(larder)
    family = larder.workers()
    stamps = []
    with world.verify(front, connections=16) as load:
        load.wait_prepared()
        for jump in (HOUR, -HOUR, HOUR, 0.0) * size(full=5, short=1):
            larder.fastcgi("PUT", "/cache/brief", b'{"value":1,"ttl":%d}' % TTL)
            hook.wall_clock(jump)
            time.sleep(0.3)
            answer = larder.fastcgi("GET", "/cache/brief")
            stamps.append(answer.status == 200 and answer.json()["ttl"] <= TTL)
            time.sleep(size(full=1.5, short=0.8))
        load.wait_requests(100)
    report = load.result
    hook.wall_clock(HOUR)
    uptime = larder.stats()["uptime_seconds"]
    begun = time.monotonic()
    redis.kill()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 503, 2, "Redis is away")
    hook.wall_clock(-HOUR)
    redis.start()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 5, "Redis is back")
    back = time.monotonic() - begun
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("requests that failed", report.failed, figure=0, detail=show_failures(report))
    yield Finding.holds("the same workers", larder.workers() == family, larder.text()[-500:])
    yield Finding.holds("entries live as long as they should", all(stamps), str(stamps))
    yield Finding.holds("uptime is not by that clock", uptime < 600, str(uptime))
    yield Finding("Redis killed and used again", back, figure=1.5, limit=5, unit="s")
