"""POST /batch: each operation as it would have been alone, in order, and in one round trip."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checks import check_allow, check_json, check_problem, check_timestamp
from harness import (FRONTS, SANITIZED, SLOW, VALGRIND, Front, Larder, Redis, Stack, eventually,
                     resident_kib)
from proxy import Link, Relay
from rawhttp import Answer, Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
NewFront = Callable[[str, Larder], Front]
Own = Callable[..., Stack]
Operation = dict[str, Any]

JSON = (("Content-Type", "application/json"),)
PROBE = 16384  # bytes of an entry that a batch asks for at first
MIB = 1 << 20
AWAY = b"-ERR max number of clients reached\r\n"  # a relay's greeting: new connections fail


def post(http: Http, operations: Any) -> Answer:
    """Sends a batch; text as it is."""
    body = operations if isinstance(operations, bytes) else json.dumps(
        {"operations": operations}).encode()
    return http.request("POST", "/batch", body, JSON)


def run(http: Http, operations: Any) -> list[dict[str, Any]]:
    """The results of a batch that is answered."""
    answer = post(http, operations)
    document = check_json(answer)
    assert list(document) == ["results"]
    assert answer.header("Cache-Control") == "no-store"
    results: list[dict[str, Any]] = document["results"]
    if not isinstance(operations, bytes):
        assert len(results) == len(operations)
    return results


def statuses(results: list[dict[str, Any]]) -> list[int]:
    """Their statuses, in order."""
    return [result["status"] for result in results]


def get(key: str) -> Operation:
    """A GET."""
    return {"method": "GET", "key": key}


def put(key: str, value: Any, **members: Any) -> Operation:
    """A PUT."""
    return {"method": "PUT", "key": key, "value": value, **members}


def delete(key: str) -> Operation:
    """A DELETE."""
    return {"method": "DELETE", "key": key}


def store(http: Http, key: str, value: Any, **members: Any) -> None:
    """PUT of /cache/{key}."""
    assert http.put(f"/cache/{key}", {"value": value, **members}).status == 200


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


# --- as alone ------------------------------------------------------------------------------------

def ask_alone(http: Http, operation: Operation) -> Answer:
    """The request that an operation stands for."""
    members = dict(operation)
    method, key = members.pop("method"), members.pop("key")
    headers = [(field, members.pop(name)) for field, name in
               (("If-Match", "if_match"), ("If-None-Match", "if_none_match")) if name in members]
    if method != "PUT":
        return http.request(method, f"/cache/{key}", headers=headers)
    return http.put(f"/cache/{key}", members, [*JSON, *headers])


def check_as_alone(result: dict[str, Any], alone: Answer, key: str, twin: str) -> None:
    """A result has the status, the members and the entity tag of the answer to one request."""
    result = dict(result)
    assert result.pop("status") == alone.status, (result, alone)
    assert result.pop("etag", None) == alone.header("ETag"), (result, alone)
    document = alone.json() if alone.body else {"key": twin}
    document.pop("status", None)
    document.pop("timestamp", None)
    if "ttl" in result and result["ttl"] is not None:
        assert abs(result.pop("ttl") - document.pop("ttl")) <= 2
    assert document["key"] == twin
    document["key"] = key
    assert result == document, (result, document)


SETUPS: dict[str, Callable[[Http, Redis, str], object]] = {
    "nothing": lambda http, redis, key: None,
    "json": lambda http, redis, key: store(http, key, {"a": [1, None]}, ttl=500),
    "raw": lambda http, redis, key: http.request(
        "PUT", f"/raw/{key}?ttl=500", b"\x00\xff", [("Content-Type", "image/png")]),
    "raw-text": lambda http, redis, key: http.request(
        "PUT", f"/raw/{key}", "é".encode(), [("Content-Type", "text/plain"),
                                             ("Content-Encoding", "br")]),
    "tagged": lambda http, redis, key: store(http, key, 1, tags=["alone", "ü"]),
    "idle": lambda http, redis, key: store(http, key, [2], idle=100, ttl=500),
    "idle-tagged": lambda http, redis, key: store(http, key, 2, idle=100, tags=["alone"]),
    "dead": lambda http, redis, key: (store(http, key, "dead", tags=["d" + key]),
                                      http.delete(f"/cache?tag=d{key}")),
    "empty": lambda http, redis, key: redis.ask("SET", key, ""),
    "foreign-text": lambda http, redis, key: redis.ask("SET", key, "not JSON"),
    "foreign-bytes": lambda http, redis, key: redis.ask("SET", key, b"\xff\x00"),
    "no-end": lambda http, redis, key: redis.ask("SET", key, "[1]"),
    "list": lambda http, redis, key: redis.ask("RPUSH", key, "a"),
    "set": lambda http, redis, key: redis.ask("SADD", key, "a"),
}

# ETAG stands for the entry's own.
OPERATIONS: list[Operation] = [
    {"method": "GET"},
    {"method": "GET", "if_none_match": "ETAG"},
    {"method": "GET", "if_none_match": 'W/"x", ETAG'},
    {"method": "GET", "if_none_match": "*"},
    {"method": "GET", "if_match": "ETAG"},
    {"method": "GET", "if_match": '"other"'},
    {"method": "GET", "if_match": "unquoted"},
    {"method": "PUT", "value": 1},
    {"method": "PUT", "value": None, "ttl": 70},
    {"method": "PUT", "value": "é", "ttl": "70", "idle": 5, "tags": ["a", "b", "a"]},
    {"method": "PUT", "value": [], "tags": []},
    {"method": "PUT", "value": "AP8=", "encoding": "base64", "content_type": "image/gif"},
    {"method": "PUT", "value": "x", "content_type": "text/css", "content_encoding": "br"},
    {"method": "PUT", "value": 1, "if_none_match": "*"},
    {"method": "PUT", "value": 1, "if_match": "*"},
    {"method": "PUT", "value": 1, "if_match": "ETAG"},
    {"method": "PUT", "value": 1, "if_match": "ETAG", "tags": ["c"], "idle": 9},
    {"method": "PUT", "value": 1, "if_none_match": "ETAG"},
    {"method": "PUT", "value": 1, "if_match": '"other"'},
    {"method": "PUT", "value": 1, "if_match": '"'},
    {"method": "PUT", "value": 1, "ttl": 0},
    {"method": "PUT", "value": 1, "idle": -1},
    {"method": "PUT", "value": 1, "tags": [""]},
    {"method": "PUT", "value": 1, "encoding": "rot13"},
    {"method": "PUT"},
    {"method": "DELETE"},
    {"method": "DELETE", "if_match": "*"},
    {"method": "DELETE", "if_match": "ETAG"},
    {"method": "DELETE", "if_match": '"other"'},
    {"method": "DELETE", "if_none_match": "ETAG"},
    {"method": "DELETE", "if_none_match": "*"},
]


@pytest.mark.parametrize("name", SETUPS)
def test_every_operation_is_what_it_is_alone(stack: Stack, http: Http, key: str, name: str) -> None:
    """On an entry of each kind: the status and members of a single request on a twin, and the same
    entry afterwards."""
    operations, twins = [], []
    for i, template in enumerate(OPERATIONS):
        mine, twin = f"{key}-{i}", f"{key}-{i}-twin"
        for one in (mine, twin):
            SETUPS[name](http, stack.redis, one)
        etag = http.get(f"/cache/{mine}").header("ETag") or '"0"'
        filled = {k: v.replace("ETAG", etag) if isinstance(v, str) else v
                  for k, v in template.items()}
        operations.append({**filled, "key": mine})
        twins.append({**filled, "key": twin})
    results = run(http, operations)
    for result, operation, twin_operation in zip(results, operations, twins):
        alone = ask_alone(http, twin_operation)
        check_as_alone(result, alone, operation["key"], twin_operation["key"])
        after, twin_after = (http.get(f"/raw/{o['key']}") for o in (operation, twin_operation))
        assert after.status == twin_after.status, operation
        if after.status == 200:
            assert after.body == twin_after.body, operation
            assert after.header("Cache-Groups") == twin_after.header("Cache-Groups"), operation


def test_results_are_in_order(http: Http, key: str) -> None:
    """Mixed operations: what needs further rounds stands where it was asked for."""
    store(http, f"{key}-tagged", "t", tags=["x"])
    store(http, f"{key}-big", "b" * 50_000)
    operations = []
    for i in range(40):
        operations += [put(f"{key}-{i}", i), get(f"{key}-tagged"), get(f"{key}-{i}"),
                       get(f"{key}-big"), put(f"{key}-t{i}", i, tags=["x"]),
                       delete(f"{key}-absent-{i}"), {"method": "NO", "key": f"{key}-{i}"}]
    results = run(http, operations)
    assert statuses(results) == [200, 200, 200, 200, 200, 404, 422] * 40
    for i in range(40):
        part = results[i * 7:i * 7 + 7]
        assert [r["value"] for r in part[:5]] == [i, "t", i, "b" * 50_000, i]
        assert part[4]["tags"] == ["x"]
        assert [r.get("key") for r in part] == [
            f"{key}-{i}", f"{key}-tagged", f"{key}-{i}", f"{key}-big", f"{key}-t{i}",
            f"{key}-absent-{i}", None]


def test_one_bad_of_ten(http: Http, key: str) -> None:
    """One bad operation has its error, the nine others are done."""
    operations = [put(f"{key}-{i}", i) for i in range(10)]
    operations[4]["tll"] = 5
    results = run(http, operations)
    assert statuses(results) == [200] * 4 + [422] + [200] * 5
    assert results[4]["type"] == "/errors/unknown-field"
    assert [http.get(f"/cache/{key}-{i}").status for i in range(10)] == statuses(results) or \
        http.get(f"/cache/{key}-4").status == 404


def test_values_keep_their_text(http: Http, key: str) -> None:
    """A value comes back as it was spelled, also inside the results."""
    text = b'[1e400,  1.10, 18446744073709551616, "\\u00e9", {"a":1,"a":2}]'
    body = b'{"operations":[{"method":"PUT","key":"%s","value": %s }, {"key":"%s","method":"GET"}]}'
    answer = post(http, body % (key.encode(), text, key.encode()))
    assert answer.body.count(b'"value":' + text + b",") == 2, answer.body


def test_odd_keys(http: Http, key: str) -> None:
    """Keys of a batch are plain text: nothing in them is decoded but JSON's escapes."""
    names = [f"{key} %41?#", f'{key}"\\{{}}', f"{key}/ключ/€", f"{key}\u2028", f"{key}*[a]",
             "é" * 200]
    results = run(http, [put(name, i) for i, name in enumerate(names)] + [get(n) for n in names])
    assert statuses(results) == [200] * 12
    assert [r["key"] for r in results] == names * 2
    escaped = "".join(f"%{b:02X}" for b in names[0].encode())
    assert http.get(f"/cache/{escaped}").json()["value"] == 0


