"""Fixtures, and the account at the end of a run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import (COVERED, FRONTS, SANITIZED, VALGRIND, Front, Larder, Process, Redis, Stack,
                     Workspace)
from rawhttp import Http

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def space() -> Iterator[Workspace]:
    """The temporary root; at the end nothing may run or lie there any more."""
    workspace = Workspace()
    yield workspace
    workspace.close()


@pytest.fixture(scope="session")
def shared(space: Workspace) -> Iterator[Stack]:
    """Redis, larderd and both web servers, for tests that break nothing."""
    stack = Stack(space)
    before = stack.larder.workers()
    yield stack
    after = stack.larder.workers()
    stack.stop()
    assert before == after, "a worker died under tests that should do no harm"


@pytest.fixture
def stack(shared: Stack, request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The shared stack, whose workers must be the same after the test."""
    before = shared.larder.workers()
    yield shared
    assert shared.larder.workers() == before, f"workers changed:\n{shared.larder.text()[-4000:]}"


@pytest.fixture(params=FRONTS)
def front(stack: Stack, request: pytest.FixtureRequest) -> Front:
    """Each web server of the shared stack in turn."""
    return stack.fronts[request.param]


@pytest.fixture
def http(front: Front) -> Iterator[Http]:
    """A client of each web server in turn."""
    with front.http() as client:
        yield client


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"k{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def started(space: Workspace) -> Iterator[list[Process]]:
    """What a test started on its own account; ended here if the test failed half-way."""
    processes: list[Process] = []
    yield processes
    for process in reversed(processes):
        process.abandon()


@pytest.fixture
def new_redis(space: Workspace, started: list[Process]) -> Iterator[Callable[..., Redis]]:
    """Starts a private Redis, stopped after the test."""
    made: list[Redis] = []

    def start(*args: str, **options: Any) -> Redis:
        redis = Redis(space, *args, **options)
        started.append(redis)
        made.append(redis)
        return redis.start()

    yield start
    for redis in made:
        redis.stop()


@pytest.fixture
def new_larder(space: Workspace, started: list[Process],
               new_redis: Callable[..., Redis]) -> Iterator[Callable[..., Larder]]:
    """Prepares a private larderd, stopped after the test if it runs then."""
    made: list[Larder] = []

    def prepare(redis: Redis | Path | None = None, **options: Any) -> Larder:
        larder = Larder(space, redis, **options)
        started.append(larder)
        made.append(larder)
        return larder

    yield prepare
    for larder in made:
        larder.stop()


@pytest.fixture
def new_front(space: Workspace, started: list[Process],
              new_larder: Callable[..., Larder]) -> Iterator[Callable[[str, Larder], Front]]:
    """Starts a private web server, stopped after the test."""
    made: list[Front] = []

    def start(kind: str, larder: Larder) -> Front:
        front = Front(space, kind, larder.socket)
        started.append(front)
        made.append(front)
        return front.start()

    yield start
    for front in made:
        front.stop()


@pytest.fixture(params=FRONTS)
def solo(request: pytest.FixtureRequest, new_redis: Callable[..., Redis],
         new_larder: Callable[..., Larder],
         new_front: Callable[[str, Larder], Front]) -> Iterator[tuple[Http, Larder, Redis]]:
    """A larderd of one worker of its own, behind each web server in turn."""
    redis = new_redis()
    larder = new_larder(redis, workers=1).start()
    with new_front(request.param, larder).http() as http:
        yield http, larder, redis


@pytest.fixture
def own(space: Workspace) -> Iterator[Callable[..., Stack]]:
    """Starts a whole stack for a test that kills parts of it."""
    made: list[Stack] = []

    def start(*fronts: str, **options: Any) -> Stack:
        stack = Stack(space, fronts, **options)
        made.append(stack)
        return stack

    yield start
    try:
        for stack in made:
            stack.stop()
    finally:
        for stack in made:
            stack.abandon()


class Account:
    """Counts reports by outcome and leaves the numbers to tests/run."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counts = {"passed": 0, "failed": 0, "skipped": 0}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test passes in its call; set-up and clean-up can only fail or skip."""
        if report.outcome != "passed" or report.when == "call":
            self._counts[report.outcome] += 1

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the numbers; collection errors are failures."""
        errors = getattr(session, "testsfailed", 0)
        failed = max(self._counts["failed"], errors)
        Path(self._path).write_text(
            f"{self._counts['passed']} {failed} {self._counts['skipped']}\n")


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the account in the process that reports, not in xdist's workers."""
    path = os.environ.get("LARDER_TEST_COUNTS")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Account(path), "larder-account")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Takes out what says nothing about a larderd that is watched: that is no skip."""
    if not (SANITIZED or COVERED or VALGRIND):
        return
    out = [item for item in items if item.get_closest_marker("plain")]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)
