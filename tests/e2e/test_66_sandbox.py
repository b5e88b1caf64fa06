"""What the unit for systemd forbids: how little is left (systemd-analyze), and that it is enough.

The service's whole life is watched by strace, and each system call held against the unit, so that
no systemd has to run here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from harness import BUILDDIR, LARDERD, PATH, SRCDIR, Larder, Redis, Workspace, eventually

NewRedis = Callable[..., Redis]

UNIT = BUILDDIR / "systemd" / "larder.service"
# tenths, as --threshold wants them
EXPOSURE_MOST = 15
DEPLOY = (SRCDIR / "docs" / "deploy.md").read_text()


def tool(name: str, package: str) -> str:
    """The path of a tool; without it this is a failure that names the Debian package."""
    path = shutil.which(name, path=PATH)
    assert path, f"{name} is missing: apt-get install --no-install-recommends {package}"
    return path


def analyze(*args: str | Path) -> subprocess.CompletedProcess[str]:
    """systemd-analyze, which needs no running systemd for what is asked of it here."""
    return subprocess.run([tool("systemd-analyze", "systemd"), "--no-pager", *args], text=True,
                          capture_output=True, check=False, timeout=60,
                          env={"PATH": PATH, "LANG": "C.UTF-8", "SYSTEMD_COLORS": "0"})


def exposure(unit: Path) -> float:
    """How exposed a service is, from 0 to 10; fails if that is more than it may be."""
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE_MOST}", unit)
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert done.returncode == 0 and found, done.stdout + done.stderr
    return float(found.group(1))


def drop_in(text: str, marker: str) -> str:
    """The ini block of docs/deploy.md that has `marker`, without its file name."""
    [block] = [b for b in re.findall(r"```ini\n(.*?)```", text, re.S) if marker in b]
    return block


def test_exposure(space: Workspace) -> None:
    """At most 1.5, and what SECURITY.md and docs/deploy.md say, also with its drop-in."""
    said = re.search(r"--offline=true` says (\d\.\d), and (\d\.\d) with\s+the drop-in", DEPLOY)
    assert said
    plain = exposure(UNIT)
    directory = space.directory("unit")
    with_drop_in = directory / "larder.service"
    with_drop_in.write_text(UNIT.read_text() + "\n" + drop_in(DEPLOY, "PrivateNetwork=yes"))
    local = exposure(with_drop_in)
    print(f"exposure: {plain}, with Redis by a Unix socket only {local}")
    assert [float(v) for v in said.groups()] == [plain, local]
    assert f": {plain} of 10" in (SRCDIR / "SECURITY.md").read_text()


def test_the_threshold_is_one(space: Workspace) -> None:
    """A unit that is a little more open doesn't pass."""
    open_unit = space.directory("unit") / "larder.service"
    text = UNIT.read_text()
    for line in ("CapabilityBoundingSet=", "ProtectSystem=strict", "RestrictNamespaces=yes"):
        assert f"\n{line}\n" in text
        text = text.replace(f"\n{line}\n", "\n")
    open_unit.write_text(text)
    with pytest.raises(AssertionError, match="Overall exposure level"):
        exposure(open_unit)


def test_units_are_understood(space: Workspace) -> None:
    """systemd knows every directive in the units, and the drop-ins of docs/deploy.md."""
    directory = space.directory("unit")
    for name in ("larder.service", "larder.socket"):
        text = (BUILDDIR / "systemd" / name).read_text()
        installed = re.search(r"^ExecStart=(\S+)", UNIT.read_text(), re.M)
        assert installed
        (directory / name).write_text(text.replace(installed.group(1), str(LARDERD)))
        for number, block in enumerate(re.findall(r"```ini\n(.*?)```", DEPLOY, re.S)):
            where = directory / f"{name}.d"
            if f"{name}.d/" in block and f"{number}.conf" not in os.listdir(directory):
                where.mkdir(exist_ok=True)
                (where / f"{number}.conf").write_text(block)
    assert len(list(directory.glob("*.d/*.conf"))) >= 4, "the drop-ins were not found"
    for name in ("larder.service", "larder.socket"):
        done = analyze("verify", "--man=no", directory / name)
        # What the machine lacks isn't the unit's fault: its user is made when it is installed.
        complaints = [line for line in done.stderr.splitlines() if str(directory) in line]
        assert not complaints, complaints
    (directory / "larder.service").write_text("[Service]\nNoNewPrivilege=yes\n")
    assert "Unknown key" in analyze("verify", "--man=no", directory / "larder.service").stderr


# --- it is enough --------------------------------------------------------------------------------

@cache
def syscalls(name: str) -> frozenset[str]:
    """What a set of systemd's is, with the sets that are in it."""
    done = analyze("syscall-filter", name)
    assert done.returncode == 0, done.stderr
    found: set[str] = set()
    for line in done.stdout.splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= syscalls(word)
        elif word and not word.startswith("#"):
            found.add(word)
    return frozenset(found)


def allowed_syscalls() -> set[str]:
    """What SystemCallFilter= of the unit comes to: lines count in their order."""
    allowed: set[str] = set()
    for value in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        out = value.startswith("~")
        for word in value.lstrip("~").split():
            group = set(syscalls(word)) if word.startswith("@") else {word}
            allowed = allowed - group if out else allowed | group
    # Allowed to every service: systemd.exec(5).
    return allowed | {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "sigreturn",
                      "time", "gettimeofday", "nanosleep", "clock_gettime", "clock_nanosleep"}


