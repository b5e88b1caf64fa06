"""larder-faults: each of its modes as a plain client of Redis sees it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import resp
from harness import SLOW, Redis, Workspace, eventually

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

from faults import PROGRAM, Faults, Refused

NewRedis = Callable[..., Redis]


class Peer:
    """A connection through the proxy that sees every byte."""

    def __init__(self, faults: Faults) -> None:
        family = socket.AF_INET if faults.port else socket.AF_UNIX
        self.socket = socket.socket(family)
        self.socket.settimeout(5 * SLOW)
        self.socket.connect(("127.0.0.1", faults.port) if faults.port else str(faults.path))

    def send(self, *commands: tuple[str | bytes, ...]) -> None:
        """Sends all of them at once."""
        self.socket.sendall(b"".join(resp.encode(*c) for c in commands))

    def read(self, size: int) -> bytes:
        """So many bytes, or what comes before the end."""
        got = b""
        while len(got) < size:
            piece = self.socket.recv(size - len(got))
            if not piece:
                break
            got += piece
        return got

    def expect(self, wanted: bytes) -> None:
        """These bytes come next."""
        got = self.read(len(wanted))
        assert got == wanted, (got, wanted)

    def silent(self, seconds: float = 0.1) -> bool:
        """Nothing comes for so long."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) is None
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(5 * SLOW)

    def ended(self) -> bool:
        """The other side has hung up, one way or the other."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Hangs up."""
        self.socket.close()


@pytest.fixture
def redis(new_redis: NewRedis) -> Redis:
    """A private one with a few values."""
    redis = new_redis()
    for i in range(10):
        redis.ask("SET", f"k{i}", f"v{i}")
    return redis


@pytest.fixture(params=["unix", "tcp"])
def faults(request: pytest.FixtureRequest, space: Workspace, redis: Redis) -> Iterator[Faults]:
    """A proxy on either kind of socket."""
    proxy = Faults(space, redis.socket, tcp=request.param == "tcp", seed=7)
    try:
        yield proxy.start()
        proxy.stop()
    finally:
        proxy.abandon()


@pytest.fixture
def peer(faults: Faults) -> Iterator[Peer]:
    """A client of it."""
    made = Peer(faults)
    yield made
    made.close()


def gets(*numbers: int) -> list[tuple[str, ...]]:
    """GETs of some of the values."""
    return [("GET", f"k{i}") for i in numbers]


def values(*numbers: int) -> bytes:
    """Their replies."""
    return b"".join(b"$2\r\nv%d\r\n" % i for i in numbers)


def test_pass(faults: Faults, peer: Peer) -> None:
    """Replies of every kind and of any size come through as they are, and are counted."""
    text = bytes(range(256)) * 4096
    peer.send(("SET", "big", text), ("GET", "big"), ("MGET", "k1", "none", "k2"), ("INCR", "n"),
              ("NOPE",), ("GET", "none"), ("LRANGE", "none", "0", "1"),
              ("EVAL", "return {1,{'a',{},{2,{3}}},false}", "0"))
    peer.expect(b"+OK\r\n$1048576\r\n" + text)
    peer.expect(b"\r\n*3\r\n$2\r\nv1\r\n$-1\r\n$2\r\nv2\r\n:1\r\n-ERR ")
    while peer.read(1) != b"\n":
        pass
    peer.expect(b"$-1\r\n*0\r\n*3\r\n:1\r\n*3\r\n$1\r\na\r\n*0\r\n*2\r\n:2\r\n*1\r\n:3\r\n$-1\r\n")
    stats = faults.stats()
    assert stats["replies"] == 8 and stats["requests"] == 8 and stats["faults"] == 0, stats
    assert stats["reply_bytes"] > 1 << 20 and stats["open"] == 1


