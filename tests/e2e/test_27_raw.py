"""Entries as bare bytes: /raw, and how they look through /cache, through both web servers."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from checks import check_common, check_json, check_problem, check_timestamp, value_text
from harness import Stack
from rawhttp import Answer, Http, build

CHUNKED = b"Transfer-Encoding: chunked\r\n"
MIB = 1 << 20
TEXT = ("Content-Type", "text/plain")
JSON = ("Content-Type", "application/json")
NONCE = re.compile(rb'"([0-9a-f]{32})"')


def check_stored(answer: Answer, key: str, content_type: str, size: int, ttl: int | None = 3600,
                 **more: Any) -> dict[str, Any]:
    """A 200 of PUT /raw with exactly the promised members."""
    document: dict[str, Any] = check_json(answer)
    assert list(document) == ["key", "content_type", "size", "ttl", *more, "timestamp"]
    check_timestamp(document["timestamp"])
    assert {**document, "timestamp": ""} == {"key": key, "content_type": content_type, "size": size,
                                             "ttl": ttl, **more, "timestamp": ""}
    return document


def check_raw(answer: Answer, body: bytes, content_type: str, coding: str | None = None) -> None:
    """A 200 of GET /raw: these bytes, and what keeps a browser from acting on them."""
    assert answer.status == 200, answer
    assert answer.body == body
    assert answer.header("Content-Type") == content_type
    assert answer.header("Content-Encoding") == coding
    assert answer.header("Content-Security-Policy") == "sandbox"
    assert answer.header("Cache-Control") == "private, no-cache"
    assert (answer.header("Cache-Status") or "").startswith("larder; hit")
    assert answer.header("ETag")
    check_common(answer)


# --- bytes ---------------------------------------------------------------------------------------

BODIES = {
    "text": b"hello", "empty": b"", "nul": b"\0", "nuls": b"\0" * 100, "newline": b"\n",
    "all-bytes": bytes(range(256)), "all-bytes-twice-backwards": bytes(range(256))[::-1] * 2,
    "high": b"\xff\xfe\xfd", "utf-8": "ключ €😀".encode(), "bom": b"\xef\xbb\xbf{}",
    "json": b'{"value":1}', "quotes": b'"\\"', "crlf": b"a\r\n\r\nb\r\n",
    "mark": b"\0larder1 ", "mark-and-brace": b"\0larder1 {", "mark-and-line": b"\0larder1 {}\nx",
    "header": b'\0larder1 {"type":"text/html"}\n<p>',
    "header-with-tags": b'\0larder1 {"tags":{"a":"%s"}}\nx' % (b"0" * 32),
    "header-with-idle": b'\0larder1 {"idle":1,"id":"%s"}\nx' % (b"0" * 32),
    "header-with-crlf": b'\0larder1 {"type":"a/b\\r\\nSet-Cookie: x=1"}\nx',
    "error": b"-ERR unknown\r\n", "nil": b"$-1\r\n", "ok": b"+OK\r\n",
    "array": b"*1\r\n$1\r\nx\r\n", "format": b"%s%n%x", "status": b"Status: 500\r\n\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_bytes_are_kept(stack: Stack, http: Http, key: str, body: bytes) -> None:
    """Any bytes come back as they were, through both views; in Redis they follow a header."""
    path = f"/raw/{key}"
    check_stored(http.put(path, body, [("Content-Type", "x/y")]), key, "x/y", len(body))
    check_raw(http.get(path), body, "x/y")
    assert stack.redis.ask("GET", key) == b'\0larder1 {"type":"x/y"}\n' + body
    head = http.request("HEAD", path)
    assert (head.status, head.header("Content-Length")) == (200, str(len(body)))
    document = check_json(http.get(f"/cache/{key}"))
    if document["encoding"] == "utf-8":
        assert document["value"].encode() == body
    else:
        assert base64.b64decode(document["value"], validate=True) == body
    assert check_json(http.delete(path))["deleted"] is True
    check_problem(http.get(path), 404, "key-not-found")
    check_problem(http.delete(path), 404, "key-not-found")


def test_bytes_at_the_limit(stack: Stack, http: Http, key: str) -> None:
    """Exactly max_value bytes are stored; one more is 413, and what was there stays."""
    body = bytes(range(256)) * (MIB // 256)
    path = f"/raw/{key}"
    check_stored(http.put(path, body, [TEXT]), key, "text/plain", MIB)
    for more in (b"x", b"x" * 1000):
        check_problem(http.put(path, body + more, [TEXT]), 413, "value-too-large")
    check_raw(http.get(path), body, "text/plain")
    assert http.request("HEAD", path).header("Content-Length") == str(MIB)


def test_a_chunked_body(http: Http, key: str) -> None:
    """A body in chunks is stored as the bytes that it says."""
    head = build("PUT", f"/raw/{key}", [TEXT])[:-2] + CHUNKED + b"\r\n"
    chunks = b"".join(b"%x;x=y\r\n%s\r\n" % (len(part), part)
                      for part in (b"\0\xff", b"0\r\n\r\n", b"x" * 70000))
    answer = http.exchange(head + chunks + b"0\r\n\r\n")
    check_stored(answer, key, "text/plain", 70007)
    check_raw(http.get(f"/raw/{key}"), b"\0\xff0\r\n\r\n" + b"x" * 70000, "text/plain")


def test_no_body(http: Http, key: str) -> None:
    """The empty value, whether Content-Length is 0 or isn't there."""
    for body in (b"", None):
        answer = http.request("PUT", f"/raw/{key}", body, [TEXT])
        check_stored(answer, key, "text/plain", 0)
        check_raw(http.get(f"/raw/{key}"), b"", "text/plain")
        http.delete(f"/raw/{key}")


