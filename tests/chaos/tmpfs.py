"""File systems that fill up."""

from __future__ import annotations

import subprocess
from pathlib import Path

PAGE = 4096


class Tmpfs:
    """A file system of its own with few bytes, if this machine lets us mount one."""

    def __init__(self, path: Path, bytes_most: str) -> None:
        self.path = path
        self.bytes_most = bytes_most
        self.mounted = False

    def __enter__(self) -> "Tmpfs":
        status = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.bytes_most}", "none",
                                 self.path], check=False, stderr=subprocess.DEVNULL).returncode
        self.mounted = status == 0
        return self

    def fill(self) -> None:
        """Leaves no byte free, and none in the last page of what is there."""
        for path in self.path.iterdir():
            if path.is_file():
                with open(path, "ab") as file:
                    file.write(b"\n" * (-path.stat().st_size % PAGE))
        with open(self.path / "ballast", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 512)
            except OSError:
                pass

    def __exit__(self, *_: object) -> None:
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=True)
