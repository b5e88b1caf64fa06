"""The time from the start of a larderd to its first 200."""

from __future__ import annotations

import time

from fastcgi import Closed, Connection
from loads import PATH
from stack import LARDERD, Failure, Progress, Stack

STARTS = 10
START_S = 0.1  # one of them with its stop, about


def time_start(stack: Stack, number: int) -> float:
    """Milliseconds to the first 200 for a value that is in Redis, on larderd's own socket, without
    a web server."""
    begin = time.perf_counter()
    part, path = stack.launch_pool(f"start-{number}", [LARDERD])
    while True:
        if time.perf_counter() - begin > 10:
            raise Failure(f"no 200 within 10 s of a start\n{part.last_words()}")
        try:
            with Connection(path) as connection:
                if connection.request("GET", PATH).status == 200:
                    break
        except (OSError, Closed):
            pass
        time.sleep(0.0002)
    taken = (time.perf_counter() - begin) * 1000
    stack.retire(part)
    return taken


def time_starts(stack: Stack) -> list[float]:
    """Several of them."""
    times = []
    for number in range(1, STARTS + 1):
        Progress.show(f"start {number} of {STARTS}")
        times.append(time_start(stack, number))
        Progress.spend(START_S)
    return times
