"""Start and stop: the command line, the configuration, the ways to a listening socket."""

from __future__ import annotations

import grp
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import (BUILDDIR, LARDERD, PATH, SLOW, SRCDIR, VALGRIND, Larder, Process, Redis,
                     Workspace, alive, eventually)
from rawhttp import Http

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]

# name, environment, default
OPTIONS = [
    ("listen", "LARDER_LISTEN", "/run/larder/larder.sock"),
    ("listen_mode", "LARDER_LISTEN_MODE", "0660"),
    ("listen_group", "LARDER_LISTEN_GROUP", None),
    ("listen_backlog", "LARDER_LISTEN_BACKLOG", "1024"),
    ("run_dir", "LARDER_RUN_DIR", "/run/larder"),
    ("pid_file", "LARDER_PID_FILE", None),
    ("log_file", "LARDER_LOG_FILE", None),
    ("log_level", "LARDER_LOG_LEVEL", "info"),
    ("daemon", "LARDER_DAEMON", "no"),
    ("workers", "LARDER_WORKERS", "0"),
    ("max_requests", "LARDER_MAX_REQUESTS", "0"),
    ("drain_timeout", "LARDER_DRAIN_TIMEOUT", "5000"),
    ("watchdog_timeout", "LARDER_WATCHDOG_TIMEOUT", "10000"),
    ("batch_scheduling", "LARDER_BATCH_SCHEDULING", "yes"),
    ("redis_url", "REDIS_URL", None),
    ("redis_host", "REDIS_HOST", "localhost"),
    ("redis_port", "REDIS_PORT", "6379"),
    ("redis_socket", "REDIS_SOCKET", None),
    ("redis_db", "REDIS_DB", "0"),
    ("redis_username", "REDIS_USERNAME", None),
    ("redis_password", "REDIS_PASSWORD", None),
    ("redis_password_file", "REDIS_PASSWORD_FILE", None),
    ("redis_connect_timeout", "LARDER_REDIS_CONNECT_TIMEOUT", "200"),
    ("redis_timeout", "LARDER_REDIS_TIMEOUT", "500"),
    ("max_memory_policy", "MAX_MEMORY_POLICY", "allkeys-lru"),
    ("max_memory", "MAX_MEMORY", None),
    ("default_ttl", "DEFAULT_TTL", "3600"),
    ("max_ttl", "MAX_TTL", "31536000"),
    ("max_value", "MAX_VALUE", "1mb"),
]
ENVIRONMENT = {name: environment for name, environment, _ in OPTIONS}

# name, bad value, what the message must say of the range besides name and value
BAD_VALUES = [
    ("listen", "relative.sock", "absolute"),
    ("listen", "/" + "x" * 107, "107"),
    ("listen_mode", "0999", "0600"),
    ("listen_mode", "0400", "0777"),
    ("listen_backlog", "0", "65535"),
    ("listen_backlog", "65536", "65535"),
    ("run_dir", "run", "absolute"),
    ("log_level", "loud", "debug"),
    ("daemon", "maybe", "yes"),
    ("workers", "-1", "64"),
    ("workers", "65", "64"),
    ("workers", "two", "64"),
    ("workers", "1.5", "64"),
    ("workers", "2x", "64"),
    ("workers", "99999999999999999999", "64"),
    ("max_requests", "1000000000001", "1000000000000"),
    ("drain_timeout", "3600001", "3600000"),
    ("drain_timeout", "-1", "0"),
    ("watchdog_timeout", "999", "1000"),
    ("redis_url", "http://localhost:6379", "redis://"),
    ("redis_url", "redis://localhost:99999", "65535"),
    ("redis_url", "redis://localhost/zero", "number"),
    ("redis_port", "0", "65535"),
    ("redis_port", "65536", "65535"),
    ("redis_socket", "redis.sock", "absolute"),
    ("redis_socket", "/" + "x" * 107, "107"),
    ("redis_db", "1000001", "1000000"),
    ("redis_password_file", "secret", "absolute"),
    ("redis_connect_timeout", "9", "10"),
    ("redis_timeout", "60001", "60000"),
    ("max_memory_policy", "allkeys-lri", "allkeys-lru"),
    ("max_memory", "100tb", "kb"),
    ("max_memory", "1125899906842625", "1048576gb"),
    ("default_ttl", "-1", "0"),
    ("default_ttl", "31536001", "max_ttl"),
    ("max_ttl", "0", "1"),
    ("max_ttl", "10000000001", "10000000000"),
    ("max_value", "0", "1"),
    ("max_value", "9mb", "8mb"),
]


