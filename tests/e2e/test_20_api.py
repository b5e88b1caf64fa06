"""Every endpoint and every status of the contract, through lighttpd and nginx."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from checks import (check_allow, check_common, check_envelope, check_json, check_problem,
                    check_timestamp, value_text)
from harness import (FRONTS, SANITIZED, SRCDIR, VALGRIND, Front, Larder, Redis, Stack, eventually,
                     resident_kib)
from rawhttp import Http

JSON = (("Content-Type", "application/json"),)
ROUTES = re.findall(r'^ROUTE\(\w+, (\w+), "([^"]+)"', (SRCDIR / "src/api/routes.def").read_text(),
                    re.M)


def methods_of(path: str) -> set[str]:
    """What Allow has to list at a path of the route table."""
    methods = {method for method, of in ROUTES if of == path} | {"OPTIONS"}
    return methods | {"HEAD"} if "GET" in methods else methods


PATHS = sorted({path for _, path in ROUTES})
# Those that both web servers pass on.
METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "PROPFIND"]
NOT_ALLOWED = [(method, path) for path in PATHS for method in METHODS
               if method not in methods_of(path)]
READ_PATHS = [path for path in PATHS if methods_of(path) == {"GET", "HEAD", "OPTIONS"}]


# --- the documents about the service -------------------------------------------------------------

def test_root(http: Http) -> None:
    """GET / names the service and lists its endpoints."""
    document = check_json(http.get("/"))
    assert document["service"] == "Cache Server"
    assert isinstance(document["version"], str) and document["version"]
    assert isinstance(document["description"], str) and document["description"]
    endpoints = document["endpoints"]
    assert set(endpoints) == {f"{method} {path}" for method, path in ROUTES}
    assert all(isinstance(summary, str) and summary for summary in endpoints.values())


def test_health(http: Http) -> None:
    """GET /health says healthy and when."""
    document = check_json(http.get("/health"))
    assert document["status"] == "healthy"
    check_timestamp(document["timestamp"])


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_probes(http: Http, path: str) -> None:
    """The probes answer 200 JSON while all is well."""
    check_json(http.get(path))


def test_stats_has_the_originals_members(http: Http, key: str) -> None:
    """GET /stats has the original's six members with their types."""
    http.put(f"/cache/{key}", {"value": 1})
    document = check_json(http.get("/stats"))
    for name in ("total_keys", "hits", "misses"):
        assert type(document[name]) is int and document[name] >= 0, name
    assert isinstance(document["hit_rate"], (int, float)) and 0 <= document["hit_rate"] <= 100
    assert round(document["hit_rate"], 2) == document["hit_rate"]
    assert isinstance(document["memory_usage"], str)
    assert document["memory_usage"][-1] in "BKMG" and float(document["memory_usage"][:-1]) > 0
    assert document["uptime_seconds"] >= 0
    assert document["total_keys"] >= 1


def test_metrics_type(http: Http) -> None:
    """GET /metrics is Prometheus text 0.0.4."""
    answer = http.get("/metrics")
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").replace(" ", "").startswith(
        "text/plain;version=0.0.4")
    check_common(answer)


# --- PUT, GET, DELETE ----------------------------------------------------------------------------

@pytest.mark.parametrize("value", [
    1, -1, 0, 1.5, True, False, None, "", "text", "123", "null", [], {}, [[]], [None], {"": None},
    {"nested": {"list": [1, "two", None, {"x": []}]}}, "ключ €😀", "\u0000\u001f\u007f\u2028",
    "a\"b\\c/d", [1] * 1000, "x" * 100_000,
], ids=str)
def test_put_get_delete(http: Http, key: str, value: Any) -> None:
    """Any JSON value is stored, read back with its type, and deleted once."""
    path = f"/cache/{key}"
    check_problem(http.get(path), 404, "key-not-found")
    check_envelope(http.put(path, {"value": value, "ttl": 60}), key, value, 60)
    check_envelope(http.get(path), key, value, 60, slack=1)
    deleted = check_json(http.delete(path))
    assert list(deleted) == ["key", "deleted", "timestamp"]
    assert deleted["key"] == key and deleted["deleted"] is True
    check_timestamp(deleted["timestamp"])
    assert check_problem(http.delete(path), 404, "key-not-found")["detail"] == "Key not found"
    missing = check_problem(http.get(path), 404, "key-not-found")
    assert missing["detail"] == "Key not found" and missing["key"] == key


