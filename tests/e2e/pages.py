"""Examples in the documentation, found and run as they stand.

In a ```console block a line that starts with `$ ` is a command, and the lines up to the next one
are what it prints; `…` stands for anything. Where the page says localhost:8000, the test's web
server is.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import PATH


@dataclass
class Example:
    """One command and what is shown below it."""

    line: int
    command: str
    output: str


@dataclass
class Section:
    """What stands below a heading, up to the next one."""

    title: str
    text: str = ""
    examples: list[Example] = field(default_factory=list)


def sections(page: Path) -> list[Section]:
    """The page by its headings; what stands before the first one has an empty title."""
    found = [Section("")]
    fence = ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        examples = found[-1].examples
        if line.startswith("```"):
            fence = "" if fence else line
        elif not fence and (heading := re.fullmatch(r"#+ (.+)", line)):
            found.append(Section(heading[1]))
            continue
        elif fence == "```console" and line.startswith("$ "):
            examples.append(Example(number, line[2:], ""))
        elif fence == "```console" and examples and examples[-1].command.endswith("\\"):
            examples[-1].command = examples[-1].command[:-1] + line.strip()
        elif fence == "```console" and examples:
            examples[-1].output += line + "\n"
        found[-1].text += line + "\n"
    return found


def examples_of(page: Path) -> list[Example]:
    """All examples of a page, in their order."""
    return [example for section in sections(page) for example in section.examples]


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, as a pattern: `…` is anything."""
    return re.compile(".*".join(map(re.escape, shown.strip().split("…"))), re.S)


def redirect(text: str, port: int) -> str:
    """The text with this port in place of the page's."""
    return re.sub(r"\b(localhost|127\.0\.0\.1):8000\b", f"127.0.0.1:{port}", text)


def run(argv: Sequence[str | Path], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a program of a page, with Debian's own Python before any other."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, cwd=cwd,
                          env={"PATH": f"/usr/bin:/bin:{PATH}", "LANG": "C.UTF-8", "HOME": os.devnull})


def differences(page: Path, examples: Sequence[Example], port: int,
                cwd: Path | None = None) -> list[str]:
    """Runs the examples; each that doesn't end well and print what is shown, with what it did."""
    wrong = []
    for example in examples:
        done = run(["sh", "-c", redirect(example.command, port)], cwd)
        printed = done.stdout.replace("\r\n", "\n").strip()
        if done.returncode or not pattern(example.output).fullmatch(printed):
            wrong.append(f"{page.name}:{example.line}: {example.command}\n  shown: {example.output}"
                         f"  seen:  {printed}{done.stderr}")
    return wrong


def dead_links(page: Path) -> list[str]:
    """Links of the page to files and headings that aren't there."""
    dead = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text()):
        file = (page.parent / target) if target else page
        if "://" in target:
            continue
        if not file.exists():
            dead.append(target)
        elif anchor and file.suffix == ".md" and anchor[1:] not in anchors(file):
            dead.append(target + anchor)
    return dead


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    titles = [section.title for section in sections(page)]
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
