"""What hostile input costs: time of the worker and of its neighbours, and memory."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import fcgi
from harness import SANITIZED, SLOW, VALGRIND, Larder, Redis
from hostile import Records
from hostile_fastcgi import CASES

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def alone(new_redis: NewRedis, new_larder: NewLarder) -> Larder:
    """A larderd of one worker that nobody else uses."""
    larder: Larder = new_larder(new_redis(), workers=1)
    return larder.start()


def names(first: str, count: int) -> bytes:
    """An object of so many different names."""
    return b"{" + b",".join(b'"%s%06d":0' % (first.encode(), i) for i in range(count)) + b"}"


def value(text: bytes) -> bytes:
    """An envelope."""
    return b'{"value":' + text + b"}"


def put(larder: Larder, body: bytes) -> fcgi.Response:
    """A PUT of these bytes."""
    return larder.fastcgi("PUT", "/cache/k", body)


def patch(larder: Larder, body: bytes) -> fcgi.Response:
    """A PATCH with these bytes."""
    return larder.fastcgi("PATCH", "/cache/k", body)


ONES = b"[" + b",".join([b"1"] * 500_000) + b"]"
ESCAPES = b'"' + b"\\u0000" * 170_000 + b'"'
TEXT = b'"' + "ключ€😀".encode() * 60_000 + b'"'
TAGS = b'{"value":1,"tags":[' + b",".join([b'"\\u0061"'] * 110_000) + b"]}"
SAME_NAMES = b"{" + b",".join([b'"aaaaaa":0'] * 75_000) + b"}"
BATCH = b'{"operations":[' + b",".join([b"0"] * 500_000) + b"]}"

Deed = Callable[[Larder], fcgi.Response]

# What is asked, the status, and how many milliseconds it should take: it may take ten times that.
DEEDS: dict[str, tuple[Deed, int, float]] = {
    "B25-thousands-of-parameters": (
        lambda larder: larder.fastcgi("GET", "/cache/none?" + "a=1&" * 1900), 404, 5),
    "B25-on-a-route-that-reads-them": (
        lambda larder: larder.fastcgi("GET", "/keys?" + "a=1&" * 1900), 200, 5),
    "B71-nested-100000-times": (lambda larder: put(larder, b"[" * 100_000), 400, 5),
    "B71-objects": (lambda larder: put(larder, b'{"a":' * 200_000), 400, 5),
    "B80-ones": (lambda larder: put(larder, value(ONES)), 200, 100),
    "B80-names": (lambda larder: put(larder, value(names("n", 75_000))), 200, 100),
    "B80-escapes": (lambda larder: put(larder, value(ESCAPES)), 200, 100),
    "B80-utf-8": (lambda larder: put(larder, value(TEXT)), 200, 100),
    "X18-members-that-are-none": (lambda larder: put(larder, names("n", 75_000)), 422, 100),
    "X18-tags": (lambda larder: put(larder, TAGS), 200, 100),
    "X18-operations-that-are-none": (
        lambda larder: larder.fastcgi("POST", "/batch", BATCH), 413, 100),
    "X18-digits": (lambda larder: put(larder, b'{"value":1,"ttl":' + b"1" * MIB + b"}"), 422, 100),
    "X18-zeros": (
        lambda larder: put(larder, b'{"value":1,"ttl":0.' + b"0" * MIB + b"1e1048578}"), 200, 100),
    "X18-preferences": (
        lambda larder: larder.fastcgi("PUT", "/raw/k", b"x", HTTP_PREFER="a;" * 30_000), 200, 5),
    "X18-groups": (
        lambda larder: larder.fastcgi("PUT", "/raw/k", b"x", HTTP_CACHE_GROUPS='"a",' * 15_000),
        422, 5),
    "X18-entity-tags": (
        lambda larder: larder.fastcgi("GET", "/cache/k", HTTP_IF_MATCH='"a",' * 15_000), 400, 5),
}
# An entry of many names and a patch of as many. It may take longer: what is compared is each with
# each only where names are alike.
MERGES: dict[str, tuple[bytes, bytes, int]] = {
    "other-names": (names("n", 40_000), names("m", 40_000), 200),
    "the-same-names": (names("n", 75_000), names("n", 75_000), 200),
    "one-name": (SAME_NAMES, SAME_NAMES, 200),
    "backwards": (names("n", 40_000), b"{" + b",".join(
        b'"n%06d":1' % i for i in range(39_999, -1, -1)) + b"}", 200),
}


def timed(larder: Larder, deed: Deed, status: int) -> float:
    """The least of three times a request took, in milliseconds."""
    taken = []
    for _ in range(3):
        begun = time.monotonic()
        answer = deed(larder)
        taken.append((time.monotonic() - begun) * 1e3)
        assert answer.status == status, answer
    return min(taken)


@pytest.mark.serial
@pytest.mark.parametrize("name", DEEDS)
def test_time(alone: Larder, name: str) -> None:
    """An answer takes as long as its bytes, and no longer (B25, B71, B80)."""
    deed, status, milliseconds = DEEDS[name]
    worker = alone.workers()
    taken = timed(alone, deed, status)
    print(f"{name}: {taken:.2f} ms of {milliseconds}")
    assert taken < 10 * milliseconds * SLOW
    assert alone.workers() == worker


@pytest.mark.serial
@pytest.mark.parametrize("name", MERGES)
def test_merges(alone: Larder, name: str) -> None:
    """Nor does a merge of large objects take longer (X18)."""
    entry, change, status = MERGES[name]
    assert put(alone, value(entry)).status == 200
    taken = timed(alone, lambda larder: patch(larder, value(change)), status)
    print(f"{name}: {taken:.2f} ms of 100")
    assert taken < 1000 * SLOW


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had since this was last reset."""
    match = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(match.group(1)) * KIB if match else 0


