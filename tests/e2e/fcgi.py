"""A FastCGI client that can also break every rule: it plays the web server."""

from __future__ import annotations

import array
import fcntl
import json
import select
import socket
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA = range(1, 9)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
REQUEST_COMPLETE, CANT_MPX_CONN, OVERLOADED, UNKNOWN_ROLE = range(4)
KEEP_CONN = 1

Pairs = Sequence[tuple[bytes, bytes]]


class Closed(Exception):
    """The peer closed the connection before the end of the answer."""


def record(kind: int, content: bytes = b"", request_id: int = 1, padding: int = 0,
           version: int = 1) -> bytes:
    """One record; `content` has at most 65535 bytes."""
    header = struct.pack(">BBHHBB", version, kind, request_id, len(content), padding, 0)
    return header + content + b"\0" * padding


def stream(kind: int, content: bytes, request_id: int = 1, chunk: int = 65535,
           padding: int = 0) -> bytes:
    """A stream of records with its empty one at the end."""
    parts = [content[i:i + chunk] for i in range(0, len(content), chunk)]
    return b"".join(record(kind, p, request_id, padding) for p in [*parts, b""])


def _length(n: int) -> bytes:
    return bytes([n]) if n < 128 else struct.pack(">I", n | 0x80000000)


def pair(name: bytes, value: bytes) -> bytes:
    """One name and value as PARAMS content."""
    return _length(len(name)) + _length(len(value)) + name + value


def begin(role: int = RESPONDER, keep: bool = False, request_id: int = 1) -> bytes:
    """A BEGIN_REQUEST record."""
    return record(BEGIN, struct.pack(">HB5x", role, KEEP_CONN if keep else 0), request_id)


def default_params(method: str, target: str | bytes, body: bytes,
                   extra: Mapping[str, str | bytes] | None = None) -> list[tuple[bytes, bytes]]:
    """What a web server passes for a request; an extra value replaces a default one."""
    params: dict[str, str | bytes] = {
        "REQUEST_METHOD": method, "REQUEST_URI": target,
        "CONTENT_TYPE": "application/json" if body else "",
        "CONTENT_LENGTH": str(len(body)) if body else "", **(extra or {})}
    return [(k.encode(), v if isinstance(v, bytes) else v.encode()) for k, v in params.items()]


def request_bytes(method: str, target: str | bytes, body: bytes = b"", *,
                  params: Mapping[str, str | bytes] | None = None, pairs: Pairs | None = None,
                  keep: bool = False, request_id: int = 1, padding: int = 0,
                  chunk: int = 65535) -> bytes:
    """A whole request. `pairs` replaces all parameters."""
    if pairs is None:
        pairs = default_params(method, target, body, params)
    content = b"".join(pair(k, v) for k, v in pairs)
    return (begin(keep=keep, request_id=request_id)
            + stream(PARAMS, content, request_id, chunk, padding)
            + stream(STDIN, body, request_id, chunk, padding))


@dataclass
class Response:
    """A decoded answer."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    protocol_status: int = REQUEST_COMPLETE
    app_status: int = 0
    stderr: bytes = b""

    def header(self, name: str) -> str | None:
        """A field's value; None if it is absent. One that came twice is a failure."""
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times: {self.headers}"
        return found[0] if found else None

    def json(self) -> Any:
        """The body as JSON; it must be strict UTF-8."""
        return json.loads(self.body.decode("utf-8"))

    @property
    def slug(self) -> str:
        """Which problem it is; empty if it isn't one."""
        if self.header("Content-Type") != "application/problem+json":
            return ""
        return str(self.json()["type"]).removeprefix("/errors/")


def parse_response(output: bytes) -> Response:
    """Splits the bytes of STDOUT into status, header and body."""
    head, separator, body = output.partition(b"\r\n\r\n")
    assert separator, f"no end of the header: {output[:200]!r}"
    response = Response(body=body)
    for line in head.decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(": ")
        assert colon, f"not a field: {line!r}"
        if name.lower() == "status":
            response.status = int(value.split(" ")[0])
        else:
            response.headers.append((name, value))
    return response


