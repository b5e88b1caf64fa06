"""PATCH; everything about time: ttl, idle time, jitter, caching by clients; and what comes between
two steps of one request.

Time is not waited for: Redis is asked when an entry expires, or told that more of it has gone by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checks import check_envelope, check_json, check_problem, value_text
from harness import Larder, Redis, Stack
from proxy import Link, Relay
from rawhttp import Answer, Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]

MERGE = ("Content-Type", "application/merge-patch+json")
JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")
SLACK_MS = 5000


def patch(http: Http, key: str, document: bytes | str | dict[str, Any],
          content_type: tuple[str, str] = MERGE) -> Answer:
    """PATCH of /cache/{key}."""
    text = json.dumps(document, separators=(",", ":")) if isinstance(document, dict) else document
    body = text.encode() if isinstance(text, str) else text
    return http.request("PATCH", f"/cache/{key}", body, [content_type])


def state(redis: Redis, key: str) -> tuple[Any, Any]:
    """What Redis holds of an entry, and when it expires."""
    return redis.ask("GET", key), redis.ask("PEXPIRETIME", key)


def check_pttl(redis: Redis, key: str | bytes, seconds: int) -> None:
    """An entry has just been given so many seconds."""
    assert seconds * 1000 - SLACK_MS < redis.ask("PTTL", key) <= seconds * 1000


# --- PATCH: ttl ----------------------------------------------------------------------------------

# Requests that store an entry, and what it is then.
ENTRIES: dict[str, tuple[str, bytes, list[tuple[str, str]]]] = {
    "json": ("/cache/KEY", b'{"value":[1.10],"ttl":50}', [JSON]),
    "tagged": ("/cache/KEY", b'{"value":[1.10],"ttl":50,"tags":["KEY"]}', [JSON]),
    "raw": ("/raw/KEY?ttl=50", b"\xff", [TEXT]),
    "raw-tagged": ("/raw/KEY?ttl=50", b"\xff", [TEXT, ("Cache-Groups", '"KEY"')]),
}


def store(http: Http, key: str, name: str) -> Answer:
    """Stores the entry of this name."""
    path, body, headers = ENTRIES[name]
    answer = http.request("PUT", path.replace("KEY", key), body.replace(b"KEY", key.encode()),
                          [(field, value.replace("KEY", key)) for field, value in headers])
    assert answer.status == 200, answer
    return answer


@pytest.mark.parametrize("name", ENTRIES)
def test_touch(stack: Stack, http: Http, key: str, name: str) -> None:
    """{"ttl": n} sets the time that is left, of any kind of entry, and nothing else."""
    tag = store(http, key, name).header("ETag")
    stored = stack.redis.ask("GET", key)
    for seconds in (1000, 5, 31536000):
        answer = patch(http, key, {"ttl": seconds})
        assert check_json(answer)["ttl"] == seconds
        assert answer.header("ETag") == tag
        check_pttl(stack.redis, key, seconds)
    assert stack.redis.ask("GET", key) == stored
    assert http.get(f"/raw/{key}").body in (b"\xff", b"[1.10]")


@pytest.mark.parametrize("name", ENTRIES)
def test_persist(stack: Stack, http: Http, key: str, name: str) -> None:
    """{"ttl": null} removes the end; a ttl brings one back."""
    store(http, key, name)
    stored = stack.redis.ask("GET", key)
    answer = patch(http, key, {"ttl": None})
    assert check_json(answer)["ttl"] is None
    assert stack.redis.ask("PTTL", key) == -1
    assert http.get(f"/cache/{key}").json()["ttl"] is None
    assert http.get(f"/raw/{key}").header("Cache-Status") == "larder; hit"
    assert check_json(patch(http, key, {"ttl": None}))["ttl"] is None
    assert check_json(patch(http, key, {"ttl": 60}))["ttl"] == 60
    check_pttl(stack.redis, key, 60)
    assert stack.redis.ask("GET", key) == stored


@pytest.mark.parametrize("name", ["tagged", "raw-tagged"])
def test_tags_outlive_what_carries_them(stack: Stack, http: Http, key: str, name: str) -> None:
    """What larder keeps of a tag is prolonged with the entry, or the entry would die with it."""
    store(http, key, name)
    tag = b"\xfftag:" + key.encode()
    assert 50_000 < stack.redis.ask("PTTL", tag) < 200_000
    patch(http, key, {"ttl": 5000})
    assert stack.redis.ask("PTTL", tag) > stack.redis.ask("PTTL", key) > 4_900_000
    patch(http, key, {"ttl": 5})
    assert stack.redis.ask("PTTL", tag) > 4_900_000, "others may carry it"
    patch(http, key, {"ttl": None})
    assert stack.redis.ask("PTTL", tag) == -1
    assert http.delete(f"/cache?tag={key}").status == 200
    assert patch(http, key, {"ttl": 60}).status == 404


@pytest.mark.parametrize("text", ["10", "10.0", "1e1", '"10"'])
def test_spellings_of_a_ttl(stack: Stack, http: Http, key: str, text: str) -> None:
    """A ttl is spelled as in a PUT."""
    store(http, key, "json")
    assert check_json(patch(http, key, f'{{"ttl":{text}}}'))["ttl"] == 10
    check_pttl(stack.redis, key, 10)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", '"1x"', '""', "true", "[]", "{}", "31536001",
                                  "9223372036854775808", "1e400"])
def test_bad_ttls(stack: Stack, http: Http, key: str, text: str) -> None:
    """A ttl that is none is 422, and nothing is changed, also not the value beside it."""
    store(http, key, "json")
    before = state(stack.redis, key)
    for body in (f'{{"ttl":{text}}}', f'{{"value":[2],"ttl":{text}}}'):
        check_problem(patch(http, key, body), 422, "invalid-ttl")
    assert state(stack.redis, key) == before


# --- PATCH: the document -------------------------------------------------------------------------

@pytest.mark.parametrize("content_type", [
    "application/merge-patch+json", "application/json", "Application/Merge-Patch+JSON",
    "application/merge-patch+json; charset=utf-8", "application/json;charset=UTF-8",
    "application/vnd.api+json", None,
])
def test_types_of_a_patch(http: Http, key: str, content_type: str | None) -> None:
    """The media type of merge patches, and JSON of any kind, since it means the same here."""
    http.put(f"/cache/{key}", b'{"value":{"a":1}}')
    headers = [("Content-Type", content_type)] if content_type else []
    answer = http.request("PATCH", f"/cache/{key}", b'{"value":{"b":2}}', headers)
    assert check_json(answer)["value"] == {"a": 1, "b": 2}


@pytest.mark.parametrize("content_type", [
    "application/json-patch+json", "text/plain", "application/x-www-form-urlencoded",
    "application/json; charset=utf-16", "application/merge-patch+jsonx", "application/merge-patch",
    "text/merge-patch+json", "*/*",
])
def test_other_types_of_a_patch(stack: Stack, http: Http, key: str, content_type: str) -> None:
    """Another type is 415, with the right one in Accept-Patch (RFC 5789, 2.2)."""
    store(http, key, "json")
    before = state(stack.redis, key)
    answer = patch(http, key, b'{"ttl":5}', ("Content-Type", content_type))
    detail = check_problem(answer, 415, "unsupported-media-type")["detail"]
    assert "application/merge-patch+json" in detail
    assert answer.header("Accept-Patch") == "application/merge-patch+json"
    assert state(stack.redis, key) == before


def test_a_coded_patch(http: Http, key: str) -> None:
    """A coded body is never unpacked, whatever its type."""
    store(http, key, "json")
    for content_type in (MERGE, JSON):
        answer = http.request("PATCH", f"/cache/{key}", b'{"ttl":5}',
                              [content_type, ("Content-Encoding", "gzip")])
        check_problem(answer, 415, "unsupported-content-coding")


@pytest.mark.parametrize("body,status,slug", [
    (b"", 400, "body-required"), (b"{", 400, "invalid-json"), (b'{"ttl":5}x', 400, "invalid-json"),
    (b'{"value":NaN}', 400, "invalid-json"), (b'{"ttl":5,"ttl":6}', 400, "duplicate-field"),
    (b"[]", 422, "schema-violation"), (b"null", 422, "schema-violation"),
    (b"5", 422, "schema-violation"), (b'{"value":null}', 422, "schema-violation"),
    (b'{"value":null,"ttl":5}', 422, "schema-violation"), (b'{"idle":5}', 422, "unknown-field"),
    (b'{"tags":["a"]}', 422, "unknown-field"), (b'{"key":"k"}', 422, "unknown-field"),
    (b'{"content_type":"a/b"}', 422, "unknown-field"), (b'{"TTL":5}', 422, "unknown-field"),
    (b'{"ttl":5,"tll":6}', 422, "unknown-field"),
    (b'{"value":' + b"[" * 200 + b"]" * 200 + b"}", 400, "too-deep"),
    (b'{"value":"' + b"x" * (1 << 20) + b'"}', 413, "value-too-large"),
], ids=lambda v: v[:20] if isinstance(v, bytes) else None)
def test_bad_patches(stack: Stack, http: Http, key: str, body: bytes, status: int,
                     slug: str) -> None:
    """A body that is no patch is refused with its reason, and changes nothing."""
    store(http, key, "json")
    before = state(stack.redis, key)
    check_problem(patch(http, key, body), status, slug)
    assert state(stack.redis, key) == before


@pytest.mark.parametrize("body", [b'{"ttl":5}', b'{"ttl":null}', b'{"value":{"a":1}}', b"{}"])
def test_patch_of_nothing(stack: Stack, http: Http, key: str, body: bytes) -> None:
    """There is nothing to patch where no entry is: 404, and none is made."""
    check_problem(patch(http, key, body), 404, "key-not-found")
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_an_empty_patch(stack: Stack, http: Http, key: str, name: str) -> None:
    """{} is a patch that changes nothing."""
    tag = store(http, key, name).header("ETag")
    before = state(stack.redis, key)
    answer = patch(http, key, b"{}")
    assert check_json(answer)["ttl"] in (49, 50) and answer.header("ETag") == tag
    assert state(stack.redis, key) == before


# --- PATCH: value --------------------------------------------------------------------------------

# RFC 7396, appendix A, but for the patch that is null: here it is 422, since DELETE does that.
APPENDIX_A = [
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"), ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'), ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'), ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'), ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
]

# The text of a value, of a patch of it, and of what becomes of it, byte for byte.
TEXTS = [
    ('{ "a" : 1.10 , "b":[ 1 ,2 ] }', '{"c":1E+5}', '{ "a" : 1.10 , "b":[ 1 ,2 ],"c":1E+5 }'),
    ('{"a":1e400,"b":18446744073709551616}', '{"b":-0.0}', '{"a":1e400,"b":-0.0}'),
    ('{"a":"\\u00e9\\/","b":"é"}', '{"b":"\\ud83d\\ude00"}',
     '{"a":"\\u00e9\\/","b":"\\ud83d\\ude00"}'),
    ('{"\\u0061":1,"b":2}', '{"a":3}', '{"\\u0061":3,"b":2}'),
    ('{"a":{"b":1.0,"c":{"d":2.00}}}', '{"a":{"c":{"d":3.0}}}', '{"a":{"b":1.0,"c":{"d":3.0}}}'),
    ('{"a":1}', "{}", '{"a":1}'), ('{ "a" : 1 }', "{}", '{ "a" : 1 }'),
    ('{"a":[{"b":null}]}', '{"c":[null, {"d":null}]}', '{"a":[{"b":null}],"c":[null, {"d":null}]}'),
    ("5", "6.0", "6.0"), ('"x"', '{"a":null}', "{}"),
]


@pytest.mark.parametrize("value,change,result", APPENDIX_A)
def test_rfc_7396_appendix_a(http: Http, key: str, value: str, change: str, result: str) -> None:
    """The RFC's own examples."""
    http.put(f"/cache/{key}", f'{{"value":{value},"ttl":60}}'.encode())
    check_envelope(patch(http, key, f'{{"value":{change}}}'), key, json.loads(result), 60, slack=1)
    check_envelope(http.get(f"/cache/{key}"), key, json.loads(result), 60, slack=1)


