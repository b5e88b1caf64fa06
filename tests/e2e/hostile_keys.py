"""Hostile targets: the golden table of keys (part A), and rows B1 to B22."""

from __future__ import annotations

from collections.abc import Iterator

from hostile import (Ask, Case, Say, case, get, ok, problem, put, server_closes,
                     step)

MALFORMED = problem(400, "malformed-path")
INVALID = problem(400, "invalid-key")
TOO_LONG = problem(400, "key-too-long")
UNKNOWN = problem(404, "not-found")
MISS = problem(404, "key-not-found")
# To a target that it can't read, either server answers itself, and hangs up.
L400 = N400 = server_closes(400)


def refused(row: str, name: str, tail: bytes, *says: Say, prefix: bytes = b"/cache/") -> Case:
    """A target that names no key, for a read and a write."""
    return case(row, name, step(get(prefix + tail), *says), step(put(prefix + tail), *says),
                step(Ask(b"DELETE", prefix + tail), *says))


def taken(row: str, name: str, tail: bytes, key: bytes) -> Case:
    """A target that names this key by every way."""
    return case(row, name, step(get(b"/cache/" + tail), MISS),
                step(put(b"/cache/" + tail), ok(b"1")),
                step(get(b"/cache/" + tail), ok(b"1")), stored={key: b"1"})


# Raw targets behind /cache/, and the key that each of them names.
TAKEN: list[tuple[str, bytes, bytes]] = [
    ("A1", b"a/b", b"a/b"),
    ("A2", b"a%2Fb", b"a/b"),
    ("A2", b"a%2fb", b"a/b"),
    ("A3", b"a%252Fb", b"a%2Fb"),
    ("A3", b"a%25", b"a%"),
    ("A3", b"%2525", b"%25"),
    ("A4", b"%D0%BA%D0%BB%D1%8E%D1%87", "ключ".encode()),
    ("A4", b"%d0%ba", "к".encode()),
    ("A4", b"%F0%9F%98%80", "😀".encode()),
    ("A6", b"a%20b", b"a b"),
    ("A8", b"a+b", b"a+b"),
    ("A8", b"a%2Bb", b"a+b"),
    ("A12", b"a%3Fb", b"a?b"),
    ("A12", b"a%23b", b"a#b"),
    ("A12", b"a%26b%3Dc", b"a&b=c"),
    ("A19", b"x~", b"x~"),
    ("A19", b"x.inc", b"x.inc"),
    ("A19", b"x.php", b"x.php"),
    ("A19", b".htaccess", b".htaccess"),
    ("B9", b"a%C2%A0", "a\u00a0".encode()),
    ("B13", b"a/...", b"a/..."),
    ("B13", b"a/.b", b"a/.b"),
    ("B13", b"a/..b", b"a/..b"),
    ("B17", b"%7B%22json%22%7D%5C", b'{"json"}\\'),
    ("B17", b"%3Cscript%3Ealert(1)%3C/script%3E", b"<script>alert(1)</script>"),
    ("B17", b"%22%2C%22x%22%3A%22", b'","x":"'),
    ("B17", b"%E2%80%A8%E2%80%A9", "\u2028\u2029".encode()),
    ("B18", b"*", b"*"),
    ("B18", b"%5Ba-z%5D%3F", b"[a-z]?"),
    ("B18", b"%24-1", b"$-1"),
    ("B18", b"$5", b"$5"),
    ("B18", b"%25s%25n%25x", b"%s%n%x"),
    ("B18", b"!$&'()*+,;=:@-._~", b"!$&'()*+,;=:@-._~"),
    ("B19", b"__stats__", b"__stats__"),
    ("B19", b"larder:lock:x", b"larder:lock:x"),
    ("B19", b"%2E.lock", b"..lock"),
    ("B19", b"larder1%20%7B%7D", b"larder1 {}"),
    ("B19", b"total_keys", b"total_keys"),
    ("B19", b"config", b"config"),
    ("B19", b"cache", b"cache"),
    ("B20", b"%C3%A9", "\u00e9".encode()),
    ("B20", b"e%CC%81", "e\u0301".encode()),
    ("X1", b"%EF%BF%BE", "\ufffe".encode()),
    ("X1", b"%EF%BF%BF", "\uffff".encode()),
    ("X1", b"%EF%BB%BFa", "\ufeffa".encode()),
    ("X1", b"%E2%80%AEa", "\u202ea".encode()),
    ("X1", b"%F4%8F%BF%BF", "\U0010ffff".encode()),
    ("X1", b"%ef%bc%8f", "\uff0f".encode()),
    ("X1", b"%E2%80%A4%E2%80%A4", "\u2024\u2024".encode()),
    ("X2", b"%41%42", b"AB"),
    ("X2", b"a;b=c", b"a;b=c"),
    ("X2", b"a%2520b", b"a%20b"),
    ("X2", b"http:", b"http:"),
]

