"""Plots of a result of bench/full, drawn by gnuplot from the JSON document alone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tables import Figures, title

SCRIPTS = Path(__file__).with_name("gnuplot")
# larder in warm colours, its peers in cool ones, ceilings in grey; on every plot the same.
COLOURS = {
    "nginx-larder": "#d9541e", "lighttpd-larder": "#f0934e",
    "webdis": "#2b5d8c", "nginx-webdis": "#6f9cc6",
    "nginx-lua-redis": "#2e7d5b", "nginx-lua-shared": "#7fb89d",
    "fastapi": "#6b4c9a", "nginx-fastapi": "#a98fcb",
    "nginx-ceiling": "#8a8a8a", "lighttpd-ceiling": "#a8a8a8",
    "nginx-static": "#bcbcbc", "lighttpd-static": "#d0d0d0",
}
PARTS = {"front": ("web server", "#5b7da8"), "workers": ("workers or peer", "#d9541e"),
         "redis": ("Redis", "#8c2f39")}
CPU_LOADS = ("get-32", "put-32", "mix-32", "get-100k")
ROOM = 0.82  # of a panel is for bars, the rest for the figure at their end
NAMES_PX = 190
ROW_PX = 21


class GnuplotFailed(Exception):
    """With what it said."""


@dataclass
class Panel:
    """What one panel shows: lines of numbers for each of gnuplot's data blocks."""

    title: str
    limit: float = 0.0
    begin: float = 0.0
    blocks: dict[str, list[str]] = field(default_factory=dict)

    def add(self, block: str, *cells: str | float) -> None:
        """A line; text is quoted."""
        self.blocks.setdefault(block, []).append(
            " ".join(quoted(cell) if isinstance(cell, str) else f"{cell:.9g}" for cell in cells))


@dataclass
class Plot:
    """One file."""

    name: str
    script: str
    title: str
    subtitle: str
    rows: Sequence[str]   # names of targets
    panels: list[Panel] = field(default_factory=list)
    columns: int = 4
    width: int = 1180
    mark: float = 0.0
    legend: Sequence[tuple[str, str]] = ()


def gnuplot_missing() -> str:
    """Why there can be no plots; empty if there can."""
    return "" if shutil.which("gnuplot") else (
        "gnuplot isn't installed (apt-get install --no-install-recommends gnuplot-nox)")


def quoted(text: str) -> str:
    """A gnuplot string, which has no escapes that we need."""
    return '"' + text.replace("\\", "/").replace('"', "'").replace("\n", " ") + '"'


def colour(name: str) -> int:
    """As a number, which is how gnuplot reads it from data."""
    return int(COLOURS.get(name, "#999999")[1:], 16)


def small_print(figures: Figures) -> tuple[str, str]:
    """Date, machine, method."""
    machine, settings = figures["machine"], figures["settings"]
    return (f"{figures['date']}; {machine['cores']} cores, {machine['cpu']}; {machine['system']}; "
            f"{machine['larderd']}",
            f"Loopback, one private Redis on a unix socket, medians of up to {settings['rounds']} "
            f"interleaved rounds of {settings['seconds']} s with their intervals. bench/full")


def limit(ends: Sequence[float]) -> float:
    """Of an axis: what is far longer than most is drawn broken, or nothing else could be seen."""
    ordered = sorted(ends)
    usual = ordered[int(len(ordered) * 0.7)]
    return min(ordered[-1] * 1.2, max(1.8 * usual, ordered[0]) * 1.2)


def bar(panel: Panel, number: int, segments: Sequence[tuple[float, int]], text: str,
        edge: float) -> None:
    """Lengths and colours, and a text after `edge`. Broken if it is too long for the panel."""
    broken = sum(length for length, _ in segments) > panel.limit * ROOM
    cut = panel.limit * 0.72 if broken else panel.limit
    begin, last = 0.0, 0
    for length, hue in segments:
        if begin < cut:
            panel.add("BARS", number, begin, min(begin + length, cut), hue)
            last = hue
        begin += length
    if broken:
        panel.add("BARS", number, panel.limit * 0.74, panel.limit * ROOM, last)
    panel.add("TEXTS", number, min(edge, panel.limit * ROOM), text)


