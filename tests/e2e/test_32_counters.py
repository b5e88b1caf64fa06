"""POST /counters/{key}: exact, atomic, and on the entry that every other request sees."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from checks import check_allow, check_json, check_problem
from harness import Front, Larder, Redis, Stack, eventually
from rawhttp import Answer, Http

JSON = (("Content-Type", "application/json"),)
MERGE = (("Content-Type", "application/merge-patch+json"),)
MAX, MIN = 2 ** 63 - 1, -2 ** 63


def post(http: Http, key: str, document: Any = None, headers: Any = ()) -> Answer:
    """Counts; a document that is text is sent as it is, and none is no body."""
    if document is None:
        return http.request("POST", f"/counters/{key}", b"", headers)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return http.request("POST", f"/counters/{key}", body, [*JSON, *headers])


def check_count(answer: Answer, key: str, value: int, ttl: int | None, slack: int = 1) -> None:
    """Exactly the promised members, and an entity tag."""
    document = check_json(answer)
    assert list(document)[:3] == ["key", "value", "ttl"], document
    assert document["key"] == key and document["value"] == value
    if ttl is None:
        assert document["ttl"] is None
    else:
        assert ttl - slack <= document["ttl"] <= ttl, document
    assert answer.header("ETag"), answer
    assert answer.header("Cache-Control") == "no-store"


def put(http: Http, key: str, value: Any, **members: Any) -> None:
    """PUT of /cache/{key}."""
    assert http.put(f"/cache/{key}", {"value": value, **members}).status == 200


# --- what may be asked ---------------------------------------------------------------------------

def test_no_body(http: Http, key: str) -> None:
    """Nothing said: one is added, to nothing at first, with the default ttl."""
    for i in range(1, 4):
        check_count(post(http, key), key, i, 3600)
    answer = http.request("POST", f"/counters/{key}")
    # Without a length lighttpd has none to pass on.
    assert answer.status in (200, 411)
    check_count(post(http, key, {}), key, 4 + (answer.status == 200), 3600)


@pytest.mark.parametrize("document,first,second", [
    ({}, 1, 2), ({"by": 5}, 5, 10), ({"by": -5}, -5, -10), ({"by": 0}, 0, 0),
    ({"by": 2, "initial": 10}, 12, 14), ({"initial": -3}, -2, -1), ({"by": None}, 1, 2),
    ({"by": None, "initial": None, "ttl": None}, 1, 2),
    ({"by": MAX}, MAX, None), ({"by": MIN}, MIN, None),
    ({"by": -1, "initial": MIN + 1}, MIN, None), ({"by": 1, "initial": MAX - 1}, MAX, None),
    ({"by": MAX, "initial": MIN}, -1, MAX - 1), ({"by": MIN, "initial": MAX}, -1, None),
])
def test_by_and_initial(stack: Stack, http: Http, key: str, document: dict[str, Any], first: int,
                        second: int | None) -> None:
    """A counter is made as initial + by; then `by` alone is added, and a sum that doesn't fit is
    409 and changes nothing."""
    check_count(post(http, key, document), key, first, 3600)
    assert stack.redis.ask("GET", key) == str(first).encode()
    answer = post(http, key, document)
    if second is not None:
        check_count(answer, key, second, 3600)
    else:
        assert check_problem(answer, 409, "counter-overflow")["key"] == key
        assert stack.redis.ask("GET", key) == str(first).encode()


@pytest.mark.parametrize("by,initial", [(1, MAX), (-1, MIN), (MAX, MAX), (MIN, MIN), (MIN, -1)])
def test_first_sum_overflows(stack: Stack, http: Http, key: str, by: int, initial: int) -> None:
    """An initial + by that doesn't fit is 409 and makes nothing; a counter that is there has no use
    for the initial value: regression, it was refused as well."""
    document = {"by": by, "initial": initial}
    check_problem(post(http, key, document), 409, "counter-overflow")
    assert stack.redis.ask("EXISTS", key) == 0
    start = -1 if by > 0 else 0
    stack.redis.ask("SET", key, start)
    check_count(post(http, key, document), key, start + by, None)
    put(http, f"{key}-t", start, tags=["a"])
    check_count(post(http, f"{key}-t", document), f"{key}-t", start + by, 3600)


@pytest.mark.parametrize("text", ["1.0", "1e1", "10e-1", '"1"', '""', "true", "[]", "{}", "[1]",
                                  str(MAX + 1), str(MIN - 1), "1" + "0" * 40, "0.5", "-0", "1E0"])
@pytest.mark.parametrize("member", ["by", "initial"])
def test_numbers_that_are_none(stack: Stack, http: Http, key: str, member: str, text: str) -> None:
    """`by` and `initial` are whole numbers of 64 bits, spelled as such; anything else is 422."""
    document = check_problem(post(http, key, f'{{"{member}":{text}}}'.encode()), 422,
                             "schema-violation")
    assert member in document["detail"]
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("body,status,slug", [
    (b"[1]", 422, "schema-violation"), (b"1", 422, "schema-violation"),
    (b"null", 422, "schema-violation"), (b'{"by":1', 400, "invalid-json"),
    (b'{"by":01}', 400, "invalid-json"), (b'{"by":+1}', 400, "invalid-json"),
    (b" ", 400, "invalid-json"), (b'{"by":1,"by":2}', 400, "duplicate-field"),
    (b'{"value":1}', 422, "unknown-field"), (b'{"by":1,"tags":["a"]}', 422, "unknown-field"),
    (b'{"BY":1}', 422, "unknown-field"), (b'{"ttl":0}', 422, "invalid-ttl"),
    (b'{"ttl":1.5}', 422, "invalid-ttl"), (b'{"ttl":99999999}', 422, "invalid-ttl"),
])
def test_bad_documents(stack: Stack, http: Http, key: str, body: bytes, status: int,
                       slug: str) -> None:
    """A document that is none counts nothing."""
    check_problem(post(http, key, body), status, slug)
    assert stack.redis.ask("EXISTS", key) == 0


def test_headers_methods_and_keys(http: Http, key: str) -> None:
    """JSON by POST, no query, keys as everywhere."""
    body = b'{"by":1}'
    target = f"/counters/{key}"
    check_problem(http.request("POST", target, body, [("Content-Type", "text/plain")]), 415,
                  "unsupported-media-type")
    check_problem(http.request("POST", target + "?by=1", body, JSON), 400, "unknown-parameter")
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        answer = http.request(method, target, b"{}" if method in ("PUT", "PATCH") else None)
        check_problem(answer, 405, "method-not-allowed")
        check_allow(answer, {"POST", "OPTIONS"})
    check_problem(http.request("POST", "/counters/", body, JSON), 400, "invalid-key")
    check_problem(http.request("POST", "/counters/a//b", body, JSON), 400, "malformed-path")
    assert http.get(f"/cache/{key}").status == 404
    check_count(http.request("POST", f"{target}%2Fb%20c", body, JSON), f"{key}/b c", 1, 3600)


# --- entries that are no counters ----------------------------------------------------------------

@pytest.mark.parametrize("text", [
    "007", "+1", "-0", "00", "1.0", "1e1", " 1", "1 ", "", "x", '"1"', "null", "true", "[1]",
    str(MAX + 1), str(MIN - 1), "9" * 30, "0x10", "1\n", "\0larder1 ", "-", "--1",
])
def test_not_an_integer(stack: Stack, http: Http, key: str, text: str) -> None:
    """What is no canonical integer of 64 bits is 409, and stays as it is."""
    stack.redis.ask("SET", key, text, "PX", "500000")
    assert check_problem(post(http, key), 409, "not-an-integer")["key"] == key
    check_problem(post(http, key, {"by": 0}, [("If-Match", "*")]), 409, "not-an-integer")
    assert stack.redis.ask("GET", key) == text.encode()
    assert stack.redis.ask("PTTL", key) > 490_000


@pytest.mark.parametrize("value", ["1.0", "1e1", "-0", '"1"', '"7"', "null", "true", "[1]", "{}"])
def test_json_that_is_no_integer(stack: Stack, http: Http, key: str, value: str) -> None:
    """The same of what PUT stored, with tags, too."""
    for name, members in ((key, ""), (f"{key}-t", ',"tags":["a"]'), (f"{key}-i", ',"idle":60')):
        body = f'{{"value":{value}{members}}}'.encode()
        assert http.put(f"/cache/{name}", body).status == 200
        before = stack.redis.ask("GET", name)
        check_problem(post(http, name), 409, "not-an-integer")
        assert stack.redis.ask("GET", name) == before


def test_raw_entries_are_no_counters(stack: Stack, http: Http, key: str) -> None:
    """Bytes of a media type are no number, even if they are digits."""
    for media in ("text/plain", "application/json"):
        assert http.put(f"/raw/{key}", b"5", [("Content-Type", media)]).status == 200
        check_problem(post(http, key), 409, "not-an-integer")
        assert http.get(f"/raw/{key}").body == b"5"


def test_other_types(stack: Stack, http: Http, key: str) -> None:
    """What is no string in Redis is 409 wrong-type."""
    stack.redis.ask("RPUSH", key, "1")
    check_problem(post(http, key), 409, "wrong-type")
    check_problem(post(http, key, {}, [("If-Match", "*")]), 409, "wrong-type")
    assert stack.redis.ask("LLEN", key) == 1


# --- the same entry ------------------------------------------------------------------------------

def test_one_entry(http: Http, key: str) -> None:
    """PUT, PATCH, GET, raw, batches and DELETE see and change the same number."""
    put(http, key, 41, ttl=500)
    check_count(post(http, key), key, 42, 500, slack=3)
    assert http.get(f"/cache/{key}").json()["value"] == 42
    raw = http.get(f"/raw/{key}")
    assert raw.body == b"42" and raw.header("Content-Type") == "application/json"
    assert http.request("PATCH", f"/cache/{key}", b'{"value":50}', MERGE).status == 200
    check_count(post(http, key, {"by": -8}), key, 42, 500, slack=5)
    assert http.request("PATCH", f"/cache/{key}", b'{"ttl":9000}', MERGE).status == 200
    check_count(post(http, key), key, 43, 9000, slack=3)
    assert http.request("PATCH", f"/cache/{key}", b'{"ttl":null}', MERGE).status == 200
    check_count(post(http, key, {"ttl": 5}), key, 44, None)
    body = json.dumps({"operations": [{"method": "GET", "key": key}]}).encode()
    assert http.request("POST", "/batch", body, JSON).json()["results"][0]["value"] == 44
    assert http.delete(f"/cache/{key}").status == 200
    check_count(post(http, key), key, 1, 3600)


def test_document_of_a_counter_is_an_entry(http: Http, key: str) -> None:
    """The entity tag of a count is that of the entry, and changes with each."""
    first, second = post(http, key), post(http, key)
    assert first.header("ETag") != second.header("ETag")
    assert http.get(f"/cache/{key}").header("ETag") == second.header("ETag")
    assert http.get(f"/cache/{key}", [("If-None-Match", second.header("ETag") or "")]).status == 304


def test_ttl_is_of_the_creation(stack: Stack, http: Http, key: str) -> None:
    """A ttl applies when the counter is made, and to nobody's counter that is there."""
    check_count(post(http, key, {"ttl": 50}), key, 1, 50)
    check_count(post(http, key, {"ttl": 5000}), key, 2, 50, slack=2)
    check_count(post(http, key), key, 3, 50, slack=2)
    assert stack.redis.ask("PTTL", key) <= 50_000
    stack.redis.ask("SET", f"{key}-for-ever", "1")
    check_count(post(http, f"{key}-for-ever", {"ttl": 5}), f"{key}-for-ever", 2, None)
    assert stack.redis.ask("PTTL", f"{key}-for-ever") == -1


