"""System calls per request: strace on every process of a target while it answers so many requests.

Being traced makes processes slower, so this is a run of its own, and only its counts count.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from latency import run_h2load
from stack import Failure, Progress
from targets import KINDS, Target, Targets

REQUESTS = 3000
ATTACH_S = 10.0
TIMEOUT_S = 60.0
TARGET_S = 4.0  # one target, about


class NotPermitted(Failure):
    """This process may not trace others."""


@dataclass
class Calls:
    """Of one group of processes, per request."""

    total: float
    by_name: dict[str, float]


def tasks(pids: Sequence[int]) -> list[str]:
    """The threads of processes, as directories."""
    return [f"/proc/{pid}/task/{task}" for pid in pids for task in os.listdir(f"/proc/{pid}/task")]


def traced(task: str) -> bool:
    """Whether something traces that thread."""
    found = re.search(r"^TracerPid:\t(\d+)$", Path(f"{task}/status").read_text(), re.M)
    return bool(found and int(found[1]))


class Trace:
    """strace -c on processes, from `with` to its end."""

    def __init__(self, pids: Sequence[int], output: Path) -> None:
        self.pids = pids
        self.output = output

    def __enter__(self) -> Trace:
        self.errors = open(f"{self.output}.log", "w+b")
        self.popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "INT", "strace", "-f", "-c", "-U", "calls,name",
             "-o", str(self.output), *(f"-p{pid}" for pid in self.pids)],
            stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors)
        try:
            self._wait_attached()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_attached(self) -> None:
        end = time.monotonic() + ATTACH_S
        while not all(traced(task) for task in tasks(self.pids)):
            if self.popen.poll() is not None or time.monotonic() > end:
                self.errors.seek(0)
                raise NotPermitted(f"strace can't attach: "
                                   f"{self.errors.read().decode(errors='replace').strip()}")
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        try:
            self.popen.wait(ATTACH_S)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.errors.close()

    def counts(self) -> dict[str, int]:
        """How often each call was made; once the trace has ended."""
        return {name: int(count) for count, name in
                re.findall(r"^ *(\d+) +([a-z_0-9]+)$", self.output.read_text(), re.M)
                if name != "total"}


def count_calls(targets: Targets, target: Target) -> dict[str, Calls]:
    """Of each group of a target's processes."""
    run_h2load(target, TIMEOUT_S, f"-n{REQUESTS}")
    root = targets.stack.root
    with ExitStack() as traces:
        found = {name: traces.enter_context(
            Trace([pid for part in parts for pid in part.processes()], root / f"strace-{name}"))
            for name, parts in target.groups.items()}
        output = run_h2load(target, TIMEOUT_S, f"-n{REQUESTS}")
    if f" {REQUESTS} succeeded" not in output:
        raise Failure(f"{target.name} under strace: {output[-500:]}")
    result = {}
    for name, trace in found.items():
        counts = trace.counts()
        result[name] = Calls(sum(counts.values()) / REQUESTS,
                             {call: count / REQUESTS for call, count in
                              sorted(counts.items(), key=lambda item: -item[1])
                              if count / REQUESTS >= 0.01})
    return result


def count_all(targets: Targets, names: Sequence[str]
              ) -> tuple[dict[str, dict[str, Calls]], list[str]]:
    """Of each target; and notes about those that have no count."""
    results: dict[str, dict[str, Calls]] = {}
    notes: list[str] = []
    for name in names:
        Progress.show(f"system calls: {KINDS[name].title}")
        try:
            results[name] = count_calls(targets, targets.get(name))
        except NotPermitted as e:
            notes.append(f"system calls are left out: {e}")
            break
        except Failure as e:
            notes.append(str(e))
        Progress.spend(TARGET_S)
    return results, notes
