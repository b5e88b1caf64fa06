"""A Redis client of a few lines, so that the tests can look behind the service's back."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, BinaryIO


class ReplyError(Exception):
    """Redis answered with an error."""


def encode(*args: str | bytes | int) -> bytes:
    """A command as RESP2."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def read_raw(stream: BinaryIO) -> bytes:
    """The bytes of one whole RESP2 value; empty at the end of the stream."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        return b""
    kind, count = line[:1], line[1:-2]
    if kind == b"$" and int(count) >= 0:
        return line + stream.read(int(count) + 2)
    if kind == b"*" and int(count) >= 0:
        return line + b"".join(read_raw(stream) for _ in range(int(count)))
    return line


def read_value(stream: BinaryIO) -> Any:
    """One RESP2 value; an error inside an array is returned, not raised."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("Redis closed the connection")
    kind, rest = line[:1], line[1:-2]
    if kind == b"+":
        return rest.decode()
    if kind == b"-":
        return ReplyError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else stream.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return None if rest == b"-1" else [read_value(stream) for _ in range(int(rest))]
    raise ConnectionError(f"not RESP2: {line!r}")


class Client:
    """One blocking connection to a Redis on a unix socket."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._stream = self._socket.makefile("rb")

    def ask(self, *args: str | bytes | int) -> Any:
        """Sends one command and gives its reply."""
        self._socket.sendall(encode(*args))
        value = read_value(self._stream)
        if isinstance(value, ReplyError):
            raise value
        return value

    def send(self, *args: str | bytes | int) -> None:
        """Sends one command without waiting for its reply."""
        self._socket.sendall(encode(*args))

    def close(self) -> None:
        """Closes the connection."""
        self._stream.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
