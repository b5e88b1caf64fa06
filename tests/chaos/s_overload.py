"""T8: more than larder can do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

from figures import percentile, show_failures
from harness import SANITIZED, Larder, eventually, resident_kib
from kept import Kept
from rawhttp import Http
from scenario import Finding, Size, scenario
from verify import Report
from world import World

ENOUGH = 64  # connections that keep larder as busy as it can be
GIANTS = 12
GIANT_VALUES = 32  # of 900 KB
WORKER_MIB = 200  # resident, at most
JSON_TYPE = (("Content-Type", "application/json"),)


def ok_a_second(report: Report, begin: float, end: float) -> float:
    """Answers in a time."""
    return report.ok_between(begin, end) / (end - begin)


def calm_down(report: Report, moment: float, usual: float) -> float:
    """Seconds until no request takes longer than `usual` any more, in steps of 0.1 s."""
    step = 0.1
    for i in range(100):
        if report.slowest_between(moment + i * step, moment + (i + 1) * step) <= usual:
            return (i + 1) * step
    return 100 * step


def crowd(world: World, size: Size, many: int, **options: object) -> Iterator[Finding]:
    """As many as keep it busy, then `many` more for a while."""
    _, larder, front = world.stack(redis_timeout=2000)
    part = size(full=10.0, short=1.0)
    few = world.verify(front, connections=options.pop("few", ENOUGH), timeout=20000,
                       tag="few", **options)
    with few:
        few.wait_prepared()
        time.sleep(part)
        peak_end = time.monotonic()
        with world.verify(front, connections=many, timeout=20000, tag="many", **options) as more:
            more.wait_prepared(60)
            more.wait_requests(many)
            time.sleep(part)
            crowd_end = time.monotonic()
        gone = time.monotonic()
        time.sleep(part)
        end = time.monotonic()
    peak = ok_a_second(few.result, peak_end - part, peak_end)
    under = sum(ok_a_second(r.result, crowd_end - part, crowd_end) for r in (few, more))
    usual = 2 * max(few.result.slowest_between(peak_end - part, peak_end), 20.0)
    failed = few.result.unexpected(("503",)), more.result.unexpected(("503",))
    yield Finding("answers that are not right", few.result.mismatches + more.result.mismatches,
                  figure=0, detail=few.result.examples() + more.result.examples())
    yield Finding("goodput in the crowd, of the best", under / peak * 100, figure=80,
                  limit=size(full=40, short=5),
                  least=True, unit="%", detail=f"{peak:.0f}/s before, {under:.0f}/s in it")
    yield Finding("failures that are no 503", sum(sum(f.values()) for f in failed), figure=0,
                  detail=show_failures(more.result))
    yield Finding("requests that failed", few.result.failed + more.result.failed)
    yield Finding("longest request in the crowd", max(r.result["hang_ms"] for r in (few, more)),
                  unit="ms")
    yield Finding("as quick as before, once they have gone", calm_down(few.result, gone, usual),
                  figure=1, unit="s", detail=f"no request above {usual:.0f} ms; "
                  f"{ok_a_second(few.result, gone + 1, end):.0f}/s afterwards")
    yield Finding.holds("no worker died", larder.stats()["counters"]["worker_deaths"] == 0)


@scenario("T8", "a crowd of clients")
def many_clients(world: World, size: Size) -> Iterator[Finding]:
    """More than ten times as many connections as keep it busy. No more than lighttpd takes (1024):
    beyond that they wait in its queue, and kept ones make no room."""
    most = 1200 if world.kind == "nginx" else 900
    yield from crowd(world, size, size(full=most, short=800), keys=4000)


@scenario("T8", "a crowd that reads large values", fronts=("nginx",))
def many_large(world: World, size: Size) -> Iterator[Finding]:
    """Hundreds of clients, and values of up to 900 KB."""
    yield from crowd(world, size, size(full=300, short=200), few=16, sizes="large", keys=400,
                     writes=5)


class Memory:
    """The most that a worker had resident meanwhile."""

    def __init__(self, larder: Larder) -> None:
        self.larder = larder
        self.most_kib = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        family = self.larder.workers()
        while not self._stop.wait(0.005):
            self.most_kib = max(self.most_kib, *map(resident_kib, family))

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def ask_giants(port: int, rounds: int, statuses: list[int]) -> None:
    """Batches whose answers have 30 MB, one after the other."""
    body = json.dumps({"operations": [{"method": "GET", "key": f"giant{i}"}
                                      for i in range(GIANT_VALUES)]}).encode()
    for _ in range(rounds):
        with Http(port, 60) as http:
            statuses.append(http.request("POST", "/batch", body, JSON_TYPE).status)


def probe(larder: Larder, stop: threading.Event, taken: list[float]) -> None:
    """Small reads beside them; milliseconds."""
    one = Kept(larder)
    while not stop.wait(0.002):
        one.ask("/cache/small")
    one.close()
    taken += [t * 1e3 for t in one.taken]


@scenario("T8", "a few giant batches", fronts=("nginx",))
def giants(world: World, size: Size) -> Iterator[Finding]:
    """Batches with answers of 30 MB all at once: they take turns, in little memory."""
    _, larder, front = world.stack(redis_timeout=2000)
    for i in range(GIANT_VALUES):
        larder.fastcgi("PUT", f"/cache/giant{i}", b'{"value":"' + b"x" * 900_000 + b'"}')
    larder.fastcgi("PUT", "/cache/small", b'{"value":1}')
    statuses: list[int] = []
    taken: list[float] = []
    stop = threading.Event()
    rounds = size(full=5, short=1)
    threads = [threading.Thread(target=ask_giants, args=(front.port, rounds, statuses))
               for _ in range(GIANTS)]
    small = threading.Thread(target=probe, args=(larder, stop, taken))
    family = larder.workers()
    with Memory(larder) as memory:
        small.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stop.set()
        small.join()
    yield Finding("batches that were not answered 200", sum(s != 200 for s in statuses), figure=0,
                  detail=f"{len(statuses)} of {GIANTS} clients")
    yield Finding("memory of a worker, at most", memory.most_kib / 1024, figure=WORKER_MIB,
                  limit=2 * WORKER_MIB, unit="MiB")
    yield Finding("small reads beside them (p99)", percentile(taken, 0.99), unit="ms", limit=2000,
                  detail=f"{len(taken)}, median {percentile(taken, 0.5):.2f} ms")
    if not SANITIZED:
        eventually(lambda: max(map(resident_kib, family)) < 64 << 10, 10, "memory is given back")
    yield Finding.holds("the same workers", larder.workers() == family)