def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs larderd to its end."""
    return subprocess.run([LARDERD, *args], env={"PATH": PATH, **(env or {})}, text=True,
                          capture_output=True, timeout=20 * SLOW, check=False)


def check(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """larderd --check without the installed configuration file."""
    return run("--config", "/dev/null", "--check", *args, env=env)


@pytest.fixture
def conf(space: Workspace) -> Iterator[Path]:
    """Where a test writes a configuration file."""
    yield space.directory("conf") / "larder.conf"


# --- --help, --version, --check ------------------------------------------------------------------

def test_help_names_every_option() -> None:
    """--help lists each option with environment name and default, and nothing fails."""
    done = run("--help")
    assert done.returncode == 0 and done.stderr == ""
    for name, environment, default in OPTIONS:
        line = re.search(rf"^.*--{name.replace('_', '-')}\b.*$", done.stdout, re.M)
        assert line, name
        assert re.search(rf"\b{environment}\b", done.stdout), environment
        if default is not None:
            assert default in line.group(0), f"{name}: {line.group(0)}"
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_version() -> None:
    """--version says name and number, and nothing else."""
    done = run("--version")
    assert done.returncode == 0 and done.stderr == ""
    assert re.fullmatch(r"larderd? \d+\.\d+\.\d+\n", done.stdout), done.stdout


def test_check_accepts_the_defaults() -> None:
    """--check of a good configuration ends with 0 and starts nothing."""
    done = check()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name,value,allowed", BAD_VALUES,
                         ids=[f"{n}={v[:20]}" for n, v, _ in BAD_VALUES])
def test_bad_value(conf: Path, name: str, value: str, allowed: str) -> None:
    """A bad value in file, environment or argument is named with its place and its range."""
    conf.write_text(f"# a comment\n\n{name} = {value}\n")
    tries = {
        f"{conf}:3": run("--config", str(conf), "--check"),
        ENVIRONMENT[name]: check(env={ENVIRONMENT[name]: value}),
        f"--{name.replace('_', '-')}": check(f"--{name.replace('_', '-')}={value}"),
    }
    for place, done in tries.items():
        assert done.returncode == 2, (place, done)
        faults = [line for line in done.stderr.splitlines() if place in line]
        assert len(faults) == 1, done.stderr
        assert allowed in faults[0], faults
        assert name == "redis_url" or value in faults[0] or len(value) > 60, faults


def test_bad_value_stops_the_start(conf: Path) -> None:
    """Without --check a bad value stops the start just the same."""
    conf.write_text("workers = many\n")
    done = run("--config", str(conf))
    assert done.returncode == 2
    assert f"{conf}:1" in done.stderr and "many" in done.stderr


def test_every_fault_is_named(conf: Path) -> None:
    """Three faults in three places are told in one go."""
    conf.write_text("workers = 65\n")
    done = run("--config", str(conf), "--check", "--max-ttl", "0", env={"DEFAULT_TTL": "x"})
    assert done.returncode == 2
    for word in (f"{conf}:1", "--max-ttl", "DEFAULT_TTL"):
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("text,words", [
    ("worker = 2\n", [":1", "worker"]),
    ("workers\n", [":1"]),
    ("= 2\n", [":1"]),
    ("workers = 2\nworkers == 3\n", [":2"]),
    ("# fine\n\xff\xfe = 1\n", [":2"]),
], ids=["unknown", "no-equals", "no-name", "two-equals", "binary"])
def test_malformed_file(conf: Path, text: str, words: list[str]) -> None:
    """A line that is no setting is named by file and line."""
    conf.write_bytes(text.encode("latin-1"))
    done = run("--config", str(conf), "--check")
    assert done.returncode == 2, done
    for word in [str(conf), *words]:
        assert word in done.stderr, done.stderr


@pytest.mark.parametrize("args,words", [
    (["--no-such-option", "1"], ["--no-such-option"]),
    (["--workers"], ["--workers"]),
    (["stray"], ["argument 2"]),
    (["--config"], ["--config"]),
], ids=["unknown", "no-value", "stray", "config-without-file"])
def test_malformed_arguments(args: list[str], words: list[str]) -> None:
    """An argument that is no option is named."""
    done = run("--check", *args)
    assert done.returncode == 2, done
    for word in words:
        assert word in done.stderr, done.stderr


def test_missing_file_is_named(conf: Path) -> None:
    """A --config file that isn't there is an error, not the defaults."""
    done = run("--config", str(conf), "--check")
    assert done.returncode == 2
    assert str(conf) in done.stderr


