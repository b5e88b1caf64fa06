"""What the processes of a larderd hold, looked at from outside."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from growth import Point
from harness import Larder, alive, children, open_descriptors, stat_fields

# "7f..000-7f..000 rw-s 00000000 00:01 1234   /memfd:larder.segment (deleted)"
MAPPING = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .*larder\.segment", re.M)


@dataclass
class Life:
    """A process, from when it was first seen: (seconds, value) of each kind."""

    role: str
    born: float
    rss: list[Point] = field(default_factory=list)  # KiB
    pss: list[Point] = field(default_factory=list)  # KiB
    descriptors: list[Point] = field(default_factory=list)

    def since(self, points: list[Point], warm_up: float) -> list[Point]:
        """Without what lies in its warm-up."""
        return [point for point in points if point[0] >= self.born + warm_up]


def memory(pid: int) -> tuple[int, int]:
    """Resident and proportional set size, in KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = dict(re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.M))
    return int(sizes["Rss"]), int(sizes["Pss"])


def segment_bytes(pid: int) -> int:
    """How much of the shared segment is mapped; 0 before it is."""
    found = MAPPING.findall(Path(f"/proc/{pid}/maps").read_text())
    return sum(int(end, 16) - int(begin, 16) for begin, end in found)


def own_kib(pid: int) -> int:
    """Resident memory that no file and no other process has a part in: heap and stack."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"^RssAnon:\s+(\d+) kB", text, re.M)[0])


def zombies(pid: int) -> set[int]:
    """Children that have ended and were not collected."""
    found = set()
    for entry in os.listdir("/proc"):
        fields = stat_fields(int(entry)) if entry.isdigit() else []
        if fields and fields[0] == "Z" and int(fields[1]) == pid:
            found.add(int(entry))
    return found


class Samples:
    """All that was seen of one larderd."""

    def __init__(self, larder: Larder) -> None:
        self.larder = larder
        self.lives: dict[int, Life] = {}
        self.segment_sizes: set[int] = set()
        self.run_files: set[str] = set()
        self.shm_before = self._shm()
        self.zombies: set[int] = set()  # those that were there twice in a row
        self._dead: set[int] = set()

    @staticmethod
    def _shm() -> set[str]:
        return {name for name in os.listdir("/dev/shm") if "larder" in name}

    @property
    def shm_left(self) -> set[str]:
        """What has come into /dev/shm since the beginning."""
        return self._shm() - self.shm_before

    def take(self, now: float) -> None:
        """Looks at all of it; `now` in seconds since the beginning."""
        self._take_process(self.larder.pid, "master", now)
        for pid in children(self.larder.pid):
            self._take_process(pid, "worker", now)
        dead = zombies(self.larder.pid)
        self.zombies |= dead & self._dead
        self._dead = dead
        self.run_files |= {path.name for path in self.larder.run_dir.iterdir()}

    def _take_process(self, pid: int, role: str, now: float) -> None:
        try:
            rss, pss = memory(pid)
            descriptors = open_descriptors(pid)
            segment = segment_bytes(pid)
        except (FileNotFoundError, ProcessLookupError, KeyError):
            return  # it has just ended
        if not alive(pid):
            return
        life = self.lives.setdefault(pid, Life(role, now))
        life.rss.append((now, rss))
        life.pss.append((now, pss))
        life.descriptors.append((now, descriptors))
        self.segment_sizes.add(segment)

    def of(self, role: str) -> list[Life]:
        """The lives of the master, or of the workers."""
        return [life for life in self.lives.values() if life.role == role]

    def worker_mean(self, now: float) -> float:
        """The workers' mean resident memory at the last sample, in KiB."""
        values = [life.rss[-1][1] for life in self.of("worker") if life.rss[-1][0] == now]
        return sum(values) / len(values) if values else 0.0