# --- one key, several times ----------------------------------------------------------------------

def test_one_key_many_times(http: Http, key: str) -> None:
    """Operations on one key happen in their order."""
    results = run(http, [get(key), put(key, 1), get(key), put(key, 2), put(key, 3), get(key),
                         delete(key), get(key), delete(key), put(key, 4, if_none_match="*"),
                         put(key, 5, if_none_match="*"), get(key), delete(key)])
    assert statuses(results) == [404, 200, 200, 200, 200, 200, 200, 404, 404, 200, 412, 200, 200]
    assert [r.get("value") for r in results] == [
        None, 1, 1, 2, 3, 3, None, None, None, 4, None, 4, None]


def test_tagged_puts_are_in_order(http: Http, key: str) -> None:
    """A PUT with tags or an idle time takes two rounds; what follows on its key sees it."""
    results = run(http, [put(key, 1, tags=["a"]), get(key), put(key, 2), get(key),
                         put(key, 3, idle=50), delete(key), get(key), put(key, 4, tags=["a"]),
                         delete(key), put(key, 5, tags=["b"]), put(key, 6, tags=["c"]), get(key)])
    assert statuses(results) == [200, 200, 200, 200, 200, 200, 404, 200, 200, 200, 200, 200]
    assert [r.get("value") for r in results] == [1, 1, 2, 2, 3, None, None, 4, None, 5, 6, 6]
    assert results[-1]["tags"] == ["c"]
    assert http.get(f"/cache/{key}").json()["value"] == 6


