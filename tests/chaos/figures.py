"""Small sums that scenarios share."""

from __future__ import annotations

from collections.abc import Sequence

from verify import Report

# For scenarios that are not about Redis: on a machine that is short of time it is not the one that
# is measured. Options of larderd.
PATIENT = {"redis_timeout": 5000, "redis_connect_timeout": 5000}
FIRM = 5.0 + 1.0  # s, that a stop may take: drain_timeout's default, and one to be firm in


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all are not above; 0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def show_counts(counts: dict[str, int]) -> str:
    """As in "502: 3, short: 1", the most frequent first."""
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items(), key=lambda i: -i[1]))


def show_failures(report: Report) -> str:
    """How many requests there were, and how they failed."""
    parts = [f"{report['requests']} requests", show_counts(report.failures()),
             show_counts(report["slugs"])]
    return "; ".join(filter(None, parts))
