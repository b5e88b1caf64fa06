"""Scenarios and what they find.

A scenario is a generator that breaks something and yields what it measured:

    @scenario("T10", "Redis killed under load")
    def redis_killed(world: World, size: Size) -> Iterator[Finding]:
        ...
        yield Finding("first answer after Redis is back", measured=ms, figure=500, unit="ms")

It runs once behind each web server, or once without one (`fronts=()`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from harness import FRONTS, SANITIZED, SLOW
from promises import PROMISES

if TYPE_CHECKING:
    from world import World

# Times depend on the machine, so a test fails at ten times the figure only. Counts don't.
MEMORY = ("KiB", "MiB")
TIMES = ("us", "ms", "s")
HOLDS = "holds"  # the unit of what is so or isn't: 0 exceptions to it, or 1
LENIENCY = 10

T = TypeVar("T")


class Size:
    """How much of everything: as much as the promise says, or enough for each `make check`."""

    def __init__(self, full: bool) -> None:
        self.full = full

    def __call__(self, *, full: T, short: T) -> T:
        """What it is in this run."""
        return full if self.full else short


class Verdict(Enum):
    """How a figure compares with its promise."""

    MET = "met"
    MISSED = "missed"  # but within the limit
    FAILED = "FAILED"
    NOTED = "noted"  # there is no figure


@dataclass
class Finding:
    """One figure that was measured.

    figure is the goal, at most, or with `least` at least; None if there is none. limit is what a
    test fails on: by default ten times the figure for times, else the figure itself.
    """

    what: str
    measured: float
    figure: float | None = None
    unit: str = ""
    limit: float | None = None
    least: bool = False
    detail: str = ""

    @classmethod
    def holds(cls, what: str, condition: object, detail: str = "") -> "Finding":
        """Something that has to be so; `detail` says what is, if it isn't."""
        return cls(what, measured=0 if condition else 1, figure=0, unit=HOLDS,
                   detail="" if condition else detail)

    def _fits(self, bound: float) -> bool:
        return self.measured >= bound if self.least else self.measured <= bound

    @property
    def bound(self) -> float | None:
        """What a test fails on."""
        # A sanitizer doesn't give back what is freed.
        if self.unit in MEMORY and SANITIZED:
            return None
        if self.figure is None and self.limit is None:
            return None
        if self.unit in TIMES:
            wide = self.limit if self.limit is not None else (self.figure or 0) * LENIENCY
            return wide * SLOW
        return self.limit if self.limit is not None else self.figure

    @property
    def verdict(self) -> Verdict:
        """Whether the promise was kept."""
        if self.bound is None:
            return Verdict.NOTED
        if not self._fits(self.bound):
            return Verdict.FAILED
        return Verdict.MET if self.figure is None or self._fits(self.figure) else Verdict.MISSED


Run = Callable[["World", Size], Iterator[Finding]]


@dataclass
class Scenario:
    """A registered scenario. `last`: it runs after all others."""

    promise: str
    title: str
    run: Run
    fronts: tuple[str, ...] = field(default=FRONTS)
    last: bool = False

    @property
    def name(self) -> str:
        """What it is called on command lines and in tests."""
        return self.run.__name__

    @property
    def kinds(self) -> tuple[str, ...]:
        """The web servers to run it behind; one run without any has the name ""."""
        return self.fronts or ("",)


SCENARIOS: list[Scenario] = []


def scenario(promise: str, title: str, fronts: tuple[str, ...] = FRONTS,
             last: bool = False) -> Callable[[Run], Run]:
    """Registers a scenario under the promise that it is about."""
    assert promise in PROMISES, f"{promise} is not in promises.py"

    def register(run: Run) -> Run:
        SCENARIOS.append(Scenario(promise, title, run, fronts, last))
        return run
    return register
