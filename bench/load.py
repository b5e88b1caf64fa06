"""Throughput: wrk against ours, the FastCGI ceiling and the static ceiling, in rounds.

A round of one block (a front and a number of connections) runs the static ceiling, then each pair
of ours and the FastCGI ceiling, in random order, then the static ceiling again. If the machine was
not the same at both ends (the two differ by more than 10 %), the round is dropped and repeated.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import resource
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stack import CEILING, LARDERD, Failure, Part, Progress, Stack, children, cpu_ns, free_ports

FRONTS = ("nginx", "lighttpd")
DRIFT = 0.10     # between the two static ceilings of a round
QUIET = 0.08     # share of the CPU time that others may take when a round begins, with --patience
ATTEMPTS = 2     # rounds are repeated until so many times the number wanted
# The load generator shares the machine with what it measures, and one core of it is enough to keep
# the other busy.
WRK_THREADS = min(16, max(1, (os.cpu_count() or 1) // 2))
PATH = "/cache/user:1042"
# 100 bytes of JSON. The ttl keeps its five digits for as long as any run takes.
VALUE = ('{"id":1042,"name":"Ada Lovelace","mail":"ada@example.org","visits":17,"admin":false,'
         '"tags":["a","b"]}')
DOCUMENT = f'{{"value":{VALUE},"ttl":99999}}'


@dataclass
class Target:
    """What wrk asks, and whose CPU time it costs."""

    name: str
    url: str
    host: str
    front: Part
    workers: Sequence[int] = ()
    redis: Sequence[int] = ()


@dataclass
class Run:
    """One run of wrk: CPU in microseconds per request."""

    rate: float
    workers_us: float
    front_us: float
    redis_us: float


@dataclass(frozen=True)
class Block:
    """What shares one pair of static ceilings."""

    front: str
    connections: int
    loads: tuple[str, ...]


BLOCKS = [Block(front, connections, loads) for front in FRONTS
          for connections, loads in ((32, ("GET", "PUT")), (128, ("GET",)))]


@dataclass
class Round:
    """A round of a block that counts."""

    static: float
    ours: dict[str, Run] = field(default_factory=dict)
    ceiling: dict[str, Run] = field(default_factory=dict)


class Targets:
    """The whole arrangement: one pool of each kind, and for each front three of its instances."""

    def __init__(self, stack: Stack) -> None:
        self.redis = stack.start_redis()
        self.larderd, self.socket = stack.start_pool("larderd", [LARDERD])
        self.ports = dict(zip(((front, kind) for front in FRONTS
                               for kind in ("ours", "ceiling", "static")), free_ports(6)))
        self.targets: dict[tuple[str, str], Target] = {}
        fronts = {(front, "ours"): stack.start_front(f"{front}-ours", front,
                                                     self.ports[front, "ours"], self.socket)
                  for front in FRONTS}
        # What larderd answers is what the ceilings answer.
        self.body = self._store_and_get()
        self.ceiling, ceiling_socket = stack.start_pool("ceiling", [CEILING, self.body.decode()])
        for front in FRONTS:
            fronts[front, "ceiling"] = stack.start_front(
                f"{front}-ceiling", front, self.ports[front, "ceiling"], ceiling_socket)
            fronts[front, "static"] = stack.start_front(
                f"{front}-static", front, self.ports[front, "static"], self.socket,
                self._static_nginx if front == "nginx" else self._static_lighttpd)
        pools = {"ours": (children(self.larderd.pid), [self.redis.pid]),
                 "ceiling": (children(self.ceiling.pid), []), "static": ([], [])}
        for (front, kind), part in fronts.items():
            host = f"127.0.0.1:{self.ports[front, kind]}"
            self.targets[front, kind] = Target(f"{front} {kind}", f"http://{host}{PATH}", host,
                                               part, *pools[kind])
        self._check_bodies()

    def _static_nginx(self, text: str, _: Path) -> str:
        """The prefix is longer than that of the service, so this location answers instead."""
        answer = self.body.decode()
        if re.search(r"['\\$]", answer):
            raise Failure("nginx would not return this body as it is")
        location = (f"\n        location /cache/ {{ default_type application/json; "
                    f"return 200 '{answer}'; }}\n")
        edited, count = re.subn(r"(?m)^ *listen .*;$", lambda m: m[0] + location, text)
        if count != 1:
            raise Failure(f"{count} listen lines in nginx's configuration, not 1")
        return edited

    def _static_lighttpd(self, text: str, directory: Path) -> str:
        """A file of the document root, which front-conf.sh makes the directory; the condition is
        the last of the file, so it takes the service out again."""
        file = directory / PATH.removeprefix("/")
        file.parent.mkdir()
        file.write_bytes(self.body)
        return text + ('mimetype.assign = ( "" => "application/json" )\n'
                       '$HTTP["url"] =~ "^/" { fastcgi.server = () }\n')

    def _store_and_get(self) -> bytes:
        for front in FRONTS:
            host = f"127.0.0.1:{self.ports[front, 'ours']}"
            ask(host, "PUT", DOCUMENT)
            body = ask(host, "GET")
        return body

    def _check_bodies(self) -> None:
        """Each target gives what it should, once."""
        for (front, kind), target in self.targets.items():
            methods = ["GET"] if kind == "static" else ["PUT", "GET"]
            for method in methods:
                body = ask(target.host, method, DOCUMENT if method == "PUT" else None)
                good = body == self.body
                if kind == "ours":
                    good = len(body) == len(self.body) and VALUE.encode() in body
                if not good:
                    raise Failure(f"{target.name}: {method} gives {body!r}, expected is "
                                  f"{self.body!r}")

    def all_processes(self) -> list[int]:
        """Masters, workers, fronts and Redis."""
        fronts = [pid for target in self.targets.values() for pid in target.front.processes()]
        return [*fronts, *self.larderd.processes(), *self.ceiling.processes(), self.redis.pid]


def ask(host: str, method: str, body: str | None = None) -> bytes:
    """One request; Failure unless it is a 200."""
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, PATH, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as e:
        raise Failure(f"{method} http://{host}{PATH}: {e!r}") from e
    finally:
        connection.close()
    if answer.status != 200:
        raise Failure(f"{method} http://{host}{PATH}: {answer.status} {content!r}")
    return content


def wrk(target: Target, method: str, connections: int, seconds: int) -> Run:
    """One run. Failure on any answer that isn't 2xx, and on any socket error."""
    script = str(Path(__file__).with_name("wrk.lua"))
    command = ["setpriv", "--pdeathsig", "KILL", "wrk", f"-t{WRK_THREADS}", f"-c{connections}",
               f"-d{seconds}s", "--timeout", "10s", "-s", script, target.url]
    if method != "GET":
        command += ["--", method, DOCUMENT]
    front = target.front.processes()
    groups = (target.workers, front, target.redis)
    before = [cpu_ns(pids) for pids in groups]
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            check=False).stdout.decode(errors="replace")
    used = [cpu_ns(pids) - start for pids, start in zip(groups, before)]
    found = re.search(r"^summary (\{.*\})$", output, re.M)
    if not found:
        raise Failure(f"wrk failed:\n{output}")
    summary = json.loads(found[1])
    requests = summary.pop("requests")
    duration = summary.pop("microseconds")
    errors = {name: count for name, count in summary.items() if count}
    if errors or not requests:
        raise Failure(f"{target.name}, {method} at {connections} connections: errors {errors} "
                      f"with {requests} answers: nothing of this run counts")
    return Run(requests / duration * 1e6, *(ns / 1000 / requests for ns in used))


