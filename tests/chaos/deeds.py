"""What several scenarios do to larder."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Container, Sequence

from harness import Larder


def kill_a_worker(larder: Larder, number: int = signal.SIGKILL,
                  but: Container[int] = ()) -> tuple[int, float] | None:
    """Sends one of its workers a signal, by chance; gives its pid and the time.time() of it, or
    None if there is none. One in `but` is dying already and can't be killed again."""
    family = [pid for pid in larder.workers() if pid not in but]
    if not family:
        return None
    victim, moment = random.choice(family), time.time()
    try:
        os.kill(victim, number)
    except ProcessLookupError:
        return None
    return victim, moment


def wait_stopped(larder: Larder, family: Sequence[int], begun: float) -> float:
    """The seconds since `begun` until it has ended as it should: with 0, nothing left behind."""
    status = larder.wait(30)
    taken = time.monotonic() - begun
    larder.check_ended(status, family)
    return taken


def stop_and_time(larder: Larder) -> float:
    """SIGTERM, and the seconds until it has ended as it should."""
    family = larder.workers()
    begun = time.monotonic()
    larder.signal(signal.SIGTERM)
    return wait_stopped(larder, family, begun)
