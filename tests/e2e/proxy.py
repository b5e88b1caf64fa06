"""A relay between larderd and Redis that can do to the replies whatever a test asks for."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import resp

# Gets the command and Redis's own reply, sends what it wants; False hangs up.
Rule = Callable[["Link", list[bytes], bytes], bool]


class Link:
    """One connection of larderd's through the relay."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self.client = client
        self.upstream = upstream

    def send(self, data: bytes) -> bool:
        """Sends bytes to larderd; True, so that a rule can return it."""
        self.client.sendall(data)
        return True


def read_command(stream: BinaryIO) -> list[bytes]:
    """One command; empty at the end."""
    value = resp.read_raw(stream)
    if not value:
        return []
    lines = value.split(b"\r\n", 1)
    count, rest = int(lines[0][1:]), lines[1]
    args = []
    for _ in range(count):
        size, _, rest = rest.partition(b"\r\n")
        args.append(rest[:int(size[1:])])
        rest = rest[int(size[1:]) + 2:]
    return args


class Relay:
    """Listens on a unix socket of its own and passes commands on, one at a time."""

    def __init__(self, directory: Path, upstream: Path) -> None:
        self.path = directory / "relay.sock"
        self.upstream = upstream
        self.rule: Rule | None = None
        self.greeting = b""
        self.connections = 0
        self.commands: list[bytes] = []
        self._closing = threading.Event()
        self._links: list[Link] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        self._listener.settimeout(0.05)
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            client.settimeout(None)
            self.connections += 1
            if self.greeting:
                client.sendall(self.greeting)
                client.close()
                continue
            upstream = socket.socket(socket.AF_UNIX)
            if upstream.connect_ex(str(self.upstream)) != 0:
                self.commands.append(b"(nobody there)")
                upstream.close()
                client.close()
                continue
            link = Link(client, upstream)
            thread = threading.Thread(target=self._serve, args=(link,))
            self._links.append(link)
            self._threads.append(thread)
            thread.start()

    def _serve(self, link: Link) -> None:
        commands, replies = link.client.makefile("rb"), link.upstream.makefile("rb")
        try:
            while args := read_command(commands):
                link.upstream.sendall(resp.encode(*args))
                reply = resp.read_raw(replies)
                self.commands.append(args[0].upper())
                rule = self.rule
                if not reply or not (rule(link, args, reply) if rule else link.send(reply)):
                    break
        except (ConnectionError, OSError, ValueError):
            self.commands.append(b"(hung up)")
        finally:
            for stream in (commands, replies):
                stream.close()
            for sock in (link.client, link.upstream):
                sock.close()

    def push(self, data: bytes) -> None:
        """Sends bytes to larderd on the newest connection, asked or not."""
        self._links[-1].send(data)

    def hang_up(self) -> None:
        """Ends the newest connection."""
        self._links[-1].client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends it with all of its connections."""
        self._closing.set()
        self._acceptor.join()
        self._listener.close()
        for link in self._links:
            for sock in (link.client, link.upstream):
                if sock.fileno() >= 0:
                    try:
                        sock.shutdown(socket.SHUT_RDWR)
                    except OSError as e:
                        self.commands.append(f"(already gone: {e})".encode())
        for thread in self._threads:
            thread.join()
        self.path.unlink()