def cpu_seconds() -> tuple[float, float, float]:
    """Of all processors since the machine's start: busy, taken by the hypervisor, in all."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, idle, iowait, irq, softirq, steal = (
        n / os.sysconf("SC_CLK_TCK") for n in ticks)
    busy = user + nice + system + irq + softirq
    return busy, steal, busy + idle + iowait + steal


def wait_quiet(patience: float) -> None:
    """Until others leave the machine alone, but no longer than so many seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        busy, _, total = cpu_seconds()
        time.sleep(0.5)
        busy_after, _, total_after = cpu_seconds()
        share = (busy_after - busy) / max(total_after - total, 0.01)
        if share <= QUIET:
            return
        Progress.show(f"others take {share * 100:.0f} % of the CPU time: waiting")


class Noise:
    """How much of the CPU went to others, and to nobody we know, while rounds ran."""

    def __init__(self, targets: Targets) -> None:
        self.pids = targets.all_processes()
        self.sums = [0.0] * 4

    def _read(self) -> tuple[float, float, float, float]:
        usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF,
                                                     resource.RUSAGE_CHILDREN)]
        ours = cpu_ns(self.pids) / 1e9 + sum(u.ru_utime + u.ru_stime for u in usage)
        return (ours, *cpu_seconds())

    @contextmanager
    def counted(self) -> Iterator[None]:
        """While a round runs."""
        before = self._read()
        yield
        self.sums = [s + now - then for s, now, then in zip(self.sums, self._read(), before)]

    def percent(self) -> tuple[float, float]:
        """Of all CPU time: what other processes used, and what the hypervisor took."""
        ours, busy, stolen, total = self.sums
        return max(0.0, (busy - ours) / total * 100), stolen / total * 100