def test_file_syntax(conf: Path) -> None:
    """Comments, blank lines, spaces and units are understood; so are both argument spellings."""
    conf.write_text("# first\n\n  workers=3 \n\tmax_value = 64kb\nlisten_mode = 0600 # why\n")
    done = run("--config", str(conf), "--check", "--max-memory=100mb", "--redis-db", "3")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("place", ["file", "environment", "argument"])
def test_a_secret_is_never_shown(conf: Path, place: str) -> None:
    """A fault in a URL with a password doesn't print the password."""
    url = "redis://user:hunter2secret@localhost:badport/0"
    conf.write_text(f"redis_url = {url}\n" if place == "file" else "")
    env = {"REDIS_URL": url} if place == "environment" else {}
    args = ["--redis-url", url] if place == "argument" else []
    done = run("--config", str(conf), "--check", *args, env=env)
    assert done.returncode == 2
    assert "hunter2secret" not in done.stdout + done.stderr


def test_check_of_the_shipped_file() -> None:
    """conf/larder.conf is a good configuration."""
    done = run("--config", str(SRCDIR / "conf" / "larder.conf"), "--check")
    assert done.returncode == 0, done.stderr


# --- precedence and the original's names ----------------------------------------------------------

@pytest.mark.parametrize("file,env,arg,expected", [
    (False, False, False, 3600), (True, False, False, 100), (True, True, False, 200),
    (True, True, True, 300),
], ids=["default", "file", "environment", "argument"])
def test_precedence(conf: Path, new_redis: NewRedis, new_larder: NewLarder,
                    file: bool, env: bool, arg: bool, expected: int) -> None:
    """default < file < environment < command line, seen in what the service does."""
    conf.write_text("default_ttl = 100\n")
    larder = new_larder(new_redis(), workers=1, config=conf if file else "/dev/null",
                        env={"DEFAULT_TTL": "200"} if env else {},
                        default_ttl=300 if arg else None)
    larder.start()
    answer = larder.fastcgi("PUT", "/cache/p", b'{"value":1}')
    assert (answer.status, answer.json()["ttl"]) == (200, expected)


