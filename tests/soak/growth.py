"""Whether something grows: a line by least squares, and how sure it is.

Several processes that do the same, one after the other or side by side, have one slope and each a
level of its own: what is fitted is y = level(process) + slope * t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]  # seconds, value

# What a process holds moves in steps and stays for a while: neighbouring samples say the same thing
# twice, and a line through them would seem surer than it is. Means over parts of its life say it
# once.
PARTS = 10


def thin(points: Sequence[Point], parts: int = PARTS) -> list[Point]:
    """Means over equal parts of the time; all of the points if there are no more than that."""
    if len(points) <= parts:
        return list(points)
    begin, end = points[0][0], points[-1][0]
    boxes: list[list[Point]] = [[] for _ in range(parts)]
    for t, y in points:
        boxes[min(parts - 1, int((t - begin) / (end - begin) * parts))].append((t, y))
    return [(sum(t for t, _ in box) / len(box), sum(y for _, y in box) / len(box))
            for box in boxes if box]


def quantile(degrees: int) -> float:
    """Student's t for 95 % (Cornish-Fisher expansion; from 3 degrees on within 1 %)."""
    z = 1.959964
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


@dataclass(frozen=True)
class Slope:
    """Growth a second, and the interval that it lies in with 95 %."""

    value: float
    low: float
    high: float

    @property
    def may_be_zero(self) -> bool:
        """Whether nothing shows that it grows, or shrinks."""
        return self.low <= 0 <= self.high

    def over(self, seconds: float) -> "Slope":
        """The growth in so much time."""
        return Slope(self.value * seconds, self.low * seconds, self.high * seconds)


def fit(series: Sequence[Sequence[Point]]) -> Slope | None:
    """The slope that all series share; None if there is too little to tell."""
    thinned = [thin(points) for points in series]
    thinned = [points for points in thinned if len(points) >= 2]
    degrees = sum(map(len, thinned)) - len(thinned) - 1
    if degrees < 3:
        return None
    offsets: list[Point] = []
    for points in thinned:
        t_mean = sum(t for t, _ in points) / len(points)
        y_mean = sum(y for _, y in points) / len(points)
        offsets += [(t - t_mean, y - y_mean) for t, y in points]
    spread = sum(t * t for t, _ in offsets)
    if spread == 0:
        return None
    slope = sum(t * y for t, y in offsets) / spread
    rest = sum((y - slope * t) ** 2 for t, y in offsets)
    margin = quantile(degrees) * math.sqrt(rest / degrees / spread)
    return Slope(slope, slope - margin, slope + margin)
