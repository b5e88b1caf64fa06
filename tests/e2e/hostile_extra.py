"""Hostile input that lists of such things leave out: rows X4 on (X1 to X3 are targets).

Smuggling through each web server, names and bytes of fields that servers let pass, and hostile
documents for the routes that stand beside /cache/.
"""

from __future__ import annotations

from collections.abc import Iterator

import fcgi
from hostile import (ANY, BODY, HANGS_UP, JSON, WHATEVER, Ask, Case, Field, Wire, case, get, http,
                     http_get, http_put, ok, problem, put, server_closes, step)
from hostile_fastcgi import GET, PUT, asking, changed

HIT = {b"k": b"1"}
MISS = problem(404, "key-not-found")
STORED = ok(b"1")
C400 = server_closes(400)
C501 = server_closes(501)
BAD_FIELD = problem(400, "invalid-field")
BAD_TAG = problem(422, "invalid-tag")
BAD_CONDITION = problem(400, "invalid-precondition")
FAILED = problem(412, "precondition-failed")
BODY_REQUIRED = problem(400, "body-required")
SCHEMA = problem(422, "schema-violation")

Rows = Iterator[Case]


def request_lines() -> Rows:
    """X4: ways to write the first lines of a request."""
    for name, line, lighttpd, nginx in (
            ("one-empty-line-before", b"\r\nGET /cache/k HTTP/1.1", C400, STORED),
            ("two-empty-lines-before", b"\r\n\r\nGET /cache/k HTTP/1.1", C400, STORED),
            ("two-spaces", b"GET  /cache/k  HTTP/1.1", C400, STORED),
            ("tabs", b"GET\t/cache/k\tHTTP/1.1", C400, C400),
            ("a-word-more", b"GET /cache/k HTTP/1.1 x", C400, C400),
            ("http-1.10", b"GET /cache/k HTTP/1.10", C400, STORED),
            ("lower-case", b"GET /cache/k http/1.1", C400, C400),
            ("control", b"GET /cache/k\x01 HTTP/1.1", C400, C400),
            ("nul", b"GET /cache/k\0x HTTP/1.1", C400, C400),
            ("no-slash", b"GET cache/k HTTP/1.1", C400, C400),
            ("only-a-fragment", b"GET #/cache/k HTTP/1.1", C400, C400),
            ("another-host", b"GET http://other/cache/k HTTP/1.1", C400, STORED),
            ("user-and-password", b"GET http://u:p@x/cache/k HTTP/1.1", C400, C400),
            ("https", b"GET https://x/cache/k HTTP/1.1", STORED, STORED),
            ("authority-and-query", b"GET http://x?y HTTP/1.1", C400, ok()),
            ("query-with-fragment", b"GET /cache/k?a#b HTTP/1.1", STORED, STORED),
            ("query-with-crlf", b"GET /cache/k?a=%0d%0aX-Injected:%20b HTTP/1.1", C400, STORED),
            ("query-with-nul", b"GET /cache/k?a=%00 HTTP/1.1", C400, STORED)):
        yield case("X4", name, step(http(line), lighttpd, nginx), given=HIT)
    yield case("X4", "lines-end-in-lf",
               step(Wire(b"GET /cache/k HTTP/1.1\nHost: x\n\n"), C400, STORED),
               given=HIT)
    yield case("X4", "white-space-before-a-field", step(http(
        b"GET /cache/k HTTP/1.1\r\n X: y"), C400, C400), given=HIT)


INNER = b"DELETE /cache/k HTTP/1.1\r\nHost: x\r\n\r\n"


