"""Many clients change one entry at once: whoever is told that it was done has done it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from crowd import Client, run_crowd
from harness import SANITIZED, VALGRIND, Stack, Workspace
from rawhttp import Header
from refusals import JSON_MEDIA, PATCH_MEDIA
from ways import WAYS, Request, Way, open_way

CLIENTS = 64
SLOW_BUILD = SANITIZED or VALGRIND
ROUNDS = 3 if SLOW_BUILD else 20
EACH = 1 if SLOW_BUILD else 10  # changes by each client


@pytest.fixture(scope="module")
def busy(space: Workspace) -> Iterator[Stack]:
    """A stack whose Redis may be slow, as a machine with much to do makes it."""
    stack = Stack(space, env={"LARDER_REDIS_TIMEOUT": "30000"})
    yield stack
    stack.stop()


@pytest.fixture(params=WAYS)
def ways(busy: Stack, request: pytest.FixtureRequest) -> Iterator[list[Way]]:
    """A connection for each client, by each way in turn."""
    opened = [open_way(busy, request.param) for _ in range(CLIENTS)]
    yield opened
    for way in opened:
        way.close()


def put(path: str, members: dict[str, object], *headers: Header) -> Request:
    """A PUT of this document."""
    return Request("PUT", path, [JSON_MEDIA, *headers], json.dumps(members).encode())


def value_of(way: Way, key: str) -> object:
    """What the entry holds."""
    answer = way.ask(Request("GET", f"/cache/{key}"))
    assert answer.status == 200, answer
    return answer.json()["value"]


def test_one_creates(ways: list[Way], key: str) -> None:
    """Of many who create an entry, one does, and it is that one's."""
    for number in range(ROUNDS):
        path = f"/cache/{key}-{number}"
        statuses: dict[int, int] = {}

        def create(who: int, path: str = path, statuses: dict[int, int] = statuses) -> Client:
            answer = yield put(path, {"value": who}, ("If-None-Match", "*"))
            statuses[who] = answer.status

        run_crowd(ways, [create(who) for who in range(CLIENTS)])
        assert Counter(statuses.values()) == {200: 1, 412: CLIENTS - 1}
        winner = next(who for who, status in statuses.items() if status == 200)
        assert value_of(ways[0], f"{key}-{number}") == winner


@pytest.mark.parametrize("more", ({}, {"tags": ["a", "b"]}, {"idle": 600}),
                         ids=("plain", "tagged", "idle"))
def test_compare_and_swap(ways: list[Way], key: str, more: dict[str, object]) -> None:
    """Who reads, adds one and writes only if nobody else has, again and again, loses nothing."""
    path = f"/cache/{key}"
    each = EACH if not more else max(EACH // 5, 1)
    statuses: Counter[int] = Counter()

    def increment() -> Client:
        for _ in range(each):
            status = 412
            while status == 412:
                found = yield Request("GET", path)
                etag = found.header("ETag") or ""
                members = {"value": found.json()["value"] + 1, **more}
                answer = yield put(path, members, ("If-Match", etag))
                status = answer.status
                statuses[status] += 1

    ways[0].ask(put(path, {"value": 0, **more}))
    run_crowd(ways, [increment() for _ in ways])
    assert set(statuses) <= {200, 412} and statuses[200] == CLIENTS * each
    assert value_of(ways[0], key) == CLIENTS * each


@pytest.mark.parametrize("more", ({}, {"tags": ["a", "b"]}, {"idle": 600}),
                         ids=("plain", "tagged", "idle"))
def test_counters(ways: list[Way], key: str, more: dict[str, object]) -> None:
    """Everybody's addition counts, and everybody sees another sum."""
    sums: list[int] = []

    def count() -> Client:
        for _ in range(EACH):
            answer = yield Request("POST", f"/counters/{key}")
            assert answer.status == 200, answer
            sums.append(answer.json()["value"])

    ways[0].ask(put(f"/cache/{key}", {"value": 0, **more}))
    run_crowd(ways, [count() for _ in ways])
    assert sorted(sums) == list(range(1, CLIENTS * EACH + 1))
    assert value_of(ways[0], key) == CLIENTS * EACH


def test_merges(ways: list[Way], key: str) -> None:
    """Patches of different members of one object are all in it at the end."""
    def merge(who: int) -> Client:
        for number in range(EACH):
            members = {"value": {f"{who}": {f"{number}": who}}}
            answer = yield Request("PATCH", f"/cache/{key}", [PATCH_MEDIA],
                                   json.dumps(members).encode())
            assert answer.status == 200, answer

    ways[0].ask(put(f"/cache/{key}", {"value": {}}))
    run_crowd(ways, [merge(who) for who in range(CLIENTS)])
    assert value_of(ways[0], key) == {
        f"{who}": {f"{number}": who for number in range(EACH)} for who in range(CLIENTS)}


def test_deletion(ways: list[Way], key: str) -> None:
    """Of many who delete an entry, one is told that it did."""
    kinds: tuple[dict[str, object], ...] = ({}, {"tags": ["a"]})
    for more in kinds:
        statuses: Counter[int] = Counter()

        def delete(statuses: Counter[int] = statuses) -> Client:
            answer = yield Request("DELETE", f"/cache/{key}")
            statuses[answer.status] += 1

        ways[0].ask(put(f"/cache/{key}", {"value": 1, **more}))
        run_crowd(ways, [delete() for _ in ways])
        assert statuses == {200: 1, 404: CLIENTS - 1}
