"""One HTTP request, as wrk sends it."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

from stack import Failure

TIMEOUT_S = 10.0


@dataclass
class Answer:
    """Its size is that of head and body together."""

    status: int
    body: bytes
    size: int


def read_answer(connection: socket.socket) -> Answer:
    """Head and body by Content-Length; ValueError if they aren't an answer."""
    data = b""
    need: int | None = None
    while need is None or len(data) < need:
        more = connection.recv(1 << 20)
        if not more:
            raise ValueError(f"the connection was closed after {data[:200]!r}")
        data += more
        head, end, _ = data.partition(b"\r\n\r\n")
        if end and need is None:
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if not length:
                raise ValueError(f"no Content-Length in {head!r}")
            need = len(head) + len(end) + int(length[1])
    return Answer(int(head.split(b" ", 2)[1]), data[len(head) + 4:], len(data))


def ask(host: str, method: str, path: str, body: str | None = None) -> Answer:
    """Failure if there is no answer."""
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    name, _, port = host.partition(":")
    try:
        with socket.create_connection((name, int(port)), timeout=TIMEOUT_S) as connection:
            connection.sendall(f"{head}\r\n{body or ''}".encode())
            return read_answer(connection)
    except (OSError, ValueError) as e:
        raise Failure(f"{method} http://{host}{path}: {e}") from e


def answers(address: Path | tuple[str, int]) -> bool:
    """Whether GET / gives an answer there soon."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(0.5)
        try:
            connection.connect(str(address) if isinstance(address, Path) else address)
            connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return read_answer(connection).status > 0
        except (OSError, ValueError):
            return False
