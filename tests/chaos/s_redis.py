"""T10, T11, T28: Redis is killed, hangs, isn't there."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from checks import check_problem
from faults import Faults
from harness import SLOW, Redis, eventually
from outage import Outages, connected, judge_answers
from scenario import Finding, Size, scenario
from world import World

# Figures of latency are for few connections: with many, each waits for the others.
FEW, MANY = 4, 48
CONNECT_MS, BUDGET_MS = 200.0, 600.0
# What is written while a Redis that hangs has it in its socket may be done when it goes on.
LATE = {"late_writes": True}


def judge_open(outages: Outages, name: str, after: float) -> Iterator[Finding]:
    """How long a refusal takes once the workers know, `after` so many seconds."""
    report = outages.load.result
    yield Finding("errors with the breaker open: median",
                  report["latency"]["failed"]["p50"] / 1e3, figure=5, unit="ms",
                  detail=f"{report.failed} failed, {FEW} connections")
    yield Finding("errors with the breaker open: the longest", outages.worst(
        name, lambda o: report.slowest_between(o.begun + after, o.over - 0.02)),
        figure=5, unit="ms", limit=500)


# --- killed --------------------------------------------------------------------------------------

@scenario("T10", "kill -9 of Redis under load")
def redis_killed(world: World, size: Size) -> Iterator[Finding]:
    """It dies, comes back empty, and dies again; then once under many clients."""
    redis, larder, front = world.stack()
    away = size(full=0.5, short=0.3)
    with world.verify(front, connections=FEW, may_vanish=True) as load:
        load.wait_prepared()
        outages = Outages(larder, load, settle=size(full=0.5, short=0.2))
        for _ in range(size(full=20, short=3)):
            with outages.during("killed") as outage:
                redis.kill()
                time.sleep(away)
                redis.start()
                outage.over = time.monotonic()
    report = load.result
    yield from judge_answers(report)
    yield Finding("deaths of Redis that failed requests",
                  sum(o.failures(report) > 0 for o in outages.rows), figure=len(outages.rows),
                  least=True)
    yield Finding("first errors", outages.worst(
        "killed", lambda o: report.slowest_between(o.begun, o.begun + 0.15)),
        figure=CONNECT_MS, unit="ms", detail=f"{report.failed} failed")
    yield from judge_open(outages, "killed", 0.2)
    yield Finding("first answer once Redis is back",
                  outages.worst("killed", lambda o: o.first_ok(report)), figure=500, unit="ms")
    yield Finding("last failure once Redis is back",
                  outages.worst("killed", lambda o: o.last_failure(report)), figure=1000, unit="ms")
    with world.verify(front, connections=MANY, may_vanish=True) as load:
        load.wait_prepared()
        outages = Outages(larder, load)
        for _ in range(size(full=5, short=1)):
            with outages.during("killed"):
                redis.kill()
                time.sleep(away)
                redis.start()
    yield Finding(f"not right with {MANY} clients", load.result.mismatches, figure=0,
                  detail=load.result.examples() or f"{load.result['gets_verified']} verified")


Act = Callable[[Redis, Faults], object]


@dataclass
class Broken:
    """A way in which connections end, or can't be made: how to begin it and how to end it."""

    name: str
    begin: Act
    end: Act
    seconds: float = 0.4
    longest: float = CONNECT_MS + 50


def restart(redis: Redis, _faults: Faults) -> object:
    """Starts it again."""
    return redis.start()


def clear(_redis: Redis, faults: Faults) -> object:
    """Passes everything on."""
    faults.clear()
    return None


def setting(mode: str, *numbers: int, requests: bool = False, cuts: bool = False) -> Act:
    """Has the proxy do that, to the connections that there are, or `cuts`: only to new ones."""
    def begin(_redis: Redis, faults: Faults) -> object:
        faults.set(mode, *numbers, requests=requests)
        if cuts:
            faults.cut()
        return None
    return begin


def kill_clients(redis: Redis, _faults: Faults) -> object:
    """Ends all connections, ten times."""
    for _ in range(10):
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.03)
    return None


def nothing(_redis: Redis, _faults: Faults) -> object:
    """It is over by itself."""
    return None


