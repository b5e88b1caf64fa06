"""The processes that are measured: a private Redis, larderd, larder-ceiling, web servers, peers.

A Stack owns a private directory, in memory where that is possible, and everything it launches; all
of it ends with the Stack.
"""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

TOP = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("BUILDDIR") or TOP).resolve()
LARDERD = BUILD / "larderd"
CEILING = BUILD / "bench" / "larder-ceiling"

READY_S = 10.0  # for a part to become ready
STOP_S = 8.0    # for a part to end before it is killed; larderd drains for up to 5 s

# Debian keeps servers where an ordinary user's PATH doesn't look.
os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"

PACKAGES = {"wrk": "wrk", "nginx": "nginx", "lighttpd": "lighttpd", "setpriv": "util-linux",
            "h2load": "nghttp2-client", "strace": "strace", "gnuplot": "gnuplot-nox"}
NEEDED = ("wrk", "nginx", "lighttpd", "setpriv")
REDIS_NAMES = ("redis-server", "redis-check-rdb")  # Debian's redis-tools has the second


class Failure(Exception):
    """Something that ends the benchmark, told to the user as it is."""


class Void(Failure):
    """Something that ends only what was being measured: it doesn't count."""


def tool_missing(command: str) -> str:
    """Why a command can't be used; empty if it can."""
    return "" if shutil.which(command) else (
        f"not installed: {PACKAGES[command]}. Install: "
        f"apt-get install --no-install-recommends {PACKAGES[command]}")


def check_installed() -> None:
    """Names what is missing, and its package."""
    if not any(Path("/proc/self/task").glob("*/children")):
        raise Failure("this kernel doesn't tell a process's children (CONFIG_PROC_CHILDREN), so the "
                      "workers' CPU time and memory can't be had")
    missing = [PACKAGES[command] for command in NEEDED if not shutil.which(command)]
    if not any(shutil.which(name) for name in REDIS_NAMES):
        missing.append("redis-tools")
    if missing:
        names = " ".join(missing)
        raise Failure(f"not installed: {names}. Install: "
                      f"apt-get install --no-install-recommends {names}")
    for program in (LARDERD, CEILING):
        if not os.access(program, os.X_OK):
            raise Failure(f"there is no {program}: make builds it")


def children(pid: int) -> list[int]:
    """The children of a process."""
    return [int(n) for path in Path(f"/proc/{pid}/task").glob("*/children")
            for n in path.read_text().split()]


def cpu_ns(pids: Sequence[int]) -> int:
    """Nanoseconds that the threads of these processes have run. Failure if one is gone."""
    try:
        return sum(int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
                   for pid in pids for task in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError) as e:
        raise Failure("a process died while it was measured") from e


def memory_kib(pids: Sequence[int]) -> tuple[int, int]:
    """Resident memory of processes: as a sum, and with shared pages counted in shares (PSS)."""
    rss = pss = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "Rss":
                rss += int(value.split()[0])
            elif name == "Pss":
                pss += int(value.split()[0])
    return rss, pss


