"""T29: what larderd may do, and who may talk to it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from harness import Larder
from scenario import Finding, Size, scenario
from test_66_sandbox import UNIT, exposure
from world import World

NOBODY = pwd.getpwnam("nobody")
CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def status(pid: int) -> dict[str, list[str]]:
    """/proc/PID/status: the values of each line."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: values.split() for name, _, values in (line.partition(":") for line in lines)}


def start(world: World) -> Larder:
    """As a machine without systemd does: by root, for somebody else; else by who runs this."""
    group = next(g.gr_name for g in grp.getgrall() if g.gr_gid not in (0, NOBODY.pw_gid))
    larder = world.prepare_larder(None, user="nobody", listen_group=group, listen_users="root")
    if os.getuid() == 0:
        larder.run_dir.rmdir()
        os.chown(larder.directory, NOBODY.pw_uid, NOBODY.pw_gid)
    else:
        larder.options |= {"user": os.getuid(), "listen-users": os.getuid(),
                           "listen-group": grp.getgrgid(os.getgid()).gr_name}
    return larder.start()


@scenario("T29", "the rights of its processes, and of the unit", fronts=())
def rights(world: World, size: Size) -> Iterator[Finding]:
    """Few, and none of root's."""
    del size
    yield Finding("exposure of larder.service", exposure(UNIT), figure=1.5, unit="of 10")
    larder = start(world)
    found = [status(pid) for pid in (larder.pid, *larder.workers())]
    yield Finding("processes that are root's",
                  sum("0" in f["Uid"] + f["Gid"] + f["Groups"] for f in found)
                  if os.getuid() == 0 else 0, figure=0, detail=f"of {len(found)}")
    yield Finding("capabilities that they have",
                  sum(int(f[name][0], 16).bit_count() for f in found for name in CAPABILITIES)
                  if os.getuid() == 0 else 0, figure=0)
    yield Finding("processes that could gain rights by starting a program",
                  sum(f["NoNewPrivs"] != ["1"] for f in found), figure=0)
    mode = stat.S_IMODE(larder.socket.stat().st_mode)
    yield Finding.holds("the socket is open to user and group only", mode == 0o660, oct(mode))
    yield Finding.holds("who is named is served",
                        larder.fastcgi("GET", "/health/live").status == 200)