@pytest.mark.parametrize("value,change,result", TEXTS)
def test_what_a_patch_does_not_name_keeps_its_text(stack: Stack, http: Http, key: str, value: str,
                                                   change: str, result: str) -> None:
    """Numbers, escapes and white space stay as somebody spelled them."""
    http.put(f"/cache/{key}", f'{{"value":{value}}}'.encode())
    answer = patch(http, key, f'{{ "value" : {change} }}')
    assert value_text(answer.body).decode() == result
    assert stack.redis.ask("GET", key).decode() == result
    assert http.get(f"/raw/{key}").body.decode() == result


def test_a_merge_keeps_the_rest_of_the_entry(stack: Stack, http: Http, key: str) -> None:
    """The expiry, to the millisecond, and the tags; the ETag is that of the new value."""
    http.put(f"/cache/{key}", {"value": {"a": 1}, "ttl": 1000, "tags": [key, "é"]})
    expiry = stack.redis.ask("PEXPIRETIME", key)
    answer = patch(http, key, {"value": {"b": 2}})
    document = check_json(answer)
    assert document["value"] == {"a": 1, "b": 2} and document["tags"] == [key, "é"]
    assert 995 <= document["ttl"] <= 1000
    assert stack.redis.ask("PEXPIRETIME", key) == expiry
    assert http.get(f"/cache/{key}").header("ETag") == answer.header("ETag")
    stack.redis.ask("PERSIST", key)
    assert check_json(patch(http, key, {"value": {"c": 3}}))["ttl"] is None
    assert stack.redis.ask("PTTL", key) == -1
    http.delete(f"/cache?tag={key}")
    assert http.get(f"/cache/{key}").status == 404


