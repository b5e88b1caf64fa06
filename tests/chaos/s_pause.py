"""T13: a worker that stands still, and goes on when its clients have been told that it failed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from figures import PATIENT, show_failures
from scenario import Finding, Size, scenario
from world import World

CONNECTIONS = 64
PAUSE = 6.5  # s: longer than a web server waits for an answer, shorter than watchdog_timeout


# nginx waits for writes longer than that: larder's watchdog replaces the worker before.
@scenario("T13", "a worker stopped for 6.5 s, then continued", fronts=("lighttpd",))
def worker_paused(world: World, size: Size) -> Iterator[Finding]:
    """What it was asked to write before has failed, and is not written over what came later."""
    _, larder, front = world.stack(**PATIENT)
    before = larder.workers()
    with world.verify(front, connections=CONNECTIONS, keys=CONNECTIONS, writes=60,
                      deletes=5) as load:
        load.wait_prepared()
        for _ in range(size(full=10, short=1)):
            load.wait_requests(300)
            victim = random.choice(before)
            os.kill(victim, signal.SIGSTOP)
            time.sleep(PAUSE)
            os.kill(victim, signal.SIGCONT)
        load.wait_requests(300)
    report = load.result
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failed requests", report.failed, detail=show_failures(report))
    yield Finding.holds("no worker died", larder.workers() == before)
