"""The table of what is measured, and the arrangement in which all of it runs side by side.

Every target is a URL, a dialect, and the processes whose CPU time its answers cost. They share one
Redis; larder's pool, the ceiling's pool and Webdis serve several targets.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import peers
from loads import (BLOB, MISSING, PAGE, SMALL, VALUES, CacheApi, ConstantApi, FilesApi, WebdisApi,
                   fill)
from stack import (CEILING, LARDERD, TOP, Failure, Part, Progress, Stack, Void,
                   free_ports)
from web import ask

GROUPS = ("front", "workers", "redis")


@dataclass
class Target:
    """What wrk asks, and whose CPU time it costs: the web server's, the worker processes' behind
    it (larder's, or a peer's own), Redis's."""

    name: str
    dialect: type[CacheApi]
    host: str
    groups: dict[str, list[Part]]

    def url(self, path: str) -> str:
        """Of a path."""
        return f"http://{self.host}{path}"

    def own(self) -> dict[str, list[Part]]:
        """Everything but Redis."""
        return {name: parts for name, parts in self.groups.items() if name != "redis"}


class Arrangement:
    """Starts what a target needs when it is needed first."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.redis = stack.start_redis()
        fill(stack.redis_socket)
        self.ports = {front: free_ports(1)[0] for front in ("nginx", "lighttpd")}

    # --- shared parts ------------------------------------------------------------------------

    @cached_property
    def pool(self) -> tuple[Part, Path]:
        """larderd and its socket."""
        return self.stack.start_pool("larderd", [LARDERD])

    @cached_property
    def nginx(self) -> Part:
        """nginx before larderd."""
        return self.stack.start_front("nginx-larder", "nginx", self.ports["nginx"], self.pool[1])

    @cached_property
    def bodies(self) -> dict[str, bytes]:
        """What larderd answers for each key is what the ceilings answer."""
        self.nginx  # pylint: disable=pointless-statement
        return {key: ask(f"127.0.0.1:{self.ports['nginx']}", "GET", f"/cache/{key}").body
                for key in (*(value.key for value in VALUES), MISSING)}

    @cached_property
    def ceiling(self) -> tuple[Part, Path]:
        """larder-ceiling and its socket."""
        texts = [self.bodies[value.key].decode() for value in VALUES]
        return self.stack.start_pool("ceiling", [CEILING, *texts])

    @cached_property
    def webdis(self) -> tuple[Part, int]:
        """Webdis and its port."""
        port = free_ports(1)[0]
        return peers.start_webdis(self.stack, port), port

    # --- targets -----------------------------------------------------------------------------

    def _target(self, name: str, dialect: type[CacheApi], port: int,
                front: Sequence[Part] = (), workers: Sequence[Part] = (),
                redis: bool = True) -> Target:
        groups = {"front": list(front), "workers": list(workers),
                  "redis": [self.redis] if redis else []}
        return Target(name, dialect, f"127.0.0.1:{port}",
                      {group: parts for group, parts in groups.items() if parts})

    def start_larder(self, name: str) -> Target:
        """Through one of the web servers."""
        front = name.partition("-")[0]
        part = self.nginx if front == "nginx" else self.stack.start_front(
            name, front, self.ports[front], self.pool[1])
        return self._target(name, CacheApi, self.ports[front], [part], [self.pool[0]])

    def start_ceiling(self, name: str) -> Target:
        """The FastCGI ceiling."""
        front, port = name.partition("-")[0], free_ports(1)[0]
        part = self.stack.start_front(name, front, port, self.ceiling[1])
        return self._target(name, ConstantApi, port, [part], [self.ceiling[0]], redis=False)

    def start_static(self, name: str) -> Target:
        """The web server alone."""
        front, port = name.partition("-")[0], free_ports(1)[0]
        edit = self._static_nginx if front == "nginx" else self._static_lighttpd
        part = self.stack.start_front(name, front, port, self.pool[1], edit)
        return self._target(name, FilesApi, port, [part], redis=False)

    def _static_nginx(self, text: str, directory: Path) -> str:
        """The prefixes are longer than that of the service, so these locations answer instead. A
        line of a configuration can't be as long as the largest value, which is a file."""
        answers = [("", SMALL.key, 200), ("page:", PAGE.key, 200), ("none:", MISSING, 404)]
        lines = []
        for prefix, key, status in answers:
            answer = self.bodies[key].decode()
            if re.search(r"['\\$]", answer):
                raise Failure("nginx would not return this body as it is")
            lines.append(f"location /cache/{prefix} {{ default_type application/json; "
                         f"return {status} '{answer}'; }}")
        self._write_file(directory, BLOB.key)
        lines.append(f"location /cache/blob: {{ default_type application/json; sendfile on; "
                     f"root \"{directory}\"; open_file_cache max=10; }}")
        edited, count = re.subn(r"(?m)^ *listen .*;$", lambda m: "\n".join([str(m[0]), *lines]),
                                text)
        if count != 1:
            raise Failure(f"{count} listen lines in nginx's configuration, not 1")
        return edited

    def _static_lighttpd(self, text: str, directory: Path) -> str:
        """Files of the document root, which front-conf.sh makes the directory; the condition is
        the last of the file, so it takes the service out again."""
        for value in VALUES:
            self._write_file(directory, value.key)
        return text + ('mimetype.assign = ( "" => "application/json" )\n'
                       '$HTTP["url"] =~ "^/" { fastcgi.server = () }\n')

    def _write_file(self, directory: Path, key: str) -> None:
        file = directory / "cache" / key
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(self.bodies[key])

    def start_webdis(self, name: str) -> Target:
        """Reached directly."""
        part, port = self.webdis
        return self._target(name, WebdisApi, port, workers=[part])

    def start_nginx_webdis(self, name: str) -> Target:
        """Behind nginx."""
        part, upstream = self.webdis
        port = free_ports(1)[0]
        front = peers.start_nginx(self.stack, name, port, "proxy.conf",
                                  upstream=f"127.0.0.1:{upstream}")
        return self._target(name, WebdisApi, port, [front], [part])

    def start_lua(self, name: str) -> Target:
        """In nginx itself."""
        port = free_ports(1)[0]
        front = peers.start_nginx(self.stack, name, port, f"{name.removeprefix('nginx-')}.conf",
                                  "lua-modules.conf")
        return self._target(name, CacheApi, port, [front])

    def start_fastapi(self, name: str) -> Target:
        """Reached directly."""
        port = free_ports(1)[0]
        part, _ = peers.start_fastapi(self.stack, name, port)
        return self._target(name, CacheApi, port, workers=[part])

    def start_nginx_fastapi(self, name: str) -> Target:
        """Behind nginx, on a unix socket."""
        part, path = peers.start_fastapi(self.stack, "fastapi-uds", None)
        port = free_ports(1)[0]
        front = peers.start_nginx(self.stack, name, port, "proxy.conf", upstream=f"unix:{path}")
        return self._target(name, CacheApi, port, [front], [part])


