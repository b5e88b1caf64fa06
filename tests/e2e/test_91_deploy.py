"""What docs/deploy.md tells people to copy works: web servers, Redis user, metrics, options.

The blocks are taken from the page as they stand. Only what a test cannot have is replaced: ports,
certificates, paths of logs and sockets.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tour
from harness import FRONTS, LARDERD, PATH, SRCDIR, Larder, Process, Redis, Workspace, eventually

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]

PAGE = SRCDIR / "docs" / "deploy.md"
HOST = "cache.example.org"


def blocks(language: str) -> list[str]:
    """The page's blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def block(language: str) -> str:
    """The page's only block in this language."""
    [text] = blocks(language)
    return text


def replace(text: str, changes: dict[str, str]) -> str:
    """Replaces what must be there."""
    for old, new in changes.items():
        assert old in text, f"deploy.md has no {old!r} any more: mend this test"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def certificate(space: Workspace) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    directory = space.directory("tls")
    made = directory / "cert.pem", directory / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
                    "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", made[1], "-out", made[0]],
                   check=True, capture_output=True, env={"PATH": PATH})
    return made


# --- the web servers -----------------------------------------------------------------------------

class TlsFront(Process):
    """A web server as deploy.md configures it, in the surroundings that Debian gives it."""

    def __init__(self, space: Workspace, kind: str, larder: Larder, tls: tuple[Path, Path],
                 **changes: str) -> None:
        super().__init__(space, kind)
        self.kind = kind
        self.port = space.port()
        self.tls = tls
        self.config = self.directory / f"{kind}.conf"
        common = {"/run/larder/larder.sock": str(larder.socket),
                  f"/etc/ssl/certs/{HOST}.pem": str(tls[0]),
                  f"/etc/ssl/private/{HOST}.key": str(tls[1])}
        make = self._nginx if kind == "nginx" else self._lighttpd
        self.config.write_text(make(replace(block(kind), common | changes)))

    def _nginx(self, text: str) -> str:
        text = replace(text, {"listen       443": f"listen 127.0.0.1:{self.port}",
                              "/var/log/nginx": str(self.directory)})
        temp = "".join(f"{kind}_temp_path {self.directory}/{kind};\n" for kind in
                       ("client_body", "fastcgi", "proxy", "uwsgi", "scgi"))
        return (f"user root; pid {self.directory}/pid; worker_processes 2;\n"
                f"error_log {self.directory}/error.log;\nevents {{ }}\nhttp {{\n{temp}{text}}}\n")

    def _lighttpd(self, text: str) -> str:
        text = replace(text, {'$SERVER["socket"] == ":443"':
                              f'$SERVER["socket"] == "127.0.0.1:{self.port}"',
                              "/var/log/lighttpd": str(self.directory)})
        return (f'server.modules = ( "mod_indexfile", "mod_access", "mod_alias", "mod_redirect" )\n'
                f'server.document-root = "{self.directory}"\n'
                f'server.upload-dirs = ( "{self.directory}" )\n'
                f'server.errorlog = "{self.directory}/error.log"\n'
                f'server.port = {self.space.port()}\nserver.bind = "127.0.0.1"\n'
                'server.feature-flags += ("server.h2proto" => "enable")\n'
                'server.feature-flags += ("server.h2c" => "enable")\n'
                'url.access-deny = ( "~", ".inc" )\n' + text)

    def start(self) -> "TlsFront":
        """Checks the configuration, and starts it."""
        if self.kind == "nginx":
            argv: list[str | Path] = ["nginx", "-e", self.directory / "error.log", "-c",
                                      self.config]
            check, extra = ["-t"], ["-g", "daemon off;"]
        else:
            argv, check, extra = ["lighttpd", "-f", self.config], ["-tt"], ["-D"]
        done = subprocess.run([*argv, *check], capture_output=True, text=True, check=False,
                              env={"PATH": PATH})
        assert done.returncode == 0, done.stderr
        assert "warn" not in done.stdout + done.stderr, done.stderr
        self.launch([*argv, *extra])
        eventually(lambda: self.curl("/health/live").returncode == 0, what=f"{self.kind} answers")
        return self

    def curl(self, target: str, *args: str) -> subprocess.CompletedProcess[str]:
        """One request, the certificate checked; prints the header and the body."""
        return subprocess.run(
            ["curl", "-sS", "-i", "--path-as-is", "--compressed", "--cacert", self.tls[0],
             "--resolve", f"{HOST}:{self.port}:127.0.0.1", f"https://{HOST}:{self.port}{target}",
             *args], capture_output=True, text=True, check=False, timeout=20, env={"PATH": PATH})

    def stop(self) -> None:
        """Ends it."""
        if self.running():
            self.signal(signal.SIGTERM)
            self.wait()


