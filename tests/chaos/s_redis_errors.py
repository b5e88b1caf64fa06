"""T14, T15: what Redis refuses, by each of its reasons, and what becomes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import resp
from faults import Faults
from harness import Front, Larder, Redis, eventually
from outage import Outages, connected
from rawhttp import Answer, Http
from scenario import Finding, Size, scenario
from world import World

BODY = b'{"value":1}'
KEY = "/cache/a"


def slug_of(answer: Answer) -> str:
    """Which problem it is; empty if it is none."""
    if answer.header("Content-Type") != "application/problem+json":
        return ""
    return str(answer.json()["type"]).removeprefix("/errors/")


# --- each error, by injection --------------------------------------------------------------------

@dataclass
class Said:
    """What Redis says, and the slug that it becomes."""

    text: str
    slug: str
    status: int = 503


TABLE = [
    Said("LOADING Redis is loading the dataset in memory", "backend-loading"),
    Said("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
         "backend-unavailable"),
    Said("READONLY You can't write against a read only replica.", "backend-readonly"),
    Said("NOREPLICAS Not enough good replicas to write.", "backend-readonly"),
    Said("MISCONF Redis is configured to save RDB snapshots, but can't", "backend-readonly"),
    Said("BUSY Redis is busy running a script.", "backend-busy"),
    Said("OOM command not allowed when used memory > 'maxmemory'.", "backend-full", 507),
    Said("NOAUTH Authentication required.", "backend-refused"),
    Said("WRONGPASS invalid username-password pair or user is disabled.", "backend-refused"),
    Said("NOPERM this user has no permissions to run the command", "backend-refused"),
    Said("WRONGTYPE Operation against a key holding the wrong kind of value", "wrong-type", 409),
    Said("ERR max number of clients reached", "backend-unavailable"),
    Said("ERR something that nobody expects, quoting s3cret", "backend-error"),
]


@scenario("T14", "each of Redis's errors, in the place of every third reply")
def errors_injected(world: World, size: Size) -> Iterator[Finding]:
    """Under load: who gets one has its answer; everybody else's is right. The load only reads: what
    is said to be refused was done here."""
    redis = world.redis()
    faults = world.add(Faults(world.space, redis.socket)).start()
    larder = world.larder(faults.path)
    front = world.front(larder)
    missing, leaks = [], 0
    with world.verify(front, connections=8, keys=200, writes=0) as load:
        load.wait_prepared()
        outages = Outages(larder, load, settle=0.0)
        for said in TABLE:
            slugs = set()
            with outages.during(said.text.split()[0]), front.http() as http:
                faults.set("answer", 3, f"-{said.text}")
                end = time.monotonic() + size(full=1.0, short=0.15)
                while time.monotonic() < end or not slugs - {""}:
                    for method, body in (("GET", None), ("PUT", BODY), ("DELETE", None)):
                        answer = http.request(method, KEY, body)
                        slugs.add(slug_of(answer) if answer.status != 404 else "")
                        leaks += said.text[:20].encode() in answer.body
                faults.clear()
            # On a machine that has no time at all there may be others, which are as honest.
            if slugs - {"", "backend-timeout"} != {said.slug}:
                missing.append(f"{said.text.split()[0]}: {slugs}")
    report = load.result
    wanted = {"backend-timeout"} | {said.slug for said in TABLE}
    strange = {slug: n for slug, n in report["slugs"].items() if slug not in wanted}
    yield Finding("errors that did not become what they mean", len(missing), figure=0,
                  detail=", ".join(missing) or f"{len(TABLE)} errors; {report['slugs']}")
    yield Finding("failures that say something else", sum(strange.values()), figure=0,
                  detail=str(strange))
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("answers with Redis's words", leaks, figure=0)
    yield Finding("last failure after it was over", max(
        row.last_failure(report) for row in outages.rows), figure=1000, unit="ms")


# --- each condition, for real --------------------------------------------------------------------

Do = Callable[["Case"], object]


@dataclass
class Case:
    """A Redis that is about to be unwell, and who looks at it."""

    redis: Redis
    larder: Larder
    front: Front
    http: Http
    held: ExitStack = field(default_factory=ExitStack)  # closed when it is over

    def ask(self, *args: str | int) -> object:
        """Tells Redis something."""
        return self.redis.ask(*args)

    def hold(self, *args: str | int) -> object:
        """Has Redis do something that lasts."""
        self.held.enter_context(self.redis.client()).send(*args)
        return None

    def cut(self) -> object:
        """Ends larder's connections: the next ones are new."""
        return self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@dataclass
class Condition:
    """What is wrong with Redis, how it comes and goes, and what is answered meanwhile."""

    name: str
    begin: Do
    end: Do
    get: tuple[int, str]
    put: tuple[int, str]
    options: dict[str, object] = field(default_factory=dict)


