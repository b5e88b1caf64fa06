"""Small sums that scenarios share."""

from __future__ import annotations

from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0 to 1) of all are not above; 0 of none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def show_counts(counts: dict[str, int]) -> str:
    """As in "502: 3, short: 1", the most frequent first."""
    return ", ".join(f"{name}: {n}" for name, n in sorted(counts.items(), key=lambda i: -i[1]))