NewTlsFront = Callable[..., TlsFront]


@pytest.fixture
def new_tls_front(space: Workspace, started: list[Process], certificate: tuple[Path, Path],
                  new_redis: NewRedis, new_larder: NewLarder) -> Iterator[NewTlsFront]:
    """Starts a web server as the page has it, before a larderd of its own."""
    made: list[TlsFront] = []

    def start(kind: str, **changes: str) -> TlsFront:
        front = TlsFront(space, kind, new_larder(new_redis()).start(), certificate, **changes)
        started.append(front)
        made.append(front)
        return front.start()

    yield start
    for front in made:
        front.stop()


JSON = ("-H", "Content-Type: application/json")


def status(done: subprocess.CompletedProcess[str]) -> int:
    """The status of the answer that curl printed."""
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[1])


@pytest.mark.parametrize("kind", FRONTS)
def test_tls_and_compression(new_tls_front: NewTlsFront, kind: str) -> None:
    """The page's host serves by TLS, compresses what is worth it, logs, and clears on DELETE."""
    front = new_tls_front(kind)
    value = "x" * 5000
    stored = front.curl("/cache/a.inc", "-X", "PUT", *JSON, "-d", f'{{"value":"{value}"}}')
    assert status(stored) == 200, stored.stdout
    got = front.curl("/cache/a.inc")
    assert status(got) == 200 and value in got.stdout
    assert re.search(r"^content-encoding: gzip\r?$", got.stdout, re.M | re.I), got.stdout[:500]
    version = "HTTP/2" if kind == "nginx" else "HTTP/1.1"
    assert got.stdout.startswith(version), got.stdout[:20]
    missing = front.curl("/cache/none")
    assert status(missing) == 404 and "key-not-found" in missing.stdout
    assert status(front.curl("/cache", "-X", "DELETE")) == 200
    assert status(front.curl("/cache/a.inc")) == 404
    # A value that is too large gets larder's own explanation.
    large = front.directory / "large"
    large.write_text(f'{{"value":"{"x" * ((1 << 20) + 1000)}"}}')
    refused = front.curl("/cache/large", "-X", "PUT", *JSON, "-H", "Expect:", "--data-binary",
                         f"@{large}")
    assert status(refused) == 413 and "/errors/" in refused.stdout
    log = front.directory / "larder.log"
    front.stop()
    assert '"GET /cache/a.inc' in log.read_text() and " 404 " in log.read_text()


@pytest.mark.parametrize("kind", FRONTS)
def test_who_may_come_in(new_tls_front: NewTlsFront, kind: str) -> None:
    """An address that isn't listed gets 403 for everything, writes included."""
    name = "allow  127.0.0.0/8;" if kind == "nginx" else '!= "127.0.0.0/8"'
    front = new_tls_front(kind, **{name: name.replace("127", "192")})
    assert status(front.curl("/cache/a")) == 403
    assert status(front.curl("/cache/a", "-X", "PUT", *JSON, "-d", '{"value":1}')) == 403
    assert status(front.curl("/cache", "-X", "DELETE")) == 403
    assert status(front.curl("/metrics")) == 403


@pytest.mark.parametrize("kind", FRONTS)
def test_who_may_delete_everything(new_tls_front: NewTlsFront, kind: str) -> None:
    """DELETE /cache is refused to others, however the path is spelled; the rest is not."""
    other = {"nginx": {"    location = /cache {\n        allow  127.0.0.0/8;":
                       "    location = /cache {\n        allow  192.0.2.0/24;"},
             "lighttpd": {'"/cache" {\n      $HTTP["remoteip"] != "127.0.0.0/8"':
                          '"/cache" {\n      $HTTP["remoteip"] != "192.0.2.0/24"'}}[kind]
    front = new_tls_front(kind, **other)
    assert status(front.curl("/cache/a", "-X", "PUT", *JSON, "-d", '{"value":1}')) == 200
    for target in ("/cache", "/cache?", "/cache?x=1", "/%63ache", "//cache", "/./cache",
                   "/x/../cache", "/cache/", "/cache/.", "/cache/x/..", "/cache%2F", "/cache;x",
                   "/cache%00", "/cache%3F", "/cache//"):
        for method in ("DELETE", "delete"):
            assert status(front.curl(target, "-X", method)) != 200, (method, target)
    assert status(front.curl("/cache/a")) == 200, "it was deleted"
    assert status(front.curl("/cache/a", "-X", "DELETE")) == 200


