"""What is sent to the FastAPI service and to larder: one table of cases.

A case starts with an empty Redis and is a list of steps; every answer is compared. A key, value or
document is written as it goes over the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

JSON = (("Content-Type", "application/json"),)
Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Send:
    """One HTTP request."""

    method: str
    target: str | bytes
    body: bytes | None = None
    headers: Headers = ()


@dataclass(frozen=True)
class Tell:
    """One command to Redis itself, as another program would send it; its reply is compared too."""

    command: str
    words: Sequence[str | bytes | int]


Step = Send | Tell


@dataclass(frozen=True)
class Case:
    """A name and what is done."""

    name: str
    steps: Sequence[Step]
    # Also with one service writing and the other reading.
    crossed: bool = False
    # What this does to the hits and misses of /stats is compared, too.
    counted: bool = False


@dataclass(frozen=True)
class Table:
    """Cases in groups, by the state that Redis is in."""

    up: list[Case]
    hanging: list[Case]
    down: list[Case]
    back: list[Case]


def get(target: str | bytes = "/cache/k", headers: Headers = ()) -> Send:
    """GET."""
    return Send("GET", target, None, headers)


def put(document: bytes | str | None, target: str | bytes = "/cache/k",
        headers: Headers = JSON) -> Send:
    """PUT of a document."""
    body = document.encode() if isinstance(document, str) else document
    return Send("PUT", target, body, headers)


def delete(target: str | bytes = "/cache/k") -> Send:
    """DELETE."""
    return Send("DELETE", target)


def tell(command: str, *words: str | bytes | int) -> Tell:
    """A command to Redis."""
    return Tell(command, words)


SEED = put('{"value":1,"ttl":600}')

# name, the value's JSON text
VALUES: list[tuple[str, str | bytes]] = [
    ("integer", "42"), ("zero", "0"), ("negative integer", "-7"), ("float", "0.5"),
    ("float 1.10", "1.10"), ("float 1E5", "1E5"), ("float -0.0", "-0.0"), ("float 1e-7", "1e-7"),
    ("float with 20 digits", "0.12345678901234567890"), ("float 1e400", "1e400"),
    ("integer 2**53+1", "9007199254740993"), ("integer 2**64", "18446744073709551616"),
    ("integer of 40 digits", "1234567890" * 4),
    ("integer of 5000 digits", "1" * 5000), ("true", "true"), ("false", "false"),
    ("null", "null"), ("string", '"text"'), ("string of digits", '"123"'),
    ("empty string", '""'), ("string true", '"true"'), ("string null", '"null"'),
    ("string like JSON", '"{\\"a\\":1}"'), ("string with escapes", '"\\"\\\\\\/\\b\\f\\n\\r\\t"'),
    ("string with NUL", '"a\\u0000b"'), ("string of Cyrillic", '"ключ"'),
    ("string of escaped Cyrillic", '"\\u043a\\u043b"'), ("string of emoji", '"😀"'),
    ("string of escaped emoji", '"\\ud83d\\ude00"'), ("string with a lone surrogate", '"\\ud800"'),
    ("array", '[1,"a",null,true,[2]]'), ("empty array", "[]"), ("object", '{"b":1,"a":{"c":[]}}'),
    ("empty object", "{}"), ("object with white space", '{ "a" : [ 1 , 2 ] }'),
    ("object with a name twice", '{"a":1,"a":2}'), ("object with Cyrillic names", '{"имя":"Ада"}'),
    ("nested 100 deep", "[" * 100 + "]" * 100), ("nested 200 deep", "[" * 200 + "]" * 200),
    ("100 kB", '"' + "x" * 100_000 + '"'), ("1 MiB", '"' + "x" * ((1 << 20) - 2) + '"'),
    ("1 MiB and a byte", '"' + "x" * ((1 << 20) - 1) + '"'), ("2 MiB", '"' + "x" * (2 << 20) + '"'),
    ("NaN", "NaN"), ("Infinity", "-Infinity"),
]

# name, the ttl's JSON text
TTLS = [
    ("60", "60"), ("1", "1"), ("null", "null"), ("10.0", "10.0"), ("1e1", "1e1"),
    ("as string", '"10"'), ("10.5", "10.5"), ("0.5", "0.5"), ("as string with spaces", '" 10 "'),
    ("as string with a leading zero", '"010"'), ("as string with a sign", '"+10"'),
    ("as string of a float", '"10.0"'), ("as string of letters", '"ten"'), ("empty string", '""'),
    ("true", "true"), ("false", "false"), ("0", "0"), ("negative", "-1"), ("array", "[60]"),
    ("object", "{}"), ("of a year", "31536000"), ("of a year and a second", "31536001"),
    ("of 2**31", "2147483648"), ("of 2**63", "9223372036854775808"), ("of 1e30", "1e30"),
    ("NaN", "NaN"),
]

# name, the whole body
DOCUMENTS: list[tuple[str, bytes]] = [
    ("empty", b""), ("white space", b"  "), ("an array", b'[{"value":1}]'),
    ("a string", b'"value"'), ("a number", b"1"), ("null", b"null"), ("no value", b"{}"),
    ("only a ttl", b'{"ttl":60}'),
    ("cut short", b'{"value":'), ("single quotes", b"{'value':1}"),
    ("a trailing comma", b'{"value":1,}'),
    ("something behind it", b'{"value":1} x'), ("a comment", b'{"value":1/**/}'),
    ("a control character in a string", b'{"value":"a\nb"}'), ("a number 01", b'{"value":01}'),
    ("a byte order mark", b'\xef\xbb\xbf{"value":1}'), ("UTF-16", '{"value":1}'.encode("utf-16")),
    ("invalid UTF-8", b'{"value":"\xff"}'), ("white space around it", b' \r\n{"value":1}\n'),
    ("value twice", b'{"value":1,"value":2}'), ("ttl twice", b'{"value":1,"ttl":5,"ttl":9}'),
    ("an unknown member", b'{"value":1,"tag":"a"}'), ("a member TTL", b'{"value":1,"TTL":5}'),
    ("a member expire", b'{"value":1,"expire":5}'),
    ("what GET gave", b'{"key":"k","value":1,"ttl":5,"timestamp":"2026-01-01T00:00:00.000000"}'),
    ("the key of another", b'{"key":"other","value":1}'),
    ("the name value escaped", b'{"\\u0076alue":1}'),
]

# name, fields, body
FIELDS: list[tuple[str, Headers, bytes]] = [
    ("no Content-Type", (), b'{"value":1}'),
    ("with charset=utf-8", (("Content-Type", "application/json; charset=utf-8"),), b'{"value":1}'),
    ("with charset=latin1", (("Content-Type", "application/json; charset=latin1"),),
     b'{"value":1}'),
    ("in capitals", (("Content-Type", "APPLICATION/JSON"),), b'{"value":1}'),
    ("application/vnd.api+json", (("Content-Type", "application/vnd.api+json"),), b'{"value":1}'),
    ("text/plain", (("Content-Type", "text/plain"),), b'{"value":1}'),
    ("text/json", (("Content-Type", "text/json"),), b'{"value":1}'),
    ("of a form", (("Content-Type", "application/x-www-form-urlencoded"),), b'{"value":1}'),
    ("of a form, and a form", (("Content-Type", "application/x-www-form-urlencoded"),),
     b"value=1&ttl=5"),
    ("application/octet-stream", (("Content-Type", "application/octet-stream"),), b'{"value":1}'),
    ("with Content-Encoding identity", (*JSON, ("Content-Encoding", "identity")), b'{"value":1}'),
    ("with Content-Encoding gzip", (*JSON, ("Content-Encoding", "gzip")), b'{"value":1}'),
]

# name, what follows /cache/
KEYS: list[tuple[str, str | bytes]] = [
    ("colons", "user:42:name"), ("dots and dashes", "a.b-c_d~e"),
    ("sub-delimiters", "a!$&'()*,;=@b"),
    ("plus", "a+b"), ("an escaped plus", "a%2Bb"), ("an escaped space", "a%20b"),
    ("an escaped percent", "a%25b"), ("a doubly escaped slash", "a%252Fb"),
    ("an escaped question mark", "a%3Fb"), ("an escaped hash", "a%23b"),
    ("escaped quotes", "a%22%27b"), ("escaped Cyrillic", "%D0%BA%D0%BB%D1%8E%D1%87"),
    ("escaped emoji", "%F0%9F%98%80"), ("escapes in lower case", "%d0%ba"),
    ("an escaped letter", "%61"), ("raw brackets", "items[0]"), ("raw quotes", 'a"b'),
    ("a raw pipe", "a|b"), ("raw braces", "{a}"), ("a raw caret", "a^b"),
    ("raw Cyrillic", "ключ".encode()), ("a slash", "a/b"), ("an escaped slash", "a%2Fb"),
    ("three slashes", "a/b/c/d"), ("a double slash", "a//b"), ("a trailing slash", "k/"),
    ("a dot", "."), ("two dots", ".."), ("a dot segment", "a/../b"), ("an escaped dot", "%2E"),
    ("three dots", "..."), ("a leading dot", ".hidden"), ("nothing", ""),
    ("512 bytes", "x" * 512), ("513 bytes", "x" * 513), ("a malformed escape", "a%zzb"),
    ("a lone percent", "a%"), ("an escaped NUL", "a%00b"), ("an escaped line feed", "a%0Ab"),
    ("an escaped DEL", "a%7Fb"), ("invalid UTF-8", "a%FFb"), ("a name of Redis's", "*"),
    ("the name of an endpoint", "stats"),
]


def key_case(name: str, tail: str | bytes) -> Case:
    """A key through its whole life, and the names that Redis then has."""
    target = b"/cache/" + (tail if isinstance(tail, bytes) else tail.encode())
    return Case(f"key: {name}", [put('{"value":1,"ttl":600}', target), tell("KEYS", "*"),
                                 get(target), delete(target), get(target)])


def with_redis() -> list[Case]:
    """Redis runs."""
    cases = [Case(f"value: {name}", [
        put(b'{"value":' + (text if isinstance(text, bytes) else text.encode()) + b',"ttl":600}'),
        get()], crossed=True) for name, text in VALUES]
    cases += [Case(f"ttl: {name}", [put(f'{{"value":1,"ttl":{text}}}'), tell("TTL", "k"), get()],
                   crossed=name in ("60", "null", "as string")) for name, text in TTLS]
    cases.append(Case("ttl: missing", [put('{"value":1}'), tell("TTL", "k"), get()], crossed=True))
    cases += [Case(f"body: {name}", [put(body), get()]) for name, body in DOCUMENTS]
    cases.append(Case("body: none", [put(None), get()]))
    cases += [Case(f"Content-Type: {name}", [put(body, headers=fields), get()])
              for name, fields, body in FIELDS]
    cases += [key_case(name, tail) for name, tail in KEYS]
    cases += [
        Case("entry: missing", [get(), delete()]),
        Case("entry: replaced", [SEED, put('{"value":"new"}'), get(), tell("TTL", "k")],
             crossed=True),
        Case("entry: deleted", [SEED, delete(), get(), delete()], crossed=True),
        Case("entry: all deleted", [SEED, put('{"value":2}', "/cache/l"), delete("/cache"),
                                    tell("DBSIZE"), get()], crossed=True),
        Case("foreign: without ttl", [tell("SET", "k", "1"), get()]),
        Case("foreign: plain text", [tell("SET", "k", "plain text"), get()]),
        Case("foreign: empty", [tell("SET", "k", ""), get()]),
        Case("foreign: Python's repr", [tell("SET", "k", "{'a': True}"), get()]),
        Case("foreign: NaN", [tell("SET", "k", "NaN"), get()]),
        Case("foreign: JSON with a line feed", [tell("SET", "k", '{"a": 1}\n'), get()]),
        Case("foreign: bytes", [tell("SET", "k", b"\x80\x04\x95"), get()]),
        Case("foreign: a list", [tell("RPUSH", "k", "1"), get()]),
        Case("foreign: a hash", [tell("HSET", "k", "f", "1"), get(), put('{"value":1}'), get()]),
        Case("foreign: a list, deleted", [tell("RPUSH", "k", "1"), delete(), tell("DBSIZE")]),
        Case("query: on GET", [SEED, get("/cache/k?x=1")]),
        Case("query: on PUT", [put('{"value":1}', "/cache/k?x=1"), get()]),
        Case("query: on DELETE", [SEED, delete("/cache/k?x=1"), get()]),
        Case("query: on DELETE /cache", [SEED, delete("/cache?x=1"), get()]),
        Case("query: ttl on PUT", [put('{"value":1}', "/cache/k?ttl=5"), tell("TTL", "k")]),
        Case("query: a lone question mark", [SEED, get("/cache/k?")]),
        Case("slash: GET /cache/k/", [SEED, get("/cache/k/")]),
        Case("slash: GET /cache/", [get("/cache/")]),
        Case("slash: DELETE /cache/", [SEED, delete("/cache/"), get()]),
        Case("slash: GET /stats/", [get("/stats/")]),
        Case("slash: GET /health/", [get("/health/")]),
        Case("slash: GET //", [get("//")]),
        Case("path: unknown", [get("/nothing"), Send("POST", "/nothing", b"{}", JSON)]),
        Case("path: /cachefoo", [get("/cachefoo")]),
        Case("path: in capitals", [SEED, get("/Cache/k")]),
        Case("path: GET /cache", [get("/cache")]),
        Case("path: /docs", [get("/docs")]),
        Case("path: /redoc", [get("/redoc")]),
        Case("path: /openapi.json", [get("/openapi.json")]),
        Case("path: /favicon.ico", [get("/favicon.ico")]),
        Case("path: absolute", [SEED, get("http://localhost/cache/k")]),
        Case("path: with a fragment", [SEED, get("/cache/k#part")]),
        Case("index", [get("/")]),
        Case("health", [get("/health")]),
        Case("stats", [SEED, get(), get("/cache/none"), get("/stats")]),
        Case("stats: what counts", [SEED, get(), get(), get("/cache/none"), delete()],
             counted=True),
        Case("request: GET with a body", [SEED, Send("GET", "/cache/k", b"{}", JSON)]),
        Case("request: DELETE with a body", [SEED, Send("DELETE", "/cache/k", b"{}", JSON)]),
        Case("request: Accept of another type", [SEED, get(headers=[("Accept", "text/html")])]),
        Case("request: Accept-Encoding", [SEED, get(headers=[("Accept-Encoding", "gzip, br")])]),
        Case("request: Range", [SEED, get(headers=[("Range", "bytes=0-3")])]),
        Case("request: Authorization", [SEED, get(headers=[("Authorization", "Bearer x")])]),
        Case("request: X-HTTP-Method-Override",
             [SEED, get(headers=[("X-HTTP-Method-Override", "DELETE")]), get()]),
        Case("request: chunked", [Send("PUT", "/cache/k", b'{"value":1}',
                                       (*JSON, ("Transfer-Encoding", "chunked"))), get()]),
        Case("request: Expect", [put('{"value":1}', headers=(*JSON, ("Expect", "100-continue"))),
                                 get()]),
        Case("request: CORS preflight", [Send("OPTIONS", "/cache/k", None, (
            ("Origin", "http://example.org"), ("Access-Control-Request-Method", "PUT")))]),
        Case("request: Origin", [SEED, get(headers=[("Origin", "http://example.org")])]),
    ]
    cases += [
        Case("Redis full: PUT", [
            tell("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1),
            put('{"value":1}'), get(),
            tell("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", 0)]),
        Case("Redis read-only: PUT", [
            tell("REPLICAOF", "127.0.0.1", 1), put('{"value":1}'), get(),
            tell("REPLICAOF", "NO", "ONE")]),
    ]
    for target in ("/cache/k", "/cache", "/stats", "/health", "/"):
        for method in ("HEAD", "OPTIONS", "POST", "PATCH", "FOO", "TRACE"):
            # POST and PATCH with what a client might think they take.
            body = b'{"value":1}' if method in ("POST", "PATCH") else None
            cases.append(Case(f"method: {method} {target}",
                              [SEED, Send(method, target, body, JSON if body else ())]))
        if not target.startswith("/cache"):
            cases.append(Case(f"method: PUT {target}", [put('{"value":1}', target)]))
            cases.append(Case(f"method: DELETE {target}", [SEED, delete(target), get()]))
    cases.append(Case("method: PUT /cache", [put('{"value":1}', "/cache")]))
    cases.append(Case("method: HEAD of a missing key", [Send("HEAD", "/cache/none")]))
    return cases


def everything(name: str) -> list[Case]:
    """Each endpoint once."""
    return [Case(f"{name}: {step.method} {step.target!s}", [step]) for step in (
        get("/health"), get("/stats"), get("/"), get(), put('{"value":1}'), put('{"value":'),
        delete(), delete("/cache"), get("/nothing"))]


def hanging() -> list[Case]:
    """Redis takes longer for a write than larder waits."""
    return [Case("Redis hangs: PUT", [tell("CLIENT", "PAUSE", 1500, "WRITE"), put('{"value":1}'),
                                      tell("CLIENT", "UNPAUSE")])]


TABLE = Table(with_redis(), hanging(), everything("Redis down"), everything("Redis back"))
