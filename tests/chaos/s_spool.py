"""T8: the web server has no room for bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator

from harness import Front, eventually
from rawhttp import Http
from scenario import Finding, Size, scenario
from tmpfs import Tmpfs
from world import World

LARGE = {"value": "x" * 900_000}  # more than either server keeps in memory


def put_large(front: Front, key: str) -> int:
    """The status of a PUT of a large body; 0 if the connection just ended."""
    with Http(front.port, 15) as http:
        try:
            return http.put(f"/cache/{key}", LARGE).status
        except (OSError, EOFError, ValueError, IndexError):
            return 0


@scenario("T8", "the web server's spool is full")
def spool_full(world: World, size: Size) -> Iterator[Finding]:
    """Its directory of temporary files has no byte left: it says 5xx, and nothing is changed."""
    larder = world.larder(world.redis())
    front = world.add(Front(world.space, world.kind, larder.socket))
    text = front.config.read_text()
    with Tmpfs(front.directory, "256k") as tiny:
        if not tiny.mounted:
            return
        front.config.write_text(text)
        front.start()
        larder.fastcgi("PUT", "/cache/a", b'{"value":"old"}')
        tiny.fill()
        statuses = [put_large(front, "a") for _ in range(size(full=20, short=3))]
        stored = larder.fastcgi("GET", "/cache/a").json()["value"]
        with Http(front.port, 15) as http:
            small = http.put("/cache/b", {"value": 1}).status, http.get("/cache/b").status
        yield Finding("large PUTs that were answered 2xx", sum(200 <= s < 300 for s in statuses),
                      figure=0, detail=json.dumps(sorted(set(statuses))))
        yield Finding.holds("the entry is the old one", stored == "old", stored[:50])
        yield Finding.holds("small requests are served", small == (200, 200), str(small))
        (front.directory / "ballast").unlink()
        eventually(lambda: larder.fastcgi("GET", "/health").status == 200, 5, "larder is well")
        front.stop()