def test_expired(stack: Stack, http: Http, key: str) -> None:
    """A counter whose time is over is made anew, with its ttl."""
    check_count(post(http, key, {"by": 10, "ttl": 1}), key, 10, 1)
    stack.redis.ask("PEXPIRE", key, 1)
    eventually(lambda: stack.redis.ask("EXISTS", key) == 0)
    check_count(post(http, key, {"by": 10, "ttl": 70}), key, 10, 70)


@pytest.mark.parametrize("start", [2 ** 53 - 1, 2 ** 53, 2 ** 62, -2 ** 53 - 1, MAX - 3, MIN + 3])
def test_exact_above_2_to_the_53(http: Http, key: str, start: int) -> None:
    """No number goes through a floating point: not as an argument, nor in a script of Redis's."""
    step = 1 if start > 0 else -1
    check_count(post(http, key, {"by": start}), key, start, 3600)
    for i in range(1, 4):
        check_count(post(http, key, {"by": step}), key, start + i * step, 3600)
    put(http, f"{key}-t", start, tags=["a"])
    for i in range(1, 4):
        check_count(post(http, f"{key}-t", {"by": step}), f"{key}-t", start + i * step, 3600)
    assert http.get(f"/raw/{key}-t").body == str(start + 3 * step).encode()


def test_parallel(stack: Stack, front: Front, key: str) -> None:
    """Counts from many clients add up, plain and with a header."""
    with front.http() as http:
        put(http, f"{key}-t", 0, tags=["a"], idle=100)

    def count() -> None:
        with front.http() as client:
            for _ in range(40):
                assert post(client, key, {"by": 3}).status == 200
                assert post(client, f"{key}-t", {"by": 3}).status == 200

    threads = [threading.Thread(target=count) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with front.http() as http:
        assert http.get(f"/cache/{key}").json()["value"] == 720
        assert http.get(f"/cache/{key}-t").json()["value"] == 720


# --- tags and idle time --------------------------------------------------------------------------

def test_tags_stay(http: Http, key: str) -> None:
    """A counter keeps its tags, and dies by each of them; what is counted then is a new one."""
    tags = [f"{key}-a", f"{key}-b"]
    put(http, key, 10, tags=tags, ttl=500)
    answer = post(http, key)
    check_count(answer, key, 11, 500)
    assert answer.json()["tags"] == tags
    document = http.get(f"/cache/{key}").json()
    assert document["value"] == 11 and document["tags"] == tags
    assert http.delete(f"/cache?tag={tags[1]}").status == 200
    assert http.get(f"/cache/{key}").status == 404
    answer = post(http, key, {"by": 2, "initial": 100, "ttl": 77})
    check_count(answer, key, 102, 77)
    assert "tags" not in answer.json() and "tags" not in http.get(f"/cache/{key}").json()
    assert http.delete(f"/cache?tag={tags[0]}").status == 200
    assert http.get(f"/cache/{key}").json()["value"] == 102


def test_idle_stays_and_is_renewed(stack: Stack, http: Http, key: str) -> None:
    """A counter keeps its idle time and its end, and counting renews it."""
    put(http, key, 10, idle=100, ttl=500)
    stack.redis.ask("PEXPIRE", key, 5000)
    answer = post(http, key)
    check_count(answer, key, 11, 500, slack=3)
    assert answer.json()["idle"] == 100
    assert 90_000 < stack.redis.ask("PTTL", key) <= 100_000
    document = http.get(f"/cache/{key}").json()
    assert document["value"] == 11 and document["idle"] == 100 and document["ttl"] > 490


def test_dead_entries_that_are_no_numbers(http: Http, key: str) -> None:
    """What is dead doesn't exist: neither its value nor its size is in the way of a new counter."""
    for value in ("text", "x" * 100_000, [1]):
        put(http, key, value, tags=[f"{key}-d"])
        assert http.delete(f"/cache?tag={key}-d").status == 200
        check_count(post(http, key, {"by": 4}), key, 4, 3600)


# --- conditions and preferences ------------------------------------------------------------------

def test_conditions(http: Http, key: str) -> None:
    """If-Match counts what is there, If-None-Match: * only makes it; else 412 and nothing."""
    any_match, none_match = [("If-Match", "*")], [("If-None-Match", "*")]
    check_problem(post(http, key, {}, any_match), 412, "precondition-failed")
    assert http.get(f"/cache/{key}").status == 404
    made = post(http, key, {"by": 7, "initial": 1, "ttl": 60}, none_match)
    check_count(made, key, 8, 60)
    failed = post(http, key, {}, none_match)
    check_problem(failed, 412, "precondition-failed")
    assert failed.header("ETag") == made.header("ETag")
    swap = [("If-Match", made.header("ETag") or "")]
    check_count(post(http, key, {}, swap), key, 9, 60, slack=2)
    check_problem(post(http, key, {}, swap), 412, "precondition-failed")
    check_count(post(http, key, {"ttl": 1000}, any_match), key, 10, 60, slack=3)
    check_problem(post(http, key, {}, [("If-Match", "10")]), 400, "invalid-precondition")
    assert http.get(f"/cache/{key}").json()["value"] == 10


def test_conditions_on_dead_counters(http: Http, key: str) -> None:
    """A counter that a tag has invalidated is not there for conditions either."""
    put(http, key, 10, tags=[f"{key}-d"])
    etag = http.get(f"/cache/{key}").header("ETag") or ""
    assert http.delete(f"/cache?tag={key}-d").status == 200
    for match in ("*", etag):
        check_problem(post(http, key, {}, [("If-Match", match)]), 412, "precondition-failed")
    check_count(post(http, key, {"ttl": 9}, [("If-None-Match", "*")]), key, 1, 9)


def test_conditional_overflow(http: Http, key: str) -> None:
    """The same bounds hold where the entry is looked at first."""
    put(http, key, MAX)
    check_problem(post(http, key, {"by": 1}, [("If-Match", "*")]), 409, "counter-overflow")
    put(http, f"{key}-t", MIN, tags=["a"])
    check_problem(post(http, f"{key}-t", {"by": -1}), 409, "counter-overflow")
    assert http.get(f"/raw/{key}").body == str(MAX).encode()
    assert http.get(f"/raw/{key}-t").body == str(MIN).encode()
    check_problem(post(http, f"{key}-n", {"by": 1, "initial": MAX}, [("If-None-Match", "*")]), 409,
                  "counter-overflow")
    assert http.get(f"/cache/{key}-n").status == 404


def test_prefer(http: Http, key: str) -> None:
    """Prefer: return=minimal is 204 with the entity tag; an error is told all the same."""
    minimal = [("Prefer", "return=minimal")]
    answer = post(http, key, {"by": 3}, minimal)
    assert answer.status == 204 and answer.body == b""
    assert answer.header("Preference-Applied") == "return=minimal"
    assert answer.header("ETag") == http.get(f"/cache/{key}").header("ETag")
    put(http, f"{key}-x", "x")
    check_problem(post(http, f"{key}-x", {}, minimal), 409, "not-an-integer")


def test_scripts_lost(stack: Stack, http: Http, key: str) -> None:
    """After SCRIPT FLUSH every count is done, once."""
    put(http, f"{key}-t", 0, tags=["a"])
    for i in range(1, 9):
        stack.redis.ask("SCRIPT", "FLUSH")
        check_count(post(http, key), key, i, 3600)
        stack.redis.ask("SCRIPT", "FLUSH")
        check_count(post(http, f"{key}-t"), f"{key}-t", i, 3600)


def test_ttl_jitter(new_redis: Callable[..., Redis], new_larder: Callable[..., Larder]) -> None:
    """A counter that is made gets the jitter, too, and shows the ttl that it got."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, ttl_jitter=50).start()
    left = set()
    for i in range(20):
        answer = larder.fastcgi("POST", f"/counters/{i}", b'{"ttl":1000}')
        assert answer.status == 200
        left.add(redis.ask("PTTL", str(i)) // 10_000)
    assert len(left) > 3 and all(45 <= ttl <= 100 for ttl in left)


def test_redis_full(own: Callable[..., Stack]) -> None:
    """A counter that finds no room is 507, and one that is there is unchanged."""
    stack = own("nginx", redis_args=("--maxmemory-policy", "noeviction"), workers=1,
                max_memory_policy="noeviction")
    with stack.fronts["nginx"].http() as http:
        check_count(post(http, "c"), "c", 1, 3600)
        stack.redis.ask("CONFIG", "SET", "maxmemory", "1")
        for key in ("c", "d"):
            assert check_problem(post(http, key), 507, "backend-full")["outcome"] == "not-applied"
        stack.redis.ask("CONFIG", "SET", "maxmemory", "0")
        check_count(post(http, "c"), "c", 2, 3600)