@pytest.mark.serial
@pytest.mark.plain
@pytest.mark.skipif(VALGRIND, reason="valgrind keeps what was freed")
@pytest.mark.parametrize("name", [name for name in DEEDS if name.startswith(("B71", "B80", "X18"))])
def test_memory(alone: Larder, name: str) -> None:
    """What a document of a megabyte costs, the worker's own growth included, is a few times its
    size: the promise is 40 (B80)."""
    deed, status, _ = DEEDS[name]
    worker = alone.workers()[0]
    Path(f"/proc/{worker}/clear_refs").write_text("5", encoding="ascii")
    before = peak_bytes(worker)
    assert deed(alone).status == status
    grown = peak_bytes(worker) - before
    print(f"{name}: {grown / MIB:.1f} MiB")
    assert grown < 12 * MIB


LIMIT = 256 * MIB


@pytest.mark.serial
@pytest.mark.plain
@pytest.mark.skipif(VALGRIND or SANITIZED, reason="they need more address space than there is RAM")
@pytest.mark.parametrize("row", ["F8", "F10", "F16", "F22"])
def test_limited_memory(new_larder: NewLarder, row: str) -> None:
    """With little address space, and everything hostile of a row at once, no worker dies or grows
    (F8, F10, F16, F22)."""
    larder = new_larder(None, workers=1)
    larder.start(limits=["prlimit", f"--as={LIMIT}"])
    worker = larder.workers()
    before = peak_bytes(worker[0])
    if row == "F22":
        crowd(larder)
    else:
        for step in (step for case in CASES if case.row == row for step in case.steps):
            assert isinstance(step.sent, Records)
            with larder.connect() as connection:
                try:
                    connection.send(step.sent.data)
                    for kind, _, _ in connection.records():
                        if kind == fcgi.END:
                            break
                except (BrokenPipeError, ConnectionResetError):
                    pass
    assert larder.workers() == worker, larder.text()[-2000:]
    grown = peak_bytes(worker[0]) - before
    print(f"{row}: {grown / MIB:.1f} MiB")
    assert grown < (64 if row == "F22" else 16) * MIB
    assert larder.fastcgi("GET", "/health/live").status == 200


def crowd(larder: Larder) -> None:
    """A thousand peers, each with most of a request of 60 KiB and nothing more."""
    params = b"".join(fcgi.pair(name, text) for name, text in
                      fcgi.default_params("GET", "/cache/k", b"", {"HTTP_X": "x" * 30_000}))
    begun = fcgi.begin() + fcgi.stream(fcgi.PARAMS, params)
    peers = []
    for _ in range(1000):
        peer = larder.connect()
        peers.append(peer)
        peer.send(begun)
    closed = sum(peer.seconds_until_closed(5 * SLOW) is not None for peer in peers)
    for peer in peers:
        peer.close()
    assert closed == len(peers)
