"""Which key a raw request target names, through each web server and without one.

The table says what each web server does by itself; what reaches larder is decoded exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from checks import check_envelope, check_problem
from harness import FRONTS, Stack
from rawhttp import Http, build

BODY = b'{"value":1}'


@dataclass(frozen=True)
class Refused:
    """A 400 of larder's own, with its slug."""

    slug: str


# The web server answers 400 on its own.
SERVER = 400
MALFORMED, INVALID = Refused("malformed-path"), Refused("invalid-key")
Expected = bytes | Refused | int

Row = tuple[bytes, Expected, Expected, Expected]


def same(tail: bytes, expected: Expected) -> Row:
    """A row on which all three agree."""
    return tail, expected, expected, expected


# What follows "/cache/KEY" in the target: what lighttpd, nginx and raw FastCGI make of it. Bytes
# are what follows KEY in the key.
TARGETS: list[Row] = [
    same(b"", b""),
    same(b"/b", b"/b"),
    same(b"%2Fb", b"/b"),
    same(b"%2fb", b"/b"),
    same(b"%252Fb", b"%2Fb"),
    same(b"%25", b"%"),
    same(b"%D0%BA%D0%BB%D1%8E%D1%87", "ключ".encode()),
    same(b"%d0%ba", "к".encode()),
    same("ключ".encode(), MALFORMED),
    same(b"%20b", b" b"),
    (b" b", MALFORMED, SERVER, MALFORMED),
    same(b"+b", b"+b"),
    same(b"%2Bb", b"+b"),
    same(b"/../b", MALFORMED),
    same(b"%2F..%2Fb", MALFORMED),
    same(b"/%2e%2e/b", MALFORMED),
    same(b"/%2E./b", MALFORMED),
    same(b"/./b", MALFORMED),
    same(b"/.", MALFORMED),
    same(b"/..", MALFORMED),
    same(b"/...", b"/..."),
    same(b"/.b", b"/.b"),
    same(b"//b", MALFORMED),
    same(b"/%2Fb", MALFORMED),
    same(b"%2F", MALFORMED),
    same(b"/", MALFORMED),
    same(b"%3Fb", b"?b"),
    same(b"%23b", b"#b"),
    same(b"#b", MALFORMED),
    (b"%zz", MALFORMED, SERVER, MALFORMED),
    (b"%", MALFORMED, SERVER, MALFORMED),
    (b"%2", MALFORMED, SERVER, MALFORMED),
    (b"%u0041", MALFORMED, SERVER, MALFORMED),
    (b"%00b", SERVER, SERVER, INVALID),
    (b"%00", SERVER, SERVER, INVALID),
    (b"%0Ab", SERVER, INVALID, INVALID),
    (b"%0d%0aSet-Cookie:x=1", SERVER, INVALID, INVALID),
    (b"%7F", SERVER, INVALID, INVALID),
    same(b"%C2%80", INVALID),
    same(b"%C2%9F", INVALID),
    same(b"%C2%A0", "\u00a0".encode()),
    (b"%FF", SERVER, INVALID, INVALID),
    (b"%C0%AF", SERVER, INVALID, INVALID),
    (b"%C1%81", SERVER, INVALID, INVALID),
    same(b"%ED%A0%80", INVALID),
    same(b"%F4%90%80%80", INVALID),
    same(b"%E2%82", INVALID),
    same(b"%80", INVALID),
    same(b"%F0%9F%98%80", "😀".encode()),
    same(b"~", b"~"),
    same(b".inc", b".inc"),
    same(b".php", b".php"),
    same(b"*", b"*"),
    same(b"%24-1", b"$-1"),
    same(b"$5", b"$5"),
    same(b"%25s%25n%25x", b"%s%n%x"),
    same(b"%7B%22json%22%7D%5C", b'{"json"}\\'),
    same(b"%3Cscript%3E", b"<script>"),
    same(b"!$&'()*+,;=:@-._~", b"!$&'()*+,;=:@-._~"),
    same(b"%41%42", b"AB"),
    same(b"\\b", MALFORMED),
    same(b'"b', MALFORMED),
    same(b"<b", MALFORMED),
    same(b">b", MALFORMED),
    same(b"^b", MALFORMED),
    same(b"`b", MALFORMED),
    same(b"{b", MALFORMED),
    same(b"|b", MALFORMED),
    same(b"}b", MALFORMED),
]
IDS = [row[0].decode("latin-1").encode("ascii", "backslashreplace").decode() for row in TARGETS]


