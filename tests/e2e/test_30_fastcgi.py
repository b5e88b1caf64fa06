"""A worker reached by raw FastCGI: every way to cut a request, and every way to break the rules.

The shared stack's workers must be the same processes after each of these tests.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import fcgi
from checks import check_envelope, check_problem, value_text
from harness import SLOW, Larder, Redis, Stack, cpu_seconds, eventually, open_descriptors

BODY = b'{"value":[1,2,3]}'


@pytest.fixture
def larder(stack: Stack) -> Iterator[Larder]:
    """The shared larderd, which must answer as ever after the test."""
    yield stack.larder
    assert stack.larder.fastcgi("GET", "/health").status == 200


@pytest.fixture
def redis(stack: Stack) -> Redis:
    """The shared Redis."""
    return stack.redis


def ask(larder: Larder, data: bytes) -> fcgi.Response | None:
    """The answer to some bytes on a fresh connection; None if the service hangs up."""
    with larder.connect() as connection:
        try:
            connection.send(data)
            return connection.read_response()
        except (fcgi.Closed, BrokenPipeError):
            return None


def expect_refusal(larder: Larder, data: bytes, statuses: tuple[int, ...] = (400,)) -> None:
    """The bytes are answered with one of these statuses or by hanging up."""
    answer = ask(larder, data)
    if answer is not None and answer.protocol_status == fcgi.REQUEST_COMPLETE:
        assert answer.status in statuses, answer


# --- records in every shape ----------------------------------------------------------------------

def test_split_at_every_byte(larder: Larder, key: str) -> None:
    """A PUT and a GET are understood wherever the stream is cut in two."""
    put = fcgi.request_bytes("PUT", f"/cache/{key}", BODY, keep=True)
    get = fcgi.request_bytes("GET", f"/cache/{key}", keep=True)
    with larder.connect() as connection:
        for data in (put, get):
            for at in range(1, len(data)):
                connection.send(data[:at])
                connection.wait_consumed()
                connection.send(data[at:])
                check_envelope(connection.read_response(), key, [1, 2, 3], 3600, slack=5)


def test_one_byte_at_a_time(larder: Larder, key: str) -> None:
    """A request that comes byte by byte is understood."""
    with larder.connect() as connection:
        for byte in fcgi.request_bytes("PUT", f"/cache/{key}", BODY, keep=True):
            connection.send(bytes([byte]))
            connection.wait_consumed()
        check_envelope(connection.read_response(), key, [1, 2, 3], 3600)


@pytest.mark.parametrize("chunk", [1, 2, 7, 8, 100])
@pytest.mark.parametrize("padding", [0, 1, 7, 255])
def test_record_sizes_and_padding(larder: Larder, key: str, chunk: int, padding: int) -> None:
    """Records of any size with any padding give the same answer."""
    with larder.connect() as connection:
        answer = connection.request("PUT", f"/cache/{key}", BODY, keep=True, chunk=chunk,
                                    padding=padding)
        check_envelope(answer, key, [1, 2, 3], 3600)
        answer = connection.request("GET", f"/cache/{key}", chunk=chunk, padding=padding)
        check_envelope(answer, key, [1, 2, 3], 3600, slack=1)


@pytest.mark.parametrize("request_id", [1, 2, 255, 256, 65535])
def test_request_ids(larder: Larder, key: str, request_id: int) -> None:
    """Any request id but 0 is used in the answer."""
    with larder.connect() as connection:
        assert connection.request("GET", "/health/live", request_id=request_id).status == 200


def test_large_body_in_records_of_every_kind(larder: Larder, redis: Redis, key: str) -> None:
    """A megabyte in the largest records and in small ones is stored whole."""
    text = b'"' + random.Random(1).randbytes(500_000).hex().encode() + b'"'
    body = b'{"value":' + text + b"}"
    for chunk in (65535, 8192, 1000):
        with larder.connect() as connection:
            assert connection.request("PUT", f"/cache/{key}", body, chunk=chunk).status == 200
        assert redis.ask("GET", key) == text
        redis.ask("DEL", key)


def test_values_of_every_length(larder: Larder, key: str) -> None:
    """Answers around every record and buffer boundary have their exact length."""
    lengths = {base + d for base in (0, 127, 1024, 4096, 8192, 16384, 32768, 65280, 65535, 131072)
               for d in range(-130, 10, 7) if base + d >= 2} | {65400 + i for i in range(0, 140, 3)}
    with larder.connect() as connection:
        for n in sorted(lengths):
            text = b'"' + b"v" * (n - 2) + b'"'
            put = connection.request("PUT", f"/cache/{key}", b'{"value":' + text + b"}", keep=True)
            assert put.status == 200 and value_text(put.body) == text
            get = connection.request("GET", f"/cache/{key}", keep=True)
            assert value_text(get.body) == text


# --- kept connections ----------------------------------------------------------------------------

def test_kept_connection(larder: Larder, key: str) -> None:
    """Hundreds of requests of all kinds on one kept connection each get their own answer."""
    with larder.connect() as connection:
        for i in range(200):
            name = f"{key}-{i}"
            assert connection.request("GET", f"/cache/{name}", keep=True).status == 404
            put = connection.request("PUT", f"/cache/{name}", b'{"value":%d}' % i, keep=True)
            check_envelope(put, name, i, 3600)
            check_problem(connection.request("PUT", f"/cache/{name}", b"{", keep=True), 400,
                          "invalid-json")
            assert connection.request("HEAD", f"/cache/{name}", keep=True).body == b""
            got = connection.request("GET", f"/cache/{name}", keep=True, request_id=i + 1)
            check_envelope(got, name, i, 3600, slack=5)
            assert connection.request("DELETE", f"/cache/{name}", keep=True).status == 200
            assert connection.request("OPTIONS", f"/cache/{name}", keep=True).status == 204


def test_without_keep_conn_the_service_closes(larder: Larder) -> None:
    """Without FCGI_KEEP_CONN the connection ends after the answer."""
    for method, target in (("GET", "/health/live"), ("GET", "/unknown"), ("DELETE", "/cache/")):
        with larder.connect() as connection:
            connection.request(method, target)
            assert connection.at_end()


def test_keep_conn_may_change(larder: Larder) -> None:
    """The flag counts for each request: the first without it ends the connection."""
    with larder.connect() as connection:
        for _ in range(3):
            assert connection.request("GET", "/health/live", keep=True).status == 200
        assert connection.request("GET", "/health/live").status == 200
        assert connection.at_end()


def test_requests_sent_early(larder: Larder, key: str) -> None:
    """Requests that come before the answer to the one before are answered in order."""
    with larder.connect() as connection:
        connection.send(b"".join(
            fcgi.request_bytes("PUT", f"/cache/{key}-{i}", b'{"value":%d}' % i, keep=True)
            for i in range(50)))
        for i in range(50):
            check_envelope(connection.read_response(), f"{key}-{i}", i, 3600)


@pytest.mark.parametrize("target,method,status", [
    ("/cache/KEY", "GET", 404), ("/cache/KEY", "DELETE", 404), ("/cache/KEY", "HEAD", 404),
    ("/cache/KEY", "OPTIONS", 204), ("/cache/KEY", "POST", 405), ("/cache/KEY?x", "PUT", 400),
    ("/cache/", "PUT", 400), ("/cache/%zz", "PUT", 400), ("/cache", "PUT", 405),
    ("/unknown", "PUT", 404), ("/health", "GET", 200), ("/stats", "GET", 200),
    ("/metrics", "GET", 200), ("/", "GET", 200),
])
def test_unread_bodies(larder: Larder, key: str, target: str, method: str, status: int) -> None:
    """A body that nobody asked for is read to its end: the next request is answered rightly."""
    for size in (1, 8192, 70_000, 1 << 20):
        with larder.connect() as connection:
            for i in range(3):
                answer = connection.request(method, target.replace("KEY", key), b"x" * size,
                                            keep=True)
                assert answer.status == status, answer
                body = b'{"value":%d}' % i
                assert connection.request("PUT", f"/cache/{key}-x", body, keep=True).status == 200
                check_envelope(connection.request("GET", f"/cache/{key}-x", keep=True),
                               f"{key}-x", i, 3600, slack=5)


def test_body_over_the_limit_keeps_the_connection(larder: Larder, key: str) -> None:
    """A body far over max_value is discarded to its end, answered 413, and the next is served."""
    with larder.connect() as connection:
        for size in ((1 << 20) + 5000, 5 << 20):
            body = b'{"value":"' + b"x" * size + b'"}'
            answer = connection.request("PUT", f"/cache/{key}", body, keep=True)
            check_problem(answer, 413, "value-too-large")
            assert connection.request("GET", f"/cache/{key}", keep=True).status == 404


# --- smuggling -----------------------------------------------------------------------------------

def smuggled(key: str) -> bytes:
    """Bytes that are a whole PUT of this key, were they ever read as records."""
    return fcgi.request_bytes("PUT", f"/cache/{key}-smuggled", b'{"value":"evil"}', keep=True)


@pytest.mark.parametrize("method,target,status", [
    ("GET", "/cache/KEY", 404), ("HEAD", "/cache/KEY", 404), ("PUT", "/cache/KEY", 400),
    ("DELETE", "/cache/KEY", 404), ("OPTIONS", "/cache/KEY", 204), ("POST", "/cache/KEY", 405),
    ("FOO", "/cache/KEY", 405), ("PUT", "/cache/", 400), ("PUT", "/cache/%zz", 400),
    ("PUT", "/cache/" + "k" * 600, 400), ("PUT", "/cache/KEY?x=1", 400), ("PUT", "/cache", 405),
    ("DELETE", "/cache?x=1", 400), ("PUT", "/unknown", 404), ("GET", "/stats", 200),
    ("GET", "/health", 200), ("GET", "/metrics", 200),
])
@pytest.mark.parametrize("repeat", [1, 5000])
def test_smuggling(larder: Larder, redis: Redis, key: str, method: str, target: str, status: int,
                   repeat: int) -> None:
    """A body that spells a FastCGI request is never run as one, on any path (F21)."""
    body = smuggled(key) * repeat
    if repeat > 1 and status == 400 and target == "/cache/KEY":
        body = body[:1_000_000]
    with larder.connect() as connection:
        answer = connection.request(method, target.replace("KEY", key), body, keep=True)
        assert answer.status == status, answer
        assert not connection.readable(0.02), "a second answer"
        check_envelope(connection.request("PUT", f"/cache/{key}", BODY, keep=True), key,
                       [1, 2, 3], 3600)
    assert redis.ask("EXISTS", f"{key}-smuggled") == 0


@pytest.mark.parametrize("announced", ["0", "", "1", "10", "100000"])
def test_smuggling_with_a_false_length(larder: Larder, redis: Redis, key: str,
                                       announced: str) -> None:
    """CONTENT_LENGTH smaller or larger than STDIN doesn't set the rest free either."""
    with larder.connect() as connection:
        answer = connection.request("PUT", f"/cache/{key}", smuggled(key), keep=True,
                                    params={"CONTENT_LENGTH": announced})
        check_problem(answer, 400, "incomplete-body")
        assert not connection.readable(0.02)
        assert connection.request("GET", f"/cache/{key}", keep=True).status == 404
    assert redis.ask("EXISTS", f"{key}-smuggled") == 0