# Raw targets behind /cache/ that name none: what lighttpd, nginx and larder itself answer.
REFUSED: list[tuple[str, bytes, tuple[Say, ...]]] = [
    ("A5", "ключ".encode(), (MALFORMED,)),
    ("A7", b"a b", (MALFORMED, N400, MALFORMED)),
    ("A10", b"a/../b", (MALFORMED,)),
    ("A10", b"a%2F..%2Fb", (MALFORMED,)),
    ("A11", b"/a", (MALFORMED,)),
    ("A13", b"a#b", (MALFORMED,)),
    ("A14", b"%zz", (MALFORMED, N400, MALFORMED)),
    ("A14", b"a%", (MALFORMED, N400, MALFORMED)),
    ("A15", b"a%00b", (L400, N400, INVALID)),
    ("A16", b"a%0Ab", (L400, INVALID, INVALID)),
    ("A17", b"%FF", (L400, INVALID, INVALID)),
    ("A17", b"%C0%AF", (L400, INVALID, INVALID)),
    ("A18", b"%ED%A0%80", (INVALID,)),
    ("B1", b"", (INVALID,)),
    ("B1", b"?", (INVALID,)),
    ("B1", b"?a=1", (INVALID,)),
    ("B4", b"k" * 513, (TOO_LONG,)),
    ("B4", b"%E2%82%AC" * 171, (TOO_LONG,)),
    ("B5", b"%6B" * 1000, (TOO_LONG,)),
    ("B5", b"k" * 3000, (TOO_LONG,)),
    ("B7", b"%00", (L400, N400, INVALID)),
    ("B7", b"%00a", (L400, N400, INVALID)),
    ("B7", b"a%00", (L400, N400, INVALID)),
    *(("B8", b"a%%%02Xb" % code, (L400, INVALID, INVALID)) for code in (*range(1, 32), 127)),
    ("B9", b"%C2%80", (INVALID,)),
    ("B9", b"a%C2%9Fb", (INVALID,)),
    ("B9", b"%C2%85", (INVALID,)),
    ("B10", b"%F4%90%80%80", (INVALID,)),
    ("B10", b"%E2%82", (INVALID,)),
    ("B10", b"%E2%82a", (INVALID,)),
    ("B10", b"%80", (INVALID,)),
    ("B10", b"%C1%81", (L400, INVALID, INVALID)),
    ("B10", b"%E0%80%AF", (INVALID,)),
    ("B10", b"%F0%80%80%AF", (INVALID,)),
    ("B10", b"%ED%BF%BF", (INVALID,)),
    ("B10", b"%F8%88%80%80%80", (L400, INVALID, INVALID)),
    ("B10", b"%FE", (L400, INVALID, INVALID)),
    ("B11", b"%2", (MALFORMED, N400, MALFORMED)),
    ("B11", b"%u0041", (MALFORMED, N400, MALFORMED)),
    ("B11", b"%", (MALFORMED, N400, MALFORMED)),
    ("B11", b"a%-1b", (MALFORMED, N400, MALFORMED)),
    ("B11", b"a%%20", (MALFORMED, N400, MALFORMED)),
    ("B13", b"a/./b", (MALFORMED,)),
    ("B13", b"a/.", (MALFORMED,)),
    ("B13", b"a/..", (MALFORMED,)),
    ("B13", b"a/%2e/b", (MALFORMED,)),
    ("B13", b"a/%2E./b", (MALFORMED,)),
    ("B13", b"a%2f%2e%2e%2fb", (MALFORMED,)),
    ("B13", b"a/.%2e", (MALFORMED,)),
    ("B14", b"a//b", (MALFORMED,)),
    ("B14", b"a/%2Fb", (MALFORMED,)),
    ("B14", b"a/", (MALFORMED,)),
    ("B14", b"a%2F", (MALFORMED,)),
    ("B14", b"%2Fa", (MALFORMED,)),
    *(("B15", b"a" + bytes([raw]) + b"b", (MALFORMED,)) for raw in b'#\\"<>^{}|`[]'),
    ("B16", b"%0d%0aSet-Cookie:x", (L400, INVALID, INVALID)),
    ("B16", b"a%0d%0aX-Injected:%201%0d%0a%0d%0a", (L400, INVALID, INVALID)),
    ("B18", b"$5%0d", (L400, INVALID, INVALID)),
    ("X3", b"%c0%ae%c0%ae", (L400, INVALID, INVALID)),
    ("X3", b"a%5C..%5Cb%00", (L400, N400, INVALID)),
    ("X3", b"\xc3\xa9", (MALFORMED,)),
    ("X3", b"a\x7fb", (L400, N400, MALFORMED)),
]


