"""A cache over HTTP that keeps what larder promises, except for the lies that it is told to tell."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.parse
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """A request as it came."""

    method: str
    raw: bool
    key: str
    body: bytes

    @property
    def value(self) -> str:
        """What a PUT stores."""
        if self.raw:
            return self.body.decode()
        value: str = json.loads(self.body)["value"]
        return value


@dataclass
class Answer:
    """An answer: what is sent, and how it is distorted on its way."""

    status: int
    body: bytes
    kind: str = "application/json"
    length: int | None = None  # what Content-Length says, if not the truth
    surplus: bytes = b""       # sent behind it
    cut: int | None = None     # bytes of the body after which the connection ends
    silent: bool = False       # the connection ends, or stays, without an answer
    wait: float = 0.0          # seconds before it is sent
    head: bytes | None = None  # instead of a right one

    def encode(self) -> bytes:
        """All of it."""
        length = len(self.body) if self.length is None else self.length
        head = self.head or (f"HTTP/1.1 {self.status} X\r\nContent-Type: {self.kind}\r\n"
                             f"Content-Length: {length}\r\n\r\n").encode()
        return head + self.body[:self.cut] + self.surplus


def problem(status: int, slug: str, **more: str) -> Answer:
    """An error as larder says it."""
    document = {"type": f"/errors/{slug}", "title": "X", "status": status, **more}
    return Answer(status, json.dumps(document, separators=(",", ":")).encode(),
                  "application/problem+json")


def show(key: str, raw: bool, value: str) -> Answer:
    """A value as a GET shows it."""
    if raw:
        return Answer(200, value.encode(), "text/plain")
    return Answer(200, f'{{"key":"{key}","value":"{value}","ttl":1,"timestamp":"x"}}'.encode())


@dataclass
class Cache:
    """What is stored, and all that was: None is a deletion."""

    past: dict[str, list[str | None]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)  # values that were said not to be there

    def now(self, key: str) -> str | None:
        """The value of a key."""
        return self.past[key][-1] if self.past.get(key) else None

    def answer(self, r: Request) -> Answer:
        """Does what is asked, and says so."""
        value = self.now(r.key)
        if r.method == "PUT":
            self.past.setdefault(r.key, []).append(r.value)
            if r.raw:
                return Answer(200, f'{{"key":"{r.key}","content_type":"text/plain",'
                                   f'"size":{len(r.value)},"ttl":1}}'.encode())
            return show(r.key, r.raw, r.value)
        if value is None:
            return problem(404, "key-not-found", key=r.key)
        if r.method == "DELETE":
            self.past[r.key].append(None)
            return Answer(200, f'{{"key":"{r.key}","deleted":true,"timestamp":"x"}}'.encode())
        return show(r.key, r.raw, value)


# Gives what to answer instead of doing what is asked, or None to be honest this time. It may look
# at the cache and change it.
Lie = Callable[[Cache, Request], "Answer | None"]


class Liar:
    """The server, in a thread of its own from `with` to its end; `told` counts its lies."""

    def __init__(self, lie: Lie | None = None, every: int = 7) -> None:
        self.lie = lie
        self.every = every
        self.cache = Cache()
        self.seen = 0
        self.told = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._clients: set[asyncio.Task[None]] = set()

    def _answer(self, r: Request) -> Answer:
        # Every key is stored first.
        settled = bool(self.cache.past.get(r.key))
        if self.lie is not None and settled:
            self.seen += 1
            if self.seen % self.every == 0:
                answer = self.lie(self.cache, r)
                if answer is not None:
                    self.told += 1
                    return answer
        return self.cache.answer(r)

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(fields.get("Content-Length", 0)))
        _, which, key = urllib.parse.urlsplit(target).path.split("/", 2)
        return Request(method, which == "raw", key, body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while True:
                answer = self._answer(await self._read(reader))
                await asyncio.sleep(answer.wait)
                if answer.silent:
                    return
                writer.write(answer.encode())
                await writer.drain()
                if answer.cut is not None:
                    return
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _main(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 21)
        self.port = server.sockets[0].getsockname()[1]
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._clients):
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    def _run(self) -> None:
        main: Coroutine[Any, Any, None] = self._main()
        self._loop.run_until_complete(main)
        self._loop.close()

    def __enter__(self) -> "Liar":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
