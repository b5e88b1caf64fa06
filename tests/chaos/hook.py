"""A larderd that misbehaves when a scenario says so: the other side of hook.c."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from harness import BUILDDIR

LIBRARY = BUILDDIR / "tests" / "chaos" / "larder-hook.so"
# A value that a worker trips over, if it was told to.
VALUE = b'"chaos:now"'
ACTS = ("none", "spin", "stop", "abort", "segv", "exit 0", "exit 1")
LAYOUT = {"start": ("i", 0), "value": ("i", 4), "clock": ("q", 8), "malloc_after": ("q", 16),
          "malloc_failed": ("q", 24), "value_left": ("q", 32)}
BYTES = 40


class Hook:
    """The memory that a larderd started with `environment` looks into."""

    def __init__(self, directory: Path) -> None:
        assert LIBRARY.exists(), f"{LIBRARY} isn't built: make tests/chaos/larder-hook.so"
        path = directory / "hook"
        path.write_bytes(bytes(BYTES))
        self.environment = {"LD_PRELOAD": str(LIBRARY), "LARDER_HOOK": str(path)}
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), BYTES)
        self._set("malloc_after", -1)

    def _set(self, name: str, value: int) -> None:
        kind, at = LAYOUT[name]
        struct.pack_into(kind, self._map, at, value)

    def _get(self, name: str) -> int:
        kind, at = LAYOUT[name]
        value: int = struct.unpack_from(kind, self._map, at)[0]
        return value

    def start(self, act: str) -> None:
        """What workers do before they are ready, from now on."""
        self._set("start", ACTS.index(act))

    def trip(self, act: str, times: int = 1) -> None:
        """What the next so many workers do that read an entry of VALUE, in the middle of it."""
        self._set("value", ACTS.index(act))
        self._set("value_left", times)

    def wall_clock(self, seconds: float) -> None:
        """By how much larderd's wall clock is wrong from now on."""
        self._set("clock", int(seconds * 1e9))

    def fail_malloc(self, after: int) -> None:
        """The allocation after so many others fails, of all that workers make from now on."""
        self._set("malloc_failed", 0)
        self._set("malloc_after", after)

    def malloc_failed(self) -> bool:
        """Whether it came to that; none fails any more."""
        self._set("malloc_after", -1)
        return self._get("malloc_failed") > 0
