"""The shared segment: nobody can take it away, and whatever is written into it does little harm."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import prometheus
import segment
from harness import (PATH, SLOW, Larder, Redis, Workspace, alive, children, eventually,
                     pause)

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]


# --- its memory ----------------------------------------------------------------------------------

def test_nobody_can_shorten_it(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Not even root takes a page away from under the processes that look at it (SIGBUS)."""
    larder = new_larder(new_redis()).start()
    family = larder.workers()
    fd = os.open(segment.find(larder.pid), os.O_RDWR | os.O_CLOEXEC)
    try:
        for size in (0, 1, 4096, 1 << 30):
            with pytest.raises(PermissionError) as refused:
                os.ftruncate(fd, size)
            assert refused.value.errno == errno.EPERM
    finally:
        os.close(fd)
    assert larder.stats()["hits"] == 0
    assert larder.workers() == family
    assert not [p.name for p in larder.run_dir.iterdir() if p.name != "larder.sock"]


def test_start_without_memory_for_it(space: Workspace) -> None:
    """The start is refused, and says what could not be had: no SIGBUS later, in a request."""
    larder = Larder(space, workers=1)
    done = subprocess.run(["prlimit", "--fsize=4096", *larder.command()], capture_output=True,
                          text=True, check=False, timeout=20 * SLOW,
                          env={"PATH": PATH, "LANG": "C"})
    assert done.returncode == 1
    assert "bytes of shared memory for the statistics: File too large" in done.stderr
    assert not list(larder.run_dir.iterdir())


def test_only_the_master_keeps_it_open(new_larder: NewLarder) -> None:
    """A worker has it mapped, and no descriptor to pass on."""
    larder = new_larder().start()
    segment.find(larder.pid)
    for pid in larder.workers():
        with pytest.raises(AssertionError, match="no segment"):
            segment.find(pid)
        assert segment.NAME in Path(f"/proc/{pid}/maps").read_text()


# --- what stands in it ---------------------------------------------------------------------------

PATTERNS = {
    "zero": b"\0", "ones": b"\xff", "largest": b"\xff" * 7 + b"\x7f", "least": b"\0" * 7 + b"\x80",
    "one": b"\1", "odd": b"\3\0\0\0", "random": random.Random(1).randbytes(8192),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_service_gets_over_damage(pattern: str, new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Everything in it is overwritten: soon all is served again, by the same workers."""
    redis = new_redis()
    larder = new_larder(redis, key_prefix="p:").start()
    family = larder.workers()
    assert larder.fastcgi("PUT", "/cache/k", b'{"value":"right"}').status == 200
    with segment.Segment(larder.pid) as memory:
        for _ in range(5):
            memory.fill(PATTERNS[pattern])
            eventually(lambda: larder.fastcgi("GET", "/cache/k").status == 200, 5,
                       "entries are served")
            assert larder.fastcgi("GET", "/cache/k").json()["value"] == "right"
            eventually(lambda: larder.fastcgi("GET", "/health").status == 200, 5, "health")
            answer = larder.fastcgi("GET", "/stats")
            assert answer.status == 200 and answer.json()["redis"]["connected"] is True
            prometheus.parse(larder.fastcgi("GET", "/metrics").body.decode())
    # Its own gauges a worker says again.
    eventually(lambda: sorted(w["pid"] for w in larder.stats()["workers"]
                              if w["state"] == "ready" and w["pid"] in family) == family, 5,
               lambda: f"the rows are right again: {larder.stats()['workers']}")
    # Whoever had the right to count keys, by what was written, hasn't it for ever.
    eventually(lambda: larder.stats()["total_keys"] == 1, 20,
               lambda: f"keys are counted: {larder.stats()['total_keys']}")
    assert larder.workers() == family, larder.text()


@pytest.mark.parametrize("pattern", ["zero", "largest", "random"])
def test_pool_is_kept_up_after_damage(pattern: str, new_larder: NewLarder) -> None:
    """The master replaces who dies and who hangs, whatever the rows say of them."""
    larder = new_larder(watchdog_timeout=1000).start()
    first, second = larder.workers()
    with segment.Segment(larder.pid) as memory:
        memory.fill(PATTERNS[pattern])
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not alive(first) and len(larder.workers()) == 2, 10, "a new worker")
        pause(second)
        # Its heartbeat is far ahead, or was never.
        memory.fill(PATTERNS[pattern])
        eventually(lambda: not alive(second), 10, "the one that hangs is killed")
    eventually(lambda: len(children(larder.pid)) == 2, 10, "the pool is whole")
    assert larder.fastcgi("GET", "/health/live").status == 200
    larder.signal(signal.SIGHUP)
    larder.wait_text("generation 2 serves")


def test_redis_comes_back_after_damage(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Times far ahead in the breaker don't keep a Redis away that is there again."""
    redis = new_redis()
    larder = new_larder(redis).start()
    for pattern in ("largest", "random", "ones"):
        redis.kill()
        eventually(lambda: larder.fastcgi("GET", "/cache/k").status == 503, what="Redis is away")
        with segment.Segment(larder.pid) as memory:
            memory.fill(PATTERNS[pattern])
            redis.start()
            memory.fill(PATTERNS[pattern])
        eventually(lambda: larder.fastcgi("GET", "/cache/k").status == 404, 5,
                   lambda p=pattern: f"Redis is used again after {p}")
