"""Tables from the JSON document of bench/full: for a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]
OURS = ("nginx-larder", "lighttpd-larder")
GROUPS = {"front": "web server", "workers": "workers or peer", "redis": "Redis"}
NONE = "-"
ENOUGH = 6  # rounds: the range of fewer holds the median with less than 95 %


@dataclass
class Table:
    """The first column is text, the others are numbers."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]] = ()
    note: str = ""

    def aligned(self, columns: int = 100) -> list[str]:
        """For a terminal so wide: what doesn't fit beside each other comes below."""
        lines = [self.header, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines)]
        text: list[str] = []
        first = 1
        while first < len(widths):
            last = first + 1
            while (last < len(widths)
                   and sum(widths[first:last + 1]) + widths[0] + 2 * (last - first + 2) < columns):
                last += 1
            text += ["  " + "  ".join([row[0].ljust(widths[0]), *(
                row[i].rjust(widths[i]) for i in range(first, last))]).rstrip() for row in lines]
            first = last
        return [self.title, *text, *([f"  {self.note}"] if self.note else []), ""]

    def markdown(self) -> list[str]:
        """For README and docs."""
        lines = [f"| {' | '.join(row)} |" for row in
                 (self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows)]
        return [f"### {self.title}", "", *lines, "", *([self.note, ""] if self.note else [])]


def median(summary: Figures | None, form: str = "{:.2f}") -> str:
    """Of a summary."""
    return form.format(summary["median"]) if summary else NONE


def spread(summary: Figures | None, form: str = "{:.2f}") -> str:
    """Median and interval."""
    if not summary:
        return NONE
    return (f"{form.format(summary['median'])} "
            f"({form.format(summary['low'])}-{form.format(summary['high'])})")


def title(figures: Figures, name: str) -> str:
    """Of a target."""
    text: str = figures["targets"][name]["title"]
    return text


def names(figures: Figures, *roles: str) -> list[str]:
    """Of the targets that were measured, those with these roles, or all."""
    return [name for name, target in figures["targets"].items()
            if not roles or target["role"] in roles]


def cells(figures: Figures, name: str, cell: Callable[[Figures], str]) -> list[str]:
    """A row: one cell for each load."""
    found = [block["targets"].get(name) for block in figures["throughput"].values()]
    return [title(figures, name), *(cell(row) if row else NONE for row in found)]


def ahead(ratio: Figures) -> bool:
    """Whether all of its interval is above 1."""
    return len(ratio["rounds"]) >= ENOUGH and ratio["low"] > 1


def verdict(ratio: Figures | None) -> str:
    """A ratio with its interval, and a mark if larder is ahead."""
    if not ratio:
        return NONE
    return spread(ratio) + (" *" if ahead(ratio) else "")


def load_titles(figures: Figures) -> list[str]:
    """The loads that were measured."""
    return [figures["loads"][load] for load in figures["throughput"]]


def ahead_tables(figures: Figures) -> Iterator[Table]:
    """larder through each web server against every peer."""
    for ours in OURS:
        peers = [name for name in names(figures, "peer", "ceiling") if name != ours]
        if ours not in figures["targets"] or not peers:
            continue
        yield Table(
            f"Throughput: {title(figures, ours)} divided by the others",
            ["", *load_titles(figures)],
            [cells(figures, name, lambda row: verdict(row["larder_ratio"][ours]))
             for name in peers],
            f"Medians of per-round ratios with their intervals. * larder is ahead: the whole "
            f"interval of at least {ENOUGH} rounds is above 1.")


def rate_table(figures: Figures) -> Table:
    """Requests per second, and what the rounds were worth."""
    rows = [cells(figures, name, lambda row: median(row["requests_per_second"], "{:,.0f}"))
            for name in names(figures)]
    rows.append(["rounds that count", *(str(b["rounds"]) for b in figures["throughput"].values())])
    rows.append(["rounds dropped", *(str(b["dropped"]) for b in figures["throughput"].values())])
    return Table("Requests per second", ["", *load_titles(figures)], rows,
                 "Medians. A ratio inside a run is a result; an absolute number is not.")


def static_table(figures: Figures) -> Table:
    """Shares of nginx's static ceiling."""
    return Table("Throughput as a share of what nginx answers by itself",
                 ["", *load_titles(figures)],
                 [cells(figures, name, lambda row: spread(row["of_static"]))
                  for name in names(figures)])


def cpu_table(figures: Figures) -> Table:
    """CPU time of a request."""
    def cell(row: Figures) -> str:
        parts = [median(row["cpu_us"].get(group), "{:.1f}") for group in GROUPS]
        return f"{median(row['cpu_us_all'], '{:.1f}')} ({' + '.join(parts)})"
    return Table("CPU time per request, us", ["", *load_titles(figures)],
                 [cells(figures, name, cell) for name in names(figures)],
                 f"All (of it {' + '.join(GROUPS.values())}). What runs in nginx itself is in its "
                 "share.")


def latency_tables(figures: Figures) -> Iterator[Table]:
    """Percentiles at each common rate."""
    latency = figures.get("latency") or {"rates": []}
    for rate in latency["rates"]:
        yield Table(
            f"Latency of a GET at {rate['requests_per_second']:,} requests/s, "
            f"{latency['connections']} connections, ms",
            ["", "p50", "p99", "p99.9", "rate reached"],
            [[title(figures, name), *(spread(row.get(p)) for p in ("p50", "p99", "p99.9")),
              f"{row['reached']} of {row['rounds']}"]
             for name in names(figures) if (row := rate["targets"].get(name))],
            f"The rate is 70 % of the slowest target's maximum ({rate['title']}). Medians of "
            f"{latency['rounds']} rounds with their intervals.")


