"""What `make chaos` makes of what it measured: verdicts, sums, and the times in larderd's log."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

import larderlog  # noqa: E402
import table  # noqa: E402
from figures import percentile, show_counts  # noqa: E402
from harness import SLOW, SRCDIR, Process, Workspace  # noqa: E402
from promises import PROMISES, order  # noqa: E402
from runner import Result, load_scenarios, run, totals  # noqa: E402
from scenario import Finding, Scenario, Size, Verdict  # noqa: E402
from verify import Report  # noqa: E402
from world import Ledger, World  # noqa: E402


def document(**more: Any) -> dict[str, Any]:
    """A report as larder-verify prints it."""
    return {"requests": 10, "gets_verified": 6, "bytes_verified": 100, "failed": 1,
            "wrong": 0, "torn": 0, "stale": 0, "lost": 0, "late": 0, "bucket_ms": 10,
            "examples": {}, "failures": {"GET": {}, "PUT": {"502": 1, "short": 2}, "DELETE": {}},
            "slugs": {}, "timeline": [], **more}


@pytest.mark.parametrize("finding,verdict", [
    (Finding("x", 5), Verdict.NOTED),
    (Finding("x", 5, figure=5), Verdict.MET),
    (Finding("x", 6, figure=5), Verdict.FAILED),
    (Finding("x", 6, figure=5, limit=6), Verdict.MISSED),
    (Finding("x", 7, figure=5, limit=6), Verdict.FAILED),
    (Finding("x", 51, figure=50, unit="ms"), Verdict.MISSED),
    (Finding("x", 499 * SLOW, figure=50, unit="ms"), Verdict.MISSED),
    (Finding("x", 501 * SLOW, figure=50, unit="ms"), Verdict.FAILED),
    (Finding("x", 61 * SLOW, figure=50, unit="ms", limit=60), Verdict.FAILED),
    (Finding("x", 5, figure=5, least=True), Verdict.MET),
    (Finding("x", 4, figure=5, least=True), Verdict.FAILED),
    (Finding("x", 4, figure=5, least=True, limit=3), Verdict.MISSED),
    (Finding.holds("x", True, "not said"), Verdict.MET),
    (Finding.holds("x", [], "said"), Verdict.FAILED),
])
def test_verdict(finding: Finding, verdict: Verdict) -> None:
    """A figure is met, or missed but within the limit, or it isn't."""
    assert finding.verdict is verdict
    assert finding.detail == ("said" if verdict is Verdict.FAILED and finding.unit == "holds"
                              else "")


def test_what_sanitizers_say_is_found(tmp_path: Path, space: Workspace) -> None:
    """All of it, but for a leak checker that was killed while it looked."""
    (tmp_path / "sanitizer.1").write_text("==1==LeakSanitizer has encountered a fatal error.\n")
    assert not space.findings(tmp_path)
    (tmp_path / "sanitizer.2").write_text("==2==ERROR: LeakSanitizer: detected memory leaks\n")
    (tmp_path / "sanitizer.3").write_text("==3==LeakSanitizer has encountered a fatal error.\n"
                                          "a.c:1:2: runtime error: index 5 out of bounds\n")
    assert [text[:11] for text in space.findings(tmp_path)] == ["sanitizer.2", "sanitizer.3"]


def nothing(world: World, size: Size) -> Iterator[Finding]:
    """A scenario that does nothing."""
    yield Finding("half of it", 1, figure=2)


def breaks(world: World, size: Size) -> Iterator[Finding]:
    """One that leaves a process behind when it fails."""
    sleeper = world.add(Process(world.space, "sleeper"))
    sleeper.launch(["sleep", "1000"])
    yield Finding("before", 1, figure=2)
    raise ValueError("what went wrong")


def test_table() -> None:
    """Columns align, and every verdict is counted."""
    results = [Result(Scenario("T1", "a title", nothing), "nginx", [
        Finding("some", 1234567, figure=10, least=True), Finding("a time", 0.123, 2, unit="ms"),
        Finding("how long", 30, 20, unit="ms", detail="why"), Finding.holds("it lives", False)]),
        Result(Scenario("T4", "another", nothing, ()), "", [], "it broke")]
    ledger = Ledger()
    ledger.add(Report(document(gets_verified=3000000, stale=0)))
    text = table.show(results, totals(ledger, 10_000_000))
    lines = text.split("\n")
    assert len({line.index("measured") + len("measured") for line in lines[:1]}) == 1
    column = lines[0].index("verdict")
    verdicts = [line[column:] for line in lines[2:9]]
    assert verdicts == ["met", "met", "missed", "FAILED", "FAILED", "FAILED", "met"]
    assert "1,234,567" in lines[2] and ">= 10" in lines[2] and "0.123 ms" in lines[3]
    assert re.search(r"yes +no +FAILED$", lines[5])
    assert "T1 nothing (nginx): how long: why" in lines
    assert "T4 nothing: it broke" in lines
    assert "T12: of them not right: below 1.0e-06 at 95 %" in lines
    assert lines[-1] == "chaos: 3 met, 1 missed, 3 FAILED"
    made = json.loads(json.dumps(table.document(results, [], Size(full=False), ledger)))
    assert made["results"][0]["findings"][2]["verdict"] == "missed"
    assert made["T12"]["gets_verified"] == 3000000 and made["size"] == "short"