@pytest.mark.parametrize("value", ["bytes=0-1", "bytes=-1", "bytes=0-0,2-3", "bytes=100-"])
def test_ranges_are_ignored(http: Http, key: str, value: str) -> None:
    """A range of a value is not served: the whole is (RFC 9110, 14.2)."""
    http.put(f"/raw/{key}", b"0123456789", [TEXT])
    for headers in ([("Range", value)], [("Range", value), ("If-Range", '"x"')]):
        answer = http.get(f"/raw/{key}", headers)
        check_raw(answer, b"0123456789", "text/plain")
        assert answer.header("Content-Range") is None


# --- types and codings ---------------------------------------------------------------------------

@pytest.mark.parametrize("content_type", [
    "text/html", 'text/html; charset="utf-8"', "TEXT/Html;Charset=UTF-8", "image/svg+xml", "a/b;",
    'a/b;x=y ; z="q;,=\\"\\\\"', "multipart/form-data; boundary=\"--x'()+_,-./:=?\"",
    "application/vnd.a.b-c+json;profile=\"https://e.org/?a=b&c\"", "!#$&-^_.+/!#$&'*", "a/b;;x=y",
    "application/json", "application/merge-patch+json", "application/x-www-form-urlencoded",
    "text/" + "x" * 250,
])
def test_types_are_kept(stack: Stack, http: Http, key: str, content_type: str) -> None:
    """Any media type comes back byte for byte, with its parameters, cases and quotes."""
    answer = http.put(f"/raw/{key}", b"{", [("Content-Type", content_type)])
    check_stored(answer, key, content_type, 1)
    check_raw(http.get(f"/raw/{key}"), b"{", content_type)
    assert check_json(http.get(f"/cache/{key}"))["content_type"] == content_type


def test_no_type(http: Http, key: str) -> None:
    """Bytes without a type are just that."""
    check_stored(http.put(f"/raw/{key}", b"{}", []), key, "application/octet-stream", 2)
    check_raw(http.get(f"/raw/{key}"), b"{}", "application/octet-stream")


