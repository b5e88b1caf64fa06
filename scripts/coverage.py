#!/usr/bin/python3
"""coverage.py FILE: the table of what gcovr counted (its --json-summary).

Fails if fewer lines or branches ran than are wanted, and says which files to look at.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

LINES_WANTED = 90.0
BRANCHES_WANTED = 80.0


def percent(part: int, whole: int) -> float:
    """100 if there is nothing to cover."""
    return 100.0 * part / whole if whole else 100.0


def row(name: str, counts: dict[str, Any]) -> str:
    """One line of the table."""
    cells = ""
    for what in ("line", "branch"):
        run, there = counts[f"{what}_covered"], counts[f"{what}_total"]
        cells += f"{run:9d}{there:7d}" + (f"{percent(run, there):8.1f}" if there else f"{'-':>8}")
    return f"{name:<30}{cells}"


def main() -> int:
    """Prints the table; the status says whether it is enough."""
    if len(sys.argv) != 2:
        print("usage: coverage.py FILE, which gcovr --json-summary wrote", file=sys.stderr)
        return 2
    summary = json.loads(Path(sys.argv[1]).read_text())
    files = sorted(summary["files"], key=lambda counts: str(counts["filename"]))
    heading = "".join(f"{name:>9}{'of':>7}{'%':>8}" for name in ("lines", "branches"))
    print(f"\n{'file':<30}{heading}")
    for counts in files:
        print(row(counts["filename"], counts))
    print(row("all", summary))

    enough = True
    for what, plural, wanted in (("line", "lines", LINES_WANTED),
                                 ("branch", "branches", BRANCHES_WANTED)):
        share = percent(summary[f"{what}_covered"], summary[f"{what}_total"])
        if share >= wanted:
            continue
        enough = False
        worst = sorted(files, key=lambda c: c[f"{what}_covered"] - c[f"{what}_total"])[:5]
        names = ", ".join(f"{c['filename']} ({c[f'{what}_total'] - c[f'{what}_covered']})"
                          for c in worst)
        print(f"coverage: {share:.1f} % of the {plural} ran, {wanted:.0f} % are wanted. "
              f"Most are missing in {names}", file=sys.stderr)
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
