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
from load import BLOCKS, Block, Round, Rounds
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
    """One line of the table."""
    ours = [r.ours[load] for r in rounds]
    ceiling = [r.ceiling[load] for r in rounds]
    static = [r.static for r in rounds]
    return {
        "front": block.front, "load": load, "connections": block.connections,
        "requests_per_second": {
            "ours": summary([r.rate for r in ours], 0),
            "fastcgi_ceiling": summary([r.rate for r in ceiling], 0),
            "static_ceiling": summary(static, 0)},
        "ratio_to_fastcgi_ceiling": summary([a.rate / b.rate for a, b in zip(ours, ceiling)], 3),
        "ratio_to_static_ceiling": summary([a.rate / s for a, s in zip(ours, static)], 3),
        "cpu_us_per_request": {
            "workers": summary([r.workers_us for r in ours], 2),
            "front": summary([r.front_us for r in ours], 2),
            "redis": summary([r.redis_us for r in ours], 2),
            "ceiling_workers": summary([r.workers_us for r in ceiling], 2),
            "ceiling_front": summary([r.front_us for r in ceiling], 2)},
    }


def throughput_rows(rounds: Rounds) -> list[dict[str, Any]]:
    """All lines that have a round that counts."""
    return [throughput_row(block, load, rounds.kept[block])
            for block in BLOCKS if rounds.kept[block] for load in block.loads]


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

def throughput_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Requests per second, ratios and CPU time."""
    lines = [
        "                       requests/s              of the FastCGI     of the static"
        "      worker CPU, us",
        "                       ours ceiling  static    ceiling            ceiling      "
        "      ours   ceiling",
    ]
    for row in rows:
        rate, cpu = row["requests_per_second"], row["cpu_us_per_request"]
        ratios = [row["ratio_to_fastcgi_ceiling"], row["ratio_to_static_ceiling"]]
        columns = "  ".join(f"{r['median']:.2f} ({r['low']:.2f}-{r['high']:.2f})" for r in ratios)
        lines.append(
            f"  {row['front']:8} {row['load']:3} {row['connections']:>4}"
            f"{rate['ours']['median']:>8.0f}{rate['fastcgi_ceiling']['median']:>8.0f}"
            f"{rate['static_ceiling']['median']:>8.0f}    {columns}"
            f"  {cpu['workers']['median']:>8.1f}{cpu['ceiling_workers']['median']:>10.1f}")
    lines += [
        f"  goals: GET at least {GOALS['ratio_to_fastcgi_ceiling']} of the FastCGI ceiling;"
        f" at most {GOALS['worker_us_per_get']:.0f} us of worker CPU for a GET through nginx",
    ]
    return lines


def cpu_table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Where the rest of the CPU time goes."""
    lines = ["  CPU time of a request, us    workers   front   Redis     all"]
    for row in rows:
        parts = [row["cpu_us_per_request"][name]["median"]
                 for name in ("workers", "front", "redis")]
        lines.append(f"  {row['front']:8} {row['load']:3} {row['connections']:>4}          "
                     + "".join(f"{us:>8.1f}" for us in (*parts, sum(parts))))
    return lines


def latency_table(results: Sequence[Latency]) -> list[str]:
    """Milliseconds: p50, p99 and largest."""
    lines = [f"  latency, ms: p50 / p99 / largest          goal: under {GOALS['latency_ms']:.0f}"]
    situations = list(dict.fromkeys((r.path, r.situation) for r in results))
    for path, situation in situations:
        cells = [f"{r.front} {r.p50:.2f} / {r.p99:.2f} / {r.max:.2f}" for r in results
                 if (r.path, r.situation) == (path, situation)]
        lines.append(f"  GET {path:13}{situation:16}" + "".join(f"{c:>32}" for c in cells))
    return lines


def latency_rows(results: Sequence[Latency]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in asdict(r).items()}
            for r in results]
