"""What larderd's log says of its workers, with the times it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone

LINE = re.compile(r"^(\S+Z) (\S.*?)\[(\d+)\] (\w+): (.*)$", re.M)
DEATH = re.compile(r"^worker \d+ \(pid (\d+), generation \d+\) died of (.*?) after [\d.]+ s; .*, "
                   r"(\d+) were in flight on (\d+) connections$")


@dataclass
class Line:
    """A line of the log; `moment` is time.time()'s."""

    moment: float
    role: str
    pid: int
    level: str
    text: str


@dataclass
class Death:
    """An obituary."""

    moment: float
    pid: int
    cause: str
    in_flight: int
    connections: int


def lines(text: str) -> list[Line]:
    """The whole log, in the order of time."""
    found = []
    for stamp, role, pid, level, said in LINE.findall(text):
        moment = datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        found.append(Line(moment.timestamp(), role, int(pid), level, said))
    return sorted(found, key=lambda line: line.moment)


def deaths(text: str) -> list[Death]:
    """The obituaries of workers that nobody had asked to leave."""
    found = []
    for line in lines(text):
        match = DEATH.match(line.text)
        if match:
            found.append(Death(line.moment, int(match.group(1)), match.group(2),
                               int(match.group(3)), int(match.group(4))))
    return found


def connected(text: str) -> list[Line]:
    """When each worker had reached Redis: from then on it serves."""
    return [line for line in lines(text) if line.text.startswith("connected to Redis")]


def replacements(text: str, workers: int, killed: Mapping[int, float]) -> list[float]:
    """For each death the ms until the pool was whole again, that is, until as many workers as it
    should have had reached Redis. `killed` has the moments at which they were killed, by pid."""
    events = [(line.moment, 1, line.pid) for line in connected(text)]
    events += [(death.moment, -1, death.pid) for death in deaths(text)]
    serving: set[int] = set()
    waiting: list[float] = []
    took: list[float] = []
    for moment, change, pid in sorted(events):
        if change < 0:
            serving.discard(pid)
            waiting.append(killed.get(pid, moment))
        else:
            serving.add(pid)
        if len(serving) >= workers:
            took += [(moment - since) * 1e3 for since in waiting]
            waiting = []
    return took