def test_conditional_puts_are_in_order(http: Http, key: str) -> None:
    """A compare-and-swap takes two rounds; what follows on its key sees it."""
    store(http, key, "old")
    etag = http.get(f"/cache/{key}").header("ETag")
    results = run(http, [put(key, 1, if_match=etag), get(key), put(key, 2, if_match=etag),
                         delete(key) | {"if_match": "*"}, get(key), put(key, 3), get(key),
                         put(key, 4, if_match="*", tags=["z"]), delete(key), get(key)])
    assert statuses(results) == [200, 200, 412, 200, 404, 200, 200, 200, 200, 404]
    assert [r.get("value") for r in results] == [1, 1, None, None, None, 3, 3, 4, None, None]


@pytest.mark.parametrize("size", [2, PROBE - 1, PROBE, PROBE + 1, 200_000, MIB])
@pytest.mark.parametrize("then", ["PUT", "DELETE", "CAS"])
def test_a_read_comes_before_the_write_that_follows(http: Http, key: str, size: int,
                                                    then: str) -> None:
    """A GET gives what was there before a later operation of the batch changed it, however large:
    regression, values above the probe were asked for again after the change."""
    text = "x" * (size - 2)
    store(http, key, text)
    change = {"PUT": put(key, "new"), "DELETE": delete(key),
              "CAS": put(key, "new", if_match="*")}[then]
    results = run(http, [get(key), change, get(key)])
    assert results[0]["status"] == 200 and results[0]["value"] == text
    assert results[1]["status"] == 200
    assert results[2].get("value") == (None if then == "DELETE" else "new")


def test_an_empty_value_is_read_before_it_is_changed(stack: Stack, http: Http, key: str) -> None:
    """The same with an empty value, which takes a second look, too."""
    assert http.request("PUT", f"/raw/{key}-raw", b"").status == 200
    stack.redis.ask("SET", key, "")
    results = run(http, [get(key), put(key, "new"), get(f"{key}-raw"), delete(f"{key}-raw")])
    assert statuses(results) == [200] * 4
    assert results[0]["value"] == "" and results[2]["value"] == ""


