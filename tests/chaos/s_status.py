"""T7: what /stats and /health say is true, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import fcgi
from figures import percentile, show_failures
from harness import Larder, Redis, eventually
from kept import Kept
from scenario import Finding, Size, scenario
from world import World

PEERS = 16
GROWS = ("hits", "misses")


def read_stats(larder: Larder) -> dict[str, Any]:
    """GET /stats; again if the worker died that was asked."""
    while True:
        try:
            return larder.stats()
        except (OSError, fcgi.Closed):
            time.sleep(0.001)


def sums(stats: dict[str, Any]) -> dict[str, int]:
    """All that may only grow, by name."""
    found: dict[str, int] = {name: stats[name] for name in GROWS}
    found["uptime"] = stats["uptime_seconds"]
    found.update(stats["counters"])
    for route, classes in stats["requests"]["by_route"].items():
        found.update({f"{route} {name}": n for name, n in classes.items()})
    return found


class Watch:
    """Reads /stats all the time, and notes what went down."""

    def __init__(self, larder: Larder) -> None:
        self.larder = larder
        self.fell: list[str] = []
        self.readings = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        last: dict[str, int] = {}
        while not self._stop.wait(0.01):
            present = sums(read_stats(self.larder))
            self.fell += [f"{name}: {n}, then {present.get(name, 0)}" for name, n in last.items()
                          if present.get(name, 0) < n]
            last = present
            self.readings += 1

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Peer(threading.Thread):
    """Plays a web server that reads keys of its own on a kept connection, and counts."""

    def __init__(self, larder: Larder, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.larder = larder
        self.number = number
        self.stop = stop
        self.answered = 0
        self.cut_off = 0

    def run(self) -> None:
        """Until it is told to stop; a connection that is lost is made anew."""
        connection: fcgi.Connection | None = None
        while not self.stop.is_set():
            try:
                connection = connection or self.larder.connect()
                connection.request("GET", f"/cache/{self.number}-{self.answered % 5}", keep=True)
                self.answered += 1
            except (OSError, fcgi.Closed):
                self.cut_off += 1
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()


@scenario("T7", "sums under deaths and reloads", fronts=())
def sums_are_true(world: World, size: Size) -> Iterator[Finding]:
    """Reads, all of which are counted here as well, while workers are killed and replaced."""
    larder = world.larder(world.redis(), workers=3)
    for number in range(PEERS):
        larder.fastcgi("PUT", f"/cache/{number}-0", b'{"value":1}')
    stop = threading.Event()
    peers = [Peer(larder, number, stop) for number in range(PEERS)]
    kills = reloads = 0
    with Watch(larder) as watch:
        for peer in peers:
            peer.start()
        end = time.monotonic() + size(full=40.0, short=4.0)
        while time.monotonic() < end:
            time.sleep(0.15)
            if random.random() < 0.3:
                larder.signal(signal.SIGHUP)
                reloads += 1
                continue
            family = larder.workers()
            if family:
                os.kill(random.choice(family), signal.SIGKILL)
                kills += 1
        eventually(lambda: len(larder.workers()) == 3, 10, "the pool is whole")
        stop.set()
        for peer in peers:
            peer.join()
    stats = read_stats(larder)
    counted = stats["hits"] + stats["misses"]
    answered, cut_off = sum(p.answered for p in peers), sum(p.cut_off for p in peers)
    yield Finding("figures that went down", len(watch.fell), figure=0,
                  detail="; ".join(watch.fell[:3]) or f"{watch.readings} readings")
    # An answer that was cut off may have been counted: that is done before its first byte leaves.
    yield Finding("answered reads that are not counted, beyond one for each kill",
                  max(0, answered - counted - kills), figure=0,
                  detail=f"{answered} answered, {cut_off} cut off, {counted} counted, {kills} "
                         f"kills, {reloads} reloads")
    yield Finding("reads counted that nobody asked", max(0, counted - answered - cut_off), figure=0)


@scenario("T7", "sums after a load that is quiet again")
def sums_are_exact(world: World, size: Size) -> Iterator[Finding]:
    """hits + misses is the number of GETs that were answered, exactly."""
    _, larder, front = world.stack()
    seconds = size(full=20.0, short=2.0)
    with world.verify(front, connections=64, deletes=5) as load:
        load.wait_prepared()
        time.sleep(seconds)
    stats = larder.stats()
    by_route = stats["requests"]["by_route"]
    gets = sum(by_route["cache_get"].values())
    report = load.result
    lookups = stats["hits"] + stats["misses"]
    yield Finding("lookups that are not GETs answered",
                  abs(lookups - report["hits"] - report["misses"]), figure=0,
                  detail=f"{report['hits']} hits and {report['misses']} misses seen")
    yield Finding("GETs by route beside that", abs(gets - lookups), figure=0)
    yield Finding("stores that are not PUTs acknowledged",
                  abs(stats["counters"]["stores"] - report["puts_acked"]), figure=0,
                  detail=show_failures(report))


def health_times(larder: Larder, target: str, statuses: tuple[int, ...],
                 seconds: float) -> list[float]:
    """Milliseconds of health checks, some on kept connections and some on their own."""
    kept = [Kept(larder) for _ in range(2)]
    taken = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        assert larder.fastcgi("GET", target).status in statuses
        taken.append((time.monotonic() - begun) * 1e3)
        for one in kept:
            begun = time.monotonic()
            answer = one.connection.request("GET", target, keep=True)
            taken.append((time.monotonic() - begun) * 1e3)
            assert answer.status in statuses, answer
        time.sleep(0.005)
    for one in kept:
        one.close()
    return taken


def stop_redis(redis: Redis) -> None:
    """It says nothing any more, and doesn't read either."""
    redis.signal(signal.SIGSTOP)


@scenario("T7", "health while Redis hangs and requests pile up", fronts=())
def health_is_fast(world: World, size: Size) -> Iterator[Finding]:
    """Redis is stopped, and far more requests wait for it than larder takes at a time, bodies of
    1 MiB among them."""
    redis = world.redis()
    larder = world.larder(redis, redis_timeout=20000)
    small = fcgi.request_bytes("GET", "/cache/a")
    large = fcgi.request_bytes("PUT", "/cache/b", b'{"value":"' + b"x" * 1_000_000 + b'"}')
    stop_redis(redis)
    peers = []
    for i in range(600):
        peer = larder.connect()
        peer.socket.setblocking(False)
        try:
            peer.socket.send(large if i % 10 == 5 else small)
        except BlockingIOError:
            pass
        peers.append(peer)
    time.sleep(0.3)
    seconds = size(full=8.0, short=1.5)
    live = health_times(larder, "/health/live", (200,), seconds)
    health = health_times(larder, "/health", (200, 503), seconds)
    yield Finding("/health/live (p99)", percentile(live, 0.99), figure=10, unit="ms",
                  detail=f"{len(live)}, median {percentile(live, 0.5):.2f} ms")
    yield Finding("/health (p99)", percentile(health, 0.99), figure=10, unit="ms")
    redis.signal(signal.SIGCONT)
    for peer in peers:
        peer.close()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 30, "it serves again")