@pytest.mark.parametrize("content_type", [
    "text", "/", "text/", "/plain", "text /plain", "text/ plain", "text/plain; x", "text/plain; =y",
    "text/plain;x = y", "text/plain, text/html", 'text/plain; x="y', 'text/plain; x="y"z', "*",
    "a/b c", "text/plain;x=é", 'text/plain; x="é"', "text/" + "x" * 251, "a/b/c", "a/b;x=y z",
    '"a"/b',
])
def test_malformed_types(stack: Stack, http: Http, key: str, content_type: str) -> None:
    """What is no media type, or not printable ASCII, is 400: it would be sent to others."""
    answer = http.put(f"/raw/{key}", b"x", [("Content-Type", content_type)])
    check_problem(answer, 400, "invalid-field")
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, br", "x-unknown", "GZIP"])
def test_codings_are_kept(http: Http, key: str, coding: str) -> None:
    """Coded bytes are stored as they are, and come back with their coding; nothing is unpacked."""
    body = b"\x1f\x8b not really"
    answer = http.put(f"/raw/{key}", body, [TEXT, ("Content-Encoding", coding)])
    check_stored(answer, key, "text/plain", len(body))
    for accept in ((), (("Accept-Encoding", "identity"),), (("Accept-Encoding", "gzip"),)):
        check_raw(http.get(f"/raw/{key}", accept), body, "text/plain", coding)
    assert check_json(http.get(f"/cache/{key}"))["content_encoding"] == coding


@pytest.mark.parametrize("coding", ["identity", " Identity "])
def test_identity_is_no_coding(http: Http, key: str, coding: str) -> None:
    """The coding that is none is not kept (RFC 9110, 12.5.3)."""
    http.put(f"/raw/{key}", b"x", [TEXT, ("Content-Encoding", coding)])
    check_raw(http.get(f"/raw/{key}"), b"x", "text/plain")
    assert "content_encoding" not in http.get(f"/cache/{key}").json()


@pytest.mark.parametrize("coding", [",", "gzip,", ",gzip", "gzip,,br", "g zip", "gzip;q=1",
                                    '"gzip"', "gz\u00edp", "g" * 65])
def test_malformed_codings(stack: Stack, http: Http, key: str, coding: str) -> None:
    """What is no list of codings is 400."""
    answer = http.put(f"/raw/{key}", b"x", [TEXT, ("Content-Encoding", coding)])
    check_problem(answer, 400, "invalid-field")
    assert stack.redis.ask("EXISTS", key) == 0


# --- the other view ------------------------------------------------------------------------------

def entry_of(document: dict[str, Any]) -> dict[str, Any]:
    """What a document says of the entry itself."""
    return {name: value for name, value in document.items() if name not in ("ttl", "timestamp")}


@pytest.mark.parametrize("body,value,encoding", [
    (b"", "", "utf-8"), (b"text", "text", "utf-8"), ("é€😀".encode(), "é€😀", "utf-8"),
    (b'"\\/\n\0\x7f', '"\\/\n\0\x7f', "utf-8"), (b"123", "123", "utf-8"),
    (b"\xff", "/w==", "base64"), (b"a\x80", "YYA=", "base64"), (b"\xed\xa0\x80", "7aCA", "base64"),
    (b"\xfb\xef\xff", "++//", "base64"),
], ids=repr)
@pytest.mark.parametrize("coding", [None, "gzip"])
def test_the_envelope_of_bytes(stack: Stack, http: Http, key: str, body: bytes, value: str,
                               encoding: str, coding: str | None) -> None:
    """Bytes are a string in the envelope, which says how to read it; put back, they are the same
    entry."""
    headers = [("Content-Type", 'a/b; c="d"'), *([("Content-Encoding", coding)] if coding else [])]
    tag = http.put(f"/raw/{key}?ttl=90", body, headers).header("ETag")
    held = stack.redis.ask("GET", key)
    answer = http.get(f"/cache/{key}")
    document = check_json(answer)
    expected = {"key": key, "value": value, "content_type": 'a/b; c="d"'}
    if coding:
        expected["content_encoding"] = coding
    assert entry_of(document) == {**expected, "encoding": encoding}
    assert document["ttl"] in (89, 90)
    http.delete(f"/cache/{key}")
    back = http.put(f"/cache/{key}", answer.body)
    assert entry_of(check_json(back)) == entry_of(document)
    assert back.header("ETag") == answer.header("ETag") == tag
    assert stack.redis.ask("GET", key) == held
    check_raw(http.get(f"/raw/{key}"), body, 'a/b; c="d"', coding)