def test_put_replaces(http: Http, key: str) -> None:
    """A second PUT replaces value and ttl."""
    path = f"/cache/{key}"
    check_envelope(http.put(path, {"value": "first", "ttl": 10}), key, "first", 10)
    check_envelope(http.put(path, {"value": [2], "ttl": 100}), key, [2], 100)
    check_envelope(http.get(path), key, [2], 100, slack=1)


@pytest.mark.parametrize("text", [
    "1e400", "-1E-400", "18446744073709551616", "9007199254740993", "1.10", "-0", "-0.0", "1E5",
    "1e+05", "0.1", '"\\u0000"', '"\\u00e9\\/\\ud83d\\ude00"', '"é😀"', '{"a":1,"a":2}', "[]", "{}",
    '[ 1 ,\t2 ]', '{ "b" : 1 , "a" : 2 }', "null", '"123"', '"-ERR"', '"$-1\\r\\n"', '"%s%n%x"',
])
def test_values_are_kept_byte_for_byte(stack: Stack, http: Http, key: str, text: str) -> None:
    """The text of a value comes back as it was spelled, and is what Redis holds."""
    raw = text.encode()
    stored = http.put(f"/cache/{key}", b'{ "value" : \n' + raw + b'\t, "ttl" : 60 }')
    assert stored.status == 200, stored
    assert value_text(stored.body) == raw
    assert value_text(http.get(f"/cache/{key}").body) == raw
    assert stack.redis.ask("GET", key) == raw


def test_both_fronts_see_the_same_entry(stack: Stack, key: str) -> None:
    """What was stored through one web server is read through the other, byte for byte."""
    with stack.fronts["lighttpd"].http() as one, stack.fronts["nginx"].http() as other:
        one.put(f"/cache/{key}", b'{"value":[1.10, "\\u00e9"]}')
        assert value_text(other.get(f"/cache/{key}").body) == b'[1.10, "\\u00e9"]'
        assert other.delete(f"/cache/{key}").status == 200
        assert one.get(f"/cache/{key}").status == 404


def test_clear(http: Http, stack: Stack, key: str) -> None:
    """DELETE /cache removes everything and says so."""
    for i in range(5):
        http.put(f"/cache/{key}-{i}", {"value": i})
    document = check_json(http.delete("/cache"))
    assert list(document) == ["cleared", "timestamp"] and document["cleared"] is True
    check_timestamp(document["timestamp"])
    assert http.get(f"/cache/{key}-0").status == 404
    assert check_json(http.get("/stats"))["total_keys"] == 0
    assert stack.redis.ask("DBSIZE") == 0


def test_a_get_document_can_be_put_back(http: Http, key: str) -> None:
    """What GET gave is accepted as it stands, under the same key."""
    path = f"/cache/{key}"
    http.put(path, b'{"value":{"n":1.10},"ttl":60}')
    document = http.get(path).body
    assert http.delete(path).status == 200
    answer = http.put(path, document)
    assert answer.status == 200, answer
    assert value_text(http.get(path).body) == b'{"n":1.10}'
    check_problem(http.put(f"/cache/{key}-other", document), 422, "key-mismatch")
    assert http.get(f"/cache/{key}-other").status == 404


def test_a_get_document_of_an_odd_key_can_be_put_back(http: Http, key: str) -> None:
    """The same with a key that JSON must escape."""
    path = f"/cache/{key}%22%5C%D0%BA%F0%9F%98%80%2F%3Cscript%3E"
    http.put(path, {"value": 1})
    document = http.get(path)
    assert document.json()["key"] == key + '"\\к😀/<script>'
    assert http.put(path, document.body).status == 200


