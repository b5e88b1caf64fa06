"""The original service's own style of test and of load, with Python clients as it was used with."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
import requests

from harness import FRONTS, Stack, eventually

VALUES: dict[str, Any] = {
    "string": "hello", "number": 42, "float": 3.14159, "bool": True, "null": None,
    "list": [1, 2, 3, "four", {"five": 5}], "dict": {"name": "test", "nested": {"a": [1, 2]}},
    "unicode": "Привет, мир! 🚀", "empty": "", "large": "x" * 10_000,
}


@pytest.fixture(params=FRONTS)
def base(own: Callable[..., Stack], request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service of its own, behind each web server in turn."""
    yield own(request.param).fronts[request.param].url


def test_requests(base: str) -> None:
    """health, root, put, get, compare, 404, stats, delete, expiry, clear: with requests."""
    with requests.Session() as http:
        health = http.get(f"{base}/health", timeout=10)
        assert health.status_code == 200 and health.json()["status"] == "healthy"
        root = http.get(f"{base}/", timeout=10)
        assert root.status_code == 200 and root.json()["service"] == "Cache Server"
        for name, value in VALUES.items():
            put = http.put(f"{base}/cache/{name}", json={"value": value, "ttl": 300}, timeout=10)
            assert put.status_code == 200 and put.json()["key"] == name
        for name, value in VALUES.items():
            got = http.get(f"{base}/cache/{name}", timeout=10)
            assert got.status_code == 200
            assert got.json()["value"] == value and 0 < got.json()["ttl"] <= 300
        missing = http.get(f"{base}/cache/nonexistent", timeout=10)
        assert missing.status_code == 404 and missing.json()["detail"] == "Key not found"
        stats = http.get(f"{base}/stats", timeout=10).json()
        assert stats["total_keys"] == len(VALUES)
        assert stats["hits"] == len(VALUES) and stats["misses"] == 1
        assert stats["hit_rate"] == round(100 * len(VALUES) / (len(VALUES) + 1), 2)
        deleted = http.delete(f"{base}/cache/string", timeout=10)
        assert deleted.status_code == 200 and deleted.json()["deleted"] is True
        assert http.get(f"{base}/cache/string", timeout=10).status_code == 404
        assert http.delete(f"{base}/cache/string", timeout=10).status_code == 404
        http.put(f"{base}/cache/brief", json={"value": "gone soon", "ttl": 1}, timeout=10)
        assert http.get(f"{base}/cache/brief", timeout=10).status_code == 200
        time.sleep(2)
        assert http.get(f"{base}/cache/brief", timeout=10).status_code == 404
        cleared = http.delete(f"{base}/cache", timeout=10)
        assert cleared.status_code == 200 and cleared.json()["cleared"] is True
        assert http.get(f"{base}/stats", timeout=10).json()["total_keys"] == 0


def test_aiohttp(base: str) -> None:
    """The same with aiohttp."""
    async def main() -> None:
        async with aiohttp.ClientSession(base) as http:
            async with http.get("/health") as answer:
                assert answer.status == 200 and (await answer.json())["status"] == "healthy"
            async with http.get("/") as answer:
                assert (await answer.json())["service"] == "Cache Server"
            for name, value in VALUES.items():
                async with http.put(f"/cache/{name}", json={"value": value}) as answer:
                    assert answer.status == 200 and (await answer.json())["ttl"] == 3600
                async with http.get(f"/cache/{name}") as answer:
                    assert answer.status == 200 and (await answer.json())["value"] == value
            async with http.get("/cache/nonexistent") as answer:
                assert answer.status == 404
                document = await answer.json(content_type="application/problem+json")
                assert document["detail"] == "Key not found"
            async with http.put("/cache/brief", json={"value": 1, "ttl": 1}) as answer:
                assert answer.status == 200
            await asyncio.sleep(2)
            async with http.get("/cache/brief") as answer:
                assert answer.status == 404
            async with http.delete("/cache/number") as answer:
                assert answer.status == 200
            async with http.delete("/cache") as answer:
                assert (await answer.json())["cleared"] is True
            async with http.get("/stats") as answer:
                assert (await answer.json())["total_keys"] == 0

    asyncio.run(main())