def test_rate_limit(new_tls_front: NewTlsFront) -> None:
    """nginx answers 429 to an address that asks too often, reads and writes alike."""
    front = new_tls_front("nginx", **{"rate=200r/s": "rate=1r/m", "burst=400": "burst=3"})
    assert {status(front.curl("/cache/a")) for _ in range(5)} == {404, 429}
    assert status(front.curl("/cache/a", "-X", "PUT", *JSON, "-d", '{"value":1}')) == 429


@pytest.mark.parametrize("kind", FRONTS)
def test_the_paths_of_a_shared_host(kind: str) -> None:
    """The expression in the comments of conf/ lets through every path of larder's, but for "/"."""
    text = (SRCDIR / "conf" / f"{kind}.conf").read_text()
    [expression] = re.findall(r"# .*~ \"?(\^/\(.*\))\"? \{ \.\.\. \}", text)
    routes = (SRCDIR / "src" / "api" / "routes.def").read_text()
    paths = set(re.findall(r'^ROUTE\(\w+, \w+, "([^"]+)"', routes, re.M)) - {"/"}
    assert len(paths) > 8
    for path in paths | {"/docs", "/openapi.json"}:
        assert re.search(expression, path.replace("{key}", "a/b")), path
    for path in ("/", "/caches", "/keys/", "/batches", "/index.html", "/x/cache"):
        assert not re.search(expression, path), path


# --- Redis ---------------------------------------------------------------------------------------

def test_redis_user(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """The page's Redis user may do all that larderd does, and nothing that it doesn't."""
    [line] = [line for line in block("redis").splitlines() if line.startswith("user larder ")]
    redis = new_redis("--" + line.split()[0], *line.split()[1:])
    larder = new_larder(redis, redis_username="larder", redis_password="change-me",
                        max_memory="64mb").start()
    redis.ask("SET", "empty", "")
    assert larder.fastcgi("GET", "/cache/empty").status == 200
    tour.take(larder)
    redis.ask("SCRIPT", "FLUSH")
    tour.take(larder)
    assert larder.stats()["redis"]["policy_refused"] is False
    eventually(lambda: "cmdstat_ping" in redis.info("commandstats"),
               what="an idle connection is pinged")
    assert not redis.ask("ACL", "LOG"), "a command was refused"
    granted = set(re.findall(r" \+([a-z|]+)", line))
    used = tour.used_commands(redis.info("commandstats"))
    assert granted == used - {"auth", "acl|log", "script|flush"}, "more or less than is used"


# --- options, metrics ----------------------------------------------------------------------------

def test_options(space: Workspace) -> None:
    """The page's lines for larder.conf are good ones."""
    directory = space.directory("conf")
    password = directory / "password"
    password.write_text("change-me\n")
    conf = directory / "larder.conf"
    conf.write_text(replace(block("conf"), {"/etc/larder/redis-password": str(password)}))
    done = subprocess.run([LARDERD, "--check", "--config", conf], capture_output=True, text=True,
                          check=False, env={"PATH": PATH})
    assert done.returncode == 0, done.stderr


def test_metrics_of_the_alerts(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Every metric that an alert asks for exists."""
    larder = new_larder(new_redis()).start()
    assert larder.fastcgi("GET", "/health").status == 200
    names = set(re.findall(r"\b(larder_[a-z0-9_]+)", "\n".join(blocks("yaml"))))
    assert len(names) >= 8
    text = larder.fastcgi("GET", "/metrics").body.decode()
    missing = [name for name in names if not re.search(rf"^{name}[ {{]", text, re.M)]
    assert not missing


def test_links_lead_somewhere() -> None:
    """Every file that the page links to is there."""
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        if "://" not in target:
            assert (PAGE.parent / target).exists(), target