@dataclass(frozen=True)
class Kind:
    """A row of the table."""

    name: str
    title: str
    role: str  # larder, peer, ceiling
    start: Callable[[Arrangement, str], Target]
    packages: tuple[str, ...] = ()  # of the group `peers` in packages.def
    without: tuple[str, ...] = ()   # operations that it can't do


LUA = ("libnginx-mod-http-lua", "lua-nginx-redis", "lua-cjson")
PYTHON = ("python3-fastapi", "python3-uvicorn", "python3-uvloop", "python3-httptools",
          "python3-redis", "python3-hiredis")

KINDS = {kind.name: kind for kind in (
    Kind("nginx-larder", "larder, nginx", "larder", Arrangement.start_larder),
    Kind("lighttpd-larder", "larder, lighttpd", "larder", Arrangement.start_larder),
    Kind("webdis", "Webdis, direct", "peer", Arrangement.start_webdis, ("webdis",)),
    Kind("nginx-webdis", "Webdis, nginx", "peer", Arrangement.start_nginx_webdis, ("webdis",)),
    Kind("nginx-lua-redis", "nginx + Lua + Redis", "peer", Arrangement.start_lua, LUA),
    Kind("nginx-lua-shared", "nginx + lua_shared_dict", "peer", Arrangement.start_lua, LUA),
    Kind("fastapi", "FastAPI, direct", "peer", Arrangement.start_fastapi, PYTHON),
    Kind("nginx-fastapi", "FastAPI, nginx", "peer", Arrangement.start_nginx_fastapi, PYTHON),
    Kind("nginx-ceiling", "FastCGI ceiling, nginx", "ceiling", Arrangement.start_ceiling),
    Kind("lighttpd-ceiling", "FastCGI ceiling, lighttpd", "ceiling", Arrangement.start_ceiling),
    Kind("nginx-static", "static, nginx", "ceiling", Arrangement.start_static),
    Kind("lighttpd-static", "static, lighttpd", "ceiling", Arrangement.start_static,
         without=("put", "mix")),
)}