@pytest.mark.parametrize("first", ["DELETE", "tags", "idle", "CAS"])
@pytest.mark.parametrize("then", ["GET", "PUT", "DELETE"])
def test_scripts_that_redis_has_lost(stack: Stack, http: Http, key: str, first: str,
                                     then: str) -> None:
    """After SCRIPT FLUSH the order holds: regression, what followed a script on its key was done
    before the script was sent again."""
    operation = {"DELETE": delete(key), "tags": put(key, 1, tags=["a"]),
                 "idle": put(key, 1, idle=60), "CAS": put(key, 1, if_match="*")}[first]
    gone = first == "DELETE"
    for _ in range(4):  # each worker's turn
        store(http, key, "old")
        stack.redis.ask("SCRIPT", "FLUSH")
        results = run(http, [operation, {"method": then, "key": key, "value": 2}, get(key)])
        assert results[0]["status"] == 200
        if then == "GET":
            assert results[1].get("value") == (None if gone else 1)
            assert results[2].get("value") == (None if gone else 1)
        elif then == "PUT":
            assert statuses(results) == [200, 200, 200] and results[2]["value"] == 2
        else:
            assert statuses(results) == [200, 404 if gone else 200, 404]


def test_scripts_lost_before_a_large_batch(stack: Stack, http: Http, key: str) -> None:
    """After SCRIPT FLUSH every DELETE and tagged PUT of a batch is done, once."""
    keys = [f"{key}-{i}" for i in range(100)]
    run(http, [put(k, 1, tags=["old"]) for k in keys])
    stack.redis.ask("SCRIPT", "FLUSH")
    results = run(http, [delete(k) for k in keys] +
                  [put(f"{k}-new", 2, tags=["new"]) for k in keys])
    assert statuses(results) == [200] * 200
    assert statuses(run(http, [get(k) for k in keys])) == [404] * 100
    assert statuses(run(http, [get(f"{k}-new") for k in keys])) == [200] * 100


# --- documents that are none ---------------------------------------------------------------------

BAD_ITEMS: list[tuple[str, int, str]] = [
    ("1", 422, "schema-violation"), ('"GET"', 422, "schema-violation"),
    ("null", 422, "schema-violation"), ("[]", 422, "schema-violation"),
    ("{}", 422, "schema-violation"),
    ('{"key":"KEY"}', 422, "schema-violation"),
    ('{"method":"PATCH","key":"KEY"}', 422, "schema-violation"),
    ('{"method":"get","key":"KEY"}', 422, "schema-violation"),
    ('{"method":1,"key":"KEY"}', 422, "schema-violation"),
    ('{"method":null,"key":"KEY"}', 422, "schema-violation"),
    ('{"method":"GET"}', 422, "schema-violation"),
    ('{"method":"GET","key":1}', 422, "schema-violation"),
    ('{"method":"GET","key":null}', 422, "schema-violation"),
    ('{"method":"GET","key":["KEY"]}', 422, "schema-violation"),
    ('{"method":"GET","key":""}', 400, "invalid-key"),
    ('{"method":"GET","key":"/"}', 400, "invalid-key"),
    ('{"method":"GET","key":"a//b"}', 400, "invalid-key"),
    ('{"method":"GET","key":"a/"}', 400, "invalid-key"),
    ('{"method":"DELETE","key":".."}', 400, "invalid-key"),
    ('{"method":"DELETE","key":"a/./b"}', 400, "invalid-key"),
    ('{"method":"GET","key":"a\\u0000b"}', 400, "invalid-key"),
    ('{"method":"GET","key":"a\\nb"}', 400, "invalid-key"),
    ('{"method":"GET","key":"\\u0085"}', 400, "invalid-key"),
    (f'{{"method":"GET","key":"{"k" * 513}"}}', 400, "key-too-long"),
    (f'{{"method":"GET","key":"{"é" * 257}"}}', 400, "key-too-long"),
    ('{"method":"GET","key":"KEY","KEY":1}', 422, "unknown-field"),
    ('{"method":"GET","key":"KEY","Method":"PUT"}', 422, "unknown-field"),
    ('{"method":"PUT","key":"KEY","value":1,"tll":5}', 422, "unknown-field"),
    ('{"method":"GET","method":"GET","key":"KEY"}', 400, "duplicate-field"),
    ('{"method":"GET","key":"KEY","k\\u0065y":"KEY"}', 400, "duplicate-field"),
    ('{"method":"PUT","key":"KEY","value":1,"value":2}', 400, "duplicate-field"),
    ('{"method":"PUT","key":"KEY","value":1,"ttl":1.5}', 422, "invalid-ttl"),
    ('{"method":"PUT","key":"KEY","value":1,"idle":"x"}', 422, "invalid-idle"),
    ('{"method":"PUT","key":"KEY","value":1,"tags":"a"}', 422, "invalid-tag"),
    ('{"method":"PUT","key":"KEY"}', 422, "schema-violation"),
    ('{"method":"GET","key":"KEY","if_match":1}', 400, "invalid-precondition"),
    ('{"method":"GET","key":"KEY","if_match":""}', 400, "invalid-precondition"),
    ('{"method":"PUT","key":"KEY","value":1,"if_none_match":"x"}', 400, "invalid-precondition"),
    ('{"method":"PUT","key":"KEY","value":1,"if_none_match":null}', 400, "invalid-precondition"),
]


