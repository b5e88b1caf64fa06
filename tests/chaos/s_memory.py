"""T25: memory runs out."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import fcgi
from harness import SANITIZED, VALGRIND, Larder, Redis, eventually
from hook import Hook
from scenario import Finding, Size, scenario
from world import World

SMALL = b'"' + b"s" * 100 + b'"'
LARGE = b'"' + b"l" * 100_000 + b'"'
MOST = 2000  # allocations of one request: more would be a loop
ENVELOPE = b'{"value":%s,"ttl":600}'


@dataclass(frozen=True)
class Ask:
    """A request, and what a 2xx must have in its body, or must have stored under "key"."""

    name: str
    method: str
    target: str
    body: bytes = b""
    shows: bytes = b""
    stores: bytes = b""
    short: bool = False


BATCH = (b'{"operations":[{"method":"GET","key":"small"},{"method":"PUT","key":"key","value":1},'
         b'{"method":"GET","key":"large"},{"method":"DELETE","key":"none"}]}')
ASKS = (
    Ask("GET", "GET", "/cache/small", shows=SMALL, short=True),
    Ask("GET of 100 KB", "GET", "/cache/large", shows=LARGE),
    Ask("GET raw", "GET", "/raw/small", shows=SMALL),
    Ask("PUT", "PUT", "/cache/key", ENVELOPE % SMALL, stores=SMALL),
    Ask("PUT of 100 KB", "PUT", "/cache/key", ENVELOPE % LARGE, stores=LARGE),
    Ask("PUT with tags", "PUT", "/cache/key", b'{"value":1,"tags":["a","b"],"idle":60}'),
    Ask("PATCH", "PATCH", "/cache/object", b'{"value":{"a":2}}'),
    Ask("counter", "POST", "/counters/count", b"{}"),
    Ask("DELETE", "DELETE", "/cache/key"),
    Ask("batch", "POST", "/batch", BATCH, shows=SMALL),
    Ask("list", "GET", "/keys", shows=b'"small"'),
    Ask("sweep", "DELETE", "/cache?prefix=none"),
    Ask("statistics", "GET", "/stats", shows=b"hits"),
    Ask("metrics", "GET", "/metrics"),
    Ask("health", "GET", "/health", shows=b"healthy"),
)


def fill(redis: Redis) -> None:
    """The entries that are asked for."""
    redis.ask("SET", "small", SMALL)
    redis.ask("SET", "large", LARGE)
    redis.ask("SET", "object", b'{"a":1}')
    redis.ask("DEL", "key")


def wrong(ask: Ask, answer: fcgi.Response, redis: Redis) -> str:
    """What is wrong with an answer; empty if it is right, or honest."""
    if answer.status >= 500:
        return ""
    if not 200 <= answer.status < 300 and not (ask.method == "DELETE" and answer.status == 404):
        return f"{ask.name}: status {answer.status}"
    if ask.shows not in answer.body:
        return f"{ask.name}: {answer.status}, without what was asked for"
    if ask.stores and redis.ask("GET", "key") != ask.stores:
        return f"{ask.name}: {answer.status}, and another value is stored"
    return ""


@dataclass
class Tally:
    """What came of one request, with one allocation after the other failing."""

    tried: int = 0
    refused: int = 0
    cut_off: int = 0
    deaths: int = 0


def try_without(larder: Larder, redis: Redis, hook: Hook, ask: Ask, after: int,
                tally: Tally) -> tuple[bool, str]:
    """One try: whether it came to the allocation that fails, and what was wrong."""
    fill(redis)
    family = larder.workers()
    content = [("CONTENT_TYPE", "application/merge-patch+json")] if ask.method == "PATCH" else []
    hook.fail_malloc(after)
    said = ""
    try:
        with larder.connect(10) as connection:
            answer = connection.request(ask.method, ask.target, ask.body, params=dict(content))
        failed = hook.malloc_failed()
        tally.refused += answer.status >= 500
        said = wrong(ask, answer, redis)
    except (OSError, fcgi.Closed):
        failed = hook.malloc_failed()
        tally.cut_off += 1
    tally.tried += 1
    eventually(lambda: len(larder.workers()) == 1 and larder.ready(), 20, "it serves on")
    tally.deaths += larder.workers() != family
    return failed, said


@scenario("T25", "one allocation after the other fails", fronts=())
def malloc_fails(world: World, size: Size) -> Iterator[Finding]:
    """Every allocation of a whole worker, the libraries' included, for each kind of request."""
    if SANITIZED or VALGRIND:  # nothing can be preloaded
        return
    hook = Hook(world.directory("hook"))
    redis = world.redis()
    larder = world.larder(redis, env=hook.environment, workers=1)
    master = larder.pid
    for ask in ASKS:
        if not (size.full or ask.short):
            continue
        tally, faults = Tally(), []
        for after in range(MOST):
            failed, said = try_without(larder, redis, hook, ask, after, tally)
            faults += [said] if said else []
            if not failed:
                break
        yield Finding(f"wrong answers to {ask.name}", len(faults), figure=0,
                      detail="; ".join(faults[:2]) or
                      f"{tally.tried} tries, {tally.refused} refused, {tally.cut_off} cut off, "
                      f"{tally.deaths} workers ended")
        yield Finding(f"allocations tried of {ask.name}", tally.tried, figure=MOST - 1)
        yield Finding(f"of them noticed by {ask.name}", tally.refused + tally.cut_off, figure=1,
                      least=True)
    yield Finding.holds("the master lives", larder.running() and larder.pid == master)


@scenario("T25", "a worker may have no more memory", fronts=())
def memory_limited(world: World, size: Size) -> Iterator[Finding]:
    """RLIMIT_AS a little above what it has: large requests are refused, or cost that one worker."""
    if SANITIZED or VALGRIND:  # they reserve terabytes
        return
    redis = world.redis()
    larder = world.larder(redis)
    fill(redis)
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    for i in range(40):
        redis.ask("SET", f"giant{i}", b'"' + b"g" * 900_000 + b'"')
    keys = ",".join('{"method":"GET","key":"giant%d"}' % i for i in range(34))
    answers, cut_off = [], 0
    for _ in range(size(full=10, short=2)):
        victims = larder.workers()
        for victim in victims:
            with open(f"/proc/{victim}/statm", encoding="ascii") as file:
                pages = int(file.read().split()[0])
            most = pages * resource.getpagesize() + (8 << 20)
            subprocess.run(["prlimit", f"--pid={victim}", f"--as={most}:"], check=True)
        for _ in range(8):
            try:
                answers.append(larder.fastcgi("POST", "/batch",
                                              b'{"operations":[%s]}' % keys.encode()).status)
            except (OSError, fcgi.Closed):
                cut_off += 1
            assert larder.fastcgi("GET", "/cache/small").status == 200
        for victim in victims:
            subprocess.run(["prlimit", f"--pid={victim}", "--as=unlimited"], check=False,
                           stderr=subprocess.DEVNULL)
    refused = sum(status >= 500 for status in answers)
    yield Finding("answers to large batches that are neither 200 nor 5xx",
                  sum(status != 200 and status < 500 for status in answers), figure=0)
    yield Finding("refused or cut off, of those sent", refused + cut_off, figure=1, least=True,
                  detail=f"{len(answers) + cut_off} sent, {refused} refused, {cut_off} cut off")
    yield Finding.holds("the pool is whole", len(larder.workers()) == larder.worker_count)
    yield Finding.holds("small requests are served",
                        larder.fastcgi("GET", "/cache/small").status == 200)
