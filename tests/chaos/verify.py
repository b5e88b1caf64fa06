"""larder-verify from Python: the load that checks every answer, and its report."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness import BUILDDIR, SLOW, Process, Workspace, eventually

PROGRAM = BUILDDIR / "tests" / "chaos" / "larder-verify"
VERDICTS = ("wrong", "torn", "stale", "lost")
METHODS = ("GET", "PUT", "DELETE")


@dataclass
class Report:
    """What a load saw. Times are time.monotonic()'s, in seconds; durations are milliseconds."""

    document: dict[str, Any]
    timeline: list[tuple[float, int, int, float]] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> "Report":
        """From what larder-verify prints at its end."""
        document = json.loads(text)
        rows = [(ms / 1e3, ok, failed, us / 1e3)
                for ms, ok, failed, us in document.pop("timeline")]
        return cls(document, rows)

    def __getitem__(self, name: str) -> Any:
        return self.document[name]

    @property
    def bucket(self) -> float:
        """Seconds that one row of the timeline stands for."""
        return float(self["bucket_ms"]) / 1e3

    @property
    def mismatches(self) -> int:
        """Answers that were not right: wrong, torn, stale or lost."""
        return sum(int(self[name]) for name in VERDICTS)

    @property
    def failed(self) -> int:
        """Requests that failed honestly."""
        return int(self["failed"])

    def failures(self, methods: Iterable[str] = METHODS) -> dict[str, int]:
        """Failures by kind: refused, closed, short ..., or the status."""
        sums: dict[str, int] = {}
        for method in methods:
            for kind, n in self["failures"][method].items():
                sums[kind] = sums.get(kind, 0) + n
        return sums

    def unexpected(self, allowed: Iterable[str]) -> dict[str, int]:
        """Failures of other kinds than these."""
        return {kind: n for kind, n in self.failures().items() if kind not in set(allowed)}

    def examples(self) -> str:
        """The first mismatches, for whoever has to find out."""
        return "; ".join(f"{name}: {text}" for name in VERDICTS
                         for text in self["examples"][name][:3])

    def check_right(self) -> None:
        """Asserts that no answer was wrong, whatever else failed, and that there were some."""
        assert self.mismatches == 0, self.examples()
        assert self["requests"] > 0, "the load sent nothing"

    # --- when ------------------------------------------------------------------------------------

    def _between(self, begin: float, end: float) -> list[tuple[float, int, int, float]]:
        """Rows that lie wholly or in part in the time."""
        return [row for row in self.timeline if begin - self.bucket < row[0] < end]

    def failures_between(self, begin: float, end: float) -> int:
        """Failed requests that ended in the time."""
        return sum(row[2] for row in self._between(begin, end))

    def ok_between(self, begin: float, end: float) -> int:
        """Requests that ended well in the time."""
        return sum(row[1] for row in self._between(begin, end))

    def slowest_between(self, begin: float, end: float) -> float:
        """The longest request that ended in the time, in ms."""
        return max((row[3] for row in self._between(begin, end)), default=0.0)

    def first_ok_after(self, moment: float) -> float | None:
        """Milliseconds until a request ended well, to the end of its bucket; None if none did."""
        for begun, ok, _, _ in self.timeline:
            if begun >= moment and ok > 0:
                return (begun + self.bucket - moment) * 1e3
        return None

    def last_failure_after(self, moment: float) -> float | None:
        """Milliseconds until the last request that failed; None if none did."""
        last = max((row[0] for row in self.timeline if row[0] >= moment - self.bucket and row[2]),
                   default=None)
        return None if last is None else (last + self.bucket - moment) * 1e3


class Verify(Process):
    """A running larder-verify; `with` stops it and has its report."""

    def __init__(self, space: Workspace, port: int, **options: object) -> None:
        super().__init__(space, "verify")
        self.options: dict[str, object] = {"port": port, **options}
        self.report: Report | None = None

    def arguments(self) -> list[str]:
        """Its options on the command line: True is one without a value, None and False are none."""
        given = [(f"--{name.replace('_', '-')}", value) for name, value in self.options.items()]
        flags = [name for name, value in given if value is True]
        return flags + [f"{name}={value}" for name, value in given
                        if value is not True and value is not False and value is not None]

    def start(self) -> "Verify":
        """Starts it."""
        assert PROGRAM.exists(), f"{PROGRAM} isn't built: make tests/chaos/larder-verify"
        self.launch([PROGRAM, *self.arguments()], stdin=subprocess.PIPE)
        return self

    def command(self, line: str) -> None:
        """Sends a command."""
        assert self.popen is not None and self.popen.stdin is not None
        self.popen.stdin.write(line.encode() + b"\n")
        self.popen.stdin.flush()

    def _lines(self) -> list[str]:
        """Whole lines of JSON that it has printed."""
        return [line for line in self.text().splitlines(keepends=True)
                if line.startswith("{") and line.endswith("}\n")]

    def progress(self) -> dict[str, Any]:
        """Its counters so far."""
        before = len(self._lines())
        self.command("progress")
        eventually(lambda: len(self._lines()) > before, 10, lambda: f"progress: {self.text()}")
        counters: dict[str, Any] = json.loads(self._lines()[before])
        return counters

    def rate(self, requests_per_second: int) -> None:
        """Sends so many requests a second from now on; 0: as many as are answered."""
        self.command(f"rate {requests_per_second}")

    def wait_prepared(self, timeout: float = 20.0) -> None:
        """Waits until every key has been stored once."""
        def prepared() -> bool:
            counters = self.progress()
            return bool(counters["keys_ready"] == counters["keys"])
        eventually(prepared, timeout, lambda: f"all keys are stored: {self.progress()}")

    def wait_requests(self, count: int, timeout: float = 30.0) -> None:
        """Waits until so many more requests have been sent."""
        target = self.progress()["requests"] + count
        eventually(lambda: self.progress()["requests"] >= target, timeout, f"{count} more requests")

    def wait_end(self, timeout: float) -> Report:
        """Waits for the end that --seconds or --gets bring, and gives the report."""
        assert self.popen is not None and self.popen.stdin is not None
        status = self.wait(timeout)
        self.popen.stdin.close()
        assert status == 0, f"larder-verify ended with {status}: {self.text()[-2000:]}"
        self.report = Report.parse(self._lines()[-1])
        return self.report

    def stop(self) -> Report:
        """Ends the load and gives the report."""
        if self.report is not None:
            return self.report
        self.command("stop")
        return self.wait_end(30)

    def abandon(self) -> None:
        """Ends it whatever it is doing."""
        if self.popen is not None and self.popen.stdin is not None:
            self.popen.stdin.close()
        super().abandon()

    def __enter__(self) -> "Verify":
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.abandon()

    @property
    def result(self) -> Report:
        """The report, once it has ended."""
        assert self.report is not None, "the load still runs"
        return self.report


def sleep_until(moment: float) -> None:
    """Sleeps until time.monotonic() is there."""
    left = moment - time.monotonic()
    if left > 0:
        time.sleep(left)


__all__ = ["METHODS", "PROGRAM", "SLOW", "VERDICTS", "Report", "Verify", "sleep_until"]