@pytest.mark.serial
def test_it_is_no_bottleneck(redis: Redis, space: Workspace) -> None:
    """With `pass`, 200,000 pipelined commands take it less than a second of its own time."""
    proxy = Faults(space, redis.socket).start()
    for pipeline in (1, 8):
        made = subprocess.run(["redis-benchmark", "-s", proxy.path, "-t", "get", "-n", "100000",
                               "-c", "8", "-P", str(pipeline), "-q"], check=True,
                              capture_output=True, text=True)
        print(f"pipeline {pipeline}: {made.stdout.split(chr(13))[-1].strip()}")
    ticks = Path(f"/proc/{proxy.pid}/stat").read_text().split()
    used = (int(ticks[13]) + int(ticks[14])) / 100
    print(f"{used:.2f} s for {proxy.stats()['replies']} replies")
    proxy.stop()
    assert used < 10 * SLOW


def test_delay(faults: Faults, peer: Peer) -> None:
    """Each reply comes so much later; what is on its way comes at once when that is over."""
    faults.set("delay", 80)
    begun = time.monotonic()
    peer.send(*gets(1))
    time.sleep(0.04)
    peer.send(*gets(2))
    peer.expect(values(1))
    first = time.monotonic() - begun
    peer.expect(values(2))
    assert 0.08 <= first and time.monotonic() - begun >= 0.12
    faults.set("delay", 60000)
    peer.send(*gets(3))
    assert peer.silent()
    faults.clear()
    peer.expect(values(3))


def test_late(faults: Faults, peer: Peer) -> None:
    """A stall: everything since its beginning comes at its end."""
    faults.set("late", 1000)
    begun = time.monotonic()
    peer.send(*gets(1))
    time.sleep(0.8)
    peer.send(*gets(2))
    peer.expect(values(1, 2))
    assert 1 <= time.monotonic() - begun < 1.8, "the second had a stall of its own"


def test_late_requests(faults: Faults, peer: Peer, redis: Redis) -> None:
    """A command that is held back is done later, even if who sent it has gone."""
    faults.set("late", 1000, requests=True)
    peer.send(("SET", "later", "1"))
    peer.close()
    assert redis.ask("GET", "later") is None
    eventually(lambda: redis.ask("GET", "later") == b"1", 5, "it is done in the end")


def test_drip(faults: Faults, peer: Peer) -> None:
    """A byte at a time."""
    faults.set("drip", 20)
    begun = time.monotonic()
    peer.send(*gets(1))
    for byte in values(1):
        peer.expect(bytes([byte]))
    assert time.monotonic() - begun >= 0.02 * len(values(1))


def test_blackhole(faults: Faults, peer: Peer) -> None:
    """Nothing comes and nobody hangs up; what has lost bytes ends with the mode."""
    faults.set("blackhole")
    peer.send(*gets(1))
    assert peer.silent()
    fresh = Peer(faults)
    fresh.send(*gets(2))
    assert fresh.silent()
    faults.clear()
    assert peer.ended() and fresh.ended()
    fresh.close()
    again = Peer(faults)
    again.send(*gets(3))
    again.expect(values(3))
    again.close()


def test_blackholed_requests(faults: Faults, peer: Peer, redis: Redis) -> None:
    """What doesn't come to Redis isn't done, then or later."""
    faults.set("blackhole", requests=True)
    peer.send(("SET", "never", "1"))
    assert peer.silent()
    faults.clear()
    assert peer.ended()
    assert redis.ask("GET", "never") is None


