"""T19, T20: the shared segment, whose writers die, and which is damaged."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator

import fcgi
import segment
from figures import show_counts
from harness import BUILDDIR, SLOW, Larder, eventually
from larderlog import deaths
from scenario import Finding, Size, scenario
from verify import sleep_until
from world import World

DEATHS = BUILDDIR / "tests" / "chaos" / "larder-deaths"
BATCH = 500  # bytes that are changed at once
CONNECTIONS = 32


@scenario("T19", "death at each instruction, and at any moment, of a write", fronts=())
def writers_die(world: World, size: Size) -> Iterator[Finding]:
    """larder-deaths: the survivor finds no right taken, no sum wrong, no address torn."""
    assert DEATHS.exists(), f"{DEATHS} isn't built: make tests/chaos/larder-deaths"
    kills = size(full=10_000, short=100)
    done = subprocess.run([DEATHS, "--stepped=10000", f"--random={kills}",
                           f"--seed={random.randrange(1 << 30)}"], check=False, text=True,
                          capture_output=True, timeout=size(full=3600, short=300) * SLOW)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    yield Finding("instructions at which a writer stopped", found["stepped"], figure=10_000,
                  least=True, detail=show_counts(found["instructions"]))
    yield Finding("writers killed at any moment", found["random"], figure=kills, least=True)
    yield Finding("rights or locks that stayed taken", found["stuck"], figure=0)
    yield Finding("sums off by more than the event that died", found["wrong_sums"], figure=0,
                  detail=f"{found['events_open']} had a part of it")
    yield Finding("torn values", found["torn"], figure=0)
    yield Finding("what a survivor's work took, of the processor", found["longest_us"],
                  figure=100_000, limit=100_000, unit="us")


def documents(larder: Larder) -> dict[str, int]:
    """Asks for the documents that are made of the segment; how many were none, by target."""
    bad = {}
    for target in ("/stats", "/health"):
        try:
            answer = larder.fastcgi("GET", target)
            whole = answer.status in (200, 503) and isinstance(answer.json(), dict)
        except (ValueError, OSError, fcgi.Closed):
            whole = False
        if not whole:
            bad[target] = 1
    return bad


def damage(larder: Larder, flips: int, seconds: float) -> dict[str, int]:
    """Changes so many bytes over the time; gives the documents that were broken meanwhile."""
    dice = random.Random()
    bad: dict[str, int] = {}
    batches = flips // BATCH
    begun = time.monotonic()
    with segment.Segment(larder.pid) as memory:
        for i in range(batches):
            memory.flip(BATCH, dice)
            if i % 10 == 0:
                for target, n in documents(larder).items():
                    bad[target] = bad.get(target, 0) + n
            sleep_until(begun + (i + 1) * seconds / batches)
    return bad


@scenario("T20", "random bytes of the segment are changed under load")
def segment_damaged(world: World, size: Size) -> Iterator[Finding]:
    """Statistics may become nonsense; answers stay right, processes alive, and it passes."""
    flips = size(full=1_000_000, short=25_000)
    _, larder, front = world.stack()
    family = larder.workers()
    with world.verify(front, connections=CONNECTIONS, writes=30, deletes=5) as load:
        load.wait_prepared()
        bad = damage(larder, flips, size(full=60.0, short=4.0))
        ended = time.monotonic()
        time.sleep(3.0 * SLOW)
        load.wait_requests(CONNECTIONS)
    report = load.result
    log = larder.text()
    yield Finding("bytes changed", flips, figure=1_000_000 if size.full else None, least=True)
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("workers that crashed", len(deaths(log)), figure=0,
                  detail="; ".join(f"{d.pid} {d.cause}" for d in deaths(log)))
    yield Finding("workers that the master killed", log.count("killing worker"), figure=0)
    yield Finding.holds("the master lives", larder.running())
    yield Finding("documents that were none", sum(bad.values()), figure=0, detail=show_counts(bad))
    yield Finding("requests refused meanwhile", report.failed,
                  detail=f"of {report['requests']}; {show_counts(report.failures())};"
                         f" {show_counts(report['slugs'])}")
    yield Finding("failures other than refusals",
                  sum(report.unexpected(("503",)).values()), figure=0,
                  detail=show_counts(report.unexpected(("503",))))
    yield Finding("until the last refusal, after the last damage",
                  report.last_failure_after(ended) or 0.0, figure=200, unit="ms")
    eventually(lambda: larder.fastcgi("GET", "/stats").status == 200, 5, "/stats")
    rows = larder.stats()["workers"]
    yield Finding("rows that are wrong afterwards",
                  abs(sum(w["pid"] in larder.workers() for w in rows) - len(family)), figure=0)