# --- parameters ----------------------------------------------------------------------------------

@pytest.mark.parametrize("announced", ["-1", "+17", "abc", "17x", "0x11", "17 ", " 17", "17,17",
                                       "1000000000", "18446744073709551616",
                                       "18446744073709551633", "16", "18", "0", ""])
def test_content_length(larder: Larder, redis: Redis, key: str, announced: str) -> None:
    """A CONTENT_LENGTH that isn't the body's is 400, and nothing is stored (F15)."""
    assert len(BODY) == 17
    answer = larder.fastcgi("PUT", f"/cache/{key}", BODY, CONTENT_LENGTH=announced)
    check_problem(answer, 400, "incomplete-body")
    assert redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("params,statuses", [
    ({"REQUEST_METHOD": ""}, (400, 405)), ({"REQUEST_URI": ""}, (400,)),
    ({"REQUEST_METHOD": "get"}, (405,)), ({"REQUEST_METHOD": "GET "}, (400, 405)),
    ({"REQUEST_METHOD": "A" * 1000}, (405,)), ({"REQUEST_METHOD": "A" * 60_000}, (400, 405)),
    ({"REQUEST_URI": "/cache/" + "k" * 60_000}, (400,)),
    ({"REQUEST_URI": "*"}, (400, 404)), ({"REQUEST_URI": "cache/x"}, (400, 404)),
    ({"REQUEST_URI": "http://localhost"}, (200,)),
    ({"REQUEST_METHOD": "GET\0X"}, (400,)), ({"REQUEST_URI": "/cache/a\0b"}, (400,)),
    ({"REQUEST_URI": "/cache/a\r\nSet-Cookie: x"}, (400,)), ({"HTTP_X": "a\0b"}, (400, 404)),
    ({"REQUEST_METHOD": "GET\nERROR: forged"}, (400, 405)),
], ids=lambda v: str(v)[:40])
def test_odd_parameters(larder: Larder, params: dict[str, str], statuses: tuple[int, ...]) -> None:
    """Missing, huge and malformed parameters are problems, and forge no header (F13, F17)."""
    answer = larder.fastcgi("GET", "/cache/none", b"", **params)
    assert answer.status in statuses, answer
    assert answer.header("Set-Cookie") is None
    assert "\nERROR: forged" not in larder.text()


