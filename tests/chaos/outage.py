"""What became of requests while something was wrong with Redis, and after it: a load's report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness import Larder, eventually
from scenario import Finding
from verify import Report, Verify

RECOVERS_MS = 1000.0


@dataclass
class Outage:
    """Something was wrong from `begun` to `over`; what came until `end` belongs to it."""

    name: str
    begun: float
    over: float = 0.0
    end: float = 0.0

    def last_failure(self, report: Report) -> float:
        """Milliseconds after it was over until the last failed request ended; 0: none did."""
        rows = [row[0] for row in report.timeline if self.over <= row[0] < self.end and row[2]]
        return (max(rows) + report.bucket - self.over) * 1e3 if rows else 0.0

    def first_ok(self, report: Report) -> float:
        """Milliseconds after it was over until a request ended well."""
        first = report.first_ok_after(self.over)
        return first if first is not None else (self.end - self.over) * 1e3

    def failures(self, report: Report) -> int:
        """Requests that failed for it."""
        return report.failures_between(self.begun, self.end)

    def slowest(self, report: Report) -> float:
        """The longest request, in ms, the first ones after it included."""
        return report.slowest_between(self.begun, self.end)


@dataclass
class Outages:
    """Several, one after the other, under one load."""

    larder: Larder
    load: Verify
    settle: float = 0.3  # seconds of health between two
    rows: list[Outage] = field(default_factory=list)

    @contextmanager
    def during(self, name: str) -> Iterator[Outage]:
        """In its block something is broken, and at its end well again; health is waited for."""
        outage = Outage(name, time.monotonic())
        yield outage
        outage.over = outage.over or time.monotonic()
        self.wait_healthy()
        time.sleep(self.settle)
        outage.end = time.monotonic()
        self.rows.append(outage)

    def wait_healthy(self) -> None:
        """Until every worker is connected and requests go on."""
        eventually(lambda: connected(self.larder), 15, "every worker is connected again")
        self.load.wait_requests(20)

    def of(self, name: str) -> list[Outage]:
        """Those with this name."""
        return [row for row in self.rows if row.name == name]

    def names(self) -> list[str]:
        """In the order in which they came first."""
        return list(dict.fromkeys(row.name for row in self.rows))

    def worst(self, name: str, measure: Callable[[Outage], float]) -> float:
        """The worst of those with this name."""
        return max(measure(row) for row in self.of(name))

    def judge(self, longest_ms: dict[str, float], mild: Sequence[str] = ()) -> Iterator[Finding]:
        """For each kind: that requests failed of it, if it isn't among the mild ones, how long they
        took at most, and how soon all was well."""
        report = self.load.result
        for name in self.names():
            failed = sum(row.failures(report) for row in self.of(name))
            if name not in mild:
                yield Finding(f"{name}: times that it was felt",
                              sum(row.failures(report) > 0 for row in self.of(name)),
                              figure=len(self.of(name)), limit=1, least=True)
            yield Finding(f"{name}: longest request", self.worst(name, lambda o: o.slowest(report)),
                          figure=longest_ms[name], unit="ms",
                          detail=f"{failed} failed in {len(self.of(name))} times")
            yield Finding(f"{name}: last failure after it was over",
                          self.worst(name, lambda o: o.last_failure(report)),
                          figure=RECOVERS_MS, unit="ms")


def connected(larder: Larder) -> bool:
    """Whether every worker has a connection to Redis."""
    answer = larder.fastcgi("GET", "/stats")
    return answer.status == 200 and all(w["redis_ready"] for w in answer.json()["workers"])


def judge_answers(report: Report, allowed: tuple[str, ...] = ("503",)) -> Iterator[Finding]:
    """What holds in every outage: nothing wrong, and failures that say what they are."""
    strange = report.unexpected(allowed)
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples() or f"{report['gets_verified']} verified")
    yield Finding(f"failures other than {', '.join(allowed)}", sum(strange.values()), figure=0,
                  detail=f"{report['requests']} requests; {strange or report.failures()}")
