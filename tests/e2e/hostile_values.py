"""Hostile documents and values: rows B59 to B62 and B65 to B84."""

from __future__ import annotations

from collections.abc import Iterator

import json_cases
from hostile import (ANY, JSON, Ask, Case, Say, case, get, ok, problem, put, put_value,
                     server_closes,
                     step)

BAD_JSON = problem(400, "invalid-json")
DUPLICATE = problem(400, "duplicate-field")
UNKNOWN = problem(422, "unknown-field")
SCHEMA = problem(422, "schema-violation")
BAD_TTL = problem(422, "invalid-ttl", "ttl")
BAD_TYPE = problem(415, "unsupported-media-type", "Content-Type: application/json")
BAD_CODING = problem(415, "unsupported-content-coding", "Content-Encoding")
OLD = {b"k": b'"old"'}

Rows = Iterator[Case]


def typed(*values: bytes, body: bytes = b'{"value":1}', path: bytes = b"/cache/k") -> Ask:
    """A PUT with these Content-Types."""
    return Ask(b"PUT", path, [(b"Content-Type", value) for value in values], body)


def types() -> Rows:
    """B59 to B62."""
    yield case("B59", "none", step(typed(), ok(b"1")))
    yield case("B59", "raw", step(Ask(b"PUT", b"/raw/k", (), b"{}"), ok()), step(get(b"/raw/k"), ok(
        body=b"{}", fields={"Content-Type": "application/octet-stream"})), stored={b"k": ANY})
    for value in (b"text/html", b"text/plain", b"application/x-www-form-urlencoded",
                  b"multipart/form-data", b"application/jsonx", b"application/json2; charset=utf-8",
                  b"xapplication/json", b"application", b"application/json; charset=utf-16",
                  b"application/json; charset=latin1", b"json", b"*/*",
                  b"application/json, text/html",
                  b"application/merge-patch+json", b"application/json\x09x", b"\xff",
                  b"application/json; charset=utf-8; charset=utf-16"):
        yield case("B60", value.decode("latin-1"), step(typed(value), BAD_TYPE), given=OLD)
    yield case("B60", "curl-d", step(typed(b"application/x-www-form-urlencoded",
                                           body=b"value=1&ttl=5"), BAD_TYPE))
    # lighttpd takes one that is said twice for one.
    yield case("B60", "the-same-twice",
               step(typed(b"application/json", b"application/json"), ok(b"1"),
                                             DUPLICATE, DUPLICATE))
    for values in ((b"application/json", b"text/html"),
                   (b"text/html", b"application/json")):
        # lighttpd answers itself; of nginx's two parameters each counts.
        yield case("B60", "two-" + values[0].decode() + "-" + values[1].decode(),
                   step(typed(*values), server_closes(400), DUPLICATE, DUPLICATE), given=OLD)
    for value in (b"Application/JSON", b"application/json;charset=UTF-8", b"Application/JSON ;x=y",
                  b'application/json; charset="utf-8"', b"application/json;charset=UTF-8;x=y",
                  b"application/json;", b"application/vnd.api+json"):
        yield case("B61", value.decode(), step(typed(value), ok(b"1")))
    for coding in (b"gzip", b"br", b"gzip, identity", b"x", b"identity, gzip"):
        yield case("B62", coding.decode(), step(put(
            b"/cache/k", b'{"value":1}', JSON, (b"Content-Encoding", coding)), BAD_CODING),
                   given=OLD)
    for coding in (b"identity", b"Identity"):
        yield case("B62", coding.decode(), step(put(
            b"/cache/k", b'{"value":1}', JSON, (b"Content-Encoding", coding)), ok(b"1")))
    yield case("B62", "bomb-by-name-only", step(put(
        b"/cache/k", b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\0" * 1000, JSON,
        (b"Content-Encoding", b"gzip")), BAD_CODING))


# --- the grammar ---------------------------------------------------------------------------------

def row_of(name: str) -> str:
    """Which row of the page a text of json_cases.txt belongs to."""
    kind = name.split("_", 2)[1]
    if name.startswith("nb_"):
        return "B67" if "bom" in name else "B66" if "then" in name or "two" in name else "B65"
    if kind == "number":
        return "B69" if "nan" in name or "inf" in name else "B70"
    if kind == "string":
        return "B77" if "unescaped" in name else "B76"
    if kind == "structure":
        return "B67" if "bom" in name else "B65"
    return "B68"