def missing_packages() -> set[str]:
    """Of the group `peers`."""
    script = 'source "$0"; missing peers'
    done = subprocess.run(["bash", "-c", script, TOP / "scripts/lib.sh"], stdout=subprocess.PIPE,
                          check=True)
    return {line.split()[0] for line in done.stdout.decode().splitlines()}


class Targets:
    """Those that were asked for and could be started, and why the others are left out."""

    def __init__(self, stack: Stack, names: Sequence[str]) -> None:
        self.stack = stack
        self.arrangement = Arrangement(stack)
        self.found: dict[str, Target] = {}
        self.left_out: dict[str, str] = {}
        missing = missing_packages()
        for name in names:
            lacking = [package for package in KINDS[name].packages if package in missing]
            if lacking:
                self.left_out[name] = f"not installed: {' '.join(lacking)}"
            else:
                self._start(name)

    def _start(self, name: str) -> None:
        """A peer that doesn't start is left out; what larder's own figures need must."""
        Progress.show(f"starting {KINDS[name].title}")
        before = list(self.stack.parts)
        try:
            self.found[name] = KINDS[name].start(self.arrangement, name)
        except Failure as e:
            if KINDS[name].role != "peer":
                raise
            self.left_out[name] = str(e)
            for part in reversed([part for part in self.stack.parts if part not in before]):
                self.stack.retire(part)

    def leave_out(self, name: str, reason: str) -> None:
        """One that was started."""
        del self.found[name]
        self.left_out[name] = reason

    def renew(self) -> None:
        """Clients that went away with requests under way leave Webdis with replies that reach
        others, and h2load ends at the first one: a stage that uses it begins with a new Webdis."""
        self.check_alive()
        if "webdis" in self.found or "nginx-webdis" in self.found:
            self.stack.restart(self.arrangement.webdis[0])

    def get(self, name: str) -> Target:
        """Void if it is left out since its start."""
        self.check_alive()
        if name not in self.found:
            raise Void(f"{name} is left out: {self.left_out[name].splitlines()[0]}")
        return self.found[name]

    def check_alive(self) -> None:
        """A peer that has ended by itself is left out from now on; anything else must run."""
        for part in self.stack.dead():
            words = f"{part.name} ended by itself\n{part.last_words()}"
            users = [name for name, target in self.found.items()
                     if any(part in parts for parts in target.groups.values())]
            if not users or any(KINDS[name].role != "peer" for name in users):
                raise Failure(words)
            for name in users:
                self.leave_out(name, words)
            self.stack.retire(part)

    def processes(self) -> list[int]:
        """All that run."""
        return [pid for part in self.stack.parts for pid in part.processes()]