CONNECTIONS = [
    Broken("clean shutdown", lambda redis, _: redis.stop(), restart),
    Broken("CLIENT KILL in a loop", kill_clients, nothing, 0),
    Broken("connections refused", setting("refuse"), clear),
    Broken("connections closed at once", setting("hangup"), clear),
    Broken("backlog full", setting("backlog"), clear),
    Broken("reset after 20,000 bytes", setting("reset", 20_000), clear),
    Broken("cut off after 20,000 bytes", setting("truncate", 20_000), clear),
    Broken("cut off in the handshake", setting("truncate", 30, cuts=True), clear),
]


@scenario("T10", "connections to Redis end, or can't be made")
def redis_unreachable(world: World, size: Size) -> Iterator[Finding]:
    """Each way, under load, with a proxy in between where Redis itself can't do it."""
    redis = world.redis()
    faults = world.add(Faults(world.space, redis.socket)).start()
    larder = world.larder(faults.path)
    front = world.front(larder)
    with world.verify(front, connections=FEW, may_vanish=True) as load:
        load.wait_prepared()
        outages = Outages(larder, load)
        for row in CONNECTIONS * size(full=5, short=1):
            with outages.during(row.name):
                row.begin(redis, faults)
                time.sleep(row.seconds)
                row.end(redis, faults)
    yield from judge_answers(load.result)
    # A killed connection may have had nothing under way, and another is there at once.
    yield from outages.judge({row.name: row.longest for row in CONNECTIONS},
                             mild=("CLIENT KILL in a loop",))


# --- hanging -------------------------------------------------------------------------------------

@scenario("T11", "SIGSTOP of Redis under load")
def redis_stopped(world: World, size: Size) -> Iterator[Finding]:
    """Every reply in time while it hangs, and none too late when it goes on."""
    redis, larder, front = world.stack()
    with world.verify(front, connections=FEW, keys=2000, **LATE) as load:
        load.wait_prepared()
        outages = Outages(larder, load)
        for seconds in size(full=(1.0, 5.0, 30.0), short=(0.8, 1.5)):
            with outages.during("stopped"):
                redis.signal(signal.SIGSTOP)
                time.sleep(seconds)
                redis.signal(signal.SIGCONT)
            # What comes late now would be somebody else's.
            before = load.progress()["gets_verified"]
            eventually(lambda: load.progress()["gets_verified"] >= before + size(
                full=10_000, short=2_000), 60, "GETs of distinct keys")
    report = load.result
    yield from judge_answers(report)
    yield Finding("times that it was felt",
                  sum(o.failures(report) > 0 for o in outages.rows), figure=len(outages.rows),
                  least=True)
    yield Finding("longest request", report["hang_ms"], figure=BUDGET_MS, unit="ms", limit=2000)
    # A worker that was idle finds out by its own deadline.
    yield from judge_open(outages, "stopped", 1.3)
    yield Finding("first answer once it goes on",
                  outages.worst("stopped", lambda o: o.first_ok(report)), figure=1000, unit="ms")
    yield Finding("last failure once it goes on",
                  outages.worst("stopped", lambda o: o.last_failure(report)), figure=1000,
                  unit="ms")
    yield Finding("writes of unknown outcome that were done late", report["late"])


def sleep_in_redis(seconds: float) -> Act:
    """Redis does nothing else for so long."""
    def begin(redis: Redis, _faults: Faults) -> object:
        with redis.client() as client:
            client.send("DEBUG", "SLEEP", str(seconds))
        return None
    return begin


def slow_rows(seconds: float) -> list[Broken]:
    """What is slow, or silent, for so long."""
    return [
        Broken("DEBUG SLEEP", sleep_in_redis(seconds), nothing, seconds, BUDGET_MS),
        # A pause of all holds up CLIENT UNPAUSE, too.
        Broken("CLIENT PAUSE ALL",
               lambda redis, _: redis.ask("CLIENT", "PAUSE", int(seconds * 1000), "ALL"), nothing,
               seconds, BUDGET_MS),
        Broken("peer gone silently", setting("blackhole"), clear, seconds, BUDGET_MS),
        Broken("a byte every 100 ms", setting("drip", 100), clear, seconds, BUDGET_MS),
        Broken("replies 600 ms late", setting("late", 600), clear, seconds, BUDGET_MS),
        Broken("commands 600 ms late", setting("late", 600, requests=True), clear, seconds,
               BUDGET_MS),
        Broken("replies 50 ms later", setting("delay", 50), clear, 0.4, 150),
    ]


