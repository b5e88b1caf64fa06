"""A soak: everything that a larderd may meet, for as long as one likes, and what it held."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from company import Companion, Users, Vandals
from harness import (EXACT_MALLOC, FRONTS, SLOW, Front, Larder, Redis, Workspace, eventually,
                     open_descriptors)
from samples import Samples
from verify import Report, Verify

REDIS_AWAY_S = 2.0
CONNECTIONS = {"nginx": 24, "lighttpd": 8}
SHARES = {"nginx": 2 / 3, "lighttpd": 1 / 3}
SAMPLES = 720
WARM_REQUESTS = 400_000


@dataclass(frozen=True)
class Plan:
    """How long, and how much."""

    seconds: float
    rate: int  # requests a second of the verified load
    workers: int = 2

    @property
    def redis_every(self) -> float:
        """Seconds from one restart of Redis to the next: 5 minutes, or a twelfth."""
        return min(300.0, self.seconds / 12)

    @property
    def reload_every(self) -> float:
        """Seconds from one reload to the next: 20 minutes, or a half."""
        return min(1200.0, self.seconds / 2)

    @property
    def warm_up(self) -> float:
        """What a process has to reach its size: it isn't judged by that. The largest values must
        have come by on each connection."""
        return max(self.seconds / 12, WARM_REQUESTS / self.rate)

    @property
    def sample_every(self) -> float:
        """Seconds from one sample to the next."""
        return max(0.5, self.seconds / SAMPLES)


@dataclass
class Outcome:
    """What was seen."""

    plan: Plan
    samples: Samples
    seconds: float = 0.0
    reports: list[Report] = field(default_factory=list)
    companions: list[Companion] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    idle_before: list[int] = field(default_factory=list)  # descriptors of each worker
    idle_after: list[int] = field(default_factory=list)
    deaths: int = 0

    @property
    def requests(self) -> int:
        """All of them, of all clients."""
        return sum(r["requests"] for r in self.reports) + \
            sum(sum(c.done.values()) for c in self.companions)

    @property
    def wrong(self) -> list[str]:
        """What was answered wrongly, the first of it in words."""
        texts = [r.examples() for r in self.reports if r.mismatches]
        return texts + [text for companion in self.companions for text in companion.wrong]

    @property
    def refused(self) -> int:
        """Requests that nobody could have answered well."""
        return sum(sum(c.done.values()) for c in self.companions if isinstance(c, Vandals))


def idle_descriptors(larder: Larder) -> list[int]:
    """The descriptors of each worker when nobody is connected to it."""
    return sorted(open_descriptors(pid) for pid in larder.workers())


def settle(larder: Larder, expected: list[int] | None = None) -> list[int]:
    """Waits until nobody is connected, and what the workers hold stays the same, or is what is
    expected; gives it."""
    end = time.monotonic() + 10 * SLOW
    before: list[int] = []
    while time.monotonic() < end:
        now = idle_descriptors(larder)
        if now == (before if expected is None else expected):
            return now
        before = now
        time.sleep(0.3)
    return idle_descriptors(larder)


class Soak:
    """The servers, the load and the company."""

    def __init__(self, space: Workspace, plan: Plan) -> None:
        self.plan = plan
        self.redis = Redis(space).start()
        self.larder = Larder(space, self.redis, workers=plan.workers,
                             env=EXACT_MALLOC).start()
        self.outcome = Outcome(plan, Samples(self.larder), idle_before=settle(self.larder))
        self.fronts = {kind: Front(space, kind, self.larder.socket).start() for kind in FRONTS}
        self.loads = [Verify(space, front.port, connections=CONNECTIONS[kind], keys=1000, writes=20,
                             deletes=5, sizes="mixed", target="mixed", may_vanish=True,
                             rate=max(1, round(plan.rate * SHARES[kind])))
                      for kind, front in self.fronts.items()]
        one_percent = plan.rate / 100
        self.outcome.companions = [
            Users(self.fronts["nginx"], one_percent, 1),
            Users(self.fronts["lighttpd"], one_percent / 2, 2),
            Vandals(self.fronts["nginx"], self.larder, one_percent / 2, 3),
            Vandals(self.fronts["lighttpd"], self.larder, one_percent / 2, 4)]

    def run(self, tell: Callable[[float, Outcome, dict[str, int]], None]) -> Outcome:
        """The whole course; `tell` hears of every sample."""
        outcome, plan = self.outcome, self.plan
        begun = time.monotonic()
        for load in self.loads:
            load.start()
        for companion in outcome.companions:
            companion.start()
        due = {self._restart_redis: plan.redis_every, self._reload: plan.reload_every}
        every = dict(due)
        ticks = 0
        while (now := time.monotonic() - begun) < plan.seconds:
            for act, moment in due.items():
                # None in the last part: it would be judged by its warm-up.
                if moment <= now < plan.seconds - plan.seconds / 12:
                    outcome.events.append((now, act()))
                    due[act] = moment + every[act]
            outcome.samples.take(now)
            tell(now, outcome, self._progress())
            ticks += 1
            time.sleep(max(0.0, begun + ticks * plan.sample_every - time.monotonic()))
        outcome.seconds = time.monotonic() - begun
        self._end()
        return outcome

    def _progress(self) -> dict[str, int]:
        sums: dict[str, int] = {}
        for load in self.loads:
            for name, value in load.progress().items():
                if isinstance(value, int):
                    sums[name] = sums.get(name, 0) + value
        return sums

    def _restart_redis(self) -> str:
        """It goes away, in order or killed, and comes back empty."""
        if len(self.outcome.events) % 2 == 0:
            self.redis.stop()
        else:
            self.redis.kill()
        time.sleep(REDIS_AWAY_S)
        self.redis.start()
        return "redis"

    def _reload(self) -> str:
        """New workers, of the same kind."""
        before = self.larder.workers()
        self.larder.signal(1)
        eventually(lambda: not set(before) & set(self.larder.workers()), 30,
                   "the workers of before have gone")
        return "reload"

    def _end(self) -> None:
        outcome = self.outcome
        for companion in outcome.companions:
            companion.stop()
        outcome.reports = [load.stop() for load in self.loads]
        outcome.deaths = self.larder.stats()["counters"]["worker_deaths"]
        for front in self.fronts.values():
            front.stop()
        outcome.idle_after = settle(self.larder, outcome.idle_before)
        self.larder.stop()
        self.redis.stop()

    def abandon(self) -> None:
        """Ends all of it in whatever state it is."""
        for companion in self.outcome.companions:
            if companion.is_alive():
                companion.stop()
        for process in (*self.loads, *self.fronts.values(), self.larder, self.redis):
            process.abandon()
