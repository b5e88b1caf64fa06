"""KEY_PREFIX: a Redis that others use, too, of which nothing else is read, listed or touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tour
from checks import check_json, check_problem
from harness import FRONTS, SRCDIR, Front, Larder, Redis, eventually
from rawhttp import Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
NewFront = Callable[[str, Larder], Front]
JSON = (("Content-Type", "application/json"),)
MERGE = (("Content-Type", "application/merge-patch+json"),)

PREFIXES = ["app1:", "a*b[c]:", "\\*?[^x]-", "ключ:", "x" * 128]
# What is not app1:'s, however alike it looks; with the other prefixes as patterns in mind.
STRANGERS = ["app1", "app", "app12:a", "APP1:a", "app3:a", "other", "a", "aXbc:a", "a*bc:a",
             "abc:a", "ab[c]:a", "\\a?x-a", "*", "**?[^x]-a", "\\\\*?[^x]-a", "ключ", "ключ-a",
             "x" * 127 + "y", "tag:t", b"\xfftag:t", b"\xffapp1:tag:t"]


def dump(redis: Redis, without: str) -> dict[bytes, tuple[bytes, int]]:
    """Everything in Redis that doesn't begin with a prefix: bytes and time of expiry."""
    found = {}
    with redis.client() as client:
        for name in client.ask("KEYS", "*"):
            if not name.startswith(without.encode()):
                found[name] = (client.ask("DUMP", name), client.ask("PEXPIRETIME", name))
    return found


class Shared:
    """A Redis with a third program's names, and two caches behind one web server each."""

    def __init__(self, redis: Redis, caches: list[tuple[str, Http]]) -> None:
        self.redis = redis
        (self.prefix, self.http), (self.other_prefix, self.other) = caches

    def check_others(self, before: dict[bytes, tuple[bytes, int]]) -> None:
        """Nothing outside the prefix has changed since."""
        assert dump(self.redis, self.prefix) == before


@pytest.fixture(params=[(prefix, kind) for prefix in PREFIXES for kind in FRONTS],
                ids=lambda p: f"{PREFIXES.index(p[0])}-{p[1]}")
def shared_redis(request: pytest.FixtureRequest, new_redis: NewRedis, new_larder: NewLarder,
                 new_front: NewFront) -> Iterator[Shared]:
    """Two caches with different prefixes and a third program in one Redis."""
    prefix, kind = request.param
    redis = new_redis()
    for name in STRANGERS:
        redis.ask("SET", name, "1", "EX", "5000")
    redis.ask("RPUSH", "queue", "a", "b")
    clients = []
    for one in (prefix, "app2:"):
        larder = new_larder(redis, workers=1, env={"KEY_PREFIX": one}).start()
        clients.append((one, new_front(kind, larder).http()))
    made = Shared(redis, clients)
    for i, key in enumerate(["a", "b", "n", "dead", "user:1"]):
        assert made.other.put(f"/cache/{key}", {"value": i, "tags": ["t", "u"]}).status == 200
    yield made
    for _, client in clients:
        client.close()


def put(http: Http, key: str, **members: Any) -> None:
    """PUT of /cache/{key}."""
    assert http.put(f"/cache/{key}", {"value": 7, **members}).status == 200


def keys(http: Http, query: str = "?limit=1000") -> set[str]:
    """Those of GET /keys, which are few."""
    document = check_json(http.get(f"/keys{query}"))
    assert document["cursor"] is None
    return set(document["keys"])


