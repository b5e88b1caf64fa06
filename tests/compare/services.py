"""The two services on one private Redis, and how a case is sent to them."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import resp
from cases import Case, Send, Tell
from difference import parse
from harness import FRONTS, Front, Larder, Process, Redis, Workspace, eventually
from rawhttp import Answer, Closed, Http, build

FASTAPI = "fastapi"
PYTHON = "/usr/bin/python3"
PACKAGES = {"fastapi": "python3-fastapi", "uvicorn": "python3-uvicorn", "redis": "python3-redis"}


def missing_packages() -> list[str]:
    """What the FastAPI service needs and isn't there."""
    return [package for module, package in PACKAGES.items()
            if subprocess.run([PYTHON, "-c", f"import {module}"], capture_output=True,
                              check=False).returncode]


class FastApi(Process):
    """The FastAPI service: `app` in a file of Python, under uvicorn with two workers."""

    def __init__(self, space: Workspace, source: Path, redis: Redis) -> None:
        super().__init__(space, FASTAPI)
        self.source = source
        self.port = space.port()
        # Whichever it reads.
        self.env = {"REDIS_SOCKET": str(redis.socket), "REDIS_HOST": "127.0.0.1",
                    "REDIS_PORT": str(redis.port), "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self) -> FastApi:
        """Starts it and waits until its workers answer."""
        self.launch([PYTHON, "-m", "uvicorn", "--app-dir", self.source.parent,
                     f"{self.source.stem}:app", "--workers", "2", "--port", str(self.port),
                     "--no-access-log"], self.env)
        eventually(self._answers, 30, lambda: f"the FastAPI service answers; it said:\n"
                                              f"{self.text()}")
        return self

    def _answers(self) -> bool:
        if not self.running():
            raise AssertionError(f"the FastAPI service ended: {self.text()}")
        try:
            with Http(self.port) as client:
                client.get("/health")
                return True
        except (OSError, Closed):
            return False

    def stop(self) -> None:
        """Asks, and waits."""
        if self.running():
            self.signal(signal.SIGTERM)
            self.wait()


class Services:
    """Redis, the FastAPI service, larderd and both web servers."""

    def __init__(self, space: Workspace, source: Path) -> None:
        # Also on TCP: not every service can use a socket.
        self.redis = Redis(space, tcp=True)
        self.fastapi = FastApi(space, source, self.redis)
        self.larder = Larder(space, self.redis)
        self.fronts = [Front(space, kind, self.larder.socket) for kind in FRONTS]
        self.ports = {FASTAPI: self.fastapi.port, **{f.kind: f.port for f in self.fronts}}

    def start(self) -> None:
        """Everything, each when what it needs is there."""
        self.redis.start()
        self.fastapi.start()
        self.larder.start()
        for front in self.fronts:
            front.start()

    def stop(self) -> None:
        """Everything, latest first."""
        for front in self.fronts:
            front.stop()
        self.larder.stop()
        self.fastapi.stop()
        self.redis.stop()

    def lose_redis(self) -> None:
        """Ends Redis, as a crash would."""
        self.redis.kill()

    def regain_redis(self) -> None:
        """Starts it again and waits until both services have seen it."""
        self.redis.start()
        for port in self.ports.values():
            with Http(port) as client:
                eventually(lambda: client.get("/cache/none").status == 404, 10, "Redis is seen")

    def counts(self, name: str) -> tuple[int, int]:
        """Hits and misses as a service tells them."""
        with Http(self.ports[name]) as client:
            document = client.get("/stats").json()
            return document["hits"], document["misses"]

    def run(self, case: Case, writer: str, reader: str, redis_up: bool) -> list[Result]:
        """A case with its writes sent to one service and its reads to another; the answers."""
        if redis_up:
            self.redis.ask("FLUSHALL")
        before = self.counts(reader) if case.counted else (0, 0)
        results = [self._step(step, writer, reader) for step in case.steps]
        if case.counted:
            after = self.counts(reader)
            results.append(Result(None, f"{after[0] - before[0]} hits, "
                                        f"{after[1] - before[1]} misses"))
        return results

    def _step(self, step: Send | Tell, writer: str, reader: str) -> Result:
        if isinstance(step, Tell):
            return Result(step, self._tell(step))
        reads = step.method in ("GET", "HEAD")
        with Http(self.ports[reader if reads else writer]) as client:
            return Result(step, exchange(client, step))

    def _tell(self, step: Tell) -> Any:
        try:
            return self.redis.ask(step.command, *step.words)
        except resp.ReplyError as e:
            return str(e)


class Result:
    """What a step gave: an answer, or something to compare as it is."""

    def __init__(self, step: Send | Tell | None, what: Answer | Any) -> None:
        self.step = step
        self.what = what

    @property
    def title(self) -> str:
        """How its differences are introduced."""
        if self.step is None:
            return "counted"
        return self.step.method if isinstance(self.step, Send) else f"Redis {self.step.command}"


def exchange(client: Http, step: Send) -> Answer:
    """Sends a request as it stands and reads the answer."""
    if ("Transfer-Encoding", "chunked") in step.headers and step.body is not None:
        head = build(step.method, step.target, step.headers)
        return client.exchange(head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(step.body), step.body))
    return client.request(step.method, step.target, step.body, step.headers)


def show(result: Result) -> str:
    """A result in a line, for the user."""
    if not isinstance(result.what, Answer):
        return f"{result.title}: {result.what!r}"
    body = parse(result.what.body)
    text = result.what.body.decode(errors="replace") if body != b"" else "(no body)"
    return f"{result.title}: {result.what.status} {text[:200]}"