def test_an_envelope_with_everything_can_be_put_back(stack: Stack, http: Http, key: str) -> None:
    """Idle time and tags come along."""
    headers = [TEXT, ("Cache-Groups", '"a", "b c"'), ("Content-Encoding", "br")]
    answer = http.put(f"/raw/{key}?ttl=100&idle=50", b"\xff", headers)
    check_stored(answer, key, "text/plain", 1, 100, idle=50, tags=["a", "b c"])
    document = http.get(f"/cache/{key}")
    http.delete(f"/cache/{key}")
    back = check_json(http.put(f"/cache/{key}", document.body))
    assert entry_of(back) == entry_of(document.json())
    assert (back["idle"], back["tags"], back["ttl"]) == (50, ["a", "b c"], 100)
    assert http.delete("/cache?tag=b%20c").status == 200
    assert http.get(f"/raw/{key}").status == 404


@pytest.mark.parametrize("members,slug", [
    ('"value":1,"content_type":"a/b"', "schema-violation"),
    ('"value":null,"content_type":"a/b"', "schema-violation"),
    ('"value":"x","content_type":"a"', "schema-violation"),
    ('"value":"x","content_type":"a/b\\r\\nSet-Cookie: x=1"', "schema-violation"),
    ('"value":"x","content_type":"a/b; x=\\u00e9"', "schema-violation"),
    ('"value":"x","content_type":1', "schema-violation"),
    ('"value":"x","content_type":""', "schema-violation"),
    ('"value":"x","content_type":"a/b","content_encoding":"a b"', "schema-violation"),
    ('"value":"x","content_type":"a/b","content_encoding":"gzip,"', "schema-violation"),
    ('"value":"eA=","encoding":"base64"', "schema-violation"),
    ('"value":"e A==","encoding":"base64","content_type":"a/b"', "schema-violation"),
    ('"value":"_-==","encoding":"base64","content_type":"a/b"', "schema-violation"),
    ('"value":1,"encoding":"base64"', "schema-violation"),
    ('"value":"x","encoding":"utf-16"', "schema-violation"),
    ('"value":"x","encoding":true', "schema-violation"),
    ('"value":"x","Content-Type":"a/b"', "unknown-field"),
])
def test_envelopes_of_bytes_that_are_refused(stack: Stack, http: Http, key: str, members: str,
                                             slug: str) -> None:
    """A document whose members don't go together is 422: half of it would be lost."""
    check_problem(http.put(f"/cache/{key}", f"{{{members}}}".encode()), 422, slug)
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("members", [
    '"value":"x"', '"value":1', '"value":"x","encoding":"utf-8"',
    '"value":"eA==","encoding":"base64"', '"value":"x","content_type":null',
])
def test_a_coding_without_a_type_is_not_lost(stack: Stack, http: Http, key: str,
                                             members: str) -> None:
    """content_encoding without content_type was taken and forgotten: it is refused."""
    answer = http.put(f"/cache/{key}", f'{{{members},"content_encoding":"gzip"}}'.encode())
    assert "content_type" in check_problem(answer, 422, "schema-violation")["detail"]
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("coding", ["", "identity", "Identity"])
def test_identity_in_the_envelope(http: Http, key: str, coding: str) -> None:
    """The coding that is none is none here, too."""
    body = {"value": "x", "content_type": "text/plain", "content_encoding": coding}
    assert "content_encoding" not in check_json(http.put(f"/cache/{key}", body))
    check_raw(http.get(f"/raw/{key}"), b"x", "text/plain")