def grammar() -> Rows:
    """B65 to B70, B76 to B79: each text, as a value and as a whole document."""
    for name, text in json_cases.BAD:
        yield case(row_of(name), name, step(put_value(text), BAD_JSON), given=OLD)
    for name, text in json_cases.BAD_BODIES:
        say = BAD_JSON if text else problem(400, "body-required")
        yield case(row_of(name), f"{name}-alone", step(put(b"/cache/k", text), say), given=OLD)
    for name, text in json_cases.GOOD:
        kept = text.strip(b" \t\r\n")
        yield case("B79" if "number" in name else "B78", name, step(put_value(text), ok(kept)),
                   step(get(b"/cache/k"), ok(kept)),
                   step(get(b"/raw/k"), ok(body=kept)), stored={b"k": kept})
        yield case("B74", name, step(put(b"/cache/k", text), no_document(text)), given=OLD)


def no_document(text: bytes) -> Say:
    """What a JSON text that is no document is told."""
    plain = text.strip()
    if plain.startswith(b'{"value"'):
        return DUPLICATE
    return UNKNOWN if plain.startswith(b"{") and plain != b"{}" else SCHEMA


# --- the document --------------------------------------------------------------------------------

def documents() -> Rows:
    """B65 to B75 where the document decides."""
    for row, name, body, say in (
            ("B65", "open", b"{", BAD_JSON),
            ("B65", "after-colon", b'{"value":', BAD_JSON),
            ("B65", "string", b'{"value":"abc', BAD_JSON),
            ("B66", "trailing", b'{"value":1}x', BAD_JSON),
            ("B66", "trailing-white-space-is-none", b'{"value":1} \r\n', ok(b"1")),
            ("B68", "single-quotes", b"{'value':1}", BAD_JSON),
            ("B68", "comma", b'{"value":1,}', BAD_JSON),
            ("B68", "comment", b'{"value":1/**/}', BAD_JSON),
            ("B72", "ttl", b'{"value":1,"ttl":1,"ttl":9}', DUPLICATE),
            ("B72", "value", b'{"value":1,"value":1}', DUPLICATE),
            ("B72", "escaped", b'{"value":1,"\\u0076alue":2}', DUPLICATE),
            ("B72", "null", b'{"value":1,"ttl":null,"ttl":null}', DUPLICATE),
            ("B73", "misspelt", b'{"value":1,"tll":5}', problem(422, "unknown-field", "tll")),
            ("B73", "case", b'{"value":1,"TTL":5}', problem(422, "unknown-field", "TTL")),
            ("B73", "nul", b'{"value":1,"ttl\\u0000":5}', UNKNOWN),
            ("B73", "empty", b'{"value":1,"":5}', UNKNOWN),
            ("B73", "script", b'{"value":1,"<script>":5}', UNKNOWN),
            ("B73", "long", b'{"value":1,"' + b"x" * 5000 + b'":5}', UNKNOWN),
            ("B73", "utf-8", b'{"value":1,"' + "ключ".encode() * 40 + b'":5}', UNKNOWN),
            ("B73", "proto", b'{"value":1,"__proto__":{}}', UNKNOWN),
            ("B75", "empty", b"{}", SCHEMA),
            ("B75", "only-ttl", b'{"ttl":5}', SCHEMA)):
        yield case(row, name, step(put(b"/cache/k", body), say), given=OLD)
    yield case("B73", "what-get-adds", step(put(
        b"/cache/k", b'{"key":"k","value":1,"ttl":5,"timestamp":"x"}'), ok(b"1")))
    yield case("B73", "another-key", step(put(b"/cache/k", b'{"key":"x","value":1}'), problem(
        422, "key-mismatch")), given=OLD)
    yield case("B75", "null-value", step(put_value(b"null"), ok(b"null")),
               step(get(b"/cache/k"), ok(b"null")), stored={b"k": b"null"})
    deep = b"[" * 127 + b"]" * 127
    yield case("B71", "127-and-the-envelope", step(put_value(deep), ok(deep)), stored={b"k": deep})
    too_deep = problem(400, "too-deep", "128")
    yield case("B71", "128-and-the-envelope", step(put_value(b"[" + deep + b"]"), too_deep),
               given=OLD)
    for name, text in (("arrays", b"[" * 100_000), ("objects", b'{"a":' * 20_000),
                       ("mixed", b'[{"a":' * 17_000), ("closed", b"[" * 50_000 + b"]" * 50_000)):
        yield case("B71", name, step(put(b"/cache/k", text), too_deep),
                   step(put_value(text), too_deep), given=OLD)
    for code in range(32):
        yield case("B77", f"raw-{code:02x}", step(put_value(b'"a%cb"' % code), BAD_JSON), given=OLD)
    escapes = b'"' + b"".join(b"\\u00%02x\\u00%02X" % (i, i) for i in range(256)) + b'"'
    yield case("B78", "all-escapes", step(put_value(escapes), ok(escapes)),
               step(get(b"/cache/k"), ok(escapes)), stored={b"k": escapes})
    yield case("B72", "inside-the-value", step(put_value(b'{"a":1,"a":2}'), ok(b'{"a":1,"a":2}')),
               stored={b"k": b'{"a":1,"a":2}'})


