"""The numbers are true: exact over all workers, never going down, the same in both forms."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import fcgi
import prometheus
import resp
from checks import check_timestamp
from harness import FRONTS, SRCDIR, Larder, Redis, Stack, alive, eventually
from load import Load

ROUTES = ("cache_get", "cache_put", "cache_patch", "cache_delete", "cache_clear", "raw_get", "raw_put",
          "raw_delete", "counter", "batch", "keys", "stats", "health", "health_live", "health_ready",
          "metrics", "openapi", "docs", "index", "other")


@pytest.fixture
def larder(new_redis: Callable[..., Redis], new_larder: Callable[..., Larder]) -> Larder:
    """A larderd that nobody else asks."""
    larder: Larder = new_larder(new_redis(), workers=2)
    return larder.start()


def metrics(larder: Larder) -> dict[str, prometheus.Family]:
    """GET /metrics, strictly read."""
    answer = larder.fastcgi("GET", "/metrics")
    assert answer.status == 200
    return prometheus.parse(answer.body.decode())


def counters(families: dict[str, prometheus.Family]) -> dict[tuple[str, Any], float]:
    """Every sample that must never go down; Redis's own are reset with Redis."""
    return {sample: value for name, family in families.items()
            if family.kind in ("counter", "histogram") and not name.startswith("larder_redis_e")
            and not name.startswith("larder_redis_keyspace")
            for sample, value in family.samples.items()}


def test_hits_and_misses_are_exact(larder: Larder) -> None:
    """hits + misses is the number of GETs over all workers; errors and writes are neither."""
    def client(number: int) -> tuple[int, int]:
        hits = misses = 0
        with larder.connect() as connection:
            for i in range(60):
                key = f"/cache/{number}-{i % 7}"
                status = connection.request("GET", key, keep=True).status
                hits, misses = hits + (status == 200), misses + (status == 404)
                status = connection.request("HEAD", key, keep=True).status
                hits, misses = hits + (status == 200), misses + (status == 404)
                assert connection.request("GET", "/cache/%00", keep=True).status == 400
                if i % 3 == 0:
                    connection.request("PUT", key, b'{"value":1}', keep=True)
                elif i % 5 == 0:
                    connection.request("DELETE", key, keep=True)
        return hits, misses

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(client, range(8)))
    stats = larder.stats()
    assert stats["hits"] == sum(h for h, _ in seen)
    assert stats["misses"] == sum(m for _, m in seen)
    assert stats["hits"] + stats["misses"] == 8 * 60 * 2
    assert stats["hit_rate"] == round(100 * stats["hits"] / (8 * 120), 2)
    workers = stats["workers"]
    assert sum(w["hits"] for w in workers) == stats["hits"]
    assert sum(w["misses"] for w in workers) == stats["misses"]
    assert all(w["hits"] > 0 for w in workers), "one worker did it all"


@pytest.mark.parametrize("kind", FRONTS)
def test_hits_through_a_front(own: Callable[..., Stack], kind: str) -> None:
    """The same through a web server, with 32 clients at a time."""
    stack = own(kind)
    with Load(stack.fronts[kind].port, clients=32, writes=0.5) as load:
        load.wait_requests(1500)
    load.check_perfect()
    stats = stack.larder.stats()
    gets = stats["requests"]["by_route"]["cache_get"]
    assert stats["hits"] + stats["misses"] == sum(gets.values())
    assert stats["hits"] == gets["2xx"]
    assert sum(gets.values()) + stats["counters"]["stores"] == load.tally.requests


def test_wrong_type_is_neither_hit_nor_miss(stack: Stack, key: str) -> None:
    """A lookup that ends in an error isn't counted as a lookup."""
    stack.redis.ask("LPUSH", key, "x")
    before = stack.larder.stats()
    assert stack.larder.fastcgi("GET", f"/cache/{key}").status == 409
    after = stack.larder.stats()
    assert (after["hits"], after["misses"]) == (before["hits"], before["misses"])


