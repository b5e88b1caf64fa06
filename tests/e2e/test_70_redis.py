"""Redis away, slow, broken, refusing: fast, honest errors, quick recovery, never a wrong value."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fcgi
import prometheus
from checks import check_envelope, check_json, check_problem
from harness import (FRONTS, SANITIZED, SLOW, VALGRIND, Larder, Redis, Stack, cpu_seconds,
                     eventually, resident_kib)
from load import Load
from proxy import Link, Relay
from rawhttp import Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
Own = Callable[..., Stack]
BODY = b'{"value":1}'
WITHOUT_REDIS = ["/", "/health/live", "/metrics"]


def timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    """An answer and the seconds it took."""
    begun = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - begun


def wait_connected(larder: Larder) -> None:
    """Until every worker is: one that is still connecting has a shorter time for it."""
    eventually(lambda: all(w["redis_ready"] for w in larder.stats()["workers"]),
               what="every worker is connected")


def check_away(larder: Larder) -> None:
    """Every answer while Redis is away: 503s that say so, and what needs no Redis as ever."""
    for method, target, body in (("GET", "/cache/a", b""), ("HEAD", "/cache/a", b""),
                                 ("PUT", "/cache/a", BODY), ("DELETE", "/cache/a", b""),
                                 ("DELETE", "/cache", b""), ("GET", "/stats", b""),
                                 ("GET", "/health", b""), ("GET", "/health/ready", b"")):
        answer = larder.fastcgi(method, target, body)
        assert answer.status == 503, (method, target, answer)
        assert int(answer.header("Retry-After") or 0) >= 1
        if method == "HEAD":
            continue
        document = answer.json()
        assert document["type"].startswith("/errors/backend-") and document["retry_after"] >= 1
        if method in ("PUT", "DELETE"):
            assert document["outcome"] == "not-applied", document
        else:
            assert "outcome" not in document
    assert larder.fastcgi("GET", "/health").json()["detail"] == "Redis connection failed"
    for target in WITHOUT_REDIS:
        assert larder.fastcgi("GET", target).status == 200
    families = prometheus.parse(larder.fastcgi("GET", "/metrics").body.decode())
    assert prometheus.value(families, "larder_redis_up") == 0


def wait_away(larder: Larder) -> None:
    """Waits until every worker knows that Redis is away."""
    def known() -> bool:
        return all(larder.fastcgi("GET", "/health").status == 503 for _ in range(8))
    eventually(known, 5, "Redis is known to be away")


def measure_recovery(larder: Larder, bound: float = 3.0) -> None:
    """Waits for the first 200 and then for 20 in a row; prints how long that took."""
    begun = time.monotonic()
    eventually(lambda: larder.fastcgi("PUT", "/cache/back", BODY).status == 200, bound, "first 200")
    first = time.monotonic() - begun

    def steady() -> bool:
        return all(larder.fastcgi("GET", "/cache/back").status == 200 for _ in range(20))
    eventually(steady, bound, "all workers")
    print(f"recovery: first 200 after {first * 1e3:.0f} ms, "
          f"all after {(time.monotonic() - begun) * 1e3:.0f} ms")
    assert time.monotonic() - begun < bound * SLOW


def slow_answers(http: Http, targets: list[str], count: int) -> list[float]:
    """Seconds that requests take, in order of size."""
    taken = []
    for i in range(count):
        answer, seconds = timed(lambda: http.get(targets[i % len(targets)]))
        assert answer.status in (200, 503)
        taken.append(seconds)
    return sorted(taken)


# --- absent, killed, stopped ---------------------------------------------------------------------

def test_absent_at_start(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Without Redis it starts, says so, and serves within a second of Redis's appearance (T28)."""
    redis = new_redis()
    redis.stop()
    larder = new_larder(redis)
    begun = time.monotonic()
    larder.start(ready=False)
    print(f"start without Redis: {(time.monotonic() - begun) * 1e3:.0f} ms")
    wait_away(larder)
    check_away(larder)
    redis.start()
    measure_recovery(larder)
    larder.wait_text("connected to Redis")