def ratio_plot(figures: Figures) -> Plot | None:
    """Throughput, larder through nginx being 1."""
    rows = [name for name in figures["targets"]]
    plot = Plot("throughput", "bars.gp", "Throughput",
                "requests/s, relative to larder through nginx (= 1, dashed); longer is faster, "
                "broken bars run on",
                rows, mark=1)
    for load, block in figures["throughput"].items():
        found = {name: ratio for name in rows
                 if (ratio := (block["targets"].get(name) or {}).get("of_larder"))}
        if not found:
            continue
        panel = Panel(figures["loads"][load], limit([r["high"] for r in found.values()]))
        for number, name in enumerate(rows, 1):
            if name not in found:
                panel.add("TEXTS", number, 0, "not measured")
                continue
            ratio = found[name]
            bar(panel, number, [(ratio["median"], colour(name))], f"{ratio['median']:.2f}",
                ratio["high"])
            if ratio["median"] <= panel.limit * ROOM:
                panel.add("SPANS", number, ratio["median"], ratio["low"],
                          min(ratio["high"], panel.limit * ROOM))
        plot.panels.append(panel)
    return plot if plot.panels else None


def stacked(heading: str, rows: Sequence[dict[str, float]]) -> Panel | None:
    """Bars of segments with their sums; None without any."""
    sums = [sum(row.values()) for row in rows if row]
    if not sums:
        return None
    panel = Panel(heading, limit(sums))
    for number, row in enumerate(rows, 1):
        if row:
            total = sum(row.values())
            bar(panel, number, [(value, int(PARTS[part][1][1:], 16))
                                for part, value in row.items()], f"{total:.1f}", total)
        else:
            panel.add("TEXTS", number, 0, "not measured")
    return panel


def legend(parts: Sequence[str]) -> list[tuple[str, str]]:
    """Text and colour."""
    return [(f"■ {PARTS[part][0]}", PARTS[part][1]) for part in parts]


def cpu_plot(figures: Figures) -> Plot | None:
    """CPU time of a request, by who takes it."""
    loads = [load for load in CPU_LOADS if load in figures["throughput"]]
    plot = Plot("cpu", "bars.gp", "CPU time per request",
                "microseconds of all server processes together; shorter is better, broken bars run "
                "on",
                list(figures["targets"]), legend=legend(list(PARTS)))
    for load in loads or list(figures["throughput"])[:4]:
        found = [figures["throughput"][load]["targets"].get(name) for name in plot.rows]
        panel = stacked(figures["loads"][load],
                        [{part: row["cpu_us"][part]["median"] for part in PARTS
                          if part in row["cpu_us"]} if row else {} for row in found])
        if panel:
            plot.panels.append(panel)
    return plot if plot.panels else None


def memory_plot(figures: Figures) -> Plot | None:
    """Memory of the processes of each target."""
    found: Figures = figures.get("memory_mib") or {}
    rows = [name for name in figures["targets"]
            if name in found and figures["targets"][name]["role"] != "ceiling"]
    plot = Plot("memory", "bars.gp", "Memory after the load",
                "MiB of a target's own processes, shared pages in shares (PSS), without Redis; "
                "broken bars run on",
                rows, width=820, legend=legend(["front", "workers"]))
    panel = stacked("", [{part: found[name][part]["pss"] for part in PARTS
                          if part in found[name]} for name in rows])
    if panel:
        plot.panels.append(panel)
    return plot if plot.panels else None


def latency_plot(figures: Figures) -> Plot | None:
    """Percentiles at each common rate."""
    latency = figures.get("latency") or {"rates": []}
    rows = [name for name in figures["targets"]
            if any(name in rate["targets"] for rate in latency["rates"])]
    plot = Plot("latency", "latency.gp", "Latency of a GET at one rate for all",
                "milliseconds, logarithmic; further left is better; thin lines are intervals",
                rows, columns=2,
                legend=[("● p50", "#222222"), ("◆ p99", "#222222"), ("▲ p99.9", "#222222")])
    for rate in latency["rates"]:
        panel = Panel(f"{rate['requests_per_second']:,} requests/s, {latency['connections']} "
                      f"connections", begin=1e9)
        for number, name in enumerate(rows, 1):
            found = rate["targets"].get(name)
            if not found or "p50" not in found:
                continue
            panel.add("LINES", number, found["p50"]["median"], found["p99.9"]["median"],
                      colour(name))
            if found["reached"] < found["rounds"]:
                panel.add("TEXTS", number, found["p99.9"]["median"],
                          f"rate reached {found['reached']}/{found['rounds']}")
            for which, p in enumerate(("p50", "p99", "p99.9"), 1):
                panel.add("DOTS", number, found[p]["median"], found[p]["low"], found[p]["high"],
                          colour(name), which)
                panel.begin = min(panel.begin, found[p]["low"] / 1.5)
                panel.limit = max(panel.limit, found[p]["high"] * 2)
        if panel.limit:
            plot.panels.append(panel)
    return plot if plot.panels else None