@pytest.mark.parametrize("member", ['"key":1', '"key":null', '"key":""', '"key":["KEY"]',
                                    '"key":"KEY "'])
def test_another_key_in_the_document(http: Http, key: str, member: str) -> None:
    """A document whose `key` isn't the path's key is refused."""
    body = f'{{"value":1,{member.replace("KEY", key)}}}'.encode()
    check_problem(http.put(f"/cache/{key}", body), 422, "key-mismatch")


# --- ttl -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("text,seconds", [
    (None, 3600), ("null", 3600), ("1", 1), ("60", 60), ("10.0", 10), ("1e1", 10), ('"10"', 10),
    ("31536000", 31536000), ("3.1536e7", 31536000), ('"31536000"', 31536000), ("100e-1", 10),
    ("1.50e2", 150),
])
def test_ttl_accepted(stack: Stack, http: Http, key: str, text: str | None, seconds: int) -> None:
    """A ttl is a whole number of seconds however it is spelled; without one it is the default."""
    member = f',"ttl":{text}' if text is not None else ""
    answer = http.put(f"/cache/{key}", f'{{"value":1{member}}}'.encode())
    check_envelope(answer, key, 1, seconds)
    assert 0 <= seconds * 1000 - stack.redis.ask("PTTL", key) < 5000


def test_refused_put_leaves_the_old_value(http: Http, key: str) -> None:
    """A refused PUT changes neither value nor ttl of what is there."""
    http.put(f"/cache/{key}", {"value": "old", "ttl": 1000})
    for body in (b'{"value":1,"ttl":0}', b'{"value":1', b'{"valu":1}', b"[]", b""):
        assert http.put(f"/cache/{key}", body).status in (400, 422)
    check_envelope(http.get(f"/cache/{key}"), key, "old", 1000, slack=3)


def test_ttl_is_rounded_up_and_ends(stack: Stack, http: Http, key: str) -> None:
    """What is left is shown rounded up, never 0, and then the key is gone."""
    http.put(f"/cache/{key}", {"value": 1, "ttl": 2})
    seen = set()
    end = time.monotonic() + 10
    while (answer := http.get(f"/cache/{key}")).status == 200 and time.monotonic() < end:
        seen.add(answer.json()["ttl"])
        time.sleep(0.05)
    assert answer.status == 404
    assert seen == {1, 2}


def test_ttl_of_a_part_of_a_second(stack: Stack, http: Http, key: str) -> None:
    """1.0001 seconds left are shown as 2, 999 ms as 1."""
    stack.redis.ask("SET", key, "1", "PX", "999999")
    assert http.get(f"/cache/{key}").json()["ttl"] == 1000
    stack.redis.ask("SET", key, "1", "PX", "900")
    assert http.get(f"/cache/{key}").json()["ttl"] == 1


def test_no_expiry_is_null(stack: Stack, http: Http, key: str) -> None:
    """An entry that doesn't expire shows ttl null, and its document can be put back."""
    stack.redis.ask("SET", key, "[1]")
    answer = http.get(f"/cache/{key}")
    check_envelope(answer, key, [1], None)
    check_envelope(http.put(f"/cache/{key}", answer.body), key, [1], 3600)


