"""The shared segment from outside: found in the master's descriptors, and damaged there.

The master keeps the memory open as a descriptor; who may look into the process may map it.
"""

from __future__ import annotations

import mmap
import os
import random
from pathlib import Path

NAME = "/memfd:larder.segment"


def find(pid: int) -> Path:
    """The master's descriptor of the segment."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        if os.readlink(entry).startswith(NAME):
            return entry
    raise AssertionError(f"process {pid} has no segment")


class Segment:
    """The segment of a running larderd, mapped."""

    def __init__(self, pid: int) -> None:
        fd = os.open(find(pid), os.O_RDWR | os.O_CLOEXEC)
        self.bytes = os.fstat(fd).st_size
        self._map = mmap.mmap(fd, self.bytes)
        os.close(fd)

    def flip(self, count: int, dice: random.Random) -> None:
        """Changes so many bytes, any of them, to something else."""
        for _ in range(count):
            at = dice.randrange(self.bytes)
            self._map[at] ^= dice.randrange(1, 256)

    def fill(self, pattern: bytes) -> None:
        """Writes the pattern over all of it, again and again."""
        whole = pattern * (self.bytes // len(pattern) + 1)
        self._map[:] = whole[:self.bytes]

    def close(self) -> None:
        """Lets go of it."""
        self._map.close()

    def __enter__(self) -> "Segment":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
