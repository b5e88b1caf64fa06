"""T5: workers that don't move any more, and those that only seem so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import fcgi
from figures import percentile
from harness import SANITIZED, VALGRIND, Larder, alive, eventually
from hook import VALUE, Hook
from kept import Kept, ask_for, close_all, open_kept
from scenario import Finding, Size, scenario
from world import World

KEPT = 8
STUCK = re.compile(r"killing worker \d+ \(pid (\d+)\): it has shown no sign of life for ([\d.]+) s; it "
                   r"was (.*), its last request was (.*)$", re.M)


def replaced(larder: Larder, victim: int) -> bool:
    """Whether it is gone and the pool has its size."""
    return not alive(victim) and len(larder.workers()) == larder.worker_count


def judge(larder: Larder, victim: int, others: list[Kept], quiet: list[float], watchdog: float,
          begun: float) -> Iterator[Finding]:
    """What holds of a worker that is stuck since `begun`."""
    beside = ask_for(others, "/cache/a", 0.5 * watchdog)
    eventually(lambda: replaced(larder, victim), 3 * watchdog + 5, "the stuck one is replaced")
    taken = time.monotonic() - begun
    # What is less than a millisecond differs from one time to the next.
    ratio = percentile(beside, 0.99) / max(percentile(quiet, 0.99), 1e-3)
    yield Finding("replaced after its watchdog_timeout by", taken - watchdog, figure=1.0, limit=5.0,
                  unit="s", detail=f"{taken:.2f} s in all")
    yield Finding("p99 of the others, by its quiet figure", ratio, figure=2, limit=20,
                  detail=f"{percentile(quiet, 0.99) * 1e3:.2f} ms before, "
                         f"{percentile(beside, 0.99) * 1e3:.2f} ms beside it")


def stuck(world: World, size: Size, act: str, fast: bool) -> Iterator[Finding]:
    """A worker does `act` in the middle of a request; the others go on."""
    if SANITIZED or VALGRIND:
        return
    watchdog = 1.0 if fast else size(full=10.0, short=1.0)
    hook = Hook(world.directory("hook"))
    redis = world.redis()
    larder = world.larder(redis, env=hook.environment, watchdog_timeout=int(watchdog * 1e3))
    redis.ask("SET", "a", "1")
    redis.ask("SET", "trap", VALUE)
    kept = open_kept(larder, KEPT)
    victim = kept[0].worker
    others = [one for one in kept if one.worker != victim]
    quiet = ask_for(others, "/cache/a", 0.5 * watchdog)
    hook.trip(act)
    begun = time.monotonic()
    kept[0].connection.send(fcgi.request_bytes("GET", "/cache/trap", keep=True))
    yield from judge(larder, victim, others, quiet, watchdog, begun)
    match = STUCK.search(larder.text())
    said = match.groups() if match else ("", "", "", "")
    yield Finding.holds("a line in the log has phase, method and path",
                        said[0] == str(victim) and said[2] == "finishing a request"
                        and said[3] == "GET /cache/{key} (cache_get)", str(said))
    close_all(kept)


@scenario("T5", "a worker is stopped in a request", fronts=())
def worker_stopped(world: World, size: Size) -> Iterator[Finding]:
    """SIGSTOP, that it gives itself between reply and answer."""
    yield from stuck(world, size, "stop", fast=False)


@scenario("T5", "a worker loops in a request", fronts=())
def worker_loops(world: World, size: Size) -> Iterator[Finding]:
    """It takes all the processor time there is, and never comes back."""
    yield from stuck(world, size, "spin", fast=True)


@scenario("T5", "stopped workers, behind a web server")
def stopped_behind_front(world: World, size: Size) -> Iterator[Finding]:
    """SIGSTOP of one worker after the other under load: nothing wrong, and it goes on."""
    _, larder, front = world.stack(watchdog_timeout=1000)
    with world.verify(front, connections=32, timeout=8000) as load:
        load.wait_prepared()
        for _ in range(size(full=10, short=2)):
            victim = larder.workers()[0]
            os.kill(victim, signal.SIGSTOP)
            eventually(lambda pid=victim: replaced(larder, pid), 20, "it is replaced")
            load.wait_requests(200)
    report = load.result
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("longest request", report["hang_ms"], figure=2500, limit=8000, unit="ms")


@scenario("T5", "no processor time for anybody", fronts=())
def starved(world: World, size: Size) -> Iterator[Finding]:
    """The master, its workers and Redis have 1 % of one processor, which others use up."""
    watchdog = size(full=10.0, short=2.0)
    redis = world.redis()
    larder = world.larder(redis, watchdog_timeout=int(watchdog * 1e3), redis_timeout=20000)
    family = larder.workers()
    for pid in (larder.pid, *family, redis.pid):
        os.sched_setaffinity(pid, {0})
        os.setpriority(os.PRIO_PROCESS, pid, 19)
    hogs = [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "taskset", "-c", "0", "sh", "-c",
                              "while :; do :; done"]) for _ in range(4)]
    try:
        end = time.monotonic() + size(full=30.0, short=5.0)
        asked = 0
        while time.monotonic() < end:
            asked += larder.fastcgi("GET", "/cache/a").status == 404
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()
    yield Finding("requests served meanwhile", asked, figure=5, least=True)
    yield Finding.holds("nobody was killed", larder.workers() == family, larder.text()[-500:])


@scenario("T5", "the whole machine stands still", fronts=())
def all_stand_still(world: World, size: Size) -> Iterator[Finding]:
    """Master and workers stop for longer than watchdog_timeout, and go on: nobody is stuck."""
    larder = world.larder(world.redis(), watchdog_timeout=1000)
    family = larder.workers()
    for _ in range(size(full=5, short=2)):
        for pid in (*family, larder.pid):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)
        for pid in (larder.pid, *family):
            os.kill(pid, signal.SIGCONT)
        eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 5, "it serves")
        time.sleep(0.6)
    yield Finding.holds("nobody was killed", larder.workers() == family, larder.text()[-500:])