def content_of(data: bytes, kind: int = STDOUT) -> bytes:
    """What the records of a kind carry, of all that came on a connection."""
    content, at = bytearray(), 0
    while at < len(data):
        this, n, padding = struct.unpack(">xBxxHBx", data[at:at + 8])
        content += data[at + 8:at + 8 + n] if this == kind else b""
        at += 8 + n + padding
    return bytes(content)


class Connection:
    """One connection to a FastCGI socket."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self._buffer = bytearray()
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    @classmethod
    def of(cls, connected: socket.socket) -> "Connection":
        """A connection that is there already."""
        connection = cls.__new__(cls)
        connection.socket = connected
        connection._buffer = bytearray()
        return connection

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self.socket.sendall(data)

    def wait_consumed(self) -> None:
        """Waits until the peer has read all that was sent."""
        unread = array.array("i", [1])
        end = time.monotonic() + 10
        while True:
            fcntl.ioctl(self.socket, termios.TIOCOUTQ, unread)
            if unread[0] == 0:
                return
            assert time.monotonic() < end, "the peer reads nothing"
            time.sleep(0)

    def _fill(self, n: int) -> None:
        while len(self._buffer) < n:
            try:
                data = self.socket.recv(262144)
            except ConnectionError as e:
                raise Closed(str(e)) from e
            if not data:
                raise Closed(f"{len(self._buffer)} bytes into a record")
            self._buffer += data

    def read_record(self) -> tuple[int, int, bytes]:
        """The next record: its type, request id and content."""
        self._fill(8)
        version, kind, request_id, n, padding, _ = struct.unpack(">BBHHBB", self._buffer[:8])
        assert version == 1, f"version {version}"
        self._fill(8 + n + padding)
        content = bytes(self._buffer[8:8 + n])
        del self._buffer[:8 + n + padding]
        return kind, request_id, content

    def records(self) -> Iterator[tuple[int, int, bytes]]:
        """All records until the peer closes."""
        while True:
            try:
                yield self.read_record()
            except Closed:
                return

    def read_response(self, request_id: int = 1) -> Response:
        """Reads up to END_REQUEST of this request; records of another are a failure."""
        output, errors = bytearray(), bytearray()
        while True:
            kind, record_id, content = self.read_record()
            assert record_id == request_id, f"a record of request {record_id}, not {request_id}"
            if kind == STDOUT:
                output += content
            elif kind == STDERR:
                errors += content
            elif kind == END:
                app_status, protocol_status = struct.unpack(">IB3x", content)
                break
            else:
                raise AssertionError(f"a record of type {kind} in an answer")
        response = parse_response(bytes(output)) if output else Response(status=0)
        response.app_status, response.protocol_status = app_status, protocol_status
        response.stderr = bytes(errors)
        return response

    def request(self, method: str, target: str | bytes, body: bytes = b"", *,
                keep: bool = False, request_id: int = 1, **options: Any) -> Response:
        """One request and its answer, whose length must be what it says."""
        self.send(request_bytes(method, target, body, keep=keep, request_id=request_id, **options))
        response = self.read_response(request_id)
        check_length(method, response)
        return response

    def readable(self, timeout: float) -> bool:
        """Whether bytes or the end of the connection come within this time."""
        return bool(self._buffer) or bool(select.select([self.socket], [], [], timeout)[0])

    def at_end(self) -> bool:
        """Whether the peer closes without another byte."""
        if self._buffer:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def seconds_until_closed(self, limit: float) -> float | None:
        """How long the peer takes to hang up, without reading anything; None beyond `limit`."""
        poller = select.poll()
        poller.register(self.socket, 0)
        start = time.monotonic()
        while (left := limit - (time.monotonic() - start)) > 0:
            events = poller.poll(left * 1000)
            if any(mask & (select.POLLHUP | select.POLLERR) for _, mask in events):
                return time.monotonic() - start
        return None

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_length(method: str, response: Response) -> None:
    """Content-Length is there and true (for HEAD: there, and no body)."""
    if response.status == 0:
        return
    length = response.header("Content-Length")
    if response.status in (204, 304):
        assert response.body == b""
        return
    assert length is not None, f"no Content-Length: {response}"
    assert len(response.body) == (0 if method == "HEAD" else int(length)), response