@pytest.mark.parametrize("missing", ["REQUEST_METHOD", "REQUEST_URI"])
def test_missing_parameters(larder: Larder, missing: str) -> None:
    """A request without method or target is 400."""
    pairs = [p for p in fcgi.default_params("GET", "/", b"") if p[0] != missing.encode()]
    answer = ask(larder, fcgi.request_bytes("GET", "/", pairs=pairs))
    assert answer is not None
    check_problem(answer, 400, "malformed-request")


def test_no_parameters_at_all(larder: Larder) -> None:
    """An empty parameter stream is 400 or a hang-up."""
    expect_refusal(larder, fcgi.request_bytes("GET", "/", pairs=[]))


def test_parameters_up_to_the_cap(larder: Larder, key: str) -> None:
    """200 further parameters, and 60 KiB of them, are ignored."""
    many: dict[str, str | bytes] = {f"HTTP_X_{i}": "v" for i in range(200)}
    assert larder.fastcgi("GET", f"/cache/{key}", b"", **many).status == 404
    assert larder.fastcgi("GET", f"/cache/{key}", HTTP_X="v" * 60_000).status == 404


@pytest.mark.parametrize("count,size", [(300, 1), (65_535, 1), (1_000_000, 0), (3, 60_000),
                                        (100, 60_000)])
