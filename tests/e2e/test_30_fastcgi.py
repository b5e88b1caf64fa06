"""A worker reached by raw FastCGI: every way to cut a request, and peers that take their time. How
the rules may be broken is in hostile_fastcgi.py.

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


# --- broken at random -----------------------------------------------------------------------------

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
    taken: list[float] = []
    for round_number in range(12):
        peers = [quiet.connect() for _ in range(round_number)]
        for peer in peers:
            peer.send(fcgi.begin())
        taken += latencies(quiet, "/health/live", 20)
        for peer in peers:
            peer.close()
    taken.sort()
    print(f"slowest requests on a fresh connection: {[round(t * 1e3, 2) for t in taken[-5:]]} ms")
    # A busy machine holds up one or another; what nobody takes waits for a tick, again and again.
    assert taken[-5] < 0.05 * SLOW


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
