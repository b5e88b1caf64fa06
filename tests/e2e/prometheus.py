"""A strict reader of the Prometheus text exposition format 0.0.4."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    """One metric with its samples, by sample name and labels."""

    kind: str = ""
    help: str = ""
    samples: dict[tuple[str, Labels], float] = field(default_factory=dict)


def _value(text: str) -> float:
    if text in ("+Inf", "-Inf", "NaN"):
        return float(text)
    assert re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", text), f"no number: {text}"
    return float(text)


def _labels(text: str | None) -> Labels:
    labels = []
    at = 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        assert match, f"malformed labels: {text}"
        labels.append((match.group(1), match.group(2)))
        at = match.end()
    names = [name for name, _ in labels]
    assert len(names) == len(set(names)), f"a label twice: {text}"
    return tuple(sorted(labels))


def _family_of(name: str, families: dict[str, Family]) -> str:
    if name in families:
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(suffix)
        if base != name and base in families and families[base].kind in ("histogram", "summary"):
            return base
    raise AssertionError(f"a sample without # TYPE before it: {name}")


def _check_histogram(name: str, family: Family) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == name + "_bucket":
            bound = dict(labels)["le"]
            rest = tuple(pair for pair in labels if pair[0] != "le")
            series.setdefault(rest, []).append((float(bound), value))
    assert series, f"{name}: a histogram without buckets"
    for labels, buckets in series.items():
        bounds = [b for b, _ in buckets]
        counts = [c for _, c in buckets]
        assert bounds == sorted(bounds) and bounds[-1] == math.inf, f"{name}: {bounds}"
        assert counts == sorted(counts), f"{name}: buckets aren't cumulative"
        assert family.samples[(name + "_count", labels)] == counts[-1], name
        assert (name + "_sum", labels) in family.samples, name


def parse(text: str) -> dict[str, Family]:
    """All families; anything the format doesn't allow is an AssertionError."""
    assert text.endswith("\n"), "the last line isn't ended"
    families: dict[str, Family] = {}
    current = ""
    closed: set[str] = set()
    for line in text[:-1].split("\n"):
        assert line == line.strip() and line, f"an empty line or outer space: {line!r}"
        if line.startswith("#"):
            match = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
            assert match, f"a comment of no known kind: {line}"
            what, name, rest = match.groups()
            if name != current:
                assert name not in families, f"{name} is in two places"
                closed.add(current)
                current = name
                families[name] = Family()
            family = families[name]
            assert not family.samples, f"{what} after samples: {name}"
            if what == "TYPE":
                assert not family.kind and rest in TYPES, line
                family.kind = rest
            else:
                assert not family.help, line
                family.help = rest
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line}"
        name = _family_of(match.group(1), families)
        assert name == current and name not in closed, f"{name} is interrupted by another"
        sample = (match.group(1), _labels(match.group(2)))
        assert sample not in families[name].samples, f"twice: {line}"
        families[name].samples[sample] = _value(match.group(3))
    for name, family in families.items():
        assert family.kind and family.help and family.samples, f"{name} lacks TYPE, HELP or samples"
        if family.kind == "counter":
            assert name.endswith("_total"), f"a counter's name ends in _total: {name}"
            assert all(v >= 0 for v in family.samples.values()), name
        if family.kind == "histogram":
            _check_histogram(name, family)
    return families


def value(families: dict[str, Family], name: str, **labels: str) -> float:
    """One sample."""
    return families[name.removesuffix("_count").removesuffix("_sum")
                    if name not in families else name].samples[
        (name, tuple(sorted(labels.items())))]


def total(families: dict[str, Family], name: str, **labels: str) -> float:
    """The sum of a family's samples that carry these labels."""
    return sum(v for (sample, have), v in families[name].samples.items()
               if sample == name and labels.items() <= dict(have).items())