def test_parameters_beyond_the_cap(larder: Larder, key: str, count: int, size: int) -> None:
    """Too many or too large parameters are refused with bounded memory (F16)."""
    content = b"".join(fcgi.pair(k, v) for k, v in fcgi.default_params("GET", f"/cache/{key}", b""))
    content += fcgi.pair(b"x", b"v" * size) * count
    expect_refusal(larder, fcgi.begin() + fcgi.stream(fcgi.PARAMS, content)
                   + fcgi.record(fcgi.STDIN))


@pytest.mark.parametrize("content", [
    b"\xff\xff\xff\xff", b"\x01\xff\xff\xff\xff", b"\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xffX",
    b"\x01\xff", b"\x80", b"\x01", b"\x05\x05abc", b"\x80\x00\x00\x01\x80\x00\x00",
], ids=lambda c: c.hex())
def test_lying_lengths(larder: Larder, content: bytes) -> None:
    """Lengths beyond what is there are refused, whatever libfcgi would do (F8, CVE-2025-23016)."""
    good = b"".join(fcgi.pair(k, v) for k, v in fcgi.default_params("GET", "/health/live", b""))
    for params in (content, good + content):
        expect_refusal(larder, fcgi.begin() + fcgi.stream(fcgi.PARAMS, params)
                       + fcgi.record(fcgi.STDIN))


