"""The processes under test: a private Redis, larderd and a web server.

Each lives in a directory of its own below one short temporary root, and is stopped by the test or
fixture that started it. Every stop checks what stopping promises: exit status, files removed,
nothing that a sanitizer or valgrind found.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import fcgi
import resp
import valgrind
from rawhttp import Http

SRCDIR = Path(os.environ.get("SRCDIR") or Path(__file__).resolve().parents[2]).resolve()
BUILDDIR = Path(os.environ.get("BUILDDIR") or SRCDIR).resolve()
LARDERD = BUILDDIR / "larderd"
FRONTS = ("lighttpd", "nginx")
VALGRIND = os.environ.get("LARDER_VALGRIND") == "1"
PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


# What is given back to malloc goes back to the system, so that what is resident is what is in use:
# otherwise it moves by a MB or two, which hides what grows slowly.
EXACT_MALLOC = {"MALLOC_TOP_PAD_": "0", "MALLOC_TRIM_THRESHOLD_": "4096"}


# What a process says that was killed, or traced, while LeakSanitizer looked.
FOUND_NOTHING = "LeakSanitizer has encountered a fatal error"


def built_with_sanitizer() -> bool:
    """Whether larderd carries ASan or UBSan, which make it several times slower."""
    data = LARDERD.read_bytes()
    return b"__asan_init" in data or b"__ubsan_handle" in data


SANITIZED = LARDERD.exists() and built_with_sanitizer()
# It counts the lines that run, and writes the counts into files when it ends.
COVERED = LARDERD.exists() and b".gcda" in LARDERD.read_bytes()
# What a bound on time is multiplied by.
SLOW = 20.0 if VALGRIND else 4.0 if SANITIZED or COVERED else 1.0


def eventually(check: Callable[[], Any], timeout: float = 10.0,
               what: str | Callable[[], str] = "") -> Any:
    """Polls until `check` gives something true, and returns that; `what` says what didn't come."""
    end = time.monotonic() + timeout * SLOW
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() > end:
            name = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {timeout * SLOW:.1f} s: {name}; last: {result!r}")
        time.sleep(0.005)


def stat_fields(pid: int) -> list[str]:
    """/proc/PID/stat from the state on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    """Whether the process runs: a zombie doesn't."""
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def children(pid: int) -> list[int]:
    """The live children of a process."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields and int(fields[1]) == pid and fields[0] not in "ZX":
                found.append(int(entry))
    return sorted(found)


def pause(pid: int) -> None:
    """Stops a process, and waits until it stands still: the signal alone leaves it a moment, in
    which it may still take what comes."""
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: stat_fields(pid)[:1] == ["T"], what=f"process {pid} is stopped")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(match.group(1)) if match else 0


def open_descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def limit_descriptors(pid: int, soft: int) -> int:
    """Sets how many descriptors a process, and what it forks from then on, may have.

    Gives the limit there was.
    """
    before, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    return before


class Workspace:
    """The temporary root of one pytest process, and the account of what runs below it."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="larder-e2e-", dir="/tmp"))
        self.root.chmod(0o755)
        self._numbers = itertools.count(1)
        self.running: list[Process] = []
        self._ports: list[socket.socket] = []
        # Orphans come to this process, so that none is overlooked.
        pr_set_child_subreaper = 36
        if ctypes.CDLL(None, use_errno=True).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")

    def directory(self, name: str) -> Path:
        """A new directory with a short path."""
        path = self.root / f"{name}{next(self._numbers)}"
        path.mkdir()
        return path

    def port(self) -> int:
        """A port for a server of this process, below those the kernel gives to clients.

        It stays bound here, so that no other run takes it; with SO_REUSEADDR on both sides that
        doesn't hinder the server.
        """
        while True:
            holder = socket.socket()
            try:
                holder.bind(("127.0.0.1", random.randint(12000, 32000)))
            except OSError:
                holder.close()
                continue
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._ports.append(holder)
            port: int = holder.getsockname()[1]
            return port

    def findings(self, below: Path | None = None) -> list[str]:
        """What sanitizers and valgrind have written, of one process or of all."""
        root = below or self.root
        texts = [(p.name, p.read_text(errors="replace"))
                 for p in sorted(root.glob("**/sanitizer.*"))]
        found = [f"{name}: {text[:4000]}" for name, text in texts
                 if FOUND_NOTHING not in text or re.search("ERROR: |runtime error: ", text)]
        return [*found, *valgrind.findings(root)]

    def orphans(self) -> list[str]:
        """Children of this process that run, after the dead have been collected."""
        self._reap()
        found = []
        for pid in children(os.getpid()):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
            found.append(f"{pid} {command.decode(errors='replace')}")
        return found

    @staticmethod
    def _reap() -> None:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return

    def close(self) -> None:
        """Asserts that nothing was left behind, and removes the root."""
        left = [p.name for p in self.running]
        for process in list(self.running):
            process.abandon()
        running = eventually_empty(self.orphans)
        for line in running:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        found = self.findings()
        for holder in self._ports:
            holder.close()
        shutil.rmtree(self.root)
        assert not left, f"left running by their tests: {left}"
        assert not running, f"processes that outlived their tests: {running}"
        assert not found, "\n".join(found)