def smuggling() -> Rows:
    """X5: a second request inside of the first by one reading of its length, none by another.

    With one server in between there is no second reader; what is pinned is that the server reads it
    in one way, and that what it reads as a body never runs.
    """
    ended = b"0\r\n\r\n" + INNER
    for name, fields, says in (
            ("cl-te", (b"Content-Length: %d" % len(ended), b"Transfer-Encoding: chunked"), (C400,)),
            ("te-cl", (b"Transfer-Encoding: chunked", b"Content-Length: 4"), (C400,)),
            ("cl-te-lower", (b"content-length: 5", b"transfer-encoding: CHUNKED"), (C400,)),
            ("te-te-unknown", (b"Transfer-Encoding: chunked", b"Transfer-Encoding: x"),
             (C501, C400)),
            ("te-te-identity", (b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"),
             (C501, C400)),
            ("te-space-before-colon", (b"Transfer-Encoding : chunked", b"Content-Length: 5"),
             (C400,)),
            ("te-folded", (b"Transfer-Encoding:\r\n chunked", b"Content-Length: 5"), (C501, C400)),
            ("te-folded-into", (b"X: y\r\n Transfer-Encoding: chunked", b"Content-Length: 5"), (
                [SCHEMA, ok()], C400)),
            ("te-form-feed", (b"Transfer-Encoding: \x0cchunked", b"Content-Length: 5"),
             (C400, C501)),
            ("te-tab", (b"Transfer-Encoding:\tchunked", b"Content-Length: 5"), (C400, C501)),
            ("te-comma", (b"Transfer-Encoding: ,chunked", b"Content-Length: 5"), (C501,)),
            ("te-bare-lf", (b"X: y\nTransfer-Encoding: chunked", b"Content-Length: 5"), (C400,)),
            ("te-bare-cr", (b"X: y\rTransfer-Encoding: chunked", b"Content-Length: 5"), (C400,)),
            ("te-http-1.0-style", (b"Transfer-Encoding: chunked", b"Connection: Transfer-Encoding",
                                   b"Content-Length: 5"), (C400,)),
            ("cl-twice", (b"Content-Length: 0", b"Content-Length: 5"), (C400,)),
            ("cl-list", (b"Content-Length: 5, 5",), (C400,)),
            ("cl-space-before-colon", (b"Content-Length : 5",), (C400,)),
            ("cl-form-feed", (b"Content-Length: \x0c5",), (C400,))):
        yield case("X5", name, step(http_put(*fields, body=ended), *says), given=HIT,
                   stored={} if name == "te-folded-into" else HIT)
    # These names are others: the length is what Content-Length says, the rest another request.
    for name, field in (("te-underscore", b"Transfer_Encoding: chunked"),
                        ("te-in-a-name", b"X-Transfer-Encoding: chunked"),
                        ("cl-underscore", b"Content_Length: 100")):
        yield case("X5", name, step(http_put(field, b"Content-Length: 5", body=ended),
                                    [SCHEMA, ok()]), given=HIT, stored={})
    for name, body, says in (
            ("lf", b"b\n" + BODY + b"\n0\n\n", (C400, STORED)),
            ("lf-after-extension", b"b;x\n" + BODY + b"\r\n0\r\n\r\n", (STORED,)),
            ("space-after-size", b"b \r\n" + BODY + b"\r\n0\r\n\r\n", (STORED,)),
            ("leading-zeros", b"0" * 30 + b"b\r\n" + BODY + b"\r\n0\r\n\r\n", (STORED,)),
            ("2-to-the-64-and-11", b"1000000000000000b\r\n" + BODY + b"\r\n0\r\n\r\n", (C400,)),
            ("2-to-the-63", b"8000000000000000\r\n" + BODY, (C400,)),
            ("long-extension", b"b;" + b"x" * 20_000 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
             (C400, STORED)),
            ("fields-in-the-trailer",
             b"b\r\n" + BODY + b'\r\n0\r\nIf-Match: "x"\r\nContent-Length: 3'
             b"\r\nTransfer-Encoding: chunked\r\n\r\n", (STORED,))):
        yield case("X5", f"chunk-{name}", step(http_put(b"Transfer-Encoding: chunked", body=body),
                                               *says))
    # lighttpd takes it for the last chunk, and waits for the end of the trailer.
    yield case("X5", "chunk-size-after-nul", step(http_put(
        b"Transfer-Encoding: chunked", body=b"0\0b\r\n" + BODY + b"\r\n0\r\n\r\n", ends=True),
        HANGS_UP, C400), given=HIT)
    # What a server reads as the body of a GET or DELETE.
    yield case("X5", "get-with-a-request-as-body", step(http_get(
        b"Content-Length: %d" % len(INNER), body=INNER), C400, STORED), given=HIT)
    yield case("X5", "get-with-a-chunked-request", step(http_get(
        b"Transfer-Encoding: chunked", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(INNER), INNER)), C400,
        STORED), given=HIT)
    yield case("X5", "put-of-a-request", step(Ask(b"PUT", b"/raw/k", (), INNER), ok()),
        step(get(b"/raw/k"), ok(body=INNER)), stored={b"k": ANY})


