"""T6: workers that are replaced after so many requests."""

from __future__ import annotations

import time
from collections.abc import Iterator

from figures import PATIENT, show_failures
from harness import SLOW
from scenario import Finding, Size, scenario
from world import World

CONNECTIONS = 64
MAX_REQUESTS = 1000


@scenario("T6", "every worker replaced after 1000 requests")
def recycled(world: World, size: Size) -> Iterator[Finding]:
    """The successor is ready before its predecessor leaves, and no request fails."""
    _, larder, front = world.stack(max_requests=MAX_REQUESTS, **PATIENT)
    fewest, looks = larder.worker_count, 0
    with world.verify(front, connections=CONNECTIONS) as load:
        load.wait_prepared()
        end = time.monotonic() + size(full=30.0, short=2.0) * SLOW
        while time.monotonic() < end:
            ready = sum(w["state"] == "ready" for w in larder.stats()["workers"])
            fewest = min(fewest, ready)
            looks += 1
    report, counted = load.result, larder.stats()["counters"]
    replaced = counted["worker_starts"] - larder.worker_count
    yield Finding("failed requests", report.failed, figure=0,
                  detail=show_failures(report))
    yield Finding("answers that are not right", report.mismatches, figure=0,
                  detail=report.examples())
    yield Finding("workers replaced", replaced, figure=report["requests"] / MAX_REQUESTS / 4,
                  least=True)
    yield Finding("workers killed or dead", counted["worker_deaths"], figure=0)
    yield Finding("fewest workers that served", fewest, figure=larder.worker_count, least=True,
                  limit=larder.worker_count - 1, detail=f"in {looks} looks")
