"""T8: a log that cannot be written hinders nobody."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from collections.abc import Iterator

from figures import percentile
from harness import Larder, Redis, eventually
from kept import Kept
from scenario import Finding, Size, scenario
from tmpfs import Tmpfs
from world import World

REQUESTS = 200


def ask_and_time(larder: Larder, count: int) -> list[float]:
    """Reads with faults among them, so that debug lines are written; milliseconds."""
    one = Kept(larder)
    for i in range(count):
        one.ask(f"/cache/{i}", 404)
    one.close()
    return [t * 1e3 for t in one.taken]


def make_noise(larder: Larder, redis: Redis) -> None:
    """Has every process of larderd say something."""
    redis.kill()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 503, 5, "Redis is away")
    redis.start()
    eventually(lambda: larder.fastcgi("GET", "/cache/a").status == 404, 5, "Redis is back")
    before = larder.stats()["counters"]["reloads"]
    larder.signal(signal.SIGHUP)
    eventually(lambda: larder.stats()["counters"]["reloads"] > before, 10, "it reloads")


def judge(larder: Larder, redis: Redis, name: str, drops: bool, size: Size) -> Iterator[Finding]:
    """What holds whatever is wrong with the log."""
    for _ in range(size(full=3, short=1)):
        make_noise(larder, redis)
    taken = ask_and_time(larder, size(full=2000, short=REQUESTS))
    yield Finding(f"reads with {name} (p99)", percentile(taken, 0.99), figure=10, unit="ms")
    counters = larder.stats()["counters"]
    yield Finding.holds(f"no worker died of {name}", counters["worker_deaths"] == 0)
    if drops:
        yield Finding(f"lines counted as lost with {name}", counters["log_lines_dropped"], figure=1,
                      least=True)


def fill_pipe(fd: int) -> None:
    """Writes until nothing fits any more."""
    for piece in (b"x" * 4096, b"x"):
        try:
            while True:
                os.write(fd, piece)
        except BlockingIOError:
            pass


def readable(fd: int) -> bool:
    """Whether something is there to read."""
    return bool(select.select([fd], [], [], 0.05)[0])


@scenario("T8", "a log that nobody can write", fronts=())
def log_fails(world: World, size: Size) -> Iterator[Finding]:
    """A full device, a file system that fills up, and standard error closed."""
    redis = world.redis()
    larder = world.larder(redis, log_file="/dev/full", log_level="debug")
    yield from judge(larder, redis, "/dev/full", True, size)
    larder.stop()
    with Tmpfs(world.directory("tiny"), "64k") as tiny:
        if tiny.mounted:
            larder = world.larder(redis, log_file=tiny.path / "log", log_level="debug")
            tiny.fill()
            yield from judge(larder, redis, "a full file system", True, size)
            larder.stop()
    larder = world.prepare_larder(redis, log_level="debug")
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh"]
    larder.start(limits=closed)
    yield from judge(larder, redis, "a closed standard error", False, size)


@scenario("T8", "a log that nobody reads", fronts=())
def log_pipe_full(world: World, size: Size) -> Iterator[Finding]:
    """A pipe on standard error whose reader has stopped reading: written to by all processes."""
    redis = world.redis()
    larder = world.prepare_larder(redis, log_level="debug")
    fifo = world.directory("log") / "pipe"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        larder.start(limits=["sh", "-c", f'exec "$@" 2>{fifo}', "sh"])
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        fill_pipe(reader)
        yield from judge(larder, redis, "a full pipe", True, size)
        os.set_blocking(reader, False)
        while os.read(reader, 65536):
            if not readable(reader):
                break
        make_noise(larder, redis)
        text = b""
        end = time.monotonic() + 5
        while b"lines were dropped" not in text and time.monotonic() < end:
            text += os.read(reader, 65536) if readable(reader) else b""
        yield Finding.holds("once it is read, the log says that lines are missing",
                            b"lines were dropped" in text, text.decode()[-300:])
        larder.stop()
    finally:
        os.close(reader)
