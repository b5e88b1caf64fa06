"""The pool: who dies is replaced, who is replaced loses nothing, who stops finishes first."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fcgi
from checks import check_envelope
from harness import (EXACT_MALLOC, FRONTS, SANITIZED, SLOW, VALGRIND, Larder, Redis, Stack, alive,
                     cpu_seconds, eventually, limit_descriptors, open_descriptors, pause,
                     resident_kib, stat_fields)
from load import Load
from proxy import Link, Relay

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
Own = Callable[..., Stack]


def whole_again(larder: Larder, but: tuple[int, ...] = ()) -> bool:
    """Whether the pool has its size and none of these processes is left."""
    return len(larder.workers()) == larder.worker_count and not any(map(alive, but))


def wait_generation(larder: Larder, generation: int) -> None:
    """Waits until only workers of this generation are left."""
    def done() -> bool:
        rows = larder.stats()["workers"]
        return {w["generation"] for w in rows} == {generation} and len(rows) == larder.worker_count
    eventually(done, 20,
               lambda: f"generation {generation} serves alone; log:\n{larder.text()[-2000:]}")


def row_connections(larder: Larder) -> list[int]:
    """Open connections of each worker, without the one that asks."""
    return [w["connections"] - w["in_flight"] for w in larder.stats()["workers"]]


@pytest.fixture
def slow_redis(new_redis: NewRedis) -> Iterator[Relay]:
    """A Redis behind a relay that holds replies to commands on keys named slow… for 0.3 s."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)

    def hold(link: Link, args: list[bytes], reply: bytes) -> bool:
        if len(args) > 1 and args[0] in (b"SET", b"GETRANGE") and args[1].startswith(b"slow"):
            time.sleep(0.3)
        return link.send(reply)

    relay.rule = hold
    yield relay
    relay.close()


# --- fair accept, kept connections ---------------------------------------------------------------