def test_null_members_are_not_given(http: Http, key: str) -> None:
    """null in place of an optional member is as if it weren't there."""
    body = {"value": "x", "content_type": None, "content_encoding": None, "encoding": None,
            "tags": None, "idle": None, "ttl": None}
    document = check_json(http.put(f"/cache/{key}", body))
    assert entry_of(document) == {"key": key, "value": "x"}
    check_raw(http.get(f"/raw/{key}"), b'"x"', "application/json")


def test_decoded_bytes_that_look_like_a_header(stack: Stack, http: Http, key: str) -> None:
    """Bytes put through the envelope are never taken for a header of larder's own."""
    for body in (BODIES["header"], BODIES["header-with-tags"]):
        text = base64.b64encode(body).decode()
        assert http.put(f"/cache/{key}", {"value": text, "encoding": "base64"}).status == 200
        check_raw(http.get(f"/raw/{key}"), body, "application/octet-stream")


@pytest.mark.parametrize("value", [b"1", b'"x"', b"null", b"[ 1.10 , 1e400 ]",
                                   b'{"a" : "\\u00e9"}'])
def test_json_through_raw(http: Http, key: str, value: bytes) -> None:
    """A JSON value is its own text."""
    put = http.put(f"/cache/{key}", b'{"value": %s ,"ttl":60}' % value)
    answer = http.get(f"/raw/{key}")
    check_raw(answer, value, "application/json")
    assert answer.header("ETag") == put.header("ETag")
    assert answer.header("Cache-Status") in ("larder; hit; ttl=60", "larder; hit; ttl=59")


def test_json_stored_as_bytes_is_bytes(http: Http, key: str) -> None:
    """What came through /raw stays a string in the envelope, whatever its type says."""
    http.put(f"/raw/{key}", b'{"a":1}', [JSON])
    document = check_json(http.get(f"/cache/{key}"))
    assert (document["value"], document["content_type"]) == ('{"a":1}', "application/json")
    http.put(f"/cache/{key}", b'{"value":{"a":1}}')
    document = check_json(http.get(f"/cache/{key}"))
    assert document["value"] == {"a": 1} and "content_type" not in document


@pytest.mark.parametrize("stored,content_type", [
    (b"hello", "text/plain; charset=utf-8"), (b"", "text/plain; charset=utf-8"),
    ("ключ".encode(), "text/plain; charset=utf-8"), (b"NaN", "text/plain; charset=utf-8"),
    (b"a\0b", "text/plain; charset=utf-8"), (b"\xff\xfe", "application/octet-stream"),
    (b"caf\xe9", "application/octet-stream"), (b"[1]", "application/json"),
    (b' {"a" : 1}\n', "application/json"), (b"123", "application/json"),
    (b"\x89PNG\r\n\x1a\n", "application/octet-stream"),
    (BODIES["header-with-crlf"], "text/plain; charset=utf-8"),
    (b'\0larder1 {"type":"a/b","typo":1}\nx', "text/plain; charset=utf-8"),
    (b'\0larder1 {"type":"a/b","type":"c/d"}\nx', "text/plain; charset=utf-8"),
    (b'\0larder1 {"coding":"gzip"}\nx', "text/plain; charset=utf-8"),
    (b"\0larder1 " + b"x" * 20000 + b"\nx", "text/plain; charset=utf-8"),
], ids=lambda v: str(v)[:24])
def test_foreign_values(stack: Stack, http: Http, key: str, stored: bytes,
                        content_type: str) -> None:
    """What another program wrote comes out whole, with the type that can be told of it."""
    stack.redis.ask("SET", key, stored)
    answer = http.get(f"/raw/{key}")
    check_raw(answer, stored, content_type)
    assert answer.header("Cache-Status") == "larder; hit"
    assert answer.header("Set-Cookie") is None


# --- ttl and idle --------------------------------------------------------------------------------

