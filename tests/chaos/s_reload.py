"""T3: reloads."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import larderlog
from figures import PATIENT, show_failures
from harness import Larder, alive, eventually
from scenario import Finding, Size, scenario
from verify import Report, sleep_until
from world import World

CONNECTIONS = 64
DRAIN_MS = 5000  # drain_timeout's default
LONGEST_STEP = 26  # ms, exclusive


def settled(larder: Larder, workers: int = 2) -> bool:
    """Whether one generation serves alone, and no reload is under way."""
    rows = larder.stats()["workers"]
    return (len(rows) == workers == len(larder.workers())
            and len({w["generation"] for w in rows}) == 1
            and all(w["state"] == "ready" for w in rows))


def storm(larder: Larder, count: int) -> None:
    """So many SIGHUPs, 0 to 25 ms after one another."""
    for i in range(count):
        larder.signal(signal.SIGHUP)
        time.sleep(i % LONGEST_STEP / 1000)


def every_second(larder: Larder, count: int) -> None:
    """So many SIGHUPs, a second after one another."""
    begun = time.monotonic()
    for i in range(count):
        sleep_until(begun + i)
        larder.signal(signal.SIGHUP)


def leaving(text: str) -> list[float]:
    """For each worker that left, how many ms after the reload before it."""
    took: list[float] = []
    reloaded = None
    for line in larderlog.lines(text):
        if line.text.startswith("reloaded:"):
            reloaded = line.moment
        elif "has left after" in line.text and reloaded is not None:
            took.append((line.moment - reloaded) * 1e3)
    return took


def judge(larder: Larder, report: Report, first: list[int]) -> Iterator[Finding]:
    """What holds after any number of reloads."""
    counted = larder.stats()["counters"]
    took = leaving(larder.text())
    yield Finding("failed requests", report.failed, figure=0,
                  detail=f"{counted['reloads']} reloads; {show_failures(report)}")
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("longest request", report["hang_ms"], figure=None, unit="ms")
    yield Finding("old workers gone", max(took, default=0.0), figure=DRAIN_MS, limit=DRAIN_MS,
                  unit="ms", detail=f"{len(took)} left")
    yield Finding("workers killed or dead", counted["worker_deaths"], figure=0)
    yield Finding.holds("the first generation is gone", not any(map(alive, first)))


@scenario("T3", "SIGHUP in a storm, 0 to 25 ms apart, then every second")
def reloads(world: World, size: Size) -> Iterator[Finding]:
    """Reloads merge or follow one another, and no client notices any."""
    _, larder, front = world.stack(**PATIENT)
    first = larder.workers()
    with world.verify(front, connections=CONNECTIONS) as load:
        load.wait_prepared()
        storm(larder, size(full=200, short=60))
        eventually(lambda: settled(larder), 20, "one generation is left")
        every_second(larder, size(full=60, short=3))
        eventually(lambda: settled(larder), 20, "one generation is left")
        load.wait_requests(CONNECTIONS)
    # The storm's merge; those a second apart don't.
    yield Finding("reloads", larder.stats()["counters"]["reloads"], least=True,
                  figure=size(full=60, short=3) + 1, limit=size(full=30, short=2))
    yield from judge(larder, load.result, first)


@scenario("T3", "SIGHUP with a faulty configuration file")
def faulty_configuration(world: World, size: Size) -> Iterator[Finding]:
    """The old configuration and its workers go on, and the log says what is wrong and where."""
    redis = world.redis()
    larder = world.prepare_larder(redis, workers=None, **PATIENT)
    conf = larder.directory / "larder.conf"
    larder.options["config"] = conf
    conf.write_text("workers = 2\ndefault_ttl = 100\n")
    larder.start()
    eventually(lambda: len(larder.workers()) == 2, what="both workers")
    front, family = world.front(larder), larder.workers()
    faults = ("default_ttl = x", "nonsense", "max_ttl = 0", "\0\xff garbage", "workers = 65")
    unsaid = []
    with world.verify(front, connections=CONNECTIONS) as load:
        load.wait_prepared()
        for i in range(size(full=60, short=10)):
            conf.write_text(f"workers = 2\n{faults[i % len(faults)]}\n", encoding="latin-1")
            mark = len(larder.text())
            larder.signal(signal.SIGHUP)
            eventually(lambda: "reload refused" in larder.text()[mark:], 10, "a refusal")
            if f"{conf}:2" not in larder.text()[mark:]:
                unsaid.append(faults[i % len(faults)])
        noted = larder.fastcgi("GET", "/health").json().get("reasons") == ["reload-refused"]
        same = larder.workers() == family
        kept = larder.fastcgi("PUT", "/cache/ttl", b'{"value":1}').json()["ttl"]
        conf.write_text("workers = 2\ndefault_ttl = 300\n")
        larder.signal(signal.SIGHUP)
        larder.wait_text("generation 2 serves")
        # Until the old workers have gone one of them may answer.
        eventually(lambda: settled(larder), 20, "the new generation is alone")
        mended = larder.fastcgi("PUT", "/cache/ttl", b'{"value":1}').json()["ttl"]
        noted = noted and "reasons" not in larder.fastcgi("GET", "/health").json()
    yield Finding("failed requests", load.result.failed, figure=0,
                  detail=show_failures(load.result))
    yield Finding("faults whose file and line the log doesn't name", len(unsaid), figure=0,
                  detail=str(unsaid) if unsaid else "")
    yield Finding.holds("/health notes it, until a reload succeeds", noted)
    yield Finding.holds("the same workers serve on", same)
    yield Finding.holds("with the old configuration", kept == 100, f"default_ttl is {kept}")
    yield Finding.holds("a mended file is taken", mended == 300, f"default_ttl is {mended}")
