"""Who larderd is, and whom it lets in: the options user, group and listen_users.

What takes root to begin with is tried as root; elsewhere the same tests say what an ordinary user
gets.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fcgi
from harness import PATH, SLOW, Larder, Redis, Workspace, alive, eventually

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]

ROOT = os.getuid() == 0
NOBODY = pwd.getpwnam("nobody")
# Of the web server: some group that neither root nor nobody is in.
FRONT_GROUP = next(g for g in grp.getgrall()
                   if g.gr_gid not in (0, os.getgid(), NOBODY.pw_gid) and not g.gr_mem)


def run(larder: Larder, *prefix: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    return subprocess.run([*prefix, *larder.command()], capture_output=True, text=True,
                          timeout=20 * SLOW, check=False,
                          env={"PATH": PATH, **larder.environment()})


def as_nobody() -> list[str]:
    """What makes root run a command as nobody; an ordinary user runs it himself."""
    if not ROOT:
        return []
    return ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]


def status(pid: int) -> dict[str, list[str]]:
    """/proc/PID/status: the values of each line."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: values.split() for name, _, values in (line.partition(":") for line in lines)}


def nobodys(new_larder: NewLarder, redis: Redis | None = None, **options: object) -> Larder:
    """A larderd that root starts for nobody, with files where nobody may write."""
    larder = new_larder(None, user="nobody", **options)
    if redis is not None:
        larder.has_redis = True
        larder.options |= {"redis-socket": "", "redis-host": "127.0.0.1", "redis-port": redis.port}
        del larder.options["redis-socket"]
    if ROOT:
        os.chown(larder.directory, NOBODY.pw_uid, NOBODY.pw_gid)
        larder.run_dir.rmdir()
    else:
        larder.options["user"] = str(os.getuid())
    return larder


def identity() -> tuple[int, int]:
    """Who `nobodys` is to become."""
    return (NOBODY.pw_uid, NOBODY.pw_gid) if ROOT else (os.getuid(), os.getgid())


# --- becoming another user -----------------------------------------------------------------------

def test_root_becomes_the_user(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Every process is that user's, without a right of root's, and it serves."""
    group = FRONT_GROUP.gr_name if ROOT else grp.getgrgid(os.getgid()).gr_name
    larder = nobodys(new_larder, new_redis(tcp=True), listen_group=group).start()
    uid, gid = identity()
    for pid in (larder.pid, *larder.workers()):
        fields = status(pid)
        assert fields["Uid"] == [str(uid)] * 4 and fields["Gid"] == [str(gid)] * 4, fields
        assert fields["NoNewPrivs"] == ["1"]
        if ROOT:
            assert fields["Groups"] == [str(gid)], "the web server's group was only lent"
            for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(fields[name][0], 16) == 0, (name, fields[name])
    made = larder.socket.stat()
    assert (made.st_uid, made.st_gid) == (uid, grp.getgrnam(group).gr_gid)
    assert stat.S_IMODE(made.st_mode) == 0o660
    directory = larder.run_dir.stat()
    assert (directory.st_uid, directory.st_gid) == (uid, gid)
    assert larder.fastcgi("PUT", "/cache/p", b'{"value":1}').status == 200
    assert larder.fastcgi("GET", "/cache/p").json()["value"] == 1
    assert "running as root" not in larder.text()


def test_life_goes_on_as_the_user(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Log, pid file, rotation, reload and stop need no root."""
    redis = new_redis(tcp=True)
    larder = nobodys(new_larder, redis, workers=1)
    log, pid_file = larder.directory / "log", larder.directory / "pid"
    conf = larder.directory / "larder.conf"
    conf.write_text("default_ttl = 100\n")
    larder.options |= {"log-file": log, "pid-file": pid_file, "config": conf}
    larder.start()
    assert pid_file.read_text() == f"{larder.pid}\n"
    assert log.stat().st_uid == pid_file.stat().st_uid == identity()[0]
    log.rename(larder.directory / "log.1")
    larder.signal(signal.SIGUSR1)
    eventually(lambda: log.exists() and "the log was reopened" in log.read_text(),
               what="a new log")
    [before] = larder.workers()
    conf.write_text("default_ttl = 200\n")
    larder.signal(signal.SIGHUP)
    eventually(lambda: before not in larder.workers() and len(larder.workers()) == 1, what="reload")
    assert larder.fastcgi("PUT", "/cache/t", b'{"value":1}').json()["ttl"] == 200
    [worker] = larder.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: worker not in larder.workers() and len(larder.workers()) == 1,
               what="respawn")
    assert status(larder.workers()[0])["Uid"] == [str(identity()[0])] * 4
    larder.stop()
    assert not pid_file.exists()


def test_workers_follow_their_master(new_larder: NewLarder) -> None:
    """A change of user takes the parent-death signal away: it is set after that."""
    larder = nobodys(new_larder).start()
    family = larder.workers()
    larder.signal(signal.SIGKILL)
    larder.wait()
    eventually(lambda: not any(map(alive, family)), 5, "the workers end")
    larder.start()


