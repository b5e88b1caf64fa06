"""What README.md shows is what happens.

In its ```console blocks a line that starts with `$ curl` is run as it stands, except that port
8000 becomes the test's, and the lines up to the next `$` are what it must print; `…` stands for
anything.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness import FRONTS, PATH, SRCDIR, Stack

README = SRCDIR / "README.md"


@dataclass
class Example:
    """One command of README.md and what it shows below."""

    line: int
    command: str
    output: str


def examples() -> list[Example]:
    """All examples, in their order."""
    found: list[Example] = []
    inside = False
    for number, line in enumerate(README.read_text().splitlines(), 1):
        if line.startswith("```"):
            inside = line == "```console"
        elif inside and line.startswith("$ "):
            found.append(Example(number, line[2:], ""))
        elif inside and found and found[-1].command.endswith("\\"):
            found[-1].command = found[-1].command[:-1] + line.strip()
        elif inside and found:
            found[-1].output += line + "\n"
    return found


def pattern(shown: str) -> re.Pattern[str]:
    """What is shown, as a pattern: `…` is anything."""
    return re.compile(".*".join(map(re.escape, shown.strip().split("…"))), re.S)


def test_there_are_examples() -> None:
    """README.md shows how to store, read and delete, and curl is there to try it."""
    commands = [e.command for e in examples() if e.command.startswith("curl ")]
    assert len(commands) >= 5
    for word in ("-X PUT", "-X DELETE", "/cache/", "/stats", "/health"):
        assert any(word in c for c in commands), word
    assert all("localhost:8000" in c or "127.0.0.1:8000" in c for c in commands)
    assert shutil.which("curl", path=PATH), "curl isn't installed"


@pytest.mark.parametrize("kind", FRONTS)
def test_examples(own: Callable[..., Stack], kind: str) -> None:
    """Every curl line of README.md prints what README.md shows."""
    stack = own(kind)
    wrong = []
    for example in examples():
        if not example.command.startswith("curl "):
            continue
        command = example.command.replace("localhost:8000", f"127.0.0.1:{stack.fronts[kind].port}")
        command = command.replace("127.0.0.1:8000", f"127.0.0.1:{stack.fronts[kind].port}")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=20,
                              env={"PATH": PATH}, check=False)
        if done.returncode or not pattern(example.output).fullmatch(done.stdout.strip()):
            wrong.append(f"README.md:{example.line}: {example.command}\n  shown: {example.output}"
                         f"  seen:  {done.stdout}{done.stderr}")
    assert not wrong, "\n".join(wrong)


def test_links_lead_somewhere() -> None:
    """Every file that README.md links to is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        if "://" not in target:
            assert (SRCDIR / target).exists(), target
