"""Clients that keep a web server busy, know what every answer must be, and write down what isn't.

Each client has keys of its own, so it knows for each the last version that was acknowledged and
the last one that may have been stored: a GET must give one in between, whole and under its own key.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field

KEYS_PER_CLIENT = 4


@dataclass
class Tally:
    """What the clients saw, together."""

    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_error: float = 0.0


@dataclass
class Known:
    """What a client knows of one of its keys."""

    acknowledged: int = 0
    attempted: int = 0
    may_be_absent: bool = True


def make_value(key: str, version: int) -> str:
    """A value that says whose it is, which version, how long, and its checksum."""
    filler = "v" * (zlib.crc32(f"{key}{version}".encode()) % 900)
    return f"{key}|{version}|{len(filler)}|{zlib.crc32(filler.encode())}|{filler}"


def check_value(key: str, text: object) -> int:
    """The version of a value that is whole and of this key; ValueError otherwise."""
    if not isinstance(text, str):
        raise ValueError(f"no string: {text!r}")
    name, version, length, crc, filler = text.split("|")
    if name != key or len(filler) != int(length) or zlib.crc32(filler.encode()) != int(crc):
        raise ValueError(f"value of {name} version {version} under {key}, or damaged")
    return int(version)


class Client:
    """One connection that sends one request after the other."""

    def __init__(self, load: "Load", number: int) -> None:
        self.load = load
        self.tally = load.tally
        self.keys = {f"{load.tag}-{number}-{i}": Known() for i in range(KEYS_PER_CLIENT)}
        self.dice = random.Random(number)
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Sends requests until the load ends."""
        try:
            for key in self.keys:
                await self.step(key, "PUT")
            self.load.prepared += 1
            while not self.load.ending.is_set():
                key = self.dice.choice(list(self.keys))
                await self.step(key, "PUT" if self.dice.random() < self.load.writes else "GET")
                if self.load.pause:
                    await asyncio.sleep(self.load.pause)
        finally:
            self.disconnect()

    def disconnect(self) -> None:
        """Closes the connection; the next request makes another."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def exchange(self, method: str, key: str, body: bytes) -> tuple[int, bytes]:
        """One request and its answer; an exception if there is none or a short one."""
        if self.reader is None or self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.load.port)
        head = f"{method} /cache/{key} HTTP/1.1\r\nHost: x\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.writer.write(head.encode() + b"\r\n" + body)
        raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        answer = await self.reader.readexactly(int(fields["content-length"]))
        if fields.get("connection") == "close":
            self.disconnect()
        return int(lines[0].split()[1]), answer

    async def step(self, key: str, method: str) -> None:
        """One request, its answer compared with what is known."""
        known = self.keys[key]
        version = known.attempted + 1
        body = b""
        if method == "PUT":
            known.attempted = version
            body = json.dumps({"value": make_value(key, version), "ttl": 600}).encode()
        begun = time.monotonic()
        try:
            status, answer = await asyncio.wait_for(self.exchange(method, key, body), 20)
        except (OSError, EOFError, asyncio.TimeoutError, KeyError, IndexError, ValueError) as e:
            self.tally.failures.append(f"{method} {key}: {type(e).__name__} {e}")
            self.disconnect()
            return
        taken = time.monotonic() - begun
        self.tally.requests += 1
        self.tally.statuses[status] += 1
        self.tally.slowest = max(self.tally.slowest, taken)
        if method == "PUT" and status == 200:
            known.acknowledged, known.may_be_absent = version, False
        elif method == "GET" and status == 200:
            self.compare(key, known, answer)
        elif method == "GET" and status == 404:
            if not (known.may_be_absent or self.load.may_vanish):
                self.tally.wrong.append(f"{key} version {known.acknowledged} is gone")
        else:
            self.tally.slowest_error = max(self.tally.slowest_error, taken)
            self.tally.failures.append(f"{method} {key}: status {status} {answer[:200]!r}")

    def compare(self, key: str, known: Known, answer: bytes) -> None:
        """A value must be of this key, whole, and not older than what was acknowledged."""
        try:
            document = json.loads(answer)
            version = check_value(document["key"], document["value"])
            if document["key"] != key:
                raise ValueError(f"the answer is for {document['key']}")
        except (ValueError, KeyError) as e:
            self.tally.wrong.append(f"GET {key}: {e}")
            return
        if not known.acknowledged <= version <= known.attempted:
            self.tally.wrong.append(f"{key}: version {version}, not {known.acknowledged} to "
                                    f"{known.attempted}")


class Load:
    """Clients in a thread of their own, from `with` to its end.

    writes: the share of PUTs. may_vanish: Redis may lose its data meanwhile.
    """

    def __init__(self, port: int, clients: int = 16, writes: float = 0.3,
                 may_vanish: bool = False, pause: float = 0.0) -> None:
        self.port = port
        self.clients = clients
        self.writes = writes
        self.may_vanish = may_vanish
        self.pause = pause
        self.tag = f"load{random.getrandbits(40):x}"
        self.tally = Tally()
        self.prepared = 0
        self.ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._error: BaseException | None = None

    def _run(self) -> None:
        async def main() -> None:
            await asyncio.gather(*(Client(self, i).run() for i in range(self.clients)))
        try:
            asyncio.run(main())
        except BaseException as e:  # shown in the thread that waits
            self._error = e

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def wait_prepared(self) -> None:
        """Waits until every client has stored all of its keys once."""
        while self.prepared < self.clients:
            self.wait_requests(1)

    def wait_requests(self, count: int, timeout: float = 20.0) -> None:
        """Waits until so many more requests have been answered."""
        target = self.tally.requests + count
        end = time.monotonic() + timeout
        while self.tally.requests < target:
            assert time.monotonic() < end, f"no answers: {self.tally.failures[-5:]}"
            assert self._thread.is_alive(), "the load ended"
            time.sleep(0.005)

    def check_right(self) -> None:
        """No answer was wrong, whatever else failed."""
        assert not self.tally.wrong, self.tally.wrong[:5]
        assert self.tally.requests > 0

    def check_perfect(self) -> None:
        """Nothing failed and nothing was wrong."""
        self.check_right()
        assert not self.tally.failures, (len(self.tally.failures), self.tally.failures[:5])

    def describe(self) -> str:
        """A line for whoever reads the test's output."""
        t = self.tally
        return (f"{t.requests} requests, {dict(t.statuses)}, {len(t.failures)} failures, "
                f"slowest {t.slowest * 1e3:.0f} ms, slowest error {t.slowest_error * 1e3:.0f} ms")
