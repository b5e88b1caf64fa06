"""The benchmark's tooling, without any load: figures, tables, and what is looked at in answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import SRCDIR

BENCH = SRCDIR / "bench"
sys.path.append(str(BENCH))

import plots  # noqa: E402
from latency import SHARE, common_rates, percentiles  # noqa: E402
from loads import (BLOB, LOADS, PAGE, SMALL, WRITTEN, CacheApi, ConstantApi,  # noqa: E402
                   WebdisApi, commands)
from report import interval, summary  # noqa: E402
from stack import Failure  # noqa: E402
from tables import Table, ahead, all_tables, notes  # noqa: E402
from targets import KINDS  # noqa: E402

RESULTS = Path(__file__).with_name("bench_results.json")


@pytest.fixture
def figures() -> Any:
    """A recorded result of bench/full."""
    return json.loads(RESULTS.read_text())


def bench_table(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs bench/table."""
    return subprocess.run([BENCH / "table", *map(str, arguments)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)


def test_interval_is_the_range_of_few_values() -> None:
    """Below nine values the order statistics leave nothing out."""
    assert interval([3.0]) == (3.0, 3.0)
    assert interval([5.0, 1.0, 3.0]) == (1.0, 5.0)
    assert interval([float(n) for n in range(8)]) == (0.0, 7.0)


@pytest.mark.parametrize("count,low,high", [(9, 1, 7), (12, 2, 9), (20, 5, 14)])
def test_interval_by_order_statistics(count: int, low: int, high: int) -> None:
    """The usual table of the sign test, at 95 %."""
    assert interval([float(n) for n in range(count)]) == (low, high)


def test_summary_keeps_the_rounds() -> None:
    """Median, interval and values, rounded."""
    assert summary([1.26, 1.04, 1.1], 1) == {
        "median": 1.1, "low": 1.0, "high": 1.3, "rounds": [1.3, 1.0, 1.1]}


def test_ahead_needs_the_whole_interval() -> None:
    """And six rounds."""
    assert ahead(summary([1.01, 1.1, 1.2, 1.3, 1.4, 1.5], 3))
    assert not ahead(summary([0.99, 1.1, 1.2, 1.3, 1.4, 1.5], 3))
    assert not ahead(summary([1.2] * 5, 3)), "five say too little"


def test_table_prints_markdown(figures: Any) -> None:
    """Every table has a header, and rows as wide as that."""
    done = bench_table(RESULTS)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### Throughput: larder, nginx divided by the others\n")
    for block in done.stdout.split("### ")[1:]:
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len(rows) > 2 and rows[1].startswith("| --- |")
        assert len({row.count("|") for row in rows}) == 1, block
    for target in figures["targets"].values():
        assert f"| {target['title']} |" in done.stdout
    for name, reason in figures["left_out"].items():
        assert f"- Left out: {name}: {reason}" in done.stdout


def test_table_prints_text() -> None:
    """As bench/full shows it: columns under each other."""
    done = bench_table("--text", RESULTS)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.split("\n\n")[0].splitlines()[1:-1]
    assert len({len(row) for row in rows}) == 1, rows


def test_a_wide_table_is_split() -> None:
    """Each part has the first column."""
    table = Table("t", ["", "aaaaaaaa", "bbbbbbbb", "cccccccc"], [["row", "1", "2", "3"]])
    assert table.aligned(30) == ["t", "       aaaaaaaa  bbbbbbbb", "  row         1         2",
                                 "       cccccccc", "  row         3", ""]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"targets": {}}', "nonsense"])