def syscall_table(figures: Figures) -> Table | None:
    """Per request, by group of processes."""
    found = (figures.get("syscalls") or {}).get("targets")
    if not found:
        return None
    return Table(
        "System calls per GET, 32 connections", ["", *GROUPS.values(), "all"],
        [[title(figures, name),
          *(f"{row[group]['per_request']:.2f}" if group in row else NONE for group in GROUPS),
          f"{sum(calls['per_request'] for calls in row.values()):.2f}"]
         for name in names(figures) if (row := found.get(name))],
        "Counted by strace, which slows processes down: more requests then share a call.")


def memory_table(figures: Figures) -> Table | None:
    """Of a target's own processes."""
    found = figures.get("memory_mib")
    if not found:
        return None
    own = ("front", "workers")
    return Table(
        "Memory after the load, MiB", ["", *(f"{GROUPS[g]}, {kind}" for g in own
                                             for kind in ("sum", "shared in shares"))],
        [[title(figures, name),
          *(f"{found[name][group][kind]:.1f}" if group in found[name] else NONE
            for group in own for kind in ("rss", "pss"))]
         for name in names(figures) if name in found],
        "Resident memory as a sum over processes, and with shared pages in shares (PSS); without "
        "Redis.")


def start_table(figures: Figures) -> Table | None:
    """larder's start."""
    found = figures.get("start_ms")
    return found and Table("Start of larder to its first 200, ms", ["", "median", "range"], [
        [f"{len(found['rounds'])} starts", f"{found['median']:.1f}",
         f"{min(found['rounds']):.1f}-{max(found['rounds']):.1f}"]])


def isolation_table(figures: Figures) -> Table | None:
    """Requests that need no Redis."""
    found = figures.get("isolation")
    return found and Table(
        "Latency of requests that need no Redis, while others misbehave, ms",
        ["", "p50", "p99", "largest"],
        [[f"GET {row['path']}, {row['front']}, {row['situation']}", f"{row['p50']:.2f}",
          f"{row['p99']:.2f}", f"{row['max']:.2f}"] for row in found])


def classic_table(figures: Figures) -> Table | None:
    """The Python client."""
    found = figures.get("classic")
    if not found:
        return None
    rows = [[f"{title(figures, name)}: {run}", spread(row["requests_per_second"], "{:,.0f}"),
             spread(row["mean_ms"]), spread(row["p95_ms"])]
            for name, runs in found.items() for run, row in runs.items()]
    return Table(
        "On the original benchmark's terms: a client in Python (bench/classic)",
        ["", "requests/s", "mean, ms", "p95, ms"], rows,
        "Here the client is the limit: aiohttp takes more time for a request than larder and the "
        "web server together. 50 requests at a time, except sequential.")


def short_table(figures: Figures) -> Table:
    """For the README: larder through nginx against each target, in one line each."""
    loads = [load for load in ("get-32", "get-128", "put-32") if load in figures["throughput"]]
    rates = (figures.get("latency") or {"rates": []})["rates"]
    fastest = max(rates, key=lambda rate: int(rate["requests_per_second"]), default=None)

    def row(name: str) -> list[str]:
        found = [figures["throughput"][load]["targets"].get(name) for load in loads]
        show = verdict if figures["targets"][name]["role"] == "peer" else spread
        ratios = ["1" if name == OURS[0] else show(f["larder_ratio"][OURS[0]]) if f else NONE
                  for f in found]
        late = fastest["targets"].get(name) if fastest else None
        return [title(figures, name), *ratios,
                median(found[0]["cpu_us_all"], "{:.1f}") if found and found[0] else NONE,
                median(late.get("p99") if late else None)]

    p99 = f"p99 at {fastest['requests_per_second']:,}/s, ms" if fastest else "p99"
    return Table(
        "larder through nginx, divided by the others",
        ["", *(figures["loads"][load] for load in loads), "CPU per GET, us", p99],
        [row(name) for name in names(figures)],
        "Requests per second: medians of per-round ratios with their intervals; * larder is ahead, "
        "the whole interval is above 1. CPU time of all processes on the server, Redis included.")


def all_tables(figures: Figures) -> list[Table]:
    """In the order of the page."""
    tables = []
    if figures["throughput"]:
        tables = [*ahead_tables(figures), rate_table(figures), static_table(figures),
                  cpu_table(figures)]
    tables += [*latency_tables(figures)]
    for make in (syscall_table, memory_table, start_table, isolation_table, classic_table):
        table = make(figures)
        if table:
            tables.append(table)
    return tables


def notes(figures: Figures) -> list[str]:
    """What must be known to judge the figures."""
    settings, noise = figures["settings"], figures.get("noise")
    lines = [f"{figures['date']}, {figures['machine']['cores']} cores, "
             f"{figures['machine']['cpu']}, {figures['machine']['system']}; {settings['rounds']} "
             f"rounds of {settings['seconds']} s; rounds whose static ceilings are more than "
             f"{settings['drift_percent']:.0f} % apart don't count."]
    if noise:
        lines.append(f"While rounds ran, other processes took {noise['others_cpu_percent']:.0f} % "
                     f"of the CPU time, the hypervisor {noise['stolen_cpu_percent']:.0f} %.")
    lines += [f"Left out: {name}: {reason.splitlines()[0]}"
              for name, reason in figures["left_out"].items()]
    lines += [f"Void: {line}" for line in figures["voids"]]
    lines += figures["notes"]
    return lines