@pytest.mark.parametrize("text,status,slug", BAD_ITEMS, ids=[f"{i}" for i in range(len(BAD_ITEMS))])
def test_bad_operations(stack: Stack, http: Http, key: str, text: str, status: int,
                        slug: str) -> None:
    """An operation that is none has its problem; its neighbours are done."""
    good = json.dumps(put(f"{key}-good", 1))
    bad = text.replace("KEY", key)
    results = run(http, f'{{"operations":[{good},{bad},{good}]}}'.encode())
    assert statuses(results) == [200, status, 200], results
    assert results[1]["type"] == f"/errors/{slug}"
    assert results[1]["title"] and results[1]["detail"]
    assert stack.redis.ask("EXISTS", key) == 0


BAD_BATCHES: list[tuple[str, bytes, int, str]] = [
    ("empty", b"", 400, "body-required"),
    ("white-space", b" ", 400, "invalid-json"),
    ("cut", b'{"operations":[{"method":"GET","key":"a"}', 400, "invalid-json"),
    ("bad-inside", b'{"operations":[{"method":"GET","key":"a",}]}', 400, "invalid-json"),
    ("surrogate", b'{"operations":[{"method":"GET","key":"\\ud800"}]}', 400, "invalid-json"),
    ("too-deep", b'{"operations":' + b"[" * 300 + b"]" * 300 + b"}", 400, "too-deep"),
    ("array", b'[{"method":"GET","key":"a"}]', 422, "schema-violation"),
    ("no-operations", b"{}", 422, "schema-violation"),
    ("null", b'{"operations":null}', 422, "schema-violation"),
    ("object", b'{"operations":{"method":"GET","key":"a"}}', 422, "schema-violation"),
    ("number", b'{"operations":1}', 422, "schema-violation"),
    ("none", b'{"operations":[]}', 422, "schema-violation"),
    ("none-but-space", b'{"operations": [ \n ] }', 422, "schema-violation"),
    ("unknown", b'{"operations":[{"method":"DELETE","key":"a"}],"atomic":true}', 422,
     "unknown-field"),
    ("duplicate", b'{"operations":[],"operations":[]}', 400, "duplicate-field"),
]


@pytest.mark.parametrize("name,body,status,slug", BAD_BATCHES, ids=[b[0] for b in BAD_BATCHES])
def test_bad_batches(http: Http, name: str, body: bytes, status: int, slug: str) -> None:
    """A document that is no batch is refused as a whole."""
    document = check_problem(post(http, body), status, slug)
    assert "key" not in document
    assert http.get("/health/live").status == 200, "the connection is out of step"


def test_headers_and_methods(http: Http) -> None:
    """A batch is JSON, uncompressed, by POST, and has no query."""
    body = b'{"operations":[{"method":"GET","key":"a"}]}'
    for headers, slug in (([("Content-Type", "text/plain")], "unsupported-media-type"),
                          ([*JSON, ("Content-Encoding", "gzip")], "unsupported-content-coding")):
        check_problem(http.request("POST", "/batch", body, headers), 415, slug)
    check_problem(http.request("POST", "/batch?x=1", body, JSON), 400, "unknown-parameter")
    for method in ("GET", "PUT", "DELETE"):
        answer = http.request(method, "/batch")
        check_problem(answer, 405, "method-not-allowed")
        check_allow(answer, {"POST", "OPTIONS"})
    check_problem(http.request("POST", "/batch/", body, JSON), 404, "not-found")


