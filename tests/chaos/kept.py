"""Kept FastCGI connections straight to larder, each to a worker that is known."""

from __future__ import annotations

import time
from collections.abc import Iterable

import fcgi
from harness import Larder


class Kept:
    """A connection that asks one thing after the other, and how long each took, in seconds."""

    def __init__(self, larder: Larder) -> None:
        self.connection = larder.connect(15)
        self.worker = 0
        self.taken: list[float] = []

    def ask(self, target: str, status: int = 200) -> fcgi.Response:
        """One request, timed."""
        begun = time.monotonic()
        answer = self.connection.request("GET", target, keep=True)
        self.taken.append(time.monotonic() - begun)
        assert answer.status == status, (target, answer)
        return answer

    def find_worker(self, larder: Larder) -> None:
        """Finds out which worker has it: the one whose row counts its requests."""
        before = requests_by_worker(larder)
        for _ in range(20):
            self.ask("/health/live")
        after = requests_by_worker(larder)
        self.worker = max(after, key=lambda pid: after[pid] - before.get(pid, 0))

    def close(self) -> None:
        """Ends it."""
        self.connection.close()


def requests_by_worker(larder: Larder) -> dict[int, int]:
    """What each worker's row has counted."""
    return {w["pid"]: w["requests"] for w in larder.stats()["workers"]}


def open_kept(larder: Larder, count: int) -> list[Kept]:
    """So many connections, with their workers found out."""
    kept = [Kept(larder) for _ in range(count)]
    for one in kept:
        one.find_worker(larder)
    return kept


def close_all(kept: Iterable[Kept]) -> None:
    """Ends them."""
    for one in kept:
        one.close()


def ask_for(kept: list[Kept], target: str, seconds: float, status: int = 200) -> list[float]:
    """All of them ask in turn for a while; how long each request took, in seconds."""
    for one in kept:
        one.taken.clear()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in kept:
            one.ask(target, status)
    return [t for one in kept for t in one.taken]