def array(name: str, values: Sequence[Any]) -> str:
    """gnuplot's; it has none without elements."""
    cells = [quoted(v) if isinstance(v, str) else f"{v}" for v in values]
    return f"array {name}[{max(1, len(cells))}]" + (f" = [{', '.join(cells)}]" if cells else "")


def settings(plot: Plot, figures: Figures, output: Path, scratch: Path) -> str:
    """What the scripts expect, and the data in files."""
    columns = min(plot.columns, len(plot.panels))
    lines = -(-len(plot.panels) // columns)
    top = 80 if plot.legend else 62
    height = top + 46 + lines * (60 + ROW_PX * len(plot.rows))
    larder = [number for number, name in enumerate(plot.rows, 1)
              if figures["targets"][name]["role"] == "larder"]
    at = [sum(9 * len(text) + 24 for text, _ in plot.legend[:k]) for k in range(len(plot.legend))]
    text = [
        *(f"{name} = {value}" for name, value in (
            ("WIDTH", plot.width), ("HEIGHT", height), ("COLUMNS", columns), ("ROWS", lines),
            ("PANELS", len(plot.panels)), ("TARGETS", len(plot.rows)), ("TOP_PX", top),
            ("NAMES_PX", NAMES_PX), ("LARDERS", len(larder)), ("LEGENDS", len(plot.legend)),
            ("MARK", plot.mark))),
        *(f"{name} = {quoted(value)}" for name, value in (
            ("OUTPUT", str(output)), ("TITLE", plot.title), ("SUBTITLE", plot.subtitle),
            ("PANEL_GP", str(SCRIPTS / "panel.gp")),
            *zip(("SMALL_1", "SMALL_2"), small_print(figures)))),
        array("LARDER", larder), array("NAME", [title(figures, name) for name in plot.rows]),
        array("PANEL", [panel.title for panel in plot.panels]),
        array("LIMIT", [panel.limit for panel in plot.panels]),
        array("FROM", [panel.begin for panel in plot.panels]),
        array("LEGEND", [words for words, _ in plot.legend]),
        array("LEGEND_COLOUR", [hue for _, hue in plot.legend]), array("LEGEND_AT", at)]
    for block in ("BARS", "SPANS", "TEXTS", "LINES", "DOTS"):
        files = []
        for number, panel in enumerate(plot.panels, 1):
            file = scratch / f"{block}-{number}"
            # gnuplot 5.4 dies of a plot of texts that has none in its panel.
            nothing = f'1 {panel.limit} " "' if block == "TEXTS" else " ".join(["NaN"] * 6)
            file.write_text("\n".join(panel.blocks.get(block, [nothing])) + "\n")
            files.append(str(file))
        text.append(array(block, files))
    return "\n".join(text) + "\n"


def draw_one(plot: Plot, figures: Figures, directory: Path) -> Path:
    """By gnuplot; its file."""
    output = directory / f"{plot.name}.svg"
    with tempfile.TemporaryDirectory(prefix="larder-plot.") as scratch:
        variables = Path(scratch) / "settings.gp"
        variables.write_text(settings(plot, figures, output, Path(scratch)))
        done = subprocess.run(["gnuplot", variables, SCRIPTS / "style.gp", SCRIPTS / plot.script],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = done.stdout.decode(errors="replace").strip()
    if done.returncode != 0:
        raise GnuplotFailed(f"gnuplot, {plot.name}: {said}")
    return output


def draw(figures: Figures, directory: Path) -> list[Path]:
    """Every plot that there are figures for."""
    directory.mkdir(parents=True, exist_ok=True)
    plots = [make(figures) for make in (ratio_plot, cpu_plot, latency_plot, memory_plot)]
    return [draw_one(plot, figures, directory) for plot in plots if plot]
