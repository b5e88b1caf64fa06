"""What a soak showed, against what is promised (T24)."""

from __future__ import annotations

from collections.abc import Iterator

from course import Outcome
from growth import Slope, fit
from samples import Life
from scenario import Finding

GROWTH_KIB = 256
RUN_FILES = {"larder.sock"}


def slope_of(outcome: Outcome, role: str, kind: str = "rss") -> Slope | None:
    """How what the processes of a role hold grows in all of it, after their warm-up."""
    def points(life: Life) -> list[tuple[float, float]]:
        return life.since(getattr(life, kind), outcome.plan.warm_up)
    fitted = fit([points(life) for life in outcome.samples.of(role)])
    return fitted and fitted.over(outcome.seconds)


def growth(outcome: Outcome, role: str) -> Iterator[Finding]:
    """Resident memory: no growth, or one below the bound."""
    slope = slope_of(outcome, role)
    if slope is None:
        yield Finding.holds(f"{role}: enough samples for a slope", False,
                            "make it longer: MINUTES=3 or more")
        return
    interval = f"95 %: {slope.low:+.0f} to {slope.high:+.0f} KiB"
    least = 0.0 if slope.may_be_zero else slope.value
    yield Finding(f"{role}: growth of resident memory", round(max(0.0, least), 1),
                  figure=GROWTH_KIB, unit="KiB",
                  detail=f"{slope.value:+.0f} KiB in {outcome.seconds / 60:.0f} minutes, {interval}")


def findings(outcome: Outcome) -> Iterator[Finding]:
    """All of it."""
    samples = outcome.samples
    yield Finding("requests", outcome.requests)
    yield Finding("of them refused, cut off or garbage", outcome.refused)
    yield Finding("verified GETs", sum(r["gets_verified"] for r in outcome.reports))
    yield Finding("answers that are not right",
                  sum(r.mismatches for r in outcome.reports)
                  + sum(len(c.wrong) for c in outcome.companions),
                  figure=0, detail="; ".join(outcome.wrong[:3]))
    yield from growth(outcome, "worker")
    yield from growth(outcome, "master")
    yield Finding.holds("descriptors of idle workers are those of the start",
                        outcome.idle_after == outcome.idle_before,
                        f"{outcome.idle_before} at the start, {outcome.idle_after} at the end")
    masters = {int(n) for life in samples.of("master") for _, n in life.descriptors}
    # While a child looks up Redis's name or is about to be forked there is none more.
    yield Finding("descriptors of the master, most less fewest",
                  max(masters) - min(masters), figure=0)
    yield Finding("sizes of the segment", len(samples.segment_sizes), figure=1)
    yield Finding("zombies", len(samples.zombies), figure=0)
    yield Finding("files in the run directory beyond larder's own",
                  len(samples.run_files - RUN_FILES), figure=0,
                  detail=", ".join(sorted(samples.run_files - RUN_FILES)))
    yield Finding("files of larder in /dev/shm", len(samples.shm_left), figure=0)
    yield Finding("workers that died", outcome.deaths, figure=0)
    yield Finding("restarts of Redis", sum(what == "redis" for _, what in outcome.events))
    yield Finding("reloads", sum(what == "reload" for _, what in outcome.events))