def test_value_and_ttl_together(stack: Stack, http: Http, key: str) -> None:
    """Both are changed in one step."""
    for members in ({}, {"tags": ["a"]}):
        http.put(f"/cache/{key}", {"value": {"a": 1}, "ttl": 1000, **members})
        document = check_json(patch(http, key, {"value": {"a": 2}, "ttl": 50}))
        assert (document["value"], document["ttl"]) == ({"a": 2}, 50)
        check_pttl(stack.redis, key, 50)
        document = check_json(patch(http, key, {"value": {"a": 3}, "ttl": None}))
        assert (document["value"], document["ttl"]) == ({"a": 3}, None)
        assert stack.redis.ask("PTTL", key) == -1


@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
def test_bytes_cannot_be_merged(stack: Stack, http: Http, key: str, content_type: str) -> None:
    """409, whatever the type, and nothing is changed, also not the ttl beside it."""
    http.put(f"/raw/{key}?ttl=50", b'{"a":1}', [("Content-Type", content_type)])
    before = state(stack.redis, key)
    for body in ({"value": {"b": 2}}, {"value": {"b": 2}, "ttl": 500}, {"value": "x"}):
        check_problem(patch(http, key, body), 409, "not-json")
    assert state(stack.redis, key) == before


def test_patches_of_other_programs_values(stack: Stack, http: Http, key: str) -> None:
    """JSON is merged, anything else is 409; a ttl can be given to both."""
    for stored in (b"text", b"", b"\xff", b"{", b'\0larder1 {"type":1}\n{}'):
        stack.redis.ask("SET", key, stored)
        check_problem(patch(http, key, {"value": {"b": 2}}), 409, "not-json")
        assert check_json(patch(http, key, {"ttl": 60}))["ttl"] == 60
        assert stack.redis.ask("GET", key) == stored
        check_pttl(stack.redis, key, 60)
    stack.redis.ask("DEL", key)
    stack.redis.ask("RPUSH", key, "x")
    check_problem(patch(http, key, {"ttl": 60}), 409, "wrong-type")


