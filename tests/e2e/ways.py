"""The ways a request may take to the service, each on one kept connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import fcgi
from harness import FRONTS, Front, Larder, Stack
from rawhttp import Answer, Header, build

WAYS = (*FRONTS, "fastcgi")

Answered = Answer | fcgi.Response


@dataclass(slots=True)
class Request:
    """A request before it is known which way it goes."""

    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        fields = "".join(f" | {name}: {value}" for name, value in self.headers)
        body = "" if self.body is None else f" | {self.body[:200]!r}"
        if self.body is not None and len(self.body) > 200:
            body += f" ({len(self.body)} bytes)"
        return f"{self.method} {self.target}{fields}{body}"


class Way(ABC):
    """One at a time, a request goes and its answer comes."""

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def send(self, request: Request) -> None:
        """Sends a request."""

    @abstractmethod
    def receive(self) -> Answered:
        """Waits for the answer to it."""

    @abstractmethod
    def fileno(self) -> int:
        """The descriptor on which the answer comes."""

    @abstractmethod
    def close(self) -> None:
        """Closes the connection."""

    def ask(self, request: Request) -> Answered:
        """One request and its answer."""
        self.send(request)
        return self.receive()


class HttpWay(Way):
    """Through a web server."""

    def __init__(self, front: Front) -> None:
        super().__init__(front.kind)
        self._http = front.http()
        self._head = False

    def send(self, request: Request) -> None:
        body = request.body
        if body is None and request.method not in ("GET", "HEAD", "DELETE"):
            body = b""
        self._head = request.method == "HEAD"
        self._http.send(build(request.method, request.target, request.headers, body))

    def receive(self) -> Answered:
        return self._http.receive(self._head)

    def fileno(self) -> int:
        return self._http.fileno()

    def close(self) -> None:
        self._http.close()


class FastcgiWay(Way):
    """Without a web server."""

    def __init__(self, larder: Larder) -> None:
        super().__init__("fastcgi")
        self._connection = larder.connect()
        self._method = ""

    def send(self, request: Request) -> None:
        params = {"CONTENT_TYPE": ""}
        for name, value in request.headers:
            known = name == "Content-Type"
            params["CONTENT_TYPE" if known else "HTTP_" + name.upper().replace("-", "_")] = value
        self._method = request.method
        self._connection.send(fcgi.request_bytes(request.method, request.target,
                                                 request.body or b"", params=params, keep=True))

    def receive(self) -> Answered:
        answer = self._connection.read_response()
        fcgi.check_length(self._method, answer)
        return answer

    def fileno(self) -> int:
        return self._connection.socket.fileno()

    def close(self) -> None:
        self._connection.close()


def open_way(stack: Stack, name: str) -> Way:
    """A new connection by "nginx", "lighttpd" or "fastcgi"."""
    return FastcgiWay(stack.larder) if name == "fastcgi" else HttpWay(stack.fronts[name])