@pytest.mark.parametrize("query,ttl,idle", [
    ("", 3600, None), ("?", 3600, None), ("?ttl=1", 1, None), ("?ttl=60", 60, None),
    ("?ttl=31536000", 31536000, None), ("?%74tl=5", 5, None), ("?t%74l=%36%30", 60, None),
    ("?&ttl=5&&", 5, None), ("?idle=20", 3600, 20), ("?ttl=60&idle=20", 60, 20),
    ("?idle=20&ttl=10", 10, 20),
])
def test_times(stack: Stack, http: Http, key: str, query: str, ttl: int, idle: int | None) -> None:
    """ttl and idle are query parameters, whose names are decoded once."""
    more = {"idle": idle} if idle else {}
    answer = http.put(f"/raw/{key}{query}", b"x", [TEXT])
    check_stored(answer, key, "text/plain", 1, ttl, **more)
    expiry = min(ttl, idle or ttl) * 1000
    assert expiry - 5000 < stack.redis.ask("PTTL", key) <= expiry
    assert http.get(f"/cache/{key}").json().get("idle") == idle


BAD_SECONDS = ["", "+5", "%205", "5+", "5%20", "%2B5", "0005", "05", "%D9%A5", "5;6", "5,6", "0",
               "-1", "1.5", "10.0", "1e1", "0x5", "1x", "true", "null", "%225%22", "31536001",
               "4294967297", "9223372036854775808", "1" + "0" * 30, "5%0A", "%FF"]


@pytest.mark.parametrize("text", BAD_SECONDS)
@pytest.mark.parametrize("name", ["ttl", "idle"])
def test_times_that_are_refused(stack: Stack, http: Http, key: str, name: str, text: str) -> None:
    """Anything but plain digits from 1 to the maximum is 422 with a reason; nothing is stored."""
    answer = http.put(f"/raw/{key}?{name}={text}", b"x", [TEXT])
    if answer.is_problem:
        assert name in check_problem(answer, 422, f"invalid-{name}")["detail"]
    else:
        assert answer.status == 400 and text in ("5%0A", "%FF"), "lighttpd refuses only those"
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("query,slug", [
    ("ttl=1&ttl=2", "invalid-parameter"), ("ttl=1&%74tl=1", "invalid-parameter"),
    ("idle=1&ttl=1&idle=1", "invalid-parameter"), ("ttl=%zz", "invalid-parameter"),
    ("ttl=5%2", "invalid-parameter"), ('ttl="5"', "invalid-parameter"),
    ("ttl=5%", "invalid-parameter"), ("x=1", "unknown-parameter"), ("ttl=5&x", "unknown-parameter"),
    ("TTL=5", "unknown-parameter"), ("ttl%00=5", "unknown-parameter"),
    ("tags=a", "unknown-parameter"), ("=5", "unknown-parameter"),
    ("%2574tl=5", "unknown-parameter"),
])
def test_queries_that_are_refused(stack: Stack, http: Http, key: str, query: str,
                                  slug: str) -> None:
    """A parameter that is there twice, malformed or unknown is 400; nothing is stored."""
    answer = http.put(f"/raw/{key}?{query}", b"x", [TEXT])
    if answer.is_problem:
        check_problem(answer, 400, slug)
    else:
        assert answer.status == 400 and "%00" in query, answer
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("query", ["?ttl", "?ttl=", "?idle"])
def test_a_time_without_a_value(http: Http, key: str, query: str) -> None:
    """A name alone is a time that is no number."""
    slug = "invalid-ttl" if "ttl" in query else "invalid-idle"
    check_problem(http.put(f"/raw/{key}{query}", b"x", [TEXT]), 422, slug)


def test_reads_ignore_parameters(http: Http, key: str) -> None:
    """A read takes none, and is not refused for one."""
    http.put(f"/raw/{key}", b"x", [TEXT])
    for query in ("?ttl=0", "?x=1", "?ttl=1&ttl=2", "?%zz"):
        assert http.get(f"/raw/{key}{query}").status == 200
        assert http.request("HEAD", f"/raw/{key}{query}").status == 200


