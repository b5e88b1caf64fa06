"""larder-verify tells every kind of wrong answer from a right one: a server lies to it in each way.

The server counts its lies, so not one may be overlooked, and not one more may be found.
"""

from __future__ import annotations

import functools
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "chaos"))

from harness import Workspace  # noqa: E402
from liar import Answer, Cache, Lie, Liar, Request, problem, show  # noqa: E402
from verify import PROGRAM, VERDICTS, Report, Verify  # noqa: E402

GETS = 1500
SMALL: dict[str, object] = {"connections": 4, "keys": 6, "gets": GETS, "pause": 0, "seed": 1}


def run(space: Workspace, liar: Liar, **options: object) -> Report:
    """A load on it, to its end."""
    load = Verify(space, liar.port, **{**SMALL, **options}).start()
    try:
        return load.wait_end(60)
    finally:
        load.abandon()


def counts(report: Report) -> dict[str, int]:
    """What was found that is not right."""
    return {name: report[name] for name in (*VERDICTS, "late") if report[name]}


# --- lies ----------------------------------------------------------------------------------------

def get(lie: Callable[[Cache, Request, str], Answer | None]) -> Lie:
    """A lie about a key that is there."""
    @functools.wraps(lie)
    def tell(cache: Cache, r: Request) -> Answer | None:
        value = cache.now(r.key)
        return lie(cache, r, value) if r.method == "GET" and value is not None else None
    return tell


def another(cache: Cache, key: str) -> tuple[str, str] | None:
    """Another key that is there, and its value."""
    found = [(k, v) for k in cache.past if k != key and (v := cache.now(k)) is not None]
    return found[0] if found else None


@get
def others_document(cache: Cache, r: Request, _: str) -> Answer | None:
    """The reply to somebody else's request."""
    other = another(cache, r.key)
    return show(other[0], r.raw, other[1]) if other else None


@get
def others_value(cache: Cache, r: Request, _: str) -> Answer | None:
    """The right name above somebody else's value."""
    other = another(cache, r.key)
    return show(r.key, r.raw, other[1]) if other else None


@get
def nobodys_value(_: Cache, r: Request, __: str) -> Answer:
    """What nobody ever wrote."""
    return show(r.key, r.raw, "hello")


@get
def flipped(_: Cache, r: Request, value: str) -> Answer:
    """One letter of the filler is another."""
    return show(r.key, r.raw, value[:-1] + ("a" if value[-1] != "a" else "b"))


@get
def wrong_version(_: Cache, r: Request, value: str) -> Answer:
    """The version in the head is another, the rest as it was."""
    key, version, rest = value.split("|", 2)
    return show(r.key, r.raw, f"{key}|{int(version) + 1}|{rest}")


@get
def cut_but_framed(_: Cache, r: Request, value: str) -> Answer:
    """A value that lacks its end, in an answer that doesn't."""
    return show(r.key, r.raw, value[:-2])


@get
def spliced(_: Cache, r: Request, value: str) -> Answer:
    """A value whose end comes twice."""
    return show(r.key, r.raw, value + value[-2:])


@get
def gone(_: Cache, r: Request, __: str) -> Answer:
    """Nothing where something is."""
    return problem(404, "key-not-found")


@get
def outdated(cache: Cache, r: Request, value: str) -> Answer | None:
    """The value before this one."""
    older = [v for v in cache.past[r.key] if v is not None and v != value]
    return show(r.key, r.raw, older[-1]) if older else None


@get
def said_twice(_: Cache, r: Request, value: str) -> Answer:
    """The right answer, and more behind it."""
    answer = show(r.key, r.raw, value)
    answer.surplus = b"HTTP/1.1 200 OK\r\n"
    return answer


def deleted_but_shown(cache: Cache, r: Request) -> Answer | None:
    """What was there before it was deleted."""
    past = cache.past[r.key]
    if r.method != "GET" or past[-1] is not None:
        return None
    return show(r.key, r.raw, [v for v in past if v is not None][-1])


def others_acknowledgement(cache: Cache, r: Request) -> Answer | None:
    """A PUT that is answered with somebody else's document."""
    other = another(cache, r.key)
    return show(*other[:1], False, other[1]) if r.method == "PUT" and other else None


def others_deletion(cache: Cache, r: Request) -> Answer | None:
    """A DELETE that is answered with somebody else's document."""
    other = another(cache, r.key)
    if r.method != "DELETE" or other is None:
        return None
    return Answer(200, f'{{"key":"{other[0]}","deleted":true,"timestamp":"x"}}'.encode())


def nothing_to_delete(cache: Cache, r: Request) -> Answer | None:
    """A DELETE that doesn't find what is there; once for each value, which it may have deleted."""
    value = cache.now(r.key)
    if r.method != "DELETE" or value is None or value in cache.denied:
        return None
    cache.denied.add(value)
    return problem(404, "key-not-found")


LIES = [
    (others_document, "wrong"), (others_value, "wrong"), (nobodys_value, "wrong"),
    (said_twice, "wrong"), (others_acknowledgement, "wrong"), (others_deletion, "wrong"),
    (flipped, "torn"), (wrong_version, "torn"), (cut_but_framed, "torn"), (spliced, "torn"),
    (outdated, "stale"), (deleted_but_shown, "stale"),
    (gone, "lost"), (nothing_to_delete, "lost"),
]