def test_requests_by_route_and_class(larder: Larder) -> None:
    """Every request is counted once, under its route and the class of its status."""
    before = larder.stats()["requests"]["by_route"]
    asked = [("PUT", "/cache/a", b'{"value":1}'), ("PUT", "/cache/a", b"{"),
             ("GET", "/cache/a", b""), ("GET", "/cache/b", b""), ("HEAD", "/cache/a", b""),
             ("DELETE", "/cache/a", b""),
             ("DELETE", "/cache/a", b""), ("DELETE", "/cache", b""), ("GET", "/health", b""),
             ("GET", "/health/live", b""), ("GET", "/", b""), ("GET", "/metrics", b""),
             ("GET", "/unknown", b""), ("POST", "/cache/a", b""),
             ("PUT", "/raw/a", b"x"), ("GET", "/raw/a", b""), ("DELETE", "/raw/a", b""),
             ("GET", "/raw/a", b""), ("PATCH", "/cache/a", b'{"ttl":5}'),
             ("POST", "/counters/a", b""), ("POST", "/batch", b"{}"), ("GET", "/keys", b"")]
    for method, target, body in asked:
        larder.fastcgi(method, target, body)
    after = larder.stats()["requests"]["by_route"]

    def grown(route: str) -> dict[str, int]:
        old, new = before.get(route, {}), after.get(route, {})
        return {c: n - old.get(c, 0) for c, n in new.items() if n > old.get(c, 0)}

    assert set(after) == set(ROUTES)
    assert grown("cache_put") == {"2xx": 1, "4xx": 1}
    assert grown("cache_get") == {"2xx": 2, "4xx": 1}
    assert grown("cache_delete") == {"2xx": 1, "4xx": 1}
    assert grown("cache_clear") == {"2xx": 1}
    assert grown("raw_get") == {"2xx": 1, "4xx": 1}
    assert grown("cache_patch") == grown("batch") == {"4xx": 1}
    for route in ("health", "health_live", "index", "metrics", "stats", "raw_put", "raw_delete",
                  "counter", "keys"):
        assert grown(route) == {"2xx": 1}, route
    assert grown("other") == {"4xx": 2}


def test_counters_of_entries(larder: Larder) -> None:
    """Stores, deletes and clears count what was done, not what was tried."""
    for _ in range(3):
        larder.fastcgi("PUT", "/cache/a", b'{"value":1}')
    larder.fastcgi("PUT", "/cache/a", b"{")
    larder.fastcgi("DELETE", "/cache/a")
    larder.fastcgi("DELETE", "/cache/a")
    larder.fastcgi("DELETE", "/cache")
    counted = larder.stats()["counters"]
    assert (counted["stores"], counted["deletes"], counted["clears"]) == (3, 1, 1)


def test_latency(larder: Larder) -> None:
    """Percentiles are there, in order, and of a believable size."""
    with larder.connect() as connection:
        for _ in range(500):
            connection.request("GET", "/cache/x", keep=True)
    latency = larder.stats()["latency"]
    assert latency["unit"] == "microseconds"
    values = [latency[name] for name in ("p50", "p90", "p99", "p99_9")]
    assert all(isinstance(v, (int, float)) for v in values)
    assert 0 < values[0] and values == sorted(values) and values[-1] < 10_000_000
    assert 0 < latency["mean"] <= values[-1]


def test_a_slow_answer_is_seen_in_the_percentiles(larder: Larder) -> None:
    """An answer that took 300 ms is in p99.9 and doesn't move the median."""
    with larder.connect() as connection:
        for _ in range(50):
            connection.request("GET", "/cache/x", keep=True)
        with resp.Client(Path(str(larder.options["redis-socket"]))) as client:
            client.send("DEBUG", "SLEEP", "0.3")
            time.sleep(0.02)
            begun = time.monotonic()
            assert connection.request("GET", "/cache/x", keep=True).status == 404
            assert time.monotonic() - begun > 0.2
    latency = larder.stats()["latency"]
    assert latency["p99_9"] >= 200_000
    assert latency["p50"] < 100_000


def test_metrics_format_and_agreement(larder: Larder) -> None:
    """/metrics is strict Prometheus text, and says the same as /stats."""
    with larder.connect() as connection:
        for i in range(20):
            connection.request("PUT", f"/cache/{i}", b'{"value":1}', keep=True)
            connection.request("GET", f"/cache/{i}", keep=True)
            connection.request("GET", f"/cache/{i}-none", keep=True)
    stats, families = larder.stats(), metrics(larder)
    # Asking is itself counted, in these.
    moving = {"connections_accepted", "bytes_received", "bytes_sent", "redis_commands"}
    for name, value in stats["counters"].items():
        there = prometheus.value(families, f"larder_{name}_total")
        assert there == value or (name in moving and there > value), name
    assert prometheus.value(families, "larder_hits_total") == stats["hits"] == 20
    for route in ROUTES:
        for klass in ("2xx", "4xx", "5xx"):
            expected = stats["requests"]["by_route"][route].get(klass, 0)
            expected += (route, klass) == ("stats", "2xx")
            assert prometheus.value(families, "larder_requests_total", route=route,
                                    **{"class": klass}) == expected, (route, klass)
    answered = prometheus.value(families, "larder_request_duration_seconds_count")
    assert answered == prometheus.total(families, "larder_requests_total")
    assert answered == stats["requests"]["total"] + 1
    assert prometheus.value(families, "larder_redis_up") == 1
    assert prometheus.value(families, "larder_redis_keys") == stats["total_keys"] == 20
    assert prometheus.value(families, "larder_workers", state="ready") == 2
    assert prometheus.value(families, "larder_redis_maxmemory_bytes") == stats["redis"]["maxmemory"]