def test_the_originals_environment(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """REDIS_HOST, REDIS_PORT, REDIS_DB, DEFAULT_TTL and MAX_MEMORY_POLICY do what they did."""
    redis = new_redis(tcp=True)
    larder = new_larder(workers=1, redis_socket=None, env={
        "REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(redis.port), "REDIS_DB": "5",
        "DEFAULT_TTL": "77", "MAX_MEMORY_POLICY": "volatile-lfu"})
    larder.start(ready=True)
    assert larder.fastcgi("PUT", "/cache/o", b'{"value":1}').json()["ttl"] == 77
    with redis.client() as client:
        client.ask("SELECT", 5)
        assert client.ask("GET", "o") == b"1"
        assert client.ask("CONFIG", "GET", "maxmemory-policy")[1] == b"volatile-lfu"


# --- running: files, pid file, background, a second instance -------------------------------------

def test_files_come_and_go(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Socket and pid file are there while it runs and removed when it stops."""
    larder = new_larder(new_redis(), workers=1)
    pid_file = larder.run_dir / "larder.pid"
    larder.options["pid-file"] = pid_file
    larder.start()
    assert pid_file.read_text() == f"{larder.pid}\n"
    assert stat.S_ISSOCK(larder.socket.stat().st_mode)
    larder.stop()  # asserts that the directory is empty
    assert not pid_file.exists()


@pytest.mark.parametrize("mode", [None, "0600", "0666"])
def test_listen_mode(new_larder: NewLarder, mode: str | None) -> None:
    """The socket has the permissions that listen_mode says, whatever the umask."""
    larder = new_larder(workers=1, listen_mode=mode)
    larder.start()
    assert stat.S_IMODE(larder.socket.stat().st_mode) == int(mode or "0660", 8)


def test_listen_group(new_larder: NewLarder) -> None:
    """The socket is given to the group that listen_group says."""
    group = grp.getgrgid(os.getgid())
    if os.getuid() == 0:
        group = next(g for g in grp.getgrall() if g.gr_gid not in (0, os.getgid()))
    larder = new_larder(workers=1, listen_group=group.gr_name)
    larder.start()
    assert larder.socket.stat().st_gid == group.gr_gid


def test_unknown_listen_group(space: Workspace) -> None:
    """A group that doesn't exist stops the start with its name."""
    larder = Larder(space, workers=1, listen_group="no-such-group")
    done = run(*larder.arguments())
    assert done.returncode != 0 and "no-such-group" in done.stderr
    assert not list(larder.run_dir.iterdir())


def test_start_is_quick(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """From start to the first 200 it takes a fraction of a second."""
    redis = new_redis()
    larder = new_larder(redis)

    def stores() -> bool:
        try:
            return larder.fastcgi("PUT", "/cache/s", b'{"value":1}').status == 200
        except OSError:
            return False

    begun = time.monotonic()
    larder.launch(larder.command(), larder.environment())
    eventually(stores, what="first PUT")
    print(f"start to first 200: {(time.monotonic() - begun) * 1000:.0f} ms")
    assert time.monotonic() - begun < 2 * SLOW


def test_daemon(space: Workspace, new_redis: NewRedis) -> None:
    """--daemon returns once the service answers, and its pid file names the one to signal."""
    larder = Larder(space, new_redis(), workers=1)
    pid_file, log_file = larder.directory / "pid", larder.directory / "log"
    args = ["--daemon", "--pid-file", str(pid_file), "--log-file", str(log_file)]
    with open(larder.output, "wb") as out:
        done = subprocess.run([*larder.command(), *args], timeout=20 * SLOW, check=False,
                              stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                              env={"PATH": PATH, **larder.environment()})
    assert done.returncode == 0, larder.text()
    pid = int(pid_file.read_text())
    try:
        assert alive(pid)
        assert larder.fastcgi("GET", "/health/live").status == 200
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        assert int(fields[3]) not in (os.getsid(0), 0), "still in the starter's session"
        assert fields[4] == "0", "has a controlling terminal"
        for number in range(3):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            # Whoever waits for the end of the starter's output would wait for the daemon's end.
            assert target in ("/dev/null", str(log_file)), f"descriptor {number} is {target}"
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid), what="the daemon ends")
    assert not list(larder.run_dir.iterdir()) and not pid_file.exists()
    assert "worker" in log_file.read_text()


def test_daemon_reports_a_failed_start(space: Workspace, new_larder: NewLarder) -> None:
    """--daemon that can't start says why to its starter and doesn't end with 0."""
    first = new_larder(workers=1)
    first.start()
    done = run(*first.arguments(), "--daemon")
    assert done.returncode == 1, done
    assert str(first.run_dir) in done.stderr


def test_second_instance_is_refused(new_larder: NewLarder) -> None:
    """A second larderd on the same socket says so and ends with 1; the first serves on."""
    first = new_larder(workers=1)
    first.start()
    second = run(*first.arguments())
    assert second.returncode == 1, second
    assert str(first.run_dir) in second.stderr
    assert re.search(r"already|in use|another", second.stderr), second.stderr
    assert first.fastcgi("GET", "/health/live").status == 200
    assert first.socket.exists()


def test_second_instance_with_its_own_run_dir_is_refused(space: Workspace,
                                                         new_larder: NewLarder) -> None:
    """A second larderd on the same socket is refused by the socket, too."""
    first = new_larder(workers=1)
    first.start()
    other = space.directory("other")
    second = run(*first.arguments(), "--run-dir", str(other))
    assert second.returncode == 1, second
    assert str(first.socket) in second.stderr
    assert first.fastcgi("GET", "/health/live").status == 200
    assert not list(other.iterdir())


def test_second_instance_elsewhere_is_refused_by_the_run_dir(new_larder: NewLarder) -> None:
    """Two instances must not share a run directory: it belongs to one."""
    first = new_larder(workers=1)
    first.start()
    second = run(*first.arguments(), "--listen", str(first.directory / "other.sock"))
    assert second.returncode == 1, second
    assert first.fastcgi("GET", "/health/live").status == 200
    assert first.socket.exists()


def test_stale_socket_is_replaced(new_larder: NewLarder) -> None:
    """A socket file that nobody listens on, left by a crash, doesn't hinder the start."""
    larder = new_larder(workers=1)
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(larder.socket))
    assert larder.socket.exists()
    larder.start()


