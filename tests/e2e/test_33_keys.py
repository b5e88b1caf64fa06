"""GET /keys and DELETE /cache?prefix=...: literal prefixes, bounded steps, nothing else touched."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import fcgi
from checks import check_allow, check_json, check_problem, check_timestamp
from harness import FRONTS, SLOW, Front, Larder, Redis, Stack, alive, eventually
from proxy import Link, Relay
from rawhttp import Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
NewFront = Callable[[str, Larder], Front]
AWAY = b"-ERR max number of clients reached\r\n"  # a relay's greeting: new connections fail
POPULATED = 200_000


def escape(text: str) -> str:
    """Percent-encodes every byte."""
    return "".join(f"%{b:02X}" for b in text.encode())


def page(http: Http, target: str) -> tuple[list[str], str | None]:
    """One page: its keys, and the target of the next."""
    answer = http.get(target)
    document = check_json(answer)
    assert list(document) == ["keys", "cursor"]
    assert answer.header("Cache-Control") == "no-store"
    keys: list[str] = document["keys"]
    link = answer.header("Link")
    if document["cursor"] is None:
        assert link is None
        return keys, None
    match = re.fullmatch(r'<(/keys\?[A-Za-z0-9%=&:/@._~-]+)>; rel="next"', link or "")
    assert match and isinstance(document["cursor"], str), answer
    assert match[1].endswith(f"&cursor={document['cursor']}"), link
    return keys, match[1]


def listing(http: Http, query: str = "") -> list[str]:
    """All keys of all pages."""
    keys: list[str] = []
    target: str | None = f"/keys{query}"
    for _ in range(10_000):
        assert target is not None
        more, target = page(http, target)
        keys += more
        if target is None:
            return keys
    raise AssertionError("it never ends")


def fill(redis: Redis, names: Iterable[str | bytes]) -> None:
    """Sets names, many at a time."""
    todo = list(names)
    with redis.client() as client:
        for at in range(0, len(todo), 500):
            client.ask("MSET", *(part for name in todo[at:at + 500] for part in (name, "1")))


def names_in(redis: Redis) -> set[bytes]:
    """Every name there is."""
    return set(redis.ask("KEYS", "*"))


def sweep(http: Http, prefix: str) -> int:
    """DELETE /cache?prefix=...; gives how many were deleted."""
    document = check_json(http.delete(f"/cache?prefix={escape(prefix)}"))
    assert list(document) == ["deleted", "timestamp"]
    check_timestamp(document["timestamp"])
    deleted: int = document["deleted"]
    return deleted


Solo = tuple[Http, Larder, Redis]


@pytest.fixture(params=FRONTS)
def relayed(request: pytest.FixtureRequest, new_redis: NewRedis, new_larder: NewLarder,
            new_front: NewFront) -> Iterator[tuple[Http, Larder, Redis, Relay]]:
    """A larderd of one worker with a relay in front of Redis, behind each web server in turn."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    # A machine that is busy must not make a fault of its own.
    larder = new_larder(relay.path, workers=1, redis_timeout=5000).start()
    with new_front(request.param, larder).http() as http:
        yield http, larder, redis, relay
    larder.stop()
    relay.close()


# --- listing -------------------------------------------------------------------------------------

def test_empty(solo: Solo) -> None:
    """Without entries: one page, no key, no next."""
    http, _, _ = solo
    assert page(http, "/keys") == ([], None)
    assert page(http, "/keys?prefix=x&limit=1000&cursor=0") == ([], None)