# --- ttl -----------------------------------------------------------------------------------------

TYPES_OF_TTL = [b"0", b"-1", b"-0", b"1.5", b"0.5", b'"1x"', b'""', b'"1.0"', b'"1e1"', b'"-1"',
                b'"0"',
                b"true", b"false", b"[]", b"{}", b"[5]", b'"null"', b"1.0000000001"]
SIZES_OF_TTL = [b"31536001", b"2147483648", b"4294967296", b"4294967297", b"9223372036854775807",
                b"9223372036854775808", b"18446744073709551617", b"1" + b"0" * 30,
                b"-1" + b"0" * 30, b"1e30", b"1e400", b"1e-400", b"1e999999999999",
                b'"99999999999999999999"']
SPELLINGS_OF_TTL = [b'" 5"', b'"5 "', b'"+5"', '"٥"'.encode(), b'"5;6"', b'"0005"', b'"\\u00001"',
                    b'"5\\u0000"', b'"0x5"']


def ttls() -> Rows:
    """B81 to B83, in documents, queries, patches, counters and batches."""
    for row, texts in (("B81", TYPES_OF_TTL), ("B82", SIZES_OF_TTL), ("B83", SPELLINGS_OF_TTL)):
        for text in texts:
            item = b'{"operations":[{"method":"PUT","key":"k","value":1,"ttl":' + text + b"}]}"
            yield case(
                row, text.decode()[:20],
                step(put(b"/cache/k", b'{"value":1,"ttl":' + text + b"}"), BAD_TTL),
                step(put(b"/cache/k", b'{"value":1,"idle":' + text + b"}"), problem(
                    422, "invalid-idle", "idle")),
                step(Ask(b"PATCH", b"/cache/k", [JSON], b'{"ttl":' + text + b"}"), BAD_TTL),
                step(Ask(b"POST", b"/counters/k", [JSON], b'{"ttl":' + text + b"}"), BAD_TTL),
                step(Ask(b"POST", b"/batch", [JSON], item), ok()), given=OLD, stored=OLD)
    for name, text in (("null", b"null"), ("10.0", b"10.0"), ("string", b'"10"'), ("1e1", b"1e1")):
        yield case("B81", f"taken-{name}", step(put(
            b"/cache/k", b'{"value":1,"ttl":' + text + b"}"), ok(b"1")))
    for row, text in (("B81", b"0"), ("B81", b"-1"), ("B81", b"1.5"), ("B81", b""),
                      ("B82", b"31536001"),
                      ("B82", b"9" * 30), ("B83", b"%205"), ("B83", b"5%20"), ("B83", b"+5"),
                      ("B83", b"%2B5"), ("B83", "٥".encode().hex("%").upper().encode()),
                      ("B83", b"5;6"), ("B83", b"0005"), ("B83", b"10.0"), ("B83", b"1e1"),
                      ("B83", b"0x5")):
        query = b"%" + text if row == "B83" and text.startswith(b"D9") else text
        yield case(row, f"query-{query.decode()}", step(Ask(
            b"PUT", b"/raw/k?ttl=" + query, (), b"x"), BAD_TTL), given=OLD)


# --- bytes ---------------------------------------------------------------------------------------

def raw_bytes() -> Rows:
    """B84."""
    for name, body in (("none", b""), ("all", bytes(range(256))), ("error", b"-ERR no\r\n"),
                       ("bulk", b"$-1\r\n"), ("array", b"*1\r\n$4\r\nPING\r\n"), ("nul", b"\0"),
                       ("header-of-ours", b'\0larder1 {"type":"text/html"}\n<script>'),
                       ("begin-record", b"\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0"),
                       ("http", b"HTTP/1.1 200 OK\r\n\r\n"), ("status", b"Status: 500\r\n\r\n")):
        yield case("B84", name,
                   step(Ask(b"PUT", b"/raw/k", [(b"Content-Type", b"a/b")], body), ok()),
                   step(get(b"/raw/k"), ok(body=body, fields={
                       "Content-Type": "a/b", "Content-Security-Policy": "sandbox"})),
                   stored={b"k": ANY})


CASES = [*types(), *grammar(), *documents(), *ttls(), *raw_bytes()]