@pytest.mark.parametrize("mode", ["refuse", "hangup", "backlog"])
def test_nobody_is_let_in(faults: Faults, peer: Peer, mode: str) -> None:
    """Connections end, and new ones are refused, closed at once, or not accepted."""
    peer.send(*gets(1))
    peer.expect(values(1))
    faults.set(mode)
    assert peer.ended()
    fresh = socket.socket(socket.AF_INET if faults.port else socket.AF_UNIX)
    fresh.settimeout(0.2)
    address: tuple[str, int] | str = str(faults.path)
    if faults.port:
        address = ("127.0.0.1", faults.port)
    if mode == "refuse":
        with pytest.raises(ConnectionRefusedError):
            fresh.connect(address)
    elif mode == "hangup":
        fresh.connect(address)
        assert fresh.recv(1) == b""
    else:
        with pytest.raises((TimeoutError, BlockingIOError)):
            fresh.connect(address)
    fresh.close()
    faults.clear()
    again = Peer(faults)
    again.send(*gets(2))
    again.expect(values(2))
    again.close()


@pytest.mark.parametrize("mode", ["reset", "truncate"])
def test_cut_short(faults: Faults, peer: Peer, mode: str) -> None:
    """So many bytes of the replies, then the end."""
    faults.set(mode, 12)
    peer.send(*gets(1))
    peer.expect(values(1))
    peer.send(*gets(2))
    if mode == "truncate":
        assert peer.read(100) == values(2)[:4]
    elif faults.port:
        with pytest.raises(ConnectionResetError):
            peer.read(100)
    else:
        peer.read(100)
    assert peer.ended()
    assert faults.stats()["faults"] == 1


def test_duplicate(faults: Faults, peer: Peer) -> None:
    """Every third reply twice; every fourth with the one before it."""
    faults.set("duplicate", 3)
    peer.send(*gets(0, 1, 2, 3, 4, 5))
    peer.expect(values(0, 1, 2, 2, 3, 4, 5, 5))
    faults.set("duplicate", 4, 2)
    peer.send(*gets(0, 1, 2, 3, 4))
    peer.expect(values(0, 1, 2, 3, 2, 3, 4))
    assert faults.stats()["faults"] == 3


def test_lose(faults: Faults, peer: Peer) -> None:
    """Every third reply never comes; the last two of four."""
    faults.set("lose", 3)
    peer.send(*gets(0, 1, 2, 3))
    peer.expect(values(0, 1, 3))
    faults.clear()
    assert peer.ended()
    fresh = Peer(faults)
    faults.set("lose", 4, 2)
    fresh.send(*gets(0, 1, 2, 3, 4))
    fresh.expect(values(0, 1, 4))
    fresh.close()


def test_reorder(faults: Faults, peer: Peer) -> None:
    """A reply changes places with the next, or with the third after it."""
    faults.set("reorder", 3)
    peer.send(*gets(1, 2, 3, 4, 5, 6, 7))
    peer.expect(values(1, 2, 4, 3, 5, 7, 6))
    faults.set("reorder", 5, 3)
    peer.send(*gets(1, 2, 3, 4, 5, 6, 7, 8, 9))
    peer.expect(values(1, 2, 3, 4, 8, 6, 7, 5, 9))


def test_inject(faults: Faults, peer: Peer) -> None:
    """A reply that nobody asked for."""
    faults.set("inject", 2)
    peer.send(*gets(1, 2, 3))
    peer.expect(values(1, 2) + b'$7\r\n"wrong"\r\n' + values(3))
    faults.set("inject", 1, 2)
    peer.send(*gets(1))
    peer.expect(values(1) + b'$7\r\n"wrong"\r\n:77777\r\n')


@pytest.mark.parametrize("mode", ["garbage", "huge", "resp3"])
def test_what_is_no_reply(faults: Faults, peer: Peer, mode: str) -> None:
    """Every second reply is something else, a new one each time."""
    faults.set(mode, 2)
    seen = set()
    for _ in range(5):
        peer.send(*gets(1, 2))
        peer.expect(values(1))
        eventually(lambda: not peer.silent(0.01), what="something comes")
        seen.add(peer.socket.recv(4096))
    assert len(seen) == 5 and values(2) not in seen
    assert all(s[:1] in b"$*" for s in seen) or mode != "huge"
    assert not any(s[:1] in b"$*:+-" for s in seen) or mode != "resp3"