def test_default_ttl_zero(new_redis: Callable[..., Redis],
                          new_larder: Callable[..., Larder]) -> None:
    """DEFAULT_TTL=0: entries without ttl don't expire, others do."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"DEFAULT_TTL": "0"})
    larder.start()
    for name, body, ttl in (("a", b'{"value":1}', None), ("b", b'{"value":1,"ttl":null}', None),
                            ("c", b'{"value":1,"ttl":5}', 5)):
        check_envelope(larder.fastcgi("PUT", f"/cache/{name}", body), name, 1, ttl)
        check_envelope(larder.fastcgi("GET", f"/cache/{name}"), name, 1, ttl)
        assert (redis.ask("PTTL", name) == -1) == (ttl is None)
    larder.fastcgi("PUT", "/cache/c", b'{"value":2}')
    assert redis.ask("PTTL", "c") == -1, "a PUT without ttl kept the old one's ttl"
    check_problem(larder.fastcgi("PUT", "/cache/d", b'{"value":1,"ttl":0}'), 422, "invalid-ttl")


def test_max_ttl_option(new_redis: Callable[..., Redis],
                        new_larder: Callable[..., Larder]) -> None:
    """MAX_TTL bounds what clients may ask for, and the refusal names the bound."""
    larder = new_larder(new_redis(), workers=1, max_ttl=100, default_ttl=50)
    larder.start()
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":1,"ttl":100}').status == 200
    answer = larder.fastcgi("PUT", "/cache/a", b'{"value":1,"ttl":101}')
    assert "100" in check_problem(answer, 422, "invalid-ttl")["detail"]


# --- methods -------------------------------------------------------------------------------------

def test_the_route_table_was_read() -> None:
    """The paths that the contract names are among those that the next tests go through."""
    assert len(ROUTES) >= 17
    assert methods_of("/cache/{key}") == {"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert methods_of("/raw/{key}") == {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}
    assert methods_of("/cache") == {"DELETE", "OPTIONS"}
    assert methods_of("/batch") == methods_of("/counters/{key}") == {"POST", "OPTIONS"}
    assert {"/", "/stats", "/health", "/metrics", "/keys"} <= set(READ_PATHS)


@pytest.mark.parametrize("path", PATHS)
def test_options(http: Http, path: str) -> None:
    """OPTIONS is 204 with Allow, at every path."""
    answer = http.request("OPTIONS", path.replace("{key}", "some-key"))
    assert (answer.status, answer.body) == (204, b"")
    check_allow(answer, methods_of(path))


@pytest.mark.parametrize("method,path", NOT_ALLOWED)
def test_methods_that_are_not_allowed(http: Http, method: str, path: str) -> None:
    """A method that a path doesn't take is 405 with Allow, and does nothing."""
    body = None if method in ("GET", "HEAD", "DELETE") else b'{"value":1}'
    answer = http.request(method, path.replace("{key}", "some-key"), body, JSON)
    assert answer.status == 405
    check_allow(answer, methods_of(path))
    if method != "HEAD":
        check_problem(answer, 405, "method-not-allowed")
    assert http.get("/cache/some-key").status == 404


@pytest.mark.parametrize("path", READ_PATHS)
def test_head_of_the_documents(http: Http, path: str) -> None:
    """HEAD answers as GET does, without a body."""
    head, get = http.request("HEAD", path), http.get(path)
    assert head.status == get.status == 200
    assert head.body == b""
    assert head.header("Content-Type") == get.header("Content-Type")
    assert int(head.header("Content-Length") or 0) > 0
    check_common(head)


def test_head_of_a_key(http: Http, key: str) -> None:
    """HEAD of a key has GET's status and length, also for a miss, and never a body."""
    path = f"/cache/{key}"
    missed = http.request("HEAD", path)
    assert (missed.status, missed.body) == (404, b"")
    assert missed.header("Content-Length") == http.get(path).header("Content-Length")
    http.put(path, {"value": "x" * 1000, "ttl": 100000})
    head, get = http.request("HEAD", path), http.get(path)
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Length") == get.header("Content-Length") == str(len(get.body))
    assert http.get(path).status == 200, "the connection is out of step"