def test_a_merge_that_grows_too_large(stack: Stack, http: Http, key: str) -> None:
    """The merged value has max_value as its limit, too."""
    half = "x" * (600 << 10)
    http.put(f"/cache/{key}", {"value": {"a": half}, "ttl": 50})
    before = state(stack.redis, key)
    check_problem(patch(http, key, {"value": {"b": half}}), 413, "value-too-large")
    assert state(stack.redis, key) == before
    assert check_json(patch(http, key, {"value": {"a": None, "b": half}}))["value"] == {"b": half}


# --- idle time -----------------------------------------------------------------------------------

def time_ms(redis: Redis) -> int:
    """Redis's clock."""
    seconds, micros = redis.ask("TIME")
    return int(seconds) * 1000 + int(micros) // 1000


def set_end(redis: Redis, key: str, left_ms: int, expiry_ms: int) -> None:
    """Rewrites an idle entry as one whose end is so near, as if the time before were over."""
    stored, changed = re.subn(rb'"end":\d+', b'"end":%d' % (time_ms(redis) + left_ms),
                              redis.ask("GET", key))
    assert changed == 1
    redis.ask("SET", key, stored, "PX", expiry_ms)


READS: dict[str, Callable[[Http, str, str], Answer]] = {
    "GET": lambda http, key, tag: http.get(f"/cache/{key}"),
    "HEAD": lambda http, key, tag: http.request("HEAD", f"/cache/{key}"),
    "304": lambda http, key, tag: http.get(f"/cache/{key}", [("If-None-Match", tag)]),
    "raw-GET": lambda http, key, tag: http.get(f"/raw/{key}"),
    "raw-HEAD": lambda http, key, tag: http.request("HEAD", f"/raw/{key}"),
    "raw-304": lambda http, key, tag: http.get(f"/raw/{key}", [("If-None-Match", tag)]),
    "batch": lambda http, key, tag: http.request(
        "POST", "/batch", b'{"operations":[{"method":"GET","key":"%s"}]}' % key.encode(), [JSON]),
}


@pytest.mark.parametrize("members", [{}, {"tags": ["a"]}], ids=["plain", "tagged"])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reads_renew(stack: Stack, http: Http, key: str, members: dict[str, Any],
                     read: Callable[[Http, str, str], Answer]) -> None:
    """Every kind of read renews the idle time, and changes nothing else."""
    put = http.put(f"/cache/{key}", {"value": 1, "ttl": 1000, "idle": 100, **members})
    stored = stack.redis.ask("GET", key)
    check_pttl(stack.redis, key, 100)
    stack.redis.ask("PEXPIRE", key, 10_000)
    assert read(http, key, put.header("ETag") or "").status in (200, 304)
    check_pttl(stack.redis, key, 100)
    assert stack.redis.ask("GET", key) == stored


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reads_never_renew_past_the_end(stack: Stack, http: Http, key: str,
                                        read: Callable[[Http, str, str], Answer]) -> None:
    """What is left of the whole life bounds the renewal; after the end there is nothing."""
    tag = http.put(f"/cache/{key}", {"value": 1, "ttl": 1000, "idle": 100}).header("ETag") or ""
    set_end(stack.redis, key, 30_000, 10_000)
    read(http, key, tag)
    check_pttl(stack.redis, key, 30)
    set_end(stack.redis, key, -1, 10_000)
    answer = read(http, key, tag)
    status = answer.status if answer.status != 200 else answer.json()["results"][0]["status"]
    assert status == 404
    assert 0 < stack.redis.ask("PTTL", key) <= 10_000


