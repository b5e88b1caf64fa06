"""T12: nothing breaks, and everything is checked."""

from __future__ import annotations

from collections.abc import Iterator

from figures import PATIENT
from scenario import Finding, Size, scenario
from world import World

# A part of the GETs with small values as fast as it goes, the rest with all sizes.
PARTS = ((0.7, {"sizes": "small", "keys": 4096}), (0.25, {"sizes": "mixed", "keys": 1024}),
         (0.05, {"sizes": "large", "keys": 64, "connections": 16}))
SHORT_GETS = 10_000
SLOWEST = 2000  # GETs a second, for the time that it may take


@scenario("T12", "no fault, values of all sizes", last=True)
def quiet(world: World, size: Size) -> Iterator[Finding]:
    """As many verified GETs as the whole run still lacks, reads and writes of both forms."""
    gets = size(full=max(world.missing_gets, SHORT_GETS), short=SHORT_GETS)
    _, larder, front = world.stack(**PATIENT)
    before = larder.workers()
    loads = []
    for share, options in PARTS:
        given = {"connections": 64, "target": "mixed", "writes": 10, "deletes": 1, **options}
        part = int(gets * share)
        load = world.verify(front, gets=part, **given).start()
        loads.append(load.wait_end(60 + part / SLOWEST * 20))
    seconds = sum(report["seconds"] for report in loads)
    done = sum(report["requests"] for report in loads)
    yield Finding("answers that are not right", sum(r.mismatches for r in loads), figure=0,
                  detail="; ".join(r.examples() for r in loads if r.mismatches))
    yield Finding("failed requests", sum(r.failed for r in loads), figure=0)
    yield Finding("requests a second", done / seconds)
    yield Finding.holds("the same workers all the time", larder.workers() == before)