def test_paging(solo: Solo) -> None:
    """2,500 keys come page by page, by the cursor as by the link, and nothing that is no key."""
    http, _, redis = solo
    keys = {f"user:{i}" for i in range(2000)} | {f"other/{i}" for i in range(500)}
    fill(redis, keys)
    for i in range(200):
        fill(redis, [b"user:\xff%d" % i, b"user:\n%d" % i, b"\xc2\x85%d" % i, b"user://%d" % i,
                     b"user:" + b"x" * 512 + b"%d" % i])
        redis.ask("RPUSH", f"user:list-{i}", "a")
    redis.ask("HSET", "user:hash", "a", "b")
    redis.ask("SET", "", "empty")
    http.put("/cache/user:tagged", {"value": 1, "tags": ["user:", "t"]})
    keys.add("user:tagged")
    found = listing(http)
    assert set(found) == keys
    for limit in (1, 7, 100, 1000):
        assert set(listing(http, f"?limit={limit}")) == keys
        assert set(listing(http, f"?limit={limit}&prefix=user:")) == {
            k for k in keys if k.startswith("user:")}
    cursor, seen = "0", set()
    while cursor is not None:
        document = check_json(http.get(f"/keys?cursor={cursor}&limit=500&prefix=other/"))
        seen |= set(document["keys"])
        cursor = document["cursor"]
    assert seen == {k for k in keys if k.startswith("other/")}
    first, following = page(http, "/keys?limit=1000")
    assert 900 <= len(first) <= 1300 and following
    assert len(page(http, "/keys")[0]) >= 50, "a page has about 100 keys"


def test_few_keys_in_a_large_redis(solo: Solo) -> None:
    """A page is a bounded piece of work even if nothing fits, and all come in the end."""
    http, _, redis = solo
    redis.ask("DEBUG", "POPULATE", POPULATED, "noise", 10)
    fill(redis, [f"rare:{i}" for i in range(20)])
    sizes, target = [], "/keys?prefix=rare:"
    begun = time.monotonic()
    while target:
        keys, following = page(http, target)
        sizes.append(len(keys))
        target = following or ""
    print(f"{len(sizes)} pages in {time.monotonic() - begun:.2f} s")
    assert sum(sizes) == 20 and 0 in sizes
    assert len(sizes) > POPULATED // 20_000, "a page looked at too many names"


def test_stable_keys_come_while_others_change(solo: Solo) -> None:
    """Keys that are there throughout come at least once, while thousands come and go."""
    http, _, redis = solo
    stable = {f"stable{i}" for i in range(1000)}
    fill(redis, stable)
    found: set[str] = set()
    target: str | None = "/keys?limit=20"
    for i in range(1000):
        assert target is not None
        more, target = page(http, target)
        found |= set(more)
        if target is None:
            break
        fill(redis, [f"new{i}-{j}" for j in range(200)])
        if i % 3 == 2:
            redis.ask("DEL", *(f"new{i - 1}-{j}" for j in range(200)))
    assert target is None and stable <= found


ODD_PREFIXES = ["*", "?", "[a]", "[", "]", "\\", "^", "-", "a*", "a?b", "[a-z]", "[^a]", "\\*",
                "a\\", "a b", " ", "+", "%41", "&", "=", "#", "ключ", "é", "😀", '"', "'", "<x>",
                "{}", "a/", "a/b:", "$", "~", "|", "`", "\u2028", "x" * 500]
NEAR_MISSES = ["a", "aXb", "ab", "axxb", "b", "A", "z", "aa", "ä", "кл", "x" * 499 + "y", "/",
               "a-b"]


@pytest.mark.parametrize("prefix", ODD_PREFIXES, ids=range(len(ODD_PREFIXES)))
def test_prefixes_are_literal(solo: Solo, prefix: str) -> None:
    """A prefix lists and deletes what begins with its very characters, whatever they mean to SCAN,
    and a link has it escaped."""
    http, _, redis = solo
    mine = {f"{prefix}{suffix}" for suffix in ("1", "-2", "*", "x", "é", "\\")}
    others = {f"{near}{suffix}" for near in NEAR_MISSES for suffix in ("1", "x", "b1", "bb")}
    others |= {f"q{prefix}1", "q"} | {other for other in ODD_PREFIXES if other != "*"}
    others = {o for o in others if not o.startswith(prefix)}
    fill(redis, mine | others)
    expected = {k for k in mine if not k.endswith("/")}
    assert set(listing(http, f"?prefix={escape(prefix)}")) == expected
    assert set(listing(http, f"?prefix={escape(prefix)}&limit=1")) == expected
    before = names_in(redis)
    assert sweep(http, prefix) == len(mine)
    assert names_in(redis) == before - {k.encode() for k in mine}


