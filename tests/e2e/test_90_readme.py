"""What README.md shows is what happens: each curl command is run as it stands (see pages.py)."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from harness import FRONTS, PATH, SRCDIR, Stack
from pages import Example, dead_links, differences, examples_of

README = SRCDIR / "README.md"


def curls() -> list[Example]:
    """The commands that ask the service something."""
    return [example for example in examples_of(README) if example.command.startswith("curl ")]


def test_there_are_examples() -> None:
    """README.md shows how to store, read and delete, and curl is there to try it."""
    commands = [example.command for example in curls()]
    assert len(commands) >= 5
    for word in ("-X PUT", "-X DELETE", "/cache/", "/stats", "/health"):
        assert any(word in c for c in commands), word
    assert all("localhost:8000" in c or "127.0.0.1:8000" in c for c in commands)
    assert shutil.which("curl", path=PATH), "curl isn't installed"


@pytest.mark.parametrize("kind", FRONTS)
def test_examples(own: Callable[..., Stack], kind: str) -> None:
    """Every curl line of README.md prints what README.md shows."""
    wrong = differences(README, curls(), own(kind).fronts[kind].port)
    assert not wrong, "\n".join(wrong)


def test_links_lead_somewhere() -> None:
    """Every file that README.md links to is there."""
    assert not dead_links(README)
