"""T1: workers die."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import larderlog
from deeds import kill_a_worker
from figures import PATIENT, percentile, show_counts, show_failures
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


def kill_workers(larder: Larder, seconds: float, signals: tuple[int, ...]) -> dict[int, float]:
    """Sends a random worker a signal, in turn, every 100 ms; gives each victim's time.time()."""
    victims: dict[int, float] = {}
    begun = time.monotonic()
    for i in range(round(seconds / EVERY)):
        sleep_until(begun + i * EVERY)
        killed = kill_a_worker(larder, signals[i % len(signals)], but=victims)
        if killed:
            victims[killed[0]] = killed[1]
    eventually(lambda: whole(larder), 20, "the pool is whole again")
    return victims


def kill_under_load(world: World, seconds: float, signals: tuple[int, ...],
                    **options: object) -> tuple[Larder, Report, dict[int, float]]:
    """The load, and the deaths under it; options are larderd's."""
    _, larder, front = world.stack(**PATIENT, **options)
    with world.verify(front, connections=CONNECTIONS) as load:
        load.wait_prepared()
        victims = kill_workers(larder, seconds, signals)
        load.wait_requests(CONNECTIONS)
    return larder, load.result, victims


def judge(larder: Larder, report: Report, victims: dict[int, float]) -> Iterator[Finding]:
    """What holds whatever the workers died of."""
    deaths = larderlog.deaths(larder.text())
    took = larderlog.replacements(larder.text(), larder.worker_count, victims)
    # A client has one request at a time, so a worker never held more than there are clients.
    held = sum(min(CONNECTIONS, death.connections + ACCEPTED_A_TURN) for death in deaths)
    shown = (*SERVER_ERRORS, "short")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failures that are no 5xx and not visibly short",
                  sum(report.unexpected(shown).values()), figure=0,
                  detail=show_counts(report.unexpected(shown)))
    yield Finding("failed requests, of those on connections of the dead", report.failed,
                  figure=held, detail=show_failures(report))
    yield Finding("longest request", report["hang_ms"], figure=2000, limit=2000, unit="ms")
    yield Finding("pool whole again (p99)", percentile(took, 0.99), figure=50, unit="ms",
                  limit=2000,
                  detail=f"median {percentile(took, 0.5):.1f} ms, most {max(took, default=0):.0f} ms,"
                         f" of {len(took)}")
    yield Finding.holds("the master lives", larder.running())
    yield Finding("deaths that /stats doesn't count",
                  abs(len(victims) - larder.stats()["counters"]["worker_deaths"]), figure=0)


@scenario("T1", "kill -9 of a random worker every 100 ms")
def worker_killed(world: World, size: Size) -> Iterator[Finding]:
    """Readers and writers go on while one worker after the other dies."""
    larder, report, victims = kill_under_load(world, size(full=60.0, short=3.0), (signal.SIGKILL,))
    yield Finding("kills", len(victims), figure=size(full=590, short=28), least=True, limit=20)
    yield from judge(larder, report, victims)


@scenario("T1", "SIGSEGV, SIGABRT and SIGBUS instead of kill -9")
def worker_crashed(world: World, size: Size) -> Iterator[Finding]:
    """A worker that dies of its own fault is replaced the same, and leaves no core behind."""
    signals = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS)
    # A sanitizer would take these signals for findings of its own.
    env = {f"{tool}_OPTIONS": "handle_segv=0:handle_abort=0:handle_sigbus=0"
           for tool in ("ASAN", "UBSAN")}
    larder, report, victims = kill_under_load(world, size(full=30.0, short=2.0), signals, env=env)
    yield from judge(larder, report, victims)
    causes = {death.cause.split()[1] for death in larderlog.deaths(larder.text())}
    yield Finding.holds("the log names each signal",
                        causes == {str(int(number)) for number in signals}, f"it names {causes}")
    cores = [path for path in larder.directory.glob("**/core*") if path.is_file()]
    yield Finding("core files", len(cores), figure=0)


@scenario("T1", "kill -9 under reads alone: nginx tries them again", fronts=("nginx",))
def readers_notice_nothing(world: World, size: Size) -> Iterator[Finding]:
    """Whoever only reads sees no death: a GET that lost its worker is sent to another."""
    _, larder, front = world.stack(**PATIENT)
    with world.verify(front, connections=CONNECTIONS, writes=0) as load:
        load.wait_prepared()
        victims = kill_workers(larder, size(full=60.0, short=3.0), (signal.SIGKILL,))
        load.wait_requests(CONNECTIONS)
    report = load.result
    yield Finding("failed GETs", report.failed, figure=0,
                  detail=f"{len(victims)} kills; {show_failures(report)}")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("longest request", report["hang_ms"], figure=2000, limit=2000, unit="ms")


@scenario("T1", "kill -9 in the middle of large answers")
def killed_mid_body(world: World, size: Size) -> Iterator[Finding]:
    """Half an answer is never taken for a whole one."""
    _, larder, front = world.stack(**PATIENT)
    with world.verify(front, connections=16, sizes="large", target="mixed") as load:
        load.wait_prepared()
        kills = len(kill_workers(larder, size(full=30.0, short=2.0), (signal.SIGKILL,)))
        load.wait_requests(16)
    report = load.result
    shown = (*SERVER_ERRORS, "short")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failures that are no 5xx and not visibly short",
                  sum(report.unexpected(shown).values()), figure=0,
                  detail=show_counts(report.unexpected(shown)))
    yield Finding("failed requests", report.failed, figure=None,
                  detail=f"{kills} kills; {report['bytes_verified'] >> 20} MiB of values; "
                         f"{show_failures(report)}")
    yield Finding("longest request", report["hang_ms"], figure=2000, limit=2000, unit="ms")