def test_ledger() -> None:
    """Every kind of answer that isn't right counts, and there is no bound then."""
    ledger = Ledger()
    for name in ("wrong", "torn", "stale", "lost"):
        ledger.add(Report(document(**{name: 1})))
    assert ledger.mismatches == 4 and ledger.gets_verified == 24
    finding = totals(ledger, 0)[1]
    assert finding.verdict is Verdict.FAILED and finding.detail.startswith("1 wrong, 1 torn")


def test_a_scenario_that_breaks(space: Workspace) -> None:
    """Its servers are ended, and what it had found is kept."""
    result = run(space, Scenario("T1", "x", breaks), "", Size(full=False), Ledger())
    assert [f.what for f in result.findings] == ["before"]
    assert "what went wrong" in result.error and "test_96_findings.py" in result.error
    assert result.failed == [result.error]
    assert not [p for p in space.running if p.name == "sleeper"]


def test_report() -> None:
    """When what happened: rows of 10 ms, asked for by time."""
    report = Report.parse(json.dumps(document(timeline=[
        [1000, 5, 0, 900], [1010, 0, 2, 50], [1020, 0, 1, 2500000], [1100, 7, 0, 70]])))
    assert report.failures() == {"502": 1, "short": 2} and report.failures(["GET"]) == {}
    assert report.unexpected(["502"]) == {"short": 2}
    assert report.failures_between(1.0, 2.0) == 3 and report.failures_between(1.0, 1.015) == 2
    assert report.ok_between(1.0, 1.05) == 5
    assert report.slowest_between(1.0, 1.1) == 2500
    assert report.first_ok_after(1.001) == pytest.approx(109)
    assert report.first_ok_after(1.2) is None
    assert report.last_failure_after(1.0) == pytest.approx(30)
    report.check_right()


LOG = """\
2026-01-01T00:00:00.000000Z larderd[1] info: larderd 0.1.0: 2 workers
2026-01-01T00:00:00.010000Z worker 1[11] info: connected to Redis 7.0.15
2026-01-01T00:00:00.020000Z worker 2[12] info: connected to Redis 7.0.15
2026-01-01T00:00:01.005000Z larderd[1] warning: worker 1 (pid 11, generation 1) died of signal 9 \
(Killed) after 1.0 s; its last request was cache_get, 3 were in flight on 30 connections
2026-01-01T00:00:01.006000Z larderd[1] warning: worker 2 (pid 12, generation 1) died of signal 11 \
(Segmentation fault) after 1.0 s; its last request was nothing known, 0 were in flight on 1 connections
2026-01-01T00:00:01.010000Z worker 1[13] info: connected to Redis 7.0.15
2026-01-01T00:00:01.050000Z worker 2[14] info: connected to Redis 7.0.15
"""


def test_log() -> None:
    """Obituaries, and how long the pool was not whole."""
    deaths = larderlog.deaths(LOG)
    assert [(d.pid, d.cause, d.in_flight, d.connections) for d in deaths] == [
        (11, "signal 9 (Killed)", 3, 30), (12, "signal 11 (Segmentation fault)", 0, 1)]
    assert len(larderlog.connected(LOG)) == 4
    killed = {11: deaths[0].moment - 0.005}
    took = larderlog.replacements(LOG, 2, killed)
    assert took == [pytest.approx(50, abs=0.1), pytest.approx(44, abs=0.1)]


def test_sums() -> None:
    """Percentiles of few values and of none."""
    assert percentile([], 0.99) == 0
    assert percentile([3, 1, 2], 0.5) == 2 and percentile(range(101), 0.99) == 99
    assert show_counts({"a": 1, "b": 3}) == "b: 3, a: 1"


def test_promises() -> None:
    """Each scenario is about a promise; names are unique, as command lines need them."""
    scenarios = load_scenarios()
    assert {s.promise for s in scenarios} <= set(PROMISES)
    assert len({s.name for s in scenarios}) == len(scenarios)
    assert all(s.run.__doc__ for s in scenarios)
    assert [s.last for s in scenarios] == sorted(s.last for s in scenarios)
    assert sorted(["T10", "T9", "T1"], key=order) == ["T1", "T9", "T10"]


def test_command_line() -> None:
    """--list shows every scenario; a name that isn't there is said to be none."""
    program = SRCDIR / "tests" / "chaos" / "chaos"
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True,
                            timeout=60).stdout
    for scenario in load_scenarios():
        assert scenario.name in listed
    refused = subprocess.run([program, "--only", "T1,T99"], capture_output=True, text=True,
                             check=False, timeout=60)
    assert refused.returncode == 1 and "no scenario is called T99" in refused.stderr
