"""The world of one scenario: what it starts, ended when it is over, and what it found out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from harness import Front, Larder, Process, Redis, Workspace
from verify import Report, Verify


class Stoppable(Protocol):
    """A process that can be asked to end, and asserts that it ended well."""

    def stop(self) -> object:
        """Ends it."""

    def abandon(self) -> None:
        """Ends it in whatever state it is."""


P = TypeVar("P", bound=Process)


class Ledger:
    """What all loads of a run saw together (T12)."""

    def __init__(self) -> None:
        self.gets_verified = 0
        self.requests = 0
        self.bytes_verified = 0
        self.counts = {"wrong": 0, "torn": 0, "stale": 0, "lost": 0}

    def add(self, report: Report) -> None:
        """Takes one load in."""
        self.gets_verified += report["gets_verified"]
        self.requests += report["requests"]
        self.bytes_verified += report["bytes_verified"]
        for name in self.counts:
            self.counts[name] += report[name]

    @property
    def mismatches(self) -> int:
        """All that was not right."""
        return sum(self.counts.values())


class World:
    """Servers for one scenario behind one web server (`kind`; "" if it needs none)."""

    def __init__(self, space: Workspace, kind: str, ledger: Ledger, missing_gets: int = 0) -> None:
        self.space = space
        self.kind = kind
        self.ledger = ledger
        self.missing_gets = missing_gets  # what the last scenarios have to add to T12
        self.loads: list[Verify] = []
        self._parts: list[Any] = []

    # --- starting --------------------------------------------------------------------------------

    def add(self, part: P) -> P:
        """Takes charge of a process: it is ended with the world, the latest first."""
        self._parts.append(part)
        return part

    def directory(self, name: str) -> Path:
        """A new directory with a short path."""
        return self.space.directory(name)

    def redis(self, *args: str, **options: Any) -> Redis:
        """A private Redis, running."""
        return self.add(Redis(self.space, *args, **options)).start()

    def prepare_larder(self, redis: Redis | Path | None = None, **options: Any) -> Larder:
        """A larderd that isn't started yet; options as in Larder, with underscores."""
        return self.add(Larder(self.space, redis, **options))

    def larder(self, redis: Redis | Path | None = None, **options: Any) -> Larder:
        """A larderd, running."""
        return self.prepare_larder(redis, **options).start()

    def front(self, larder: Larder, kind: str | None = None) -> Front:
        """A web server in front of it, running: the one that this world is about."""
        return self.add(Front(self.space, kind or self.kind, larder.socket)).start()

    def stack(self, **options: Any) -> tuple[Redis, Larder, Front]:
        """All three; options are larderd's."""
        redis = self.redis()
        larder = self.larder(redis, **options)
        return redis, larder, self.front(larder)

    def verify(self, front: Front, **options: object) -> Verify:
        """A load on it, to be used with `with`; options are larder-verify's, with underscores."""
        load = self.add(Verify(self.space, front.port, **options))
        self.loads.append(load)
        return load

    # --- the end ---------------------------------------------------------------------------------

    def _account(self) -> None:
        for load in self.loads:
            if load.report is not None:
                self.ledger.add(load.report)

    def close(self) -> None:
        """Ends all of it, the latest first, and asserts that each part ended well."""
        self._account()
        try:
            while self._parts:
                self._parts[-1].stop()
                self._parts.pop()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Ends all of it in whatever state it is."""
        while self._parts:
            self._parts.pop().abandon()