def eventually_empty(probe: Callable[[], list[str]]) -> list[str]:
    """What `probe` still finds after it had time to become empty."""
    end = time.monotonic() + 5 * SLOW
    while (found := probe()) and time.monotonic() < end:
        time.sleep(0.02)
    return found


class Process:
    """A server in the foreground, with what it prints in a file."""

    def __init__(self, space: Workspace, name: str) -> None:
        self.space = space
        self.name = name
        self.directory = space.directory(name)
        self.output = self.directory / "output"
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, also of one that has ended."""
        assert self.popen is not None, f"{self.name} was never started"
        return self.popen.pid

    def launch(self, argv: Sequence[str | Path], env: Mapping[str, str] | None = None,
               stdin: int | IO[bytes] | None = None, pass_fds: Sequence[int] = (),
               limits: Sequence[str] = ()) -> None:
        """Starts it; it is told to stop if this process dies."""
        prefix = ["setpriv", "--pdeathsig", "TERM", *limits]
        with open(self.output, "ab") as out:
            self.popen = subprocess.Popen(
                [*prefix, *map(str, argv)], env={"PATH": PATH, "LANG": "C.UTF-8", **(env or {})},
                stdin=subprocess.DEVNULL if stdin is None else stdin, stdout=out, stderr=out,
                pass_fds=pass_fds, cwd=self.directory)
        self.space.running.append(self)

    def signal(self, number: int) -> None:
        """Sends a signal to the process."""
        os.kill(self.pid, number)

    def running(self) -> bool:
        """Whether it has neither ended nor been waited for."""
        return self.popen is not None and self.popen.poll() is None

    def wait(self, timeout: float = 15.0) -> int:
        """Waits for its end and gives the exit status."""
        assert self.popen is not None
        try:
            status = self.popen.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            text = self.text()
            self.abandon()
            raise AssertionError(f"{self.name} did not end in {timeout} s; it said:\n{text}")
        if self in self.space.running:
            self.space.running.remove(self)
        return status

    def abandon(self) -> None:
        """Ends it in whatever state it is, with all of its children."""
        if self.popen is None:
            return
        family = [*children(self.pid), self.pid] if alive(self.pid) else []
        for pid in family:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait()
        if self in self.space.running:
            self.space.running.remove(self)

    def text(self) -> str:
        """All it has printed."""
        return self.output.read_text(errors="replace") if self.output.exists() else ""

    def wait_text(self, pattern: str, timeout: float = 10.0) -> re.Match[str]:
        """Waits until it has printed something that matches."""
        match: re.Match[str] = eventually(
            lambda: re.search(pattern, self.text(), re.M), timeout,
            lambda: f"{self.name} prints /{pattern}/; it printed:\n{self.text()}")
        return match


class Redis(Process):
    """A private Redis without persistence."""

    def __init__(self, space: Workspace, *args: str, tcp: bool = False,
                 password: str | None = None) -> None:
        super().__init__(space, "redis")
        self.socket = self.directory / "redis.sock"
        self.port = space.port() if tcp else 0
        self.password = password
        self.args = [*args, *(("--requirepass", password) if password is not None else ())]

    def start(self) -> "Redis":
        """Starts it (again) and waits until it answers."""
        self.launch(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1",
                     "--unixsocket", self.socket, "--save", "", "--enable-debug-command", "local",
                     "--dir", self.directory, *self.args])
        eventually(self._answers, what="Redis answers")
        return self

    def _answers(self) -> bool:
        if not self.running():
            raise AssertionError(f"redis-server ended: {self.text()}")
        try:
            with self.client() as client:
                return client.ask("PING") in (b"PONG", "PONG")
        except (OSError, resp.ReplyError):
            return False

    def client(self) -> resp.Client:
        """A new connection to it."""
        client = resp.Client(self.socket)
        if self.password is not None:
            client.ask("AUTH", self.password)
        return client

    def ask(self, *args: str | bytes | int) -> Any:
        """One command on a connection of its own."""
        with self.client() as client:
            return client.ask(*args)

    def info(self, section: str) -> dict[str, str]:
        """INFO as a dictionary."""
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait()

    def stop(self) -> None:
        """Ends it, also if it is stopped."""
        if self.running():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            self.wait()


class Larder(Process):
    """One larderd, its master in the foreground, without a configuration file."""

    def __init__(self, space: Workspace, redis: Redis | Path | None = None, *,
                 workers: int = 2, env: Mapping[str, str] | None = None, **options: object) -> None:
        super().__init__(space, "larder")
        self.run_dir = self.directory / "run"
        self.run_dir.mkdir()
        self.socket = self.run_dir / "larder.sock"
        # Under valgrind the slowest requests take longer than Redis has for an answer.
        patience = {"LARDER_REDIS_TIMEOUT": "5000"} if VALGRIND else {}
        self.env = {**patience, **(env or {})}
        self.options: dict[str, object] = {
            "config": "/dev/null", "run-dir": self.run_dir, "listen": self.socket,
            "workers": workers}
        # Without one it must not find the machine's own.
        self.has_redis = redis is not None
        path = redis.socket if isinstance(redis, Redis) else redis
        self.options["redis-socket"] = path or self.directory / "no-redis.sock"
        self.options.update((name.replace("_", "-"), value) for name, value in options.items())
        self.options = {k: v for k, v in self.options.items() if v is not None}

    @property
    def worker_count(self) -> int:
        """How many workers it was told to have; 1 if the file or the environment says it."""
        return int(str(self.options.get("workers", 1)))

    def arguments(self) -> list[str]:
        """Its command line after the program's name."""
        return [f"--{name}={value}" for name, value in self.options.items()]

    def environment(self) -> dict[str, str]:
        """What it finds in its environment, with the sanitizers told to write into files."""
        log = f"log_path={self.directory}/sanitizer"
        return {"ASAN_OPTIONS": f"{log}:detect_leaks=1:abort_on_error=0",
                "UBSAN_OPTIONS": f"{log}:print_stacktrace=1", **self.env}

    def command(self) -> list[str]:
        """The program and its arguments, below valgrind if that is asked for."""
        tool = valgrind.command(self.directory) if VALGRIND else []
        return [*tool, str(LARDERD), *self.arguments()]

    def start(self, *, ready: bool | None = None, **launch: Any) -> "Larder":
        """Starts it and waits until it serves, and Redis is reached if it has one; with `ready` by
        each worker, which GET /stats tells."""
        self.launch(self.command(), self.environment(), **launch)
        self.wait_serving()
        if ready or (ready is None and self.has_redis):
            eventually(self._all_ready if ready else self.ready, 20,
                       lambda: f"Redis is reached; log:\n{self.text()}")
        return self

    def wait_serving(self, timeout: float = 20.0) -> None:
        """Waits until it answers and has all of its workers."""
        eventually(self._serves, timeout, lambda: f"larderd answers; it said:\n{self.text()}")

    def _serves(self) -> bool:
        if not self.running():
            assert self.popen is not None
            raise AssertionError(f"larderd ended with {self.popen.poll()}: {self.text()}")
        try:
            status = self.fastcgi("GET", "/health/live").status
        except (OSError, fcgi.Closed):
            return False
        return status == 200 and len(self.workers()) >= self.worker_count

    def _all_ready(self) -> bool:
        return self.ready() and all(row["redis_ready"] for row in self.stats()["workers"])

    def ready(self) -> bool:
        """Whether /health/ready says that requests can be served."""
        return self.fastcgi("GET", "/health/ready").status == 200

    def workers(self) -> list[int]:
        """The pids of its workers: the master's children that run."""
        return children(self.pid)

    def connect(self, timeout: float = 10.0) -> fcgi.Connection:
        """A FastCGI connection to it."""
        return fcgi.Connection(self.socket, timeout * SLOW)

    def fastcgi(self, method: str, target: str | bytes, body: bytes = b"",
                **params: str | bytes) -> fcgi.Response:
        """One request on a FastCGI connection of its own."""
        with self.connect() as connection:
            return connection.request(method, target, body, params=params)

    def stats(self) -> dict[str, Any]:
        """GET /stats."""
        answer = self.fastcgi("GET", "/stats")
        assert answer.status == 200, answer
        document: dict[str, Any] = answer.json()
        return document

    def stop(self, timeout: float = 15.0) -> None:
        """Stops it gracefully and asserts that it kept its promises."""
        if not self.running():
            if self.popen is None or self not in self.space.running:
                return
            self.space.running.remove(self)
            raise AssertionError(f"larderd ended on its own: {self.text()[-4000:]}")
        family = self.workers()
        self.signal(signal.SIGTERM)
        status = self.wait(timeout)
        self.check_ended(status, family)

    def check_ended(self, status: int, family: Sequence[int]) -> None:
        """Asserts what every graceful end owes: status 0, no process, no file, no finding."""
        found = self.space.findings(self.directory)
        assert not found, "\n".join(found)
        assert status == 0, f"larderd ended with {status}: {self.text()[-4000:]}"
        left = [pid for pid in family if alive(pid)]
        assert not left, f"workers that outlived the master: {left}"
        files = sorted(p.name for p in self.run_dir.iterdir())
        assert not files, f"left in the run directory: {files}"