BAD_JSON = problem(400, "invalid-json")


def names() -> Rows:
    """X6: names of fields that may be taken for others."""
    for name in (b"If_Match", b"If.Match", b"If!Match", b"If~Match"):
        # lighttpd 1.4.69 makes the same parameter of all of them; nginx drops them.
        yield case("X6", name.decode(), step(http_put(
            name + b': "x"', b"Content-Length: 11"), FAILED, STORED), given=HIT)
        yield case("X6", f"{name.decode()}-and-the-field", step(http_put(
            name + b': "x"', b"If-Match: *", b"Content-Length: 11"), problem(
            400, "duplicate-field", "If-Match"), STORED), given=HIT)
    for name in (b"HTTP-If-Match", b"X-If-Match", b"If-Match-X", b"If-Matc", b"Request-Uri",
                 b"Request-Method", b"Script-Name", b"Path-Info", b"Query-String", b"Remote-User",
                 b"Content-Typ", b"Redirect-Uri"):
        yield case("X6", name.decode(), step(Ask(b"PUT", b"/cache/k", [JSON, (name, b'"x"')], BODY),
                                             STORED))
    yield case("X6", "named-in-connection", step(Ask(b"PUT", b"/cache/k", [
        JSON, (b"Connection", b"If-Match"), (b"If-Match", b'"x"')], BODY), FAILED), given=HIT)
    for text in (b"if-match", b"IF-MATCH", b"iF-mAtCh"):
        yield case("X6", text.decode(), step(Ask(b"PUT", b"/cache/k", [JSON, (text, b'"x"')], BODY),
                                             FAILED), given=HIT)


def values() -> Rows:
    """X7: bytes in fields that nginx lets pass."""
    for code in (0x01, 0x0b, 0x1b, 0x7f):
        odd = bytes([code])
        yield case("X7", f"type-{code:02x}", step(Ask(b"PUT", b"/raw/k", [
            (b"Content-Type", b"a/b" + odd)], b"x"), C400, BAD_FIELD, BAD_FIELD))
        yield case("X7", f"coding-{code:02x}", step(Ask(b"PUT", b"/raw/k", [
            (b"Content-Encoding", b"gz" + odd)], b"x"), C400, BAD_FIELD, BAD_FIELD))
        yield case("X7", f"groups-{code:02x}", step(Ask(b"PUT", b"/raw/k", [
            (b"Cache-Groups", b'"a' + odd + b'b"')], b"x"), C400, BAD_FIELD, BAD_FIELD))
        yield case("X7", f"condition-{code:02x}", step(Ask(b"PUT", b"/cache/k", [
            JSON, (b"If-Match", b'"a' + odd + b'"')], BODY), C400, BAD_CONDITION, BAD_CONDITION),
            given=HIT)
        yield case("X7", f"preference-{code:02x}", step(Ask(b"PUT", b"/cache/k", [
            JSON, (b"Prefer", b"return=minimal" + odd)], BODY), C400, STORED, STORED))
    for text in (b"\xff", b"\xc3\xa9"):
        yield case("X7", f"type-{text.hex()}", step(Ask(b"PUT", b"/raw/k", [
            (b"Content-Type", b"a/b;x=" + text)], b"x"), BAD_FIELD))
        yield case("X7", f"groups-{text.hex()}", step(Ask(b"PUT", b"/raw/k", [
            (b"Cache-Groups", b'"' + text + b'"')], b"x"), BAD_FIELD))
        yield case("X7", f"condition-{text.hex()}", step(Ask(b"PUT", b"/cache/k", [
            JSON, (b"If-Match", b'"' + text + b'"')], BODY), FAILED), given=HIT)