@pytest.mark.parametrize("most", [1, 5])
def test_batch_max(new_redis: NewRedis, new_larder: NewLarder, new_front: NewFront,
                   most: int) -> None:
    """LARDER_BATCH_MAX operations are done; one more is 413, and none of them is."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"LARDER_BATCH_MAX": str(most)}).start()
    for kind in FRONTS:
        with new_front(kind, larder).http() as http:
            assert statuses(run(http, [put(f"a{i}", i) for i in range(most)])) == [200] * most
            document = check_problem(post(http, [put(f"b{i}", i) for i in range(most + 1)]), 413,
                                     "batch-too-large")
            assert f"at most {most} " in document["detail"]
            assert redis.ask("EXISTS", "b0") == 0


def test_default_batch_max(http: Http, key: str) -> None:
    """1000 operations are the default; an element that is none counts, too."""
    assert statuses(run(http, [get(key)] * 1000)) == [404] * 1000
    check_problem(post(http, [get(key)] * 1001), 413, "batch-too-large")
    check_problem(post(http, [get(key)] * 1000 + [None]), 413, "batch-too-large")
    assert statuses(run(http, [put(f"{key}-{i}", i) for i in range(1000)])) == [200] * 1000
    assert [r["value"] for r in run(http, [get(f"{key}-{i}") for i in range(1000)])] == list(
        range(1000))


def test_body_too_large(stack: Stack, http: Http, key: str) -> None:
    """A batch of max_value bytes is done, and one that is too much larger is 413 and not done."""
    frame = len(json.dumps({"operations": [put(key, "")]}))
    assert statuses(run(http, [put(key, "x" * (MIB - frame))])) == [200]
    document = check_problem(post(http, [put(f"{key}-no", "x" * (MIB + 8192))]), 413,
                             "batch-too-large")
    assert "max_value" in document["detail"]
    assert stack.redis.ask("EXISTS", f"{key}-no") == 0


# --- sizes ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["json", "raw", "tagged", "idle"])
def test_sizes_around_the_probe(stack: Stack, http: Http, key: str, kind: str) -> None:
    """Entries whose bytes in Redis are about as many as are asked for at first come whole."""
    texts = {}
    for size in [*range(PROBE - 3, PROBE + 4), 2 * PROBE, MIB]:
        name = f"{key}-{size}"

        def write(length: int) -> int:
            """Stores a value of this length; gives the bytes in Redis."""
            texts[name] = "x" * length
            if kind == "raw":
                assert http.request("PUT", f"/raw/{name}", texts[name].encode()).status == 200
            else:
                store(http, name, texts[name], **{
                    "json": {}, "tagged": {"tags": ["a", "b"]}, "idle": {"idle": 60}}[kind])
            length = stack.redis.ask("STRLEN", name)
            assert isinstance(length, int)
            return length

        if size < MIB:
            assert write(size - (write(size // 2) - size // 2)) == size
        else:
            write(size - 2)
    results = run(http, [get(name) for name in texts])
    assert statuses(results) == [200] * len(texts)
    for name, result in zip(texts, results):
        assert result["key"] == name and result["value"] == texts[name], name


def test_values_above_32_mib(solo: tuple[Http, Larder, Redis]) -> None:
    """What doesn't fit into one answer is 413 one by one; the rest comes, and the worker stays
    within bounds."""
    http, larder, redis = solo
    for i in range(40):
        redis.ask("SET", f"big{i}", b'"' + b"%02d" % i + b"x" * (MIB - 4) + b'"')
    redis.ask("SET", "small", '"s"')
    before = resident_kib(larder.workers()[0])
    for order in (range(40), reversed(range(40))):
        operations = [get(f"big{i}") for i in order]
        operations += [get("small"), get("absent"), put("new", 1), delete("new")]
        results = run(http, operations)
        assert statuses(results[40:]) == [200, 404, 200, 200]
        seen = statuses(results[:40])
        # Two bytes of "small", which is known to be small first, are one value of 1 MiB less.
        assert seen.count(200) == 31 and seen.count(413) == 9, seen
        for operation, result in zip(operations, results[:40]):
            if result["status"] == 200:
                assert result["value"][:2] == f"{int(operation['key'][3:]):02d}"
                assert len(result["value"]) == MIB - 2
            else:
                assert result["type"] == "/errors/batch-too-large"
                assert result["key"] == operation["key"]
    grown = resident_kib(larder.workers()[0]) - before
    print(f"resident: {before} KiB before, {grown} KiB more after")
    if not (SANITIZED or VALGRIND):
        assert grown < 48 << 10, "memory that the answer is gone for"
        high = eventually(lambda: peak_kib(larder.workers()[0]))
        print(f"at most {high} KiB")
        assert high < 192 << 10


def peak_kib(pid: int) -> int:
    """The most resident memory a process has had."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def test_what_brings_no_value_is_not_too_large(solo: tuple[Http, Larder, Redis]) -> None:
    """Of a 304, a 404 or a 412 no value is counted, and what is small is asked for in any case:
    regression, they took the room of values, and were 413 when it was gone."""
    http, _, redis = solo
    redis.ask("SET", "big", b'"' + b"x" * (MIB - 2) + b'"')
    etag = http.get("/cache/big").header("ETag")
    results = run(http, [get("big") | {"if_none_match": etag}] * 20
                  + [get("big") | {"if_match": '"x"'}] * 20 + [get("big")] * 40
                  + [put("small", 1), get("small") | {"if_match": '"x"'}, get("absent"),
                     put("big", 1, if_match='"x"')])
    assert statuses(results[:40]) == [304] * 20 + [412] * 20
    assert statuses(results[40:80]) == [200] * 32 + [413] * 8
    assert statuses(results[80:]) == [200, 412, 404, 412]


