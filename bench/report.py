"""Figures from rounds, as a table for people and as JSON for programs."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from isolation import Latency
from loads import LOADS
from rounds import Block, Round, Rounds
from stack import LARDERD, TOP

GOALS = {"ratio_to_fastcgi_ceiling": 0.75, "worker_us_per_get": 12.0, "memory_mib": 16.0,
         "start_ms": 100.0, "latency_ms": 10.0}


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with at least 95 % by the order statistics; with fewer than six
    values, smallest and largest."""
    ordered, n = sorted(values), len(values)
    below, skip = 0.0, 0
    while n >= 6 and below + math.comb(n, skip) / 2**n <= 0.025:
        below += math.comb(n, skip) / 2**n
        skip += 1
    edge = max(0, skip - 1)
    return ordered[edge], ordered[n - 1 - edge]


def summary(values: Sequence[float], digits: int) -> dict[str, Any]:
    """Median, interval and all values."""
    low, high = interval(values)
    return {"median": round(median(values), digits), "low": round(low, digits),
            "high": round(high, digits), "rounds": [round(v, digits) for v in values]}


def throughput_row(block: Block, load: str, rounds: list[Round]) -> dict[str, Any]:
    """One line of the table of bench/quick."""
    front = block.ceiling.partition("-")[0]
    ours = [r.runs[f"{front}-larder", load] for r in rounds]
    ceiling = [r.runs[f"{front}-ceiling", load] for r in rounds]
    static = [r.static for r in rounds]
    return {
        "front": front, "load": LOADS[load].operation.upper(),
        "connections": LOADS[load].connections,
        "requests_per_second": {
            "ours": summary([r.rate for r in ours], 0),
            "fastcgi_ceiling": summary([r.rate for r in ceiling], 0),
            "static_ceiling": summary(static, 0)},
        "ratio_to_fastcgi_ceiling": summary([a.rate / b.rate for a, b in zip(ours, ceiling)], 3),
        "ratio_to_static_ceiling": summary([a.rate / s for a, s in zip(ours, static)], 3),
        "cpu_us_per_request": {
            "workers": summary([r.cpu_us["workers"] for r in ours], 2),
            "front": summary([r.cpu_us["front"] for r in ours], 2),
            "redis": summary([r.cpu_us["redis"] for r in ours], 2),
            "ceiling_workers": summary([r.cpu_us["workers"] for r in ceiling], 2),
            "ceiling_front": summary([r.cpu_us["front"] for r in ceiling], 2)},
    }


def throughput_rows(rounds: Rounds) -> list[dict[str, Any]]:
    """All lines that have a round that counts."""
    return [throughput_row(block, load, rounds.kept[block])
            for block in rounds.blocks if rounds.kept[block] for load in block.loads]


def first_line(command: Sequence[str]) -> str:
    """Of what a command says, wherever it says it; empty if it can't."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              check=False)
    except OSError:
        return ""
    return done.stdout.decode(errors="replace").partition("\n")[0].strip()


def machine() -> dict[str, Any]:
    """What it ran on, and which programs."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    system = re.search(r'PRETTY_NAME="(.*)"', Path("/etc/os-release").read_text())
    redis = first_line(["redis-cli", "--version"])
    commit = first_line(["git", "-C", str(TOP), "rev-parse", "--short=12", "HEAD"])
    return {
        "cores": os.cpu_count(), "cpu": cpu[1] if cpu else platform.machine(),
        "kernel": platform.release(), "system": system[1] if system else platform.system(),
        "larderd": first_line([str(LARDERD), "--version"]),
        "commit": commit if re.fullmatch("[0-9a-f]+", commit) else None,
        "nginx": first_line(["nginx", "-v"]), "lighttpd": first_line(["lighttpd", "-v"]),
        "redis": redis, "wrk": first_line(["wrk", "--version"]).partition(" Copyright")[0],
    }


# --- for people ------------------------------------------------------------------------------

def aligned(table: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of columns, the first `left` of them flush left."""
    widths = [max(map(len, column)) for column in zip(*table)]
    return ["  " + "  ".join(cell.ljust(width) if i < left else cell.rjust(width)
                             for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in table]


def name_of(row: dict[str, Any]) -> str:
    """nginx, GET, 32"""
    return f"{row['front']:9}{row['load']} {row['connections']:>4}"


def spread(ratio: dict[str, Any]) -> str:
    """Median and interval."""
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"


def throughput_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Requests per second, ratios and CPU time."""
    table = [("requests/s", "ours", "FastCGI", "static", "of the", "of the", "worker", "CPU, us"),
             ("", "", "ceiling", "ceiling", "FastCGI ceiling", "static ceiling", "ours", "ceiling")]
    for row in rows:
        rate, cpu = row["requests_per_second"], row["cpu_us_per_request"]
        table.append((
            name_of(row),
            *(f"{rate[kind]['median']:.0f}" for kind in ("ours", "fastcgi_ceiling",
                                                         "static_ceiling")),
            spread(row["ratio_to_fastcgi_ceiling"]), spread(row["ratio_to_static_ceiling"]),
            *(f"{cpu[kind]['median']:.1f}" for kind in ("workers", "ceiling_workers"))))
    return [*aligned(table, 1),
            f"  goals: GET at least {GOALS['ratio_to_fastcgi_ceiling']} of the FastCGI ceiling; at"
            f" most {GOALS['worker_us_per_get']:.0f} us of worker CPU for a GET through nginx"]


def cpu_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where the CPU time goes."""
    table = [("CPU time of a request, us", "workers", "front", "Redis", "all")]
    for row in rows:
        parts = [row["cpu_us_per_request"][name]["median"]
                 for name in ("workers", "front", "redis")]
        table.append((name_of(row), *(f"{us:.1f}" for us in (*parts, sum(parts)))))
    return aligned(table, 1)


def latency_table(results: Sequence[Latency]) -> list[str]:
    """Milliseconds: p50, p99 and largest."""
    table = [(f"latency, ms (goal: under {GOALS['latency_ms']:.0f})", "", "",
              "p50", "p99", "largest")]
    for r in sorted(results, key=lambda r: r.path):
        table.append((f"GET {r.path}", r.front, r.situation,
                      f"{r.p50:.2f}", f"{r.p99:.2f}", f"{r.max:.2f}"))
    return aligned(table, 3)


def latency_rows(results: Sequence[Latency]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(r).items()}
            for r in results]