def groups() -> Rows:
    """X8: Cache-Groups of a raw PUT."""
    def tagged(*values: bytes) -> Ask:
        return Ask(b"PUT", b"/raw/k", [(b"Cache-Groups", value) for value in values], b"x")

    for name, texts, say in (
            ("token", (b"a",), BAD_FIELD), ("number", (b"1",), BAD_FIELD),
            ("no-comma", (b'"a" "b"',), BAD_FIELD), ("trailing-comma", (b'"a",',), BAD_FIELD),
            ("open", (b'"a',), BAD_FIELD), ("inner-list", (b'("a")',), BAD_FIELD),
            ("escape", (b'"\\a"',), BAD_FIELD), ("bytes", (b":YQ==:",), BAD_FIELD),
            ("empty-string", (b'""',), BAD_TAG), ("parameter-open", (b'"a";x="y',), BAD_FIELD),
            ("parameter-name", (b'"a";X',), BAD_FIELD),
            ("129-bytes", (b'"' + b"x" * 129 + b'"',), BAD_TAG),
            ("33", (b", ".join(b'"t%d"' % i for i in range(33)),), BAD_TAG),
            ("4-kib-of-quotes", (b'"' * 4001,), BAD_TAG),
            ("one-bad-of-two-lines", (b'"a"', b"b"), BAD_FIELD)):
        yield case("X8", name, step(tagged(*texts), say), given=HIT)
    for name, texts, shown in (
            ("two-lines", (b'"a"', b'"b"'), '"a", "b"'), ("the-same-twice", (b'"a", "a"',), '"a"'),
            ("parameters", (b'"a";x;y=1;z="\\""',), '"a"'),
            ("quoted", (b'"\\"\\\\"',), '"\\"\\\\"'),
            ("blanks", (b'  "a"\t,\t"b" ',), '"a", "b"'), ("none", (b"",), None),
            ("32", (b", ".join(b'"t%d"' % i for i in range(32)),),
             ", ".join(f'"t{i}"' for i in range(32)))):
        yield case("X8", name, step(tagged(*texts), ok()), step(get(b"/raw/k"), ok(
            body=b"x", fields={"Cache-Groups": shown})), stored=WHATEVER)
    yield case("X8", "not-of-json", step(Ask(b"PUT", b"/cache/k", [JSON, (b"Cache-Groups", b"a b")],
                                             BODY), STORED))


def preferences() -> Rows:
    """X9: Prefer."""
    for name, texts, minimal in (
            ("minimal", (b"return=minimal",), True), ("upper", (b'RETURN="Minimal"',), True),
            ("blanks", (b"return = minimal ; x",), True),
            ("first-counts", (b"return=representation, return=minimal",), False),
            ("two-lines", (b"wait=5", b"return=minimal"), True),
            ("first-line-counts", (b"return=minimal", b"return=representation"), True),
            ("empty-elements", (b",, return=minimal ,",), True),
            ("unreadable", (b"return=minimal, @",), False),
            ("open-quote", (b'return="minimal',), False),
            ("no-value", (b"return",), False), ("longer", (b"return=minimals",), False),
            ("value-with-escape", (b'return="m\\inimal"',), True),
            ("7-kib", (b"a;" * 3500 + b"b, return=minimal",), True)):
        says = ok(status=204,
                  fields={"Preference-Applied": "return=minimal"}) if minimal else STORED
        yield case("X9", name, step(Ask(b"PUT", b"/cache/k", [
            JSON, *((b"Prefer", text) for text in texts)], BODY), says))
    yield case("X9", "errors-stay", step(Ask(b"PUT", b"/cache/k", [
        JSON, (b"Prefer", b"return=minimal")], b"{"), BAD_JSON), given=HIT)


CSP: dict[str, str | None] = {"Content-Security-Policy": "sandbox", "Set-Cookie": None,
                              "X-Injected": None}


def foreign() -> Rows:
    """X10: what another program, or an attacker with access to Redis, has put there."""
    for name, header in (
            ("type-crlf", b'{"type":"text/html\\r\\nSet-Cookie: a=b"}'),
            ("type-lf", b'{"type":"text/html\\nSet-Cookie: a=b"}'),
            ("type-empty", b'{"type":""}'), ("type-utf-8", '{"type":"é/b"}'.encode()),
            ("type-long", b'{"type":"' + b"x" * 300 + b'"}'), ("type-number", b'{"type":1}'),
            ("coding-crlf", b'{"type":"a/b","coding":"gzip\\r\\nX-Injected: 1"}'),
            ("coding-alone", b'{"coding":"gzip"}'),
            ("twice", b'{"type":"a/b","type":"c/d"}'), ("unknown", b'{"type":"a/b","x":1}'),
            ("idle-negative", b'{"idle":-1,"id":"' + b"0" * 32 + b'"}'),
            ("idle-without-id", b'{"idle":5}'), ("tags-array", b'{"tags":["a"]}'),
            ("tags-bad-nonce", b'{"tags":{"a":"x"}}'), ("deep", b"[" * 1000), ("not-json", b"{"),
            ("nul", b'{"type":"a\0b"}')):
        stored = b"\0larder1 " + header + b"\n<script>"
        yield case("X10", name, step(get(b"/raw/k"), ok(body=stored, fields={
            **CSP, "Content-Type": "text/plain; charset=utf-8"})),
            step(get(b"/cache/k"), ok()), given={b"k": stored})
    for name, stored, kind in (
            ("html", b"<script>alert(1)</script>", "text/plain; charset=utf-8"),
            ("bytes", b"\xff<script>", "application/octet-stream"),
            ("resp", b"-ERR x\r\n$-1\r\n", "text/plain; charset=utf-8"),
            ("records", fcgi.begin() + fcgi.record(fcgi.END, b"\0" * 8),
             "text/plain; charset=utf-8"),
            ("nearly-json", b'{"a":1', "text/plain; charset=utf-8"),
            ("two-documents", b"1 2", "text/plain; charset=utf-8")):
        yield case("X10", name, step(get(b"/raw/k"), ok(body=stored, fields={
            **CSP, "Content-Type": kind})), step(get(b"/cache/k"), ok()), given={b"k": stored})