def test_start_after_a_crash(new_larder: NewLarder) -> None:
    """What a killed master leaves behind doesn't hinder the next start."""
    larder = new_larder(workers=1)
    larder.start()
    family = larder.workers()
    larder.signal(signal.SIGKILL)
    assert larder.wait() == -signal.SIGKILL
    eventually(lambda: not any(map(alive, family)), what="workers end")
    larder.start()


def test_a_file_in_the_way_is_not_deleted(space: Workspace) -> None:
    """A listen path that is no socket is refused, and the file stays."""
    larder = Larder(space, workers=1)
    larder.socket.write_text("precious")
    done = run(*larder.arguments())
    assert done.returncode == 1, done
    assert str(larder.socket) in done.stderr
    assert larder.socket.read_text() == "precious"


@pytest.mark.parametrize("option", ["run_dir", "listen", "log_file", "pid_file"])
def test_unusable_path(space: Workspace, option: str) -> None:
    """A directory that can't be used stops the start with its name; nothing is left."""
    larder = Larder(space, workers=1)
    bad = Path("/proc/nowhere") / ("larder.sock" if option != "run_dir" else "")
    larder.options[option.replace("_", "-")] = bad
    done = run(*larder.arguments())
    assert done.returncode == 1, done
    assert "/proc/nowhere" in done.stderr
    assert not list(larder.run_dir.iterdir())


def test_log_file(new_larder: NewLarder) -> None:
    """The log goes to log_file, in lines that say when, who and how bad."""
    larder = new_larder(workers=1)
    log_file = larder.directory / "log"
    larder.options["log-file"] = log_file
    larder.start()
    larder.stop()
    lines = log_file.read_text().splitlines()
    assert lines
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z \S.*\[\d+\] "
                        r"(error|warning|info|debug): \S", line), line


def test_log_level(new_larder: NewLarder) -> None:
    """log_level=error keeps an ordinary start and stop quiet."""
    larder = new_larder(workers=1, log_level="error")
    larder.start()
    larder.stop()
    assert larder.text() == ""


def test_workers_zero_is_one_per_core(new_larder: NewLarder) -> None:
    """workers=0 starts as many workers as there are cores."""
    larder = new_larder(workers=0)
    larder.start()
    cores = len(os.sched_getaffinity(0))
    eventually(lambda: len(larder.workers()) == cores, what=f"{cores} workers")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals(new_larder: NewLarder, number: int) -> None:
    """TERM and INT stop it gracefully, at once when idle."""
    larder = new_larder()
    larder.start()
    family = larder.workers()
    larder.signal(number)
    larder.check_ended(larder.wait(3), family)