@scenario("T11", "Redis is slow, or silent")
def redis_slow(world: World, size: Size) -> Iterator[Finding]:
    """Each way, under load: every reply in time, and none for another request."""
    rows = slow_rows(size(full=5.0, short=0.9))
    redis = world.redis()
    faults = world.add(Faults(world.space, redis.socket)).start()
    larder = world.larder(faults.path)
    front = world.front(larder)
    with world.verify(front, connections=FEW, keys=500, **LATE) as load:
        load.wait_prepared()
        outages = Outages(larder, load)
        for row in rows:
            with outages.during(row.name):
                row.begin(redis, faults)
                time.sleep(row.seconds)
                row.end(redis, faults)
    yield from judge_answers(load.result)
    yield from outages.judge({row.name: row.longest for row in rows}, mild=("replies 50 ms later",))
    later = outages.worst("replies 50 ms later", lambda o: o.slowest(load.result))
    yield Finding.holds("replies 50 ms later: they were felt", later >= 50, f"{later:.1f} ms")


@scenario("T11", "CLIENT PAUSE WRITE: reading goes on")
def redis_takes_no_writes(world: World, size: Size) -> Iterator[Finding]:
    """Only who writes waits, and is told in the end that the outcome is unknown."""
    redis, larder, front = world.stack(workers=4)
    with front.http() as http:
        assert http.request("PUT", "/cache/a", b'{"value":1}').status == 200
        eventually(lambda: connected(larder), what="every worker is connected")
        redis.ask("CLIENT", "PAUSE", 60000, "WRITE")
        answers = [http.get("/cache/a").status for _ in range(20)]
        begun = time.monotonic()
        answer = http.request("PUT", "/cache/a", b'{"value":2}')
        taken = (time.monotonic() - begun) * 1e3
        outcome = check_problem(answer, 503, "backend-timeout")["outcome"]
        redis.ask("CLIENT", "UNPAUSE")
        eventually(lambda: http.request("PUT", "/cache/a", b'{"value":3}').status == 200, 3, "200")
        last = http.get("/cache/a")
    yield Finding("reads that failed meanwhile", sum(s != 200 for s in answers), figure=0)
    yield Finding("the write's answer", taken, figure=BUDGET_MS, unit="ms")
    yield Finding.holds("its outcome is said to be unknown", outcome == "unknown", str(outcome))
    yield Finding.holds("the write after it holds", last.json()["value"] == 3, str(last))


# --- not there -----------------------------------------------------------------------------------

@scenario("T28", "started without Redis", fronts=())
def redis_absent(world: World, size: Size) -> Iterator[Finding]:
    """It is ready at once, says what it lacks, and serves as soon as it can."""
    redis = world.redis()
    starts, recoveries, wrong = [], [], 0
    for _ in range(size(full=10, short=2)):
        redis.stop()
        larder = world.prepare_larder(redis)
        begun = time.monotonic()
        larder.start(ready=False)
        starts.append((time.monotonic() - begun) * 1e3)
        for target in ("/health", "/health/ready", "/cache/a"):
            answer = eventually(lambda: larder.fastcgi("GET", target), what=target)
            reason = answer.json().get("reason") or answer.slug
            wrong += answer.status != 503 or not reason.startswith("backend-")
        redis.start()
        begun = time.monotonic()
        eventually(lambda: larder.fastcgi("PUT", "/cache/a", b'{"value":1}').status == 200, 10,
                   "it serves")
        recoveries.append((time.monotonic() - begun) * 1e3)
        larder.stop()
    yield Finding("start to the first answer, all workers", max(starts), figure=200, unit="ms",
                  detail=f"{len(starts)} times")
    yield Finding("answers that don't say what is missing", wrong, figure=0)
    yield Finding("first 2xx after Redis appeared", max(recoveries), figure=1000, unit="ms",
                  limit=3000 * SLOW)