class Part:
    """A process of the stack. `start` starts it, and starts it anew; `ready` says whether it has
    become ready."""

    def __init__(self, name: str, directory: Path,
                 start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.name = name
        self.directory = directory
        self.start = start
        self.popen = start()
        self.ready: Callable[[], bool] = lambda: True

    @property
    def pid(self) -> int:
        """The process that was started: of a server with workers, the master."""
        return self.popen.pid

    def processes(self) -> list[int]:
        """It and its descendants."""
        found = [self.pid]
        for pid in found:
            found += children(pid)
        return found

    def last_words(self) -> str:
        """The ends of its logs."""
        lines = []
        for log in sorted(self.directory.glob("*.log")):
            text = log.read_text(errors="replace").splitlines()[-10:]
            lines += [f"  | {line}" for line in text]
        return "\n".join(lines)

    def stop(self) -> None:
        """Asks, waits, kills."""
        # A stopped process doesn't act on TERM.
        for number in (signal.SIGCONT, signal.SIGTERM):
            if self.popen.poll() is None:
                self.popen.send_signal(number)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def private_directory() -> Path:
    """Sockets want a short path, and files memory."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    return Path(tempfile.mkdtemp(prefix="larder-bench.", dir=memory if usable else None))


def clean_environment() -> dict[str, str]:
    """The environment without options of larderd: what is measured is the default."""
    names = ("REDIS_", "LARDER_", "MAX_", "DEFAULT_TTL", "KEY_PREFIX", "LISTEN_")
    return {k: v for k, v in os.environ.items() if not k.startswith(names)}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Stack:
    """Everything that was started; stops it, latest first, when it is left."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.root = private_directory()

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        # Stopping is bounded; a second Ctrl-C must not leave half of it running.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for part in reversed(self.parts):
            part.stop()
        shutil.rmtree(self.root, ignore_errors=True)

    def directory(self, name: str) -> Path:
        """A new directory of a part."""
        path = self.root / name
        path.mkdir()
        return path

    def launch(self, name: str, directory: Path, command: Sequence[str | Path],
               environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Part:
        """Starts a part. A session of its own keeps Ctrl-C from it, and the parent-death signal
        ends it even if this program is killed outright."""
        def start() -> subprocess.Popen[bytes]:
            with open(directory / "output.log", "wb") as log:
                return subprocess.Popen(["setpriv", "--pdeathsig", "TERM", *command],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=clean_environment() | dict(environment or {}),
                                        cwd=cwd, start_new_session=True)
        part = Part(name, directory, start)
        self.parts.append(part)
        return part

    def restart(self, part: Part) -> None:
        """The same again, as new."""
        part.stop()
        part.popen = part.start()
        self.wait_ready(part, part.ready)

    def retire(self, part: Part) -> None:
        """Stops a part before the rest; another may then have its name."""
        self.parts.remove(part)
        part.stop()
        shutil.rmtree(part.directory, ignore_errors=True)

    def wait_ready(self, part: Part, ready: Callable[[], bool]) -> None:
        """Until `ready` is true; Failure if the part ends or takes too long."""
        part.ready = ready
        end = time.monotonic() + READY_S
        while not ready():
            if part.popen.poll() is not None:
                raise Failure(f"{part.name} ended while starting\n{part.last_words()}")
            if time.monotonic() > end:
                raise Failure(f"{part.name} isn't ready after {READY_S:.0f} s\n{part.last_words()}")
            time.sleep(0.005)

    def dead(self) -> list[Part]:
        """Parts that have ended by themselves."""
        return [part for part in self.parts if part.popen.poll() is not None]

    # --- the parts ---------------------------------------------------------------------------

    def start_redis(self) -> Part:
        """On a unix socket, without persistence."""
        directory = self.directory("redis")
        self.redis_socket = directory / "redis.sock"
        part = self.launch("redis", directory,
                           [TOP / "scripts/redis.sh", self.redis_socket, directory])
        self.wait_ready(part, lambda: listening(self.redis_socket))
        return part

    def launch_pool(self, name: str, command: Sequence[str | Path]) -> tuple[Part, Path]:
        """larderd or the ceiling, with default options; not yet ready. Gives its socket, too."""
        directory = self.directory(name)
        path = directory / "pool.sock"
        part = self.launch(name, directory, [
            *command, "--config", "/dev/null", "--listen", path, "--run-dir", directory,
            "--redis-socket", self.redis_socket, "--log-level", "warning"])
        return part, path

    def start_pool(self, name: str, command: Sequence[str | Path]) -> tuple[Part, Path]:
        """The same, ready."""
        part, path = self.launch_pool(name, command)
        self.wait_ready(part, lambda: listening(path))
        return part, path

    def start_front(self, name: str, front: str, port: int, pool: Path,
                    edit: Callable[[str, Path], str] | None = None) -> Part:
        """nginx or lighttpd with the configuration that ships; `edit` gets the text and the
        directory."""
        directory = self.directory(name)
        conf = directory / f"{front}.conf"
        result = subprocess.run([TOP / "scripts/front-conf.sh", front, str(port), pool, directory],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if result.returncode != 0:
            raise Failure(result.stderr.decode(errors="replace").strip())
        text = result.stdout.decode()
        conf.write_text(edit(text, directory) if edit else text)
        return self.launch_front(name, front, port, conf)

    def launch_front(self, name: str, front: str, port: int, conf: Path) -> Part:
        """A web server with a configuration in its directory, ready."""
        directory = conf.parent
        command: list[str | Path]
        if front == "nginx":
            command = ["nginx", "-e", directory / "nginx.log", "-c", conf, "-g", "daemon off;"]
        else:
            command = ["lighttpd", "-D", "-f", conf]
        part = self.launch(name, directory, command)
        self.wait_ready(part, lambda: listening(("127.0.0.1", port)))
        return part


def listening(address: Path | tuple[str, int]) -> bool:
    """Whether something accepts connections there."""
    family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
    with socket.socket(family) as probe:
        return probe.connect_ex(str(address) if isinstance(address, Path) else address) == 0


def say(text: str) -> None:
    """A line for the user."""
    print(text, flush=True)


class Progress:
    """What is going on, in one line that is overwritten; nothing where no terminal is. Who plans
    ahead says how long it will take, and spends that time bit by bit."""

    terminal = sys.stdout.isatty()
    _began = time.monotonic()
    _planned = 0.0
    _spent = 0.0

    @classmethod
    def plan(cls, seconds: float) -> None:
        """All that is still to be done, from now on."""
        cls._began, cls._planned, cls._spent = time.monotonic(), seconds, 0.0

    @classmethod
    def spend(cls, seconds: float) -> None:
        """Something is done that was planned to take so long."""
        cls._spent += seconds

    @classmethod
    def left(cls) -> str:
        """How long it will still take, judged by how plan and clock have agreed so far."""
        seconds = cls._planned - cls._spent
        if seconds <= 0:
            return ""
        if cls._spent > 0:
            seconds *= (time.monotonic() - cls._began) / cls._spent
        if seconds > 90:
            return f"{math.ceil(seconds / 60)} min left; "
        return f"{seconds:.0f} s left; "

    @classmethod
    def show(cls, text: str) -> None:
        """Until the next line."""
        if cls.terminal:
            columns = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{f'{cls.left()}{text}'[:columns - 1]}", end="", flush=True)

    @classmethod
    def line(cls, text: str) -> None:
        """A line that stays."""
        if cls.terminal:
            print("\r\x1b[K", end="")
        say(text)
