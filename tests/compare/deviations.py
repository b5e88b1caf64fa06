"""The known deviations: deviations.txt, and what docs/migrate.md says about them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE / "deviations.txt"
PAGE = HERE.parents[1] / "docs" / "migrate.md"


class Fault(Exception):
    """The table or the page is wrong; told as it is."""


def pattern(text: str) -> re.Pattern[str]:
    """`*` stands for anything, `~` between words for either, and the rest for itself."""
    either = [".*".join(map(re.escape, part.strip().split("*"))) for part in text.split(" ~ ")]
    return re.compile("|".join(f"(?:{part})" for part in either), re.S)


@dataclass(frozen=True)
class Rule:
    """One line of the table."""

    name: str
    case: str
    way: str
    difference: str

    def covers(self, case: str, way: str, difference: str) -> bool:
        """Whether this difference is known."""
        return all(pattern(rule).fullmatch(text) for rule, text in (
            (self.case, case), (self.way, way), (self.difference, difference)))


def read_rules() -> list[Rule]:
    """The table."""
    rules = []
    for number, line in enumerate(DATA.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        columns = [column.strip() for column in line.split(" | ")]
        if len(columns) != 4 or not all(columns):
            raise Fault(f"{DATA.name}:{number}: expected NAME | CASE | WAY | DIFFERENCE: {line}")
        rules.append(Rule(*columns))
    return rules


def read_page() -> dict[str, str]:
    """The rows of the page's table of deviations: by name, the whole row."""
    rows: dict[str, str] = {}
    for line in PAGE.read_text().splitlines():
        match = re.match(r"\| `([a-z0-9-]+)` \|", line)
        if match and match[1] in rows:
            raise Fault(f"docs/migrate.md has `{match[1]}` twice")
        if match:
            rows[match[1]] = line
    return rows


def check_page() -> list[str]:
    """What is wrong between the table and the page: each deviation is in both, and the page's row
    names every status that the table's rules for it name."""
    rules, rows = read_rules(), read_page()
    names = list(dict.fromkeys(rule.name for rule in rules))
    faults = [f"docs/migrate.md lacks a row for `{n}`" for n in names if n not in rows]
    faults += [f"docs/migrate.md has `{n}`, which deviations.txt hasn't" for n in rows
               if n not in names]
    for rule in rules:
        match = re.fullmatch(r"status: (\d+) -> (\d+)", rule.difference)
        if match and rule.name in rows:
            faults += [f"docs/migrate.md: the row `{rule.name}` doesn't mention {status}"
                       for status in match.groups() if status not in rows[rule.name]]
    return faults