# --- broken protocol -----------------------------------------------------------------------------

GOOD_PARAMS = fcgi.stream(fcgi.PARAMS, b"".join(
    fcgi.pair(k, v) for k, v in fcgi.default_params("PUT", "/cache/broken", BODY)))
GOOD_BODY = fcgi.stream(fcgi.STDIN, BODY)
BROKEN = {
    "version-0": fcgi.record(fcgi.BEGIN, b"\0\1\0\0\0\0\0\0", version=0) + GOOD_PARAMS + GOOD_BODY,
    "version-2": fcgi.record(fcgi.BEGIN, b"\0\1\0\0\0\0\0\0", version=2) + GOOD_PARAMS + GOOD_BODY,
    "http": b"PUT /cache/broken HTTP/1.1\r\nHost: x\r\nContent-Length: 17\r\n\r\n" + BODY,
    "params-before-begin": GOOD_PARAMS + GOOD_BODY,
    "stdin-before-params": fcgi.begin() + GOOD_BODY + GOOD_PARAMS,
    "data": fcgi.begin() + GOOD_PARAMS + fcgi.stream(fcgi.DATA, BODY) + GOOD_BODY,
    "begin-short": fcgi.record(fcgi.BEGIN, b"\0\1\0\0") + GOOD_PARAMS + GOOD_BODY,
    "begin-long": fcgi.record(fcgi.BEGIN, b"\0\1" + b"\0" * 14) + GOOD_PARAMS + GOOD_BODY,
    "begin-empty": fcgi.record(fcgi.BEGIN) + GOOD_PARAMS + GOOD_BODY,
    "request-id-0": fcgi.request_bytes("PUT", "/cache/broken", BODY, request_id=0),
    "authorizer": fcgi.begin(fcgi.AUTHORIZER) + GOOD_PARAMS + GOOD_BODY,
    "filter": fcgi.begin(fcgi.FILTER) + GOOD_PARAMS + GOOD_BODY + fcgi.stream(fcgi.DATA, b"x"),
    "role-9": fcgi.begin(9) + GOOD_PARAMS + GOOD_BODY,
    "abort-before-params": fcgi.begin() + fcgi.record(fcgi.ABORT) + GOOD_PARAMS + GOOD_BODY,
    "abort-mid-body": fcgi.begin() + GOOD_PARAMS + fcgi.record(fcgi.STDIN, BODY[:5])
    + fcgi.record(fcgi.ABORT),
    "abort-then-the-rest": fcgi.begin() + GOOD_PARAMS + fcgi.record(fcgi.STDIN, BODY[:5])
    + fcgi.record(fcgi.ABORT) + fcgi.stream(fcgi.STDIN, BODY[5:]),
    "end-from-the-client": fcgi.begin() + fcgi.record(fcgi.END, b"\0" * 8) + GOOD_PARAMS
    + GOOD_BODY,
    "stdout-from-the-client": fcgi.begin() + fcgi.record(fcgi.STDOUT, b"x") + GOOD_PARAMS
    + GOOD_BODY,
    "params-of-another-request": fcgi.begin() + GOOD_PARAMS.replace(b"\1\4\0\1", b"\1\4\0\2")
    + GOOD_BODY,
    "body-of-another-request": fcgi.begin() + GOOD_PARAMS + fcgi.stream(fcgi.STDIN, BODY, 2),
    "type-0": fcgi.begin() + fcgi.record(0, b"x") + GOOD_PARAMS + GOOD_BODY,
    "zeros": b"\0" * 4096,
    "ones": b"\xff" * 4096,
    "random": random.Random(3).randbytes(4096),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_protocol(larder: Larder, redis: Redis, name: str) -> None:
    """Whoever breaks the protocol is hung up on soon, and no handler runs (F3 to F6, F12)."""
    with larder.connect() as connection:
        try:
            connection.send(BROKEN[name])
            answer = connection.read_response()
        except (fcgi.Closed, BrokenPipeError):
            answer = None
    if answer is not None and answer.protocol_status != fcgi.UNKNOWN_ROLE:
        assert answer.status >= 400, answer
    assert redis.ask("EXISTS", "broken") == 0


def test_second_begin(larder: Larder, redis: Redis, key: str) -> None:
    """A request multiplexed into another is not run (F7)."""
    other = fcgi.request_bytes("PUT", f"/cache/{key}-2", BODY, request_id=2, keep=True)
    first = fcgi.begin(keep=True) + fcgi.stream(fcgi.PARAMS, b"".join(
        fcgi.pair(k, v) for k, v in fcgi.default_params("PUT", f"/cache/{key}-1", BODY)))
    with larder.connect() as connection:
        connection.send(first + other + GOOD_BODY)
        for kind, request_id, content in connection.records():
            if request_id == 2:
                assert kind == fcgi.END and content[4] == fcgi.CANT_MPX_CONN
            if kind == fcgi.END and request_id == 1:
                break
    assert redis.ask("EXISTS", f"{key}-2") == 0


@pytest.mark.parametrize("names", [1, 3, 10, 500])
def test_get_values(larder: Larder, names: int) -> None:
    """GET_VALUES, also with one name many times, is answered rightly or refused (F9, F10)."""
    asked = [b"FCGI_MPXS_CONNS", b"FCGI_MAX_REQS", b"FCGI_MAX_CONNS"]
    content = b"".join(fcgi.pair(asked[i % 3 if names < 10 else 0], b"") for i in range(names))
    with larder.connect() as connection:
        connection.send(fcgi.record(fcgi.GET_VALUES, content, request_id=0))
        for kind, request_id, result in connection.records():
            assert (kind, request_id) == (fcgi.GET_VALUES_RESULT, 0)
            assert b"FCGI_MPXS_CONNS0" in result
            break


def test_unknown_management_record(larder: Larder) -> None:
    """An unknown management record is answered with UNKNOWN_TYPE or refused (F11)."""
    with larder.connect() as connection:
        connection.send(fcgi.record(42, b"x" * 8, request_id=0))
        for kind, _, content in connection.records():
            assert kind == fcgi.UNKNOWN_TYPE and content[0] == 42
            break


def test_mutations(larder: Larder, key: str) -> None:
    """A thousand random mutations of a good request leave every worker alive."""
    dice = random.Random(11)
    good = fcgi.request_bytes("PUT", f"/cache/{key}", BODY, chunk=40, padding=3)
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 4, 5, 127, 128, 255,
                                                           dice.randrange(256)))
        with larder.connect() as connection:
            try:
                connection.send(bytes(data))
                connection.socket.shutdown(socket.SHUT_WR)
                for _ in connection.records():
                    pass
            except (BrokenPipeError, AssertionError) as e:
                assert not isinstance(e, AssertionError), "an answer that is no FastCGI"


