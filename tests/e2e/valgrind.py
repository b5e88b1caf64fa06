#!/usr/bin/python3
"""Running a program under valgrind, and reading what valgrind found.

valgrind.py command DIRECTORY    how to run a program so that its logs come there, a word a line
valgrind.py findings DIRECTORY   prints what the logs there tell of; status 1 if it is anything

A process must have no error and, if it ends by itself, no block that is lost, even if only
possibly, and no descriptor open that it opened: what a child has from its parent, it gives back.
Valgrind 3.19 doesn't count descriptors among the errors, so its log is read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

# " Open file descriptor 5: /path" or " Open AF_UNIX socket 7: <unknown>", then either "inherited
# from parent", which is what the program was started with, or where it was opened.
DESCRIPTOR = re.compile(r"^==\d+== (Open .+)\n((?:==\d+== {3}.*\n)*)", re.M)
INHERITED = "<inherited from parent>"
# libcheck tells the results of a test in a file that both processes have open.
OF_CHECK = "open_tmp_file"
ENDED = "Process terminating with default action of signal"
CALL = "   at 0x"  # the first line of every error's stack
OWN_FAULT = re.compile("Access not within mapped region|Bad permissions|General Protection Fault|"
                       "Illegal op|Integer divide|stack overflow")
SUPPRESSIONS = Path(__file__).resolve().parents[1] / "valgrind.supp"


def command(directory: Path) -> list[str]:
    """What to put before a program's name. Each process writes a log of its own."""
    return ["valgrind", "--error-exitcode=99", "--trace-children=yes", "--track-fds=yes",
            "--leak-check=full", "--show-leak-kinds=definite,indirect,possible",
            "--errors-for-leak-kinds=definite,indirect,possible",
            f"--suppressions={SUPPRESSIONS}", f"--log-file={directory}/valgrind.%p"]


def left_open(log: str) -> list[str]:
    """The descriptors that a process had open at its end without having been started with them."""
    return [f"{what}\n{where}" for what, where in DESCRIPTOR.findall(log)
            if INHERITED not in where and OF_CHECK not in where]


def found(log: str) -> list[str]:
    """What one process's log tells of. One that a signal ended had no time to give anything back:
    only what it had done wrong before counts, and if it brought the signal on itself."""
    if ENDED in log or "ERROR SUMMARY" not in log:
        before = log.partition(ENDED)[0]
        return [log[:8000]] if CALL in before or OWN_FAULT.search(log) else []
    findings = left_open(log)
    if re.search(r"ERROR SUMMARY: [1-9]", log):
        findings.append(log[:8000])
    return findings


def findings(directory: Path) -> list[str]:
    """What the logs below a directory tell of, a text each."""
    return [f"{path.name}: {text}" for path in sorted(directory.glob("**/valgrind.*"))
            for text in found(path.read_text(errors="replace"))]


def main(words: list[str]) -> int:
    """The command line of the module."""
    if len(words) != 2 or words[0] not in ("command", "findings"):
        print(__doc__, file=sys.stderr)
        return 2
    directory = Path(words[1])
    if words[0] == "command":
        print("\n".join(command(directory)))
        return 0
    texts = findings(directory)
    print("\n".join(texts))
    return 1 if texts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