@pytest.mark.parametrize("target", ["cache", "raw"])
@pytest.mark.parametrize("lie,verdict", [pytest.param(*row, id=row[0].__name__) for row in LIES])
def test_lie(space: Workspace, lie: Lie, verdict: str, target: str) -> None:
    """Each lie is found, each time, for what it is."""
    with Liar(lie) as liar:
        # One client: of two, one may have asked before the other was acknowledged.
        report = run(space, liar, target=target, deletes=15, connections=1)
    assert liar.told >= 5, "the server found no occasion to lie"
    assert counts(report) == {verdict: liar.told}, report.examples()
    assert len(report["examples"][verdict]) == min(liar.told, 10)


def test_lie_about_a_write_that_was_seen(space: Workspace) -> None:
    """A write without an acknowledgement that somebody has seen may not go away again."""
    step: dict[str, int] = {}

    def forget(cache: Cache, r: Request) -> Answer | None:
        at = step.get(r.key, 0)
        if at == 0 and r.method == "PUT":
            cache.answer(r)
            step[r.key] = 1
            return Answer(500, b"who knows")
        if at == 1 and r.method == "GET":
            step[r.key] = 2
        elif at == 2 and r.method == "GET":
            step[r.key] = 3
            cache.past[r.key].pop()
            return cache.answer(r)
        elif at == 2:
            step[r.key] = 4  # too late: it was written again
        return None

    with Liar(forget, every=1) as liar:
        report = run(space, liar, connections=1, keys=30, writes=20)
    regressed = sum(at == 3 for at in step.values())
    assert regressed > 5
    assert report["stale"] >= regressed and set(counts(report)) == {"stale"}, report.examples()


def test_lie_about_the_outcome(space: Workspace) -> None:
    """A write that was refused as not applied was not."""
    def apply_and_deny(cache: Cache, r: Request) -> Answer | None:
        if r.method != "PUT":
            return None
        cache.answer(r)
        return problem(503, "backend-unavailable", outcome="not-applied")

    with Liar(apply_and_deny) as liar:
        report = run(space, liar, connections=1)
    assert set(counts(report)) == {"wrong"} and report["wrong"] >= 5
    assert "not possible" in report.examples()


def test_lie_from_the_future(space: Workspace) -> None:
    """A version that was never sent is wrong, though the value is whole: somebody else's, here."""
    with Liar() as liar:
        run(space, liar, connections=1, tag="same", writes=50)
        theirs = {key: [v for v in past if v is not None][-1]
                  for key, past in liar.cache.past.items()}
        liar.lie = get(lambda cache, r, _: show(r.key, r.raw, theirs[r.key]))
        report = run(space, liar, connections=1, tag="same", writes=0)
    assert liar.told >= 5
    assert counts(report) == {"wrong": liar.told} and "not possible" in report.examples()


@pytest.mark.parametrize("late", [False, True])
def test_late_writes(space: Workspace, late: bool) -> None:
    """A write whose outcome is unknown and that lands after a later one: counted apart if allowed."""
    held: dict[str, Request] = {}

    def hold_back(cache: Cache, r: Request) -> Answer | None:
        if r.method != "PUT":
            return None
        if r.key not in held:
            held[r.key] = r
            return Answer(500, b"who knows")
        answer = cache.answer(r)
        cache.answer(held.pop(r.key))
        return answer

    with Liar(hold_back, every=1) as liar:
        report = run(space, liar, connections=1, late_writes=late, writes=20)
    assert set(counts(report)) == {"late" if late else "stale"}, report.examples()


# --- nothing but the truth -----------------------------------------------------------------------

@pytest.mark.parametrize("target", ["cache", "raw"])
@pytest.mark.parametrize("sizes", ["small", "mixed"])
def test_truth(space: Workspace, target: str, sizes: str) -> None:
    """Where all is right nothing is found, and everything is counted."""
    with Liar() as liar:
        report = run(space, liar, target=target, sizes=sizes, deletes=10, gets=800, connections=8,
                     keys=16)
    assert counts(report) == {} and report.failed == 0, report.examples()
    assert 800 <= report["gets_verified"] == report["hits"] + report["misses"] < 2000
    done = report["gets_verified"] + report["puts_acked"] + report["deletes_acked"]
    assert report["requests"] == done == sum(report["statuses"].values())
    assert sum(row[1] for row in report.timeline) == report["requests"]
    assert report["latency"]["ok"]["count"] == report["requests"]


def test_truth_that_takes_time(space: Workspace) -> None:
    """What was true when the request came is right, though it is answered late: many clients, few
    keys, all of them being written."""
    dice = random.Random(1)

    def dawdle(cache: Cache, r: Request) -> Answer:
        answer = cache.answer(r)
        answer.wait = dice.random() * 0.005
        return answer

    with Liar(dawdle, every=1) as liar:
        report = run(space, liar, connections=24, keys=24, writes=45, deletes=15)
    assert counts(report) == {} and report.failed == 0, report.examples()


