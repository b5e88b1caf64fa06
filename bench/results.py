"""What was measured, as the one JSON document that every table and plot is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latency import CONNECTIONS, PERCENTILES, Rate
from loads import LOADS
from report import summary
from rounds import Block, Round, Rounds
from stack import Part, memory_kib
from syscalls import REQUESTS, Calls
from targets import KINDS, Target

KIND = "larder bench/full 1"
OURS = ("nginx-larder", "lighttpd-larder")
BASE = "nginx-larder"  # what a plot calls 1


def ratios(rounds: Sequence[Round], load: str, above: str, below: str) -> dict[str, Any] | None:
    """Of the rates of two targets, round by round; None if no round has both."""
    found = [(r.rate(above, load), r.rate(below, load)) for r in rounds]
    values = [a / b for a, b in found if a and b]
    return summary(values, 3) if values else None


def of_static(rounds: Sequence[Round], block: Block, target: str) -> dict[str, Any] | None:
    """As a share of the static ceiling: of its two runs around the round if they had this load, or
    of the one inside it."""
    load = block.loads[0]
    if block.ceiling_load != load:
        return ratios(rounds, load, target, block.ceiling)
    shares = [rate / r.static for r in rounds if (rate := r.rate(target, load))]
    return summary(shares, 3) if shares else None


def throughput_of(rounds: Sequence[Round], block: Block, target: str) -> dict[str, Any] | None:
    """One target under the one load of a block; None if no run counts."""
    load = block.loads[0]
    runs = [r.runs[target, load] for r in rounds if (target, load) in r.runs]
    if not runs:
        return None
    return {
        "requests_per_second": summary([run.rate for run in runs], 0),
        "of_static": of_static(rounds, block, target),
        "of_larder": ratios(rounds, load, target, BASE),
        "larder_ratio": {ours: ratios(rounds, load, ours, target) for ours in OURS},
        "cpu_us": {group: summary([run.cpu_us[group] for run in runs], 2)
                   for group in runs[0].cpu_us},
        "cpu_us_all": summary([sum(run.cpu_us.values()) for run in runs], 2),
    }


def throughput_of_block(rounds: Rounds, block: Block) -> dict[str, Any]:
    """All targets under the one load of a block."""
    kept = rounds.kept[block]
    found = {target: throughput_of(kept, block, target) for target, _ in block.runs()}
    return {"rounds": len(kept), "dropped": rounds.dropped[block],
            "targets": {target: figures for target, figures in found.items() if figures}}


def throughput(rounds: Rounds) -> dict[str, Any]:
    """All loads."""
    return {block.loads[0]: throughput_of_block(rounds, block) for block in rounds.blocks}


def latency(rates: Sequence[Rate], rounds: int, seconds: int) -> dict[str, Any]:
    """All rates."""
    return {
        "connections": CONNECTIONS, "rounds": rounds, "seconds": seconds,
        "rates": [{
            "title": rate.title, "requests_per_second": rate.per_second,
            "targets": {target: {"rounds": len(found), "reached": rate.reached(target),
                                 **({name: summary([r[name] for r in found], 3)
                                     for name in PERCENTILES} if found else {})}
                        for target, found in rate.rounds.items()},
        } for rate in rates],
    }


def syscalls(found: Mapping[str, Mapping[str, Calls]]) -> dict[str, Any]:
    """Per request."""
    return {"requests": REQUESTS, "targets": {
        target: {group: {"per_request": round(calls.total, 2),
                         "calls": {name: round(count, 3) for name, count in calls.by_name.items()}}
                 for group, calls in groups.items()}
        for target, groups in found.items()}}


def memory_of(parts: Sequence[Part]) -> dict[str, Any]:
    """In MiB."""
    pids = [pid for part in parts for pid in part.processes()]
    rss, pss = memory_kib(pids)
    return {"processes": len(pids), "rss": round(rss / 1024, 1), "pss": round(pss / 1024, 1)}


def memory(targets: Mapping[str, Target]) -> dict[str, Any]:
    """Of every target's own processes, by group."""
    return {name: {group: memory_of(parts) for group, parts in target.own().items()}
            for name, target in targets.items()}


def classic(found: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> dict[str, Any]:
    """Of the Python client: for each target and run its figures over the rounds."""
    return {target: {run: {figure: summary([r[run][figure] for r in rounds], 2)
                           for figure in ("requests_per_second", "mean_ms", "p95_ms")}
                     for run in rounds[0]}
            for target, rounds in found.items() if rounds}


def described(names: Sequence[str], loads: Sequence[str]) -> dict[str, Any]:
    """Titles, so that whoever reads the document needs nothing else."""
    return {"targets": {name: {"title": KINDS[name].title, "role": KINDS[name].role}
                        for name in KINDS if name in names},
            "loads": {load: LOADS[load].title for load in loads}}
