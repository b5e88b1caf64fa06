"""The promises about faults, each in its short form; `make chaos` measures them in full.

A figure may be missed here by as much as its limit allows: ten times for times, nothing for answers
that are wrong or lost.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import table  # noqa: E402
from harness import Workspace  # noqa: E402
from runner import Result, load_scenarios, run  # noqa: E402
from scenario import Scenario, Size  # noqa: E402
from world import Ledger  # noqa: E402

CASES = [pytest.param(s, kind, id="-".join(filter(None, (s.promise, s.name, kind))))
         for s in load_scenarios() for kind in s.kinds]


def show(result: Result) -> str:
    """What was found, a line each."""
    return "\n".join([*table.lines(table.rows_of(result)), *table.notes_of(result)])


@pytest.mark.serial
@pytest.mark.parametrize("scenario,kind", CASES)
def test_promise(space: Workspace, scenario: Scenario, kind: str) -> None:
    """A scenario could be carried out, and nothing is beyond its limit."""
    ledger = Ledger()
    result = run(space, scenario, kind, Size(full=False), ledger)
    print(show(result))
    assert not result.failed, "\n".join(result.failed)
    assert ledger.mismatches == 0, ledger.counts