@pytest.mark.serial
def test_kept_connections_spread_evenly(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Kept connections, coming one by one, spread evenly over the workers."""
    larder = new_larder(new_redis()).start()
    connections = []
    for _ in range(64):
        connection = larder.connect()
        assert connection.request("GET", "/health/live", keep=True).status == 200
        connections.append(connection)
    counts = row_connections(larder)
    print(f"64 connections one by one: {counts}")
    assert sum(counts) == 64 and max(counts) - min(counts) <= 3
    for connection in connections:
        connection.close()


@pytest.mark.serial
def test_256_connections_through_nginx(own: Own) -> None:
    """256 clients at once on two workers: every one gets its answers, and the load is shared."""
    stack = own("nginx")
    port = stack.fronts["nginx"].port
    rounds, clients = 5, 256
    gate: list[asyncio.Event] = []

    async def client(number: int) -> list[int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        statuses = []
        await gate[0].wait()
        for _ in range(rounds):
            writer.write(b"GET /cache/shared HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10 * SLOW)
            length = re.search(rb"content-length: (\d+)", head.lower())
            assert length is not None
            body = await reader.readexactly(int(length.group(1)))
            assert b'"key":"shared"' in body, (number, body)
            statuses.append(int(head.split()[1]))
        writer.close()
        return statuses

    async def main() -> list[list[int]]:
        gate.append(asyncio.Event())
        tasks = [asyncio.create_task(client(i)) for i in range(clients)]
        await asyncio.sleep(0.2)
        gate[0].set()
        return await asyncio.gather(*tasks)

    stack.larder.fastcgi("PUT", "/cache/shared", b'{"value":1}')
    before = stack.larder.stats()["workers"]
    begun = time.monotonic()
    seen = asyncio.run(main())
    taken = time.monotonic() - begun
    assert [s for statuses in seen for s in statuses] == [200] * (rounds * clients)
    after = stack.larder.stats()["workers"]
    counts = row_connections(stack.larder)
    done = [a["requests"] - b["requests"] for a, b in zip(after, before)]
    print(f"256 clients: {taken:.2f} s, kept connections {counts}, requests {done}")
    assert sum(counts) >= 32, "nginx keeps connections"
    assert max(counts) - min(counts) <= max(4, sum(counts) // 10)
    assert min(done) >= sum(done) // 4


@pytest.mark.serial
def test_kept_connections_pin_nobody(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """With 200 idle kept connections on two workers a new connection is answered at once."""
    larder = new_larder(new_redis()).start()
    idle = [larder.connect() for _ in range(200)]
    for connection in idle:
        connection.request("GET", "/health/live", keep=True)
    taken = []
    for _ in range(50):
        begun = time.monotonic()
        assert larder.fastcgi("GET", "/cache/x").status == 404
        taken.append(time.monotonic() - begun)
    assert sorted(taken)[25] < 0.02 * SLOW
    for connection in idle:
        assert connection.request("GET", "/health/live", keep=True).status == 200
        connection.close()


# --- deaths --------------------------------------------------------------------------------------

@pytest.mark.serial
def test_kill_under_reads_loses_nothing_through_nginx(own: Own) -> None:
    """kill -9 of a worker under load: GET through nginx loses nothing (T1)."""
    stack = own("nginx")
    with stack.fronts["nginx"].http() as http:
        for i in range(8):
            http.put(f"/cache/k{i}", {"value": i})
    with Load(stack.fronts["nginx"].port, clients=32, writes=0.0) as load:
        # Only reads are retried by nginx.
        load.wait_prepared()
        for _ in range(10):
            victim = stack.larder.workers()[0]
            load.wait_requests(50)
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: whole_again(stack.larder, (victim,)), 5, "respawn")
    print(load.describe())
    load.check_perfect()
    assert stack.larder.running()
    assert stack.larder.stats()["counters"]["worker_deaths"] == 10


@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_kill_under_mixed_load(own: Own, kind: str) -> None:
    """kill -9 under reads and writes: honest errors, nothing wrong, nothing acknowledged lost."""
    stack = own(kind)
    clients, kills = 32, 8
    with Load(stack.fronts[kind].port, clients=clients) as load:
        for _ in range(kills):
            victim = stack.larder.workers()[0]
            load.wait_requests(60)
            os.kill(victim, signal.SIGKILL)
            eventually(lambda: whole_again(stack.larder, (victim,)), 5, "respawn")
        load.wait_requests(60)
    print(load.describe())
    load.check_right()
    # lighttpd leaves a backend that failed out for a second and answers 503 in the meantime.
    if kind == "nginx":
        assert len(load.tally.failures) <= clients * kills
    assert load.tally.slowest < 2 * SLOW, "a client hung"
    for failure in load.tally.failures:
        assert re.search(r"status 50[0234]|Incomplete|Connection", failure), failure


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_obituary(new_redis: NewRedis, new_larder: NewLarder, number: signal.Signals) -> None:
    """A death is logged: who, of what, how old, what it served last; and the worker is replaced."""
    # A sanitizer would take these signals for findings of its own.
    env = {f"{tool}_OPTIONS": "handle_segv=0:handle_abort=0" for tool in ("ASAN", "UBSAN")}
    larder = new_larder(new_redis(), workers=1, env=env).start()
    assert larder.fastcgi("DELETE", "/cache").status == 200
    victim = larder.workers()[0]
    os.kill(victim, number)
    eventually(lambda: whole_again(larder, (victim,)), what="respawn")
    line = larder.wait_text(rf"^.*warning.*pid {victim}\b.*$").group(0)
    assert f"signal {int(number)}" in line and "cache_clear" in line, line
    assert re.search(r"after \d+\.\d s", line), line
    eventually(lambda: larder.fastcgi("GET", "/health").status == 200, what="it serves")
    assert larder.stats()["counters"]["worker_deaths"] == 1


@pytest.mark.serial
def test_a_dead_worker_is_replaced_soon(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """After a death the pool is whole again within a fraction of a second."""
    larder = new_larder(new_redis()).start()
    for _ in range(5):
        for _ in range(8):
            larder.fastcgi("GET", "/health/live")
        victim = larder.workers()[0]
        begun = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: whole_again(larder, (victim,)), what="respawn")
        print(f"respawn after {(time.monotonic() - begun) * 1e3:.0f} ms")
        assert time.monotonic() - begun < 0.5 * SLOW


def lines_of_log(larder: Larder) -> int:
    """How many lines it has said, without what gcov says of files that it can't open."""
    return len(re.findall(r"^(?!profiling:)", larder.text(), re.M))


@pytest.mark.serial
def test_workers_that_die_at_once(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Workers that can't start are retried with back-off, and all is well when they can (T2)."""
    larder = new_larder(new_redis(), workers=2).start()
    before = limit_descriptors(larder.pid, 3)
    for pid in larder.workers():
        os.kill(pid, signal.SIGKILL)
    used, lines, begun = cpu_seconds(larder.pid), lines_of_log(larder), time.monotonic()
    time.sleep(1.5)
    spent = cpu_seconds(larder.pid) - used
    said = lines_of_log(larder) - lines
    seconds = time.monotonic() - begun
    print(f"in {seconds:.1f} s: {spent:.2f} s CPU, {said} lines")
    assert spent < 0.15 * SLOW and said <= 40
    assert larder.running()
    limit_descriptors(larder.pid, before)
    eventually(lambda: whole_again(larder), 15, "the pool recovers by itself")
    eventually(lambda: larder.fastcgi("GET", "/health").status == 200, what="it serves")


@pytest.mark.serial
@pytest.mark.parametrize("front", FRONTS)
def test_stopped_worker_is_replaced(own: Own, front: str) -> None:
    """A worker that shows no sign of life is killed and replaced; others serve on (T5)."""
    stack = own(front, watchdog_timeout=1000)
    victim = stack.larder.workers()[0]
    pause(victim)
    begun = time.monotonic()
    eventually(lambda: whole_again(stack.larder, (victim,)), 10, "watchdog")
    taken = time.monotonic() - begun
    print(f"a stopped worker was replaced after {taken:.2f} s")
    assert 0.5 < taken < 3 * SLOW
    stack.larder.wait_text(rf"pid {victim}\b.*(sign of life|watchdog)")
    with stack.fronts[front].http() as http:
        for _ in range(20):
            assert http.get("/health").status == 200


def test_master_killed(new_larder: NewLarder, new_redis: NewRedis) -> None:
    """kill -9 of the master: its workers end by themselves, and a new start works."""
    larder = new_larder(new_redis()).start()
    with larder.connect() as connection:
        connection.request("GET", "/health/live", keep=True)
        family = larder.workers()
        larder.signal(signal.SIGKILL)
        larder.wait()
        eventually(lambda: not any(map(alive, family)), 3, "the workers end")
    larder.start()


def test_no_zombies(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """The master collects every child."""
    larder = new_larder(new_redis()).start()
    dead = []
    for _ in range(5):
        dead.append(larder.workers()[0])
        os.kill(dead[-1], signal.SIGKILL)
        eventually(lambda: whole_again(larder, (dead[-1],)), what="respawn")
    assert not [pid for pid in dead if stat_fields(pid)]


def test_memory(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Master and two workers together stay below 16 MB of resident memory."""
    larder = new_larder(new_redis()).start()
    with larder.connect() as connection:
        for i in range(200):
            connection.request("PUT", f"/cache/{i}", b'{"value":"%s"}' % (b"x" * 1000), keep=True)
            connection.request("GET", f"/cache/{i}", keep=True)
    total = sum(map(resident_kib, [larder.pid, *larder.workers()]))
    print(f"resident: {total} KiB")
    assert total < (16 << 10 if not (SANITIZED or VALGRIND) else 1 << 20)


# --- reload --------------------------------------------------------------------------------------

@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_reloads_under_load(own: Own, kind: str) -> None:
    """Twenty reloads under load: no request fails through either server (T3)."""
    stack = own(kind)
    larder = stack.larder
    first = larder.workers()
    with Load(stack.fronts[kind].port, clients=24) as load:
        load.wait_requests(100)
        for generation in range(2, 22):
            larder.signal(signal.SIGHUP)
            larder.wait_text(rf"generation {generation} serves", 20)
            load.wait_requests(20)
        wait_generation(larder, 21)
    print(load.describe())
    load.check_perfect()
    counted = larder.stats()["counters"]
    assert (counted["reloads"], counted["reloads_refused"], counted["worker_deaths"]) == (20, 0, 0)
    assert not any(map(alive, first))
    if kind == "nginx":
        assert counted["connections_adopted"] > 0, "no kept connection was passed on"


@pytest.mark.serial
def test_reload_storm(own: Own) -> None:
    """Reloads faster than they can be done merge, and lose nothing either."""
    stack = own("nginx")
    with Load(stack.fronts["nginx"].port, clients=24) as load:
        load.wait_requests(100)
        for delay in range(0, 26):
            stack.larder.signal(signal.SIGHUP)
            time.sleep(delay / 1000)
        load.wait_requests(200)

        def settled() -> bool:
            rows = stack.larder.stats()["workers"]
            return len(rows) == 2 and len({w["generation"] for w in rows}) == 1
        eventually(settled, 20, "one generation is left")
    print(load.describe())
    load.check_perfect()
    assert 1 <= stack.larder.stats()["counters"]["reloads"] <= 26


def test_kept_connection_survives_reload(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """An idle kept connection is passed to a new worker and goes on there."""
    larder = new_larder(new_redis()).start()
    connections = [larder.connect() for _ in range(20)]
    for i, connection in enumerate(connections):
        body = b'{"value":%d}' % i
        assert connection.request("PUT", f"/cache/{i}", body, keep=True).status == 200
    old = larder.workers()
    for generation in (2, 3):
        larder.signal(signal.SIGHUP)
        larder.wait_text(rf"generation {generation} serves")
        eventually(lambda: whole_again(larder, tuple(old)), what="the old ones leave")
        old = larder.workers()
        for i, connection in enumerate(connections):
            check_envelope(connection.request("GET", f"/cache/{i}", keep=True), str(i), i, 3600,
                           slack=30)
        assert sum(row_connections(larder)) == 20
    assert larder.stats()["counters"]["connections_adopted"] >= 40
    for connection in connections:
        connection.close()


def test_probes_during_reloads(slow_redis: Relay, new_larder: NewLarder) -> None:
    """A worker that is still connecting doesn't call Redis away: no probe fails in a reload."""
    def slow_handshake(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"INFO" and args[1:] == [b"server"]:
            time.sleep(0.1)
        return link.send(reply)

    larder = new_larder(slow_redis.path, redis_connect_timeout=5000, redis_timeout=5000).start()
    slow_redis.rule = slow_handshake
    for generation in (2, 3, 4):
        larder.signal(signal.SIGHUP)
        larder.wait_text(rf"generation {generation} serves")
        for _ in range(10):
            for target in ("/health", "/health/ready"):
                answer = larder.fastcgi("GET", target)
                assert answer.status == 200, (target, answer.body)
            assert larder.fastcgi("GET", "/cache/none").status == 404
    larder.stop()


def test_request_in_flight_survives_reload(slow_redis: Relay, new_larder: NewLarder) -> None:
    """A request that waits for Redis while its worker retires gets its answer from it."""
    larder = new_larder(slow_redis.path, workers=1).start()
    with larder.connect() as connection:
        connection.send(fcgi.request_bytes("PUT", "/cache/slow", b'{"value":1}', keep=True))
        connection.wait_consumed()
        time.sleep(0.05)
        larder.signal(signal.SIGHUP)
        larder.wait_text("generation 2 serves")
        check_envelope(connection.read_response(), "slow", 1, 3600)
        assert connection.request("GET", "/health/live", keep=True).status == 200
    wait_generation(larder, 2)


def test_half_a_request_survives_reload(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A request of which a part had come when the worker retired is answered too."""
    larder = new_larder(new_redis(), workers=1).start()
    data = fcgi.request_bytes("PUT", "/cache/half", b'{"value":1}', keep=True)
    with larder.connect() as connection:
        connection.send(data[:100])
        connection.wait_consumed()
        larder.signal(signal.SIGHUP)
        larder.wait_text("generation 2 serves")
        connection.send(data[100:])
        check_envelope(connection.read_response(), "half", 1, 3600)


def test_reload_takes_a_new_configuration(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """SIGHUP reads the file again: what can change changes, what can't is named."""
    larder = new_larder(new_redis(), workers=None)
    conf = larder.directory / "larder.conf"
    conf.write_text("workers = 1\ndefault_ttl = 100\n")
    larder.options["config"] = conf
    larder.start()
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":1}').json()["ttl"] == 100
    conf.write_text("workers = 3\ndefault_ttl = 200\nlisten_mode = 0600\n"
                    "max_memory_policy = volatile-ttl\n")
    larder.signal(signal.SIGHUP)
    larder.wait_text("generation 2 serves")
    eventually(lambda: {w["generation"] for w in larder.stats()["workers"]} == {2}, what="alone")
    assert len(larder.workers()) == 3
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":1}').json()["ttl"] == 200
    larder.wait_text(r"warning.*listen_mode")
    eventually(lambda: larder.stats()["redis"]["max_memory_policy"] == "volatile-ttl",
               what="the policy is applied")


def test_bad_configuration_at_reload(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A bad file at reload changes nothing, is named in the log, and a good one works again."""
    larder = new_larder(new_redis())
    conf = larder.directory / "larder.conf"
    conf.write_text("default_ttl = 100\n")
    larder.options["config"] = conf
    larder.start()
    family = larder.workers()
    for bad in ("default_ttl = x\n", "nonsense\n", "max_ttl = 0\nworkers = 999\n"):
        conf.write_text("\n" + bad)
        mark = larder.stats()["counters"]["reloads_refused"]
        larder.signal(signal.SIGHUP)
        eventually(lambda: larder.stats()["counters"]["reloads_refused"] == mark + 1,
                   what="the reload is refused")
        assert f"{conf}:2" in larder.text()
        health = larder.fastcgi("GET", "/health").json()
        assert (health["status"], health["reasons"]) == ("degraded", ["reload-refused"])
        assert larder.workers() == family
        assert larder.fastcgi("PUT", "/cache/a", b'{"value":1}').json()["ttl"] == 100
    conf.unlink()
    larder.signal(signal.SIGHUP)
    eventually(lambda: larder.stats()["counters"]["reloads_refused"] == 4, what="refused")
    conf.write_text("default_ttl = 300\n")
    larder.signal(signal.SIGHUP)
    wait_generation(larder, 2)
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":1}').json()["ttl"] == 300
    assert "reasons" not in larder.fastcgi("GET", "/health").json()


def test_reload_without_descriptors(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A reload that the system doesn't let happen is refused, and the old workers serve on."""
    larder = new_larder(new_redis()).start()
    family = larder.workers()
    before = limit_descriptors(larder.pid, 3)
    larder.signal(signal.SIGHUP)
    larder.wait_text("reload refused", 10)
    limit_descriptors(larder.pid, before)
    assert set(family) <= set(larder.workers())
    assert larder.fastcgi("GET", "/health").status == 200
    eventually(lambda: larder.workers() == family, what="the failed ones are gone")
    larder.signal(signal.SIGHUP)
    larder.wait_text(r"generation \d+ serves")


@pytest.mark.serial
def test_recycling(own: Own) -> None:
    """Workers are replaced after max_requests under load, without a failure (T6)."""
    stack = own("nginx", max_requests=300)
    first = stack.larder.workers()
    fewest = 2
    with Load(stack.fronts["nginx"].port, clients=16) as load:
        end = time.monotonic() + 20 * SLOW
        while load.tally.requests < 2500 and time.monotonic() < end:
            rows = stack.larder.stats()["workers"]
            fewest = min(fewest, sum(w["state"] == "ready" for w in rows))
    print(load.describe())
    load.check_perfect()
    assert fewest == 2, "fewer workers than there should be"
    assert not set(first) & set(stack.larder.workers()), "nobody was replaced"
    counted = stack.larder.stats()["counters"]
    assert counted["worker_deaths"] == 0 and counted["worker_starts"] >= 5


def test_batch_scheduling(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Workers are batch tasks; not if that is switched off, by a reload too."""
    def policies() -> set[int]:
        return {os.sched_getscheduler(pid) for pid in larder.workers()}

    larder = new_larder(new_redis())
    conf = larder.directory / "larder.conf"
    conf.write_text("")
    larder.options["config"] = conf
    larder.start()
    eventually(lambda: policies() == {os.SCHED_BATCH}, what="every worker has set itself up")
    assert os.sched_getscheduler(larder.pid) == os.SCHED_OTHER, "the master is in no hurry, ever"
    conf.write_text("batch_scheduling = no\n")
    larder.signal(signal.SIGHUP)
    wait_generation(larder, 2)
    assert policies() == {os.SCHED_OTHER}


def test_chosen_scheduling(new_larder: NewLarder) -> None:
    """A policy that the service manager gave stays."""
    larder = new_larder()
    before = os.sched_getscheduler(0)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:
        larder.start()
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))
    assert {os.sched_getscheduler(pid) for pid in larder.workers()} == {os.SCHED_IDLE}


# --- log -----------------------------------------------------------------------------------------

def test_log_reopen(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """SIGUSR1: master and workers go on in a new file; the renamed one grows no more."""
    redis = new_redis()
    larder = new_larder(redis, workers=2)
    log, old = larder.directory / "log", larder.directory / "log.1"
    larder.options["log-file"] = log
    larder.start()
    log.rename(old)
    larder.signal(signal.SIGUSR1)
    eventually(log.exists, what="a new log file")

    def descriptors() -> set[str]:
        links = set()
        for pid in [larder.pid, *larder.workers()]:
            links |= {os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")
                      if Path(f"/proc/{pid}/fd/{n}").is_symlink()}
        return links

    eventually(lambda: str(old) not in descriptors(), what="nobody writes to the old file")
    size = old.stat().st_size
    redis.kill()
    redis.start()
    eventually(lambda: len(re.findall(r"worker \d.*connected", log.read_text())) >= 2,
               what="both workers log into the new file")
    assert old.stat().st_size == size


def test_log_that_cannot_be_written(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A full log device hinders nobody."""
    larder = new_larder(new_redis(), workers=1, log_file="/dev/full", log_level="debug").start()
    for i in range(50):
        assert larder.fastcgi("PUT", f"/cache/{i}", b'{"value":1}').status == 200


def test_log_pipe_that_nobody_reads(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A log pipe that is full blocks neither master nor workers."""
    larder = new_larder(new_redis(), workers=1, log_level="debug")
    pipe = larder.directory / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        larder.options["log-file"] = pipe
        larder.start()
        os.set_blocking(reader, False)
        while True:
            try:
                os.write(reader, b"x" * 4096)
            except BlockingIOError:
                break
        for i in range(50):
            assert larder.fastcgi("GET", f"/cache/{i}").status == 404
        larder.signal(signal.SIGUSR1)
        larder.signal(signal.SIGHUP)
        eventually(lambda: larder.stats()["counters"]["reloads"] == 1, what="reload")
        larder.stop()
    finally:
        os.close(reader)


# --- stop ----------------------------------------------------------------------------------------

@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_stop_under_load(own: Own, kind: str) -> None:
    """SIGTERM under load: it ends with 0, in time, with nothing wrong or half answered (T4)."""
    stack = own(kind)
    family = stack.larder.workers()
    with Load(stack.fronts[kind].port, clients=16) as load:
        load.wait_requests(200)
        stack.larder.signal(signal.SIGTERM)
        begun = time.monotonic()
        status = stack.larder.wait(8)
        taken = time.monotonic() - begun
    print(f"stopped after {taken:.2f} s; {load.describe()}")
    stack.larder.check_ended(status, family)
    load.check_right()
    assert taken < 2 * SLOW
    short = [f for f in load.tally.failures if "Incomplete" in f]
    assert not short, f"answers cut short: {short[:3]}"


def test_stop_finishes_what_it_has(slow_redis: Relay, new_larder: NewLarder) -> None:
    """Requests that were taken before SIGTERM are answered, then the connections end."""
    larder = new_larder(slow_redis.path, redis_timeout=5000).start()
    family = larder.workers()
    connections = [larder.connect() for _ in range(6)]
    for i, connection in enumerate(connections):
        body = b'{"value":%d}' % i
        connection.send(fcgi.request_bytes("PUT", f"/cache/slow{i}", body, keep=True))
        connection.wait_consumed()
    time.sleep(0.05)
    larder.signal(signal.SIGTERM)
    for i, connection in enumerate(connections):
        check_envelope(connection.read_response(), f"slow{i}", i, 3600)
        assert connection.at_end()
        connection.close()
    larder.check_ended(larder.wait(), family)


def test_stop_with_idle_kept_connections(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Idle kept connections don't delay a stop."""
    larder = new_larder(new_redis()).start()
    family = larder.workers()
    connections = [larder.connect() for _ in range(20)]
    for connection in connections:
        connection.request("GET", "/health/live", keep=True)
    begun = time.monotonic()
    larder.signal(signal.SIGTERM)
    larder.check_ended(larder.wait(4), family)
    assert time.monotonic() - begun < 1.5 * SLOW
    for connection in connections:
        assert connection.at_end()
        connection.close()


def test_stop_with_a_stuck_worker(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A worker that doesn't leave is killed after drain_timeout; the end is still a good one."""
    larder = new_larder(new_redis(), drain_timeout=500).start()
    family = larder.workers()
    pause(family[0])
    begun = time.monotonic()
    larder.signal(signal.SIGTERM)
    larder.check_ended(larder.wait(6), family)
    assert 0.4 < time.monotonic() - begun < 2 * SLOW


def test_stop_beats_reload(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """SIGTERM in the middle of reloads ends it."""
    for _ in range(5):
        larder = new_larder(new_redis()).start()
        larder.signal(signal.SIGHUP)
        larder.signal(signal.SIGTERM)
        larder.signal(signal.SIGHUP)
        assert larder.wait(8) == 0
        assert not list(larder.run_dir.iterdir())


@pytest.mark.serial
def test_signal_storm(own: Own) -> None:
    """Hundreds of USR1, CHLD and PIPE signals under load fail nothing (T26)."""
    stack = own("nginx")
    with Load(stack.fronts["nginx"].port, clients=16) as load:
        load.wait_requests(50)
        for _ in range(100):
            for pid in [stack.larder.pid, *stack.larder.workers()]:
                for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH):
                    os.kill(pid, number)
            stack.larder.signal(signal.SIGUSR1)
            time.sleep(0.002)
        load.wait_requests(50)
    print(load.describe())
    load.check_perfect()
    assert stack.larder.stats()["counters"]["worker_deaths"] == 0


@pytest.mark.serial
def test_start_and_stop_many_times(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Thirty cycles of start and stop, each clean."""
    larder = new_larder(new_redis())
    for _ in range(30):
        larder.start()
        larder.stop()


@pytest.mark.serial
def test_nothing_grows(own: Own) -> None:
    """After thousands of requests of all kinds memory and descriptors are where they were (T24)."""
    stack = own("nginx", workers=1, env=EXACT_MALLOC)
    worker = stack.larder.workers()[0]

    def work(count: int) -> None:
        with stack.larder.connect() as connection:
            for i in range(count):
                size = (i * 7919) % 20_000
                body = b'{"value":"' + b"x" * size + b'"}'
                connection.request("PUT", f"/cache/{i % 50}", body, keep=True)
                connection.request("GET", f"/cache/{i % 60}", keep=True)
                if i % 20 == 0:
                    connection.request("PUT", "/cache/bad", b'{"value":', keep=True)
                    connection.request("GET", "/stats", keep=True)
                    connection.request("GET", "/metrics", keep=True)
                    stack.larder.fastcgi("GET", "/cache/%zz")

    work(1500)
    memory, descriptors = resident_kib(worker), open_descriptors(worker)
    work(4000)
    grown = resident_kib(worker) - memory
    print(f"resident memory of the worker: {memory} KiB, grown by {grown} KiB")
    eventually(lambda: open_descriptors(worker) <= descriptors, 5, "descriptors are closed")
    assert grown < (128 if not (SANITIZED or VALGRIND) else 100_000)