# --- peers that go away --------------------------------------------------------------------------

def test_peer_closes_at_once(larder: Larder, key: str) -> None:
    """Peers that connect and close, or send a request and don't wait, leave nothing open (F20)."""
    data = fcgi.request_bytes("PUT", f"/cache/{key}", BODY, keep=True)
    workers = larder.workers()
    before = [open_descriptors(pid) for pid in workers]
    for i in range(300):
        with larder.connect() as connection:
            connection.send(data[:i % len(data)] if i % 3 else data)
    eventually(lambda: sum(map(open_descriptors, workers)) <= sum(before) + 1, 10,
               "the connections are freed")


def test_peer_resets_under_an_answer(larder: Larder, redis: Redis, key: str) -> None:
    """A peer that closes with its answer unread doesn't kill the worker, nor busy it (F20)."""
    redis.ask("SET", key, b'"' + b"x" * 1_000_000 + b'"')
    workers = larder.workers()
    for _ in range(20):
        with larder.connect() as connection:
            connection.send(fcgi.request_bytes("GET", f"/cache/{key}", keep=True))
            connection.readable(10)
            connection.socket.recv(10)
    used = sum(map(cpu_seconds, workers))
    time.sleep(0.3)
    assert sum(map(cpu_seconds, workers)) - used < 0.1 * SLOW, "a worker spins"