@pytest.mark.parametrize("prefix", ["a&limit=1", "a b+c", 'ключ"<>', "*[a-z]?\\^-"])
def test_links_carry_the_prefix(solo: Solo, prefix: str) -> None:
    """Following the links of pages gives the same keys, however odd the prefix."""
    http, _, redis = solo
    keys = {f"{prefix}{i}" for i in range(700)}
    fill(redis, keys | {f"other{i}" for i in range(700)})
    keys_first, target = page(http, f"/keys?prefix={escape(prefix)}&limit=5")
    assert target is not None and "&limit=5&" in target
    assert set(keys_first) <= keys
    assert set(listing(http, f"?prefix={escape(prefix)}&limit=5")) == keys


def test_keys_are_json(solo: Solo) -> None:
    """Keys come as JSON strings of themselves."""
    http, _, redis = solo
    names = {'a"b', "a\\b", "<script>", "ключ", "\u2028", "😀", "a\u00a0b", "e\u0301"}
    fill(redis, names)
    assert set(listing(http)) == names


@pytest.mark.parametrize("query", [
    "limit=0", "limit=-1", "limit=1001", "limit=", "limit", "limit=x", "limit=1.0", "limit=%2B1",
    "limit=+1", "limit=01", "limit=99999999999999999999", "limit=1&limit=1",
    "cursor=x", "cursor=-1", "cursor=00", "cursor=01", "cursor=1.0", "cursor=18446744073709551616",
    "cursor=99999999999999999999", "cursor=" + "1" * 200, "cursor=%30%00", "cursor=0&cursor=0",
    "prefix=%FF", "prefix=%C2%85", "prefix=%0A", "prefix=" + "x" * 513, "prefix=a&prefix=a",
    "prefix=%zz", "prefix=%",
])
def test_bad_queries(http: Http, query: str) -> None:
    """A parameter that is none is 400."""
    answer = http.get(f"/keys?{query}")
    assert answer.status == 400, answer
    if answer.is_problem:
        check_problem(answer, 400, "invalid-parameter")


@pytest.mark.parametrize("query", ["", "?", "?&", "?x=1", "?Prefix=a", "?prefix=", "?prefix",
                                   "?cursor=", "?cursor=0", "?limit=1", "?limit=1000", "?%6cimit=5",
                                   "?cursor=18446744073709551615", "?prefix=" + "x" * 512,
                                   "?x=%zz"])
def test_good_queries(http: Http, query: str) -> None:
    """Unknown parameters are ignored on GET; an empty prefix or cursor is as good as none."""
    answer = http.get(f"/keys{query}")
    if answer.is_problem or answer.status != 400:
        check_json(answer)
    assert http.request("HEAD", f"/keys{query}").status == answer.status


def test_methods(http: Http) -> None:
    """Only GET and HEAD."""
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        answer = http.request(method, "/keys", b"" if method != "DELETE" else None)
        check_problem(answer, 405, "method-not-allowed")
        check_allow(answer, {"GET", "HEAD", "OPTIONS"})


# --- deleting by prefix --------------------------------------------------------------------------


def test_flush_needs_no_query(solo: Solo) -> None:
    """DELETE /cache alone is everything."""
    http, larder, redis = solo
    fill(redis, ["p", "q"])
    assert check_json(http.delete("/cache"))["cleared"] is True
    assert names_in(redis) == set()
    assert larder.stats()["counters"]["clears"] == 1


def test_count(solo: Solo) -> None:
    """What was deleted is counted, in the answer and in /stats; again, there is nothing."""
    http, larder, redis = solo
    fill(redis, [f"user:{i}" for i in range(2500)] + [f"uses:{i}" for i in range(100)])
    redis.ask("RPUSH", "user:list", "a")
    http.put("/cache/user:tagged", {"value": 1, "tags": ["user:"]})
    before = larder.stats()["counters"]["deletes"]
    assert sweep(http, "user:") == 2502
    assert larder.stats()["counters"]["deletes"] - before == 2502
    assert sweep(http, "user:") == 0
    assert redis.ask("DBSIZE") == 101, "the others, and the tag's nonce"
    assert sweep(http, "uses:9") == 11


def test_prefer_minimal(solo: Solo) -> None:
    """Prefer: return=minimal: 204."""
    http, _, redis = solo
    fill(redis, ["p1", "q"])
    answer = http.request("DELETE", "/cache?prefix=p", None, [("Prefer", "return=minimal")])
    assert answer.status == 204 and answer.body == b""
    assert names_in(redis) == {b"q"}


