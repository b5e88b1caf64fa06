"""T26: signals in their thousands, and system calls that are interrupted or do half of it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator

import fcgi
from figures import show_failures
from harness import Larder
from scenario import Finding, Size, scenario
from tracer import Tracer
from verify import Report
from world import World

STORM = (signal.SIGCHLD, signal.SIGALRM, signal.SIGUSR1, signal.SIGPIPE)
INTERRUPTED = ("recvfrom", "sendto", "sendmsg", "epoll_wait", "accept4", "read", "write")


class Storm:
    """Signals to the master and every worker in turn, a thousand a second."""

    def __init__(self, larder: Larder, a_second: int = 1000) -> None:
        self.targets = [larder.pid, *larder.workers()]
        self.pause = 1 / a_second
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        kinds = itertools.cycle(STORM)
        begun = time.monotonic()
        while not self._stop.is_set():
            # As many as should have been sent by now.
            while self.sent < (time.monotonic() - begun) / self.pause:
                os.kill(self.targets[self.sent % len(self.targets)], next(kinds))
                self.sent += 1
            time.sleep(self.pause)

    def __enter__(self) -> "Storm":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def judge(larder: Larder, report: Report, family: list[int]) -> Iterator[Finding]:
    """Nothing may fail, and nobody die."""
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("requests that failed", report.failed, figure=0, detail=show_failures(report))
    yield Finding.holds("the same workers", larder.workers() == family, larder.text()[-500:])


@scenario("T26", "a storm of signals under load")
def signal_storm(world: World, size: Size) -> Iterator[Finding]:
    """CHLD, ALRM, USR1 and PIPE at 1 kHz, to the master and its workers."""
    _, larder, front = world.stack(redis_timeout=5000, log_file=world.directory("log") / "log")
    family = larder.workers()
    with world.verify(front, connections=32) as load:
        load.wait_prepared()
        seconds = size(full=30.0, short=2.0)
        with Storm(larder) as storm:
            time.sleep(seconds)
        load.wait_requests(200)
    yield Finding("signals a second", storm.sent / seconds, figure=990, limit=300, least=True)
    yield from judge(larder, load.result, family)


@scenario("T26", "interrupted system calls", fronts=("nginx",))
def interrupted(world: World, size: Size) -> Iterator[Finding]:
    """Every third call of each kind gives EINTR, in one worker after the other, then the master."""
    _, larder, front = world.stack(redis_timeout=10000)
    family = larder.workers()
    injected = 0
    rules = [f"{call}:error=EINTR:when=1+3" for call in INTERRUPTED]
    with world.verify(front, connections=8) as load:
        load.wait_prepared()
        for pid in [*family, larder.pid]:
            with Tracer(world.directory("strace"), [pid], rules) as tracer:
                if pid == larder.pid:
                    larder.signal(signal.SIGUSR1)
                time.sleep(size(full=5.0, short=0.7))
            injected += tracer.injected()
        load.wait_requests(200)
    yield Finding("calls that were interrupted", injected, figure=100, least=True)
    yield from judge(larder, load.result, family)


def read_in_pieces(connection: fcgi.Connection, n: int) -> bytes:
    """All that comes until the end, `n` bytes at a time: the other side can send that much more."""
    data = bytearray()
    while piece := connection.socket.recv(n):
        data += piece
    return bytes(data)


@scenario("T26", "answers that are taken in small pieces", fronts=())
def small_pieces(world: World, size: Size) -> Iterator[Finding]:
    """A web server that reads 1 to 5 KB at a time, so that every write is a part: whole answers."""
    larder = world.larder(world.redis())
    whole = 0
    count = size(full=50, short=4)
    for i in range(count):
        value = b'"' + bytes([97 + i % 26]) * (900_000 + i) + b'"'
        larder.fastcgi("PUT", "/cache/large", b'{"value":' + value + b"}")
        with larder.connect() as connection:
            connection.send(fcgi.request_bytes("GET", "/cache/large"))
            data = read_in_pieces(connection, 1000 + 4000 * i // count)
        whole += value in fcgi.content_of(data)
    yield Finding("whole answers", whole, figure=count, least=True)
