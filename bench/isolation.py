"""Latency of requests that need no Redis, while others misbehave.

Four kept connections to a web server ask GET /health/live and GET / (two each, with a short pause
after every answer), all in one thread of this program: first undisturbed, then while peers on the
pool's own socket send a part of a FastCGI request and stop, then while Redis is stopped (SIGSTOP)
and further clients wait for it.
"""

from __future__ import annotations

import gc
import os
import re
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastcgi import request_bytes
from loads import PATH
from stack import Failure, Progress
from targets import Arrangement
from web import ask

MEASURED = ("/health/live", "/")
CONNECTIONS = 4
SILENT_PEERS = 8
WAITING_CLIENTS = 4
SECONDS = 1.5
SITUATIONS_S = 6 * (SECONDS + 0.2)  # all of them, about
PAUSE = 0.002  # after an answer, so that this program isn't the load that it measures
ANSWER_S = 10.0    # the longest wait for an answer
RECOVERY_S = 10.0  # for values to be had again after Redis goes on


class Client:
    """A kept connection that asks for one path, over and over."""

    def __init__(self, port: int, path: str) -> None:
        self.path = path
        self.request = (f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").encode()
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seconds: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.answer = b""
        self.sent = 0.0
        self.due: float | None = 0.0  # None while it waits for an answer

    def step(self, now: float) -> None:
        """Sends the next request when its time has come."""
        if self.due is not None and now >= self.due:
            self.due = None
            self.answer = b""
            self.sent = time.perf_counter()
            self.socket.sendall(self.request)

    def on_readable(self) -> None:
        """Takes what came; at the end of the answer, plans the next request."""
        data = self.socket.recv(65536)
        now = time.perf_counter()
        if not data:
            raise Failure(f"GET {self.path}: the connection was closed after {self.answer!r}")
        self.answer += data
        head, end, body = self.answer.partition(b"\r\n\r\n")
        if not end:
            return
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not length:
            raise Failure(f"GET {self.path}: no Content-Length in {head!r}")
        if len(body) >= int(length[1]):
            self.seconds.append(now - self.sent)
            self.statuses[int(head.split(b" ", 2)[1])] += 1
            self.due = now + PAUSE


class SilentPeer:
    """A FastCGI peer that sends a part of a request and stops; when larder hangs up, it does the
    same again."""

    def __init__(self, path: Path, part: float) -> None:
        whole = request_bytes("PUT", PATH, b"x" * 200)
        self.path = path
        self.bytes = whole[:max(1, int(len(whole) * part))]
        self.closed = 0
        self._connect()

    def _connect(self) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(self.path))
        self.socket.sendall(self.bytes)

    def step(self, _: float) -> None:
        """Has nothing more to say."""

    def on_readable(self) -> None:
        """It was hung up on."""
        self.socket.close()
        self.closed += 1
        self._connect()


@dataclass
class Latency:
    """Of one path in one situation, in milliseconds."""

    front: str
    situation: str
    path: str
    requests: int
    p50: float
    p99: float
    max: float


def percentile(ordered: list[float], fraction: float) -> float:
    """Of an ordered list."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def drive(clients: list[Client], others: list[Client] | list[SilentPeer], seconds: float) -> None:
    """Lets all of them do what they do for so long, and until each of `clients` has its answer: one
    that comes late is the one that matters."""
    with selectors.DefaultSelector() as selector:
        registered: dict[Client | SilentPeer, socket.socket] = {}
        end = time.perf_counter() + seconds
        while True:
            now = time.perf_counter()
            waiting = [c for c in clients if c.due is None]
            if now >= end and not waiting:
                return
            if now >= end + ANSWER_S:
                raise Failure(f"GET {waiting[0].path}: no answer within {ANSWER_S:.0f} s")
            until = now + 0.1
            if now < end:
                for peer in [*others, *clients]:
                    peer.step(now)
                    # A silent peer changes its socket when it reconnects.
                    if registered.get(peer) is not peer.socket:
                        registered[peer] = peer.socket
                        selector.register(peer.socket, selectors.EVENT_READ, peer)
                until = min([end, *(p.due for p in [*others, *clients]
                                    if isinstance(p, Client) and p.due is not None)])
            for key, _ in selector.select(max(0.0, until - time.perf_counter())):
                if isinstance(key.data, SilentPeer):
                    selector.unregister(key.data.socket)
                key.data.on_readable()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that doesn't run."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_recovered(host: str) -> None:
    """Until a value can be read."""
    end = time.monotonic() + RECOVERY_S
    while True:
        answer = ask(host, "GET", PATH)
        if answer.status == 200:
            return
        if time.monotonic() > end:
            raise Failure(f"Redis runs again, but GET {PATH} still gives {answer.status}")
        time.sleep(0.01)


class Isolation:
    """All situations, through each front."""

    def __init__(self, arrangement: Arrangement) -> None:
        self.arrangement = arrangement
        self.results: list[Latency] = []
        self.notes: list[str] = []

    def run(self) -> None:
        """Measures; Failure if a request that needs no Redis isn't answered 200."""
        gc.disable()
        try:
            for front, port in self.arrangement.ports.items():
                self._measure(front, "undisturbed", port, lambda: [])
                self._measure(front, f"{SILENT_PEERS} silent peers", port, self._silent_peers)
                with stopped(self.arrangement.redis.pid):
                    self._measure(front, "Redis stopped", port, lambda: [
                        Client(port, PATH) for _ in range(WAITING_CLIENTS)])
                wait_recovered(f"127.0.0.1:{port}")
        finally:
            gc.enable()

    def _silent_peers(self) -> list[SilentPeer]:
        return [SilentPeer(self.arrangement.pool[1], (i + 0.5) / SILENT_PEERS)
                for i in range(SILENT_PEERS)]

    def _measure(self, front: str, situation: str, port: int,
                 disturb: Callable[[], list[Client] | list[SilentPeer]]) -> None:
        Progress.show(f"latency, {front}: {situation}")
        clients = [Client(port, MEASURED[i % len(MEASURED)]) for i in range(CONNECTIONS)]
        others = disturb()
        try:
            drive(clients, others, SECONDS)
        finally:
            for peer in [*clients, *others]:
                peer.socket.close()
        for path in MEASURED:
            self._add(front, situation, path, [c for c in clients if c.path == path])
        self._note(front, situation, others)

    def _add(self, front: str, situation: str, path: str, clients: list[Client]) -> None:
        statuses = sum((c.statuses for c in clients), Counter())
        if set(statuses) != {200}:
            raise Failure(f"{front}, {situation}: GET {path} gave {dict(statuses)}, not only 200")
        ms = sorted(s * 1000 for c in clients for s in c.seconds)
        self.results.append(Latency(front, situation, path, len(ms), percentile(ms, 0.5),
                                    percentile(ms, 0.99), ms[-1]))

    def _note(self, front: str, situation: str, others: list[Client] | list[SilentPeer]) -> None:
        closed = sum(p.closed for p in others if isinstance(p, SilentPeer))
        if closed:
            self.notes.append(f"{front}, {situation}: larder hung up {closed} times")
        statuses = sum((c.statuses for c in others if isinstance(c, Client)), Counter())
        if statuses:
            counts = ", ".join(f"{n} times {status}" for status, n in sorted(statuses.items()))
            self.notes.append(f"{front}, {situation}: GET {PATH} meanwhile: {counts}")
