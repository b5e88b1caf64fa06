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
from harness import SLOW, Front, Larder, children, eventually
from rawhttp import Closed, Http
from scenario import Finding, Size, scenario
from verify import Report, sleep_until
from world import World

CONNECTIONS = 64
RELOAD = {"nginx": signal.SIGHUP, "lighttpd": signal.SIGUSR1}
JSON = (("Content-Type", "application/json"),)
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


def judge(report: Report, *, felt: bool = False) -> Iterator[Finding]:
    """What holds whatever happens to the web server; `felt` where requests must have failed."""
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failed requests", report.failed, figure=1 if felt else None, least=True,
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
    yield from judge(load.result, felt=True)
    yield Finding("connections of the dead closed", max(released), figure=WRITE_LIMIT, unit="ms")
    yield Finding("first answer after its start", max(ms or 1e9 for ms in back), figure=500,
                  unit="ms")
    yield Finding.holds("no worker died", larder.workers() == before)


def stop_for_a_while(front: Front, larder: Larder, seconds: float) -> list[float]:
    """Stops a web server; gives how many ms others waited for their answers meanwhile."""
    asked = []
    signal_all(front, signal.SIGSTOP)
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            larder.fastcgi("GET", "/cache/other")
            asked.append((time.monotonic() - begun) * 1e3)
            time.sleep(0.005)
    finally:
        signal_all(front, signal.SIGCONT)
    return asked


@scenario("T13", "the web server stopped (SIGSTOP) in the middle of answers")
def front_stopped(world: World, size: Size) -> Iterator[Finding]:
    """A web server that takes nothing holds no worker: the others are answered as ever."""
    _, larder, front = world.stack(**PATIENT)
    before, asked, dropped = larder.workers(), [], 0
    with world.verify(front, connections=32, sizes="large", writes=20) as load:
        load.wait_prepared(60)
        # Not each time does larder owe it more than fits into a socket.
        for i in range(10):
            load.wait_requests(100)
            asked += stop_for_a_while(front, larder, 2 * WRITE_LIMIT / 1e3 * SLOW)
            moment = time.monotonic()
            dropped = larder.stats()["counters"]["connections_timed_out"]
            if dropped > 0 and i + 1 >= size(full=5, short=1):
                break
        load.wait_requests(100)
    yield from judge(load.result)
    yield Finding("answers given up that it did not take", dropped, figure=1, least=True)
    yield Finding("answers to others meanwhile (longest)", max(asked), figure=100, unit="ms")
    yield Finding("first answer after SIGCONT", load.result.first_ok_after(moment) or 1e9,
                  figure=500, unit="ms")
    yield Finding.holds("no worker died", larder.workers() == before)


class Writer(threading.Thread):
    """A client whose every write shows if it was done twice: it adds 1 to a counter, and stores keys
    that must not be there yet."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__()
        self.port = port
        self.name = name
        self.acknowledged = 0
        self.unknown = 0  # increments that may have been done
        self.created = 0
        self.there_already: list[str] = []
        self.ending = threading.Event()

    def _add(self, http: Http) -> None:
        self.unknown += 1
        if http.request("POST", f"/counters/{self.name}", b"{}", JSON).status == 200:
            self.unknown -= 1
            self.acknowledged += 1

    def _create(self, http: Http, number: int) -> None:
        target = f"/cache/{self.name}-{number}"
        only_new = (*JSON, ("If-None-Match", "*"))
        status = http.put(target, {"value": number, "ttl": 600}, only_new).status
        self.created += status == 200
        if status == 412:
            self.there_already.append(target)

    def run(self) -> None:
        """Writes until it is told to stop."""
        number = 0
        with Http(self.port) as http:
            while not self.ending.is_set():
                number += 1
                try:
                    self._add(http)
                    self._create(http, number)
                except (OSError, Closed, ValueError):
                    http.close()


@scenario("T13", "writes under dying workers: nothing is done twice")
def nothing_done_twice(world: World, size: Size) -> Iterator[Finding]:
    """A write that failed half-way is tried again by nobody but the client."""
    _, larder, front = world.stack(**PATIENT)
    writers = [Writer(front.port, f"c{i}") for i in range(8)]
    for writer in writers:
        writer.start()
    begun = time.monotonic()
    kills = size(full=300, short=20)
    try:
        for i in range(kills):
            sleep_until(begun + i * 0.1)
            kill_a_worker(larder)
    finally:
        for writer in writers:
            writer.ending.set()
        for writer in writers:
            writer.join()
    eventually(lambda: len(larder.workers()) == larder.worker_count, what="the pool is whole")
    too_many = too_few = 0
    for writer in writers:
        value = larder.fastcgi("GET", f"/cache/{writer.name}").json()["value"]
        too_few += max(0, writer.acknowledged - value)
        too_many += max(0, value - writer.acknowledged - writer.unknown)
    there = [target for writer in writers for target in writer.there_already]
    yield Finding("acknowledged increments that are missing", too_few, figure=0)
    yield Finding("increments that nobody asked for", too_many, figure=0,
                  detail=f"{sum(w.acknowledged for w in writers)} acknowledged, "
                         f"{sum(w.unknown for w in writers)} failed, {kills} kills")
    yield Finding("new keys that were said to be there already", len(there), figure=0,
                  detail=f"{sum(w.created for w in writers)} created; {', '.join(there[:3])}")