def name_of(tail: bytes) -> str:
    """A short name of a target for people."""
    text = tail.decode("latin-1").encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 24 else f"{text[:16]}...{len(text)}"


def others() -> Iterator[Case]:
    """What is more than one target behind /cache/."""
    for target in (b"/cache/..", b"/cache/%2e%2e", b"/cache/../stats", b"/cache/x/../../stats",
                   b"/cache/../cache"):
        yield case("A9", name_of(target), *(step(Ask(method, target), MALFORMED)
                                            for method in (b"GET", b"DELETE")), given={b"a": b"1"})
    for target in (b"/x/../cache/a", b"/./cache/a"):
        yield case("A9", name_of(target), *(step(Ask(method, target), UNKNOWN)
                                            for method in (b"GET", b"DELETE")), given={b"a": b"1"})
    for target in (b"/cache/.", b"/cache/%2e"):
        yield case("B13", name_of(target), *(step(Ask(method, target), MALFORMED)
                                             for method in (b"GET", b"DELETE")))
    yield case("A11", "//cache/a", *(step(Ask(method, b"//cache/a"), UNKNOWN)
                                     for method in (b"GET", b"PUT", b"DELETE")), given={b"a": b"1"})
    yield case("A20", "/cachefoo", *(step(Ask(method, b"/cachefoo"), UNKNOWN)
                                     for method in (b"GET", b"PUT", b"DELETE")))
    yield case("A21", "absolute", step(put(b"http://localhost/cache/k"), ok(b"1")),
               step(get(b"http://localhost/cache/k"), ok(b"1")),
               step(get(b"/cache/k"), ok(b"1")))
    yield case("B2", "no-key", step(get(b"/cache"), problem(405, "method-not-allowed",
                                                           Allow="DELETE, OPTIONS")))
    yield case("B3", "longest", step(put(b"/cache/" + b"k" * 512), ok(b"1")),
               step(get(b"/cache/" + b"%6B" * 512), ok(b"1")), stored={b"k" * 512: b"1"})
    yield case("B3", "longest-utf-8", step(put(b"/cache/" + b"%E2%82%AC" * 170 + b"ab"), ok(b"1")),
               stored={("€" * 170 + "ab").encode(): b"1"})
    yield case("B6", "target-9000", step(get(b"/cache/" + b"k" * 9000), server_closes(431),
                                         server_closes(414), TOO_LONG))
    yield case("B12", "decoded-once", step(put(b"/cache/a%252Fb"), ok(b"1")),
               step(get(b"/cache/a/b"), MISS), step(get(b"/cache/a%2Fb"), MISS),
               step(get(b"/cache/a%252Fb"), ok(b"1")), stored={b"a%2Fb": b"1"})
    yield case("B20", "two-keys", step(put(b"/cache/%C3%A9"), ok(b"1")),
               step(get(b"/cache/e%CC%81"), MISS), stored={"\u00e9".encode(): b"1"})
    for target in (b"/CACHE/a", b"/Cache/a"):
        yield case("B21", name_of(target), step(get(target), UNKNOWN), step(put(target), UNKNOWN),
                   given={b"a": b"1"})
    for target in (b"/cachefoo", b"/stats/x", b"/health/", b"/unknown", b"/stats/", b"/batch/",
                   b"/keys/",
                   b"/cache;a", b"/cache%2Fa", b"/raw", b"/counters", b"/%63ache/a", b"/cache\\a"):
        yield case("B22", name_of(target), step(get(target), UNKNOWN), step(put(target), UNKNOWN),
                   step(Ask(b"DELETE", target), UNKNOWN), given={b"a": b"1"})


CASES = [
    *(taken(row, name_of(tail), tail, key) for row, tail, key in TAKEN),
    *(refused(row, name_of(tail) or "empty", tail, *says) for row, tail, says in REFUSED),
    *(refused(row, "raw-" + (name_of(tail) or "empty"), tail, *says, prefix=b"/raw/")
      for row, tail, says in REFUSED if row in ("A10", "B1", "B4", "B9", "B16")),
    *others(),
]