def test_peer_stops_sending(larder: Larder, redis: Redis, key: str) -> None:
    """A peer that closes its sending half after the request still gets its answer, or none."""
    with larder.connect() as connection:
        connection.send(fcgi.request_bytes("PUT", f"/cache/{key}", BODY, keep=True))
        connection.socket.shutdown(socket.SHUT_WR)
        records = list(connection.records())
    assert not records or records[-1][0] == fcgi.END
    assert redis.ask("EXISTS", key) in (0, 1)


# --- silence, dripping, not reading: what takes time ---------------------------------------------

@pytest.fixture
def quiet(new_redis: Callable[..., Redis], new_larder: Callable[..., Larder]) -> Larder:
    """A larderd with two workers that nobody else uses."""
    larder: Larder = new_larder(new_redis())
    return larder.start()


def latencies(larder: Larder, target: str, count: int) -> list[float]:
    """Seconds that requests on fresh connections take, in order of size."""
    taken = []
    for _ in range(count):
        begun = time.monotonic()
        assert larder.fastcgi("GET", target).status == 200
        taken.append(time.monotonic() - begun)
    return sorted(taken)


@pytest.mark.serial
@pytest.mark.parametrize("sent,kept", [(0, False), (1, False), (7, False), (8, False), (20, False),
                                       (60, False), (1, True), (60, True)])
def test_silence(quiet: Larder, sent: int, kept: bool) -> None:
    """Peers that fall silent are freed within a second and slow nobody down (F1, F2, T9).

    kept: they do so in the second request of a kept connection.
    """
    family = quiet.workers()
    data = fcgi.request_bytes("PUT", "/cache/silent", BODY, keep=True)
    peers = [quiet.connect() for _ in range(6)]
    for peer in peers:
        assert not kept or peer.request("GET", "/health/live", keep=True).status == 200
    begun = time.monotonic()
    for peer in peers:
        peer.send(data[:sent])
    taken = latencies(quiet, "/health/live", 100)
    print(f"beside {len(peers)} silent peers: median {taken[50] * 1e3:.2f} ms, "
          f"slowest {taken[-1] * 1e3:.2f} ms")
    assert taken[50] < 0.01 * SLOW and taken[95] < 0.1 * SLOW
    for peer in peers:
        assert peer.seconds_until_closed(3 * SLOW) is not None, "never freed"
        peer.close()
    freed = time.monotonic() - begun
    print(f"freed after {freed:.2f} s")
    assert freed < 2 * SLOW
    assert quiet.workers() == family


@pytest.mark.serial
def test_a_connection_is_taken_at_once(quiet: Larder) -> None:
    """However many connections rest at whichever worker, some worker takes the next at once."""
    slowest = 0.0
    for round_number in range(12):
        peers = [quiet.connect() for _ in range(round_number)]
        for peer in peers:
            peer.send(fcgi.begin())
        slowest = max(slowest, latencies(quiet, "/health/live", 20)[-1])
        for peer in peers:
            peer.close()
    print(f"slowest request on a fresh connection: {slowest * 1e3:.2f} ms")
    assert slowest < 0.05 * SLOW


@pytest.mark.serial
def test_an_idle_kept_connection_is_not_silence(quiet: Larder) -> None:
    """Between requests a kept connection may rest longer than a request may."""
    with quiet.connect() as connection:
        assert connection.request("GET", "/health/live", keep=True).status == 200
        assert connection.seconds_until_closed(2.5) is None
        assert connection.request("GET", "/health/live", keep=True).status == 200


