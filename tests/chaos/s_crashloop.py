"""T2: workers that die as soon as they are started, and those that cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import larderlog
from harness import VALGRIND, SANITIZED, Front, Larder, cpu_seconds, eventually
from hook import VALUE, Hook
from rawhttp import Http
from scenario import Finding, Size, scenario
from world import World

NOBODY = ["--reuid=65534", "--regid=65534", "--clear-groups"]
BACKOFF_MOST = 5.0  # seconds, of larderd


def whole(larder: Larder) -> bool:
    """Whether as many workers live as should."""
    return len(larder.workers()) == larder.worker_count


def limit_processes(larder: Larder, most: str) -> None:
    """Says how many processes its user may have: the soft limit, set by that user."""
    subprocess.run(["setpriv", *NOBODY, "prlimit", f"--pid={larder.pid}", f"--nproc={most}:"],
                   check=True)


def family_seconds(larder: Larder) -> float:
    """Processor time of the master, and of all children that it has collected."""
    with open(f"/proc/{larder.pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def busiest_second(moments: list[float]) -> int:
    """How many of them lie in one second, at most."""
    return max((sum(t <= u < t + 1 for u in moments) for t in moments), default=0)


def status_of(front: Front) -> int:
    """What a client gets for a GET."""
    with Http(front.port, 15) as http:
        return http.get("/cache/a").status


def suffer(larder: Larder, front: Front, seconds: float) -> Iterator[Finding]:
    """What holds while workers die at once: `seconds` of it, after the last ones have died."""
    for pid in larder.workers():
        os.kill(pid, signal.SIGKILL)
    mark, used, begun = len(larder.text()), family_seconds(larder), time.monotonic()
    statuses = [status_of(front)]
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    taken = time.monotonic() - begun
    lines = larderlog.lines(larder.text()[mark:])
    # The first are obituaries of those that were killed here.
    rate = busiest_second([line.moment for line in lines[2:]])
    yield Finding("processor time of all larderd", (family_seconds(larder) - used) / taken * 100,
                  figure=5, limit=50, unit="% of a core")
    yield Finding("lines in the log, in the busiest second", rate, figure=10, limit=20)
    yield Finding.holds("the web server says 5xx", all(s >= 500 for s in statuses), str(statuses))
    yield Finding.holds("the log says of what they die", any("died of" in line.text
                                                             for line in lines[2:]))
    yield Finding.holds("the log says when the next is tried",
                        any("the next one is started in" in line.text for line in lines)
                        or taken < 3)


def recover(larder: Larder, front: Front, hits: int, cure: Callable[[], None]) -> Iterator[Finding]:
    """What holds once the cause is gone."""
    cure()
    begun = time.monotonic()
    eventually(lambda: whole(larder), 3 * BACKOFF_MOST, "the pool is whole")
    taken = time.monotonic() - begun
    eventually(lambda: status_of(front) == 404, 10, "it serves again")
    yield Finding("whole by itself, after the cause is gone", taken, figure=BACKOFF_MOST,
                  limit=2 * BACKOFF_MOST, unit="s")
    yield Finding.holds("statistics went on", larder.stats()["hits"] == hits)


@scenario("T2", "workers that abort at their start")
def abort_at_start(world: World, size: Size) -> Iterator[Finding]:
    """Every worker aborts before it is ready, for a while."""
    if SANITIZED or VALGRIND:  # nothing can be preloaded
        return
    hook = Hook(world.directory("hook"))
    larder = world.larder(world.redis(), env=hook.environment)
    front = world.front(larder)
    larder.fastcgi("PUT", "/cache/known", b'{"value":1}')
    larder.fastcgi("GET", "/cache/known")
    hook.start("abort")
    yield from suffer(larder, front, size(full=30.0, short=1.6))
    yield from recover(larder, front, 1, lambda: hook.start("none"))


@scenario("T2", "workers that abort at their first request", fronts=("nginx",))
def abort_at_first_request(world: World, size: Size) -> Iterator[Finding]:
    """They get ready, and die of the first request that they are given."""
    if SANITIZED or VALGRIND:
        return
    hook = Hook(world.directory("hook"))
    redis = world.redis()
    larder = world.larder(redis, env=hook.environment)
    front = world.front(larder)
    redis.ask("SET", "a", VALUE)
    hook.trip("abort", 1 << 30)
    before = larder.stats()["counters"]["worker_starts"]
    used, begun = family_seconds(larder), time.monotonic()
    statuses = []
    while time.monotonic() < begun + size(full=20.0, short=3.0):
        statuses.append(status_of(front))
    hook.trip("none")
    taken = time.monotonic() - begun
    deaths = larder.stats()["counters"]["worker_starts"] - before
    yield Finding("workers started a second", deaths / taken, figure=20)
    yield Finding("processor time of all larderd", (family_seconds(larder) - used) / taken * 100,
                  figure=5, limit=50, unit="% of a core", detail=f"{len(statuses)} requests")
    eventually(lambda: status_of(front) == 200, 15, "it serves again")


@scenario("T2", "fork fails", fronts=())
def fork_fails(world: World, size: Size) -> Iterator[Finding]:
    """A user that may have no more processes: the pool goes on with those that it has."""
    larder = world.prepare_larder(world.redis("--unixsocketperm", "777"), workers=3)
    larder.directory.chmod(0o777)
    larder.run_dir.chmod(0o777)
    larder.start(limits=NOBODY)
    limit_processes(larder, "1")
    victim = larder.workers()[0]
    mark, used, begun = len(larder.text()), cpu_seconds(larder.pid), time.monotonic()
    os.kill(victim, signal.SIGKILL)
    larder.wait_text("cannot fork a worker")
    served = 0
    while time.monotonic() < begun + size(full=20.0, short=3.0):
        served += larder.fastcgi("GET", "/cache/a").status == 404
        time.sleep(0.01)
    taken = time.monotonic() - begun
    health = larder.fastcgi("GET", "/health")
    lines = larderlog.lines(larder.text()[mark:])
    yield Finding("requests served by those that are left", served, figure=100, least=True)
    yield Finding("processor time of the master", (cpu_seconds(larder.pid) - used) / taken * 100,
                  figure=5, limit=50, unit="% of a core")
    yield Finding("lines in the log, in the busiest second",
                  busiest_second([line.moment for line in lines]), figure=10, limit=20)
    yield Finding.holds("/health is degraded, and says why",
                        health.status == 200 and health.json()["status"] == "degraded"
                        and health.json()["reasons"] == ["workers-missing"], str(health.body))
    limit_processes(larder, "1000")
    begun = time.monotonic()
    eventually(lambda: whole(larder), 15, "the pool is whole again")
    yield Finding("whole by itself, after fork works again", time.monotonic() - begun,
                  figure=BACKOFF_MOST, limit=2 * BACKOFF_MOST, unit="s")
    eventually(lambda: larder.fastcgi("GET", "/health").json()["status"] == "healthy", 5,
               "/health is healthy again")