def check_http(stack: Stack, http: Http, key: str, tail: bytes, expected: Expected) -> None:
    """PUT and GET of one target through a web server end as the table says."""
    target = b"/cache/" + key.encode() + tail
    put = http.put(target, BODY)
    get = http.get(target)
    if isinstance(expected, bytes):
        name = (key.encode() + expected).decode()
        check_envelope(put, name, 1, 3600)
        check_envelope(get, name, 1, 3600, slack=1)
        assert stack.redis.ask("GET", name) == b"1"
        return
    for answer in (put, get):
        if isinstance(expected, Refused):
            check_problem(answer, 400, expected.slug)
        else:
            assert answer.status == expected and not answer.is_problem, answer
        assert answer.header("Set-Cookie") is None
        assert len(tail) < 3 or tail not in answer.body, "raw bytes reflected"
    assert stack.redis.ask("KEYS", key + "*") == []


@pytest.mark.parametrize("row", TARGETS, ids=IDS)
@pytest.mark.parametrize("kind", FRONTS)
def test_golden_table(stack: Stack, key: str, kind: str,
                      row: Row) -> None:
    """Each raw target names the same key, or is refused in the same way, through both servers."""
    with stack.fronts[kind].http() as http:
        check_http(stack, http, key, row[0], row[1 + FRONTS.index(kind)])
        assert http.get("/health/live").status == 200, "the connection is out of step"


@pytest.mark.parametrize("row", TARGETS, ids=IDS)
def test_golden_table_without_a_server(stack: Stack, key: str,
                                       row: Row) -> None:
    """The same, when no web server has looked at the target before."""
    target, expected = b"/cache/" + key.encode() + row[0], row[3]
    answer = stack.larder.fastcgi("PUT", target, BODY)
    if isinstance(expected, bytes):
        check_envelope(answer, (key.encode() + expected).decode(), 1, 3600)
        assert stack.redis.ask("GET", key.encode() + expected) == b"1"
    else:
        assert isinstance(expected, Refused)
        check_problem(answer, 400, expected.slug)
        assert stack.redis.ask("KEYS", key + "*") == []


def test_every_control_character(stack: Stack, key: str) -> None:
    """No C0 control character or DEL may be in a key."""
    for code in [*range(32), 127]:
        answer = stack.larder.fastcgi("PUT", f"/cache/{key}%{code:02X}", BODY)
        check_problem(answer, 400, "invalid-key")


def test_every_raw_byte(stack: Stack, key: str) -> None:
    """A raw byte in a target is part of the key exactly if RFC 3986 allows it in a path."""
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/"
    for code in range(1, 256):
        if code in b"?%":
            continue
        raw = bytes([code])
        answer = stack.larder.fastcgi("GET", f"/cache/{key}".encode() + raw + b"z")
        if raw in allowed:
            check_problem(answer, 404, "key-not-found")
        else:
            check_problem(answer, 400, "malformed-path")


@pytest.mark.parametrize("kind", FRONTS)
def test_a_key_decoded_twice_would_be_another(stack: Stack, key: str, kind: str) -> None:
    """PUT of a%252Fb doesn't store a/b."""
    with stack.fronts[kind].http() as http:
        assert http.put(f"/cache/{key}%252Fb", BODY).status == 200
        assert http.get(f"/cache/{key}/b").status == 404
        assert http.get(f"/cache/{key}%2Fb").status == 404
        assert http.get(f"/cache/{key}%252Fb").status == 200