@pytest.mark.serial
def test_dripping(quiet: Larder) -> None:
    """A peer that drips its request has the same second as a silent one."""
    data = fcgi.request_bytes("PUT", "/cache/drip", BODY + b" " * 200, keep=True)
    peers = [quiet.connect() for _ in range(6)]
    stop = threading.Event()
    gone: list[float] = []

    def drip() -> None:
        begun = time.monotonic()
        for byte in data:
            if stop.wait(0.05):
                return
            try:
                for peer in peers:
                    peer.send(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                gone.append(time.monotonic() - begun)
                return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        taken = latencies(quiet, "/health", 100)
        assert taken[50] < 0.01 * SLOW and taken[95] < 0.1 * SLOW
        thread.join(4 * SLOW)
        assert gone, "a dripping peer was never freed"
        print(f"dripping peers freed after {gone[0]:.2f} s")
        assert gone[0] < 2 * SLOW
    finally:
        stop.set()
        thread.join()
        for peer in peers:
            peer.close()
    assert quiet.fastcgi("GET", "/cache/drip").status == 404


@pytest.mark.serial
def test_peer_that_does_not_read(quiet: Larder) -> None:
    """Peers that don't read a 1 MiB answer are freed in a second or so and slow nobody (F19)."""
    body = b'{"value":"' + b"x" * 1_000_000 + b'"}'
    assert quiet.fastcgi("PUT", "/cache/big", body).status == 200
    family = quiet.workers()
    peers = [quiet.connect() for _ in range(6)]
    for peer in peers:
        peer.send(fcgi.request_bytes("GET", "/cache/big", keep=True))
    taken = latencies(quiet, "/health", 100)
    assert taken[50] < 0.01 * SLOW and taken[95] < 0.1 * SLOW
    begun = time.monotonic()
    for peer in peers:
        assert peer.seconds_until_closed(4 * SLOW) is not None, "never freed"
        peer.close()
    print(f"peers that don't read were freed after {time.monotonic() - begun:.2f} s")
    assert quiet.workers() == family


@pytest.mark.serial
def test_slow_but_steady_reader(quiet: Larder) -> None:
    """A peer that reads slowly, but does, gets the whole of a large answer."""
    text = b'"' + b"x" * 1_000_000 + b'"'
    quiet.fastcgi("PUT", "/cache/big", b'{"value":' + text + b"}")
    with quiet.connect() as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send(fcgi.request_bytes("GET", "/cache/big"))
        data = b""
        while chunk := connection.socket.recv(32768):
            data += chunk
            time.sleep(0.01)
    assert value_text(fcgi.content_of(data)) == text


@pytest.mark.serial
def test_two_thousand_connections(quiet: Larder) -> None:
    """Two thousand connections at once are answered or cleanly refused within seconds (F22)."""
    family = quiet.workers()
    request = fcgi.request_bytes("GET", "/health/live")
    begun = time.monotonic()
    answered = refused = 0
    connections: list[fcgi.Connection] = []
    for _ in range(2000):
        try:
            connection = quiet.connect()
            connections.append(connection)
            connection.send(request)
        except (BlockingIOError, ConnectionError):
            refused += 1
    for connection in connections:
        with connection:
            try:
                assert connection.read_response().status == 200
                answered += 1
            except fcgi.Closed:
                refused += 1
    taken = time.monotonic() - begun
    print(f"{answered} answered, {refused} refused in {taken:.2f} s")
    assert answered >= 1024 and answered + refused == 2000
    assert taken < 5 * SLOW
    assert quiet.workers() == family


@pytest.mark.serial
def test_out_of_descriptors(new_redis: Callable[..., Redis],
                            new_larder: Callable[..., Larder]) -> None:
    """A worker out of descriptors neither dies nor spins, and serves again afterwards."""
    larder = new_larder(new_redis(), workers=1)
    larder.start(limits=["prlimit", "--nofile=40:40"])
    family = larder.workers()
    peers = []
    for _ in range(100):
        peer = larder.connect(2)
        peer.send(fcgi.request_bytes("GET", "/health/live", keep=True)[:30])
        peers.append(peer)
    used = cpu_seconds(family[0])
    time.sleep(0.4)
    assert cpu_seconds(family[0]) - used < 0.25 * SLOW, "it spins"
    for peer in peers:
        peer.close()
    eventually(lambda: larder.fastcgi("GET", "/health").status == 200, 10, "it serves again")
    assert larder.workers() == family