# --- Cache-Groups --------------------------------------------------------------------------------

@pytest.mark.parametrize("value,tags", [
    ('"a"', ["a"]), ('"a", "b"', ["a", "b"]), ('"a" ,\t"b"', ["a", "b"]), ('"b","a"', ["b", "a"]),
    ('"a";x=1;y="z", "b";q', ["a", "b"]), ('"a", "b", "a"', ["a", "b"]),
    (r'"a\"b", "c\\d"', ['a"b', "c\\d"]), ('" "', [" "]), ('"a,b;c"', ["a,b;c"]),
    (", ".join(f'"t{i}"' for i in range(32)), [f"t{i}" for i in range(32)]),
    (f'"{"x" * 128}"', ["x" * 128]), ('"%41"', ["%41"]),
], ids=lambda v: str(v)[:20])
def test_groups(http: Http, key: str, value: str, tags: list[str]) -> None:
    """Cache-Groups of a PUT are the entry's tags, and are shown by every read (RFC 9875)."""
    answer = http.put(f"/raw/{key}", b"x", [TEXT, ("Cache-Groups", value)])
    check_stored(answer, key, "text/plain", 1, tags=tags)
    assert check_json(http.get(f"/cache/{key}"))["tags"] == tags
    shown = ", ".join('"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"' for tag in tags)
    for method, view in (("GET", "/raw"), ("HEAD", "/raw"), ("GET", "/cache"), ("HEAD", "/cache")):
        assert http.request(method, f"{view}/{key}").header("Cache-Groups") == shown


@pytest.mark.parametrize("value", [
    "a", '"a', 'a"', '"a" "b"', '"a",', ',"a"', '"a",,"b"', "5", "?1", ":YQ==:", '("a")', '"a";',
    '"a";=1', r'"\a"', '"a\u00e9"', '"a";x="', "'a'", '*"a"', '"a"; x=(1)', '"a\tb"',
])
def test_malformed_groups(stack: Stack, http: Http, key: str, value: str) -> None:
    """What is no list of strings is 400: an entry without its tags could not be invalidated."""
    answer = http.put(f"/raw/{key}", b"x", [TEXT, ("Cache-Groups", value)])
    check_problem(answer, 400, "invalid-field")
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("value", [", ".join(f'"t{i}"' for i in range(33)), f'"{"x" * 129}"', '""',
                                   '"a", ""'], ids=lambda v: v[:8])
def test_groups_that_are_no_tags(stack: Stack, http: Http, key: str, value: str) -> None:
    """Too many, too long and empty ones are 422."""
    answer = http.put(f"/raw/{key}", b"x", [TEXT, ("Cache-Groups", value)])
    check_problem(answer, 422, "invalid-tag")
    assert stack.redis.ask("EXISTS", key) == 0


def test_two_fields_of_groups(http: Http, key: str) -> None:
    """Two fields are one list: lighttpd makes it, and passes it on; nginx passes both."""
    headers = [TEXT, ("Cache-Groups", '"a"'), ("Cache-Groups", '"b"')]
    assert http.put(f"/raw/{key}", b"x", headers).json()["tags"] == ["a", "b"]


def test_tags_that_are_not_ascii(http: Http, key: str) -> None:
    """They have no spelling in the field, and are shown in the envelope."""
    for tags, shown in ((["ключ", "a", "é"], '"a"'), (["ключ"], None)):
        check_json(http.put(f"/cache/{key}", {"value": 1, "tags": tags}))
        for view in ("/cache", "/raw"):
            assert http.get(f"{view}/{key}").header("Cache-Groups") == shown
        assert http.get(f"/cache/{key}").json()["tags"] == tags