@pytest.mark.parametrize("kind", FRONTS)
def test_length(stack: Stack, key: str, kind: str) -> None:
    """A key has 1 to 512 bytes after decoding, however it is spelled."""
    with stack.fronts[kind].http() as http:
        longest = key + "k" * (512 - len(key))
        check_envelope(http.put(f"/cache/{longest}", BODY), longest, 1, 3600)
        check_problem(http.put(f"/cache/{longest}k", BODY), 400, "key-too-long")
        check_problem(http.get(f"/cache/{longest}k"), 400, "key-too-long")
        escaped = "%6B" * 512
        assert http.get(f"/cache/{escaped}").status == 404
        check_problem(http.get("/cache/" + "%6B" * 1000), 400, "key-too-long")
        check_problem(http.get("/cache/" + "%6B" * 2600), 400, "key-too-long")
        euro = "%E2%82%AC"
        assert http.put(f"/cache/{euro * 170}ab", BODY).status == 200
        check_problem(http.put(f"/cache/{euro * 171}", BODY), 400, "key-too-long")


@pytest.mark.parametrize("kind,status", [("lighttpd", 431), ("nginx", 414)])
def test_a_target_beyond_8_kib(stack: Stack, kind: str, status: int) -> None:
    """The web server refuses a target of more than 8 KiB itself."""
    with stack.fronts[kind].http() as http:
        assert http.get("/cache/" + "k" * 9000).status == status


@pytest.mark.parametrize("kind", FRONTS)
def test_empty_key(stack: Stack, key: str, kind: str) -> None:
    """/cache/ is 400 for every method, and DELETE /cache/ is never a flush."""
    with stack.fronts[kind].http() as http:
        http.put(f"/cache/{key}", BODY)
        for method in ("GET", "DELETE", "PUT"):
            answer = http.request(method, "/cache/", BODY if method == "PUT" else None)
            check_problem(answer, 400, "invalid-key")
        for target in ("/cache/?", "/cache/?x=1"):
            assert http.delete(target).status == 400
        assert http.get(f"/cache/{key}").status == 200


@pytest.mark.parametrize("target", ["/cache/..", "/cache/%2e%2e", "/cache/.", "/cache/%2e",
                                    "/cache/../stats", "/cache/x/../../stats", "//cache/a",
                                    "/./cache/a", "/x/../cache/a", "/cache/../cache"])
@pytest.mark.parametrize("kind", FRONTS)
def test_targets_that_walk(stack: Stack, key: str, kind: str, target: str) -> None:
    """Dots and doubled slashes lead nowhere: never to another document, never to a flush."""
    with stack.fronts[kind].http() as http:
        http.put(f"/cache/{key}", BODY)
        for method in ("GET", "DELETE"):
            answer = http.request(method, target)
            assert answer.status in (400, 403, 404), answer
        assert http.get(f"/cache/{key}").status == 200


@pytest.mark.parametrize("kind", FRONTS)
def test_absolute_form(stack: Stack, key: str, kind: str) -> None:
    """A target in absolute form names the key in its path."""
    with stack.fronts[kind].http() as http:
        assert http.exchange(build("PUT", f"http://localhost/cache/{key}", (), BODY)).status == 200
        assert stack.redis.ask("GET", key) == b"1"
        assert http.get(f"/cache/{key}").status == 200


@pytest.mark.parametrize("name", ["__stats__", "larder:lock:x", ":tag:x", "larder1 {}", "..lock",
                                  "total_keys", "config", "null"])
def test_names_that_look_internal(stack: Stack, key: str, name: str) -> None:
    """No name opens anything inside: it is a key like others."""
    with stack.fronts["nginx"].http() as http:
        target = f"/cache/{name.replace(' ', '%20').replace('{}', '%7B%7D')}"
        check_envelope(http.put(target, BODY), name, 1, 3600)
        check_envelope(http.get(target), name, 1, 3600, slack=1)
        assert http.delete(target).status == 200
