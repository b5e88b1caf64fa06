"""Throughput: one run of wrk against a target, and the CPU time that it cost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loads import MISSING, MIX_EXPONENT, MIX_KEY, MIX_KEYS, MIX_PUTS, SMALL, Load
from stack import Failure, Void, cpu_ns
from targets import Target
from web import Answer, ask

# The load generator shares the machine with what it measures, and one core of it is enough to keep
# the other busy.
THREADS = min(16, max(1, (os.cpu_count() or 1) // 2))
HERE = Path(__file__).parent


@dataclass
class Run:
    """One run of wrk: CPU in microseconds per request, by group of processes."""

    rate: float
    cpu_us: dict[str, float]


def command(target: Target, load: Load, seconds: int) -> list[str]:
    """wrk with its script."""
    key = MISSING if load.operation == "miss" else load.value.key
    path, arguments, script = target.dialect.get_path(key), [], "wrk.lua"
    if load.operation == "put":
        path, body = target.dialect.put(key, load.value.text)
        arguments = ["PUT", body]
    elif load.operation == "mix":
        script = "mix.lua"
        put_path, body = target.dialect.put("%s", SMALL.text)
        arguments = [target.dialect.get_path("%s"), put_path, body, MIX_KEY, str(MIX_KEYS),
                     str(MIX_EXPONENT), str(MIX_PUTS)]
    return ["setpriv", "--pdeathsig", "KILL", "wrk", f"-t{min(THREADS, load.connections)}",
            f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s",
            "-s", str(HERE / script), target.url(path), *(["--", *arguments] if arguments else [])]


def run_wrk(target: Target, load: Load, seconds: int) -> Run:
    """One run. Void on any answer that isn't the right one, and on any socket error."""
    size = 0
    if load.operation == "miss":
        size = ask(target.host, "GET", target.dialect.get_path(MISSING)).size
    groups = {name: [pid for part in parts for pid in part.processes()]
              for name, parts in target.groups.items()}
    before = {name: cpu_ns(pids) for name, pids in groups.items()}
    output = subprocess.run(command(target, load, seconds), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False).stdout.decode(errors="replace")
    used = {name: cpu_ns(pids) - before[name] for name, pids in groups.items()}
    found = re.search(r"^summary (\{.*\})$", output, re.M)
    if not found:
        raise Failure(f"wrk failed:\n{output}")
    summary = json.loads(found[1])
    requests, duration = summary.pop("requests"), summary.pop("microseconds")
    received = summary.pop("bytes")
    if load.operation == "miss":
        # To wrk a 404 is an error like any other, but no other has exactly its size. What is more
        # than whole answers is a part of one on each connection, at most.
        surplus = received - requests * size
        summary["bytes_too_many_or_few"] = 0 if 0 <= surplus < load.connections * size else surplus
        if target.dialect.miss_status == 404 and summary["status"] == requests:
            summary["status"] = 0
    errors = {name: count for name, count in summary.items() if count}
    if errors or not requests:
        raise Void(f"{target.name}, {load.name}: errors {errors} with {requests} answers: nothing "
                   f"of this run counts")
    return Run(requests / duration * 1e6,
               {name: ns / 1000 / requests for name, ns in used.items()})


def check(target: Target, load: Load) -> None:
    """One request of each kind that the load has; Failure unless the answer is the right one."""
    dialect = target.dialect

    def look(what: str, answer: Answer, want: int, good: Callable[[bytes], bool]) -> None:
        try:
            right = answer.status == want and good(answer.body)
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            raise Failure(f"{target.name}: {what} gives {answer.status} {answer.body[:300]!r}")

    def get(key: str, want: int, good: Callable[[bytes], bool]) -> None:
        path = dialect.get_path(key)
        look(f"GET {path}", ask(target.host, "GET", path), want, good)

    if load.operation == "miss":
        get(MISSING, dialect.miss_status, dialect.is_miss)
        return
    if load.operation in ("put", "mix"):
        path, body = dialect.put(load.value.key, load.value.text)
        look(f"PUT {path}", ask(target.host, "PUT", path, body), 200,
             lambda got: dialect.is_stored(got, load.value))
    get(load.value.key, 200, lambda got: dialect.is_hit(got, load.value))
