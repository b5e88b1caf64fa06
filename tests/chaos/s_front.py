"""T13: the web server is killed, reloaded, or stopped, and what was acknowledged is still there."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator

from deeds import kill_a_worker
from figures import PATIENT, show_counts, show_failures
from harness import Front, Larder, children, eventually
from rawhttp import Closed, Http
from scenario import Finding, Size, scenario
from verify import Report, sleep_until
from world import World

CONNECTIONS = 64
RELOAD = {"nginx": signal.SIGHUP, "lighttpd": signal.SIGUSR1}
WRITE_LIMIT = 1000  # ms that an answer may wait for its peer to take more of it


def family(front: Front) -> list[int]:
    """All processes of a web server."""
    return [front.pid, *children(front.pid)]


def signal_all(front: Front, number: int) -> None:
    """To its children too, which nginx's master does not pass everything on to."""
    for pid in family(front):
        os.kill(pid, number)


def kill_all(front: Front) -> None:
    """kill -9 of all of it; the master is stopped first, lest it replace its children."""
    front.signal(signal.SIGSTOP)
    for pid in children(front.pid):
        os.kill(pid, signal.SIGKILL)
    front.signal(signal.SIGKILL)
    front.wait()


def connections(larder: Larder) -> int:
    """Of all workers, but for the one that asks."""
    return sum(w["connections"] - w["in_flight"] for w in larder.stats()["workers"])


def judge(report: Report) -> Iterator[Finding]:
    """What holds whatever happens to the web server."""
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failed requests", report.failed,
                  detail=show_failures(report))


@scenario("T13", "workers killed, larder and the web server reloaded, in any order")
def mixture(world: World, size: Size) -> Iterator[Finding]:
    """No acknowledged version is lost or goes back, whatever fails in between."""
    _, larder, front = world.stack(**PATIENT)
    done = {"kill": 0, "reload": 0, "front": 0}
    dice = random.Random(13)
    with world.verify(front, connections=CONNECTIONS, writes=45, deletes=10,
                      target="mixed") as load:
        load.wait_prepared()
        begun = time.monotonic()
        for i in range(size(full=300, short=15)):
            sleep_until(begun + i * 0.2)
            what = dice.choice(list(done))
            done[what] += 1
            if what == "kill":
                kill_a_worker(larder)
            elif what == "reload":
                larder.signal(signal.SIGHUP)
            else:
                front.signal(RELOAD[world.kind])
        load.wait_requests(CONNECTIONS)
    report = load.result
    yield from judge(report)
    yield Finding("writes acknowledged", report["puts_acked"] + report["deletes_acked"],
                  detail=show_counts(done))
    # lighttpd waits for its clients when it restarts, and accepts nobody meanwhile.
    yield Finding("longest request", report["hang_ms"], figure=6000, limit=6000, unit="ms")


@scenario("T13", "the web server killed and started again")
def front_killed(world: World, size: Size) -> Iterator[Finding]:
    """larder lets go of its connections and is there for the next web server at once."""
    _, larder, front = world.stack(**PATIENT)
    before, released, back, starts = larder.workers(), [], [], []
    with world.verify(front, connections=CONNECTIONS, sizes="mixed", writes=45) as load:
        load.wait_prepared()
        for _ in range(size(full=20, short=2)):
            load.wait_requests(300)
            kill_all(front)
            moment = time.monotonic()
            eventually(lambda: connections(larder) == 0, 10, "all connections are closed")
            released.append((time.monotonic() - moment) * 1e3)
            front.start()
            starts.append(time.monotonic())
        load.wait_requests(300)
    back = [load.result.first_ok_after(moment) for moment in starts]
    yield from judge(load.result)
    yield Finding("connections of the dead closed", max(released), figure=WRITE_LIMIT, unit="ms")
    yield Finding("first answer after its start", max(ms or 1e9 for ms in back), figure=500,
                  unit="ms")
    yield Finding.holds("no worker died", larder.workers() == before)


@scenario("T13", "the web server stopped (SIGSTOP) for a while")
def front_stopped(world: World, size: Size) -> Iterator[Finding]:
    """A web server that takes nothing holds no worker: the others are answered as ever."""
    _, larder, front = world.stack(**PATIENT)
    before, asked = larder.workers(), []
    with world.verify(front, connections=16, sizes="large", writes=20) as load:
        load.wait_prepared()
        for _ in range(size(full=5, short=1)):
            load.wait_requests(100)
            signal_all(front, signal.SIGSTOP)
            try:
                end = time.monotonic() + 2.5
                while time.monotonic() < end:
                    begun = time.monotonic()
                    larder.fastcgi("GET", "/cache/other")
                    asked.append((time.monotonic() - begun) * 1e3)
                    time.sleep(0.005)
                stuck = sum(w["in_flight"] for w in larder.stats()["workers"]) - 1
            finally:
                signal_all(front, signal.SIGCONT)
            moment = time.monotonic()
        load.wait_requests(100)
    yield from judge(load.result)
    yield Finding("requests still held when it had been stopped for 2.5 s", stuck, figure=0)
    yield Finding("answers to others meanwhile (longest)", max(asked), figure=100, unit="ms")
    yield Finding("first answer after SIGCONT", load.result.first_ok_after(moment) or 1e9,
                  figure=500, unit="ms")
    yield Finding.holds("no worker died", larder.workers() == before)


class Counting(threading.Thread):
    """A client that adds 1 to a counter until told to stop, and knows how often it may have been."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__()
        self.port = port
        self.target = f"/counters/{name}"
        self.acknowledged = 0
        self.unknown = 0
        self.ending = threading.Event()

    def run(self) -> None:
        """Adds."""
        with Http(self.port) as http:
            while not self.ending.is_set():
                try:
                    answer = http.request("POST", self.target, b"{}",
                                          (("Content-Type", "application/json"),))
                    self.acknowledged += answer.status == 200
                    self.unknown += answer.status != 200
                except (OSError, Closed, ValueError):
                    self.unknown += 1
                    http.close()


@scenario("T13", "counters under dying workers: nothing is done twice")
def nothing_done_twice(world: World, size: Size) -> Iterator[Finding]:
    """A write that failed half-way is tried again by nobody but the client."""
    _, larder, front = world.stack(**PATIENT)
    clients = [Counting(front.port, f"c{i}") for i in range(8)]
    for client in clients:
        client.start()
    begun = time.monotonic()
    kills = size(full=300, short=20)
    try:
        for i in range(kills):
            sleep_until(begun + i * 0.1)
            kill_a_worker(larder)
    finally:
        for client in clients:
            client.ending.set()
        for client in clients:
            client.join()
    eventually(lambda: len(larder.workers()) == larder.worker_count, what="the pool is whole")
    too_many = too_few = 0
    for client in clients:
        value = larder.fastcgi("GET", client.target.replace("/counters", "/cache")).json()["value"]
        too_few += max(0, client.acknowledged - value)
        too_many += max(0, value - client.acknowledged - client.unknown)
    yield Finding("acknowledged increments that are missing", too_few, figure=0)
    yield Finding("increments that nobody asked for", too_many, figure=0,
                  detail=f"{sum(c.acknowledged for c in clients)} acknowledged, "
                         f"{sum(c.unknown for c in clients)} failed, {kills} kills")