def send(method: bytes, target: bytes, body: bytes, *fields: Field) -> Ask:
    """A request with a JSON document."""
    return Ask(method, target, fields or (JSON,), body)


def patches() -> Rows:
    """X11: PATCH."""
    merge: Field = (b"Content-Type", b"application/merge-patch+json")
    obj = {b"k": b'{"a":{"b":1.10},"a2":[1]}'}
    for name, body, say in (
            ("not-json", b"{", BAD_JSON), ("array", b"[]", SCHEMA), ("null", b"null", SCHEMA),
            ("value-null", b'{"value":null}', SCHEMA),
            ("tags", b'{"tags":[]}', problem(422, "unknown-field", "tags")),
            ("twice", b'{"value":{},"value":{}}', problem(400, "duplicate-field")),
            ("deep", b'{"value":' + b'{"a":' * 200 + b"1" + b"}" * 201, problem(400, "too-deep")),
            ("surrogate", b'{"value":{"\\ud800":1}}', BAD_JSON), ("nothing", b"", BODY_REQUIRED)):
        yield case("X11", name, step(send(b"PATCH", b"/cache/k", body, merge), say), given=obj)
    for name, body, kept in (
            ("empty", b"{}", obj[b"k"]), ("empty-value", b'{"value":{}}', obj[b"k"]),
            ("name-in-escapes", b'{"value":{"\\u0061":{"b":2}}}', b'{"a":{"b":2},"a2":[1]}'),
            ("remove", b'{"value":{"a":null,"x":null}}', b'{"a2":[1]}'),
            ("proto", b'{"value":{"__proto__":{"x":1}}}',
             b'{"a":{"b":1.10},"a2":[1],"__proto__":{"x":1}}'),
            ("empty-name", b'{"value":{"":1}}', b'{"a":{"b":1.10},"a2":[1],"":1}')):
        yield case("X11", name, step(send(b"PATCH", b"/cache/k", body, merge), ok(kept)), given=obj,
                   stored={b"k": kept})
    big = b'{"a":"' + b"x" * 1_000_000 + b'"}'
    yield case("X11", "sum-too-large", step(send(
        b"PATCH", b"/cache/k", b'{"value":{"b":"' + b"y" * 1_000_000 + b'"}}', merge), problem(
        413, "value-too-large")), given={b"k": big})


def counters() -> Rows:
    """X12: POST /counters."""
    for name, body, say in (
            ("real", b'{"by":1.5}', SCHEMA), ("exponent", b'{"by":1e1}', SCHEMA),
            ("string", b'{"by":"1"}', SCHEMA),
            ("2-to-the-63", b'{"by":9223372036854775808}', SCHEMA),
            ("minus-zero", b'{"by":-0}', SCHEMA),
            ("digits", b'{"by":' + b"1" * 10_000 + b"}", SCHEMA),
            ("array", b"[1]", SCHEMA), ("value", b'{"value":1}', problem(422, "unknown-field")),
            ("twice", b'{"by":1,"by":2}', problem(400, "duplicate-field")),
            ("overflow", b'{"by":9223372036854775807}', problem(409, "counter-overflow")),
            ("form", b"by=1", BAD_JSON)):
        yield case("X12", name, step(send(b"POST", b"/counters/k", body), say), given=HIT)
    for stored in (b"1.0", b"01", b"+1", b'"1"', b"9223372036854775808", b"1e3", b"\xd9\xa1",
                   b"null"):
        yield case("X12", f"over-{stored.decode()}",
                   step(send(b"POST", b"/counters/k", b""), problem(
            409, "not-an-integer")), given={b"k": stored})