def test_nobody_waits_for_a_large_deletion(solo: Solo) -> None:
    """While 200,000 entries are deleted, the one worker serves others; every command is short."""
    http, larder, redis = solo
    redis.ask("DEBUG", "POPULATE", POPULATED, "p", 10)
    fill(redis, ["q"])
    redis.ask("CONFIG", "SET", "slowlog-log-slower-than", 20_000)
    redis.ask("SLOWLOG", "RESET")
    slowest, served = 0.0, 0
    with larder.connect(60) as connection:
        connection.send(fcgi.request_bytes("DELETE", "/cache?prefix=p"))
        while redis.ask("DBSIZE") > 1:
            begun = time.monotonic()
            assert http.get("/cache/q").status == 200
            slowest = max(slowest, time.monotonic() - begun)
            served += 1
        answer = connection.read_response()
    assert answer.status == 200 and answer.json()["deleted"] == POPULATED
    print(f"{served} served meanwhile, slowest {slowest * 1e3:.1f} ms")
    assert served > 10 and slowest < 0.5 * SLOW
    slow = [entry for entry in redis.ask("SLOWLOG", "GET") if entry[3][0] in (b"SCAN", b"UNLINK")]
    assert not slow, slow


def slowly(seconds: float) -> Callable[[Link, list[bytes], bytes], bool]:
    """A rule by which the steps of a deletion or a listing take their time."""
    def rule(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"SCAN":
            time.sleep(seconds)
        return link.send(reply)
    return rule


@pytest.mark.parametrize("kind", ["fastcgi", "nginx"])
@pytest.mark.parametrize("method,target", [("DELETE", "/cache?prefix=p"),
                                           ("GET", "/keys?prefix=x")])
def test_abandoned(new_redis: NewRedis, new_larder: NewLarder, new_front: NewFront, kind: str,
                   method: str, target: str) -> None:
    """When nobody waits for the answer any more, a deletion stops, and a listing, too: the rest
    stays, and the worker goes on; regression, on a connection's first request that was not seen.
    (lighttpd takes the answer of a client that has left.)"""
    redis = new_redis()
    redis.ask("DEBUG", "POPULATE", POPULATED, "p", 10)
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start()
    workers = larder.workers()
    front = new_front("nginx", larder)
    relay.rule = slowly(0.003)
    if kind == "fastcgi":
        with larder.connect() as connection:
            connection.send(fcgi.request_bytes(method, target))
            eventually(lambda: relay.commands.count(b"SCAN") > 20, what="it goes on")
    else:
        with front.http() as http:
            http.send(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            eventually(lambda: relay.commands.count(b"SCAN") > 20, what="it goes on")

    # Its answer, which nobody reads, is counted.
    route = "cache_clear" if method == "DELETE" else "keys"
    eventually(lambda: larder.stats()["requests"]["by_route"].get(route), 5, "it stops")
    relay.rule = None
    if method == "GET":
        assert relay.commands.count(b"SCAN") < 50, "the page is whole"
    left = redis.ask("DBSIZE")
    assert left > POPULATED // 2, "it went on to the end"
    assert larder.fastcgi("PUT", "/cache/q", b'{"value":1}').status == 200
    assert redis.ask("DBSIZE") == left + 1
    assert larder.workers() == workers and all(alive(pid) for pid in workers)
    deleted = larder.stats()["counters"]["deletes"]
    assert deleted == POPULATED - left, "what was deleted is counted"
    larder.stop()
    relay.close()


def test_written_during_a_deletion(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """Of what is written meanwhile, others stay, and what is deleted is counted; what was there
    before is gone."""
    http, _, redis, relay = relayed
    old = [f"p:old{i}" for i in range(3000)]
    fill(redis, old + [f"q:old{i}" for i in range(3000)])
    relay.rule = slowly(0.01)
    new = 0

    def write() -> None:
        nonlocal new
        while not done.is_set():
            fill(redis, [f"p:new{new}", f"q:new{new}"])
            new += 1
            time.sleep(0.001)

    done = threading.Event()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        deleted = sweep(http, "p:")
    finally:
        done.set()
        writer.join()
    left = names_in(redis)
    assert not left & {k.encode() for k in old}
    assert sum(k.startswith(b"q:") for k in left) == 3000 + new
    assert new > 10 and deleted == 3000 + new - sum(k.startswith(b"p:") for k in left)


def test_parallel_deletions(stack: Stack, front: Front, key: str) -> None:
    """Two deletions of one prefix delete every entry once."""
    fill(stack.redis, [f"{key}:{i}" for i in range(3000)])
    counts: list[int] = []

    def work() -> None:
        with front.http() as http:
            counts.append(sweep(http, f"{key}:"))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 3000, counts


# --- Redis that fails ----------------------------------------------------------------------------

def test_redis_lost_half_way(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """A deletion that Redis's end cuts short says that something was deleted: regression, only the
    last step was looked at, and if that had not been sent, nothing was said to be done."""
    http, larder, redis, relay = relayed

    def leave(link: Link, args: list[bytes], reply: bytes) -> bool:
        unlinks = relay.commands.count(b"UNLINK")
        if args[0] == b"SCAN" and unlinks > 3:
            relay.greeting = AWAY
            link.send(reply)
            return False
        return link.send(reply)

    for _ in range(3):
        fill(redis, [f"p{i}" for i in range(2000)])
        relay.commands.clear()
        relay.rule = leave
        document = check_problem(http.delete("/cache?prefix=p"), 503, "backend-unavailable")
        assert document["outcome"] == "unknown"
        assert 0 < redis.ask("DBSIZE") < 2000
        relay.rule, relay.greeting = None, b""
        eventually(larder.ready, 5, "ready")
        eventually(lambda: http.get("/cache/x").status == 404, 5, "served again")


def test_redis_lost_at_first(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """Lost before anything could be deleted: not applied."""
    http, larder, redis, relay = relayed
    fill(redis, ["p1", "p2"])
    relay.rule = lambda link, args, reply: args[0] == b"PING" and link.send(reply)
    document = check_problem(http.delete("/cache?prefix=p"), 503, "backend-unavailable")
    assert document["outcome"] == "not-applied"
    assert redis.ask("DBSIZE") == 2
    relay.rule = None
    eventually(larder.ready, 5, "ready")


@pytest.mark.parametrize("text,status,slug", [
    (b"-NOPERM no\r\n", 503, "backend-refused"), (b"-ERR s3cret\r\n", 503, "backend-error")])
def test_an_error_half_way(relayed: tuple[Http, Larder, Redis, Relay], text: bytes, status: int,
                           slug: str) -> None:
    """An error reply in a later step ends it, and the outcome is unknown."""
    http, _, redis, relay = relayed
    fill(redis, [f"p{i}" for i in range(1000)])

    def fail(link: Link, args: list[bytes], reply: bytes) -> bool:
        late = relay.commands.count(b"UNLINK") > 3
        return link.send(text if args[0] == b"SCAN" and late else reply)

    relay.rule = fail
    answer = http.delete("/cache?prefix=p")
    assert check_problem(answer, status, slug)["outcome"] == "unknown"
    assert b"s3cret" not in answer.body


def test_a_refused_cursor(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """A reply that is no page of SCAN's is 503, and the next request is served."""
    http, larder, redis, relay = relayed
    fill(redis, ["p1"])
    for reply_bytes in (b":1\r\n", b"*0\r\n", b"*2\r\n$1\r\nx\r\n*0\r\n",
                        b"*2\r\n$1\r\n0\r\n:1\r\n"):
        relay.rule = lambda link, args, reply, wrong=reply_bytes: link.send(
            wrong if args[0] == b"SCAN" else reply)
        for ask in (lambda: http.get("/keys"), lambda: http.delete("/cache?prefix=p")):
            check_problem(ask(), 503, "backend-error")
            eventually(larder.ready, 5, "ready")
        relay.rule = None
        eventually(lambda: http.get("/keys").status == 200, 5, "served again")
        assert redis.ask("EXISTS", "p1") == 1


def test_result_is_json(http: Http, key: str) -> None:
    """A page is strict JSON, which other parsers take."""
    http.put(f"/cache/{key}", {"value": 1})
    document: Any = json.loads(http.get(f"/keys?prefix={key}&limit=1000").body)
    assert document["keys"] in ([key], [])
