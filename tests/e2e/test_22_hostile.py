"""Malformed and hostile HTTP through both web servers: refused, contained, forgotten.

After every case the service answers, on the same connection where the server kept it, and the
workers are the same ones.
"""

from __future__ import annotations

import random
import re
import threading
import time
from dataclasses import dataclass

import pytest

from checks import check_envelope, check_problem, value_text
from harness import FRONTS, SLOW, Front, Stack
from rawhttp import Answer, Closed, Http, build

CLOSED = 0
PUT = b"PUT /cache/KEY HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /cache/KEY HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"value":1}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True)
class Case:
    """Bytes on a connection, and the statuses that lighttpd and nginx may answer first."""

    name: str
    data: bytes
    lighttpd: set[int]
    nginx: set[int]
    stored: bool = False


def length(text: str) -> bytes:
    """A PUT with this Content-Length."""
    return PUT + b"Content-Length: " + text.encode() + b"\r\n\r\n" + BODY


CASES = [
    Case("method-foo", b"FOO /cache/KEY HTTP/1.1\r\nHost: x\r\n\r\n", {501}, {405}),
    Case("method-lower-case", b"get /cache/KEY HTTP/1.1\r\nHost: x\r\n\r\n", {501}, {400}),
    Case("method-1000-letters", b"A" * 1000 + b" /cache/KEY HTTP/1.1\r\nHost: x\r\n\r\n",
         {400, 501}, {400, 405, 414, CLOSED}),
    Case("trace", b"TRACE /cache/KEY HTTP/1.1\r\nHost: x\r\nX-Secret: s3cret\r\n\r\n",
         {405}, {405}),
    Case("connect", b"CONNECT localhost:80 HTTP/1.1\r\nHost: x\r\n\r\n", {400, 405}, {400, 405}),
    Case("options-star", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", {200}, {400}),
    Case("get-with-body", GET + b"Content-Length: 5\r\n\r\nhello", {400}, {404}),
    Case("get-with-1-mib-body", GET + b"Content-Length: 1048576\r\n\r\n" + b"x" * 1048576,
         {400}, {404}),
    Case("delete-with-body", b"DELETE /cache/KEY HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
         b"hello", {404}, {404}),
    Case("put-empty-length", PUT + b"Content-Length:\r\n\r\n", {400}, {400}),
    Case("put-length-0", PUT + b"Content-Length: 0\r\n\r\n", {400}, {400}),
    Case("chunked-good", PUT + CHUNKED + b"\r\n5\r\n" + BODY[:5] + b"\r\n6;x=y\r\n" + BODY[5:]
         + b"\r\n0\r\n\r\n", {200}, {200}, stored=True),
    Case("chunked-bad-size", PUT + CHUNKED + b"\r\nxyz\r\n" + BODY + b"\r\n0\r\n\r\n",
         {400}, {400}),
    Case("chunked-negative", PUT + CHUNKED + b"\r\n-b\r\n" + BODY + b"\r\n0\r\n\r\n",
         {400}, {400}),
    Case("chunked-17-digits", PUT + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n" + BODY, {400, 413},
         {400, 413}),
    Case("length-and-chunked", PUT + CHUNKED + b"Content-Length: 11\r\n\r\nb\r\n" + BODY
         + b"\r\n0\r\n\r\n", {400}, {400}),
    Case("two-equal-lengths", PUT + b"Content-Length: 11\r\nContent-Length: 11\r\n\r\n" + BODY,
         {400}, {400}),
    Case("two-lengths", PUT + b"Content-Length: 11\r\nContent-Length: 12\r\n\r\n" + BODY,
         {400}, {400}),
    Case("length-plus", length("+11"), {400}, {400}),
    Case("length-letter", length("11a"), {400}, {400}),
    Case("length-negative", length("-1"), {400}, {400}),
    Case("length-hex", length("0xb"), {400}, {400}),
    Case("length-list", length("11,11"), {400}, {400}),
    Case("length-20-digits", length("9" * 20), {400, 413}, {400, 413}),
    Case("te-gzip-chunked", PUT + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
         {501}, {501}),
    Case("te-xchunked", PUT + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {501}, {501}),
    Case("te-twice", PUT + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", {400, 501}, {400, 501}),
    Case("http-1.0-chunked", PUT.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n0\r\n\r\n",
         {400}, {400}),
    Case("expect-unknown", PUT + b"Expect: 999-x\r\nContent-Length: 11\r\n\r\n" + BODY,
         {200, 417}, {200, 417}, stored=True),
    Case("no-host", b"GET /cache/KEY HTTP/1.1\r\n\r\n", {400}, {400}),
    Case("two-hosts", GET + b"Host: y\r\n\r\n", {400}, {400}),
    Case("host-with-space", b"GET /cache/KEY HTTP/1.1\r\nHost: a b\r\n\r\n", {400}, {400}),
    Case("header-9-kib", GET + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", {431}, {400, 494}),
    Case("headers-70-kib", GET + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(70))
         + b"\r\n", {431}, {400, 494}),
    Case("200-headers", GET + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n",
         {404}, {404}),
    Case("header-nul", GET + b"X-A: a\0b\r\n\r\n", {400}, {400}),
    Case("header-cr", GET + b"X-A: a\rb\r\n\r\n", {400}, {400}),
    Case("header-bare-lf", GET + b"X-A: a\nX-B: b\r\n\r\n", {400, 404}, {400, 404}),
    Case("header-folded", GET + b"X-A: a\r\n b\r\n\r\n", {400, 404}, {400, 404}),
    Case("header-name-space", GET + b"X A: a\r\n\r\n", {400, 404}, {400, 404}),
    Case("underscore-length", PUT + b"Content_Length: 3\r\nContent-Length: 11\r\n\r\n" + BODY,
         {200, 400}, {200}, stored=True),
    Case("underscore-type", PUT + b"Content_Type: text/html\r\nContent-Length: 11\r\n\r\n" + BODY,
         {200, 400}, {200}, stored=True),
    Case("two-types", PUT + b"Content-Type: text/html\r\nContent-Length: 11\r\n\r\n" + BODY,
         {400}, {400, 415}),
    Case("http-0.9", b"GET /cache/KEY\r\n\r\n", {400, 404, 505, CLOSED}, {400, 404, CLOSED}),
    Case("http-2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, CLOSED},
         {400, 405, 505, CLOSED}),
    Case("http-3.0", b"GET /cache/KEY HTTP/3.0\r\nHost: x\r\n\r\n", {400, 505}, {400, 505}),
    Case("tls", bytes.fromhex("16030100c4010000c00303") + bytes(range(186)), {400, CLOSED},
         {400, CLOSED}),
    Case("random", random.Random(7).randbytes(2000) + b"\r\n\r\n", {400, CLOSED}, {400, CLOSED}),
    Case("h2c-upgrade", GET + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
         b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", {404}, {404}),
    Case("query-7-kib", b"GET /cache/KEY?" + b"a=1&" * 1800 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
         {404}, {404}),
]


def first_answer(http: Http, data: bytes, head: bool = False) -> Answer:
    """The answer to some bytes; status CLOSED if there is none."""
    try:
        return http.exchange(data, head)
    except (Closed, ConnectionError, AssertionError):
        return Answer(CLOSED, [], b"")


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
@pytest.mark.parametrize("kind", FRONTS)
def test_hostile(stack: Stack, key: str, kind: str, case: Case) -> None:
    """Each malformed request gets its status, stores nothing it shouldn't and harms nobody."""
    front = stack.fronts[kind]
    with front.http() as http:
        answer = first_answer(http, case.data.replace(b"KEY", key.encode()))
        assert answer.status in getattr(case, kind), answer
        assert b"s3cret" not in answer.body
        stored = stack.redis.ask("GET", key)
        assert stored == (b"1" if case.stored and answer.status == 200 else None)
    with front.http() as fresh:
        assert fresh.put(f"/cache/{key}", {"value": "after"}).status == 200
        assert fresh.get(f"/cache/{key}").json()["value"] == "after"


@pytest.mark.parametrize("name", ["get-with-body", "get-with-1-mib-body", "delete-with-body",
                                  "put-length-0", "chunked-good", "trace", "method-foo"])
def test_the_connection_stays_in_step(stack: Stack, key: str, name: str) -> None:
    """After these, nginx's kept connections, to the client and to larder, go on."""
    case = next(c for c in CASES if c.name == name)
    with stack.fronts["nginx"].http() as http:
        for i in range(10):
            assert first_answer(http, case.data.replace(b"KEY", key.encode())).status in case.nginx
            http.put(f"/cache/{key}-{i}", {"value": i})
            check_envelope(http.get(f"/cache/{key}-{i}"), f"{key}-{i}", i, 3600, slack=1)
            http.delete(f"/cache/{key}")


@pytest.mark.parametrize("kind", FRONTS)
def test_body_longer_than_its_length(stack: Stack, key: str, kind: str) -> None:
    """Bytes beyond Content-Length are another (bad) request and never get into the value."""
    with stack.fronts[kind].http() as http:
        http.send(PUT.replace(b"KEY", key.encode()) + b"Content-Length: 11\r\n\r\n" + BODY
                  + b"\x01garbage\r\n\r\n")
        assert http.receive().status == 200
        assert first_answer(http, b"").status in (400, CLOSED)
    assert stack.redis.ask("GET", key) == b"1"


@pytest.mark.parametrize("data", [
    PUT + b"Content-Length: 1000\r\n\r\n" + BODY,
    PUT + CHUNKED + b"\r\nb\r\n" + BODY + b"\r\n",
    PUT + CHUNKED + b"\r\nff\r\n" + BODY,
], ids=["length", "no-last-chunk", "short-chunk"])
@pytest.mark.parametrize("kind", FRONTS)
def test_body_cut_short(stack: Stack, key: str, kind: str, data: bytes) -> None:
    """A body that ends early stores nothing: what was there stays."""
    stack.redis.ask("SET", key, '"old"')
    with stack.fronts[kind].http() as http:
        http.send(data.replace(b"KEY", key.encode()))
        http.shutdown()
        first_answer(http, b"")
    with stack.fronts[kind].http() as http:
        assert http.get(f"/cache/{key}").json()["value"] == "old"


@pytest.mark.parametrize("kind", FRONTS)
def test_ten_gigabytes_announced(stack: Stack, key: str, kind: str) -> None:
    """A huge length is refused with 413 before any body is sent."""
    with stack.fronts[kind].http() as http:
        answer = http.exchange(PUT.replace(b"KEY", key.encode())
                               + b"Content-Length: 10000000000\r\nExpect: 100-continue\r\n\r\n")
        assert answer.status == 413


@pytest.mark.parametrize("kind", FRONTS)
def test_expect_100_continue(stack: Stack, key: str, kind: str) -> None:
    """A client that waits for 100 Continue gets it, and its value is stored."""
    with stack.fronts[kind].http() as http:
        http.send(PUT.replace(b"KEY", key.encode())
                  + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        time.sleep(0.05)
        http.send(BODY)
        assert http.receive().status == 200
    assert stack.redis.ask("GET", key) == b"1"


@pytest.mark.parametrize("kind", FRONTS)
def test_pipelined_requests(stack: Stack, key: str, kind: str) -> None:
    """Two requests in one packet are answered in order; a bad second one harms the first not."""
    name = key.encode()
    two = (build("PUT", f"/cache/{key}", (), BODY) + build("GET", f"/cache/{key}"))
    with stack.fronts[kind].http() as http:
        http.send(two)
        assert http.receive().status == 200
        assert value_text(http.receive().body) == b"1"
    with stack.fronts[kind].http() as http:
        http.send(GET.replace(b"KEY", name) + b"\r\n" + b"GET /cache/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert http.receive().json()["key"] == key
        check_problem(http.receive(), 400, "invalid-key")
    with stack.fronts[kind].http() as http:
        http.send(GET.replace(b"KEY", name) + b"\r\n" + b"\x01\x02\x03\r\n\r\n")
        assert http.receive().json()["key"] == key
        assert first_answer(http, b"").status in (400, CLOSED)


@pytest.mark.parametrize("kind", FRONTS)
def test_slow_body_occupies_nobody(stack: Stack, key: str, kind: str) -> None:
    """Twenty clients that drip their bodies don't slow anybody else down."""
    front = stack.fronts[kind]
    drippers = [front.http() for _ in range(20)]
    stop = threading.Event()

    def drip() -> None:
        for client in drippers:
            client.send(PUT.replace(b"KEY", key.encode()) + b"Content-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            for client in drippers:
                client.send(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with front.http() as http:
            slowest = 0.0
            for i in range(50):
                begun = time.monotonic()
                assert http.put(f"/cache/{key}-{i}", {"value": i}).status == 200
                slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1.0 * SLOW
    finally:
        stop.set()
        thread.join()
        for client in drippers:
            client.close()
    assert stack.redis.ask("EXISTS", key) == 0


def test_duplicate_content_type_parameters(stack: Stack, key: str) -> None:
    """A parameter of ours that comes twice is 400, not the first of the two."""
    from fcgi import Connection, default_params, request_bytes
    for name in ("REQUEST_METHOD", "REQUEST_URI", "CONTENT_LENGTH", "CONTENT_TYPE",
                 "HTTP_CONTENT_ENCODING"):
        pairs = default_params("PUT", f"/cache/{key}", BODY, {"HTTP_CONTENT_ENCODING": "identity"})
        value = dict(pairs)[name.encode()]
        with stack.larder.connect() as connection:
            assert isinstance(connection, Connection)
            connection.send(request_bytes("PUT", "", BODY, pairs=[*pairs, (name.encode(), value)]))
            check_problem(connection.read_response(), 400, "duplicate-field")
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("kind", FRONTS)
def test_nothing_of_the_server_leaks(stack: Stack, key: str, kind: str) -> None:
    """No answer names Redis's replies, paths or versions of what is behind."""
    with stack.fronts[kind].http() as http:
        for target in (f"/cache/{key}", "/cache/%C2%80", "/cache/", "/unknown", "/health", "/"):
            text = http.get(target).body.decode()
            assert not re.search(r"hiredis|libfcgi|WRONGTYPE|-ERR|/tmp/|/run/", text), text


@pytest.mark.parametrize("kind", FRONTS)
def test_a_burst_of_garbage(stack: Stack, key: str, kind: str) -> None:
    """Three hundred random mutations of a good request leave the service as it was."""
    dice = random.Random(kind)
    front: Front = stack.fronts[kind]
    good = bytearray(PUT.replace(b"KEY", key.encode()) + b"Content-Length: 11\r\n\r\n" + BODY)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with front.http() as http:
            http.send(bytes(data))
            http.shutdown()
            answer = first_answer(http, b"")
            assert answer.status < 500 or answer.status in (501, 505), (bytes(data), answer)
    with front.http() as http:
        assert http.get("/health").status == 200