@pytest.mark.plain
def test_nobody_else_looks_into_it(new_larder: NewLarder) -> None:
    """Another process of that user can't read its memory, where Redis's password is.

    (Sanitizers make their processes readable.)
    """
    larder = nobodys(new_larder, workers=1).start()
    for pid in (larder.pid, *larder.workers()):
        done = subprocess.run([*as_nobody(), "cat", f"/proc/{pid}/environ"], check=False,
                              capture_output=True)
        # An ordinary user may look at what he has started himself.
        assert (done.returncode != 0) == ROOT, done
    assert status(larder.pid)["NoNewPrivs"] == ["1"]


def test_group_and_numbers(new_larder: NewLarder) -> None:
    """The group can be another one, and both can be numbers, also such as have no name."""
    uid, gid = identity()
    larder = nobodys(new_larder, workers=1)
    if ROOT:
        uid, gid = 987654, FRONT_GROUP.gr_gid
        os.chown(larder.directory, uid, gid)
    larder.options |= {"user": uid, "group": gid}
    larder.start()
    fields = status(larder.workers()[0])
    assert fields["Uid"] == [str(uid)] * 4 and fields["Gid"] == [str(gid)] * 4


def test_reload_is_tried_at_the_start(new_larder: NewLarder) -> None:
    """What only root can read makes reloads fail: the log says so at once, not some night later."""
    larder = nobodys(new_larder, workers=1)
    conf = larder.directory / "larder.conf"
    conf.write_text("default_ttl = 100\n")
    conf.chmod(0o600)
    larder.options["config"] = conf
    larder.start()
    if not ROOT:
        assert "no reload will succeed" not in larder.text()
        return
    assert re.search(rf"warning: {conf}: cannot be read: Permission denied", larder.text())
    assert "user = nobody can't: no reload will succeed" in larder.text()
    larder.signal(signal.SIGHUP)
    larder.wait_text("reload refused")
    assert larder.fastcgi("GET", "/health/live").status == 200


def test_root_follows_no_link_of_the_users(space: Workspace) -> None:
    """A link that the user put where the log belongs leads to nothing that root alone may write."""
    secret = space.directory("secret") / "precious"
    secret.write_text("precious\n")
    secret.chmod(0o600)
    larder = Larder(space, workers=1)
    log = larder.directory / "log"
    log.symlink_to(secret)
    larder.options |= {"user": "nobody" if ROOT else os.getuid(), "log-file": log}
    if not ROOT:
        secret.chmod(0o400)
    else:
        os.chown(larder.directory, NOBODY.pw_uid, NOBODY.pw_gid)
        larder.run_dir.rmdir()
    done = run(larder)
    assert done.returncode == 1
    assert f"cannot open log_file {log}: Permission denied" in done.stderr
    assert secret.read_text() == "precious\n"
    assert secret.stat().st_uid == os.getuid()


@pytest.mark.parametrize(("options", "said"), [
    ({"user": "no-such-user"}, "user = no-such-user: there is no such user"),
    ({"user": "nobody", "group": "no-such-group"}, "group = no-such-group: there is no such group"),
    ({"user": "4294967295"}, "there is no such user"),
    ({"user": "987654"}, "has no group; set group, too"),
    ({"group": "nogroup"}, "it goes with user; set that, too"),
    ({"listen-users": "root,no-such-user"}, "listen_users = no-such-user: there is no such user"),
    ({"listen-users": " ".join(map(str, range(17)))}, "listen_users: at most 16 users"),
])
def test_names_that_lead_nowhere(space: Workspace, options: dict[str, str], said: str) -> None:
    """The start is refused with the option, the value and what to do."""
    larder = Larder(space, workers=1, **options)
    done = run(larder)
    assert done.returncode == 1 and said in done.stderr, done
    assert not list(larder.run_dir.iterdir())


@pytest.mark.plain
def test_only_root_becomes_another(space: Workspace) -> None:
    """Who isn't root can't be told to become somebody else."""
    larder = Larder(space, workers=1, user="root")
    done = run(larder, *as_nobody())
    assert done.returncode == 1 and "only root can become another user" in done.stderr, done


def test_root_takes_no_other_group(space: Workspace) -> None:
    """A group that would not be taken is refused, not passed over."""
    done = run(Larder(space, workers=1, user="root", group="nogroup"))
    said = "group = nogroup: root's own group stays" if ROOT else "only root can become another"
    assert done.returncode == 1 and said in done.stderr, done


def test_socket_where_the_user_may_not_write(space: Workspace) -> None:
    """Not root makes the socket: its directory has to be the user's."""
    larder = Larder(space, workers=1, user="nobody")
    os.chmod(larder.run_dir, 0o755)
    other = space.directory("run")
    larder.options |= {"run-dir": other, "listen": larder.run_dir / "larder.sock"}
    if ROOT:
        os.chown(other, NOBODY.pw_uid, NOBODY.pw_gid)
    else:
        larder.options["user"] = os.getuid()
        larder.run_dir.chmod(0o555)
    done = run(larder)
    assert done.returncode == 1
    assert f"cannot listen on {larder.socket}: Permission denied" in done.stderr


