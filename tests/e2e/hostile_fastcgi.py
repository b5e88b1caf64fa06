"""Hostile records on larderd's socket: rows F3 to F21. What takes time is in test_30_fastcgi.py,
and what it may cost in test_23_hostile_cost.py."""

from __future__ import annotations

import random
from collections.abc import Iterator

import fcgi
from hostile import (BODY, HANGS_UP, Answers, Ask, Case, Records, Say, Step, case, ok, problem,
                     step)

MISS = problem(404, "key-not-found")
STORED = ok(b"1")
NOT_ALLOWED = problem(405, "method-not-allowed")
MALFORMED = problem(400, "malformed-request")
MALFORMED_PATH = problem(400, "malformed-path")
INCOMPLETE = problem(400, "incomplete-body")
DUPLICATE = problem(400, "duplicate-field")
UNKNOWN_PATH = problem(404, "not-found")
HIT = {b"k": b"1"}

Rows = Iterator[Case]
Pairs = list[tuple[bytes, bytes]]

PUT: Pairs = [(b"REQUEST_METHOD", b"PUT"), (b"REQUEST_URI", b"/cache/k"),
              (b"CONTENT_TYPE", b"application/json"), (b"CONTENT_LENGTH", b"11")]
GET: Pairs = [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/cache/k"), (b"CONTENT_LENGTH", b"")]


def content(pairs: Pairs) -> bytes:
    """Parameters as the content of their stream."""
    return b"".join(fcgi.pair(name, value) for name, value in pairs)


BEGIN = fcgi.begin(keep=True)
PARAMS = fcgi.stream(fcgi.PARAMS, content(PUT))
STDIN = fcgi.stream(fcgi.STDIN, BODY)
GOOD = BEGIN + PARAMS + STDIN


def raw(data: bytes, say: Say | Answers = HANGS_UP) -> Step:
    """Bytes on the socket; usually it hangs up."""
    return step(Records(data), None, None, say)


def asking(pairs: Pairs, say: Say | Answers, body: bytes = b"", chunk: int = 65535,
           padding: int = 0) -> Step:
    """A whole request with these parameters."""
    return raw(fcgi.request_bytes("", "", body, pairs=pairs, keep=True, chunk=chunk,
                                  padding=padding), say)


def changed(pairs: Pairs, **values: bytes | None) -> Pairs:
    """The same with other values; None: without."""
    found = [(name, values.get(name.decode(), value)) for name, value in pairs]
    found += [(name.encode(), value) for name, value in values.items()
              if name.encode() not in dict(pairs)]
    return [(name, value) for name, value in found if value is not None]


# --- the protocol --------------------------------------------------------------------------------

def protocol() -> Rows:
    """F3 to F7, F11, F12."""
    responder = b"\0\1\1" + b"\0" * 5
    for row, name, data in (
            ("F3", "version-0", fcgi.record(fcgi.BEGIN, responder, version=0) + PARAMS + STDIN),
            ("F3", "version-2", fcgi.record(fcgi.BEGIN, responder, version=2) + PARAMS + STDIN),
            ("F3", "version-255", b"\xff" + GOOD[1:]),
            ("F3", "params-version-2", BEGIN + b"\2" + PARAMS[1:] + STDIN),
            ("F3", "http",
             b"PUT /cache/k HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n" + BODY),
            ("F3", "zeros", b"\0" * 4096),
            ("F3", "ones", b"\xff" * 4096),
            ("F3", "random", random.Random(3).randbytes(4096)),
            ("F4", "params-before-begin", PARAMS + STDIN),
            ("F4", "stdin-before-params", BEGIN + STDIN + PARAMS),
            ("F4", "stdin-inside-params", BEGIN + fcgi.record(fcgi.PARAMS, content(PUT)) + STDIN),
            ("F4", "params-after-stdin", BEGIN + PARAMS + fcgi.record(fcgi.STDIN, BODY) + PARAMS),
            ("F4", "params-twice", BEGIN + PARAMS + PARAMS + STDIN),
            ("F4", "data", BEGIN + PARAMS + fcgi.stream(fcgi.DATA, BODY) + STDIN),
            ("F4", "end-request", BEGIN + fcgi.record(fcgi.END, b"\0" * 8) + PARAMS + STDIN),
            ("F4", "stdout", BEGIN + fcgi.record(fcgi.STDOUT, b"x") + PARAMS + STDIN),
            ("F4", "stderr", BEGIN + PARAMS + fcgi.record(fcgi.STDERR, b"x") + STDIN),
            ("F4", "type-0", BEGIN + fcgi.record(0, b"x") + PARAMS + STDIN),
            ("F4", "type-12", BEGIN + PARAMS + fcgi.record(12, b"x") + STDIN),
            ("F5", "authorizer", fcgi.begin(fcgi.AUTHORIZER, True) + PARAMS + STDIN),
            ("F5", "filter", fcgi.begin(fcgi.FILTER, True) + PARAMS + STDIN
             + fcgi.stream(fcgi.DATA, b"x")),
            ("F5", "role-0", fcgi.begin(0, True) + PARAMS + STDIN),
            ("F5", "role-9", fcgi.begin(9, True) + PARAMS + STDIN),
            ("F5", "role-257", fcgi.begin(257, True) + PARAMS + STDIN),
            ("F6", "begin-short", fcgi.record(fcgi.BEGIN, responder[:4]) + PARAMS + STDIN),
            ("F6", "begin-long", fcgi.record(fcgi.BEGIN, responder * 2) + PARAMS + STDIN),
            ("F6", "begin-empty", fcgi.record(fcgi.BEGIN) + PARAMS + STDIN),
            ("F6", "request-id-0", fcgi.request_bytes("", "", BODY, pairs=PUT, request_id=0)),
            ("F6", "params-of-another", BEGIN + fcgi.stream(fcgi.PARAMS, content(PUT), 2) + STDIN),
            ("F6", "body-of-another", BEGIN + PARAMS + fcgi.stream(fcgi.STDIN, BODY, 2)),
            ("F6", "body-of-256-times", BEGIN + PARAMS + fcgi.stream(fcgi.STDIN, BODY, 256)),
            ("F7", "begin-before-params", BEGIN + BEGIN + PARAMS + STDIN),
            ("F7", "begin-before-body", BEGIN + PARAMS + BEGIN + STDIN),
            ("F7", "multiplexed", BEGIN + PARAMS + fcgi.request_bytes(
                "", "", BODY, pairs=PUT, request_id=2, keep=True) + STDIN),
            ("F11", "type-42", fcgi.record(42, b"x" * 8, request_id=0)),
            ("F11", "type-255", fcgi.record(255, b"", request_id=0)),
            ("F11", "in-the-middle", BEGIN + PARAMS + fcgi.record(42, b"", request_id=0) + STDIN),
            ("F12", "before-params", BEGIN + fcgi.record(fcgi.ABORT) + PARAMS + STDIN),
            ("F12", "mid-body", BEGIN + PARAMS + fcgi.record(fcgi.STDIN, BODY[:5])
             + fcgi.record(fcgi.ABORT)),
            ("F12", "then-the-rest", BEGIN + PARAMS + fcgi.record(fcgi.STDIN, BODY[:5])
             + fcgi.record(fcgi.ABORT) + fcgi.stream(fcgi.STDIN, BODY[5:])),
            ("F12", "at-the-start", fcgi.record(fcgi.ABORT))):
        yield case(row, name, raw(data), given=HIT)


ASKED = [b"FCGI_MPXS_CONNS", b"FCGI_MAX_REQS", b"FCGI_MAX_CONNS"]
VALUES: list[tuple[str, str, list[bytes]]] = [
    ("F9", "one", ASKED[:1]), ("F9", "three", ASKED), ("F9", "none", []),
    ("F10", "ten-times", ASKED[:1] * 10), ("F10", "500-times", ASKED[:1] * 500),
    ("F10", "unknown", [b"x" * 200] * 10)]


def management() -> Rows:
    """F9 and F10: what libfcgi would answer out of a buffer of 64 bytes."""
    for row, name, names in VALUES:
        data = fcgi.record(fcgi.GET_VALUES, content([(n, b"") for n in names]), request_id=0)
        yield case(row, name, raw(data), raw(BEGIN + data + PARAMS + STDIN), given=HIT)


# --- parameters ----------------------------------------------------------------------------------

def lying_lengths() -> Rows:
    """F8: lengths by which libfcgi would allocate (CVE-2025-23016)."""
    good = content(PUT)
    for data in (b"\xff\xff\xff\xff", b"\x01\xff\xff\xff\xff", b"\x7f", b"\xff" * 8 + b"X",
                 b"\x01\xff",
                 b"\x80", b"\x01", b"\x05\x05abc", b"\x80\x00\x00\x01\x80\x00\x00",
                 b"\xff\xff\xff\xfe\xff\xff\xff\xff", b"\x80\x01\x00\x00\x01", b"\x00\x05abc"):
        yield case("F8", data.hex(), *(
            raw(BEGIN + fcgi.stream(fcgi.PARAMS, params) + STDIN) for params in (data,
                                                                                 good + data)),
            given=HIT)
    # Longer than need be, and true.
    padded = b"".join(len(part).to_bytes(4, "big").replace(b"\0", b"\x80", 1)
                      for part in PUT[0]) + PUT[0][0] + PUT[0][1]
    yield case("F8", "four-bytes-where-one-would-do", raw(
        BEGIN + fcgi.stream(fcgi.PARAMS, padded + content(PUT[1:])) + STDIN, STORED))


ODD: list[tuple[str, Pairs, Say]] = [
    ("no-method", changed(GET, REQUEST_METHOD=None), MALFORMED),
    ("no-target", changed(GET, REQUEST_URI=None), MALFORMED),
    ("empty-method", changed(GET, REQUEST_METHOD=b""), MALFORMED),
    ("empty-target", changed(GET, REQUEST_URI=b""), MALFORMED),
    ("none", [], MALFORMED),
    ("method-60-kib", changed(GET, REQUEST_METHOD=b"A" * 60_000), NOT_ALLOWED),
    ("method-with-space", changed(GET, REQUEST_METHOD=b"GET "), NOT_ALLOWED),
    ("target-60-kib", changed(GET, REQUEST_URI=b"/cache/" + b"k" * 60_000), problem(
        400, "key-too-long")),
    ("star", changed(GET, REQUEST_URI=b"*"), UNKNOWN_PATH),
    ("no-slash", changed(GET, REQUEST_URI=b"cache/k"), UNKNOWN_PATH),
    ("only-authority", changed(GET, REQUEST_URI=b"http://localhost"), ok()),
    ("only-query", changed(GET, REQUEST_URI=b"?x"), ok()),
    ("other-scheme", changed(GET, REQUEST_URI=b"ftp://x/cache/k"), UNKNOWN_PATH),
    ("authority-twice", changed(GET, REQUEST_URI=b"http://a/http://b/cache/k"),
     UNKNOWN_PATH)]


def parameters() -> Rows:
    """F13 to F17."""
    for name, pairs, say in ODD:
        yield case("F13", name, asking(pairs, say), given=HIT)
    for param, value in (*PUT, (b"HTTP_CONTENT_TYPE", b"application/json"),
                         (b"HTTP_IF_MATCH", b"*"), (b"HTTP_IF_NONE_MATCH", b'"x"')):
        pairs = changed(PUT, **{param.decode(): value})
        yield case("F14", param.decode(), asking([*pairs, (param, value)], DUPLICATE, BODY),
                   asking([*pairs, (param, b"other")], DUPLICATE, BODY),
                   asking([(param, b""), *pairs], DUPLICATE, BODY), given=HIT)
    yield case("F14", "a-list-may-come-in-lines", asking(
        [*PUT, (b"HTTP_PREFER", b"wait=1"), (b"HTTP_PREFER", b"return=minimal")],
        ok(status=204), BODY))
    for text in (b"-1", b"+11", b"abc", b"11x", b"0xb", b"11 ", b" 11", b"11,11", b"1000000000",
                 b"18446744073709551616", b"18446744073709551627", b"10", b"12", b"0", b"", b"\xb2",
                 b"1e1", b"11\t", b"000000000000000000011", b"-0"):
        yield case("F15", text.decode("latin-1") or "empty", asking(
            changed(PUT, CONTENT_LENGTH=text), INCOMPLETE, BODY), given=HIT)
    yield case("F15", "absent", asking(changed(PUT, CONTENT_LENGTH=None), INCOMPLETE, BODY),
               given=HIT)
    yield case("F15", "0011", asking(changed(PUT, CONTENT_LENGTH=b"0011"), STORED, BODY))
    yield case("F15", "announced-and-none", asking(PUT, INCOMPLETE), given=HIT)
    too_many = problem(400, "malformed-request", "256")
    for name, more, say in (
            ("200-fields", [(b"HTTP_X_%d" % i, b"v") for i in range(200)], MISS),
            ("60-kib", [(b"HTTP_X", b"v" * 60_000)], MISS),
            ("256", [(b"x", b"")] * (256 - len(GET)), MISS),
            ("257", [(b"x", b"")] * (257 - len(GET)), too_many),
            ("10000", [(b"x", b"v")] * 10_000, too_many),
            ("65535", [(b"x", b"v")] * 65_535, HANGS_UP),
            ("a-million-empty-ones", [(b"", b"")] * 1_000_000, HANGS_UP),
            ("3-of-60-kib", [(b"x", b"v" * 60_000)] * 3, HANGS_UP)):
        yield case("F16", name, asking([*GET, *more], say))
        yield case("F16", f"{name}-first", asking([*more, *GET], say))
    yield case("F16", "many-records", asking([*GET, *[(b"x", b"v")] * 200], MISS, chunk=1))
    for name, pairs, say in (
            ("method-nul", changed(GET, REQUEST_METHOD=b"GET\0X"), MALFORMED),
            ("method-lf", changed(GET, REQUEST_METHOD=b"GET\nERROR: forged"), NOT_ALLOWED),
            ("target-nul", changed(GET, REQUEST_URI=b"/cache/k\0b"), MALFORMED),
            ("target-crlf", changed(GET, REQUEST_URI=b"/cache/k\r\nSet-Cookie: x"), MALFORMED_PATH),
            ("other-nul", [*GET, (b"HTTP_X", b"a\0b")], MALFORMED),
            ("name-nul", [*GET, (b"REQUEST_URI\0", b"/cache/x")], MALFORMED),
            ("name-equals", [*GET, (b"REQUEST_URI=", b"/cache/x")], DUPLICATE),
            ("name-and-value", [*GET, (b"REQUEST_METHOD=DELETE", b"")], DUPLICATE)):
        yield case("F17", name, asking(pairs, say), given=HIT)


# --- records in odd shapes, bodies that spell records --------------------------------------------

def shapes() -> Rows:
    """F18."""
    for chunk in (1, 2, 7, 8, 100):
        for padding in (0, 1, 7, 255):
            yield case("F18", f"chunk-{chunk}-padding-{padding}", asking(
                PUT, STORED, BODY, chunk=chunk, padding=padding), asking(
                GET, STORED, chunk=chunk, padding=padding))
    yield case("F18", "no-body-record-but-the-last", raw(
        BEGIN + fcgi.stream(fcgi.PARAMS, content(GET)) + fcgi.record(fcgi.STDIN, padding=255),
        STORED),
        given=HIT)
    yield case("F18", "reserved-bytes-set", raw(b"".join(
        data[:7] + b"\xff" + data[8:] for data in (BEGIN, fcgi.record(fcgi.PARAMS, content(GET)),
                                                   fcgi.record(fcgi.PARAMS),
                                                   fcgi.record(fcgi.STDIN))),
        STORED), given=HIT)
    yield case("F18", "all-flags-set", raw(fcgi.record(fcgi.BEGIN, b"\0\1\xff\xff\xff\xff\xff\xff")
                                           + fcgi.stream(fcgi.PARAMS, content(GET))
                                           + fcgi.record(fcgi.STDIN), STORED), given=HIT)


def smuggled() -> bytes:
    """Bytes that are a whole PUT of another key, were they ever read as records."""
    return fcgi.request_bytes("PUT", "/cache/smuggled", b'{"value":"evil"}', keep=True)


def smuggling() -> Rows:
    """F21, with one such request in the body and with as many as a body may have."""
    for method, target, say in (
            ("GET", "/cache/k", MISS), ("HEAD", "/cache/k", MISS), ("DELETE", "/cache/k", MISS),
            ("PUT", "/cache/k", problem(400, "invalid-json")),
            ("PATCH", "/cache/k", problem(400, "invalid-json")),
            ("OPTIONS", "/cache/k", ok(status=204)), ("POST", "/cache/k", NOT_ALLOWED),
            ("FOO", "/cache/k", NOT_ALLOWED), ("PUT", "/cache/", problem(400, "invalid-key")),
            ("PUT", "/cache/%zz", MALFORMED_PATH),
            ("PUT", "/cache/" + "k" * 600, problem(400, "key-too-long")),
            ("PUT", "/cache/k?x=1", problem(400, "unknown-parameter")),
            ("PUT", "/cache", NOT_ALLOWED),
            ("DELETE", "/cache?x=1", problem(400, "unknown-parameter")),
            ("POST", "/batch", problem(400, "invalid-json")),
            ("POST", "/counters/k", problem(400, "invalid-json")),
            ("PUT", "/raw/k?ttl=0", problem(422, "invalid-ttl")), ("PUT", "/unknown", UNKNOWN_PATH),
            ("GET", "/stats", ok()), ("GET", "/health", ok()), ("GET", "/metrics", ok()),
            ("GET", "/keys", ok()), ("GET", "/docs", ok()), ("GET", "/openapi.json", ok()),
            ("GET", "/", ok())):
        for name, body in (("one", smuggled()), ("many", (smuggled() * 9000)[:1_000_000])):
            ask = Ask(method.encode(), target.encode(), [(b"Content-Type", b"application/json")],
                      body)
            yield case("F21", f"{method}{target[:12]}-{name}", step(ask, None, None, say))
    for text in (b"0", b"", b"1", b"10", b"100000"):
        yield case("F21", f"length-{text.decode()}", asking(
            changed(PUT, CONTENT_LENGTH=text), INCOMPLETE, smuggled()))


CASES = [*protocol(), *management(), *lying_lengths(), *parameters(), *shapes(), *smuggling()]