def test_answer(faults: Faults, peer: Peer) -> None:
    """A text for a reply, blanks and all."""
    faults.set("answer", 2, "-LOADING Redis is loading")
    peer.send(*gets(1, 2, 3))
    peer.expect(values(1) + b"-LOADING Redis is loading\r\n" + values(3))


def test_flip(faults: Faults, peer: Peer) -> None:
    """One bit of every 20th byte, whatever pieces they come in; the same with the same seed."""
    faults.set("flip", 20)
    want = values(*range(10)) * 4
    got = b""
    for _ in range(4):
        for i in range(10):
            peer.send(*gets(i))
            got += peer.read(8)
    differ = [i for i in range(len(want)) if got[i] != want[i]]
    assert differ == list(range(19, len(want), 20))
    assert all((got[i] ^ want[i]).bit_count() == 1 for i in differ)
    assert faults.stats()["faults"] == len(differ)


def test_a_mode_that_comes_in_the_middle_of_a_reply(faults: Faults, peer: Peer,
                                                    redis: Redis) -> None:
    """The reply that is on its way is left alone: the next one is the first."""
    redis.ask("SET", "big", "x" * 3_000_000)
    peer.send(("GET", "big"))
    head = peer.read(100_000)
    faults.set("answer", 1, "+other")
    rest = peer.read(3_000_012 - len(head))
    assert head + rest == b"$3000000\r\n" + b"x" * 3_000_000 + b"\r\n"
    peer.send(*gets(1))
    peer.expect(b"+other\r\n")


def test_what_is_kept_goes_on_with_the_next_mode(faults: Faults, peer: Peer) -> None:
    """A reply that waited for another to change places with isn't lost."""
    faults.set("reorder", 1000)
    faults.set("reorder", 2)
    peer.send(*gets(1, 2))
    peer.expect(values(1))
    assert peer.silent()
    faults.clear()
    peer.expect(values(2))
    peer.send(*gets(3))
    peer.expect(values(3))


def test_cut(faults: Faults, peer: Peer) -> None:
    """The connections that there are end; others can be made."""
    faults.cut()
    assert peer.ended()
    again = Peer(faults)
    again.send(*gets(2))
    again.expect(values(2))
    again.close()


def test_redis_away(faults: Faults, peer: Peer, redis: Redis) -> None:
    """Without Redis connections end at once, as its own would."""
    redis.kill()
    assert peer.ended()
    fresh = Peer(faults)
    assert fresh.ended()
    fresh.close()
    redis.start()
    again = Peer(faults)
    again.send(("PING",))
    again.expect(b"+PONG\r\n")
    again.close()


@pytest.mark.parametrize("line,hint", [
    ("nonsense", "no mode nonsense"), ("delay", "say delay MS"), ("delay x", "say delay MS"),
    ("delay -1", "say delay MS"), ("delay 1 2", "say delay MS"), ("pass 1", "say pass"),
    ("answer 1", "say answer EVERY_N TEXT"), ("requests refuse", "leave out requests"),
    ("duplicate 1 2 3", "say duplicate EVERY_N"), ("", "no mode"),
])
def test_commands_that_are_none(faults: Faults, peer: Peer, line: str, hint: str) -> None:
    """They are refused with what would be right, and change nothing."""
    with pytest.raises(Refused, match=hint.replace("[", r"\[")):
        faults.set(line or " ")
    peer.send(*gets(1))
    peer.expect(values(1))


@pytest.mark.parametrize("arguments", [[], ["--listen", "/tmp/x"], ["--nonsense"], ["x"],
                                       ["--listen", "x" * 200, "--connect", "a", "--control", "b"]])
def test_bad_usage(arguments: list[str]) -> None:
    """Says what it takes."""
    made = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert made.returncode == 2 and "--" in made.stderr, made
    helped = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True)
    assert "duplicate EVERY_N" in helped.stdout