class Front(Process):
    """A web server in front of a larderd, configured from conf/."""

    def __init__(self, space: Workspace, kind: str, socket_path: Path) -> None:
        super().__init__(space, kind)
        self.kind = kind
        self.port = space.port()
        self.config = self.directory / f"{kind}.conf"
        script = SRCDIR / "scripts" / "front-conf.sh"
        made = subprocess.run([script, kind, str(self.port), socket_path, self.directory],
                              capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        self.config.write_text(made.stdout)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Front":
        """Starts it and waits until it accepts connections."""
        argv: list[str | Path] = ["lighttpd", "-D", "-f", self.config]
        if self.kind == "nginx":
            argv = ["nginx", "-e", self.directory / "nginx.log", "-c", self.config,
                    "-g", "daemon off;"]
        self.launch(argv)
        eventually(self._accepts, what=f"{self.kind} listens")
        return self

    def _accepts(self) -> bool:
        if not self.running():
            raise AssertionError(f"{self.kind} ended: {self.text()}{self.log()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def log(self) -> str:
        """Its error log."""
        path = self.directory / f"{self.kind}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def http(self) -> Http:
        """A client with a kept connection to it."""
        return Http(self.port, 15 * SLOW)

    def stop(self) -> None:
        """Stops it at once, and looks what it had to say of larderd's answers."""
        if self.running():
            self.signal(signal.SIGTERM)
            self.wait()
        complaints = [line for line in self.log().splitlines()
                      if re.search(r"\[(alert|emerg)\]|upstream sent|unexpected FastCGI", line)]
        assert not complaints, complaints[:3]


class Stack:
    """Redis, larderd and both web servers, all running."""

    def __init__(self, space: Workspace, fronts: Sequence[str] = FRONTS,
                 redis_args: Sequence[str] = (), **options: Any) -> None:
        self.space = space
        self.fronts: dict[str, Front] = {}
        self.redis = Redis(space, *redis_args)
        try:
            self.redis.start()
            self.larder = Larder(space, self.redis, **options)
            self.larder.start()
            for kind in fronts:
                self.fronts[kind] = Front(space, kind, self.larder.socket).start()
        except BaseException:
            self.abandon()
            raise

    def parts(self) -> Iterator[Process]:
        """Everything in it, clients first."""
        yield from self.fronts.values()
        if hasattr(self, "larder"):
            yield self.larder
        yield self.redis

    def abandon(self) -> None:
        """Ends all of it in whatever state it is."""
        for part in self.parts():
            part.abandon()

    def stop(self) -> None:
        """Stops all of it and asserts that larderd kept its promises."""
        for front in self.fronts.values():
            front.stop()
        try:
            self.larder.stop()
        finally:
            self.redis.stop()
