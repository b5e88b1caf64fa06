"""Many clients at once, each on a connection of its own, and all of them in this process."""

from __future__ import annotations

import select
from collections.abc import Generator, Sequence

from ways import Answered, Request, Way

# Yields requests, is sent the answers, and returns when it is done.
Client = Generator[Request, Answered, None]


def run_crowd(ways: Sequence[Way], clients: Sequence[Client]) -> None:
    """Runs all clients to their end. Their first requests are on their way before the first answer
    is read, and from then on each has one in flight."""
    poller = select.epoll()
    present = {}
    for way, client in zip(ways, clients, strict=True):
        way.send(next(client))
        present[way.fileno()] = way, client
        poller.register(way.fileno(), select.EPOLLIN)
    while present:
        events = poller.poll(30)
        assert events, f"{len(present)} clients have had no answer for 30 s"
        for fd, _ in events:
            way, client = present[fd]
            try:
                way.send(client.send(way.receive()))
            except StopIteration:
                del present[fd]
                poller.unregister(fd)
    poller.close()