class Rounds:
    """Runs rounds and keeps those that count."""

    def __init__(self, stack: Stack, targets: Targets, count: int, seconds: int,
                 patience: float) -> None:
        self.stack = stack
        self.targets = targets.targets
        self.count = count
        self.seconds = seconds
        self.patience = patience
        self.noise = Noise(targets)
        self.kept: dict[Block, list[Round]] = {block: [] for block in BLOCKS}
        self.dropped = {block: 0 for block in BLOCKS}

    def warm_up(self) -> None:
        """Connections, buffers and caches are as they are in a service that runs."""
        for target in self.targets.values():
            Progress.show(f"warming up: {target.name}")
            wrk(target, "GET", 128, 1)

    def run(self) -> None:
        """All rounds of all blocks, repeating dropped ones within bounds."""
        for attempt in range(self.count * ATTEMPTS):
            wanting = [block for block in BLOCKS if len(self.kept[block]) < self.count]
            random.shuffle(wanting)
            for block in wanting:
                wait_quiet(self.patience)
                with self.noise.counted():
                    self._round(block, attempt + 1)

    def _round(self, block: Block, number: int) -> None:
        count = (f"round {number}/{self.count}" if number <= self.count else
                 f"repeat {number - self.count}/{self.count * (ATTEMPTS - 1)}")
        where = f"{count}, {block.front}, {block.connections} connections"

        def run(kind: str, method: str) -> Run:
            Progress.show(f"{where}: {kind} {method}")
            self.stack.check_alive()
            return wrk(self.targets[block.front, kind], method, block.connections, self.seconds)

        ends = [run("static", "GET").rate]
        result = Round(0)
        for load in random.sample(block.loads, len(block.loads)):
            for kind in random.sample(("ours", "ceiling"), 2):
                into = result.ours if kind == "ours" else result.ceiling
                into[load] = run(kind, load)
        ends.append(run("static", "GET").rate)
        result.static = sum(ends) / 2
        drift = max(ends) / min(ends) - 1
        keep = drift <= DRIFT
        if keep:
            self.kept[block].append(result)
        else:
            self.dropped[block] += 1
        ratios = ", ".join(f"{load} {result.ours[load].rate / result.ceiling[load].rate:.2f}"
                           for load in block.loads)
        note = f"static ceilings {drift * 100:.0f} % apart{'' if keep else ': dropped'}"
        Progress.line(f"{f'{where}:':40} {f'{ratios} of the FastCGI ceiling;':43} {note}")