def reload_slowly(case: Case) -> object:
    """Redis loads its data for as long as it is let, and answers while it does."""
    case.ask("CONFIG", "SET", "loading-process-events-interval-bytes", 1024)
    case.ask("DEBUG", "POPULATE", 10_000, "filler", 100)
    case.ask("CONFIG", "SET", "key-load-delay", 500)
    return case.hold("DEBUG", "RELOAD")


def unload(case: Case) -> object:
    """It has loaded."""
    case.ask("CONFIG", "SET", "key-load-delay", 0)
    return eventually(lambda: case.redis.info("persistence")["loading"] == "0", 20,
                      "the data are loaded")


def fail_to_save(case: Case) -> object:
    """A snapshot can't take the place of a directory."""
    (case.redis.directory / "dump.rdb").unlink(missing_ok=True)
    (case.redis.directory / "dump.rdb").mkdir()
    case.ask("CONFIG", "SET", "save", "3600 1000000")
    case.ask("BGSAVE")
    return eventually(lambda: case.redis.info("persistence")["rdb_last_bgsave_status"] == "err",
                      10, "the snapshot fails")


def save_again(case: Case) -> object:
    """A snapshot succeeds."""
    (case.redis.directory / "dump.rdb").rmdir()
    case.ask("BGSAVE")
    return eventually(lambda: case.redis.info("persistence")["rdb_last_bgsave_status"] == "ok",
                      10, "the snapshot succeeds")


def admit_nobody(case: Case) -> object:
    """One client holds the one place there is."""
    keeper = case.held.enter_context(case.redis.client())
    keeper.ask("CONFIG", "SET", "maxclients", 1)
    return keeper.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def admit_all(case: Case) -> object:
    """There are places again; only who is in can say so."""
    case.held.close()
    return eventually(lambda: raise_limit(case), 10, "a place is free")


def raise_limit(case: Case) -> bool:
    """Tries to get in, which larder's workers try as well."""
    try:
        return bool(case.ask("CONFIG", "SET", "maxclients", 100))
    except (OSError, resp.ReplyError):
        return False


def lock_out(case: Case) -> object:
    """The user's password is another one from now on."""
    case.ask("ACL", "SETUSER", "app", "resetpass", ">other")
    return case.cut()


OK = (200, "")
REFUSED = (503, "backend-refused")
READ_ONLY = (503, "backend-readonly")
USER: dict[str, object] = {"redis_username": "app", "redis_password": "secret"}

CONDITIONS = [
    Condition("LOADING", reload_slowly, unload, (503, "backend-loading"),
              (503, "backend-loading")),
    Condition("READONLY", lambda c: c.ask("REPLICAOF", "127.0.0.1", 1),
              lambda c: c.ask("REPLICAOF", "NO", "ONE"), OK, READ_ONLY),
    Condition("MASTERDOWN", lambda c: (c.ask("CONFIG", "SET", "replica-serve-stale-data", "no"),
                                       c.ask("REPLICAOF", "127.0.0.1", 1)),
              lambda c: c.ask("REPLICAOF", "NO", "ONE"), (503, "backend-unavailable"), READ_ONLY),
    Condition("NOREPLICAS", lambda c: c.ask("CONFIG", "SET", "min-replicas-to-write", 1),
              lambda c: c.ask("CONFIG", "SET", "min-replicas-to-write", 0), OK, READ_ONLY),
    Condition("MISCONF", fail_to_save, save_again, OK, READ_ONLY),
    Condition("BUSY", lambda c: (c.ask("CONFIG", "SET", "busy-reply-threshold", 50),
                                 c.hold("EVAL", "while true do end", 0)),
              lambda c: c.ask("SCRIPT", "KILL"), (503, "backend-busy"), (503, "backend-busy")),
    Condition("max clients", admit_nobody, admit_all, (503, "backend-unavailable"),
              (503, "backend-unavailable")),
    Condition("NOAUTH", lambda c: (c.ask("CONFIG", "SET", "requirepass", "x"),
                                   setattr(c.redis, "password", "x"), c.cut()),
              lambda c: (c.ask("CONFIG", "SET", "requirepass", ""),
                         setattr(c.redis, "password", None)), REFUSED, REFUSED),
    Condition("WRONGPASS", lock_out,
              lambda c: c.ask("ACL", "SETUSER", "app", "resetpass", ">secret"), REFUSED, REFUSED,
              USER),
    Condition("NOPERM", lambda c: c.ask("ACL", "SETUSER", "app", "-set"),
              lambda c: c.ask("ACL", "SETUSER", "app", "+set"), OK, REFUSED, USER),
    Condition("WRONGTYPE", lambda c: (c.ask("DEL", "a"), c.ask("LPUSH", "a", "x")),
              lambda c: c.ask("DEL", "a"), (409, "wrong-type"), OK),
]


def answers_so(answer: Answer, wanted: tuple[int, str]) -> bool:
    """The status, and the slug and the header that belong to it."""
    status, slug = wanted
    if answer.status != status:
        return False
    return status == 200 or (slug_of(answer) == slug and
                             (status != 503 or int(answer.header("Retry-After") or 0) >= 1))