def test_no_descriptor_leaks_into_workers(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Workers hold only what they need; nothing of the starter's is inherited."""
    larder = new_larder(new_redis())
    read_end, write_end = os.pipe()
    try:
        larder.start(pass_fds=[read_end])
        for pid in larder.workers():
            links = [os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd")]
            pipe = os.readlink(f"/proc/self/fd/{read_end}")
            assert pipe not in links, links
            assert len(links) < (24 if not VALGRIND else 40), links
    finally:
        os.close(read_end)
        os.close(write_end)


# --- the three ways to a listening socket --------------------------------------------------------

@pytest.fixture
def listener(space: Workspace) -> Iterator[tuple[socket.socket, Path]]:
    """A listening unix socket that somebody else made."""
    path = space.directory("listen") / "given.sock"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen(64)
        yield sock, path


def test_listening_socket_on_descriptor_0(listener: tuple[socket.socket, Path],
                                          new_larder: NewLarder) -> None:
    """Descriptor 0 that listens is used, as lighttpd and spawn-fcgi pass it; it isn't removed."""
    sock, path = listener
    larder = new_larder(workers=2)
    configured, larder.socket = larder.socket, path
    larder.start(stdin=sock.fileno())
    assert not configured.exists(), "it bound its own path as well"
    for pid in [larder.pid, *larder.workers()]:
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    larder.stop()
    assert path.exists(), "it removed somebody else's socket"


def test_descriptor_0_implies_foreground(listener: tuple[socket.socket, Path],
                                         new_larder: NewLarder) -> None:
    """With a socket on descriptor 0 even --daemon stays: the spawner watches the process."""
    sock, path = listener
    larder = new_larder(workers=1, daemon="yes")
    larder.socket = path
    larder.start(stdin=sock.fileno())
    assert larder.running()


def launch_activated(larder: Larder, sock: socket.socket, pid: str) -> None:
    """Starts it as systemd would: the socket on descriptor 3, LISTEN_PID and LISTEN_FDS."""
    script = f'export LISTEN_FDS=1 LISTEN_PID={pid}; exec "$@" 3<&{sock.fileno()}'
    larder.launch(["bash", "-c", script, "bash", *larder.command()], larder.environment(),
                  pass_fds=[sock.fileno()])


def test_listen_fds(listener: tuple[socket.socket, Path], new_larder: NewLarder) -> None:
    """A socket passed by systemd's protocol is used and not removed."""
    sock, path = listener
    larder = new_larder(workers=1)
    configured, larder.socket = larder.socket, path
    launch_activated(larder, sock, "$$")
    larder.wait_serving()
    assert not configured.exists()
    larder.stop()
    assert path.exists()


def test_listen_fds_meant_for_another(listener: tuple[socket.socket, Path],
                                      new_larder: NewLarder) -> None:
    """LISTEN_FDS with another process's LISTEN_PID is ignored."""
    sock, _ = listener
    larder = new_larder(workers=1)
    launch_activated(larder, sock, "1")
    larder.wait_serving()
    assert larder.socket.exists()


def test_spawned_by_lighttpd(space: Workspace, new_redis: NewRedis,
                             started: list[Process]) -> None:
    """lighttpd's own bin-path with "max-procs" => 1 starts it, reaches it and stops it."""
    redis = new_redis()
    larder = Larder(space, redis, workers=2)
    pid_file = larder.run_dir / "larder.pid"
    larder.options["pid-file"] = pid_file
    front = Process(space, "spawner")
    started.append(front)
    port = space.port()
    command = " ".join([str(LARDERD), *larder.arguments()])
    (front.directory / "lighttpd.conf").write_text(f"""
server.modules = ( "mod_fastcgi" )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{front.directory}"
server.errorlog = "{front.directory}/error.log"
fastcgi.server = ( "/" => (( "socket" => "{front.directory}/spawned.sock",
  "bin-path" => "{command}", "max-procs" => 1,
  "check-local" => "disable", "fix-root-scriptname" => "enable" )))
""")
    front.launch(["lighttpd", "-D", "-f", front.directory / "lighttpd.conf"])

    def served() -> bool:
        try:
            with Http(port, 5) as http:
                return http.put("/cache/spawned", {"value": [1]}).status == 200
        except OSError:
            return False

    eventually(served, 20, "lighttpd and the larderd it spawned answer")
    assert redis.ask("GET", "spawned") == b"[1]"
    master = int(pid_file.read_text())
    assert alive(master)
    front.signal(signal.SIGTERM)
    front.wait()
    eventually(lambda: not alive(master), what="larderd ends with its lighttpd")
    eventually(lambda: not list(larder.run_dir.iterdir()), what="its files are gone")


# --- the program itself --------------------------------------------------------------------------

def test_hardening() -> None:
    """The binary is position independent, has read-only relocations and stack protectors."""
    headers = subprocess.run(["readelf", "-hlds", "--wide", LARDERD], capture_output=True,
                             text=True, check=True).stdout
    assert re.search(r"Type:\s+DYN", headers), "not PIE"
    assert "GNU_RELRO" in headers
    assert re.search(r"\(FLAGS(_1)?\).*\b(BIND_)?NOW\b", headers), "lazy binding"
    stack = re.search(r"GNU_STACK.*", headers)
    assert stack and "E" not in stack.group(0).split()[-2], "executable stack"
    assert "__stack_chk_fail" in headers


def test_build_directory_is_the_one_meant() -> None:
    """The binary under test lies in BUILDDIR."""
    assert LARDERD.parent == BUILDDIR and os.access(LARDERD, os.X_OK)
