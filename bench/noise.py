"""What else the machine does: waiting until it is quiet, and counting what others take."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack import Failure, Progress, cpu_ns

QUIET = 0.08  # share of the CPU time that others may take when a round begins, with --patience


def cpu_seconds() -> tuple[float, float, float]:
    """Of all processors since the machine's start: busy, taken by the hypervisor, in all."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = (
        n / os.sysconf("SC_CLK_TCK") for n in ticks)
    busy = user + nice + system + irq + softirq
    return busy, steal, busy + idle + iowait + steal


def wait_quiet(patience: float) -> None:
    """Until others leave the machine alone, but no longer than so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        busy, _, total = cpu_seconds()
        time.sleep(0.5)
        busy_after, _, total_after = cpu_seconds()
        share = (busy_after - busy) / max(total_after - total, 0.01)
        if share <= QUIET:
            return
        Progress.show(f"others take {share * 100:.0f} % of the CPU time: waiting")


def used_by(pids: Sequence[int]) -> dict[int, int]:
    """Nanoseconds of each process that is there."""
    found = {}
    for pid in pids:
        try:
            found[pid] = cpu_ns([pid])
        except Failure:
            pass
    return found


class Noise:
    """How much of the CPU went to others, and to nobody we know, while rounds ran."""

    def __init__(self, processes: Callable[[], Sequence[int]]) -> None:
        self.processes = processes
        self.sums = [0.0] * 4

    @staticmethod
    def _own() -> float:
        """This program and what it waited for."""
        return sum(usage.ru_utime + usage.ru_stime for usage in map(
            resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))

    @contextmanager
    def counted(self) -> Iterator[None]:
        """While a round runs. What a process used that dies meanwhile counts as others'."""
        known = used_by(self.processes())
        before = (self._own(), *cpu_seconds())
        yield
        after = (self._own(), *cpu_seconds())
        servers = sum(ns - known[pid] for pid, ns in used_by(list(known)).items()) / 1e9
        self.sums = [s + now - then for s, now, then in zip(self.sums, after, before)]
        self.sums[0] += servers

    def percent(self) -> tuple[float, float]:
        """Of all CPU time: what other processes used, and what the hypervisor took."""
        ours, busy, stolen, total = self.sums
        if not total:
            return 0.0, 0.0
        return max(0.0, (busy - ours) / total * 100), stolen / total * 100