def listings() -> Rows:
    """X13: GET /keys."""
    for name, query, say in (
            ("limit-overflow", b"limit=99999999999999999999", BAD_PARAMETER),
            ("limit-sign", b"limit=%2B1", BAD_PARAMETER), ("limit-nul", b"limit=1%00", (
                C400, BAD_PARAMETER, BAD_PARAMETER)),
            ("cursor-overflow", b"cursor=18446744073709551616", BAD_PARAMETER),
            ("cursor-command", b"cursor=0%20MATCH%20*", BAD_PARAMETER),
            ("prefix-nul", b"prefix=%00", (C400, BAD_PARAMETER, BAD_PARAMETER)),
            ("prefix-bytes", b"prefix=%ff", (C400, BAD_PARAMETER, BAD_PARAMETER)),
            ("prefix-long", b"prefix=" + b"k" * 513, BAD_PARAMETER),
            ("prefix-broken", b"prefix=%zz", BAD_PARAMETER)):
        yield case("X13", name, step(get(b"/keys?" + query), *(say if isinstance(say, tuple) else (
            say,))), given=HIT)
    patterns = {b"k*": b"1", b"k?": b"1", b"k[a]": b"1", b"k\\": b"1", b"ka": b"1", b"k^-": b"1"}
    for pattern in patterns:
        query = b"".join(b"%%%02X" % code for code in pattern)
        listed = pattern.replace(b"\\", b"\\\\")
        rest = {other: text for other, text in patterns.items() if other != pattern}
        yield case("X13", f"literal-{pattern.decode()}",
                   step(get(b"/keys?limit=1000&prefix=" + query), ok(
            body=b'{"keys":["' + listed + b'"],"cursor":null}')),
            step(Ask(b"DELETE", b"/cache?prefix=" + query), ok()), given=patterns, stored=rest)


BAD_PARAMETER = problem(400, "invalid-parameter")


def other_routes() -> Rows:
    """X14: hostile keys, methods and documents on routes beside /cache/."""
    for path in (b"/raw/", b"/counters/"):
        method, body = (b"PUT", b"x") if path == b"/raw/" else (b"POST", b"{}")
        for tail, says in ((b"", (problem(400, "invalid-key"),)), (b"%00", (C400, C400, problem(
                400, "invalid-key"))), (b"a/../b", (problem(400, "malformed-path"),)),
                (b"%zz", (problem(400, "malformed-path"), C400, problem(400, "malformed-path"))),
                (b"k" * 513, (problem(400, "key-too-long"),))):
            yield case("X14", f"{path.decode()}{tail[:8].decode()}", step(
                Ask(method, path + tail, [JSON], body), *says))
    for target in (b"/keys", b"/stats", b"/health", b"/metrics", b"/openapi.json", b"/docs", b"/"):
        for method in (b"PUT", b"DELETE", b"POST", b"PATCH"):
            yield case("X14", f"{method.decode()}{target.decode()}", step(
                Ask(method, target, [JSON], BODY), problem(405, "method-not-allowed")), given=HIT)
    for text, say in ((b'{"operations":[{"method":"\\u0047ET","key":"k"}]}', ok()),
                      (b'{"operations":[{"m\\u0065thod":"GET","key":"\\u006b"}]}', ok()),
                      (b'{"operations":[' + b"[" * 200 + b"]" * 200 + b"]}",
                       problem(400, "too-deep")),
                      (b'{"operations":[{"method":"GET","key":"\\ud800"}]}', BAD_JSON),
                      (b'{"operations":[],"operations":[]}', problem(400, "duplicate-field")),
                      (b'{"operations":{"0":{"method":"DELETE","key":"k"}}}', SCHEMA),
                      (b'{"operations":[{"method":"DELETE","key":"k"}],"atomic":true}', problem(
                          422, "unknown-field"))):
        yield case("X14", f"batch-{text[15:40].decode()}",
                   step(send(b"POST", b"/batch", text), say),
                   given=HIT, stored=HIT)