def test_root_is_warned_about(new_larder: NewLarder) -> None:
    """Running it as root is possible, but nobody should do so by oversight."""
    larder = new_larder(workers=1).start()
    assert ("running as root" in larder.text()) == ROOT
    assert status(larder.pid)["NoNewPrivs"] == ["1"], "nobody gains by starting a program"
    larder.stop()
    meant = new_larder(workers=1, user="root" if ROOT else os.getuid()).start()
    assert "running as root" not in meant.text()


def test_as_a_daemon(space: Workspace, new_larder: NewLarder) -> None:
    """Going into the background and becoming another user go together."""
    larder = nobodys(new_larder, workers=1, listen_group=grp.getgrgid(os.getgid()).gr_name)
    pid_file = larder.directory / "pid"
    larder.options |= {"pid-file": pid_file, "log-file": larder.directory / "log", "daemon": "yes"}
    done = run(larder)
    assert done.returncode == 0, done
    pid = int(pid_file.read_text())
    try:
        assert status(pid)["Uid"] == [str(identity()[0])] * 4
        assert larder.fastcgi("GET", "/health/live").status == 200
    finally:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not alive(pid), what="the daemon ends")
    assert not pid_file.exists() and not list(larder.run_dir.iterdir())


# --- who may connect -----------------------------------------------------------------------------

# On its own: nobody may not be able to read the tests' directory.
KNOCK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as s:
    s.settimeout(10)
    s.connect(sys.argv[1])
    try:
        s.sendall(bytes.fromhex(sys.argv[2]))
        while data := s.recv(65536):
            sys.stdout.buffer.write(data)
    except (BrokenPipeError, ConnectionResetError):
        pass
"""


def knock(larder: Larder, target: str, *prefix: str) -> str:
    """What comes back to a request of whoever `prefix` makes it; empty if he is turned away."""
    request = fcgi.request_bytes("GET", target, keep=False).hex()
    done = subprocess.run([*prefix, sys.executable, "-c", KNOCK, larder.socket, request],
                          capture_output=True, check=True, timeout=20 * SLOW)
    return done.stdout.decode("latin-1")


def test_listen_users(new_larder: NewLarder) -> None:
    """Whoever the list names is served; who isn't named learns nothing, however often."""
    me = str(os.getuid())
    other = NOBODY.pw_name if ROOT else "root"
    larder = new_larder(workers=1, listen_mode="0666", listen_users=f"{me}, {other}").start()
    larder.run_dir.chmod(0o755)
    larder.directory.chmod(0o755)
    assert "alive" in knock(larder, "/health/live")
    if ROOT:
        assert "alive" in knock(larder, "/health/live", *as_nobody())
    larder.stop()

    stranger = new_larder(workers=1, listen_mode="0666", listen_users=other)
    stranger.launch(stranger.command(), stranger.environment())
    stranger.wait_text("listening on")
    for _ in range(3):
        assert knock(stranger, "/health/live") == ""
    # One line, not one for each: whoever is turned away shall not fill the log.
    assert stranger.text().count(f"closed a connection of user {me}, whom listen_users") == 1
    if ROOT:
        text = knock(stranger, "/metrics", *as_nobody())
        assert "\nlarder_connections_refused_total 3\n" in text
        assert "\nlarder_connections_accepted_total 1\n" in text


def test_who_is_turned_away_costs_nobody_a_connection(new_larder: NewLarder) -> None:
    """A thousand connections of strangers leave no descriptor behind, and others are served."""
    if not ROOT:
        larder = new_larder(workers=1, listen_users=str(os.getuid())).start()
        assert larder.fastcgi("GET", "/health/live").status == 200
        return
    larder = new_larder(workers=1, listen_mode="0666", listen_users="root").start()
    larder.run_dir.chmod(0o755)
    larder.directory.chmod(0o755)
    [worker] = larder.workers()
    before = len(os.listdir(f"/proc/{worker}/fd"))
    script = ("import socket, sys\n"
              "for _ in range(1000):\n"
              "    with socket.socket(socket.AF_UNIX) as s:\n"
              "        s.connect(sys.argv[1])\n")
    subprocess.run([*as_nobody(), sys.executable, "-c", script, larder.socket], check=True,
                   timeout=60 * SLOW)
    assert larder.fastcgi("GET", "/health/live").status == 200
    eventually(lambda: len(os.listdir(f"/proc/{worker}/fd")) <= before,
               what="nothing is left open")
    metrics = larder.fastcgi("GET", "/metrics").body.decode()
    assert re.search(r"^larder_connections_refused_total 1000$", metrics, re.M)