def test_table_refuses_what_is_no_result(tmp_path: Path, content: str) -> None:
    """With one line that says so."""
    file = tmp_path / "other.json"
    file.write_text(content)
    done = bench_table(file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "is no result of bench/full" in done.stderr


def test_table_of_a_missing_file(tmp_path: Path) -> None:
    """Is told as such."""
    done = bench_table(tmp_path / "absent.json")
    assert done.returncode == 1 and "No such file" in done.stderr


def test_a_target_without_a_figure_has_a_dash(figures: Any) -> None:
    """No run of it counted under that load."""
    load = next(iter(figures["throughput"]))
    del figures["throughput"][load]["targets"]["webdis"]
    rates = next(t for t in all_tables(figures) if t.title == "Requests per second")
    assert next(row for row in rates.rows if row[0] == "Webdis, direct")[1] == "-"


def test_tables_of_a_part_of_the_stages(figures: Any) -> None:
    """bench/full --stages: what wasn't measured has no table."""
    for stage in ("latency", "syscalls", "start_ms", "isolation", "classic", "memory_mib"):
        figures.pop(stage, None)
    titles = [table.title for table in all_tables(figures)]
    assert titles and not any("Latency" in t or "Memory" in t for t in titles)
    figures["throughput"] = {}
    assert all_tables(figures) == [] and notes(figures)


def test_plots_have_all_panels(figures: Any) -> None:
    """One for each load, or rate; nothing of it leaves its panel."""
    plot = plots.ratio_plot(figures)
    assert plot and [p.title for p in plot.panels] == [figures["loads"][load]
                                                       for load in figures["throughput"]]
    for panel in plot.panels:
        ends = [float(line.split()[2]) for line in panel.blocks["BARS"]]
        assert 0 < max(ends) <= panel.limit
    latency = plots.latency_plot(figures)
    assert latency and len(latency.panels) == len(figures["latency"]["rates"])
    assert plots.cpu_plot(figures) and plots.memory_plot(figures)


def test_plot_names_every_target_in_a_colour_of_its_own() -> None:
    """The same on every plot."""
    assert set(plots.COLOURS) == set(KINDS)
    assert len(set(plots.COLOURS.values())) == len(KINDS)


def test_long_bars_are_broken() -> None:
    """Else a few would leave nothing to see of the others."""
    panel = plots.Panel("", limit=10.0)
    plots.bar(panel, 1, [(4.0, 1), (96.0, 2)], "100", 100.0)
    assert panel.blocks["BARS"] == ["1 0 4 1", "1 4 7.2 2", "1 7.4 8.2 2"]
    assert panel.blocks["TEXTS"] == ['1 8.2 "100"']


def test_common_rate_is_that_of_the_slowest() -> None:
    """And a second one where FastAPI would make it low."""
    both = common_rates({"nginx-larder": 30000, "webdis": 20000, "fastapi": 5000})
    assert [rate.per_second for rate in both] == [int(SHARE * 5000), int(SHARE * 20000)]
    assert set(both[1].rounds) == {"nginx-larder", "webdis"}
    assert len(common_rates({"nginx-larder": 30000, "webdis": 20000})) == 1
    assert common_rates({}) == []


def test_percentiles_of_a_log() -> None:
    """The first moments are left out; any other status voids the run."""
    def line(number: int, status: str = "200") -> str:
        return f"{number * 1000}\t{status}\t{number}\n"
    found = percentiles("".join(line(n) for n in range(1200)))
    assert found["p50"] == pytest.approx(0.7) and found["p99"] == pytest.approx(1.19)
    assert found["per_second"] == pytest.approx(1000, rel=0.01)
    for bad in ("", line(1), line(1) + line(900, "503"), line(1) + line(900, "-1")):
        with pytest.raises(Failure):
            percentiles(bad)


@pytest.mark.parametrize("value,size", [(SMALL, 100), (PAGE, 1024), (BLOB, 102400)])
def test_values_are_json_of_their_size(value: Any, size: int) -> None:
    """Spelled as every target leaves them, and without what nginx would change."""
    assert len(value.text) == size
    assert json.dumps(json.loads(value.text), separators=(",", ":")) == value.text
    assert not set("'\\$") & set(value.text)


def test_redis_is_filled_with_every_key() -> None:
    """In its own protocol."""
    filling = b"".join(commands())
    assert filling.startswith(b"*5\r\n$3\r\nSET\r\n$9\r\nuser:1042\r\n$100\r\n{")
    for key in ("put:1042", "page:1042", "blob:1042", "mix:000000", "mix:099999"):
        assert b"\r\n" + key.encode() + b"\r\n" in filling
    assert b"none:1042" not in filling


def wrapped(value: str, key: str = SMALL.key, ttl: Any = 60) -> bytes:
    """An answer of the Cache Server API."""
    return json.dumps({"key": key, "value": json.loads(value), "ttl": ttl}).encode()


@pytest.mark.parametrize("good,check,body", [
    (True, lambda b: CacheApi.is_hit(b, SMALL), wrapped(SMALL.text)),
    (False, lambda b: CacheApi.is_hit(b, SMALL), wrapped(PAGE.text)),
    (False, lambda b: CacheApi.is_hit(b, SMALL), wrapped(SMALL.text, key="other")),
    (False, lambda b: CacheApi.is_hit(b, SMALL), wrapped(SMALL.text, ttl=100000)),
    (True, CacheApi.is_miss, b'{"detail":"Key not found"}'),
    (False, CacheApi.is_miss, wrapped(SMALL.text)),
    (True, lambda b: CacheApi.is_stored(b, WRITTEN), wrapped(SMALL.text, key=WRITTEN.key)),
    (True, lambda b: WebdisApi.is_hit(b, SMALL), json.dumps({"GET": SMALL.text}).encode()),
    (False, lambda b: WebdisApi.is_hit(b, SMALL), json.dumps({"GET": PAGE.text}).encode()),
    (True, WebdisApi.is_miss, b'{"GET":null}'),
    (False, lambda b: WebdisApi.is_stored(b, WRITTEN), b'{"SETEX":[false,"ERR"]}'),
    (True, lambda b: ConstantApi.is_hit(b, WRITTEN), wrapped(SMALL.text)),
])
def test_answers_are_looked_at(good: bool, check: Callable[[bytes], bool], body: bytes) -> None:
    """Each dialect knows its own right answers."""
    assert check(body) == good


def test_every_load_is_one_of_the_operations() -> None:
    """The tables fit together: a target says which of them it can't do."""
    operations = {load.operation for load in LOADS.values()}
    assert operations == {"get", "miss", "put", "mix"}
    assert all(set(kind.without) <= operations for kind in KINDS.values())


def test_peers_have_larders_settings() -> None:
    """The web server in front of a peer is the one in front of larder."""
    def values(path: Path, kind: str) -> list[str]:
        return re.findall(rf"(?m)^ *{kind}_(buffer_size|buffers) +(.*);", path.read_text())

    ours, theirs = SRCDIR / "conf" / "nginx.conf", BENCH / "peers" / "proxy.conf"
    assert values(ours, "fastcgi") == values(theirs, "proxy") != []
    kept = re.findall(r"(?m)^ *keepalive +(\d+);", ours.read_text())
    assert kept == re.findall(r"(?m)^ *keepalive +(\d+);", theirs.read_text())
    pool = re.search(r"local POOL = (\d+)", (BENCH / "peers" / "lua-redis.lua").read_text())
    assert pool and [pool[1]] == kept


def test_full_names_what_it_does_not_know() -> None:
    """Before it starts anything."""
    done = subprocess.run([BENCH / "full", "--only", "wendis"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and "there is no target 'wendis'" in done.stderr
    assert "webdis" in done.stderr


# --- what the pages show ---------------------------------------------------------------------

COMMITTED = SRCDIR / "docs" / "bench.json"


def between(page: Path, command: str) -> str:
    """What stands on a page between the two comments that name the command."""
    text = page.read_text()
    begin, end = f"<!-- {command} -->\n", f"<!-- end of {command} -->"
    assert text.count(begin) == 1 and text.count(end) == 1, f"{page.name} lacks {begin}"
    return text.split(begin)[1].split(end)[0]


@pytest.mark.parametrize("page,arguments", [
    ("README.md", ["docs/bench.json", "--short"]),
    ("docs/performance.md", ["docs/bench.json"]),
])
def test_pages_show_the_committed_figures(page: str, arguments: list[str]) -> None:
    """No figure is typed by hand."""
    done = bench_table(*(SRCDIR / a if a.endswith(".json") else a for a in arguments))
    assert done.returncode == 0, done.stderr
    assert between(SRCDIR / page, f"bench/table {' '.join(arguments)}") == done.stdout


def test_readme_dates_the_figures() -> None:
    """The day and the machine stand beside them."""
    committed = json.loads(COMMITTED.read_text())
    readme = (SRCDIR / "README.md").read_text()
    assert committed["date"].split()[0] in readme
    assert f"{committed['machine']['cores']} cores" in readme


def test_plots_are_there() -> None:
    """Those that the pages show."""
    shown = set()
    for page in (SRCDIR / "README.md", SRCDIR / "docs" / "performance.md"):
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            path = page.parent / target
            assert path.read_text().lstrip().startswith("<?xml"), target
            shown.add(path.name)
    assert {"throughput.svg", "cpu.svg", "latency.svg", "memory.svg"} <= shown