def test_what_an_idle_entry_shows(stack: Stack, http: Http, key: str) -> None:
    """ttl is what is left of its whole life; Cache-Status, when it goes if nobody asks again."""
    document = check_json(http.put(f"/cache/{key}", {"value": 1, "ttl": 1000, "idle": 100}))
    assert (document["ttl"], document["idle"]) == (1000, 100)
    set_end(stack.redis, key, 500_000, 50_000)
    answer = http.get(f"/cache/{key}")
    document = check_json(answer)
    assert (document["ttl"], document["idle"]) == (500, 100)
    assert answer.header("Cache-Status") == "larder; hit; ttl=100"
    assert http.get(f"/raw/{key}").header("Cache-Status") == "larder; hit; ttl=100"


@pytest.mark.parametrize("members,expiry,ttl", [
    ({"idle": 100, "ttl": 1000}, 100, 1000), ({"idle": 100, "ttl": 50}, 50, 50),
    ({"idle": 100, "ttl": 100}, 100, 100), ({"idle": 5000}, 3600, 3600), ({"idle": 1}, 1, 3600),
    ({"idle": "100"}, 100, 3600), ({"idle": 1e2, "ttl": None}, 100, 3600),
    ({"idle": 31536000}, 3600, 3600),
], ids=str)
def test_put_of_idle_entries(stack: Stack, http: Http, key: str, members: dict[str, Any],
                             expiry: int, ttl: int) -> None:
    """An entry expires after its idle time or its ttl, whichever is shorter."""
    document = check_json(http.put(f"/cache/{key}", {"value": 1, **members}))
    assert document["ttl"] == ttl and document["idle"] == int(members["idle"])
    check_pttl(stack.redis, key, expiry)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", '"1x"', '""', "true", "[]", "{}", "31536001"])
def test_bad_idle_times(stack: Stack, http: Http, key: str, text: str) -> None:
    """An idle time is spelled as a ttl is, or refused as one."""
    answer = http.put(f"/cache/{key}", f'{{"value":1,"idle":{text}}}'.encode())
    assert "idle" in check_problem(answer, 422, "invalid-idle")["detail"]
    assert stack.redis.ask("EXISTS", key) == 0


def test_an_idle_entry_that_is_put_anew(stack: Stack, http: Http, key: str) -> None:
    """A PUT without an idle time makes it an entry like others."""
    http.put(f"/cache/{key}", {"value": 1, "idle": 100})
    assert "idle" not in check_json(http.put(f"/cache/{key}", {"value": 1, "ttl": 500}))
    assert stack.redis.ask("GET", key) == b"1"
    stack.redis.ask("PEXPIRE", key, 10_000)
    http.get(f"/cache/{key}")
    check_pttl(stack.redis, key, 10)


def test_patch_of_the_ttl_of_an_idle_entry(stack: Stack, http: Http, key: str) -> None:
    """It moves the end; the idle time stays, and is renewed."""
    http.put(f"/cache/{key}", {"value": [1.5], "ttl": 1000, "idle": 100})
    for seconds, expiry in ((5000, 100), (50, 50), (None, 100), (200, 100)):
        stack.redis.ask("PEXPIRE", key, 10_000)
        document = check_json(patch(http, key, {"ttl": seconds}))
        assert (document["ttl"], document["idle"]) == (seconds, 100)
        check_pttl(stack.redis, key, expiry)
        assert (b'"end":' in stack.redis.ask("GET", key)) == (seconds is not None)
        document = check_json(http.get(f"/cache/{key}"))
        assert (document["value"], document["ttl"]) == ([1.5], seconds)