@pytest.mark.serial
def test_errors_are_fast_while_it_is_away(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """With Redis gone every 503 comes at once."""
    redis = new_redis()
    larder = new_larder(redis).start()
    redis.kill()
    first = [timed(lambda: larder.fastcgi("GET", "/cache/a")) for _ in range(4)]
    wait_away(larder)
    taken = sorted(timed(lambda: larder.fastcgi("GET", "/cache/a"))[1] for _ in range(200))
    print(f"first answers {[f'{a.status} {s * 1e3:.1f} ms' for a, s in first]}, then median "
          f"{taken[100] * 1e3:.2f} ms, slowest {taken[-1] * 1e3:.2f} ms")
    assert max(s for _, s in first) < 1.0 * SLOW
    assert taken[100] < 0.01 * SLOW and taken[190] < 0.05 * SLOW
    check_away(larder)


@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_killed_under_load(own: Own, kind: str) -> None:
    """Redis killed and started empty: 503s, never a wrong value, quick recovery (T10)."""
    stack = own(kind)
    with Load(stack.fronts[kind].port, clients=16, may_vanish=True, pause=0.001) as load:
        for _ in range(3):
            load.wait_requests(100)
            stack.redis.kill()
            load.wait_requests(100)
            stack.redis.start()
            measure_recovery(stack.larder)
        load.wait_requests(100)
    print(load.describe())
    load.check_right()
    assert set(load.tally.statuses) <= {200, 404, 503}
    assert load.tally.statuses[503] > 0
    assert load.tally.slowest < 1.0 * SLOW
    assert all("status 503" in f for f in load.tally.failures), load.tally.failures[:3]


@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_stopped_under_load(own: Own, kind: str) -> None:
    """Redis SIGSTOPped and continued: bounded waits, no late reply to another request (T11)."""
    stack = own(kind)
    with Load(stack.fronts[kind].port, clients=16, pause=0.001) as load:
        for seconds in (0.2, 1.0, 1.5):
            load.wait_requests(100)
            stack.redis.signal(signal.SIGSTOP)
            time.sleep(seconds)
            stack.redis.signal(signal.SIGCONT)
            measure_recovery(stack.larder)
        load.wait_requests(300)
    print(load.describe())
    load.check_right()
    assert set(load.tally.statuses) <= {200, 404, 503}
    assert load.tally.slowest < 2.0 * SLOW
    assert all("status 503" in f for f in load.tally.failures), load.tally.failures[:3]
    for failure in load.tally.failures:
        if failure.startswith("PUT"):
            assert re.search(r'"outcome":"(unknown|not-applied)"', failure), failure


@pytest.mark.serial
@pytest.mark.parametrize("kind", FRONTS)
def test_a_stopped_redis_hinders_nobody_else(own: Own, kind: str) -> None:
    """While Redis is stopped, what needs no Redis is as fast as ever, also beside what waits."""
    stack = own(kind)
    waiting = [stack.larder.connect() for _ in range(16)]
    targets = ["/", "/health", "/health/live", "/health/ready"]
    with stack.fronts[kind].http() as http:
        before = slow_answers(http, targets, 60)
        stack.redis.signal(signal.SIGSTOP)
        try:
            for i, connection in enumerate(waiting):
                connection.send(fcgi.request_bytes("GET", f"/cache/{i}", keep=True))
            during = slow_answers(http, targets, 100)
            answers = [connection.read_response() for connection in waiting]
            later = slow_answers(http, targets, 100)
        finally:
            stack.redis.signal(signal.SIGCONT)
    for name, taken in (("before", before), ("while they wait", during), ("later", later)):
        print(f"{name}: median {taken[len(taken) // 2] * 1e3:.2f} ms, "
              f"slowest {taken[-1] * 1e3:.2f} ms")
    for taken in (during, later):
        assert taken[len(taken) // 2] < 0.01 * SLOW and taken[-len(taken) // 20] < 0.1 * SLOW
    for answer in answers:
        assert answer.status == 503
        assert answer.slug in ("backend-timeout", "backend-unavailable"), answer
    for connection in waiting:
        connection.close()
    measure_recovery(stack.larder)


@pytest.mark.serial
def test_first_answers_of_a_stopped_redis(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """The first requests wait out the timeout, not more; then 503 comes at once."""
    redis = new_redis()
    larder = new_larder(redis).start()
    wait_connected(larder)
    redis.signal(signal.SIGSTOP)
    try:
        first = [timed(lambda: larder.fastcgi("PUT", "/cache/a", BODY)) for _ in range(6)]
        print("first answers: " + ", ".join(f"{s * 1e3:.0f} ms" for _, s in first))
        for answer, seconds in first:
            assert answer.status == 503 and seconds < 0.9 * SLOW
        assert check_problem(first[0][0], 503, "backend-timeout")["outcome"] == "unknown"
        assert 0.3 < first[0][1]
        wait_away(larder)
        taken = sorted(timed(lambda: larder.fastcgi("GET", "/cache/a"))[1] for _ in range(100))
        print(f"then median {taken[50] * 1e3:.2f} ms, slowest {taken[-1] * 1e3:.2f} ms")
        assert taken[50] < 0.01 * SLOW and taken[95] < 0.1 * SLOW
        used = sum(map(cpu_seconds, larder.workers()))
        time.sleep(1)
        assert sum(map(cpu_seconds, larder.workers())) - used < 0.1 * SLOW, "hot reconnect loop"
    finally:
        redis.signal(signal.SIGCONT)
    measure_recovery(larder)


def test_one_slow_command_opens_nothing(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """One pause shorter than the timeout delays requests and fails none."""
    redis = new_redis()
    # A machine that is busy must not make more of the pause than it is.
    larder = new_larder(redis, redis_timeout=5000).start()
    wait_connected(larder)
    with redis.client() as client:
        client.send("DEBUG", "SLEEP", "0.3")
        for i in range(20):
            assert larder.fastcgi("PUT", f"/cache/{i}", BODY).status == 200
    assert larder.stats()["counters"]["redis_timeouts"] == 0


@pytest.mark.serial
def test_client_kill_under_load(own: Own) -> None:
    """Connections killed by Redis again and again: nothing wrong, every one made anew."""
    stack = own("nginx")
    with Load(stack.fronts["nginx"].port, clients=16) as load:
        for _ in range(15):
            load.wait_requests(40)
            stack.redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        load.wait_requests(100)
    print(load.describe())
    load.check_right()
    assert set(load.tally.statuses) <= {200, 404, 503}
    assert load.tally.slowest < 1.0 * SLOW
    assert stack.larder.stats()["counters"]["redis_reconnects"] >= 10
    measure_recovery(stack.larder)


def test_idle_connection_lost(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A connection that Redis closed while it was idle costs no request anything."""
    redis = new_redis()
    larder = new_larder(redis).start()
    for _ in range(5):
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.2)
        for i in range(6):
            assert larder.fastcgi("PUT", f"/cache/{i}", BODY).status == 200


def test_restart_empties(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """After Redis came back empty a GET is 404, not an old value."""
    redis = new_redis()
    larder = new_larder(redis).start()
    assert larder.fastcgi("PUT", "/cache/a", BODY).status == 200
    redis.kill()
    redis.start()
    eventually(larder.ready, 5, "ready")
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 3, "404")
    assert larder.stats()["total_keys"] == 0


# --- how to reach it: password, database, address ------------------------------------------------

def serves(larder: Larder) -> None:
    """It reaches Redis and stores."""
    larder.start(ready=True)
    wait_connected(larder)
    check_envelope(larder.fastcgi("PUT", "/cache/a", BODY), "a", 1, 3600)
    larder.stop()


@pytest.mark.parametrize("way", ["option", "environment", "file", "url", "url-user", "user"])
def test_password(new_redis: NewRedis, new_larder: NewLarder, way: str) -> None:
    """The password by option, environment, file and URL; with a user as well."""
    redis = new_redis("--user", "app", "on", ">s3cret", "~*", "&*", "+@all",
                      password="s3cret p%wd")
    secret = redis.directory / "secret"
    secret.write_text("s3cret p%wd\nsecond line\n")
    url = f"unix://:s3cret%20p%25wd@{redis.socket}"
    options: dict[str, dict[str, Any]] = {
        "option": {"redis_password": "s3cret p%wd"},
        "environment": {"env": {"REDIS_PASSWORD": "s3cret p%wd"}},
        "file": {"redis_password_file": secret},
        "url": {"redis_url": url, "redis_socket": None},
        "url-user": {"env": {"REDIS_URL": f"unix://app:s3cret@{redis.socket}"},
                     "redis_socket": None},
        "user": {"redis_username": "app", "redis_password": "s3cret"},
    }
    larder = new_larder(redis, **options[way])
    serves(larder)
    assert "s3cret" not in larder.text()


def test_wrong_password(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A wrong password is 503 backend-refused, logged now and then, never shown, never hammered."""
    redis = new_redis(password="right")
    larder = new_larder(redis, redis_password="wr0ng-secret").start(ready=False)
    wait_away(larder)
    document = check_problem(larder.fastcgi("PUT", "/cache/a", BODY), 503, "backend-refused")
    assert document["outcome"] == "not-applied"
    assert larder.fastcgi("GET", "/health/ready").slug == "backend-refused"
    larder.wait_text("WRONGPASS|invalid username-password")
    time.sleep(1.0)
    attempts = int(redis.info("stats")["total_connections_received"])
    complaints = larder.text().count("WRONGPASS")
    assert attempts < 40 and complaints <= 4, (attempts, larder.text())
    assert "wr0ng-secret" not in larder.text()
    redis.ask("CONFIG", "SET", "requirepass", "wr0ng-secret")
    redis.password = "wr0ng-secret"
    measure_recovery(larder)


def test_no_password_where_one_is_needed(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Without the password that Redis wants it is 503 backend-refused."""
    redis = new_redis(password="right")
    larder = new_larder(redis).start(ready=False)
    wait_away(larder)
    check_problem(larder.fastcgi("GET", "/cache/a"), 503, "backend-refused")


@pytest.mark.parametrize("options", [
    {"redis_db": 7}, {"redis_url": "unix://SOCKET?db=7", "redis_socket": None},
    {"redis_url": "redis://127.0.0.1:PORT/7", "redis_socket": None},
], ids=["option", "unix-url", "tcp-url"])
def test_database(new_redis: NewRedis, new_larder: NewLarder, options: dict[str, Any]) -> None:
    """The database is selected, counted, and the only one that is cleared."""
    redis = new_redis(tcp=True)
    redis.ask("SET", "other", "0")
    filled = {k: v.replace("SOCKET", str(redis.socket)).replace("PORT", str(redis.port))
              if isinstance(v, str) else v for k, v in options.items()}
    larder = new_larder(redis, **filled).start()
    for _ in range(2):
        assert larder.fastcgi("PUT", "/cache/a", BODY).status == 200
        assert larder.stats()["total_keys"] == 1
        with redis.client() as client:
            client.ask("SELECT", 7)
            assert client.ask("GET", "a") == b"1"
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(larder.ready, 5, "connected again")
    assert larder.fastcgi("DELETE", "/cache").status == 200
    assert redis.ask("GET", "other") == b"0" and redis.ask("EXISTS", "a") == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tcp(new_redis: NewRedis, new_larder: NewLarder, host: str) -> None:
    """TCP by address and by name, again after a restart of Redis."""
    redis = new_redis(tcp=True)
    larder = new_larder(redis_socket=None, redis_host=host, redis_port=redis.port)
    larder.start(ready=True)
    check_envelope(larder.fastcgi("PUT", "/cache/a", BODY), "a", 1, 3600)
    redis.kill()
    wait_away(larder)
    redis.start()
    measure_recovery(larder)


def test_a_name_that_does_not_resolve(new_larder: NewLarder) -> None:
    """An unknown host name is said so, and stops neither start nor end."""
    larder = new_larder(redis_socket=None, redis_host="no-such-host.invalid")
    larder.start(ready=False)
    wait_away(larder)
    assert larder.fastcgi("GET", "/health/live").status == 200
    larder.wait_text("no-such-host.invalid", 20)


def test_an_old_redis_is_refused(new_larder: NewLarder, relay: Relay) -> None:
    """A Redis older than 6.2 isn't used, and the log says why."""
    def age(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"INFO":
            reply = b"$22\r\nredis_version:6.0.16\r\n\r\n"
        return link.send(reply)

    relay.rule = age
    larder = new_larder(relay.path).start(ready=False)
    wait_away(larder)
    larder.wait_text(r"6\.2")
    check_problem(larder.fastcgi("GET", "/cache/a"), 503, "backend-refused")
    larder.stop()


# --- error replies -------------------------------------------------------------------------------

@pytest.fixture
def relay(new_redis: NewRedis) -> Iterator[Relay]:
    """A relay in front of a private Redis."""
    redis = new_redis()
    made = Relay(redis.directory, redis.socket)
    yield made
    made.close()


ERRORS = [
    (b"LOADING Redis is loading the dataset in memory", 503, "backend-loading"),
    (b"MASTERDOWN Link with MASTER is down", 503, "backend-unavailable"),
    (b"READONLY You can't write against a read only replica.", 503, "backend-readonly"),
    (b"NOREPLICAS Not enough good replicas to write.", 503, "backend-readonly"),
    (b"MISCONF Redis is configured to save RDB snapshots", 503, "backend-readonly"),
    (b"BUSY Redis is busy running a script.", 503, "backend-busy"),
    (b"OOM command not allowed when used memory > 'maxmemory'.", 507, "backend-full"),
    (b"NOAUTH Authentication required.", 503, "backend-refused"),
    (b"WRONGPASS invalid username-password pair", 503, "backend-refused"),
    (b"NOPERM this user has no permissions", 503, "backend-refused"),
    (b"WRONGTYPE Operation against a key holding the wrong kind of value", 409, "wrong-type"),
    (b"ERR something that nobody expects, quoting s3cret", 503, "backend-error"),
    (b"", 503, "backend-error"),
]


@pytest.mark.parametrize("text,status,slug", ERRORS,
                         ids=[e[0][:10].decode() or "-" for e in ERRORS])
def test_error_replies(relay: Relay, new_larder: NewLarder, text: bytes, status: int,
                       slug: str) -> None:
    """Each of Redis's errors has its status; its text goes to the log only; others are served."""
    def fail(link: Link, args: list[bytes], reply: bytes) -> bool:
        if any(arg.startswith(b"bad") for arg in args[1:4]):  # a script's key comes third
            reply = b"-" + text + b"\r\n"
        return link.send(reply)

    larder = new_larder(relay.path, workers=1).start()
    larder.fastcgi("PUT", "/cache/good", BODY)
    relay.rule = fail
    for method in ("GET", "PUT", "DELETE"):
        answer = larder.fastcgi(method, "/cache/bad", BODY if method == "PUT" else b"")
        document = check_problem(answer, status, slug)
        if method != "GET" and status >= 503:
            # An error that nobody knows says nothing of what was done before it.
            known = slug != "backend-error"
            assert document["outcome"] == ("not-applied" if known else "unknown")
        if len(text) > 10:
            assert text[:20].decode() not in answer.body.decode()
        assert "s3cret" not in answer.body.decode()
    eventually(lambda: larder.fastcgi("GET", "/cache/good").status == 200, 3, "others are served")
    relay.rule = None
    measure_recovery(larder)
    larder.stop()


def test_an_error_belongs_to_its_own_request(relay: Relay, new_larder: NewLarder) -> None:
    """Among pipelined requests only the one whose command failed gets the error."""
    def fail(link: Link, args: list[bytes], reply: bytes) -> bool:
        if len(args) > 1 and args[1].startswith(b"bad"):
            reply = b"-ERR no\r\n"
        return link.send(reply)

    larder = new_larder(relay.path, workers=1).start()
    relay.rule = fail
    connections = [larder.connect() for _ in range(30)]
    for i, connection in enumerate(connections):
        name = f"bad{i}" if i % 3 == 0 else f"good{i}"
        connection.send(fcgi.request_bytes("PUT", f"/cache/{name}", b'{"value":%d}' % i))
    for i, connection in enumerate(connections):
        answer = connection.read_response()
        if i % 3 == 0:
            check_problem(answer, 503, "backend-error")
        else:
            check_envelope(answer, f"good{i}", i, 3600)
        connection.close()
    larder.stop()


@pytest.mark.parametrize("section", ["CONFIG", "FLUSHDB", "DBSIZE", "INFO"])
def test_forbidden_commands(new_redis: NewRedis, new_larder: NewLarder, section: str) -> None:
    """A user without one of the rarer commands can still store and read."""
    redis = new_redis("--user", "app", "on", ">pw", "~*", "&*", "+@all", f"-{section.lower()}")
    larder = new_larder(redis, redis_username="app", redis_password="pw").start()
    check_envelope(larder.fastcgi("PUT", "/cache/a", BODY), "a", 1, 3600)
    check_envelope(larder.fastcgi("GET", "/cache/a"), "a", 1, 3600, slack=1)
    assert larder.fastcgi("DELETE", "/cache").status == (503 if section == "FLUSHDB" else 200)
    assert larder.fastcgi("GET", "/metrics").status == 200


def test_real_read_only_replica(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A Redis that became a replica: writes 503, and all is well when it is master again."""
    redis = new_redis()
    larder = new_larder(redis).start()
    larder.fastcgi("PUT", "/cache/a", BODY)
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    document = check_problem(larder.fastcgi("PUT", "/cache/a", BODY), 503, "backend-readonly")
    assert document["outcome"] == "not-applied"
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 200, 3, "reads")
    redis.ask("REPLICAOF", "NO", "ONE")
    measure_recovery(larder)


def test_idle_entries_are_read_where_nothing_is_written(new_redis: NewRedis,
                                                       new_larder: NewLarder) -> None:
    """A read that may not renew an idle time was 503, as if the value were not there."""
    redis = new_redis()
    larder = new_larder(redis, workers=1).start()
    body = b'{"value":1,"ttl":1000,"idle":100,"tags":["a"]}'
    assert larder.fastcgi("PUT", "/cache/a", body).status == 200
    redis.ask("PEXPIRE", "a", 50_000)
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    answer = larder.fastcgi("GET", "/cache/a")
    assert answer.status == 200 and answer.json()["idle"] == 100, answer
    assert 0 < redis.ask("PTTL", "a") <= 50_000, "nothing was renewed"
    check_problem(larder.fastcgi("PATCH", "/cache/a", b'{"ttl":5}'), 503, "backend-readonly")
    check_problem(larder.fastcgi("PUT", "/cache/b", body), 503, "backend-readonly")
    redis.ask("REPLICAOF", "NO", "ONE")
    measure_recovery(larder)
    assert larder.fastcgi("GET", "/cache/a").status == 200
    assert redis.ask("PTTL", "a") > 99_000


def test_real_busy_script(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A Redis held by an endless script: 503 until SCRIPT KILL."""
    redis = new_redis("--busy-reply-threshold", "100")
    larder = new_larder(redis).start()
    with redis.client() as holder:
        holder.send("EVAL", "while true do end", 0)
        eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 503, 5, "503")
        assert larder.fastcgi("GET", "/cache/a").slug in (
            "backend-busy", "backend-timeout", "backend-unavailable")
        redis.ask("SCRIPT", "KILL")
    measure_recovery(larder)


def test_too_many_clients(relay: Relay, new_larder: NewLarder) -> None:
    """A Redis that turns new clients away is away, not the source of a reply."""
    relay.greeting = b"-ERR max number of clients reached\r\n"
    larder = new_larder(relay.path).start(ready=False)
    wait_away(larder)
    assert larder.fastcgi("GET", "/cache/a").status == 503
    relay.greeting = b""
    measure_recovery(larder)
    larder.stop()


# --- replies that are late, cut, doubled, damaged ------------------------------------------------

Spoiler = Callable[[Link, bytes], bool]


def late(link: Link, reply: bytes) -> bool:
    """The reply comes after the deadline."""
    time.sleep(0.8)
    return link.send(reply)


def drip(link: Link, reply: bytes) -> bool:
    """The reply comes a byte at a time, for longer than the deadline."""
    for byte in reply[:30]:
        link.send(bytes([byte]))
        time.sleep(0.05)
    return link.send(reply[30:])


SPOILERS: dict[str, Spoiler] = {
    "late": late,
    "drip": drip,
    "cut": lambda link, reply: link.send(reply[:len(reply) // 2]) and False,
    "hang-up": lambda link, reply: False,
    "twice": lambda link, reply: link.send(reply + reply),
    "surplus": lambda link, reply: link.send(reply + b"$5\r\nwrong\r\n"),
    "before": lambda link, reply: link.send(b"$7\r\n\"wrong\"\r\n" + reply),
    "garbage": lambda link, reply: link.send(b"\x00\xff garbage\r\n"),
    "http": lambda link, reply: link.send(b"HTTP/1.1 200 OK\r\n\r\n"),
    "resp3": lambda link, reply: link.send(b"%1\r\n+a\r\n+b\r\n"),
    "huge-bulk": lambda link, reply: link.send(b"$512000000\r\nxxx"),
    "huge-array": lambda link, reply: link.send(b"*2147483647\r\n"),
    "negative": lambda link, reply: link.send(b"$-5\r\n"),
    "integer": lambda link, reply: link.send(b":42\r\n"),
    "array": lambda link, reply: link.send(b"*1\r\n$1\r\nx\r\n"),
    "status": lambda link, reply: link.send(b"+OK\r\n"),
}


@pytest.mark.parametrize("name", SPOILERS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_spoiled_replies(relay: Relay, new_larder: NewLarder, name: str, method: str) -> None:
    """Whatever happens to a reply, nobody gets another key's value, and service goes on."""
    larder = new_larder(relay.path, workers=1).start()
    for i in range(8):
        put = larder.fastcgi("PUT", f"/cache/k{i}", b'{"value":"value-%d"}' % i)
        assert put.status == 200, put
    left = [1]
    commands = (b"GET", b"GETRANGE") if method == "GET" else (b"SET",)

    def spoil(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] in commands and args[1].startswith(b"k") and left[0] > 0:
            left[0] -= 1
            return SPOILERS[name](link, reply)
        return link.send(reply)

    connections = [larder.connect() for _ in range(8)]
    relay.rule = spoil
    for i, connection in enumerate(connections):
        body = b'{"value":"value-%d"}' % i if method == "PUT" else b""
        connection.send(fcgi.request_bytes(method, f"/cache/k{i}", body, keep=True))
    for i, connection in enumerate(connections):
        answer = connection.read_response()
        if answer.status == 200:
            document = answer.json()
            assert document["key"] == f"k{i}" and document["value"] == f"value-{i}", document
        else:
            assert answer.status == 503, answer
        connection.close()
    assert left == [0], "nothing was spoiled"
    relay.rule = None
    eventually(larder.ready, 5, "ready again")
    for _ in range(3):
        for i in range(8):
            eventually(lambda: larder.fastcgi("GET", f"/cache/k{i}").status == 200, 3, "200")
            check_envelope(larder.fastcgi("GET", f"/cache/k{i}"), f"k{i}", f"value-{i}", 3600,
                           slack=60)
    if not (SANITIZED or VALGRIND):
        assert max(map(resident_kib, larder.workers())) < 64 << 10
    larder.stop()


def test_a_reply_that_nobody_asked_for(relay: Relay, new_larder: NewLarder) -> None:
    """A surplus reply on an idle connection ends that connection: it can't be trusted any more."""
    larder = new_larder(relay.path, workers=1).start()
    assert larder.fastcgi("PUT", "/cache/a", BODY).status == 200
    for i in range(1, 4):
        before = relay.connections
        relay.push(b'$7\r\n"wrong"\r\n')
        eventually(lambda: relay.connections > before, 3, "a new connection")
        eventually(larder.ready, 3, "ready")
        check_envelope(larder.fastcgi("GET", "/cache/a"), "a", 1, 3600, slack=10)
        assert larder.stats()["counters"]["redis_reconnects"] == i
    larder.stop()


def test_late_write_is_unknown(relay: Relay, new_larder: NewLarder) -> None:
    """A PUT whose reply comes too late is 503 with outcome unknown, and was not sent twice."""
    larder = new_larder(relay.path, workers=1).start()

    def hold(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"SET":
            time.sleep(2 * SLOW)
        return link.send(reply)

    relay.rule = hold
    answer, seconds = timed(lambda: larder.fastcgi("PUT", "/cache/a", BODY))
    assert check_problem(answer, 503, "backend-timeout")["outcome"] == "unknown"
    assert 0.4 < seconds < 1.8 * SLOW, "it waited for the reply"
    relay.rule = None
    measure_recovery(larder)
    assert relay.commands.count(b"SET") == 2, "the PUT that timed out and the one that measures"
    larder.stop()


def test_a_write_that_never_left_was_not_applied(relay: Relay, new_larder: NewLarder) -> None:
    """A PUT that waited for a connection which never got ready is 503 with outcome not-applied."""
    larder = new_larder(relay.path, workers=1).start()

    def hang(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"INFO":
            time.sleep(4)
        return link.send(reply)

    relay.rule = hang
    relay.hang_up()
    answer, seconds = timed(lambda: larder.fastcgi("PUT", "/cache/a", BODY))
    assert check_problem(answer, 503, answer.slug)["outcome"] == "not-applied"
    assert seconds < 3.5, "it waited for Redis"
    relay.rule = None
    assert b"SET" not in relay.commands
    measure_recovery(larder)
    larder.stop()


def test_large_answers_have_time(relay: Relay, new_larder: NewLarder) -> None:
    """A large value that comes slowly but steadily enough arrives whole."""
    text = b'"' + b"x" * 1_000_000 + b'"'

    def trickle(link: Link, args: list[bytes], reply: bytes) -> bool:
        for at in range(0, len(reply), 100_000):
            link.send(reply[at:at + 100_000])
            time.sleep(0.02)
        return True

    larder = new_larder(relay.path, workers=1).start()
    assert larder.fastcgi("PUT", "/cache/big", b'{"value":' + text + b"}").status == 200
    relay.rule = trickle
    answer = larder.fastcgi("GET", "/cache/big")
    assert answer.status == 200 and text in answer.body
    larder.stop()


def test_large_writes_share_the_connection(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Megabyte PUTs and GETs from many connections at once are all whole.

    All are read at the same time: who doesn't read for a second is left.
    """
    larder = new_larder(new_redis(), workers=1, redis_timeout=5000).start()
    texts = [b'"' + b"%d" % (i % 10) * 1_000_000 + b'"' for i in range(12)]
    connections = [larder.connect() for _ in texts]
    for method in ("PUT", "GET"):
        for i, connection in enumerate(connections):
            body = b'{"value":' + texts[i] + b"}" if method == "PUT" else b""
            connection.send(fcgi.request_bytes(method, f"/cache/big{i}", body, keep=True))
        with ThreadPoolExecutor(len(connections)) as pool:
            answers = list(pool.map(fcgi.Connection.read_response, connections))
        for text, answer in zip(texts, answers):
            assert answer.status == 200 and text in answer.body, answer.status
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("target", ["/health", "/health/ready"])
def test_health_recovers(new_redis: NewRedis, new_larder: NewLarder, target: str) -> None:
    """Health follows Redis in both directions without any other request."""
    redis = new_redis()
    larder = new_larder(redis).start()
    check_json(larder.fastcgi("GET", target))
    for _ in range(2):
        redis.kill()
        eventually(lambda: larder.fastcgi("GET", target).status == 503, 3, "503")
        redis.start()
        eventually(lambda: larder.fastcgi("GET", target).status == 200, 3, "200")
