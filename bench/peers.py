"""Starts the peers, each with its configuration from bench/peers/ and tuned as its users would.

Webdis: a thread per core; of 1 to 20 connections to Redis for each, 2 gave the most. nginx: as it
stands before larder. FastAPI: two processes of uvicorn, with uvloop, httptools and hiredis.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from stack import Failure, Part, Stack, listening
from web import answers

PEERS = Path(__file__).with_name("peers")
UVICORN_WORKERS = 2


def filled_in(template: Path, values: Mapping[str, object]) -> str:
    """The text of a file with each @NAME@ replaced; Failure if one is left."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    left = re.search(r"^[^#\n]*(@[A-Z]+@)", text, re.M)
    if left:
        raise Failure(f"{template}: nothing fills in {left[1]}")
    return text


def start_nginx(stack: Stack, name: str, port: int, peer: str, modules: str = "no-modules.conf",
                upstream: str = "") -> Part:
    """nginx with one of the peers' configurations."""
    directory = stack.directory(name)
    values = {"DIR": directory, "PORT": port, "REDIS": stack.redis_socket, "PEERS": PEERS,
              "MAIN": PEERS / modules, "UPSTREAM": upstream,
              # Only a master with root's rights changes its workers' user.
              "USER": "user  root;" if os.geteuid() == 0 else ""}
    (directory / "peer.conf").write_text(filled_in(PEERS / peer, values))
    conf = directory / "nginx.conf"
    conf.write_text(filled_in(PEERS / "nginx.conf", values))
    return stack.launch_front(name, "nginx", port, conf)


def start_webdis(stack: Stack, port: int) -> Part:
    """Webdis on a port."""
    directory = stack.directory("webdis")
    conf = directory / "webdis.json"
    conf.write_text(filled_in(PEERS / "webdis.json", {
        "REDIS": stack.redis_socket, "PORT": port, "CORES": os.cpu_count()}))
    part = stack.launch("webdis", directory, ["webdis", conf])
    stack.wait_ready(part, lambda: listening(("127.0.0.1", port)))
    return part


def start_fastapi(stack: Stack, name: str, port: int | None) -> tuple[Part, Path]:
    """The service that larder replaces, on a port, or without one on a unix socket."""
    directory = stack.directory(name)
    path = directory / "uvicorn.sock"
    where: list[str | Path] = ["--uds", path] if port is None else ["--port", str(port)]
    address: Path | tuple[str, int] = path if port is None else ("127.0.0.1", port)
    part = stack.launch(name, directory, [
        sys.executable, "-m", "uvicorn", "cache_server:app", "--workers", str(UVICORN_WORKERS),
        "--no-access-log", "--log-level", "warning", *where],
        environment={"REDIS_SOCKET": str(stack.redis_socket), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PEERS)
    # uvicorn's parent listens before its workers can answer; they tell nobody that they can.
    stack.wait_ready(part, lambda: listening(address) and answers(address))
    return part, path