def test_truth_that_is_not_known(space: Workspace) -> None:
    """A write that failed may have been done or not, whichever is seen."""
    dice = random.Random(1)

    def lose_the_answer(cache: Cache, r: Request) -> Answer | None:
        if r.method == "GET":
            return None
        if dice.random() < 0.5:
            cache.answer(r)
        return Answer(500, b"who knows")

    with Liar(lose_the_answer, every=2) as liar:
        report = run(space, liar, writes=30, deletes=20)
    assert counts(report) == {}, report.examples()
    assert report.failures(["PUT", "DELETE"])["500"] > 100


def test_entries_may_vanish(space: Workspace) -> None:
    """Where Redis may lose entries, their absence is right; an older version is still not."""
    def vanish(cache: Cache, r: Request) -> Answer | None:
        cache.past[r.key].append(None)
        return cache.answer(r)

    with Liar(vanish) as liar:
        assert counts(run(space, liar, may_vanish=True)) == {}
    with Liar(vanish) as liar:
        assert set(counts(run(space, liar))) == {"lost"}
    with Liar(outdated) as liar:
        assert set(counts(run(space, liar, may_vanish=True, connections=1))) == {"stale"}


# --- failures ------------------------------------------------------------------------------------

def always(answer: Answer) -> Lie:
    """The same failure for every request that is chosen."""
    return lambda cache, r: answer


TIMEOUT_MS = 1000
FAILURES = {
    "short": always(Answer(200, b"x" * 100, cut=50)),
    "closed-kept": always(Answer(200, b"", silent=True)),
    "timeout": always(Answer(200, b"", silent=True, wait=TIMEOUT_MS * 2e-3)),
    "malformed": always(Answer(200, b"", head=b"HTTP/1.1 200 X\r\nServer: x\r\n\r\n")),
    "502": always(Answer(502, b"<html>Bad Gateway</html>", "text/html")),
    "404": always(Answer(404, b"<html>Not Found</html>", "text/html")),
    "503": always(problem(503, "backend-unavailable", outcome="unknown")),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failure(space: Workspace, kind: str) -> None:
    """A failure that can be seen is counted as what it is, and is no wrong answer."""
    with Liar(FAILURES[kind], every=100) as liar:
        report = run(space, liar, timeout=TIMEOUT_MS, gets=600)
    assert counts(report) == {}, report.examples()
    assert liar.told > 5
    assert report.failures() == {kind: liar.told} and report.failed == liar.told
    assert sum(row[2] for row in report.timeline) == liar.told
    told = {str(kind): liar.told}
    assert report["front_errors"] == (told if kind in ("502", "404") else {})
    assert report["slugs"] == ({"backend-unavailable": liar.told} if kind == "503" else {})
    assert (report["hang_ms"] >= TIMEOUT_MS) == (kind == "timeout")


def test_nobody_listens(space: Workspace) -> None:
    """Without a web server every request is refused, at a pace that doesn't fill the machine."""
    load = Verify(space, space.port(), connections=4, seconds=1).start()
    report = load.wait_end(20)
    assert set(report.failures()) == {"refused"} and counts(report) == {}
    assert report.failed == report["requests"] < 500


# --- being told ----------------------------------------------------------------------------------

def test_commands(space: Workspace) -> None:
    """progress shows the counters; rate slows it down; stop ends it with what it has."""
    with Liar() as liar, Verify(space, liar.port, connections=4, keys=4) as load:
        load.wait_prepared()
        load.rate(200)
        load.wait_requests(1)
        before = load.progress()
        load.wait_requests(100)
        after = load.progress()
        pace = (after["requests"] - before["requests"]) / (after["seconds"] - before["seconds"])
        assert pace < 400
        load.command("nonsense")
        load.wait_text("none of progress, rate N, stop")
    assert load.result["requests"] >= after["requests"] and load.result.failed == 0


def test_end_of_input_is_stop(space: Workspace) -> None:
    """Whoever started it may just go away."""
    with Liar() as liar:
        done = subprocess.run([PROGRAM, f"--port={liar.port}"], input="", capture_output=True,
                              text=True, check=True, timeout=30)
    assert counts(Report.parse(done.stdout)) == {}


@pytest.mark.parametrize("arguments,hint", [
    ([], "give --port"),
    (["--port", "0"], "a number from 1 to 65535"),
    (["--port", "80", "--sizes", "huge"], "small, mixed or large"),
    (["--port", "80", "--writes", "60", "--deletes", "60"], "above 100 percent"),
    (["--port", "80", "--connections", "9", "--keys", "3"], "at least as many --keys"),
    (["--port", "80", "--tag", "a b"], "letters, digits"),
    (["--port", "80", "more"], "'more' is no option"),
    (["--port", "80", "--nonsense"], "nonsense"),
    (["--help"], "usage: larder-verify"),
])
def test_usage(arguments: list[str], hint: str) -> None:
    """A command line that can't be used ends it with 2, and says what would be right."""
    done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=30)
    assert done.returncode == 2 and hint in done.stderr and done.stdout == ""
