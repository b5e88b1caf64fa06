"""A FastCGI application that answers each request with the parameters it got: what web servers make
of a request, before larder sees it."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import fcgi

Pairs = list[tuple[str, str]]


def _split(content: bytes) -> Pairs:
    """The names and values of a PARAMS stream; bytes as Latin-1."""
    pairs, at = [], 0
    while at < len(content):
        lengths = []
        for _ in range(2):
            n = content[at]
            if n >= 0x80:
                n = int.from_bytes(content[at:at + 4], "big") & 0x7FFFFFFF
                at += 3
            at += 1
            lengths.append(n)
        name, value = content[at:at + lengths[0]], content[at + lengths[0]:at + sum(lengths)]
        pairs.append((name.decode("latin-1"), value.decode("latin-1")))
        at += sum(lengths)
    return pairs


class Responder:
    """Serves a socket until it is closed, one connection after the other."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with fcgi.Connection.of(connected) as connection:
                try:
                    self._answer(connection)
                except (fcgi.Closed, OSError):
                    pass

    @staticmethod
    def _answer(connection: fcgi.Connection) -> None:
        """One request; the connection ends with it, whatever the server asked for."""
        params = body = b""
        request_id = 0
        while True:
            kind, request_id, content = connection.read_record()
            if kind == fcgi.PARAMS:
                params += content
            elif kind == fcgi.STDIN:
                body += content
                if not content:
                    break
        document = json.dumps({"params": _split(params), "body": body.decode("latin-1")})
        head = "Status: 200\r\nContent-Type: application/json\r\n\r\n"
        connection.send(fcgi.stream(fcgi.STDOUT, (head + document).encode(), request_id)
                        + fcgi.record(fcgi.END, b"\0" * 8, request_id))

    def close(self) -> None:
        """Ends it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
