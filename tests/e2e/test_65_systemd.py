"""Under systemd: what the service manager is told, and what the units say.

A socket of the test's own stands for systemd; the units are read as text, so that no systemd is
needed here.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import fcgi
from harness import (BUILDDIR, LARDERD, PATH, SLOW, SRCDIR, VALGRIND, Larder, Redis, Workspace,
                     eventually, pause)

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]


class Manager:
    """Stands for systemd: a socket that collects what sd_notify sends, with the sender's pid."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.messages: list[tuple[int, dict[str, str]]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def read(self) -> list[tuple[int, dict[str, str]]]:
        """All that has come so far."""
        while True:
            try:
                data, extra, _, _ = self._socket.recvmsg(4096, 1024)
            except BlockingIOError:
                return self.messages
            pid = int.from_bytes(extra[0][2][:4], "little")
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.messages.append((pid, fields))

    def states(self) -> list[str]:
        """READY, RELOADING and STOPPING in the order in which they came."""
        return [name for _, fields in self.read() for name in ("READY", "RELOADING", "STOPPING")
                if fields.get(name) == "1"]

    def last(self, name: str) -> dict[str, str]:
        """The last message with this state."""
        return [fields for _, fields in self.read() if name in fields][-1]

    def signs_of_life(self) -> int:
        """How many WATCHDOG=1 have come."""
        return sum("WATCHDOG" in fields for _, fields in self.read())

    def wait(self, *states: str) -> None:
        """Waits until exactly these states have come."""
        eventually(lambda: self.states()[:len(states)] == list(states),
                   what=lambda: f"{states}; came: {self.messages}")
        assert self.states() == list(states)

    def close(self) -> None:
        """Ends it."""
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(space: Workspace, request: pytest.FixtureRequest) -> Iterator[Manager]:
    """A service manager, at both kinds of address."""
    directory = space.directory("manager")
    made = Manager(f"@{directory}" if request.param == "abstract" else str(directory / "notify"))
    yield made
    made.close()


@pytest.fixture
def watcher(space: Workspace) -> Iterator[Manager]:
    """A service manager at a path."""
    made = Manager(str(space.directory("manager") / "notify"))
    yield made
    made.close()


def with_config(new_larder: NewLarder, redis: Redis | None, manager: Manager,
                text: str = "", **env: str) -> tuple[Larder, Path]:
    """A larderd that is to tell `manager`, and its configuration file."""
    larder = new_larder(redis, env={"NOTIFY_SOCKET": manager.address, **env})
    conf = larder.directory / "larder.conf"
    conf.write_text(text)
    larder.options["config"] = conf
    return larder, conf


# --- what the service manager is told ------------------------------------------------------------

