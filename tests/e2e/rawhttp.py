"""A HTTP/1.1 client that sends exactly the bytes it is given."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

Header = tuple[str, str]


class Closed(Exception):
    """The server closed the connection before a whole answer."""


class NotHttp(AssertionError):
    """What came is no HTTP/1 answer."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"no HTTP answer: {data!r}")
        self.data = data


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: list[Header]
    body: bytes

    def header(self, name: str) -> str | None:
        """A field's value; None if it is absent. One that came twice is a failure."""
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        assert len(found) <= 1, f"{name} came {len(found)} times: {self.headers}"
        return found[0] if found else None

    def json(self) -> Any:
        """The body as JSON; it must be strict UTF-8."""
        return json.loads(self.body.decode("utf-8"))

    @property
    def is_problem(self) -> bool:
        """Whether larder itself made this error answer."""
        return self.header("Content-Type") == "application/problem+json"


def build(method: str, target: str | bytes, headers: Sequence[Header] = (),
          body: bytes | None = None) -> bytes:
    """The bytes of a request; a body brings its Content-Length."""
    raw = target if isinstance(target, bytes) else target.encode()
    lines = [method.encode() + b" " + raw + b" HTTP/1.1", b"Host: localhost"]
    lines += [f"{k}: {v}".encode() for k, v in headers]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (body or b"")


def read_answer(stream: BinaryIO, head: bool = False) -> Answer:
    """Reads one answer; `head` for one without a body."""
    line = stream.readline(65536)
    if not line:
        raise Closed("no answer")
    version, status, *_ = [*line.decode("latin-1").split(" ", 2), ""]
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise NotHttp(line)
    headers: list[Header] = []
    while True:
        line = stream.readline(65536)
        if line in (b"\r\n", b"\n"):
            break
        if not line:
            raise Closed("inside the header")
        name, _, value = line.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    answer = Answer(int(status), headers, b"")
    if answer.status == 100:
        return read_answer(stream, head)
    if not head and answer.status not in (204, 304):
        answer.body = _read_body(stream, answer)
    return answer


def _read_body(stream: BinaryIO, answer: Answer) -> bytes:
    if answer.header("Transfer-Encoding") == "chunked":
        body = b""
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            assert stream.read(2) == b"\r\n"
        assert stream.readline() == b"\r\n"
        return body
    length = answer.header("Content-Length")
    if length is None:
        return stream.read()
    body = stream.read(int(length))
    if len(body) != int(length):
        raise Closed(f"{len(body)} of {length} bytes of the body")
    return body


class Http:
    """A client with one kept connection, made anew when the server has closed it."""

    def __init__(self, port: int, timeout: float = 15.0) -> None:
        self._port = port
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._stream: BinaryIO | None = None

    def _open(self) -> tuple[socket.socket, BinaryIO]:
        if self._socket is None or self._stream is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = self._socket.makefile("rb")
        return self._socket, self._stream

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._open()[0].fileno()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        self._open()[0].sendall(data)

    def shutdown(self) -> None:
        """Says that nothing more will be sent."""
        self._open()[0].shutdown(socket.SHUT_WR)

    def receive_kept(self, head: bool = False) -> Answer:
        """Reads the next answer, and leaves it to the server to close the connection."""
        return read_answer(self._open()[1], head)

    def receive(self, head: bool = False) -> Answer:
        """Reads the next answer."""
        answer = self.receive_kept(head)
        if (answer.header("Connection") or "").lower() == "close":
            self.close()
        return answer

    def at_end(self) -> bool:
        """Whether the server has nothing more to say and closes."""
        return self._open()[1].read(1) == b""

    def exchange(self, data: bytes, head: bool = False) -> Answer:
        """Sends bytes and reads one answer."""
        self.send(data)
        return self.receive(head)

    def request(self, method: str, target: str | bytes, body: bytes | None = None,
                headers: Sequence[Header] = ()) -> Answer:
        """One request and its answer."""
        return self.exchange(build(method, target, headers, body), method == "HEAD")

    def get(self, target: str | bytes, headers: Sequence[Header] = ()) -> Answer:
        """GET."""
        return self.request("GET", target, headers=headers)

    def delete(self, target: str | bytes) -> Answer:
        """DELETE."""
        return self.request("DELETE", target)

    def put(self, target: str | bytes, body: bytes | str | object,
            headers: Sequence[Header] = (("Content-Type", "application/json"),)) -> Answer:
        """PUT of bytes as they are, or of anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("PUT", target, raw, headers)

    def close(self) -> None:
        """Closes the connection; the next request makes another."""
        if self._stream is not None:
            self._stream.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._stream = None

    def __enter__(self) -> "Http":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