def test_requests_without_a_session(base: str) -> None:
    """A new connection for each request, as a script does it."""
    for i in range(20):
        url = f"{base}/cache/script-{i}"
        assert requests.put(url, json={"value": i}, timeout=10).status_code == 200
        assert requests.get(url, timeout=10).json()["value"] == i


@pytest.mark.serial
def test_load_sequential(base: str) -> None:
    """One client, one request after the other."""
    with requests.Session() as http:
        begun = time.monotonic()
        for i in range(200):
            put = http.put(f"{base}/cache/seq-{i}", json={"value": {"i": i}}, timeout=10)
            assert put.status_code == 200
            assert http.get(f"{base}/cache/seq-{i}", timeout=10).json()["value"] == {"i": i}
        print(f"sequential: {400 / (time.monotonic() - begun):.0f} requests/s")


async def _mixed(base: str, clients: int, count: int) -> dict[str, int]:
    """20 % put, 70 % get, 10 % delete from many clients; what they saw."""
    seen = {"put": 0, "hit": 0, "miss": 0, "deleted": 0, "absent": 0, "failed": 0}

    async def client(http: aiohttp.ClientSession, number: int) -> None:
        dice = random.Random(number)
        for i in range(count):
            path = f"/cache/mix-{dice.randrange(50)}"
            draw = dice.random()
            if draw < 0.2:
                async with http.put(path, json={"value": [number, i], "ttl": 300}) as answer:
                    seen["put" if answer.status == 200 else "failed"] += 1
            elif draw < 0.9:
                async with http.get(path) as answer:
                    await answer.read()
                    seen[{200: "hit", 404: "miss"}.get(answer.status, "failed")] += 1
            else:
                async with http.delete(path) as answer:
                    await answer.read()
                    seen[{200: "deleted", 404: "absent"}.get(answer.status, "failed")] += 1

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(base, connector=connector) as http:
        await asyncio.gather(*(client(http, i) for i in range(clients)))
    return seen


@pytest.mark.serial
def test_load_mixed(base: str) -> None:
    """50 concurrent clients, 20/70/10: no failure, and the statistics agree with the clients."""
    begun = time.monotonic()
    seen = asyncio.run(_mixed(base, 50, 30))
    print(f"mixed: {1500 / (time.monotonic() - begun):.0f} requests/s, {seen}")
    assert seen["failed"] == 0 and sum(seen.values()) == 1500
    stats = requests.get(f"{base}/stats", timeout=10).json()
    assert (stats["hits"], stats["misses"]) == (seen["hit"], seen["miss"])
    assert stats["counters"]["stores"] == seen["put"]
    assert stats["counters"]["deletes"] == seen["deleted"]


def test_concurrent_writers_of_one_key(base: str) -> None:
    """Fifty clients write one key at once: all succeed, and one of their values stays whole."""
    async def main() -> Any:
        async with aiohttp.ClientSession(base) as http:
            async def put(i: int) -> int:
                body = {"value": {"writer": i, "pad": str(i) * 1000}}
                async with http.put("/cache/contended", json=body) as answer:
                    await answer.read()
                    return answer.status
            assert set(await asyncio.gather(*map(put, range(50)))) == {200}
            async with http.get("/cache/contended") as answer:
                return (await answer.json())["value"]

    value = asyncio.run(main())
    assert value["pad"] == str(value["writer"]) * 1000


def test_expiry_is_seen_by_all(base: str) -> None:
    """An entry that ended is gone for every client, and leaves total_keys."""
    requests.put(f"{base}/cache/e", json={"value": 1, "ttl": 1}, timeout=10)
    eventually(lambda: requests.get(f"{base}/cache/e", timeout=10).status_code == 404, 5, "404")
    eventually(lambda: requests.get(f"{base}/stats", timeout=10).json()["total_keys"] == 0, 5,
               "total_keys is 0")
