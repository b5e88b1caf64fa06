"""What web servers make of a request before larder sees it, with the configurations of conf/.

The golden table of keys: which REQUEST_URI a raw target arrives as. It is the parameter that larder
reads, because it is the only one that comes the same by both; what lighttpd makes of the path
itself (PATH_INFO) is here to show why.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness import FRONTS, Front, Workspace
from rawhttp import Answer, Http
from responder import Pairs, Responder

HEAD = b" HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def fronts(space: Workspace) -> Iterator[dict[str, Front]]:
    """Both web servers in front of an application that tells what it got."""
    path = space.directory("responder") / "responder.sock"
    responder = Responder(path)
    started: dict[str, Front] = {}
    try:
        for kind in FRONTS:
            started[kind] = Front(space, kind, path).start()
        yield started
    finally:
        for front in started.values():
            front.stop()
        responder.close()


def ask(front: Front, data: bytes) -> Pairs | int:
    """The parameters of a request, or the status of the answer that the server made itself."""
    with Http(front.port, 5) as http:
        answer: Answer = http.exchange(data)
        if answer.status != 200 or answer.header("Content-Type") != "application/json":
            return answer.status
        params: Pairs = [(name, value) for name, value in answer.json()["params"]]
        return params


def value_of(params: Pairs | int, name: str) -> bytes | int | None:
    """One parameter."""
    if isinstance(params, int):
        return params
    found = dict(params).get(name)
    return None if found is None else found.encode("latin-1")


# A raw target; lighttpd's REQUEST_URI and PATH_INFO; nginx's REQUEST_URI. A number: the server
# answers that itself. SAME: as it was sent.
SAME = b"(same)"
TARGETS: list[tuple[bytes, bytes | int, bytes | None, bytes | int]] = [
    (b"/cache/a/b", SAME, SAME, SAME),
    (b"/cache/a%2Fb", SAME, b"/cache/a/b", SAME),
    (b"/cache/a%252Fb", SAME, b"/cache/a%2Fb", SAME),
    (b"/cache/%D0%BA%D0%BB%D1%8E%D1%87", SAME, "/cache/ключ".encode(), SAME),
    ("/cache/ключ".encode(), SAME, SAME, SAME),
    (b"/cache/a%20b", SAME, b"/cache/a b", SAME),
    (b"/cache/a b", SAME, SAME, 400),
    (b"/cache/a+b", SAME, SAME, SAME),
    (b"/cache/a%2Bb", SAME, b"/cache/a+b", SAME),
    (b"/cache/..", SAME, b"/", SAME),
    (b"/cache/%2e%2e", SAME, b"/", SAME),
    (b"/cache/a/../b", SAME, b"/cache/b", SAME),
    (b"/cache/a%2F..%2Fb", SAME, b"/cache/b", SAME),
    (b"/cache//a", SAME, b"/cache/a", SAME),
    (b"//cache/a", SAME, b"/cache/a", SAME),
    (b"/cache/a%3Fb", SAME, b"/cache/a?b", SAME),
    (b"/cache/a%23b", SAME, b"/cache/a#b", SAME),
    (b"/cache/a#b", SAME, b"/cache/a", SAME),
    (b"/cache/%zz", SAME, SAME, 400),
    (b"/cache/a%", SAME, SAME, 400),
    (b"/cache/a%00b", 400, None, 400),
    (b"/cache/a%0Ab", 400, None, SAME),
    (b"/cache/%FF", 400, None, SAME),
    (b"/cache/%C0%AF", 400, None, SAME),
    (b"/cache/%ED%A0%80", SAME, b"/cache/\xed\xa0\x80", SAME),
    (b"/cache/x~", SAME, SAME, SAME),
    (b"/cache/x.inc", SAME, SAME, SAME),
    (b"/cachefoo", SAME, SAME, SAME),
    (b"http://h/cache/a", b"/cache/a", b"/cache/a", b"/cache/a"),
    (b"http://h?x", 400, None, b"?x"),
    (b"/cache/a?x=%00", 400, None, SAME),
    (b"/cache/a?x=%zz", SAME, b"/cache/a", SAME),
    (b"/cache/a/%2e%2e/stats", SAME, b"/cache/stats", SAME),
]


@pytest.mark.parametrize("target,uri,path,nginx_uri", TARGETS,
                         ids=[target.decode("latin-1") for target, *_ in TARGETS])
def test_targets(fronts: dict[str, Front], target: bytes, uri: bytes | int, path: bytes | None,
                 nginx_uri: bytes | int) -> None:
    """What arrives is what was sent, or nothing does."""
    def meant(value: bytes | int | None) -> bytes | int | None:
        return target if value == SAME else value

    params = ask(fronts["lighttpd"], b"GET " + target + HEAD + b"\r\n")
    assert value_of(params, "REQUEST_URI") == meant(uri)
    if not isinstance(params, int):
        assert value_of(params, "PATH_INFO") == meant(path)
        assert value_of(params, "SCRIPT_NAME") == b""
    params = ask(fronts["nginx"], b"GET " + target + HEAD + b"\r\n")
    assert value_of(params, "REQUEST_URI") == meant(nginx_uri)


# Fields of a request; what of them arrives, by lighttpd and by nginx.
FIELDS: list[tuple[bytes, Pairs | int, Pairs | int]] = [
    (b"Prefer: a\r\nPrefer: b", [("HTTP_PREFER", "a, b")],
     [("HTTP_PREFER", "a"), ("HTTP_PREFER", "b")]),
    (b"Content-Encoding: a\r\nContent-Encoding: b", [("HTTP_CONTENT_ENCODING", "a, b")],
     [("HTTP_CONTENT_ENCODING", "a"), ("HTTP_CONTENT_ENCODING", "b")]),
    (b"If-Match: a\r\nIf-Match: b", [("HTTP_IF_MATCH", "a, b")], 400),
    (b"If-None-Match: a\r\nIf-None-Match: b", [("HTTP_IF_NONE_MATCH", "a")], 400),
    (b"Content-Type: a/b\r\nContent-Type: c/d", 400,
     [("CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "c/d")]),
    (b"Content-Type: a/b\r\nContent-Type: a/b", [("CONTENT_TYPE", "a/b")],
     [("CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "a/b"), ("HTTP_CONTENT_TYPE", "a/b")]),
    (b"Content_Type: a/b", [("HTTP_CONTENT_TYPE", "a/b")], []),
    (b"If_Match: a\r\nIf-Match: b", [("HTTP_IF_MATCH", "a"), ("HTTP_IF_MATCH", "b")],
     [("HTTP_IF_MATCH", "b")]),
    (b"If.Match: a\r\nIf!Match: b\r\nIf~Match: c",
     [("HTTP_IF_MATCH", "a"), ("HTTP_IF_MATCH", "b"), ("HTTP_IF_MATCH", "c")], []),
    (b"If-Match:", [], [("HTTP_IF_MATCH", "")]),
    (b"Prefer: a\r\n b", [("HTTP_PREFER", "a   b")], 400),
    (b"Prefer:\ta\t", [("HTTP_PREFER", "a")], [("HTTP_PREFER", "\ta\t")]),
    (b"Prefer: a\x01b", 400, [("HTTP_PREFER", "a\x01b")]),
    (b"Prefer: a\x7fb", 400, [("HTTP_PREFER", "a\x7fb")]),
    (b"Prefer: \xff", [("HTTP_PREFER", "\xff")], [("HTTP_PREFER", "\xff")]),
    (b"Proxy: a", [], [("HTTP_PROXY", "a")]),
    (b"Request-Uri: a", [("HTTP_REQUEST_URI", "a")], [("HTTP_REQUEST_URI", "a")]),
]
# What every request brings.
USUAL = ("HTTP_HOST", "HTTP_CONTENT_LENGTH")


@pytest.mark.parametrize("fields,lighttpd,nginx", FIELDS,
                         ids=[fields.decode("latin-1")[:30] for fields, *_ in FIELDS])
def test_fields(fronts: dict[str, Front], fields: bytes, lighttpd: Pairs | int,
                nginx: Pairs | int) -> None:
    """Which parameters the web servers make of a request's fields."""
    for kind, expected in (("lighttpd", lighttpd), ("nginx", nginx)):
        params = ask(fronts[kind], b"GET /cache/k" + HEAD + fields + b"\r\n\r\n")
        if not isinstance(params, int):
            params = [(name, value) for name, value in params if name not in USUAL
                      and (name.startswith("HTTP_") or (name == "CONTENT_TYPE" and value))]
        assert params == expected, kind