CHANGES: dict[str, Callable[[Http, str], Answer]] = {
    "merge": lambda http, key: patch(http, key, {"value": 2}),
    "count": lambda http, key: http.request("POST", f"/counters/{key}", b"{}", [JSON]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_renew(stack: Stack, http: Http, key: str,
                       change: Callable[[Http, str], Answer]) -> None:
    """A merge or a count is a use of an idle entry; its end stays where it is."""
    http.put(f"/cache/{key}", {"value": 1, "ttl": 1000, "idle": 100})
    set_end(stack.redis, key, 500_000, 10_000)
    document = check_json(change(http, key))
    assert (document["value"], document["ttl"], document["idle"]) == (2, 500, 100)
    check_pttl(stack.redis, key, 100)
    set_end(stack.redis, key, 40_000, 10_000)
    assert change(http, key).json()["ttl"] == 40
    check_pttl(stack.redis, key, 40)
    patch(http, key, {"ttl": None})
    stack.redis.ask("PEXPIRE", key, 10_000)
    assert change(http, key).json()["ttl"] is None
    check_pttl(stack.redis, key, 100)


def test_what_fails_renews_nothing(stack: Stack, http: Http, key: str) -> None:
    """A write that is refused for what the entry is leaves its expiry alone, too."""
    tag = http.put(f"/cache/{key}", {"value": "x", "idle": 100}).header("ETag") or ""
    http.put(f"/raw/{key}-raw?idle=100", b"x", [TEXT])
    for name in (key, f"{key}-raw"):
        stack.redis.ask("PEXPIRE", name, 10_000)
        before = state(stack.redis, name)
        for condition in (("If-Match", '"x"'), ("If-None-Match", "*")):
            for method, path, body in (("PUT", "cache", b'{"value":1}'), ("PUT", "raw", b"1"),
                                       ("PATCH", "cache", b'{"ttl":5}'), ("DELETE", "raw", None),
                                       ("POST", "counters", b"{}")):
                answer = http.request(method, f"/{path}/{name}", body, [JSON, condition])
                check_problem(answer, 412, "precondition-failed")
        answer = http.request("POST", f"/counters/{name}", b"{}", [JSON])
        check_problem(answer, 409, "not-an-integer")
        assert state(stack.redis, name) == before
    check_problem(patch(http, f"{key}-raw", {"value": 1}), 409, "not-json")
    assert state(stack.redis, f"{key}-raw") == before
    assert http.get(f"/cache/{key}").header("ETag") == tag


# --- what comes between two steps ----------------------------------------------------------------

@pytest.fixture
def relayed(new_redis: NewRedis, new_larder: NewLarder) -> Iterator[tuple[Redis, Relay, Larder]]:
    """A larderd that reaches its Redis through a relay."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start(ready=True)
    yield redis, relay, larder
    relay.rule = None
    larder.stop()
    relay.close()


def after(relay: Relay, name: bytes, act: Callable[[], object]) -> None:
    """Has something done once, when Redis has executed the next command of this name.

    PTTL is the last of those that read an entry, MGET asks for its tags.
    """
    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0] == name:
            relay.rule = None
            act()
        return link.send(reply)

    relay.rule = rule


def test_a_renewal_is_for_what_was_read(relayed: tuple[Redis, Relay, Larder]) -> None:
    """An entry that is replaced while it is read is neither prolonged nor brought back."""
    redis, relay, larder = relayed
    body = b'{"value":"read","ttl":1000,"idle":100}'

    def put_again() -> None:
        redis.ask("SET", "k", redis.ask("GET", "other"), "PX", 10_000)

    for replace, left in ((lambda: redis.ask("DEL", "k"), None),
                          (lambda: redis.ask("SET", "k", '"new"', "PX", 10_000), 10),
                          (lambda: redis.ask("SET", "k", '"new"'), -1), (put_again, 10)):
        for name in ("k", "other"):
            assert larder.fastcgi("PUT", f"/cache/{name}", body).status == 200
        after(relay, b"PTTL", replace)
        answer = larder.fastcgi("GET", "/cache/k")
        assert check_json(answer)["value"] == "read"
        if left is None:
            assert redis.ask("EXISTS", "k") == 0
        elif left < 0:
            assert redis.ask("PTTL", "k") == -1
        else:
            check_pttl(redis, "k", left)


@pytest.mark.parametrize("members", ["", ',"tags":["a"]', ',"idle":100', ',"idle":9,"tags":["a"]'])
def test_a_merge_is_into_what_is_there(relayed: tuple[Redis, Relay, Larder],
                                       members: str) -> None:
    """An entry that changes under a merge is read and merged again, and keeps what it has then."""
    redis, relay, larder = relayed

    def put(key: str, value: str, more: str) -> None:
        body = f'{{"value":{value}{more}}}'.encode()
        assert larder.fastcgi("PUT", f"/cache/{key}", body).status == 200

    put("other", '{"theirs":1}', ',"ttl":77')
    put("k", '{"old":1}', members)
    after(relay, b"PTTL", lambda: redis.ask("RENAME", "other", "k"))
    answer = larder.fastcgi("PATCH", "/cache/k", b'{"value":{"mine":1}}')
    document = check_json(answer)
    assert document["value"] == {"theirs": 1, "mine": 1} and "tags" not in document
    assert redis.ask("GET", "k") == b'{"theirs":1,"mine":1}'
    check_pttl(redis, "k", 77)
    put("k", '{"old":1}', members)
    after(relay, b"PTTL", lambda: redis.ask("DEL", "k"))
    check_problem(larder.fastcgi("PATCH", "/cache/k", b'{"value":{"mine":1}}'), 404,
                  "key-not-found")
    assert redis.ask("EXISTS", "k") == 0


@pytest.mark.parametrize("method,target,body", [
    ("PUT", "/cache/k", b'{"value":3}'), ("PATCH", "/cache/k", b'{"ttl":5}'),
    ("PATCH", "/cache/k", b'{"value":3}'), ("DELETE", "/cache/k", b""), ("PUT", "/raw/k", b"3"),
    ("POST", "/counters/k", b"{}"),
])
def test_a_swap_is_of_what_is_there(relayed: tuple[Redis, Relay, Larder], method: str, target: str,
                                    body: bytes) -> None:
    """An entry, or its tag, that changes after the condition was found to hold: 412."""
    redis, relay, larder = relayed

    def replace() -> None:
        redis.ask("SET", "k", "2")

    def invalidate() -> None:
        redis.ask("DEL", b"\xfftag:a")

    plain, tagged = b'{"value":1}', b'{"value":1,"tags":["a"]}'
    for stored, command, change in ((plain, b"PTTL", replace), (tagged, b"PTTL", replace),
                                    (tagged, b"MGET", replace), (tagged, b"PTTL", invalidate),
                                    (tagged, b"MGET", invalidate)):
        tag = larder.fastcgi("PUT", "/cache/k", stored).header("ETag") or ""
        held = redis.ask("GET", "k")
        after(relay, command, change)
        answer = larder.fastcgi(method, target, body, HTTP_IF_MATCH=tag)
        check_problem(answer, 412, "precondition-failed")
        assert relay.rule is None, "nothing was changed meanwhile"
        assert redis.ask("GET", "k") == (b"2" if change is replace else held)
        assert (answer.header("ETag") is None) == (change is invalidate)


def test_a_creation_is_where_nothing_is(relayed: tuple[Redis, Relay, Larder]) -> None:
    """An entry that comes after none was found is judged and counted like any other."""
    redis, relay, larder = relayed
    redis.ask("SET", "k", "41")
    tag = larder.fastcgi("GET", "/cache/k").header("ETag") or ""

    def come() -> None:
        redis.ask("SET", "k", "41", "PX", 50_000)

    redis.ask("DEL", "k")
    after(relay, b"PTTL", come)
    answer = larder.fastcgi("PUT", "/cache/k", b'{"value":1}', HTTP_IF_NONE_MATCH=tag)
    check_problem(answer, 412, "precondition-failed")
    assert answer.header("ETag") == tag and redis.ask("GET", "k") == b"41"
    redis.ask("DEL", "k")
    after(relay, b"PTTL", come)
    answer = larder.fastcgi("POST", "/counters/k", b'{"ttl":9}', HTTP_IF_NONE_MATCH='"x"')
    assert check_json(answer)["value"] == 42 and redis.ask("GET", "k") == b"42"
    check_pttl(redis, "k", 50)


@pytest.mark.parametrize("method,body,params", [
    ("PATCH", b'{"value":{"mine":1}}', {}), ("PUT", b'{"value":1}', {"HTTP_IF_MATCH": "*"}),
    ("DELETE", b"", {"HTTP_IF_MATCH": "*"}),
])
def test_contention(relayed: tuple[Redis, Relay, Larder], method: str, body: bytes,
                    params: dict[str, str]) -> None:
    """An entry that changes each time before it can be written: 503 in the end, and not applied."""
    redis, relay, larder = relayed

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0] == b"PTTL":
            redis.ask("APPEND", "k", " ")
        return link.send(reply)

    redis.ask("SET", "k", "{}")
    relay.rule = rule
    answer = larder.fastcgi(method, "/cache/k", body, **params)
    relay.rule = None
    assert check_problem(answer, 503, "contention")["outcome"] == "not-applied"
    assert 100 < len(redis.ask("GET", "k")) < 300
    assert larder.fastcgi(method, "/cache/k", body, **params).status == 200


# --- options -------------------------------------------------------------------------------------

WITHOUT_TTL = [("PUT", "/cache/k", b'{"value":1}'), ("PUT", "/raw/k", b"x"),
               ("POST", "/counters/k", b""), ("PUT", "/cache/k", b'{"value":1,"tags":["a"]}'),
               ("PUT", "/cache/k", b'{"value":1,"ttl":null}'),
               ("POST", "/batch", b'{"operations":[{"method":"PUT","key":"k","value":1}]}')]


def test_no_default_ttl(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """DEFAULT_TTL=0: what is stored without a ttl has no end, whichever way; a ttl counts."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"DEFAULT_TTL": "0"}).start()
    for method, target, body in WITHOUT_TTL:
        redis.ask("DEL", "k")
        assert larder.fastcgi(method, target, body).status == 200
        assert redis.ask("PTTL", "k") == -1, target
        assert check_json(larder.fastcgi("GET", "/cache/k"))["ttl"] is None
    for target, body in (("/cache/k", b'{"value":1,"idle":100}'), ("/raw/k?idle=100", b"x")):
        document = check_json(larder.fastcgi("PUT", target, body))
        assert (document["ttl"], document["idle"]) == (None, 100)
        check_pttl(redis, "k", 100)
        assert b'"end"' not in redis.ask("GET", "k")
        redis.ask("PEXPIRE", "k", 10_000)
        assert check_json(larder.fastcgi("GET", "/cache/k"))["ttl"] is None
        check_pttl(redis, "k", 100)
    assert check_json(larder.fastcgi("PUT", "/raw/k?ttl=7", b"x"))["ttl"] == 7
    check_pttl(redis, "k", 7)
    assert larder.fastcgi("PUT", "/raw/k?ttl=0", b"x").status == 422


def test_max_ttl(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """MAX_TTL bounds ttl and idle everywhere, and each refusal names it."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"MAX_TTL": "100", "DEFAULT_TTL": "90"}).start()
    for ttl, status in ((100, 200), (101, 422)):
        for method, target, body in (
                ("PUT", "/cache/k", b'{"value":1,"ttl":%d}' % ttl),
                ("PUT", "/cache/k", b'{"value":1,"idle":%d}' % ttl),
                ("PUT", f"/raw/k?ttl={ttl}", b"x"), ("PUT", f"/raw/k?idle={ttl}", b"x"),
                ("PATCH", "/cache/k", b'{"ttl":%d}' % ttl),
                ("POST", "/counters/c", b'{"ttl":%d}' % ttl)):
            answer = larder.fastcgi(method, target, body)
            assert answer.status == status, (target, body, answer)
            assert status == 200 or "100" in answer.json()["detail"]
        batch = b'{"operations":[{"method":"PUT","key":"k","value":1,"ttl":%d}]}' % ttl
        assert larder.fastcgi("POST", "/batch", batch).json()["results"][0]["status"] == status
    check_pttl(redis, "k", 100)


def test_jitter(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """LARDER_TTL_JITTER=20: every way to give a ttl takes 0 to 20 % off it, not always the same."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"LARDER_TTL_JITTER": "20"}).start()
    names = [f"k{i}" for i in range(20)]
    operations = ",".join(f'{{"method":"PUT","key":"{name}","value":1,"ttl":100}}'
                          for name in names)

    def each(method: str, target: str, body: bytes) -> Callable[[], list[int]]:
        return lambda: [larder.fastcgi(method, target.replace("KEY", name), body).json()["ttl"]
                        for name in names]

    def batch() -> list[int]:
        answer = larder.fastcgi("POST", "/batch", f'{{"operations":[{operations}]}}'.encode())
        return [result["ttl"] for result in answer.json()["results"]]

    for way, kept in ((each("PUT", "/cache/KEY", b'{"value":1,"ttl":100}'), False),
                      (each("PUT", "/cache/KEY", b'{"value":1,"ttl":100,"tags":["a"]}'), False),
                      (each("PUT", "/raw/KEY?ttl=100", b"x"), False), (batch, False),
                      (each("PATCH", "/cache/KEY", b'{"ttl":100}'), True),
                      (each("POST", "/counters/KEY", b'{"ttl":100}'), False)):
        if not kept:
            redis.ask("DEL", *names)
        shown = way()
        left = [redis.ask("PTTL", name) for name in names]
        assert all(80_000 - SLACK_MS < ms <= 100_000 for ms in left), left
        assert len(set(left)) > 10 and max(left) - min(left) > 2000, left
        assert all(0 <= seconds * 1000 - ms < SLACK_MS for seconds, ms in zip(shown, left))
    for name in names:
        document = larder.fastcgi("PUT", f"/cache/{name}", b'{"value":1,"ttl":1}').json()
        assert document["ttl"] == 1
        idle = larder.fastcgi("PUT", f"/cache/{name}", b'{"value":1,"ttl":100,"idle":10}').json()
        assert 80 <= idle["ttl"] <= 100 and idle["idle"] == 10
        check_pttl(redis, name, 10)


def test_client_caching(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """LARDER_CLIENT_CACHING=yes: a client may keep an answer until the entry may be gone."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"LARDER_CLIENT_CACHING": "yes"}).start()
    larder.fastcgi("PUT", "/cache/k", b'{"value":1,"ttl":1000}')
    larder.fastcgi("PUT", "/cache/idle", b'{"value":1,"ttl":1000,"idle":100}')
    redis.ask("SET", "for-ever", "1")
    tag = larder.fastcgi("GET", "/cache/k").header("ETag") or ""
    for key, least, most in (("k", 995, 1000), ("idle", 100, 100),
                             ("for-ever", 31536000, 31536000)):
        for view in ("/cache", "/raw"):
            for method, more in (("GET", {}), ("HEAD", {}), ("GET", {"HTTP_IF_NONE_MATCH": tag})):
                answer = larder.fastcgi(method, f"{view}/{key}", **more)
                assert answer.status == (304 if more else 200)
                match = re.fullmatch(r"private, max-age=(\d+)",
                                     answer.header("Cache-Control") or "")
                assert match and least <= int(match.group(1)) <= most, answer
    for answer in (larder.fastcgi("GET", "/cache/none"),
                   larder.fastcgi("GET", "/cache/k", HTTP_IF_MATCH='"x"')):
        assert answer.header("Cache-Control") == "no-store"
