"""Hostile conditions, deletions and batches: rows B85 to B92 and B99 to B102."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hostile import JSON, Ask, Case, case, get, ok, problem, put, server_closes, step

HIT = {b"k": b"1"}
# Of the entry 1, known since it depends on nothing else.
TAG = b'"df3ce784d856334d65cd25028f98f158"'
FAILED = problem(412, "precondition-failed")
BAD = problem(400, "invalid-precondition")
MISS = problem(404, "key-not-found")
DUPLICATE = problem(400, "duplicate-field")
NEW = b'{"value":2}'
WRITTEN = {b"k": b"2"}
C400 = server_closes(400)
BAD_PARAMETER = problem(400, "invalid-parameter", "nothing was")

Rows = Iterator[Case]


def write(*fields: tuple[bytes, bytes]) -> Ask:
    """A conditional PUT."""
    return put(b"/cache/k", NEW, JSON, *fields)


def match(value: bytes) -> tuple[bytes, bytes]:
    """If-Match."""
    return b"If-Match", value


def none_match(value: bytes) -> tuple[bytes, bytes]:
    """If-None-Match."""
    return b"If-None-Match", value


def conditions() -> Rows:
    """B85 to B92."""
    yield case("B85", "existing", step(write(none_match(b"*")), FAILED), given=HIT)
    yield case("B85", "absent", step(write(none_match(b"*")), ok(b"2")), stored=WRITTEN)
    for value in (b'"wrong"', b"W/" + TAG, b'""', TAG[:-1] + b'x"'):
        yield case("B86", value.decode(), step(write(match(value)), FAILED),
                   step(Ask(b"DELETE", b"/cache/k", [match(value)]), FAILED), given=HIT)
    yield case("B86", "star-on-absent", step(write(match(b"*")), FAILED))
    yield case("B86", "the-tag", step(write(match(TAG)), ok(b"2")), given=HIT, stored=WRITTEN)
    for name, value in (
            ("unquoted", b"x"), ("one-quote", b'"'), ("no-comma", b'"a" "b"'), ("open", b'"a'),
            ("weak-alone", b"W/"), ("lower-weak", b'w/"a"'), ("star-and-tag", b'*, "a"'),
            ("commas", b","), ("space-inside", b'"a b"'), ("escape", b'"a\\" b"'),
            ("500-tags", b", ".join([b'"a"'] * 500)), ("65-tags", b", ".join([b'"a"'] * 65)),
            ("7-kib", b'"' + b"a" * 7000 + b'"')):
        yield case("B87", name, *(s for field in (match(value), none_match(value)) for s in (
            step(write(field), BAD), step(get(b"/cache/k", field), BAD),
            step(Ask(b"DELETE", b"/raw/k", [field]), BAD))), given=HIT)
    yield case("B87", "8-kib",
               step(write(match(b'"' + b"a" * 8200 + b'"')), server_closes(431), C400,
                                    BAD), given=HIT)
    for field in (match(b""), none_match(b"")):
        # lighttpd leaves empty fields out.
        yield case("B87", f"empty-{field[0].decode()}", step(write(field), ok(b"2"), BAD, BAD),
                   given=HIT, stored=WRITTEN)
    yield case("B88", "wrong-and-right", step(write(match(b'"x"'), match(TAG)), ok(b"2"), C400,
                                              DUPLICATE), given=HIT, stored=WRITTEN)
    yield case("B88", "wrong-twice", step(write(match(b'"x"'), match(b'"y"')), FAILED, C400,
                                          DUPLICATE), given=HIT)
    yield case("B88", "star-and-tag", step(write(match(b"*"), match(b'"x"')), BAD, C400,
                                           DUPLICATE), given=HIT)
    # Only the first comes through lighttpd: as if the client had sent that alone.
    yield case("B89", "star-first", step(write(none_match(b"*"), none_match(b'"x"')), FAILED, C400,
                                         DUPLICATE), given=HIT)
    yield case("B89", "star-last", step(write(none_match(b'"x"'), none_match(b"*")), ok(b"2"), C400,
                                        DUPLICATE), given=HIT, stored=WRITTEN)
    for first, second, put_say, get_say in (
            (TAG, b"*", FAILED, ok(status=304)), (TAG, b'"x"', ok(b"2"), ok(b"1")),
            (b'"x"', b'"x"', FAILED, FAILED), (b'"x"', b"*", FAILED, FAILED),
            (b"*", TAG, FAILED, ok(status=304))):
        both = (none_match(second), match(first))
        yield case("B90", f"{first.decode()[:4]}-{second.decode()[:4]}",
                   step(get(b"/cache/k", *both), get_say), step(write(*both), put_say), given=HIT,
                   stored=WRITTEN)
    for value in (b"garbage", b"Fri, 31 Dec 9999 23:59:59 GMT", b"Thu, 01 Jan 1970 00:00:00 GMT",
                  b"-1"):
        yield case("B91", value.decode(),
                   *(s for name in (b"If-Modified-Since", b"If-Unmodified-Since")
                                            for s in (step(get(b"/cache/k", (name, value)),
                                                           ok(b"1")),
                                                      step(write((name, value)), ok(b"2")),
                                                      step(put(b"/cache/k", b'{"value":1}'),
                                                           ok(b"1")))),
                   given=HIT, stored=HIT)
    for name, value in (("the-tag", TAG), ("weak", b"W/" + TAG), ("star", b"*"),
                        ("second", b'"x", ' + TAG),
                        ("gzip", TAG[:-1] + b'-gzip"')):
        yield case("B92", name, *(step(Ask(method, path, [none_match(value)]), ok(
            status=304, body=b"", fields={"ETag": TAG.decode(), "Content-Type": None}))
            for method in (b"GET", b"HEAD") for path in (b"/cache/k", b"/raw/k")), given=HIT)


def deletions() -> Rows:
    """B99 to B101."""
    delete = b"DELETE"
    yield case("B99", "all", step(Ask(delete, b"/cache"), ok()), given=HIT, stored={})
    yield case("B99", "body", step(Ask(delete, b"/cache", [JSON], b'{"key":"k"}'), ok()), given=HIT,
               stored={})
    for target in (b"/cache/", b"/cache/?", b"/cache//", b"/cache/%20/..", b"/cache/."):
        slug = "invalid-key" if target.strip(b"?") == b"/cache/" else "malformed-path"
        yield case("B100", target.decode(), step(Ask(delete, target), problem(400, slug)),
                   given=HIT)
    for query, slug in ((b"key=a", "unknown-parameter"), (b"x", "unknown-parameter"),
                        (b"=", "unknown-parameter"), (b"PREFIX=k", "unknown-parameter"),
                        (b"prefix=k&x=1", "unknown-parameter"),
                        (b"x=1&prefix=k", "unknown-parameter"),
                        (b"", "invalid-parameter"), (b"&", "invalid-parameter"),
                        (b"&&", "invalid-parameter"), (b"prefix=", "invalid-parameter"),
                        (b"prefix", "invalid-parameter"), (b"tag=", "invalid-parameter"),
                        (b"prefix=k&tag=k", "invalid-parameter"),
                        (b"prefix=k&prefix=k", "invalid-parameter"),
                        (b"prefix=k&%70refix=k", "invalid-parameter"),
                        (b"limit=1&prefix=k", "unknown-parameter"),
                        (b"prefix=%zz", "invalid-parameter"),
                        (b"prefix=%C2%85", "invalid-parameter"),
                        (b"prefix=" + b"k" * 513, "invalid-parameter")):
        yield case("B101", f"?{query.decode()[:30]}", step(Ask(delete, b"/cache?" + query), problem(
            400, slug, "nothing was")), given=HIT)
    for target, slug, status in ((b"/cache/x?prefix=k", "unknown-parameter", 400),
                                 (b"/CACHE?prefix=k", "not-found", 404),
                                 (b"/cache//?prefix=k", "malformed-path", 400)):
        yield case("B101", target.decode(), step(Ask(delete, target), problem(status, slug)),
                   given=HIT)
    for query in (b"prefix=%0A", b"prefix=%FF"):
        yield case("B101", f"?{query.decode()}",
                   step(Ask(delete, b"/cache?" + query), C400, BAD_PARAMETER,
                                                      BAD_PARAMETER), given=HIT)
    yield case("B101", "a-condition", step(Ask(delete, b"/cache", [match(TAG)]), FAILED), given=HIT)


def batch(*operations: object) -> Ask:
    """A batch of these."""
    return Ask(b"POST", b"/batch", [JSON], json.dumps({"operations": operations}).encode())


def batches() -> Rows:
    """B102."""
    keep = {"method": "GET", "key": "k"}
    yield case("B102", "none", step(batch(), problem(422, "schema-violation")), given=HIT)
    yield case("B102", "1001", step(batch(*[{"method": "DELETE", "key": "k"}] * 1001), problem(
        413, "batch-too-large", "1000")), given=HIT)
    yield case("B102", "1000", step(batch(*[keep] * 1000), ok()), given=HIT, stored=HIT)
    yield case("B102", "too-many-bytes", step(batch(
        {"method": "PUT", "key": "k", "value": "x" * (1 << 20)}, {"method": "DELETE", "key": "k"},
        *[{"method": "PUT", "key": f"{i}", "value": "x" * 1000} for i in range(20)]), problem(
        413, "batch-too-large")), given=HIT)
    for name, bad in (
            ("number", 1), ("no-method", {"key": "k"}), ("patch", {"method": "PATCH", "key": "k"}),
            ("lower-case", {"method": "delete", "key": "k"}), ("no-key", {"method": "DELETE"}),
            ("key-number", {"method": "DELETE", "key": 1}),
            ("key-empty", {"method": "DELETE", "key": ""}),
            ("key-nul", {"method": "DELETE", "key": "k\0"}),
            ("key-dots", {"method": "DELETE", "key": ".."}),
            ("key-long", {"method": "DELETE", "key": "k" * 513}),
            ("key-0xff", {"method": "PUT", "key": "\u0085", "value": 1}),
            ("unknown", {"method": "DELETE", "key": "k", "x": 1}),
            ("condition", {"method": "DELETE", "key": "k", "if_match": "x"}),
            ("clear", {"method": "DELETE", "key": "/"})):
        good = {"method": "PUT", "key": "good", "value": 1}
        yield case("B102", f"bad-{name}", step(batch(*[good] * 5, bad, *[good] * 4), ok()),
                   given=HIT,
                   stored={b"k": b"1", b"good": b"1"})
    yield case("B102", "one-key", step(batch(
        {"method": "PUT", "key": "k", "value": 2}, {"method": "DELETE", "key": "k"},
        {"method": "PUT", "key": "k", "value": 3, "if_none_match": "*"}, keep), ok()), given=HIT,
        stored={b"k": b"3"})


CASES = [*conditions(), *deletions(), *batches()]
