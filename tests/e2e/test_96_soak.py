"""Nothing grows: the short form of `make soak` (T24), and the sums that both judge by."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("soak", "chaos")]

from company import Vandals  # noqa: E402
from course import settle  # noqa: E402
from growth import fit, thin  # noqa: E402
from harness import EXACT_MALLOC, Stack, Workspace, eventually  # noqa: E402
from samples import Samples, own_kib  # noqa: E402
from verify import Verify  # noqa: E402

ROUNDS = 8
REQUESTS = 26_000  # in each
EARLY, LATE = slice(1, 4), slice(5, 8)  # rounds; the first one warms up
REFUSED_PER_S = 100
GROWTH_KIB = 64


# --- the sums ------------------------------------------------------------------------------------

def test_a_slope_is_found_and_none_where_there_is_none() -> None:
    """Processes of different sizes that grow alike have that slope; noise has none."""
    dice = random.Random(24)
    growing = [[(t, level + 0.5 * t + dice.gauss(0, 10)) for t in range(begin, begin + 600)]
               for level, begin in ((5000, 0), (9000, 300), (2000, 900))]
    slope = fit(growing)
    assert slope is not None and slope.low < 0.5 < slope.high and slope.low > 0.45, slope
    assert not slope.may_be_zero
    assert 290 < slope.over(600).value < 310
    steady = [[(t, level + dice.gauss(0, 10)) for t in range(600)] for level in (5000, 9000)]
    slope = fit(steady)
    assert slope is not None and slope.may_be_zero and abs(slope.over(600).value) < 5, slope


def test_too_little_tells_nothing() -> None:
    """No slope from two points, none from one moment."""
    assert fit([]) is None
    assert fit([[(0, 1), (1, 2)]]) is None
    assert fit([[(5, 1)], [(6, 2)], [(7, 3)], [(8, 4)]]) is None


def test_neighbours_are_taken_together() -> None:
    """Means of parts of the time, each with its time's mean."""
    assert thin([(t, 2.0 * t) for t in range(100)], 4) == [
        (12.0, 24.0), (37.0, 74.0), (62.0, 124.0), (87.0, 174.0)]
    assert thin([(1, 1), (2, 2)], 4) == [(1, 1), (2, 2)]


# --- the service ---------------------------------------------------------------------------------

def one_round(space: Workspace, stack: Stack, number: int) -> None:
    """Some tens of thousands of requests, each checked, beside such that are refused; then nobody
    is connected any more."""
    vandals = Vandals(stack.fronts["lighttpd"], stack.larder, REFUSED_PER_S, number)
    vandals.start()
    with Verify(space, stack.fronts["nginx"].port, connections=32, keys=500, writes=20, deletes=5,
                sizes="small", target="mixed", may_vanish=True, seed=number) as load:
        load.wait_requests(REQUESTS, 60)
    vandals.stop()
    load.result.check_right()
    assert not vandals.wrong, vandals.wrong[:3]
    assert sum(vandals.done.values()) > 20, vandals.done
    for front in stack.fronts.values():
        front.stop()


@pytest.mark.serial
@pytest.mark.plain
def test_nothing_grows(space: Workspace, own: Callable[..., Stack]) -> None:
    """After 200,000 requests a worker holds what it held after the first rounds and a restart of
    Redis: descriptors, and memory to 64 KiB (T24)."""
    stack = own("nginx", "lighttpd", env=EXACT_MALLOC)
    larder = stack.larder
    workers, idle = larder.workers(), settle(larder)
    samples = Samples(larder)
    memory: list[list[int]] = []
    for number in range(ROUNDS):
        one_round(space, stack, number)
        assert settle(larder, idle) == idle, "descriptors that nobody uses are open"
        assert larder.workers() == workers
        samples.take(number)
        # Pages of the program and its libraries come when code runs for the first time.
        memory.append([own_kib(pid) for pid in workers])
        print(f"after {(number + 1) * REQUESTS:7,} requests: {memory[-1]} KiB, "
              f"{idle} descriptors")
        if number == 0:
            stack.redis.kill()
            stack.redis.start()
            eventually(larder.ready, what="Redis is back")
        for front in stack.fronts.values():
            front.start()
    samples.take(ROUNDS)
    # What grows is above all of the earlier sizes for good; what only fluctuates is not.
    grown = [min(late) - max(early) for early, late in
             zip(zip(*memory[EARLY], strict=True), zip(*memory[LATE], strict=True), strict=True)]
    print(f"growth: {grown} KiB")
    assert max(grown) < GROWTH_KIB, (grown, memory)
    assert len(samples.segment_sizes) == 1 and not samples.shm_left
    assert not samples.zombies
