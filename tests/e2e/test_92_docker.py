"""What docker/ says agrees with the rest of the tree; no Docker is needed to see it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import FRONTS, LARDERD, PATH, SLOW, SRCDIR, Front, Larder, Process, Redis, Workspace

DOCKER = SRCDIR / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE = {path.name: path.read_text() for path in sorted(DOCKER.glob("*.yml"))}
# Users of the images, and of Redis's.
IDS = {"10001": "larder", "10002": "front", "999": "redis"}


def healthy(port: int) -> bool:
    """What the front's HEALTHCHECK finds."""
    done = subprocess.run([DOCKER / "health-front.sh", str(port)], env={"PATH": PATH},
                          capture_output=True, timeout=10 * SLOW, check=False)
    assert done.returncode in (0, 1), done
    return done.returncode == 0


def derived(kind: str) -> list[str]:
    """The arguments of front-conf.sh in the Dockerfile, after the kind of web server."""
    found = re.findall(rf"front-conf\.sh {kind} ([^>]*?)\s*\\?\n?\s*>{kind}\.conf", DOCKERFILE)
    assert len(found) == 1, kind
    return found[0].split()


def front_conf(kind: str, *args: str | Path) -> str:
    """The configuration that front-conf.sh makes."""
    done = subprocess.run([SRCDIR / "scripts" / "front-conf.sh", kind, *args], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Contained(Front):
    """A web server with the configuration of its image, but for the paths and the address."""

    def __init__(self, space: Workspace, kind: str, socket_path: Path) -> None:
        super().__init__(space, kind, socket_path)
        self.config.write_text(front_conf(kind, str(self.port), socket_path, self.directory,
                                          "127.0.0.1", "stderr"))

    def log(self) -> str:
        """It logs where it prints."""
        return self.text()


@pytest.mark.parametrize("kind", FRONTS)
def test_the_fronts_configuration(kind: str) -> None:
    """The images' web servers listen for the outside, log to stderr, and name no user."""
    port, socket, run_dir, address, log = derived(kind)
    assert (port, address, log) == ("8000", "0.0.0.0", "stderr")
    assert f"LARDER_LISTEN={socket} " in DOCKERFILE
    text = re.sub(r"#.*", "", front_conf(kind, *derived(kind)))
    assert address in text and f"{run_dir}/" in text and socket in text
    assert "127.0.0.1" not in text and "/var/" not in text
    assert re.search(r"^error_log\s+stderr error;" if kind == "nginx" else r"\A(?!.*errorlog)",
                     text, re.M | re.S)
    if os.getuid() != 0:
        assert not re.search(r"^(user\s|server\.username)", text, re.M)


@pytest.mark.parametrize("kind", FRONTS)
def test_the_fronts_health(space: Workspace, started: list[Process],
                           new_redis: Callable[..., Redis], new_larder: Callable[..., Larder],
                           kind: str) -> None:
    """The check of the image says healthy with the pool and unhealthy without, and Redis doesn't
    matter."""
    larder = new_larder(new_redis()).start()
    front = Contained(space, kind, larder.socket)
    started.append(front)
    assert not healthy(front.port)
    front.start()
    assert healthy(front.port)
    larder.stop()
    assert not healthy(front.port)
    larder.start()
    front.signal(signal.SIGTERM)
    front.wait()
    assert not healthy(front.port)


def test_options_exist() -> None:
    """Every variable that larderd is given is one of its own, and every other one is documented."""
    known = subprocess.run([LARDERD, "--help"], capture_output=True, text=True, check=True).stdout
    given = set(re.findall(r"\b(LARDER_[A-Z_]+)=", DOCKERFILE))
    documented = (SRCDIR / "docs" / "docker.md").read_text()
    for name, text in COMPOSE.items():
        inside = re.search(r"^    environment:\n((?:      .*\n)+)", text, re.M)
        if inside:
            given |= set(re.findall(r"^      ([A-Z_]+):", inside[1], re.M))
        for variable in re.findall(r"\$\{([A-Z_]+)", text):
            assert f"`{variable}" in documented or f"{variable}=" in documented, (name, variable)
    assert len(given) >= 10
    for variable in sorted(given):
        assert re.search(rf"\b{variable}\b", known), variable
        if not variable.startswith(("LARDER_LISTEN", "LARDER_RUN", "REDIS_SOCKET")):
            assert variable in documented, variable


def test_users_and_groups_agree() -> None:
    """A socket that one container makes is opened by another: the numbers must be the same."""
    made = dict(re.findall(r"useradd --uid (\d+) --gid larder .*\n.* (\w+)\s*\\?$", DOCKERFILE,
                           re.M))
    assert made == {number: name for number, name in IDS.items() if name != "redis"}
    assert "groupadd --gid 10001 larder" in DOCKERFILE
    for name, text in COMPOSE.items():
        assert set(re.findall(r"\buid=(\d+)", text)) <= set(IDS), name
        assert set(re.findall(r"\bgid=(\d+)", text)) <= {"10001"}, name


def test_the_context_has_what_is_copied() -> None:
    """What the Dockerfile copies is there, and .dockerignore lets it through."""
    allowed = [line[2:] for line in (SRCDIR / ".dockerignore").read_text().splitlines()
               if line.startswith("!/")]
    copied = [source for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M)
              for source in line.split()[:-1]]
    assert {"src", "conf", "scripts/packages.def"} <= set(copied)
    makefile = (SRCDIR / "Makefile.am").read_text()
    assert set(re.findall(r"^src/.*\.inc: .*(scripts/\S+)", makefile, re.M)) <= set(copied)
    for source in copied:
        assert (SRCDIR / source).exists(), source
        assert any(Path(source).match(pattern) or source.split("/")[0] == pattern
                   for pattern in allowed), source
