"""A tour of the API: requests that between them have larderd send every command it knows."""

from __future__ import annotations

from harness import Larder

MERGE = "application/merge-patch+json"


def put_entries(larder: Larder) -> None:
    """One entry of each kind, and a counter."""
    for target, body, params in (
            ("/cache/plain", b'{"value":{"a":1}}', {}),
            ("/cache/tagged", b'{"value":{"a":1},"tags":["t","u"],"ttl":100}', {}),
            ("/cache/longer", b'{"value":1,"tags":["t"],"ttl":1000}', {}),
            ("/cache/idle", b'{"value":1,"idle":60,"tags":["t"]}', {}),
            ("/cache/created", b'{"value":1}', {"HTTP_IF_NONE_MATCH": "*"}),
            ("/cache/plain", b'{"value":{"a":1}}', {"HTTP_IF_MATCH": "*"}),
            ("/raw/bytes", b"\xff", {"CONTENT_TYPE": "image/png", "HTTP_CACHE_GROUPS": '"t"'})):
        answer = larder.fastcgi("PUT", target, body, **params)
        assert answer.status == 200, (target, answer)
    for _ in range(2):
        answer = larder.fastcgi("POST", "/counters/n", b'{"by":2,"ttl":60}')
        assert answer.status == 200, answer


def change_entries(larder: Larder) -> None:
    """Reads, patches and deletes them."""
    for key in ("plain", "tagged", "idle", "bytes", "n"):
        assert larder.fastcgi("GET", f"/cache/{key}").status == 200, key
        assert larder.fastcgi("HEAD", f"/raw/{key}").status == 200, key
    for key, patch in (("plain", b'{"value":{"b":2}}'), ("tagged", b'{"value":{"b":2}}'),
                       ("tagged", b'{"ttl":2000}'), ("tagged", b'{"ttl":null}'),
                       ("plain", b'{"ttl":70}'), ("plain", b'{"ttl":null}'),
                       ("idle", b'{"ttl":9}')):
        answer = larder.fastcgi("PATCH", f"/cache/{key}", patch, CONTENT_TYPE=MERGE)
        assert answer.status == 200, (key, patch, answer)
    batch = larder.fastcgi("POST", "/batch", b'{"operations":[{"method":"GET","key":"tagged"},'
                           b'{"method":"PUT","key":"x","value":1,"tags":["u"]},'
                           b'{"method":"DELETE","key":"x"}]}')
    assert [r["status"] for r in batch.json()["results"]] == [200, 200, 200], batch
    for key, params in (("tagged", {}), ("idle", {"HTTP_IF_MATCH": "*"})):
        assert larder.fastcgi("DELETE", f"/cache/{key}", **params).status == 200


def take(larder: Larder) -> None:
    """All of it; nothing is left of the cache, and a second tour finds what the first did."""
    put_entries(larder)
    change_entries(larder)
    assert {"plain", "n"} <= set(larder.fastcgi("GET", "/keys?limit=1000").json()["keys"])
    assert larder.fastcgi("DELETE", "/cache?tag=t").status == 200
    assert larder.fastcgi("GET", "/cache/longer").status == 404
    assert larder.fastcgi("DELETE", "/cache?prefix=pla").json()["deleted"] == 1
    for target in ("/stats", "/metrics", "/health", "/health/ready"):
        assert larder.fastcgi("GET", target).status == 200, target
    assert larder.fastcgi("DELETE", "/cache").status == 200
    assert larder.fastcgi("GET", "/keys").json() == {"keys": [], "cursor": None}


def used_commands(commandstats: dict[str, str]) -> set[str]:
    """Of INFO commandstats: the commands that were called."""
    return {name.removeprefix("cmdstat_") for name in commandstats}