def test_nothing_of_others(shared_redis: Shared) -> None:
    """Every way of reading, writing, counting, listing and deleting stays inside the prefix."""
    redis, http = shared_redis.redis, shared_redis.http
    before = dump(redis, shared_redis.prefix)
    for name in ("a", "app1", "other", "queue", "user:1", "app2:a", "n"):
        assert http.get(f"/cache/{name}").status == 404, name
        assert http.delete(f"/cache/{name}").status == 404, name
        assert http.request("PATCH", f"/cache/{name}", b'{"ttl":5}', MERGE).status == 404
        assert http.put(f"/cache/{name}", {"value": 1}, [*JSON, ("If-Match", "*")]).status == 412
    shared_redis.check_others(before)
    put(http, "a")
    put(http, "b", tags=["t"], ttl=50, idle=5)
    assert http.put("/raw/raw", b"\xff", [("Cache-Groups", '"t"')]).status == 200
    assert http.request("POST", "/counters/n", b"{}", JSON).json()["value"] == 1
    assert http.request("PATCH", "/cache/b", b'{"ttl":null}', MERGE).status == 200
    operations = [{"method": "PUT", "key": "c", "value": 1, "tags": ["u"]},
                  {"method": "DELETE", "key": "dead"}, {"method": "GET", "key": "user:1"},
                  {"method": "GET", "key": "a"}]
    results = check_json(http.request("POST", "/batch", json.dumps(
        {"operations": operations}).encode(), JSON))["results"]
    assert [r["status"] for r in results] == [200, 404, 404, 200]
    assert [r["key"] for r in results] == ["c", "dead", "user:1", "a"]
    shared_redis.check_others(before)
    assert keys(http) == {"a", "b", "c", "n", "raw"}
    assert keys(http, "?prefix=a") == {"a"} and keys(http, "?prefix=user:") == set()
    assert keys(shared_redis.other) == {"a", "b", "n", "dead", "user:1"}
    names = set(redis.ask("KEYS", "*")) - set(before)
    assert names == {shared_redis.prefix.encode() + name for name in (
        b"a", b"b", b"c", b"n", b"raw", b"\xfftag:t", b"\xfftag:u")}
    shared_redis.check_others(before)


def test_deletions_stay_inside(shared_redis: Shared) -> None:
    """Tags, prefixes and DELETE /cache are of one cache."""
    redis, http, other = shared_redis.redis, shared_redis.http, shared_redis.other
    before = dump(redis, shared_redis.prefix)
    for key in ("a", "b", "user:1", "user:2", "x"):
        put(http, key, tags=["t"] if key == "b" else [])
    assert http.delete("/cache?tag=t").status == 200
    assert http.get("/cache/b").status == 404 and other.get("/cache/b").status == 200
    shared_redis.check_others(before)
    assert check_json(http.delete("/cache?prefix=user:"))["deleted"] == 2
    assert check_json(http.delete("/cache?prefix=q"))["deleted"] == 0
    assert check_json(http.delete("/cache?prefix=app"))["deleted"] == 0
    assert check_json(http.delete("/cache?prefix=*"))["deleted"] == 0
    assert keys(http) == {"a", "b", "x"}, "an entry that a tag has invalidated may still be listed"
    shared_redis.check_others(before)
    put(http, "again", tags=["t"])
    assert check_json(http.delete("/cache"))["cleared"] is True
    assert keys(http) == set() and http.get("/cache/a").status == 404
    assert dump(redis, "no such") == before, "the cache is empty, and the rest is as it was"
    assert keys(other) == {"a", "b", "n", "dead", "user:1"}


