"""Latency at a fixed rate that is the same for all: h2load, its log of every request, percentiles.

The rate is a share of the slowest target's maximum, as the same h2load finds it beforehand. h2load
gives each of its connections a schedule in ticks of about 10 ms; the connections are opened over
one tick, so that they don't all send at once. A request is timed from when it was sent, so a stall
delays later requests instead of being counted for each of them: what the largest percentiles show
is what a kept connection sees. A target that doesn't keep up is asked more slowly than the others,
which flatters it: in how many rounds the rate was reached stands beside its figures.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from loads import SMALL
from noise import wait_quiet
from stack import Failure, Progress
from targets import KINDS, Target, Targets

CONNECTIONS = 32
SHARE = 0.7           # of the slowest target's maximum
REACHED = 0.95        # of the rate that was asked for
MAXIMUM_RUNS = 3      # that find it, of which the median counts
MAXIMUM_S = 1         # of each
FIRST_REQUESTS = 1000  # that show how many fit into that
WORTH_IT = 1.5        # a second rate without the slowest peer must be so much higher
SLOWEST = ("fastapi", "nginx-fastapi")
FIRST_S = 0.2         # left out of each run
PERCENTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
RUN_S = 0.2           # what a run takes beyond its seconds


@dataclass
class Rate:
    """One common rate, and what was seen at it: for each target a list of rounds, each with its
    percentiles in milliseconds."""

    title: str
    per_second: int
    rounds: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def reached(self, target: str) -> int:
        """In how many rounds."""
        return sum(r["per_second"] >= REACHED * self.per_second for r in self.rounds[target])


def common_rates(maxima: Mapping[str, float]) -> list[Rate]:
    """From the most that each target can do: a rate for all, and, where it is much higher, one for
    all but FastAPI."""
    if not maxima:
        return []
    rates = [Rate("all", int(SHARE * min(maxima.values())), {name: [] for name in maxima})]
    others = {name: rate for name, rate in maxima.items() if name not in SLOWEST}
    if others and min(others.values()) >= WORTH_IT * min(maxima.values()):
        rates.append(Rate("without FastAPI", int(SHARE * min(others.values())),
                          {name: [] for name in others}))
    return rates


def percentiles(log: str) -> dict[str, float]:
    """Of the lines of h2load's log: microseconds of the start, status, microseconds taken."""
    rows = [line.split("\t") for line in log.splitlines()]
    if not rows:
        raise Failure("h2load logged no request")
    statuses = {row[1] for row in rows}
    if statuses != {"200"}:
        raise Failure(f"answers {' '.join(sorted(statuses))}, not only 200")
    first = min(int(row[0]) for row in rows) + FIRST_S * 1e6
    ms = sorted(int(row[2]) / 1000 for row in rows if int(row[0]) >= first)
    if not ms:
        raise Failure(f"h2load was done within {FIRST_S} s")
    span = (max(int(row[0]) for row in rows) - min(int(row[0]) for row in rows)) / 1e6
    return {"per_second": len(rows) / max(span, 1e-6),
            **{name: ms[min(len(ms) - 1, int(len(ms) * share))]
               for name, share in PERCENTILES.items()}}


def run_h2load(target: Target, timeout: float, *options: str) -> str:
    """What it says."""
    command = ["setpriv", "--pdeathsig", "KILL", "h2load", "--h1", f"-c{CONNECTIONS}", "-t1",
               *options, target.url(target.dialect.get_path(SMALL.key))]
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False, timeout=timeout).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as e:
        raise Failure(f"h2load wasn't done after {timeout:.0f} s") from e


class Latencies:
    """Rounds of every rate and target, in random order."""

    def __init__(self, targets: Targets, rounds: int, seconds: int, patience: float) -> None:
        self.targets = targets
        self.rates: list[Rate] = []
        self.rounds = rounds
        self.seconds = seconds
        self.patience = patience
        self.notes: list[str] = []

    def run(self, names: Sequence[str]) -> None:
        """All rounds of these targets."""
        self.rates = common_rates(self.maxima(names))
        for number in range(1, self.rounds + 1):
            runs = [(rate, name) for rate in self.rates for name in rate.rounds]
            wait_quiet(self.patience)
            for rate, name in random.sample(runs, len(runs)):
                Progress.show(f"latency, round {number}/{self.rounds}, {rate.per_second}/s: "
                              f"{KINDS[name].title}")
                try:
                    rate.rounds[name].append(self._measure(rate, self.targets.get(name)))
                except Failure as e:
                    self.notes.append(f"latency of {name} at {rate.per_second}/s, round {number}: "
                                      f"{e}")
                Progress.spend(self.seconds + RUN_S)
            Progress.line(f"latency, round {number}/{self.rounds}")

    def _measure(self, rate: Rate, target: Target) -> dict[str, float]:
        log = self.targets.stack.root / "h2load.log"
        log.unlink(missing_ok=True)
        output = run_h2load(target, 5 * self.seconds + 5, f"-n{rate.per_second * self.seconds}",
                            f"--rps={rate.per_second / CONNECTIONS}", "-r3", "--rate-period=1ms",
                            f"--log-file={log}")
        if not log.exists():
            raise Failure(f"h2load failed: {output[-500:]}")
        text = log.read_text()
        logged = text.count("\n")
        if logged < rate.per_second * self.seconds:
            raise Failure(f"h2load ended after {logged} requests: {output[-500:]}")
        return percentiles(text)

    def maxima(self, names: Sequence[str]) -> dict[str, float]:
        """The most that each target does when asked by h2load without a pause."""
        found: dict[str, list[float]] = {name: [] for name in names}
        for number in range(1, MAXIMUM_RUNS + 1):
            for name in random.sample(list(names), len(names)):
                Progress.show(f"latency, maximum {number}/{MAXIMUM_RUNS}: {KINDS[name].title}")
                try:
                    found[name].append(maximum(self.targets.get(name)))
                except Failure as e:
                    self.notes.append(f"latency, maximum of {name}: {e}")
                Progress.spend(MAXIMUM_S + RUN_S)
        return {name: median(rates) for name, rates in found.items() if rates}


def maximum(target: Target) -> float:
    """Requests per second, found by so many requests as take the time: a run that ends by the clock
    goes away with requests under way."""
    rate, requests = 0.0, FIRST_REQUESTS
    for _ in range(2):
        output = run_h2load(target, MAXIMUM_S + 20, f"-n{requests}")
        found = re.search(r"([\d.]+) req/s", output)
        if not found or f" {requests} succeeded" not in output:
            raise Failure(f"h2load failed: {output[-500:]}")
        rate = float(found[1])
        requests = max(FIRST_REQUESTS, int(rate * MAXIMUM_S))
    return rate