def test_life(manager: Manager, new_redis: NewRedis, new_larder: NewLarder) -> None:
    """READY, RELOADING and READY on each reload, good or bad, STOPPING: all from the master."""
    larder, conf = with_config(new_larder, new_redis(), manager)
    larder.start()
    manager.wait("READY")
    assert manager.last("READY")["STATUS"] == "2 workers, generation 1"
    before = time.monotonic_ns() // 1000
    larder.signal(signal.SIGHUP)
    manager.wait("READY", "RELOADING", "READY")
    asked = int(manager.last("RELOADING")["MONOTONIC_USEC"])
    assert before <= asked <= time.monotonic_ns() // 1000
    assert manager.last("READY")["STATUS"] == "2 workers, generation 2"
    larder.wait_text("generation 2 serves")
    eventually(lambda: len(larder.workers()) == 2, what="the old generation is gone")
    conf.write_text("max_ttl = 0\n")
    larder.signal(signal.SIGHUP)
    manager.wait("READY", "RELOADING", "READY", "RELOADING", "READY")
    assert "refused" in manager.last("READY")["STATUS"]
    larder.stop()
    manager.wait("READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING")
    assert int(manager.last("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 5_000_000
    assert {pid for pid, _ in manager.read()} == {larder.pid}, "a worker spoke"
    assert not [m for m in manager.messages if "WATCHDOG" in m[1]], "nobody asked for that"


def test_ready_means_all_workers(watcher: Manager, new_larder: NewLarder) -> None:
    """When READY comes every worker of the pool is ready, also where there is no Redis."""
    larder, _ = with_config(new_larder, None, watcher)
    larder.options["workers"] = 16
    larder.launch(larder.command(), larder.environment())
    watcher.wait("READY")
    assert b'larder_workers{state="ready"} 16' in larder.fastcgi("GET", "/metrics").body


def test_reloads_in_a_row(watcher: Manager, new_redis: NewRedis, new_larder: NewLarder) -> None:
    """However reloads overlap, the last word is READY."""
    larder, _ = with_config(new_larder, new_redis(), watcher)
    larder.start()
    for _ in range(20):
        larder.signal(signal.SIGHUP)
        time.sleep(0.02)
    eventually(lambda: watcher.states().count("RELOADING") >= 2, what="reloads")

    def quiet() -> bool:
        before = len(watcher.read())
        time.sleep(0.5 * SLOW)
        return len(watcher.read()) == before

    eventually(quiet, 30, "the reloads come to an end")
    assert watcher.states()[-1] == "READY"


def datagram_sockets(pid: int) -> int:
    """How many datagram sockets of the Unix kind a process has."""
    rows = [row.split() for row in Path("/proc/net/unix").read_text().splitlines()[1:]]
    links = {f"socket:[{row[6]}]" for row in rows if row[4] == "0002"}
    descriptors = Path(f"/proc/{pid}/fd").iterdir()
    return sum(os.readlink(descriptor) in links for descriptor in descriptors)


def test_children_know_no_manager(watcher: Manager, new_larder: NewLarder) -> None:
    """A worker has neither the manager's address nor a socket to it."""
    larder, _ = with_config(new_larder, None, watcher, WATCHDOG_USEC="30000000")
    larder.start()
    assert datagram_sockets(larder.pid) == 1
    assert [datagram_sockets(pid) for pid in larder.workers()] == [0, 0]


@pytest.mark.serial
def test_watchdog(watcher: Manager, new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Signs of life come twice in the time allowed, and only while the master's loop turns."""
    allowed = 1.0 * SLOW
    larder, _ = with_config(new_larder, new_redis(), watcher,
                            WATCHDOG_USEC=str(int(allowed * 1e6)))
    larder.start()
    first, begun = watcher.signs_of_life(), time.monotonic()
    time.sleep(3 * allowed)
    came, passed = watcher.signs_of_life() - first, (time.monotonic() - begun) / allowed
    assert 5 <= came <= 2 * passed + 1, f"{came} signs of life in {passed:.1f} of the time allowed"
    pause(larder.pid)
    before = watcher.signs_of_life()
    time.sleep(2 * allowed)
    assert watcher.signs_of_life() == before, "a stopped master is no sign of life"
    # Its workers serve on.
    assert larder.fastcgi("GET", "/health").status == 200
    larder.signal(signal.SIGCONT)
    eventually(lambda: watcher.signs_of_life() > before, what="it is alive again")


def test_watchdog_of_another_process(watcher: Manager, new_larder: NewLarder) -> None:
    """A WATCHDOG_PID that isn't the master's is somebody else's watchdog."""
    larder, _ = with_config(new_larder, None, watcher, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    larder.start()
    watcher.wait("READY")
    time.sleep(0.3)
    assert watcher.signs_of_life() == 0


def test_daemon_tells_nobody(watcher: Manager, new_larder: NewLarder) -> None:
    """Who goes into the background is not the process that the manager started."""
    larder, _ = with_config(new_larder, None, watcher)
    pid_file = larder.directory / "pid"
    larder.options |= {"daemon": "yes", "pid-file": pid_file, "log-file": larder.directory / "log"}
    done = subprocess.run(larder.command(), env={"PATH": PATH, **larder.environment()}, timeout=60,
                          check=False)
    assert done.returncode == 0
    pid = int(pid_file.read_text())
    assert larder.fastcgi("GET", "/health/live").status == 200
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not pid_file.exists(), what="it ends")
    eventually(lambda: not list(larder.run_dir.iterdir()), what="its files are gone")
    assert watcher.read() == []


def test_manager_that_is_gone(watcher: Manager, new_larder: NewLarder) -> None:
    """Without the manager the service goes on, and its log says that nobody listens."""
    larder, _ = with_config(new_larder, None, watcher)
    larder.start()
    watcher.wait("READY")
    watcher.close()
    larder.signal(signal.SIGHUP)
    larder.wait_text("cannot tell the service manager")
    larder.wait_text("generation 2 serves")
    assert larder.fastcgi("GET", "/health/live").status == 200


def test_log_in_the_journal(new_larder: NewLarder) -> None:
    """Where standard error is the journal, lines begin with their level, for it knows the time."""
    larder = new_larder(None, workers=1)
    script = 'export JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr); exec "$@"'
    larder.launch(["bash", "-c", script, "bash", *larder.command()], larder.environment())
    larder.wait_serving()
    larder.wait_text(rf"^<6>larderd\[{larder.pid}\] info: larderd ")
    larder.stop()
    for line in larder.text().splitlines():
        assert re.match(r"<[3467]>(larderd|worker \d+)\[\d+\] ", line), line


# --- the units -----------------------------------------------------------------------------------

Unit = dict[str, dict[str, list[str]]]


def read_unit(name: str) -> Unit:
    """A unit as it was built: section, directive, values."""
    unit: Unit = {}
    section: dict[str, list[str]] = {}
    for line in (BUILDDIR / "systemd" / name).read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            section = unit.setdefault(line.strip("[]"), {})
        else:
            directive, _, value = line.partition("=")
            section.setdefault(directive, []).append(value)
    return unit


def test_units_have_their_paths() -> None:
    """Every placeholder has been replaced, and every path is absolute."""
    for name in ("larder.socket", "larder.service"):
        text = (BUILDDIR / "systemd" / name).read_text()
        assert not re.search(r"@\w+@|\$\{", text), name
    service = read_unit("larder.service")["Service"]
    for command in service["ExecStart"] + service["ExecReload"]:
        assert command.lstrip("+").startswith("/"), command


def test_service_unit() -> None:
    """The service tells when it is ready, is watched, restarted, and may do only what it must."""
    unit = read_unit("larder.service")
    service = unit["Service"]
    for directive, value in {
            "Type": "notify", "NotifyAccess": "main", "Restart": "always", "KillMode": "mixed",
            "OOMPolicy": "continue", "User": "larder", "RuntimeDirectory": "larder",
            "RuntimeDirectoryPreserve": "yes", "NoNewPrivileges": "yes",
            "CapabilityBoundingSet": "", "AmbientCapabilities": "", "ProtectSystem": "strict",
            "ProtectHome": "yes", "PrivateTmp": "yes", "PrivateDevices": "yes",
            "MemoryDenyWriteExecute": "yes", "RestrictNamespaces": "yes", "LockPersonality": "yes",
            "IPAddressDeny": "any", "IPAddressAllow": "localhost", "SyslogLevel": "err",
            "NoExecPaths": "/",
            "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6"}.items():
        assert service.get(directive) == [value], directive
    assert service["SystemCallFilter"] == ["@system-service",
                                           "~@privileged @resources @mount @debug",
                                           "sched_setscheduler"]
    assert unit["Unit"]["StartLimitIntervalSec"] == ["0"], "in [Service] systemd ignores it"
    assert unit["Unit"]["Requires"] == ["larder.socket"]
    assert "PrivateUsers" not in service, "it would hide who connects"


def test_socket_unit_and_what_is_shipped_agree() -> None:
    """The units, the web servers' configurations and larderd's defaults mean the same socket."""
    unit = read_unit("larder.socket")["Socket"]
    [path] = unit["ListenStream"]
    # Else RuntimeDirectory= of the service would change the owner of the socket, too.
    [prepare] = unit["ExecStartPre"]
    assert prepare.endswith(f"-o larder -g larder {os.path.dirname(path)}"), prepare
    assert unit["SocketMode"] == ["0660"] and unit["SocketGroup"] == ["www-data"]
    for name in ("nginx.conf", "lighttpd.conf"):
        assert path in (SRCDIR / "conf" / name).read_text(), name
    options = subprocess.run([LARDERD, "--check", "--config", "/dev/null"], capture_output=True,
                             text=True, check=True, env={"PATH": PATH}).stdout
    assert re.search(rf"^listen = {path}$", options, re.M)
    assert re.search(rf"^run_dir = {os.path.dirname(path)}$", options, re.M)
    backlog = re.search(r"^listen_backlog = (\d+)$", options, re.M)
    assert backlog and unit["Backlog"] == [backlog.group(1)]


def test_times_of_the_unit() -> None:
    """systemd waits longer than larderd's own drain_timeout, and looks less often than it asks."""
    service = read_unit("larder.service")["Service"]
    assert int(service["TimeoutStopSec"][0]) > 5
    assert int(service["WatchdogSec"][0]) >= 5


def test_socket_survives_a_restart(space: Workspace, new_redis: NewRedis,
                                   new_larder: NewLarder) -> None:
    """What comes while the service is down waits in the socket that the manager holds."""
    redis = new_redis()
    path = space.directory("listen") / "held.sock"
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(path))
        held.listen(64)
        script = f'export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=larder.socket; ' \
                 f'exec "$@" 3<&{held.fileno()}'

        def start() -> Larder:
            larder = new_larder(redis)
            larder.socket = path
            larder.launch(["bash", "-c", script, "bash", *larder.command()], larder.environment(),
                          pass_fds=[held.fileno()])
            return larder

        first = start()
        first.wait_serving()
        first.stop()
        with first.connect() as connection:
            connection.send(fcgi.request_bytes("GET", "/health/live"))
            second = start()
            assert connection.read_response().status == 200
            second.wait_serving()