@pytest.mark.parametrize("path", ["/unknown", "/cachefoo", "/CACHE/a", "/Cache/a", "/stats/x",
                                  "/stats/", "/health/", "/health/x", "/metrics/", "/caches",
                                  "/favicon.ico", "/index.html"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_unknown_paths(http: Http, method: str, path: str) -> None:
    """Nothing lives at other paths, whatever the method."""
    answer = http.request(method, path, b'{"value":1}' if method == "PUT" else None)
    assert answer.status == 404
    if method != "HEAD":
        check_problem(answer, 404, "not-found")


# --- query parameters ----------------------------------------------------------------------------

def test_reads_ignore_unknown_parameters(http: Http, key: str) -> None:
    """GET and HEAD ignore what they don't know."""
    http.put(f"/cache/{key}", {"value": 1})
    for query in ("?x=1", "?", "?x=%zz", "?key=other", "?a=1&a=2", "?" + "&".join(["q=1"] * 1500)):
        assert http.get(f"/cache/{key}{query}").status == 200, query
        assert http.request("HEAD", f"/cache/{key}{query}").status == 200, query
    for path in READ_PATHS:
        assert http.get(path + "?x=1").status == 200, path


@pytest.mark.parametrize("method,path", [
    ("DELETE", "/cache?key=a"), ("DELETE", "/cache?Prefix=k"), ("DELETE", "/cache?prefix%20=k"),
    ("DELETE", "/cache?x"), ("DELETE", "/cache/KEY?x=1"), ("DELETE", "/cache/KEY?prefix=k"),
    ("DELETE", "/raw/KEY?x=1"), ("PUT", "/cache/KEY?ttl=5"), ("PUT", "/cache/KEY?x=1"),
    ("PUT", "/raw/KEY?x=1"), ("PATCH", "/cache/KEY?x=1"), ("POST", "/counters/KEY?x=1"),
    ("POST", "/batch?x=1"),
])
def test_writes_refuse_unknown_parameters(http: Http, key: str, method: str, path: str) -> None:
    """A write with a parameter that it doesn't know changes nothing at all."""
    http.put(f"/cache/{key}", {"value": "old"})
    body = None if method == "DELETE" else b'{"value":"new"}'
    answer = http.request(method, path.replace("KEY", key), body, JSON if body else ())
    check_problem(answer, 400, "unknown-parameter")
    check_envelope(http.get(f"/cache/{key}"), key, "old", 3600, slack=2)


# --- what other programs keep in Redis -----------------------------------------------------------

FOREIGN: list[tuple[str, bytes, Any, str | None]] = [
    ("text", b"hello", "hello", None),
    ("empty", b"", "", None),
    ("nan", b"NaN", "NaN", None),
    ("leading-zero", b"01", "01", None),
    ("cut-json", b'{"a":1', '{"a":1', None),
    ("json-and-more", b'{"a":1}x', '{"a":1}x', None),
    ("control", b"line\r\n\ttab\0nul\x7f", "line\r\n\ttab\0nul\x7f", None),
    ("unicode", "ключ €😀".encode(), "ключ €😀", None),
    ("quotes", b'say "hi" \\ /', 'say "hi" \\ /', None),
    ("json-with-space", b" [1, 2]\n", [1, 2], None),
    ("json", b'{"written":"by another"}', {"written": "by another"}, None),
    ("two-bytes", b"\xff\xfe", "//4=", "base64"),
    ("one-byte", b"\x80", "gA==", "base64"),
    ("latin1", b"caf\xe9", "Y2Fm6Q==", "base64"),
    ("surrogate", b'"\xed\xa0\x80"', "Iu2ggCI=", "base64"),
    ("all-bytes", bytes(range(256)), base64.b64encode(bytes(range(256))).decode(), "base64"),
]


@pytest.mark.parametrize("name,stored,value,encoding", FOREIGN, ids=[f[0] for f in FOREIGN])
def test_foreign_values(stack: Stack, http: Http, key: str, name: str, stored: bytes, value: Any,
                        encoding: str | None) -> None:
    """JSON is shown as it is, other text as a JSON string, anything else as base64 that says so."""
    stack.redis.ask("SET", key, stored, "EX", 100)
    document = check_json(http.get(f"/cache/{key}"))
    assert document.get("encoding") == encoding
    assert document["value"] == value
    assert document["ttl"] in (99, 100)


@pytest.mark.parametrize("stored", [b"text", b"\xff\xfe"], ids=["text", "base64"])
def test_a_foreign_document_can_be_put_back(stack: Stack, http: Http, key: str,
                                            stored: bytes) -> None:
    """Every member that GET adds is accepted by PUT, `encoding` as well."""
    stack.redis.ask("SET", key, stored)
    assert http.put(f"/cache/{key}", http.get(f"/cache/{key}").body).status == 200


@pytest.mark.parametrize("make", [("LPUSH", "KEY", "x"), ("HSET", "KEY", "f", "v"),
                                  ("SADD", "KEY", "x"), ("ZADD", "KEY", "1", "x"),
                                  ("XADD", "KEY", "*", "f", "v")], ids=lambda m: str(m[0]))
def test_a_key_of_another_type(stack: Stack, http: Http, key: str, make: tuple[str, ...]) -> None:
    """A list or hash under a key is 409 to read; other keys, PUT and DELETE are not hindered."""
    stack.redis.ask(*[key if part == "KEY" else part for part in make])
    http.put(f"/cache/{key}-other", {"value": 1})
    document = check_problem(http.get(f"/cache/{key}"), 409, "wrong-type")
    assert "WRONGTYPE" not in json.dumps(document)
    check_envelope(http.get(f"/cache/{key}-other"), f"{key}-other", 1, 3600, slack=1)
    assert http.request("HEAD", f"/cache/{key}").status == 409
    assert http.put(f"/cache/{key}", {"value": 2}).status == 200
    check_envelope(http.get(f"/cache/{key}"), key, 2, 3600, slack=1)


@pytest.mark.parametrize("size,status", [(8 << 20, 200), ((8 << 20) + 1, 409), (64 << 20, 409)])
def test_giant_foreign_values(own: Callable[..., Stack], size: int, status: int) -> None:
    """What is larger than any value may be is refused, and its bulk hinders and costs nobody."""
    stack = own(*FRONTS, workers=1)
    stack.redis.ask("SET", "giant", b"x" * size)
    for front in stack.fronts.values():
        with front.http() as http:
            http.put("/cache/small", {"value": 1})
            if status == 200:
                assert len(check_json(http.get("/cache/giant"))["value"]) == size
            else:
                check_problem(http.get("/cache/giant"), 409, "entry-too-large")
            check_envelope(http.get("/cache/small"), "small", 1, 3600, slack=2)
    if not (SANITIZED or VALGRIND):
        assert max(map(resident_kib, stack.larder.workers())) < 48 << 10
    assert stack.larder.fastcgi("DELETE", "/cache/giant").status == 200


# --- answers in general --------------------------------------------------------------------------

def test_keys_of_one_entry_are_distinct(http: Http, key: str) -> None:
    """NFC and NFD spellings of a text, and upper and lower case, are different keys."""
    names = ["%C3%A9", "e%CC%81", "A", "a"]
    for i, name in enumerate(names):
        http.put(f"/cache/{key}{name}", {"value": i})
    assert [http.get(f"/cache/{key}{n}").json()["value"] for n in names] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", FRONTS)
def test_many_requests_on_one_connection(stack: Stack, key: str, kind: str) -> None:
    """300 requests of all kinds on one connection each get their own answer."""
    front: Front = stack.fronts[kind]
    with front.http() as http:
        for i in range(75):
            path = f"/cache/{key}-{i}"
            assert http.put(path, {"value": [i, "x" * (i * 37)]}).status == 200
            assert http.get(path).json()["value"][0] == i
            assert http.put(path, b"{").status == 400
            assert http.delete(path).json()["key"] == f"{key}-{i}"


def test_reads_may_be_kept_privately_only(http: Http, key: str) -> None:
    """A hit says that a browser must ask again before it uses a stored copy."""
    http.put(f"/cache/{key}", {"value": 1})
    assert http.get(f"/cache/{key}").header("Cache-Control") == "private, no-cache"


def test_expired_entries_leave_redis(stack: Stack, http: Http, key: str) -> None:
    """The ttl is Redis's own: the entry is gone from there too."""
    http.put(f"/cache/{key}", {"value": 1, "ttl": 1})
    assert stack.redis.ask("EXISTS", key) == 1
    eventually(lambda: stack.redis.ask("EXISTS", key) == 0, 5, "the entry expires")
    assert http.get(f"/cache/{key}").status == 404