def judge_condition(condition: Condition, case: Case) -> Iterator[Finding]:
    """Begins it, looks, ends it, and waits until all is well."""
    assert case.http.request("PUT", KEY, BODY).status == 200
    eventually(lambda: connected(case.larder), what="every worker is connected")
    before = case.larder.stats()["counters"]["redis_reconnects"]
    condition.begin(case)
    # Until every worker has found out.
    eventually(lambda: all(answers_so(case.http.get(KEY), condition.get) for _ in range(6)), 5,
               lambda: f"{condition.name}: {case.http.get(KEY)}")
    wrong = []
    for _ in range(10):
        for method, wanted in (("GET", condition.get), ("PUT", condition.put)):
            answer = case.http.request(method, KEY, BODY if method == "PUT" else b"")
            outcome = answer.json().get("outcome") if answer.status >= 500 else "not-applied"
            # What was written over a list has ended the condition.
            over = condition.name == "WRONGTYPE" and method == "GET" and answer.status == 200
            if not over and not (answers_so(answer, wanted) and
                                 (method == "GET" or outcome == "not-applied")):
                wrong.append(f"{method}: {answer.status} {slug_of(answer)} {outcome}")
    condition.end(case)
    begun = time.monotonic()

    def well() -> bool:
        return all(case.http.request("PUT", KEY, BODY).status == 200 and
                   case.http.get(KEY).status == 200 for _ in range(6))
    eventually(well, 20, f"all is well after {condition.name}")
    recovery = (time.monotonic() - begun) * 1e3
    yield Finding(f"{condition.name}: answers other than promised", len(wrong), figure=0,
                  detail="; ".join(wrong[:3]))
    yield Finding(f"{condition.name}: all is well after it", recovery, figure=1000, unit="ms")
    if condition.name == "LOADING":
        kept = case.larder.stats()["counters"]["redis_reconnects"] == before
        yield Finding.holds("LOADING: connections are kept", kept)


@scenario("T14", "each condition of Redis, for real")
def errors_for_real(world: World, size: Size) -> Iterator[Finding]:
    """One after the other, each with a Redis of its own if it needs a user of its own."""
    del size  # it is the same
    for options in ({}, USER):
        args = ("--user", "app", "on", ">secret", "~*", "&*", "+@all") if options else ()
        redis = world.redis(*args)
        larder = world.larder(redis, **options)
        front = world.front(larder)
        with front.http() as http:
            for condition in CONDITIONS:
                if condition.options != options:
                    continue
                case = Case(redis, larder, front, http)
                with case.held:
                    yield from judge_condition(condition, case)
        said = larder.text()
        yield Finding("lines of the log with a password in them",
                      sum("secret" in line for line in said.splitlines()), figure=0)
        front.stop()
        larder.stop()
        redis.stop()


# --- full ----------------------------------------------------------------------------------------

@scenario("T15", "maxmemory is reached, and nothing is evicted")
def redis_full(world: World, size: Size) -> Iterator[Finding]:
    """Writes are 507, everything else goes on, and so do writes once there is room."""
    redis, _, front = world.stack(max_memory_policy="noeviction", ttl_jitter=0)
    text = b'"' + b"x" * 20_000 + b'"'
    used = int(redis.info("memory")["used_memory"])
    redis.ask("CONFIG", "SET", "maxmemory", used + size(full=40, short=4) * (1 << 20))
    wrong, refused, stored = [], 0, 0

    def note(answer: Answer, status: int, what: str) -> None:
        if answer.status != status:
            wrong.append(f"{what}: {answer.status} {slug_of(answer)}")

    with front.http() as http:
        while refused < 20 and stored < 10_000:
            answer = http.request("PUT", f"/cache/k{stored}", b'{"value":' + text + b"}")
            if answer.status == 200:
                stored += 1
                continue
            refused += 1
            note(answer, 507, "PUT")
            if slug_of(answer) != "backend-full" or int(answer.header("Retry-After") or 0) < 1:
                wrong.append(f"PUT: {answer}")
        for i in range(0, stored, max(1, stored // 50)):
            note(http.request("PUT", f"/cache/k{i}", b'{"value":"new' + text[1:] + b"}"), 507,
                 "PUT over")
            answer = http.get(f"/cache/k{i}")
            note(answer, 200, "GET")
            if text not in answer.body:
                wrong.append(f"k{i} is another value than the old one")
        note(http.get(f"/cache/k{stored}"), 404, "GET of what was refused")
        for i in range(30):
            note(http.request("DELETE", f"/cache/k{i}"), 200, "DELETE")
        begun = time.monotonic()
        note(http.request("PUT", "/cache/after", b'{"value":' + text + b"}"), 200, "first PUT")
        taken = (time.monotonic() - begun) * 1e3
        note(http.get("/cache/after"), 200, "GET of it")
    yield Finding("answers other than promised", len(wrong), figure=0,
                  detail="; ".join(wrong[:3]) or f"{stored} stored, {refused} refused")
    yield Finding("the first PUT once there is room", taken, figure=100, unit="ms")