# --- counting ------------------------------------------------------------------------------------

def test_items_are_counted(solo: tuple[Http, Larder, Redis]) -> None:
    """Each operation counts as it would have alone, and what is refused doesn't."""
    http, larder, redis = solo
    redis.ask("RPUSH", "list", "a")
    store(http, "dead", 1, tags=["t"])
    http.delete("/cache?tag=t")
    store(http, "here", 1)
    etag = http.get("/cache/here").header("ETag")

    def counters() -> dict[str, int]:
        document = larder.stats()
        return {name: document["counters"][name] if name in document["counters"]
                else document[name] for name in ("hits", "misses", "stores", "deletes")}

    before = counters()
    run(http, [get("here"), get("here"), get("here") | {"if_none_match": etag},  # 3 hits
               get("absent"), get("dead"),                                       # 2 misses
               put("a", 1), put("b", 1, tags=["t"]), put("c", 1, if_none_match="*"),
               put("c", 2, if_match="*"),                                        # 4 stores
               delete("a"), delete("b"),                                         # 2 deletes
               delete("a"), delete("dead"), get("list"), put("c", 3, if_none_match="*"),
               get("here") | {"if_match": '"x"'}, put("d", 1, ttl=0), {"method": "GET"}])
    after = counters()
    assert {k: after[k] - before[k] for k in after} == {
        "hits": 3, "misses": 2, "stores": 4, "deletes": 2}


# --- round trips ---------------------------------------------------------------------------------

def hold_until(count: int) -> Callable[[Link, list[bytes], bytes], bool]:
    """A rule that gives no reply before so many commands have come, besides the worker's PINGs."""
    held: list[bytes] = []
    asked = 0

    def rule(link: Link, args: list[bytes], reply: bytes) -> bool:
        nonlocal asked
        held.append(reply)
        asked += args[0] != b"PING"
        if 0 < asked < count:
            return True
        replies = b"".join(held)
        held.clear()
        asked = 0
        return link.send(replies)
    return rule


