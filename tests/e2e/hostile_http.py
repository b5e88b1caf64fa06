"""Hostile HTTP: methods, framing, fields and protocols (rows B23 to B58, B63, B64, B98, B103 to
B105).

What the web servers answer themselves is pinned as they do it; larder sees what they let pass.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from hostile import (ANY, BARE, BODY, HANGS_UP, JSON, Ask, Case, Wire, case, get, http, http_get,
                     http_put, ok, problem, put, server, server_closes, step)

MISS = problem(404, "key-not-found")
STORED = ok(b"1")
NOT_ALLOWED = problem(405, "method-not-allowed", Allow="GET, HEAD, PUT, DELETE, PATCH, OPTIONS")
UNKNOWN_PARAMETER = problem(400, "unknown-parameter")
BODY_REQUIRED = problem(400, "body-required")
C400 = server_closes(400)
CHUNKED = b"Transfer-Encoding: chunked"
HIT = {b"k": b"1"}

Rows = Iterator[Case]


def ask(method: bytes, *fields: tuple[bytes, bytes], body: bytes | None = None,
        target: bytes = b"/cache/k") -> Ask:
    """A request about the key."""
    return Ask(method, target, fields, body)


# --- queries -------------------------------------------------------------------------------------

def queries() -> Rows:
    """B23 to B25."""
    for method in (b"GET", b"HEAD"):
        yield case("B23", f"{method.decode()}-ignores", step(
            ask(method, target=b"/cache/k?ttl=5&x=%zz&&=&?"), ok()), given=HIT)
    yield case("B23", "put", step(put(b"/cache/k?x=1"), UNKNOWN_PARAMETER),
               step(put(b"/cache/k?ttl=5"), UNKNOWN_PARAMETER))
    yield case("B23", "delete", step(ask(b"DELETE", target=b"/cache/k?x=1"), UNKNOWN_PARAMETER),
               given=HIT)
    yield case("B23", "patch", step(
        ask(b"PATCH", JSON, body=b'{"ttl":5}', target=b"/cache/k?x=1"), UNKNOWN_PARAMETER),
               given=HIT)
    yield case("B23", "post", step(
        ask(b"POST", JSON, body=b"{}", target=b"/counters/k?by=1"), UNKNOWN_PARAMETER),
        step(ask(b"POST", JSON, body=b'{"operations":[{"method":"DELETE","key":"k"}]}',
                 target=b"/batch?x"), UNKNOWN_PARAMETER), given=HIT)
    for query, slug, status in (
            (b"ttl=1&ttl=2", "invalid-parameter", 400), (b"ttl", "invalid-ttl", 422),
            (b"ttl=", "invalid-ttl", 422), (b"ttl=5&%74tl=6", "invalid-parameter", 400),
            (b"TTL=5", "unknown-parameter", 400), (b"%74%74%6", "invalid-parameter", 400),
            (b"ttl%00=5", "unknown-parameter", 400), (b"ttl;idle=5", "unknown-parameter", 400),
            (b"ttl=5;idle=5", "invalid-ttl", 422), (b"ttl[]=5", "unknown-parameter", 400)):
        own = C400 if b"%00" in query else problem(status, slug)
        nginx = problem(status, slug)
        yield case("B24", query.decode(),
                   step(Ask(b"PUT", b"/raw/k?" + query, (), b"x"), own, nginx,
                                               problem(status, slug)))
    yield case("B24", "name-decoded-once", step(Ask(b"PUT", b"/raw/k?%74tl=5", (), b"x"), ok()),
               step(Ask(b"PUT", b"/raw/k?%2574tl=5", (), b"x"), UNKNOWN_PARAMETER),
               step(get(b"/raw/k"), ok(body=b"x")), stored={b"k": ANY})


# --- methods -------------------------------------------------------------------------------------

def methods() -> Rows:
    """B26 to B34."""
    for method in (b"POST", b"PROPFIND", b"MKCOL", b"LOCK", b"SEARCH"):
        yield case("B26", method.decode(), step(ask(method, body=b""), NOT_ALLOWED), given=HIT)
    yield case("B26", "PATCH-is-there", step(
        ask(b"PATCH", (b"Content-Type", b"application/merge-patch+json"), body=b'{"ttl":5}'),
        ok(b"1")), given=HIT, stored=HIT)
    yield case("B27", "FOO", step(ask(b"FOO"), server_closes(501), NOT_ALLOWED, NOT_ALLOWED))
    for method in (b"get", b"Get", b"delete"):
        yield case("B28", method.decode(), step(ask(method), server_closes(501), C400, NOT_ALLOWED),
                   given=HIT)
    yield case("B29", "TRACE", step(ask(b"TRACE", (b"X-Secret", b"s3cret")), NOT_ALLOWED,
                                    server_closes(405), NOT_ALLOWED), given=HIT)
    yield case("B30", "CONNECT", step(ask(b"CONNECT", target=b"localhost:80"), C400, C400,
                                      problem(404, "not-found")))
    yield case("B30", "CONNECT-a-path", step(ask(b"CONNECT"), NOT_ALLOWED, server_closes(405),
                                              NOT_ALLOWED))
    yield case("B31", "OPTIONS-star", step(ask(b"OPTIONS", target=b"*"), server(200), C400,
                                           problem(404, "not-found")))
    yield case("B32", "HEAD-hit", step(ask(b"HEAD"), ok(body=b"")), given=HIT)
    yield case("B32", "HEAD-miss", step(ask(b"HEAD"), problem(404, "key-not-found")))
    yield case("B33", "override", *(
        step(ask(b"GET", (name, b"DELETE")), ok(b"1"))
        for name in (b"X-HTTP-Method-Override", b"X-HTTP-Method", b"X-Method-Override")), given=HIT)
    yield case("B33", "override-in-query", step(
        ask(b"GET", target=b"/cache/k?_method=DELETE"), ok(b"1")), given=HIT)
    yield case("B34", "1000-letters", step(ask(b"A" * 1000), server_closes(501), NOT_ALLOWED,
                                          NOT_ALLOWED))


# --- bodies and their lengths --------------------------------------------------------------------

def lengths() -> Rows:
    """B35 to B53."""
    big = b"x" * (1 << 20)
    yield case("B35", "get-with-body", step(ask(b"GET", body=b"hello"), C400, MISS, MISS))
    yield case("B35", "head-with-body", step(ask(b"HEAD", body=b"hello"), C400, MISS, MISS))
    yield case("B36", "get-with-1-mib", step(ask(b"GET", body=big), C400, MISS, MISS))
    yield case("B37", "delete-miss", step(ask(b"DELETE", body=b"hello"), MISS))
    yield case("B37", "delete-hit", step(ask(b"DELETE", body=big), ok()), given=HIT, stored={})
    yield case("B38", "put-without-length", step(put(b"/cache/k", None), BODY_REQUIRED))
    yield case("B38", "post-without-length", step(ask(b"POST", target=b"/counters/k"),
                                                  server_closes(411), ok(b"1"), ok(b"1")))
    yield case("B38", "put-of-nothing", step(put(b"/cache/k", b""), BODY_REQUIRED), given=HIT)
    yield case("B38", "raw-of-nothing", step(Ask(b"PUT", b"/raw/k", (), b""), ok()),
               step(get(b"/raw/k"), ok(body=b"")), stored={b"k": ANY})
    yield case("B39", "empty-length", step(http_put(b"Content-Length:", body=b""), BODY_REQUIRED,
                                           C400))
    yield case("B40", "chunked", step(http_put(CHUNKED, body=chunked(BODY[:5], BODY[5:])), STORED))
    yield case("B40", "chunked-extensions-and-trailer", step(http_put(
        CHUNKED, body=b'B ; x="\r"; y\r\n' + BODY + b"\r\n0;z\r\nX-A: b\r\n\r\n"), STORED, C400))
    yield case("B40", "chunked-extension", step(http_put(
        CHUNKED, body=b"b;x=y\r\n" + BODY + b"\r\n0\r\n\r\n"), STORED))
    yield case("B40", "chunked-trailer", step(http_put(
        CHUNKED, body=b"b\r\n" + BODY + b"\r\n0\r\nX-A: b\r\n\r\n"), STORED))
    yield case("B40", "chunked-nothing", step(http_put(CHUNKED, body=b"0\r\n\r\n"), BODY_REQUIRED))
    for name, body in (
            ("letters", b"xyz\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("negative", b"-b\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("plus", b"+b\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("0x", b"0xb\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("space-before", b" b\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("17-digits", b"f" * 17 + b"\r\n" + BODY),
            ("no-size", b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
            ("longer-than-said", b"a\r\n" + BODY + b"\r\n0\r\n\r\n")):
        yield case("B41", f"chunked-{name}", step(http_put(CHUNKED, body=body), C400), given=HIT)
    for name, body in (("no-last-chunk", b"b\r\n" + BODY + b"\r\n"),
                       ("short-chunk", b"ff\r\n" + BODY),
                       ("no-end", b"b\r\n" + BODY + b"\r\n0\r\n")):
        yield case("B41", f"chunked-{name}",
                   step(http_put(CHUNKED, body=body, ends=True), HANGS_UP),
                   given=HIT)
    yield case("B42", "length-and-chunked", step(http_put(
        CHUNKED, b"Content-Length: 11", body=chunked(BODY)), C400))
    yield case("B42", "chunked-and-length", step(http_put(
        b"Content-Length: 3", CHUNKED, body=chunked(BODY)), C400))
    yield case("B43", "equal", step(http_put(b"Content-Length: 11", b"Content-Length: 11"), C400))
    yield case("B43", "different",
               step(http_put(b"Content-Length: 11", b"Content-Length: 12"), C400))
    for text in (b"+11", b"11a", b"-1", b"0xb", b"11,11", b"11, 11", b"9" * 20, b"11 11", b"1e1",
                 b"18446744073709551627", b"\xd9\xa1\xd9\xa1"):
        yield case("B44", text.decode()[:12], step(http_put(b"Content-Length: " + text), C400))
    yield case("B44", "0011", step(http_put(b"Content-Length: 0011"), STORED))
    yield case("B45", "empty-length-and-body", step(http_put(
        b"Content-Length:", body=BODY + b"\r\n\r\n"), [BODY_REQUIRED, C400], C400))
    yield case("B46", "gzip-chunked", step(http_put(
        b"Transfer-Encoding: gzip, chunked", body=chunked(BODY)), server_closes(501)))
    yield case("B46", "empty", step(http_put(b"Transfer-Encoding:", body=chunked(BODY)),
                                    [BODY_REQUIRED, C400], server_closes(501)))
    yield case("B46", "vertical-tab", step(http_put(
        b"Transfer-Encoding: \x0bchunked", body=chunked(BODY)), C400, server_closes(501)))
    yield case("B46", "nul", step(http_put(
        b"Transfer-Encoding: chunked\0", body=chunked(BODY)), C400))
    for value in (b"xchunked", b"identity", b"chunked, identity", b"chunked;q=1", b'"chunked"',
                  b"chunked, chunked"):
        yield case("B46", value.decode(), step(http_put(
            b"Transfer-Encoding: " + value, body=chunked(BODY)), server_closes(501)))
    yield case("B46", "twice", step(http_put(CHUNKED, CHUNKED, body=chunked(BODY)),
                                    STORED, C400))
    yield case("B47", "http-1.0", step(http(b"PUT /cache/k HTTP/1.0", CHUNKED, body=chunked(BODY)),
                                       C400))
    yield case("B48", "longer",
               step(http_put(b"Content-Length: 11", body=BODY + b"\x01garbage\r\n\r\n"),
                                     [STORED, C400]))
    yield case("B48", "longer-by-a-request", step(http_put(
        b"Content-Length: 11", body=BODY + b"GET /cache/k HTTP/1.1\r\nHost: x\r\n\r\n"),
        [STORED, STORED]))
    yield case("B49", "shorter", step(http_put(b"Content-Length: 1000", ends=True), HANGS_UP),
               given=HIT)
    fits = b'"' + b"x" * ((1 << 20) - 2) + b'"'
    yield case("B50", "at-the-limit", step(put(b"/cache/k", b'{"value":' + fits + b"}"), ok(fits)),
               stored={b"k": fits})
    yield case("B50", "one-more", step(put(b"/cache/k", b'{"value":"x' + fits[1:] + b"}"), problem(
        413, "value-too-large", "1048576")), given=HIT)
    yield case("B50", "raw-at-the-limit", step(Ask(b"PUT", b"/raw/k", (), big), ok()),
               step(get(b"/raw/k"), ok(body=big)), stored={b"k": ANY})
    yield case("B50", "raw-one-more", step(Ask(b"PUT", b"/raw/k", (), big + b"x"), problem(
        413, "value-too-large")), given=HIT)
    yield case("B50", "3-mib", step(put(b"/cache/k", b'{"value":"' + big * 3 + b'"}'),
                                    server_closes(413), server_closes(413),
                                    problem(413, "value-too-large")), given=HIT)
    yield case("B51", "10-gb", step(http_put(
        b"Content-Length: 10000000000", b"Expect: 100-continue", body=b""), server_closes(413)),
        given=HIT)
    yield case("B52", "expect-999", step(http_put(b"Expect: 999-x", b"Content-Length: 11"),
                                         STORED))
    yield case("B52", "expect-100", step(http_put(b"Expect: 100-continue", b"Content-Length: 11"),
                                         STORED))


def chunked(*pieces: bytes) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


# --- fields --------------------------------------------------------------------------------------

def fields() -> Rows:
    """B54 to B58, B63, B64, B98."""
    for name, host in (("none", ()), ("two", (b"Host: x", b"Host: y")), ("space", (b"Host: a b",)),
                       ("slash", (b"Host: a/b",)), ("empty", (b"Host:",)),
                       ("nul", (b"Host: a\0b",))):
        yield case("B54", f"host-{name}",
                   step(http(b"GET /cache/k HTTP/1.1", *host, host=False), C400))
    for name, text in (("2-kib", b"h" * 2048), ("user", b"u@x"), ("port", b"x:99999")):
        yield case("B54", f"host-{name}", step(http(
            b"GET /cache/k HTTP/1.1", b"Host: " + text, host=False), C400, MISS))
    yield case("B55", "200-fields", step(http_get(*(b"X-%d: a" % i for i in range(200))), MISS))
    yield case("B55", "260-fields", step(http_get(*(b"X-%d: a" % i for i in range(260))), problem(
        400, "malformed-request", "256")))
    yield case("B55", "field-9-kib",
               step(http_get(b"X-A: " + b"a" * 9000), server_closes(431), C400))
    yield case("B55", "fields-70-kib",
               step(http_get(*(b"X-%d: " % i + b"a" * 1000 for i in range(70))),
                                            server_closes(431), C400))
    yield case("B56", "nul", step(http_get(b"X-A: a\0b"), C400))
    yield case("B56", "cr", step(http_get(b"X-A: a\rb"), C400))
    yield case("B56", "bare-lf", step(http_get(b"X-A: a\nX-B: b"), C400, MISS))
    yield case("B56", "folded", step(http_get(b"X-A: a\r\n b"), MISS, C400))
    yield case("B56", "name-with-space", step(http_get(b"X A: a"), C400))
    yield case("B56", "space-before-colon", step(http_put(b"Content-Length : 11"), C400))
    yield case("B56", "no-colon", step(http_get(b"X-A"), C400, MISS))
    yield case("B56", "no-name", step(http_get(b": a"), C400))
    yield case("B57", "content-length", step(http_put(b"Content_Length: 3", b"Content-Length: 11"),
                                             STORED))
    yield case("B57", "content-type",
               step(http_put(b"Content_Type: text/html", b"Content-Length: 11"),
                                           STORED))
    yield case("B57", "if-match", step(http_put(b'If_Match: "x"', b"Content-Length: 11"), problem(
        412, "precondition-failed"), STORED))
    yield case("B57", "if-match-twice", step(http_put(b'If_Match: "x"', b"If-Match: *",
                                                      b"Content-Length: 11"), problem(
        400, "duplicate-field"), STORED), given=HIT)
    yield case("B58", "proxy", step(ask(b"GET", (b"Proxy", b"http://evil")), ok(b"1")), given=HIT)
    yield case("B63", "accept", step(ask(b"GET", (b"Accept", b"image/png")), ok(b"1")), given=HIT)
    for value in (b"bytes=0-1", b"bytes=-1", b"bytes=0-0,2-3", b"bytes=100-", b"lines=1"):
        yield case("B64", value.decode(), step(ask(b"GET", (b"Range", value)), ok(b"1")),
                   step(ask(b"GET", (b"Range", value), target=b"/raw/k"), ok(
                       body=b"1", fields={"Content-Range": None})), given=HIT)
    for other in (b"X-Forwarded-For", b"X-Real-IP", b"Forwarded", b"X-Original-URL",
                  b"X-Rewrite-URL"):
        yield case("B98", other.decode(), step(ask(b"GET", (other, b"/cache/other")), ok(b"1")),
                   given=HIT)


# --- connections and protocols -------------------------------------------------------------------

def protocols() -> Rows:
    """B103 to B105."""
    two = http_put(b"Content-Length: 11").data + http_get().data
    yield case("B103", "two-in-one", step(Wire(two), [STORED, STORED]))
    yield case("B103", "ten-in-one", step(Wire(http_get().data * 10), [ok(b"1")] * 10), given=HIT)
    yield case("B103", "second-malformed", step(Wire(http_get().data + b"\x01\x02\x03\r\n\r\n"),
                                                [ok(b"1"), C400]), given=HIT)
    yield case("B103", "second-invalid", step(Wire(
        http_get().data + b"GET /cache/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        [ok(b"1"), problem(400, "invalid-key")]), given=HIT)
    yield case("B104", "http-0.9", step(Wire(b"GET /cache/k\r\n\r\n"), C400, BARE), given=HIT)
    yield case("B104", "http-2-preface", step(Wire(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                                              server_closes(505), C400))
    yield case("B104", "http-3.0", step(http(b"GET /cache/k HTTP/3.0"), server_closes(505)),
               given=HIT)
    yield case("B104", "http-1.2", step(http(b"GET /cache/k HTTP/1.2"), server_closes(505),
                                        ok(b"1")), given=HIT)
    yield case("B104", "http-11", step(http(b"GET /cache/k HTTP/11"), server_closes(505)),
               given=HIT)
    tls = bytes.fromhex("16030100c4010000c00303") + bytes(range(186))
    yield case("B104", "tls", step(Wire(tls), C400))
    yield case("B104", "random", step(Wire(random.Random(7).randbytes(2000) + b"\r\n\r\n"), C400))
    yield case("B105", "h2c", step(http_get(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__"), ok(b"1")), given=HIT)
    yield case("B105", "websocket", step(http_get(
        b"Connection: Upgrade", b"Upgrade: websocket"), ok(b"1")), given=HIT)


CASES = [*queries(), *methods(), *lengths(), *fields(), *protocols()]
