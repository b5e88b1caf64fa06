"""T13: a worker that stands still, and goes on when its clients have given it up."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from figures import show_failures
from harness import SLOW
from scenario import Finding, Size, scenario
from world import World

CONNECTIONS = 64
PATIENCE = 1.0 * SLOW  # s, of a client
PAUSE = 3 * PATIENCE


@scenario("T13", "a worker stopped until its clients have given up, then continued")
def worker_paused(world: World, size: Size) -> Iterator[Finding]:
    """A write that was given up is not done over what was acknowledged since."""
    # With the redis_timeout that there is: for so long a write may be on its way.
    _, larder, front = world.stack(watchdog_timeout=int(3000 * PAUSE))
    before = larder.workers()
    with world.verify(front, connections=CONNECTIONS, keys=CONNECTIONS, writes=60, deletes=5,
                      timeout=int(1000 * PATIENCE)) as load:
        load.wait_prepared()
        for _ in range(size(full=10, short=1)):
            load.wait_requests(300)
            victim = random.choice(before)
            os.kill(victim, signal.SIGSTOP)
            time.sleep(PAUSE)
            os.kill(victim, signal.SIGCONT)
        load.wait_requests(1000)
    report = load.result
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failed requests", report.failed, figure=1, least=True,
                  detail=show_failures(report))
    yield Finding.holds("no worker died", larder.workers() == before)
