"""The fuzzing targets replay what they start from and every regression, with the compiler of the
build: each input that ever broke something is tried again. `make fuzz` tries new ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness import BUILDDIR, SLOW, SRCDIR

FUZZ = SRCDIR / "tests" / "fuzz"
REPLAY = BUILDDIR / "tests" / "fuzz" / "replay"
TARGETS = re.findall(r"^TARGET\((\w+),", (FUZZ / "targets.def").read_text(), re.M)
# Nothing may hang: all inputs of a target take a second or so.
SECONDS = 60.0


def replay(target: str, *inputs: Path) -> subprocess.CompletedProcess[str]:
    """Runs the target on the inputs."""
    return subprocess.run([REPLAY, target, *inputs], capture_output=True, text=True, check=False,
                          timeout=SECONDS * SLOW, env={**os.environ, "TMPDIR": "/tmp"})


@pytest.mark.parametrize("target", TARGETS)
def test_known_inputs(target: str, tmp_path: Path) -> None:
    """The seeds, the kept corpus and the regressions of a target."""
    seeds = tmp_path / "seeds"
    done = subprocess.run([sys.executable, FUZZ / "seeds.py", "unpack", target, seeds],
                          capture_output=True, text=True, check=True)
    folders = [seeds]
    count = int(done.stdout)
    if (FUZZ / "regressions" / target).is_dir():
        folders.append(FUZZ / "regressions" / target)
        count += len(list(folders[1].iterdir()))
    assert count > 5, "there is hardly anything to start from"
    done = replay(target, *folders)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}: {count} inputs\n"


def test_every_target_is_built_in() -> None:
    """What replays is what is declared, and a file that isn't there is an error."""
    done = subprocess.run([REPLAY], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == TARGETS
    assert sorted(TARGETS) == sorted(f.stem[5:] for f in FUZZ.glob("fuzz_*.c"))
    assert replay("key", FUZZ / "none").returncode == 2
    assert replay("none").returncode == 2


def test_regressions_are_of_targets() -> None:
    """No folder of inputs is for a target that has another name by now."""
    for kind in ("regressions", "seeds", "corpus"):
        for path in (FUZZ / kind).iterdir():
            assert path.stem in TARGETS, path
