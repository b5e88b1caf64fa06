"""A soak as a picture: memory and descriptors of each process over time, drawn by gnuplot."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from course import Outcome
from growth import Point
from samples import Life

COLOURS = ("#1b7837", "#7b3294", "#e08214", "#2166ac", "#b2182b", "#4d4d4d")
HEAD = """\
set terminal svg size 900,620 background rgb "white" font "sans-serif,12"
set output "{output}"
set multiplot layout 2,1 title "{title}"
set grid ytics lc rgb "#dddddd"
set key outside right top
set xrange [0:{minutes}]
set yrange [0:*]
"""


def missing() -> str:
    """Why there can be no picture; empty if there can."""
    return "" if shutil.which("gnuplot") else (
        "gnuplot isn't installed (apt-get install --no-install-recommends gnuplot-nox)")


def block(name: str, points: list[Point], scale: float) -> str:
    """A data block: minutes and values."""
    rows = "\n".join(f"{t / 60:.3f} {y * scale:.3f}" for t, y in points)
    return f"${name} << EOD\n{rows}\nEOD\n"


def script(outcome: Outcome, output: Path) -> str:
    """What gnuplot is told."""
    lives: list[Life] = [*outcome.samples.of("master"), *outcome.samples.of("worker")]
    texts = [HEAD.format(output=output, minutes=f"{outcome.seconds / 60:.2f}",
                         title=f"{outcome.requests:,} requests in {outcome.seconds / 60:.0f} "
                               "minutes; grey: Redis restarted, dashed: reload")]
    for moment, what in outcome.events:
        look = 'lc rgb "#bbbbbb"' if what == "redis" else 'dt 2 lc rgb "#333333"'
        x = f"{moment / 60:.3f}"
        texts.append(f"set arrow from {x}, graph 0 to {x}, graph 1 nohead {look}\n")
    for i, life in enumerate(lives):
        texts.append(block(f"RSS{i}", life.rss, 1 / 1024))
        texts.append(block(f"FDS{i}", life.descriptors, 1))
    for label, data in (("resident MiB", "RSS"), ("descriptors", "FDS")):
        curves = ", ".join(
            f'${data}{i} using 1:2 with lines lw 1.5 lc rgb "{COLOURS[i % len(COLOURS)]}" '
            f'title "{life.role}{f" {i}" if i else ""}"' for i, life in enumerate(lives))
        bottom = 'set xlabel "minutes"\n' if data == "FDS" else ""
        texts.append(f'set ylabel "{label}"\n{bottom}plot {curves}\n')
    return "".join(texts) + "unset multiplot\n"


def draw(outcome: Outcome, output: Path) -> None:
    """Writes the SVG."""
    subprocess.run(["gnuplot"], input=script(outcome, output.resolve()), text=True, check=True)