def test_large_clear(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """DELETE /cache with a prefix goes through a large Redis, and counts as one clear."""
    redis = new_redis()
    redis.ask("DEBUG", "POPULATE", 20_000, "app1", 10)
    redis.ask("DEBUG", "POPULATE", 20_000, "app2", 10)
    larder = new_larder(redis, workers=1, key_prefix="app1:").start()
    assert larder.fastcgi("DELETE", "/cache").json()["cleared"] is True
    assert redis.ask("DBSIZE") == 20_000
    assert larder.stats()["counters"]["clears"] == 1
    assert "cmdstat_flushdb" not in redis.info("commandstats")


def test_longest_key(shared_redis: Shared) -> None:
    """The limit of a key is its own: the prefix doesn't count."""
    for key in ("k" * 512, "%D0%B6" * 256):
        put(shared_redis.http, key)
        assert shared_redis.http.get(f"/cache/{key}").status == 200
    check_problem(shared_redis.http.get("/cache/" + "k" * 513), 400, "key-too-long")
    assert keys(shared_redis.http) == {"k" * 512, "ж" * 256}


def test_paging_inside_a_prefix(shared_redis: Shared) -> None:
    """Pages and links are of the cache's own keys, and never show its prefix."""
    redis, http = shared_redis.redis, shared_redis.http
    with redis.client() as client:
        for i in range(1500):
            client.ask("MSET", f"{shared_redis.prefix}k{i}", "1", f"zzz{i}", "1")
        client.ask("SET", shared_redis.prefix, "no key is empty")
    found: set[str] = set()
    target: str | None = "/keys?prefix=k&limit=200"
    while target:
        answer = http.get(target)
        document = check_json(answer)
        found |= set(document["keys"])
        link = re.fullmatch(r'<(/keys\?prefix=k&limit=200&cursor=\d+)>; rel="next"',
                            answer.header("Link") or "")
        assert (link is not None) == (document["cursor"] is not None), answer
        target = link[1] if link else None
    assert found == {f"k{i}" for i in range(1500)}


# --- what is set in Redis ------------------------------------------------------------------------

@pytest.mark.parametrize("env,policy", [
    ({"KEY_PREFIX": "app1:"}, "volatile-ttl"), ({}, "allkeys-lru"),
    ({"KEY_PREFIX": "app1:", "MAX_MEMORY_POLICY": "allkeys-lru"}, "allkeys-lru"),
    ({"KEY_PREFIX": "app1:", "MAX_MEMORY_POLICY": "allkeys-random"}, "allkeys-random"),
    ({"KEY_PREFIX": "app1:", "MAX_MEMORY": "64mb"}, "volatile-ttl"),
    ({"KEY_PREFIX": ""}, "allkeys-lru"),
])
def test_eviction_settings(new_redis: NewRedis, new_larder: NewLarder, env: dict[str, str],
                           policy: str) -> None:
    """A Redis that others use keeps its eviction policy, unless one is given."""
    redis = new_redis("--maxmemory-policy", "volatile-ttl")
    larder = new_larder(redis, workers=1, env=env).start()
    assert redis.ask("CONFIG", "GET", "maxmemory-policy")[1].decode() == policy
    sets = redis.info("commandstats").get("cmdstat_config|set", "")
    expected = (policy != "volatile-ttl") + ("MAX_MEMORY" in env)
    assert sets.startswith(f"calls={expected},") if expected else sets == "", sets
    assert larder.stats()["redis"]["policy_refused"] is False
    memory = int(redis.ask("CONFIG", "GET", "maxmemory")[1])
    assert memory == (64 << 20 if "MAX_MEMORY" in env else 0)


# --- users of Redis with few rights --------------------------------------------------------------

PLAIN = [("PUT", "/cache/a", b'{"value":1}'), ("GET", "/cache/a", b""),
         ("PUT", "/raw/b", b"x"), ("GET", "/raw/b", b""), ("GET", "/keys", b""),
         ("DELETE", "/cache?prefix=b", b""), ("DELETE", "/cache?tag=t", b""),
         ("GET", "/stats", b"")]
REFUSED = [("DELETE", "/cache/a", b""), ("POST", "/counters/n", b""),
           ("PUT", "/cache/t", b'{"value":1,"tags":["t"]}'),
           ("PUT", "/cache/i", b'{"value":1,"idle":5}')]


def deploy_user(name: str) -> list[str]:
    """The words of docs/deploy.md's line for a user."""
    page = (SRCDIR / "docs" / "deploy.md").read_text()
    [line] = re.findall(rf"^user {name} .*$", page, re.M)
    words: list[str] = line.split()
    return words


def test_a_user_of_one_prefix(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """deploy.md's user for a shared Redis can do everything inside its prefix, and each of its
    commands is needed."""
    words = deploy_user("app1")
    assert "~app1:*" in words
    redis = new_redis("--user", *words[1:])
    redis.ask("SET", "other", "1")
    larder = new_larder(redis, workers=1, key_prefix="app1:", redis_username="app1",
                        redis_password="change-me").start()
    redis.ask("CONFIG", "RESETSTAT")
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    eventually(larder.ready)
    tour.take(larder)
    redis.ask("SET", "app1:empty", "")
    assert larder.fastcgi("GET", "/raw/empty").body == b""
    redis.ask("SCRIPT", "FLUSH")
    tour.take(larder)
    eventually(lambda: "cmdstat_ping" in redis.info("commandstats"), what="it is pinged when idle")
    assert not redis.ask("ACL", "LOG"), "a command was refused"
    mine = {"auth", "acl|log", "config|resetstat", "client|kill", "script|flush"}
    granted = {word[1:] for word in words if word.startswith("+")}
    assert granted == tour.used_commands(redis.info("commandstats")) - mine
    assert redis.ask("GET", "other") == b"1"


def test_another_prefix_than_the_users(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A user that may not use the cache's names: 503 backend-refused, and nothing else."""
    redis = new_redis("--user", *deploy_user("app1")[1:])
    larder = new_larder(redis, workers=1, key_prefix="app2:", redis_username="app1",
                        redis_password="change-me").start()
    for method, target, body in REFUSED + PLAIN[:2]:
        document = check_problem(larder.fastcgi(method, target, body), 503, "backend-refused")
        assert document.get("outcome") == (None if method == "GET" else "not-applied")
    assert redis.ask("DBSIZE") == 0


@pytest.mark.parametrize("kind", FRONTS)
@pytest.mark.parametrize("without", [["-@scripting"], ["-script|load"], ["-evalsha", "-eval"]],
                         ids=["scripting", "load", "eval"])
def test_a_user_without_scripts(new_redis: NewRedis, new_larder: NewLarder, new_front: NewFront,
                                kind: str, without: list[str]) -> None:
    """Plain reads and writes work, the rest is 503 backend-refused, and the log names the fix. With
    EVAL but without SCRIPT LOAD all works, a little slower."""
    redis = new_redis("--user", "app", "on", ">pw", "~*", "&*", "+@all", *without)
    larder = new_larder(redis, workers=1, redis_username="app", redis_password="pw").start()
    only_load = without == ["-script|load"]
    if without != ["-evalsha", "-eval"]:
        larder.wait_text(r"warning.*takes no scripts.*\+script\|load \+evalsha \+eval")
    with new_front(kind, larder).http() as http:
        for method, target, body in PLAIN:
            headers = JSON if target.startswith("/cache/") else ()
            answer = http.request(method, target, body if method == "PUT" else None, headers)
            assert answer.status == 200, (target, answer)
        for method, target, body in REFUSED:
            answer = http.request(method, target, body, JSON)
            if only_load:
                assert answer.status == 200, (target, answer)
            else:
                document = check_problem(answer, 503, "backend-refused")
                assert document["outcome"] == "not-applied"
        if only_load:
            return
        assert http.request("PATCH", "/cache/a", b'{"ttl":5}', MERGE).status == 503
        assert http.put("/cache/a", {"value": 1}, [*JSON, ("If-Match", "*")]).status == 503
        results = check_json(http.request(
            "POST", "/batch", b'{"operations":[{"method":"PUT","key":"c","value":1},'
            b'{"method":"DELETE","key":"a"},{"method":"GET","key":"a"}]}', JSON))["results"]
        assert [r["status"] for r in results] == [200, 503, 200]
        assert results[1]["type"] == "/errors/backend-refused"
    larder.wait_text(r"warning.*(NOPERM|takes no scripts)")


@pytest.mark.parametrize("command,method,target,body", [
    ("incrby", "POST", "/counters/n", b"{}"),
    ("exists", "POST", "/counters/n", b"{}"),
    ("time", "PUT", "/cache/t", b'{"value":1,"tags":["t"]}'),
    ("persist", "PATCH", "/cache/tagged", b'{"ttl":null}'),
    ("pexpire", "PATCH", "/cache/tagged", b'{"ttl":9000}'),
    ("unlink", "DELETE", "/cache/plain", b""),
])
def test_a_command_that_a_script_may_not_use(new_redis: NewRedis, new_larder: NewLarder,
                                             command: str, method: str, target: str,
                                             body: bytes) -> None:
    """Refused inside a script is refused: 503, nothing is done; regression, Redis 7.0 says that in
    words of its own, and they were an unknown error."""
    redis = new_redis("--user", "app", "on", ">pw", "~*", "&*", "+@all")
    larder = new_larder(redis, workers=1, redis_username="app", redis_password="pw").start()
    tour.put_entries(larder)
    redis.ask("DEL", "n")
    if command == "incrby":
        redis.ask("SET", "n", "1")
    redis.ask("ACL", "SETUSER", "app", f"-{command}")
    before = dump(redis, "no such")
    document = check_problem(larder.fastcgi(method, target, body), 503, "backend-refused")
    assert document["outcome"] == "not-applied"
    assert {k: v for k, v in dump(redis, "no such").items() if not k.startswith(b"\xff")} == {
        k: v for k, v in before.items() if not k.startswith(b"\xff")}
    assert larder.fastcgi("GET", "/cache/longer").status == 200
