"""T4: stopping, and starting again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fcgi
from deeds import stop_and_time, wait_stopped
from figures import FIRM, PATIENT, percentile, show_failures
from harness import Larder, alive, eventually
from scenario import Finding, Size, scenario
from world import World

CONNECTIONS = 64
FRESH = 16   # FastCGI peers that connect for each request
KEPT = 200   # connections of one that keeps them


class Peers:
    """Plays web servers until larder is gone. What was sent without an error has to be answered,
    each and every one."""

    def __init__(self, larder: Larder) -> None:
        self.larder = larder
        self.answered = 0
        self.unanswered: list[str] = []
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def _send(self, connection: fcgi.Connection, number: int, keep: bool) -> bool:
        """Sends a request; False if that isn't possible any more."""
        body = b'{"value":%d}' % number
        try:
            connection.send(fcgi.request_bytes("PUT", f"/cache/p{number}", body, keep=keep))
        except OSError:
            return False
        return True

    def _read(self, connection: fcgi.Connection) -> bool:
        """Reads the answer to a request that was sent; False if it isn't right."""
        try:
            answer = connection.read_response()
            said = "" if answer.status == 200 else f"status {answer.status}"
        except (OSError, fcgi.Closed) as e:
            said = f"{type(e).__name__} {e}"
        with self._lock:
            self.answered += not said
            self.unanswered += [said] if said else []
        return not said

    def _fresh(self, number: int) -> None:
        """A connection for each request."""
        try:
            while True:
                with self.larder.connect() as connection:
                    if self._send(connection, number, keep=False):
                        self._read(connection)
        except OSError:
            pass  # nobody listens any more

    def _kept(self, count: int) -> None:
        """Kept connections: a request on each, then the answers, so that many are sent while
        connections are being closed."""
        with contextlib.ExitStack() as stack:
            going = [(i, stack.enter_context(self.larder.connect())) for i in range(count)]
            while going:
                sent = [(i, c) for i, c in going if self._send(c, i, keep=True)]
                going = [(i, c) for i, c in sent if self._read(c)]

    def start(self, keep: bool) -> None:
        """Connects and begins."""
        self._threads = ([threading.Thread(target=self._kept, args=(KEPT,))] if keep else
                         [threading.Thread(target=self._fresh, args=(i,)) for i in range(FRESH)])
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until each has noticed that larder is gone."""
        for thread in self._threads:
            thread.join()


@scenario("T4", "SIGTERM under requests of FastCGI peers", fronts=())
def nothing_accepted_is_lost(world: World, size: Size) -> Iterator[Finding]:
    """Whoever got a request out gets its answer, on fresh connections and on kept ones."""
    redis = world.redis()
    larder = world.prepare_larder(redis, **PATIENT)
    answered, taken = 0, []
    lost: list[str] = []
    for i in range(size(full=100, short=10)):
        larder.start()
        peers = Peers(larder)
        peers.start(keep=i % 2 == 1)
        # Some moment, long enough for all of them to be at work.
        time.sleep(0.1 + random.random() * 0.05)
        taken.append(stop_and_time(larder))
        peers.join()
        answered += peers.answered
        lost += peers.unanswered
    yield Finding("requests that were sent and not answered", len(lost), figure=0,
                  detail=f"{answered} answered, {len(taken)} stops; {'; '.join(lost[:3])}")
    yield Finding("stopped (longest)", max(taken), figure=FIRM, limit=FIRM, unit="s")


def ask_and_stop(larder: Larder, count: int, keep: bool) -> tuple[float, list[str]]:
    """Requests that nobody has looked at when it is told to stop: its workers have not had the
    time. Gives how long the stop took, and what was wrong with answers."""
    lost, family = [], larder.workers()
    connections = [larder.connect() for _ in range(count)]
    for connection in connections if keep else ():
        connection.request("GET", "/health/live", keep=True)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    for i, connection in enumerate(connections):
        body = b'{"value":%d}' % i
        connection.send(fcgi.request_bytes("PUT", f"/cache/w{i}", body, keep=keep))
    begun, said = time.monotonic(), larder.text().count("stopping")
    larder.signal(signal.SIGTERM)
    eventually(lambda: larder.text().count("stopping") > said, what="it says that it stops")
    for pid in family:
        os.kill(pid, signal.SIGCONT)
    for connection in connections:
        try:
            answer = connection.read_response()
            lost += [f"status {answer.status}"] if answer.status != 200 else []
        except (OSError, fcgi.Closed) as e:
            lost.append(f"{type(e).__name__} {e}")
        connection.close()
    return wait_stopped(larder, family, begun), lost


@scenario("T4", "SIGTERM while requests wait in the queue", fronts=())
def the_queue_is_served(world: World, size: Size) -> Iterator[Finding]:
    """What has reached larder's socket is answered, be it accepted or not."""
    larder = world.prepare_larder(world.redis(), **PATIENT)
    waiting, taken = 48, []
    lost: list[str] = []
    for i in range(size(full=20, short=4)):
        larder.start()
        seconds, wrong = ask_and_stop(larder, waiting, keep=i % 2 == 1)
        taken.append(seconds)
        lost += wrong
    yield Finding("requests that waited and were not answered", len(lost), figure=0,
                  detail=f"of {waiting * len(taken)}; {'; '.join(lost[:3])}")
    yield Finding("stopped (longest)", max(taken), figure=FIRM, limit=FIRM, unit="s")


