"""strace on a process that runs, to have its system calls fail."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness import eventually


class Tracer:
    """`with` has these system calls of these processes fail as strace's -e inject= says; each of
    `rules` is what follows that, as in "recvfrom:error=EINTR:when=1+3"."""

    def __init__(self, directory: Path, pids: Sequence[int], rules: Sequence[str]) -> None:
        self.output = directory / "strace"
        calls = ",".join(rule.split(":")[0] for rule in rules)
        self.argv = ["setpriv", "--pdeathsig", "INT", "strace", "-qq", "-o", str(self.output),
                     "-e", f"trace={calls}", *(f"--inject={rule}" for rule in rules),
                     *(f"--attach={pid}" for pid in pids)]
        self.pids = pids
        self.popen: subprocess.Popen[bytes] | None = None

    def _traced(self) -> bool:
        return all(f"TracerPid:\t{self.popen.pid}\n" in Path(f"/proc/{pid}/status").read_text()
                   for pid in self.pids) if self.popen else False

    def __enter__(self) -> "Tracer":
        self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL)
        eventually(self._traced, 10, "strace is attached")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.popen is not None
        self.popen.terminate()
        self.popen.wait(20)

    def injected(self) -> int:
        """How many calls it had fail."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return text.count("(INJECTED)")
