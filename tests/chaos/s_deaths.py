"""T1: workers die."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

import larderlog
from figures import percentile, show_counts
from harness import Larder, eventually
from scenario import Finding, Size, scenario
from verify import Report, sleep_until
from world import World

CONNECTIONS = 64
EVERY = 0.1
# Connections that a worker may have taken in the turn in which it died: it publishes how many it has
# at a turn's end.
ACCEPTED_A_TURN = 8
SERVER_ERRORS = ("500", "502", "503", "504")


def whole(larder: Larder) -> bool:
    """Whether the pool has its size and all of it serves."""
    rows = larder.stats()["workers"]
    return len(rows) == larder.worker_count and all(w["state"] == "ready" for w in rows)


def kill_workers(larder: Larder, seconds: float, signals: tuple[int, ...]) -> list[int]:
    """Sends a random worker a signal, in turn, every 100 ms; gives the victims."""
    victims: list[int] = []
    begun = time.monotonic()
    while time.monotonic() < begun + seconds:
        sleep_until(begun + (len(victims) + 1) * EVERY)
        family = larder.workers()
        if family:
            victims.append(random.choice(family))
            os.kill(victims[-1], signals[len(victims) % len(signals)])
    eventually(lambda: whole(larder), 20, "the pool is whole again")
    return victims


def kill_under_load(world: World, seconds: float, signals: tuple[int, ...],
                    **load_options: object) -> tuple[Larder, Report, int]:
    """The load, the deaths under it, and how many there were."""
    _, larder, front = world.stack()
    with world.verify(front, connections=CONNECTIONS, **load_options) as load:
        load.wait_prepared()
        victims = kill_workers(larder, seconds, signals)
        load.wait_requests(CONNECTIONS)
    return larder, load.result, len(victims)


def judge(larder: Larder, report: Report, kills: int) -> Iterator[Finding]:
    """What holds whatever the workers died of."""
    deaths = larderlog.deaths(larder.text())
    took = larderlog.replacements(larder.text(), larder.worker_count)
    # A client has one request at a time, so a worker never held more than there are clients.
    held = sum(min(CONNECTIONS, death.connections + ACCEPTED_A_TURN) for death in deaths)
    failures = report.failures()
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failures that are no 5xx and not visibly short",
                  sum(report.unexpected((*SERVER_ERRORS, "short")).values()), figure=0,
                  detail=show_counts(report.unexpected((*SERVER_ERRORS, "short"))))
    yield Finding("failed requests, of those on connections of the dead", report.failed,
                  figure=held, detail=f"{report['requests']} requests; {show_counts(failures)}")
    yield Finding("longest request", report["hang_ms"], figure=2000, limit=2000, unit="ms")
    yield Finding("pool whole again (p99)", percentile(took, 0.99), figure=50, unit="ms",
                  detail=f"median {percentile(took, 0.5):.1f} ms, most {max(took, default=0):.0f} ms,"
                         f" of {len(took)}")
    yield Finding.holds("the master lives", larder.running())
    yield Finding("deaths that /stats doesn't count",
                  abs(kills - larder.stats()["counters"]["worker_deaths"]), figure=0)


@scenario("T1", "kill -9 of a random worker every 100 ms")
def worker_killed(world: World, size: Size) -> Iterator[Finding]:
    """Readers and writers go on while one worker after the other dies."""
    larder, report, kills = kill_under_load(world, size(full=60.0, short=5.0), (signal.SIGKILL,))
    yield Finding("kills", kills, figure=size(full=590, short=45), least=True, limit=20)
    yield from judge(larder, report, kills)
