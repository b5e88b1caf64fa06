"""What a request costs a worker is what was agreed on: bench/instructions.def."""

from __future__ import annotations

import subprocess

import pytest

from harness import SRCDIR


@pytest.mark.plain
def test_instructions_per_request() -> None:
    """No request costs more instructions than the committed number, nor fewer."""
    done = subprocess.run([SRCDIR / "bench" / "instructions"], capture_output=True, text=True,
                          check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