def tags() -> Rows:
    """X15: tags in a document."""
    for name, text in (
            ("string", b'"a"'), ("object", b'{"a":"b"}'), ("number-in-it", b"[1]"),
            ("null-in-it", b"[null]"),
            ("empty-in-it", b'[""]'), ("nested", b'["a",["b"]]'), ("nul", b'["\\u0000"]'),
            ("true", b"true"), ("del", b'["\\u007f"]'),
            ("130-of-utf-8", b'["' + "é".encode() * 65 + b'"]'),
            ("lf", b'["a\\nb"]'), ("c1", b'["\\u0085"]'), ("129", b'["' + b"x" * 129 + b'"]'),
            ("a-megabyte", b'["' + b"x" * 1_000_000 + b'"]'),
            ("33", b"[" + b",".join(b'"%d"' % i for i in range(33)) + b"]")):
        yield case("X15", name,
                   step(put(b"/cache/k", b'{"value":1,"tags":' + text + b"}"), BAD_TAG),
                   given=HIT)
    same = b",".join([b'"\\u0061"', b'"a"'] * 50_000)
    yield case("X15", "100000-times-the-same", step(put(
        b"/cache/k", b'{"value":1,"tags":[' + same + b"]}"), ok(fields={})), stored=WHATEVER)


def contradictions() -> Rows:
    """X16: parameters that contradict each other, straight to larderd."""
    for name, more in (
            ("script-name", [(b"SCRIPT_NAME", b"/cache"), (b"PATH_INFO", b"/other")]),
            ("query-string", [(b"QUERY_STRING", b"ttl=5")]),
            ("redirect", [(b"REDIRECT_URI", b"/cache/x")]),
            ("document", [(b"DOCUMENT_URI", b"/x"), (b"SCRIPT_FILENAME", b"/etc/passwd")]),
            ("length-field", [(b"HTTP_CONTENT_LENGTH", b"999")]),
            ("proxy", [(b"HTTP_PROXY", b"http://e")]),
            ("method", [(b"HTTP_REQUEST_METHOD", b"DELETE"), (b"REQUEST_METHOD_", b"DELETE")]),
            ("lower-case", [(b"request_uri", b"/cache/x"), (b"Request_Method", b"DELETE")]),
            ("empty-name", [(b"", b"x"), (b"", b"")]), ("loader", [(b"LD_PRELOAD", b"/tmp/x.so")]),
            ("twice-unknown", [(b"X", b"1"), (b"X", b"2")])):
        yield case("X16", name, asking([*GET, *more], ok(b"1")), asking([*more, *GET], ok(b"1")),
                   given=HIT)
    yield case("X16", "no-body-and-type", asking(changed(PUT, CONTENT_LENGTH=b"0"), BODY_REQUIRED),
               given=HIT)
    for name, more, say in (
            ("types-differ", [(b"HTTP_CONTENT_TYPE", b"text/html")], STORED),
            ("codings-twice", [(b"HTTP_CONTENT_ENCODING", b"identity"),
                               (b"HTTP_CONTENT_ENCODING", b"gzip")], problem(
                415, "unsupported-content-coding"))):
        yield case("X16", name, asking([*PUT, *more], say, BODY))
    yield case("X16", "ten-thousand-records", asking(PUT, problem(400, "incomplete-body"),
                                                     BODY + b" " * 10_000, chunk=1), given=HIT)


def codings() -> Rows:
    """X17: Content-Encoding in several lines, which are one list (RFC 9110, 5.3)."""
    def coded(*values: bytes, path: bytes = b"/raw/k") -> Ask:
        return Ask(b"PUT", path, [JSON, *((b"Content-Encoding", value) for value in values)], BODY)

    yield case("X17", "two-lines", step(coded(b"gzip", b"br"), ok()), step(get(b"/raw/k"), ok(
        body=BODY, fields={"Content-Encoding": "gzip, br"})), stored={b"k": ANY})
    yield case("X17", "two-lines-of-json",
               step(coded(b"identity", b"gzip", path=b"/cache/k"), problem(
        415, "unsupported-content-coding")), given=HIT)
    yield case("X17", "a-bad-second-line", step(coded(b"gzip", b"a b"), BAD_FIELD), given=HIT)


CASES = [*request_lines(), *smuggling(), *names(), *values(), *groups(), *preferences(), *foreign(),
         *patches(), *counters(), *listings(), *other_routes(), *tags(), *contradictions(),
         *codings()]
