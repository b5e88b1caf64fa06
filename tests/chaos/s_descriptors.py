"""T8: descriptors that run out, and two thousand connections at once."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator

import fcgi
from harness import Larder, cpu_seconds, eventually
from scenario import Finding, Size, scenario
from tracer import Tracer
from world import World

FEW = 64  # descriptors that each larderd may have
REQUEST = fcgi.request_bytes("GET", "/health/live")


def connect_all(larder: Larder, count: int) -> tuple[list[fcgi.Connection], int]:
    """So many connections, each with a request sent; how many were refused."""
    peers, refused = [], 0
    for _ in range(count):
        try:
            peer = larder.connect(10)
            peers.append(peer)
            peer.send(REQUEST)
        except (BlockingIOError, ConnectionError):
            refused += 1
    return peers, refused


@scenario("T8", "two thousand connections at once", fronts=())
def two_thousand(world: World, size: Size) -> Iterator[Finding]:
    """F22: all are answered, or cleanly refused, soon; the web server's own limit is 1024."""
    larder = world.larder(world.redis())
    family = larder.workers()
    worst, fewest, lost = 0.0, 2000, 0
    for _ in range(size(full=10, short=1)):
        begun = time.monotonic()
        peers, refused = connect_all(larder, 2000)
        answered = 0
        for peer in peers:
            try:
                answered += peer.read_response().status == 200
            except fcgi.Closed:
                refused += 1
            peer.close()
        worst = max(worst, time.monotonic() - begun)
        fewest = min(fewest, answered)
        lost += 2000 - answered - refused
    yield Finding("answered, at least", fewest, figure=1024, least=True)
    yield Finding("neither answered nor refused", lost, figure=0)
    yield Finding("all of it", worst, figure=5, limit=20, unit="s")
    yield Finding.holds("the same workers", larder.workers() == family)


@scenario("T8", "a backlog of 1024", fronts=())
def backlog(world: World, size: Size) -> Iterator[Finding]:
    """As many as a web server may have open connect while nobody accepts: none is turned away."""
    larder = world.larder(world.redis())
    refused = unanswered = 0
    for _ in range(size(full=5, short=1)):
        for pid in larder.workers():
            os.kill(pid, signal.SIGSTOP)
        peers, turned_away = connect_all(larder, 1024)
        refused += turned_away
        for pid in larder.workers():
            os.kill(pid, signal.SIGCONT)
        for peer in peers:
            unanswered += peer.read_response().status != 200
            peer.close()
    yield Finding("connections turned away", refused, figure=0)
    yield Finding("connections that were not answered then", unanswered, figure=0)


@scenario("T8", "all descriptors taken while Redis restarts", fronts=())
def descriptors_taken(world: World, size: Size) -> Iterator[Finding]:
    """More connections than a worker has descriptors for: the rest waits, and Redis is reached."""
    redis = world.redis()
    larder = world.prepare_larder(redis, workers=1)
    larder.start(limits=["prlimit", f"--nofile={FEW}:{FEW}"])
    family = larder.workers()
    kept = [larder.connect(10) for _ in range(FEW)]
    served = []
    for peer in kept:
        peer.send(fcgi.request_bytes("GET", "/cache/a", keep=True))
        if peer.readable(0.5):
            assert peer.read_response().status == 404
            served.append(peer)
        elif len(served) < len(kept) - 5:
            break
    used, begun = cpu_seconds(family[0]), time.monotonic()
    slowest = 0.0
    for _ in range(size(full=10, short=2)):
        redis.kill()
        redis.start()
        back = time.monotonic()
        eventually(lambda: served[0].request("GET", "/cache/a", keep=True).status == 404, 10,
                   "it serves again")
        slowest = max(slowest, time.monotonic() - back)
    share = (cpu_seconds(family[0]) - used) / (time.monotonic() - begun) * 100
    yield Finding("connections served", len(served), figure=FEW // 4, least=True,
                  detail=f"of {FEW} descriptors")
    yield Finding("Redis is reached again (slowest)", slowest * 1e3, figure=500, unit="ms")
    yield Finding("processor time of the worker meanwhile", share, figure=10, limit=50, unit="%")
    yield Finding.holds("the log says what to raise", "LimitNOFILE" in larder.text())
    for peer in kept:
        peer.close()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 10, "the rest is served")
    yield Finding.holds("the same worker", larder.workers() == family)


@scenario("T8", "accept fails for want of descriptors", fronts=())
def accept_fails(world: World, size: Size) -> Iterator[Finding]:
    """EMFILE and ENFILE from accept4: it waits a little, spins never, and goes on."""
    larder = world.larder(world.redis(), workers=1)
    worker = larder.workers()[0]
    for error in (errno.EMFILE, errno.ENFILE):
        name = errno.errorcode[error]
        with Tracer(world.directory("strace"), [worker], [f"accept4:error={name}"]) as tracer:
            peers, _ = connect_all(larder, 20)
            used, begun = cpu_seconds(worker), time.monotonic()
            time.sleep(size(full=5.0, short=1.0))
            share = (cpu_seconds(worker) - used) / (time.monotonic() - begun) * 100
        calls = tracer.injected() / (time.monotonic() - begun)
        yield Finding(f"tries a second ({name})", calls, figure=12, limit=30)
        yield Finding(f"processor time ({name})", share, figure=5, limit=50, unit="%")
        answered = sum(peer.read_response().status == 200 for peer in peers)
        yield Finding(f"answered afterwards ({name})", answered, figure=len(peers), least=True)
        for peer in peers:
            peer.close()
    yield Finding("lines in the log about it", larder.text().count("cannot accept"), figure=1)