def test_an_entry_with_tags_in_redis(stack: Stack, http: Http, key: str) -> None:
    """Its header has each tag with the tag's present nonce, and the tag lives longer than it."""
    http.put(f"/raw/{key}?ttl=50", b"x", [TEXT, ("Cache-Groups", f'"{key}"')])
    stored = stack.redis.ask("GET", key)
    [nonce] = NONCE.findall(stored)
    tags = b'{"%s":"%s"}' % (key.encode(), nonce)
    assert stored == b'\0larder1 {"type":"text/plain","tags":%s}\nx' % tags
    name = b"\xfftag:" + key.encode()
    assert stack.redis.ask("GET", name) == nonce
    assert stack.redis.ask("PTTL", name) > stack.redis.ask("PTTL", key)


def test_groups_are_for_raw(http: Http, key: str) -> None:
    """A document has its tags inside: the field says nothing there, not even if it is malformed."""
    headers = [JSON, ("Cache-Groups", "malformed")]
    assert "tags" not in check_json(http.put(f"/cache/{key}", b'{"value":1}', headers))


# --- keys ----------------------------------------------------------------------------------------

def test_keys_are_those_of_the_cache(stack: Stack, http: Http, key: str) -> None:
    """Both views take the same spellings of a key, and name the same entry by it."""
    for tail, name in (("/b", "/b"), ("%2Fb", "/b"), ("%252Fb", "%2Fb"), ("+b", "+b"),
                       ("%20b", " b"), ("%D0%BA", "к"), ("%3F%23", "?#"),
                       (":@!$&'()*,;=", ":@!$&'()*,;=")):
        answer = http.put(f"/raw/{key}{tail}", b"x", [TEXT])
        check_stored(answer, key + name, "text/plain", 1)
        assert http.get(f"/cache/{key}{tail}").json()["key"] == key + name
        assert stack.redis.ask("EXISTS", (key + name).encode()) == 1


@pytest.mark.parametrize("target,slug", [
    ("/raw/", "invalid-key"), ("/raw//KEY", "malformed-path"), ("/raw/KEY/", "malformed-path"),
    ("/raw/KEY//b", "malformed-path"), ("/raw/KEY/./b", "malformed-path"),
    ("/raw/KEY%2F..%2Fb", "malformed-path"), ("/raw/KEY%C2%80", "invalid-key"),
    ("/raw/KEY%ED%A0%80", "invalid-key"), ("/raw/KEY" + "k" * 512, "key-too-long"),
])
def test_targets_that_are_no_keys(stack: Stack, http: Http, key: str, target: str,
                                  slug: str) -> None:
    """The same targets are refused as below /cache, for every method."""
    path = target.replace("KEY", key)
    for answer in (http.get(path), http.put(path, b"x", [TEXT]), http.delete(path)):
        check_problem(answer, 400, slug)
    assert stack.redis.ask("KEYS", key + "*") == []


def test_raw_alone_is_nothing(http: Http) -> None:
    """There is no document at /raw: no way to ask for all, or to delete all."""
    for answer in (http.get("/raw"), http.put("/raw", b"x", [TEXT]), http.delete("/raw")):
        check_problem(answer, 404, "not-found")


def test_writes_replace_each_other(stack: Stack, http: Http, key: str) -> None:
    """An entry has one value, whichever view it was stored through, and nothing of the last one."""
    http.put(f"/raw/{key}?ttl=50&idle=40", b"x", [TEXT, ("Cache-Groups", '"a"'),
                                                 ("Content-Encoding", "br")])
    http.put(f"/cache/{key}", b'{"value":[1]}')
    answer = http.get(f"/cache/{key}")
    assert entry_of(check_json(answer)) == {"key": key, "value": [1]}
    assert value_text(answer.body) == b"[1]" == stack.redis.ask("GET", key)
    assert answer.header("Cache-Groups") is None
    http.put(f"/raw/{key}", b"y", [("Content-Type", "a/b")])
    check_raw(http.get(f"/raw/{key}"), b"y", "a/b")
    assert list(json.loads(http.get(f"/cache/{key}").body)) == [
        "key", "value", "content_type", "encoding", "ttl", "timestamp"]
