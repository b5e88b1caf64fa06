"""total_keys where others use the database, too: counted in the background, and only what is ours."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from harness import Larder, Redis, Stack, Workspace, eventually


@pytest.fixture
def crowded(own: Callable[..., Stack]) -> Stack:
    """A larder with a prefix, 300 keys and a tag of its own, in a database with 700 others."""
    stack = own("nginx", env={"KEY_PREFIX": "mine[*]:"})
    with stack.fronts["nginx"].http() as http:
        for i in range(300):
            assert http.put(f"/cache/k{i}", {"value": i, "tags": ["t"]}).status == 200
    for i in range(350):
        stack.redis.ask("SET", f"other:{i}", "1")
        stack.redis.ask("SET", f"mine*:{i}", "1")
    return stack


def total(stack: Stack) -> Any:
    """total_keys of GET /stats, which must say that it is approximate."""
    document = stack.larder.stats()
    assert document["total_keys_approximate"] is True
    return document["total_keys"]


def test_only_ours_are_counted(crowded: Stack) -> None:
    """Null before the first count, then the keys below the prefix: no tag, nobody else's."""
    eventually(lambda: total(crowded) == 300, what=lambda: f"300 keys, not {total(crowded)}")
    answer = crowded.larder.fastcgi("GET", "/metrics")
    assert b"\nlarder_redis_keys 300\n" in answer.body


def test_the_count_is_renewed(crowded: Stack) -> None:
    """While somebody asks, what is written shows within the time that a count may be old."""
    eventually(lambda: total(crowded) == 300, what="the first count")
    with crowded.fronts["nginx"].http() as http:
        assert http.delete("/cache?prefix=k1").json()["deleted"] == 111
    eventually(lambda: total(crowded) == 189, timeout=20.0, what="the next count")


def test_a_count_is_for_one_prefix(new_redis: Callable[..., Redis], space: Workspace,
                                   new_larder: Callable[..., Larder]) -> None:
    """After a reload with another prefix the old count is not shown."""
    redis = new_redis()
    path = space.directory("conf") / "larder.conf"
    path.write_text("key_prefix = a:\n")
    larder = new_larder(redis, config=path).start()
    for name in ("a:1", "b:1", "b:2"):
        redis.ask("SET", name, "1")
    eventually(lambda: larder.stats()["total_keys"] == 1, what="the count of a:")
    workers = larder.workers()
    path.write_text("key_prefix = b:\n")
    larder.signal(signal.SIGHUP)
    eventually(lambda: not set(workers) & set(larder.workers()), what="the new generation")
    assert larder.stats()["total_keys"] in (None, 2)
    eventually(lambda: larder.stats()["total_keys"] == 2, what="the count of b:")


def test_without_a_prefix_it_is_exact(stack: Stack) -> None:
    """DBSIZE, which is not approximate."""
    document = stack.larder.stats()
    assert document["total_keys_approximate"] is False
    assert document["total_keys"] == stack.redis.ask("DBSIZE")