def test_one_round_trip(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """All commands of a simple batch are sent before a single reply is there, and no others."""
    http, _, _, relay = relayed
    run(http, [put(f"k{i}", i) for i in range(100)])
    operations = [get(f"k{i}") for i in range(100)]
    operations += [put(f"p{i}", i) for i in range(100)] + [delete(f"k{i}") for i in range(100)]
    relay.commands.clear()
    # A GET is two commands: the value and what is left of its time.
    relay.rule = hold_until(200 + 100)
    # DELETEs of keys that were read in the same batch wait for that.
    results = run(http, operations[:200])
    assert statuses(results) == [200] * 200
    assert [r["value"] for r in results] == [*range(100)] * 2
    relay.rule = hold_until(100 + 100)
    assert statuses(run(http, operations[100:])) == [200] * 200
    relay.rule = None
    commands = [c for c in relay.commands if c != b"PING"]
    assert {c: commands.count(c) for c in set(commands)} == {
        b"GETRANGE": 100, b"PTTL": 100, b"SET": 200, b"EVALSHA": 100}


def test_rounds_are_shared(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """Tagged PUTs take two rounds however many they are."""
    http, _, _, relay = relayed
    relay.commands.clear()
    relay.rule = hold_until(50)
    results = run(http, [put(f"k{i}", i, tags=["a", f"t{i}"]) for i in range(50)])
    relay.rule = None
    assert statuses(results) == [200] * 50
    assert [c for c in relay.commands if c != b"PING"] == [b"EVALSHA"] * 50 + [b"SET"] * 50


# --- Redis that fails ----------------------------------------------------------------------------

def check_lost(result: dict[str, Any], key: str, outcome: str | None) -> None:
    """An operation that Redis's failure ended."""
    assert result["status"] == 503 and result["type"].startswith("/errors/backend-"), result
    assert result["key"] == key and result["retry_after"] >= 1
    assert result.get("outcome") == outcome, result


def test_redis_dies_in_the_middle(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """What was done stays done; each of the others says whether it may have been."""
    http, larder, _, relay = relayed
    store(http, "big", "x" * 50_000)

    def die(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"SET" and args[1] == b"tagged":
            relay.greeting = AWAY
            return False
        return link.send(reply)

    relay.rule = die
    results = run(http, [put("plain", 1), put("tagged", 2, tags=["t"]), get("big"), get("tagged"),
                         put("tagged", 3), delete("tagged"), get("plain"), {"method": "no"}])
    assert statuses(results) == [200, 503, 503, 503, 503, 503, 503, 422]
    assert results[0]["value"] == 1
    for i, key, outcome in ((1, "tagged", "unknown"), (2, "big", None), (3, "tagged", None),
                            (4, "tagged", "not-applied"), (5, "tagged", "not-applied"),
                            (6, "plain", None)):
        check_lost(results[i], key, outcome)
    relay.rule, relay.greeting = None, b""
    eventually(lambda: larder.ready() and statuses(run(http, [put("a", 1)])) == [200], 5, "served")


def test_redis_dies_at_once(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """When nothing is known to be done, the batch as a whole is 503, and says if it may be."""
    http, larder, _, relay = relayed
    for operations, outcome in (([put("a", 1), get("b")], "unknown"), ([get("a")], "not-applied"),
                                ([put("a", 1, tags=["x"]), get("b")], "not-applied"),
                                ([delete("a")], "unknown")):
        relay.rule = lambda link, args, reply: args[0] == b"PING" and link.send(reply)
        document = check_problem(post(http, operations), 503, "backend-unavailable")
        assert document["outcome"] == outcome, operations
        relay.rule = None
        eventually(larder.ready, 5, "ready")
        eventually(lambda: post(http, [get("a")]).json().get("results"), 5, "served again")


def test_a_delete_whose_answer_is_lost(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """A tagged entry is removed before its tags are looked at: with Redis gone between the two the
    outcome is unknown, alone and in a batch."""
    http, larder, redis, relay = relayed

    def drop(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"EVALSHA" and args[3:4] == [b"a"]:
            relay.greeting = AWAY
            link.send(reply)
            return False
        return link.send(reply)

    for ask in (lambda: post(http, [delete("a")]), lambda: http.delete("/cache/a")):
        store(http, "a", 1, tags=["t"])
        relay.rule = drop
        document = check_problem(ask(), 503, "backend-unavailable")
        relay.rule, relay.greeting = None, b""
        assert document["outcome"] == "unknown"
        assert redis.ask("EXISTS", "a") == 0
        eventually(larder.ready, 5, "ready")
        eventually(lambda: http.get("/cache/x").status == 404, 5, "served again")


def test_deadline(solo: tuple[Http, Larder, Redis]) -> None:
    """A Redis that hangs: 503 in time, and the batch says that it may have been done."""
    http, larder, redis = solo
    eventually(larder.ready)
    redis.signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        document = check_problem(post(http, [get("a"), put("b", 1)]), 503, "backend-timeout")
        assert document["outcome"] == "unknown"
        assert 0.3 < time.monotonic() - begun < 1.5 * SLOW
    finally:
        redis.signal(signal.SIGCONT)
    eventually(lambda: post(http, [put("a", 2), get("a")]).status == 200, 5, "served again")


def test_deadline_in_the_second_round(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """A Redis that hangs after the first round: what was done is 200, the rest 503."""
    http, larder, _, relay = relayed

    def hang(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"SET" and args[1] == b"tagged":
            time.sleep(5.5)
        return link.send(reply)

    relay.rule = hang
    results = run(http, [put("plain", 1), put("tagged", 1, tags=["a"])])
    assert statuses(results) == [200, 503]
    assert results[1]["type"] == "/errors/backend-timeout" and results[1]["outcome"] == "unknown"
    relay.rule = None
    eventually(larder.ready, 5, "ready")


def test_errors_of_redis_are_the_items_own(relayed: tuple[Http, Larder, Redis, Relay]) -> None:
    """An error reply belongs to its operation alone."""
    http, _, _, relay = relayed

    def fail(link: Link, args: list[bytes], reply: bytes) -> bool:
        if args[0] == b"SET" and args[1] in (b"oom", b"odd"):
            reply = {b"oom": b"-OOM command not allowed\r\n", b"odd": b"-ERR s3cret\r\n"}[args[1]]
        return link.send(reply)

    relay.rule = fail
    answer = post(http, [put("a", 1), put("oom", 1), put("odd", 1), get("a")])
    results = check_json(answer)["results"]
    assert statuses(results) == [200, 507, 503, 200]
    assert results[1]["outcome"] == "not-applied" and results[2]["outcome"] == "unknown"
    assert b"s3cret" not in answer.body


def test_idle_entries_are_renewed(stack: Stack, http: Http, key: str) -> None:
    """A GET of a batch counts as a read."""
    store(http, key, 1, idle=100, ttl=1000)
    stack.redis.ask("PEXPIRE", key, 5000)
    assert run(http, [get(key)])[0]["idle"] == 100
    assert stack.redis.ask("PTTL", key) > 90_000


def test_timestamps_are_not_in_results(http: Http, key: str) -> None:
    """What GET gave can be an operation, whose timestamp is ignored."""
    store(http, key, [1], ttl=100)
    document = http.get(f"/cache/{key}").json()
    check_timestamp(document["timestamp"])
    result = run(http, [{"method": "PUT", **document}])[0]
    assert list(result) == ["status", "key", "value", "ttl", "etag"]
