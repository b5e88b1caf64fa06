"""The benchmark on the terms of the service that larder replaces: rounds of bench/classic."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stack import Failure, Progress
from targets import KINDS, Targets

TARGETS = ("nginx-larder", "lighttpd-larder", "fastapi", "nginx-fastapi")
REQUESTS = 1500
TARGET_S = 6.0  # one target in one round, about
RUNS = {"sequential": "one after the other", "concurrent": "50 at a time, GET",
        "mixed": "50 at a time, 20 % PUT, 70 % GET, 10 % DELETE"}


def run_client(host: str) -> dict[str, dict[str, float]]:
    """In a process of its own."""
    client = Path(__file__).with_name("classic")
    done = subprocess.run(["setpriv", "--pdeathsig", "KILL", sys.executable, client, "--json",
                           "--requests", str(REQUESTS), f"http://{host}"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        raise Failure(done.stderr.decode(errors="replace").strip())
    result: dict[str, dict[str, float]] = json.loads(done.stdout)
    return result


def run_rounds(targets: Targets, names: Sequence[str], rounds: int
               ) -> tuple[dict[str, list[dict[str, dict[str, float]]]], list[str]]:
    """For each target what each round gave; and notes about what it didn't."""
    results: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in names}
    notes = []
    for number in range(1, rounds + 1):
        for name in random.sample(list(names), len(names)):
            Progress.show(f"Python client, round {number}/{rounds}: {KINDS[name].title}")
            try:
                results[name].append(run_client(targets.get(name).host))
            except Failure as e:
                notes.append(f"Python client: {e}")
            Progress.spend(TARGET_S)
    return results, notes
