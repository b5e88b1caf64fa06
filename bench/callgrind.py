"""larderd under callgrind: what its worker executed between two moments, and in which functions.

A moment is a SIGUSR1 to the worker. It opens its log again then, which is nothing as long as
nothing but stderr is its log, and callgrind is told to write down and to clear what it has counted
whenever that function is entered. So the moments are points of the program: nothing has to attach
to it, and what a moment itself costs is the same each time.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from harness import (LARDERD, SANITIZED, Larder, Redis, Workspace,  # noqa: E402
                     eventually)

__all__ = ["LARDERD", "SANITIZED", "Redis", "Workspace", "Counted", "self_costs", "take_turns",
           "total"]

MOMENT = "log_reopen"
START_S = 60.0
TOTAL = re.compile(rb"^totals: (\d+)\n", re.M)
# libc chooses its copying and searching functions by the processor: the same everywhere.
BASELINE = ("glibc.cpu.hwcaps=-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-BMI2,-ERMS,-MOVBE,-SSE4_2,"
            "-SSE4_1,-SSSE3")


def take_turns() -> None:
    """From here on this process and its children share one processor, and none interrupts another.

    So each works until it has to wait. Side by side, a reader that drains a socket would wake the
    worker for nothing, and half an answer of Redis would be read in two goes: now and then.
    """
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {allowed[os.getpid() % len(allowed)]})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


class Counted(Larder):
    """A larderd with one worker, every instruction of which is counted."""

    def __init__(self, space: Workspace, redis: Redis) -> None:
        # Under callgrind one turn may take longer than a write may, on a busy machine.
        super().__init__(space, redis, workers=1, redis_timeout=60000)
        self._moments = 0
        # The same length wherever the tree lies: it ends up on the stack and in the heap.
        self._program = self.directory / "larderd"
        self._program.symlink_to(LARDERD)

    def command(self) -> list[str]:
        """The program and its arguments, below callgrind."""
        return ["valgrind", "--tool=callgrind", f"--dump-before={MOMENT}",
                f"--log-file={self.directory}/log.%p",
                f"--callgrind-out-file={self.directory}/counts.%p",
                str(self._program), *self.arguments()]

    def environment(self) -> dict[str, str]:
        """What makes it the same on every machine."""
        return {"GLIBC_TUNABLES": BASELINE}

    def start(self, **_: object) -> "Counted":
        """Starts it and waits until it serves, without asking: a question too many would leave
        another heap than the last time."""
        self.launch(self.command(), self.environment())
        self.wait_text(r"worker 1\[\d+\] info: connected to Redis", START_S)
        return self

    def moment(self) -> Path:
        """Has what was counted since the last moment written, and gives the file."""
        worker = self.workers()[0]
        self._moments += 1
        path = self.directory / f"counts.{worker}.{self._moments}"
        os.kill(worker, signal.SIGUSR1)
        eventually(lambda: path.exists() and TOTAL.search(_tail(path)), START_S,
                   lambda: f"callgrind writes {path.name} when larderd enters {MOMENT}(); "
                           f"larderd said:\n{self.text()}")
        return path


def _tail(path: Path) -> bytes:
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 100))
        return file.read()


def total(path: Path) -> int:
    """All instructions in a file of counts."""
    found = TOTAL.search(_tail(path))
    assert found is not None, f"{path.name} has no sum at its end"
    return int(found.group(1))


def _name(names: dict[str, str], text: str) -> str:
    """A name that is spelled out the first time: `(12) malloc`, then `(12)`."""
    number, _, spelled = text.partition(" ")
    if spelled:
        names[number] = spelled
    return names[number]


def self_costs(path: Path) -> Mapping[tuple[str, str], tuple[int, int]]:
    """For each object and function in a file of counts: its own instructions, and its calls."""
    names: dict[str, dict[str, str]] = {"ob": {}, "fn": {}}
    cost: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    here = callee = ""
    called = None
    where = ("", "")
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("ob", "cob"):
            name = Path(_name(names["ob"], value)).name
            here, callee = (name, callee) if key == "ob" else (here, name)
        elif equals and key == "fn":
            where, callee = (here, _name(names["fn"], value)), ""
        elif equals and key == "cfn":
            called = (callee or here, _name(names["fn"], value))
        elif equals and key == "calls" and called is not None:
            calls[called] += int(value.split()[0])
        elif line[:1] in tuple("0123456789+-*"):
            # The line after `calls=` is what the callee cost, which it says itself.
            if called is None:
                cost[where] += int(line.split()[1])
            called, callee = None, ""
    return {k: (n, calls[k]) for k, n in cost.items()}
