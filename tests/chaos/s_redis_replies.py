"""T12: replies that are not what was asked for, and data that go out of band."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faults import Faults
from harness import Redis, eventually, resident_kib
from outage import Outages, judge_answers
from scenario import Finding, Size, scenario
from verify import Verify
from world import World

CONNECTIONS = 16
RESIDENT_MIB = 96.0  # a worker with the largest reply there may be half-read is below it


@dataclass
class Spoilt:
    """A mode of the proxy."""

    name: str
    mode: str
    numbers: tuple[int, ...]


SPOILT = [
    Spoilt("a reply twice", "duplicate", (251,)),
    Spoilt("a reply lost", "lose", (251,)),
    Spoilt("two replies change places", "reorder", (251,)),
    Spoilt("a surplus reply", "inject", (251,)),
    Spoilt("garbage", "garbage", (251,)),
    Spoilt("lengths beyond all bounds", "huge", (251,)),
    Spoilt("types of RESP3", "resp3", (251,)),
]


def spoil(world: World, rows: list[Spoilt], seconds: float) -> Iterator[Finding]:
    """Each in turn, again and again for so long."""
    redis = world.redis()
    faults = world.add(Faults(world.space, redis.socket)).start()
    larder = world.larder(faults.path)
    front = world.front(larder)
    # No deletions: whose 0 or 1 it is, of two that change places, belongs to what is below.
    with world.verify(front, connections=CONNECTIONS, keys=300, writes=15) as load:
        load.wait_prepared()
        outages = Outages(larder, load, settle=0.05)
        for row in rows:
            before = faults.stats()["faults"]
            with outages.during(row.name):
                faults.set(row.mode, *row.numbers)
                time.sleep(seconds)
                eventually(lambda: faults.stats()["faults"] > before, 20, row.name)
                faults.clear()
            yield Finding(f"{row.name}: how often", faults.stats()["faults"] - before)
        resident = max(map(resident_kib, larder.workers())) / 1024
    report = load.result
    yield from judge_answers(report)
    yield Finding("longest request", report["hang_ms"], figure=600, unit="ms")
    yield Finding("last failure after it was over",
                  max(row.last_failure(report) for row in outages.rows), figure=1000, unit="ms")
    yield Finding("memory of a worker", resident, figure=RESIDENT_MIB, unit="MiB")


@scenario("T12", "replies that are not what was asked for")
def replies_spoilt(world: World, size: Size) -> Iterator[Finding]:
    """Under load: found out before anybody gets a wrong value."""
    yield from spoil(world, SPOILT, size(full=4.0, short=0.4))


# --- what cannot be found out --------------------------------------------------------------------

BEYOND = [
    Spoilt("one bit of 20,000 bytes", "flip", (20_000,)),
    Spoilt("a value and its ttl twice", "duplicate", (502, 2)),
    Spoilt("a value and its ttl lost", "lose", (502, 2)),
    Spoilt("two values change places", "reorder", (501, 2)),
    Spoilt("a value and a ttl too many", "inject", (502, 2)),
]


@scenario("T12", "a network that lies: beyond what anybody can find out", fronts=("nginx",))
def replies_forged(world: World, size: Size) -> Iterator[Finding]:
    """RESP2 has neither numbers nor checksums. This is apart from the account of T12: what is wrong
    here is the network's doing. What holds: it ends, within a tenth of a second or so."""
    redis = world.redis()
    faults = world.add(Faults(world.space, redis.socket)).start()
    larder = world.larder(faults.path)
    front = world.front(larder)
    for row in BEYOND:
        load = world.add(Verify(world.space, front.port, connections=CONNECTIONS, keys=300,
                                writes=0, tag=f"{row.mode}{row.numbers[-1]}-"))
        with load:
            load.wait_prepared()
            before = faults.stats()["faults"]
            outages = Outages(larder, load, settle=0.0)
            with outages.during(row.name):
                faults.set(row.mode, *row.numbers)
                time.sleep(size(full=5.0, short=0.5))
                faults.clear()
            wrong = load.progress()
            load.wait_requests(500)
            later = load.progress()
        spoilt = {name: load.result[name] for name in ("wrong", "torn", "stale", "lost")}
        yield Finding(f"{row.name}: wrong values", load.result.mismatches,
                      detail=f"{faults.stats()['faults'] - before} faults, "
                             f"{load.result['gets_verified']} verified; {spoilt}")
        yield Finding(f"{row.name}: wrong values after it was over",
                      sum(later[name] - wrong[name] for name in spoilt), figure=0)


# --- out of band ---------------------------------------------------------------------------------

def swap(redis: Redis) -> object:
    """The database is another one, an empty one, all at once."""
    with redis.client() as client:
        client.ask("SWAPDB", 0, 1)
        client.ask("SELECT", 1)
        return client.ask("FLUSHDB")


def expire(redis: Redis) -> object:
    """A hundred keys have a millisecond left."""
    with redis.client() as client:
        for _ in range(100):
            key = client.ask("RANDOMKEY")
            if key is not None:
                client.ask("PEXPIRE", key, 1)
    return None


def evict(redis: Redis) -> object:
    """There is hardly any room for a moment."""
    redis.ask("CONFIG", "SET", "maxmemory", int(redis.info("memory")["used_memory"]) - 50_000)
    time.sleep(0.05)
    return redis.ask("CONFIG", "SET", "maxmemory", 0)


OUT_OF_BAND: list[tuple[str, Callable[[Redis], object]]] = [
    ("FLUSHALL", lambda redis: redis.ask("FLUSHALL")),
    ("FLUSHDB ASYNC", lambda redis: redis.ask("FLUSHDB", "ASYNC")),
    ("SWAPDB", swap),
    ("expiry", expire),
    ("eviction", evict),
]


@scenario("T12", "data go out of band: flushed, swapped, expired, evicted")
def data_vanish(world: World, size: Size) -> Iterator[Finding]:
    """Under load: what is gone is gone, and nothing older than what was there comes back."""
    redis, _, front = world.stack()
    with world.verify(front, connections=CONNECTIONS, keys=500, deletes=5, may_vanish=True) as load:
        load.wait_prepared()
        for _ in range(size(full=50, short=4)):
            for _, vanish in OUT_OF_BAND:
                vanish(redis)
                time.sleep(0.05)
    report = load.result
    # Where so little room is left that nothing is left to evict.
    yield from judge_answers(report, ("507",))
    yield Finding("misses, of entries that had been stored", report["misses"], figure=1, least=True)
