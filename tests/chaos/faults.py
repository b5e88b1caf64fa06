"""larder-faults, the proxy between larderd and Redis that breaks things (tests/chaos/proxy)."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import BUILDDIR, Process, Workspace, eventually

PROGRAM = BUILDDIR / "tests" / "chaos" / "larder-faults"


class Refused(Exception):
    """A command that the proxy didn't take."""


class Faults(Process):
    """A proxy in front of a Redis's Unix socket; it passes everything on until it is told more.

    `path` is where larderd finds it: Larder(space, faults.path).
    """

    def __init__(self, space: Workspace, upstream: Path, *, tcp: bool = False,
                 seed: int = 0) -> None:
        super().__init__(space, "faults")
        self.path = self.directory / "faults.sock"
        self.port = space.port() if tcp else 0
        self._upstream = upstream
        self._seed = seed
        self._control: socket.socket | None = None

    def start(self) -> "Faults":
        """Starts it and waits until it takes commands."""
        listen = f"127.0.0.1:{self.port}" if self.port else self.path
        control = self.directory / "control.sock"
        self.launch([PROGRAM, "--listen", listen, "--connect", self._upstream,
                     "--control", control, "--seed", str(self._seed)])
        eventually(lambda: self._reach(control), what=lambda: f"larder-faults: {self.text()}")
        return self

    def _reach(self, control: Path) -> bool:
        if not self.running():
            raise AssertionError(f"larder-faults ended: {self.text()}")
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        if sock.connect_ex(str(control)) != 0:
            sock.close()
            return False
        self._control = sock
        return True

    def command(self, line: str) -> str:
        """One command; its answer's line."""
        assert self._control is not None, "it was never started"
        self._control.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = self._control.recv(4096)
            if not piece:
                raise AssertionError(f"larder-faults ended: {self.text()}")
            answer += piece
        return answer.decode().rstrip("\n")

    def set(self, mode: str, *arguments: int | str, requests: bool = False) -> None:
        """From now on, what is on its way to larderd (or to Redis) suffers this."""
        words = ["requests"] if requests else []
        answer = self.command(" ".join([*words, mode, *map(str, arguments)]))
        if answer != "ok":
            raise Refused(answer)

    def clear(self) -> None:
        """Passes everything on again."""
        self.set("pass")
        self.set("pass", requests=True)

    def cut(self) -> None:
        """Ends the connections that there are."""
        self.set("cut")

    def stats(self) -> dict[str, Any]:
        """What went through, and how many faults there were."""
        document: dict[str, Any] = json.loads(self.command("stats"))
        return document

    def stop(self) -> None:
        """Ends it, and what goes through it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self.running():
            self.signal(15)
            status = self.wait()
            assert status == 0, f"larder-faults ended with {status}: {self.text()}"