class Traced(Larder):
    """A larderd whose system calls, and those of its children, go into a file."""

    @property
    def trace(self) -> Path:
        """The file."""
        return self.directory / "trace"

    def command(self) -> list[str]:
        """Below strace, which makes itself a grandchild: the process is still larderd."""
        return [tool("strace", "strace"), "-D", "-f", "-qq", "-o", str(self.trace), str(LARDERD),
                *self.arguments()]


def live(larder: Larder, redis: Redis) -> None:
    """All that happens in a service's life."""
    for i in range(3):
        assert larder.fastcgi("PUT", f"/cache/k{i}", b'{"value":[1,2],"tags":["t"]}').status == 200
    big = b'{"value":"' + b"x" * 900_000 + b'"}'
    assert larder.fastcgi("PUT", "/cache/big", big).status == 200
    assert len(larder.fastcgi("GET", "/cache/big").body) > 900_000
    assert larder.fastcgi("DELETE", "/cache?prefix=k").status == 200
    for target in ("/stats", "/metrics", "/health", "/docs", "/keys", "/cache/none"):
        assert larder.fastcgi("GET", target).status in (200, 404), target
    redis.kill()
    eventually(lambda: larder.fastcgi("GET", "/cache/big").status == 503, what="no Redis")
    redis.start()
    eventually(lambda: larder.fastcgi("GET", "/cache/big").status == 404, 20, "Redis again")
    with larder.connect() as kept:
        assert kept.request("GET", "/health/live", keep=True).status == 200
        before = larder.workers()
        larder.signal(signal.SIGHUP)
        eventually(lambda: len(larder.workers()) == 2 and not set(larder.workers()) & set(before),
                   30, "a new generation")
        # Passed on, not closed.
        assert kept.request("GET", "/health/live", keep=True).status == 200
    larder.signal(signal.SIGUSR1)
    larder.wait_text("the log was reopened")
    victim = larder.workers()[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in larder.workers() and len(larder.workers()) == 2, 30,
               "another worker")


@pytest.fixture
def calls(space: Workspace, new_redis: NewRedis) -> Iterator[list[str]]:
    """Every system call of a service's life, as a line of strace each, after its exec."""
    redis = new_redis(tcp=True)
    larder = Traced(space, env={"NOTIFY_SOCKET": "@nobody-there", "WATCHDOG_USEC": "500000"})
    # Its name is looked up, by a process of its own.
    larder.options |= {"redis-host": "localhost", "redis-port": redis.port, "listen-users": "root",
                       "log-file": larder.directory / "log"}
    del larder.options["redis-socket"]
    if os.getuid() != 0:
        larder.options["listen-users"] = os.getuid()
    try:
        larder.output.write_text("")
        larder.start(ready=True)
        larder.output = larder.directory / "log"
        live(larder, redis)
        larder.stop(60)
        ended = f"{larder.pid} exit_group(0)"
        eventually(lambda: ended in re.sub(" +", " ", larder.trace.read_text(errors="replace")),
                   what=lambda: "strace is done: " + larder.trace.read_text()[-500:])
    finally:
        larder.abandon()
    lines = larder.trace.read_text(errors="replace").splitlines()
    first = next(i for i, line in enumerate(lines) if "execve(" in line)
    yield lines[first + 1:]


@pytest.mark.serial
@pytest.mark.plain
def test_what_it_forbids_is_not_needed(calls: list[str]) -> None:
    """No call that the unit's filter refuses, no other program, no other kind of socket."""
    used = {found.group(1) for line in calls
            if (found := re.match(r"\d+ +([a-z_0-9]+)\(", line))}
    assert len(used) > 40 and {"memfd_create", "epoll_wait", "accept4"} <= used, used
    refused = used - allowed_syscalls()
    assert not refused, f"the unit's SystemCallFilter= refuses what larderd calls: {refused}"
    print(f"system calls: {len(used)} kinds in {len(calls)} calls; "
          f"{len(allowed_syscalls())} are allowed")

    for line in calls:
        assert "execve(" not in line, "NoExecPaths= is about other programs"
        # MemoryDenyWriteExecute=
        assert not re.search(r"(mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC", line), line

    # The C library asks for the machine's addresses (RFC 3484), and does without an answer.
    families = set(re.findall(r" socket\((AF_\w+)", "\n".join(calls))) - {"AF_NETLINK"}
    found = re.search(r"^RestrictAddressFamilies=(.*)$", UNIT.read_text(), re.M)
    assert found and families <= set(found.group(1).split()), families


@pytest.mark.serial
@pytest.mark.plain
def test_files_that_are_written(calls: list[str]) -> None:
    """Nothing is opened for writing but the log, in a service whose file system is read-only."""
    opened = {found.group(1) for line in calls
              if (found := re.search(r'open(?:at)?\([^"]*"([^"]*)", [^)]*(O_WRONLY|O_RDWR|O_CREAT)',
                                     line))}
    assert {Path(path).name for path in opened} == {"null", "log"}, opened
