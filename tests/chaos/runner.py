"""Running scenarios, one after the other, and what comes of it."""

from __future__ import annotations

import importlib
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from harness import Workspace
from promises import order
from scenario import SCENARIOS, Finding, Scenario, Size, Verdict
from world import Ledger, World

GETS_WANTED = 10_000_000  # of T12


@dataclass
class Result:
    """What one scenario behind one web server found; `error` if it could not be carried out."""

    scenario: Scenario
    kind: str
    findings: list[Finding] = field(default_factory=list)
    error: str = ""
    seconds: float = 0.0

    @property
    def failed(self) -> list[str]:
        """What is beyond its limit, in words."""
        found = [f"{f.what}: {f.measured:g} {f.unit} (limit {f.bound:g}) {f.detail}"
                 for f in self.findings if f.verdict is Verdict.FAILED]
        return found + ([self.error] if self.error else [])


Tell = Callable[[str], None]


def load_scenarios() -> list[Scenario]:
    """Imports every s_*.py, and gives the scenarios in the order they run in."""
    for path in sorted(Path(__file__).parent.glob("s_*.py")):
        importlib.import_module(path.stem)
    return sorted(SCENARIOS, key=lambda s: (s.last, order(s.promise)))


def run(space: Workspace, scenario: Scenario, kind: str, size: Size, ledger: Ledger,
        missing_gets: int = 0, found: Tell = lambda line: None) -> Result:
    """One scenario behind one web server. Its servers are ended, whatever happens."""
    result = Result(scenario, kind)
    world = World(space, kind, ledger, missing_gets)
    begun = time.monotonic()
    try:
        for finding in scenario.run(world, size):
            result.findings.append(finding)
            found(finding.what)
        world.close()
    except Exception as e:  # pylint: disable=broad-except
        where = traceback.extract_tb(e.__traceback__)[-1]
        result.error = f"{type(e).__name__} at {Path(where.filename).name}:{where.lineno}: {e}"
    finally:
        world.abandon()
    result.seconds = time.monotonic() - begun
    return result


def totals(ledger: Ledger, wanted: int) -> list[Finding]:
    """T12 over the whole run. Of no mismatch in N, fewer than 3/N are likely (at 95 %)."""
    n = ledger.gets_verified
    bound = f"below {3 / n:.1e} at 95 %" if n and not ledger.mismatches else ""
    counts = ", ".join(f"{count} {name}" for name, count in ledger.counts.items())
    return [
        Finding("GETs verified in all", n, figure=wanted or None, least=True),
        Finding("of them not right", ledger.mismatches, figure=0, detail=bound or counts),
    ]


def run_all(space: Workspace, chosen: list[tuple[Scenario, str]], size: Size, ledger: Ledger,
            wanted: int, tell: Callable[[Scenario, str, str], None]) -> Iterator[Result]:
    """All of them; the last ones share what T12 still lacks."""
    for i, (scenario, kind) in enumerate(chosen):
        tell(scenario, kind, "")
        missing = max(0, wanted - ledger.gets_verified) // (len(chosen) - i)
        yield run(space, scenario, kind, size, ledger, missing if scenario.last else 0,
                  lambda what, s=scenario, k=kind: tell(s, k, what))  # type: ignore[misc]
