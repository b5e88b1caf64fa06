"""T4: the master dies, and stops and reloads that come together."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from deeds import stop_and_time
from figures import FIRM, show_counts
from harness import Larder, alive, eventually
from scenario import Finding, Size, scenario
from world import World

CONNECTIONS = 64


class Activated(Larder):
    """A larderd that is given its listening socket, as systemd's socket unit would."""

    held: socket.socket

    def listen_on(self, held: socket.socket, path: Path) -> "Activated":
        """Says where."""
        self.held, self.socket = held, path
        return self

    def command(self) -> list[str]:
        """The environment has to have the pid of the very process."""
        script = ("export LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=larder.socket; "
                  f'exec "$@" 3<&{self.held.fileno()}')
        return ["bash", "-c", script, "bash", *super().command()]

    def start(self, *, ready: bool | None = None, **launch: object) -> Larder:
        """Starts it."""
        return super().start(ready=ready, pass_fds=[self.held.fileno()], **launch)


@scenario("T4", "kill -9 of the master, under a socket that its manager holds")
def master_killed(world: World, size: Size) -> Iterator[Finding]:
    """Its workers finish what they have and go; the next start takes over the same queue."""
    path = world.directory("listen") / "held.sock"
    outlived = []
    with socket.socket(socket.AF_UNIX) as held:
        held.bind(str(path))
        held.listen(1024)
        larder = world.add(Activated(world.space, world.redis(), redis_timeout=5000,
                                     redis_connect_timeout=5000)).listen_on(held, path)
        larder.start()
        front = world.front(larder)
        with world.verify(front, connections=CONNECTIONS) as load:
            load.wait_prepared()
            for _ in range(size(full=20, short=3)):
                load.wait_requests(500)
                family = larder.workers()
                moment = time.monotonic()
                larder.signal(signal.SIGKILL)
                larder.wait()
                eventually(lambda: not any(map(alive, family)), 10, "its workers have gone")
                outlived.append((time.monotonic() - moment) * 1e3)
                larder.start()
            load.wait_requests(500)
        report = load.result
        front.stop()
        larder.stop()
    yield Finding("workers gone", max(outlived), figure=1000, unit="ms")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("failed GETs", sum(report.failures(["GET"]).values()), figure=0,
                  detail=f"of {report['gets_verified']}; {show_counts(report.failures(['GET']))}")
    yield Finding("failed writes", sum(report.failures(["PUT"]).values()),
                  detail=show_counts(report.failures(["PUT"])))


@scenario("T4", "SIGTERM in the middle of SIGHUP and SIGUSR1 at 1 kHz", fronts=())
def stop_beats_reload(world: World, size: Size) -> Iterator[Finding]:
    """The stop wins, in time and cleanly, whatever was under way."""
    redis, taken = world.redis(), []
    larder = world.prepare_larder(redis)
    for i in range(size(full=100, short=6)):
        larder.start()
        ending = threading.Event()

        def pester() -> None:
            numbers = [signal.SIGHUP, signal.SIGUSR1]
            while not ending.wait(0.001) and larder.running():
                larder.signal(numbers[0])
                numbers.reverse()

        pesterer = threading.Thread(target=pester)
        pesterer.start()
        time.sleep(0.01 * (i % 10))
        try:
            taken.append(stop_and_time(larder))
        finally:
            ending.set()
            pesterer.join()
    yield Finding("stopped (longest)", max(taken), figure=FIRM, limit=FIRM, unit="s",
                  detail=f"{len(taken)} stops")
    yield Finding("ends with another status than 0, or with something left behind", 0, figure=0)
