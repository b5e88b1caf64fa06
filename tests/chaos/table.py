"""The table at the end, and the same as JSON."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from collections import Counter
from typing import Any

from harness import LARDERD, PATH, SANITIZED
from promises import PROMISES
from runner import Result
from scenario import HOLDS, Finding, Size, Verdict
from world import Ledger

HEADINGS = ("id", "scenario", "front", "what", "figure", "measured", "verdict")


def number(value: float) -> str:
    """As few digits as say it."""
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3g}"


def figure(finding: Finding) -> str:
    """The goal, with its direction and unit."""
    if finding.figure is None:
        return "-"
    if finding.unit == HOLDS:
        return "yes"
    sign = ">= " if finding.least else "<= " if finding.figure else ""
    return f"{sign}{number(finding.figure)} {finding.unit}".rstrip()


def measured(finding: Finding) -> str:
    """What it was."""
    if finding.unit == HOLDS:
        return "no" if finding.measured else "yes"
    return f"{number(finding.measured)} {finding.unit}".rstrip()


def row(promise: str, title: str, kind: str, finding: Finding) -> tuple[str, ...]:
    """A line of the table."""
    return (promise, title, kind or "-", finding.what, figure(finding), measured(finding),
            finding.verdict.value)


def lines(rows: list[tuple[str, ...]]) -> list[str]:
    """Aligned columns; the numbers' to the right."""
    table = [HEADINGS, *rows]
    widths = [max(len(r[i]) for r in table) for i in range(len(HEADINGS))]

    def line(cells: tuple[str, ...]) -> str:
        parts = [cell.rjust(width) if HEADINGS[i] in ("figure", "measured") else cell.ljust(width)
                 for i, (cell, width) in enumerate(zip(cells, widths))]
        return "  ".join(parts).rstrip()
    return [line(HEADINGS), "  ".join("-" * width for width in widths), *map(line, rows)]


def rows_of(result: Result) -> list[tuple[str, ...]]:
    """The lines of one result."""
    s = result.scenario
    rows = [row(s.promise, s.title, result.kind, finding) for finding in result.findings]
    if result.error:
        rows.append((s.promise, s.title, result.kind or "-", "carried out", "", "", "FAILED"))
    return rows


def notes_of(result: Result) -> list[str]:
    """What a table has no room for."""
    s = result.scenario
    where = f"{s.promise} {s.name}" + (f" ({result.kind})" if result.kind else "")
    notes = [f"{where}: {f.what}: {f.detail}" for f in result.findings if f.detail]
    return notes + ([f"{where}: {result.error}"] if result.error else [])


def show(results: list[Result], sums: list[Finding]) -> str:
    """Everything, for people."""
    rows = [r for result in results for r in rows_of(result)]
    rows += [row("T12", "the whole run", "", finding) for finding in sums]
    notes = [note for result in results for note in notes_of(result)]
    notes += [f"T12: {finding.what}: {finding.detail}" for finding in sums if finding.detail]
    verdicts = Counter(r[-1] for r in rows)
    summary = ", ".join(f"{verdicts[v.value]} {v.value}" for v in Verdict if verdicts[v.value])
    return "\n".join([*lines(rows), "", *notes, *([""] if notes else []), f"chaos: {summary}"])


# --- JSON ----------------------------------------------------------------------------------------

def first_line(*command: str) -> str:
    """What a program says of its version."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "PATH": PATH})
    except OSError:
        return "not installed"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def machine() -> dict[str, Any]:
    """Where it was measured."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    return {"cpu": model.group(1) if model else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": os.getloadavg()[0]}


def document(results: list[Result], sums: list[Finding], size: Size,
             ledger: Ledger) -> dict[str, Any]:
    """Everything, for programs."""
    def finding_of(f: Finding) -> dict[str, Any]:
        return {"what": f.what, "figure": f.figure, "limit": f.bound, "measured": f.measured,
                "unit": f.unit, "at_least": f.least, "verdict": f.verdict.value,
                "detail": f.detail}

    return {
        "kind": "larder chaos 1",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "size": "full" if size.full else "short",
        "sanitizers": SANITIZED,
        "machine": machine(),
        "versions": {
            "larderd": first_line(str(LARDERD), "--version"),
            "redis": first_line("redis-server", "--version"),
            "nginx": first_line("nginx", "-v"),
            "lighttpd": first_line("lighttpd", "-v"),
        },
        "promises": PROMISES,
        "results": [{
            "id": r.scenario.promise, "name": r.scenario.name, "scenario": r.scenario.title,
            "front": r.kind, "seconds": round(r.seconds, 1), "error": r.error,
            "findings": [finding_of(f) for f in r.findings]} for r in results],
        "T12": {"findings": [finding_of(f) for f in sums], "gets_verified": ledger.gets_verified,
                "requests": ledger.requests, "bytes_verified": ledger.bytes_verified,
                **ledger.counts},
    }