@scenario("T4", "SIGTERM under load through a web server")
def stopped_under_load(world: World, size: Size) -> Iterator[Finding]:
    """It ends in time and cleanly, and nobody gets a wrong or a torn answer."""
    _, larder, front = world.stack(**PATIENT)
    taken = []
    with world.verify(front, connections=CONNECTIONS, sizes="mixed") as load:
        load.wait_prepared()
        for _ in range(size(full=20, short=3)):
            load.wait_requests(500)
            taken.append(stop_and_time(larder))
            larder.start()
        # lighttpd leaves a backend that refused a connection out for a second.
        load.wait_requests(500)
    report = load.result
    shown = ("500", "502", "503")
    yield Finding("stopped (longest)", max(taken), figure=FIRM, limit=FIRM, unit="s")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failures other than the web server's own 5xx",
                  sum(report.unexpected(shown).values()) + sum(report["slugs"].values()), figure=0,
                  detail=show_failures(report))


@scenario("T4", "SIGTERM with a stopped worker", fronts=())
def stopped_with_a_stuck_worker(world: World, size: Size) -> Iterator[Finding]:
    """A worker that doesn't leave is killed when the drain time is over."""
    redis = world.redis()
    drain = size(full=5.0, short=1.0)
    taken = []
    for _ in range(size(full=5, short=1)):
        larder = world.larder(redis, drain_timeout=int(drain * 1e3))
        os.kill(larder.workers()[0], signal.SIGSTOP)
        taken.append(stop_and_time(larder))
    yield Finding("stopped (longest)", max(taken), figure=drain + 1, limit=drain + 1, unit="s")
    yield Finding.holds("the worker had the drain time to leave", min(taken) >= drain - 0.1,
                        f"it had {min(taken):.1f} s")


@scenario("T4", "start and stop, again and again", fronts=())
def started_and_stopped(world: World, size: Size) -> Iterator[Finding]:
    """Each time it serves, ends with 0, and leaves nothing behind."""
    redis = world.redis()
    with tempfile.TemporaryDirectory(prefix="larder-chaos-", dir="/dev/shm") as shm:
        larder = world.prepare_larder(redis, run_dir=shm, pid_file=f"{shm}/pid")
        up, down, left = [], [], 0
        for _ in range(size(full=1000, short=10)):
            begun = time.monotonic()
            larder.start()
            up.append((time.monotonic() - begun) * 1e3)
            family = [larder.pid, *larder.workers()]
            down.append(stop_and_time(larder) * 1e3)
            left += len(list(Path(shm).iterdir())) + sum(map(alive, family))
    yield Finding("cycles that hung or did not end with 0", 0, figure=0,
                  detail=f"{len(up)} cycles; started in {percentile(up, 0.5):.0f} ms, at most "
                         f"{max(up):.0f}; stopped in {percentile(down, 0.5):.0f} ms, at most "
                         f"{max(down):.0f}")
    yield Finding("processes, files and segments left behind", left, figure=0)
