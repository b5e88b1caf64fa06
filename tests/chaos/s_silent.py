"""T9: FastCGI peers that connect and say too little."""

from __future__ import annotations

import time
from collections.abc import Iterator

import fcgi
from figures import percentile
from harness import Larder
from kept import Kept, ask_for, close_all
from scenario import Finding, Size, scenario
from world import World

WORKERS = 4
SAID = (0, 1, 7, 20)  # bytes of a request
REQUEST = fcgi.request_bytes("PUT", "/cache/silent", b'{"value":1}', keep=True)


def fall_silent(larder: Larder, said: int) -> list[fcgi.Connection]:
    """Four more of them than there are workers, so that each worker has one."""
    peers = [larder.connect() for _ in range(WORKERS + 4)]
    for peer in peers:
        peer.send(REQUEST[:said])
    return peers


@scenario("T9", "silent and half-sent FastCGI requests", fronts=())
def silent_peers(world: World, size: Size) -> Iterator[Finding]:
    """Peers that say 0, 1, 7 or 20 bytes and stop, again and again, beside others that work."""
    larder = world.larder(world.redis(), workers=WORKERS)
    family = larder.workers()
    kept = [Kept(larder) for _ in range(WORKERS)]
    quiet = ask_for(kept, "/cache/a", 0.5, status=404)
    for said in SAID:
        freed, beside = [], []
        for _ in range(size(full=5, short=1)):
            begun = time.monotonic()
            peers = fall_silent(larder, said)
            beside += ask_for(kept, "/cache/a", 0.5, status=404)
            fresh = time.monotonic()
            assert larder.fastcgi("GET", "/cache/a").status == 404
            beside.append(time.monotonic() - fresh)
            for peer in peers:
                assert peer.seconds_until_closed(10) is not None, "never freed"
                freed.append(time.monotonic() - begun)
                peer.close()
        yield Finding(f"freed after {said} bytes (most)", max(freed), figure=1, limit=3, unit="s")
        yield Finding(f"p99 of others beside them ({said} bytes)", percentile(beside, 0.99) * 1e3,
                      figure=10, unit="ms",
                      detail=f"{percentile(quiet, 0.99) * 1e3:.2f} ms without them")
    yield Finding.holds("the same workers all the time", larder.workers() == family)
    close_all(kept)