def test_every_counter_is_in_every_form(larder: Larder) -> None:
    """A counter that /stats has is in /metrics and in docs/statistics.md, and the reverse."""
    names = set(larder.stats()["counters"])
    exported = {name.removeprefix("larder_").removesuffix("_total")
                for name, family in metrics(larder).items() if family.kind == "counter"}
    figures = {"redis_evicted_keys", "redis_expired_keys", "redis_keyspace_hits",
               "redis_keyspace_misses"}
    assert exported - figures - {"requests"} == names
    text = (SRCDIR / "docs" / "statistics.md").read_text()
    for name in names:
        assert f"`{name}`" in text, f"{name} is not documented"


def test_worker_rows(larder: Larder) -> None:
    """Each worker has its row, with what is true of it."""
    stats = larder.stats()
    rows = stats["workers"]
    assert sorted(w["pid"] for w in rows) == larder.workers()
    assert len({w["row"] for w in rows}) == len(rows)
    for w in rows:
        assert w["state"] == "ready" and w["generation"] == 1 and w["redis_ready"] is True
        assert 0 <= w["heartbeat_age_ms"] < 2000 and w["uptime_seconds"] >= 0
    assert sum(w["connections"] for w in rows) == 1
    assert sum(w["in_flight"] for w in rows) == 1
    connections = [larder.connect() for _ in range(10)]
    for connection in connections:
        connection.request("GET", "/health/live", keep=True)
    assert sum(w["connections"] for w in larder.stats()["workers"]) == 11
    for connection in connections:
        connection.close()
    eventually(lambda: sum(w["connections"] for w in larder.stats()["workers"]) == 1,
               what="closed connections leave the rows")
    check_timestamp(stats["timestamp"])


def test_redis_figures(stack: Stack) -> None:
    """What /stats says of Redis is what Redis says."""
    info = {**stack.redis.info("memory"), **stack.redis.info("stats")}
    redis = stack.larder.stats()["redis"]
    assert redis["connected"] is True and redis["breaker"] == "closed"
    assert redis["max_memory_policy"] == info["maxmemory_policy"] == "allkeys-lru"
    assert redis["maxmemory"] == int(info["maxmemory"])
    assert abs(redis["used_memory"] - int(info["used_memory"])) < 4 << 20
    assert redis["evicted_keys"] == int(info["evicted_keys"])
    assert redis["expired_keys"] >= int(info["expired_keys"])


def test_expired_keys_are_counted(larder: Larder) -> None:
    """A key that expires shows up in expired_keys."""
    larder.fastcgi("PUT", "/cache/short", b'{"value":1,"ttl":1}')
    eventually(lambda: larder.stats()["redis"]["expired_keys"] == 1, 10, "expired_keys is 1")
    assert larder.stats()["total_keys"] == 0


def test_uptime(larder: Larder) -> None:
    """Uptime is the service's: a worker's death doesn't reset it."""
    eventually(lambda: larder.stats()["uptime_seconds"] >= 1, what="a second of uptime")
    victim = larder.workers()[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not alive(victim) and len(larder.workers()) == 2, what="respawn")
    stats = larder.stats()
    assert stats["uptime_seconds"] >= 1
    assert min(w["uptime_seconds"] for w in stats["workers"]) < stats["uptime_seconds"]


@pytest.mark.serial
def test_sums_survive_kills(larder: Larder) -> None:
    """Under kill -9 no sum ever goes down, and at most one event is lost per kill (T7)."""
    kills = 6
    stop = threading.Event()
    answered, failed = [0] * 4, [0] * 4

    def client(number: int) -> None:
        connection: fcgi.Connection | None = None
        while not stop.is_set():
            try:
                connection = connection or larder.connect()
                connection.request("GET", f"/cache/{number}", keep=True)
                answered[number] += 1
            except (fcgi.Closed, OSError):
                failed[number] += 1
                if connection is not None:
                    connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def read() -> dict[tuple[str, Any], float]:
        while True:
            try:
                return counters(metrics(larder))
            except (fcgi.Closed, OSError):
                continue

    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    try:
        last = read()
        for _ in range(kills):
            victim = max(larder.workers())
            mark = sum(answered)
            eventually(lambda: sum(answered) > mark + 100, what="requests flow")
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: not alive(victim) and len(larder.workers()) == 2, what="respawn")
            for _ in range(5):
                present = read()
                fell = {k: (last[k], present.get(k)) for k in last if present.get(k, -1) < last[k]}
                assert not fell, fell
                last = present
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    stats = larder.stats()
    counted = stats["hits"] + stats["misses"]
    print(f"{sum(answered)} answered, {sum(failed)} cut off, {counted} counted")
    assert sum(answered) - kills <= counted <= sum(answered) + sum(failed)
    assert stats["counters"]["worker_deaths"] == kills
    assert stats["counters"]["worker_starts"] == 2 + kills
