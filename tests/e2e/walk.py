"""A random walk through the API, with the model at its side: whoever differs is wrong.

Everything but the clock follows from the seed, so a difference comes again by the same command.
"""

from __future__ import annotations

import json
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus

import fcgi
from expect import Etags, Expected, Part, Span, compare, show
from harness import Larder, Stack
from model import (Conditions, Entry, Model, Outcome, Written, is_json, is_text, put_back, quoted,
                   structured)
from rawhttp import Answer, Header, Http, build

# How larderd is set up; each is a walk of its own.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "plain": {},
    "prefixed": {"KEY_PREFIX": "app[1]*:"},
    "endless": {"DEFAULT_TTL": "0"},
}

KEYS = ("a", "a/b", "user:1", "user:2", "é", "e\u0301", "日本/語", "with space", "100%+1", "q?x=1&y#z",
        "*[x]?\\^", '"quote"~.-_')
PREFIXES = ("a", "user:", "user:2", "é", "日本/", "with ", "100%+", "q?", "*", "*[x]?\\", "none", "bad")
TAGS = ("red", "a b", 'q"\\', "größe", "product-7")

# A name in Redis that no request can reach, since it is no key.
NO_KEY = "bad//name"

JSON_MEDIA: Header = ("Content-Type", "application/json")
PATCH_MEDIA: Header = ("Content-Type", "application/merge-patch+json")

SCALARS = ("null", "true", "false", "0", "-0", "1", "1.0", "-7", "1e400", "1E+2", "18446744073709551616",
           '""', '"x"', '"123"', '"\\u00e9"', '"é\\n\\/\\""', '"\\ud83d\\ude00"', '"\\u0000"')
INTEGERS = ("0", "5", "-7", "41", "9223372036854775807", "9223372036854775800", "-9223372036854775808")
LARGE = ('"' + "x" * 20000 + '"', '"' + "ü" * 35000 + '"', "[" + "1.50," * 4000 + "0]")
NAMES = ("a", "b", "c", "dé", "\\u0061", "")
BLANKS = ("", "", "", " ", "\n ", "\t")

# Long enough not to run out during the longest walk.
TTLS = (("7200", 7200), ("7200.0", 7200), ('"7200"', 7200), ("72e2", 7200), ("86400", 86400),
        ("31536000", 31536000))
BAD_SECONDS = ("0", "-1", "1.5", '"x"', "true", "31536001", "[]", '"07200"')
IDLES = (5000, 9000)

TYPES = ("text/plain", "text/plain; charset=utf-8", "application/json", "image/png",
         'multipart/form-data; boundary="a b"')
CODINGS = ("gzip", "br", "gzip, br")
BYTES = (b"", b"text", "größe €".encode(), b"\x00\xff\xfe", b'{"a":1}', b"5", b"\0larder1 ",
         b'\0larder1 {"idle":0}\nx', b'\0larder1 {"type":"a/b"}\nx\xff', bytes(range(256)),
         b"\xe2\x80\xa8\x7f\r\n\t", b"b" * 20000, bytes(70000))

# What other programs write: text, JSON with white space around it, bytes, nothing.
FOREIGN = (b"text", b"", b'  {"a": 1, "b":[null]}\n', b" 12 ", b"12", b"-5", b"-0", b"007", b"1.5", b"\xff\xfe",
           b"NaN", "größe".encode(), b'"quoted"', b"null", b'{"a":1', b"\0", b"\0larder1 no header\n",
           b'\0larder1 {"idle":0}\nx', b'\0larder1 {"tags":{"red":"0"}}\n5', b"y" * 16384,
           b" " * 16384 + b"1")

Answered = Answer | fcgi.Response


class Difference(Exception):
    """The service and the model disagree."""


@dataclass(slots=True)
class Request:
    """A request before it is known which way it goes."""

    method: str
    target: str
    headers: Sequence[Header] = ()
    body: bytes | None = None

    def __str__(self) -> str:
        fields = "".join(f" | {name}: {value}" for name, value in self.headers)
        body = "" if self.body is None else f" | {self.body[:200]!r}"
        if self.body is not None and len(self.body) > 200:
            body += f" ({len(self.body)} bytes)"
        return f"{self.method} {self.target}{fields}{body}"


class HttpWay:
    """Through a web server, on one kept connection."""

    def __init__(self, name: str, http: Http) -> None:
        self.name = name
        self._http = http

    def ask(self, request: Request) -> Answered:
        """One request and its answer."""
        body = request.body
        if body is None and request.method not in ("GET", "HEAD", "DELETE"):
            body = b""
        data = build(request.method, request.target, request.headers, body)
        return self._http.exchange(data, request.method == "HEAD")

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()


class FastcgiWay:
    """Without a web server, on one kept connection."""

    name = "fastcgi"

    def __init__(self, larder: Larder) -> None:
        self._connection = larder.connect()

    def ask(self, request: Request) -> Answered:
        """One request and its answer."""
        params = {"CONTENT_TYPE": ""}
        for name, value in request.headers:
            known = name == "Content-Type"
            params["CONTENT_TYPE" if known else "HTTP_" + name.upper().replace("-", "_")] = value
        return self._connection.request(request.method, request.target, request.body or b"",
                                        params=params, keep=True)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


Judge = Callable[[Span], Expected]


@dataclass(slots=True)
class Walk:
    """One walk: the service, the model and what happened so far."""

    stack: Stack
    variant: str
    seed: int
    number: int = 0
    random: random.Random = field(init=False)
    etags: Etags = field(default_factory=Etags)
    model: Model = field(init=False)
    history: deque[tuple[int, Sequence[str], str]] = field(
        default_factory=lambda: deque(maxlen=2000))

    def __post_init__(self) -> None:
        environment = VARIANTS[self.variant]
        self.random = random.Random(self.seed)
        self.model = Model(self.etags, int(environment.get("DEFAULT_TTL", "3600")))
        self._prefix = environment.get("KEY_PREFIX", "").encode()
        self._redis = self.stack.redis.client()
        fronts = self.stack.fronts.values()
        self._ways = [*(HttpWay(f.kind, f.http()) for f in fronts), FastcgiWay(self.stack.larder)]
        self._acts = [act for act, _ in WEIGHTS]
        self._weights = [weight for _, weight in WEIGHTS]
        if self._prefix:
            self._redis.ask("SET", "bystander", "1")

    _prefix: bytes = field(init=False)
    _redis: Any = field(init=False)
    _ways: list[HttpWay | FastcgiWay] = field(init=False)
    _acts: list[Callable[[Walk], None]] = field(init=False)
    _weights: list[int] = field(init=False)

    def go(self, operations: int) -> None:
        """Does so many operations; raises Difference at the first that differs."""
        try:
            for self.number in range(1, operations + 1):
                self.random.choices(self._acts, self._weights)[0](self)
            self.audit()
        finally:
            self._redis.close()
            for way in self._ways:
                way.close()

    # --- asking and judging ------------------------------------------------------------------

    def exchange(self, keys: Sequence[str], request: Request, judge: Judge,
                 way: HttpWay | FastcgiWay | None = None) -> Answered:
        """Sends a request and holds the answer against what the model says."""
        way = way or self.random.choice(self._ways)
        self._note(keys, f"{way.name}: {request}")
        before = time.time()
        answer = way.ask(request)
        expected = judge((before, time.time()))
        faults = compare(expected, answer, request.method == "HEAD", self.etags)
        if faults:
            self._fail(keys, faults, expected, answer)
        return answer

    def _note(self, keys: Sequence[str], text: str) -> None:
        self.history.append((self.number, keys, text))

    def _fail(self, keys: Sequence[str], faults: Sequence[str], expected: Expected | None = None,
              answer: Answered | None = None) -> None:
        related = [f"  {number:6} {text}" for number, touched, text in self.history
                   if not touched or not keys or set(touched) & set(keys)]
        lines = [f"operation {self.number} of seed {self.seed}, variant {self.variant}:", *faults]
        if expected is not None and answer is not None:
            fields = "".join(f"\n    {k}: {show(v)}" for k, v in sorted(expected.fields.items()))
            got = "".join(f"\n    {k}: {v}" for k, v in answer.headers)
            lines += [f"expected: {expected.status} {show(expected.body)[:3000]}{fields}",
                      f"got: {answer.status} {answer.body[:3000]!r}{got}"]
        lines += ["the last on these keys, and on all:", *related[-25:],
                  f"again: make model SEED={self.seed} VARIANT={self.variant} "
                  f"OPERATIONS={self.number}"]
        raise Difference("\n".join(lines))

    def _name(self, key: str) -> bytes:
        """The entry's name in Redis."""
        return self._prefix + key.encode()

    # --- dice --------------------------------------------------------------------------------

    def maybe(self, percent: int) -> bool:
        """True so often."""
        return self.random.random() * 100 < percent

    def key(self) -> str:
        """A key; some are met more often, so that something happens to them."""
        return KEYS[min(self.random.randrange(len(KEYS)), self.random.randrange(len(KEYS)))]

    def path(self, form: str, key: str) -> str:
        """A target that names the key, in one of its spellings."""
        spelled = quote(key, safe="/" if self.maybe(70) else "")
        if self.maybe(5):
            spelled = "".join(f"%{byte:02x}" for byte in key.encode())
        return f"/{form}/{spelled}"

    def tags(self) -> tuple[str, ...]:
        """No tag, or some."""
        if self.maybe(65):
            return ()
        return tuple(self.random.sample(TAGS, self.random.randint(1, 3)))

    def blank(self) -> str:
        """White space between tokens of JSON; mostly none."""
        return self.random.choice(BLANKS)

    def json_text(self, depth: int = 3, scalars: Sequence[str] = SCALARS) -> str:
        """A JSON value in some spelling."""
        dice = self.random.random()
        if depth == 0 or dice < 0.4:
            return self.random.choice(scalars)
        count = self.random.randrange(4)
        if dice < 0.55:
            items = [self.json_text(depth - 1) for _ in range(count)]
            return f"[{self.blank()}{(self.blank() + ',' + self.blank()).join(items)}{self.blank()}]"
        return self.json_object(depth, count)

    def json_object(self, depth: int, count: int) -> str:
        """An object; now and then with two members of one name."""
        members = [f'{self.blank()}"{self.random.choice(NAMES)}"{self.blank()}:{self.blank()}'
                   f"{self.json_text(depth - 1)}{self.blank()}" for _ in range(count)]
        return "{" + ",".join(members) + self.blank() + "}"

    def value(self) -> str:
        """The JSON text of a value: scalars, whole numbers, objects, seldom a large one."""
        dice = self.random.random()
        if dice < 0.03:
            return self.random.choice(LARGE)
        if dice < 0.25:
            return self.random.choice(INTEGERS)
        if dice < 0.6:
            return self.json_object(3, self.random.randint(1, 4))
        return self.json_text()

    def etag(self, key: str) -> str:
        """The quoted entity tag of the entry, or "none" as long as nobody has seen it."""
        entry = self.model.find(key)
        tag = self.etags.get(entry.identity) if entry is not None and entry.is_string else None
        return f'"{tag or "none"}"'

    def condition(self, key: str) -> str:
        """What If-Match or If-None-Match may say."""
        current = self.etag(key)
        known = self.etags.known()
        other = f'"{self.random.choice(known)}"' if known else '"other"'
        return self.random.choice((
            "*", "*", current, current, current, other, f"W/{current}", f'{current[:-1]}-gzip"',
            f"{other}, {current}", f"{other} ,, W/{current}", f'{current[:-1]}-nonsense"', '""'))

    def conditions(self, key: str, percent: int) -> Conditions:
        """So often a condition, now and then both or a malformed one."""
        if not self.maybe(percent):
            return Conditions()
        dice = self.random.random()
        if dice < 0.05:
            bad = self.random.choice(("x", '"a" "b"', "*, *", "W/", '"open', ","))
            return Conditions(bad) if self.maybe(50) else Conditions(None, bad)
        match = self.condition(key) if dice < 0.55 else None
        none_match = self.condition(key) if dice > 0.5 else None
        return Conditions(match, none_match)

    def prefer(self) -> list[Header]:
        """Now and then, Prefer: return=minimal."""
        if not self.maybe(12):
            return []
        return [("Prefer", self.random.choice((
            "return=minimal", 'respond-async, return="minimal"', "return=representation")))]

    # --- reading -----------------------------------------------------------------------------

    def read(self) -> None:
        """GET or HEAD of either representation."""
        key, raw = self.key(), self.maybe(40)
        when = self.conditions(key, 35)
        target = self.path("raw" if raw else "cache", key) + ("?x=1" if self.maybe(5) else "")
        request = Request("HEAD" if self.maybe(25) else "GET", target, condition_headers(when))
        self.exchange([key], request, lambda now: self.model.answer_read(
            key, self.model.read(key, when, now), raw, now))

    def put_back(self) -> None:
        """What GET gave is put back, often under another key."""
        key = self.key()
        answer = self.exchange([key], Request("GET", self.path("cache", key)), lambda now:
                               self.model.answer_read(
                                   key, self.model.read(key, Conditions(), now), False, now))
        entry = self.model.find(key)
        if answer.status != 200 or entry is None:
            return
        ttl = None if entry.end is None else answer.json()["ttl"]
        what = put_back(entry, ttl, self.model.default_ttl)
        self.exchange([key], Request("PUT", self.path("cache", key), [JSON_MEDIA], answer.body),
                      lambda now: self.model.answer_write(
                          key, self.model.write(key, what, Conditions(), now), "cache", False, now))

    # --- writing -----------------------------------------------------------------------------

    def written(self) -> tuple[dict[str, str], Written]:
        """What a PUT asks for, as the members of its document and as the model takes it."""
        members: dict[str, str] = {}
        what = Written(b"", ttl=self.model.default_ttl)
        if self.maybe(80):
            members["value"] = self.value()
            what.body = members["value"].encode()
        else:
            self._spell_bytes(members, what)
        if self.maybe(40):
            members["ttl"], what.ttl = self.random.choice(TTLS)
        elif self.maybe(10):
            members["ttl"] = "null"
        if self.maybe(12):
            what.idle = self.random.choice(IDLES)
            members["idle"] = str(what.idle)
        what.tags = self.tags()
        if what.tags or self.maybe(10):
            twice = (*what.tags, *what.tags[:1])
            members["tags"] = "[" + ", ".join(quoted(t).decode() for t in twice) + "]"
        if self.maybe(5):
            members["timestamp"] = '"whenever"'
        return members, what

    def _spell_bytes(self, members: dict[str, str], what: Written) -> None:
        """Bytes as a string: with a media type, or as base64 without one."""
        what.body = self.random.choice(BYTES)
        entry = Entry(what.body, ("", ""))
        if self.maybe(75):
            what.media = (self.random.choice(TYPES),
                          self.random.choice(CODINGS) if self.maybe(20) else "")
            members["content_type"] = quoted(what.media[0]).decode()
            if what.media[1]:
                members["content_encoding"] = quoted(what.media[1]).decode()
        if what.media is not None and is_text(what.body) and self.maybe(70):
            members["value"] = quoted(entry.body.decode()).decode()
            if self.maybe(50):
                members["encoding"] = '"utf-8"'
        else:
            members["value"] = json.dumps(base64_text(what.body))
            members["encoding"] = '"base64"'

    def document(self, members: Mapping[str, str]) -> bytes:
        """An object of these members in some order and spelling."""
        names = list(members)
        self.random.shuffle(names)
        parts = []
        for name in names:
            shown = f"\\u{ord(name[0]):04x}{name[1:]}" if self.maybe(2) else name
            parts.append(f'{self.blank()}"{shown}"{self.blank()}:{self.blank()}{members[name]}'
                         f"{self.blank()}")
        return ("{" + ",".join(parts) + "}").encode()

    def put(self) -> None:
        """PUT /cache/{key}."""
        key = self.key()
        members, what = self.written()
        if self.maybe(5):
            members["key"] = quoted(key).decode()
        when, prefer = self.conditions(key, 30), self.prefer()
        request = Request("PUT", self.path("cache", key),
                          [JSON_MEDIA, *condition_headers(when), *prefer], self.document(members))
        self.exchange([key], request, lambda now: self.model.answer_write(
            key, self.model.write(key, what, when, now), "cache", is_minimal(prefer), now))

    def put_raw(self) -> None:
        """PUT /raw/{key}."""
        key = self.key()
        what = Written(self.random.choice(BYTES), ("application/octet-stream", ""),
                       self.model.default_ttl)
        headers: list[Header] = []
        if self.maybe(80):
            what.media = (self.random.choice(TYPES), "")
            headers.append(("Content-Type", what.media[0]))
        if self.maybe(20) and what.media is not None:
            what.media = (what.media[0], self.random.choice(CODINGS))
            headers.append(("Content-Encoding", what.media[1]))
        query = []
        if self.maybe(40):
            what.ttl = self.random.choice(TTLS)[1]
            query.append(f"ttl={what.ttl}")
        if self.maybe(15):
            what.idle = self.random.choice(IDLES)
            query.append(f"idle={what.idle}")
        what.tags = tuple(tag for tag in self.tags() if tag.isascii())
        if what.tags:
            headers.append(("Cache-Groups", ", ".join(map(structured, what.tags))))
        when, prefer = self.conditions(key, 25), self.prefer()
        target = self.path("raw", key) + ("?" + "&".join(query) if query else "")
        request = Request("PUT", target, [*headers, *condition_headers(when), *prefer], what.body)
        self.exchange([key], request, lambda now: self.model.answer_write(
            key, self.model.write(key, what, when, now), "raw", is_minimal(prefer), now))

    def patch(self) -> None:
        """PATCH: the ttl, a merge, both or nothing."""
        key = self.key()
        members: dict[str, str] = {}
        ttl: int | None = None
        if self.maybe(80):
            text = self.json_object(3, self.random.randrange(4))
            members["value"] = text if self.maybe(85) else self.json_text()
            if members["value"] == "null":
                members["value"] = "{}"
        if self.maybe(35):
            members["ttl"], ttl = self.random.choice((*TTLS, ("null", 0)))
        value = members["value"].encode() if "value" in members else None
        when, prefer = self.conditions(key, 25), self.prefer()
        media = PATCH_MEDIA if self.maybe(70) else JSON_MEDIA
        request = Request("PATCH", self.path("cache", key),
                          [media, *condition_headers(when), *prefer], self.document(members))
        self.exchange([key], request, lambda now: self.model.answer_write(
            key, self.model.patch(key, value, ttl, when, now), "cache", is_minimal(prefer), now))

    def delete(self) -> None:
        """DELETE of either representation."""
        key = self.key()
        form = "raw" if self.maybe(30) else "cache"
        when, prefer = self.conditions(key, 40), self.prefer()
        request = Request("DELETE", self.path(form, key), [*condition_headers(when), *prefer])
        self.exchange([key], request, lambda now: self.model.answer_write(
            key, self.model.remove(key, when, now), form, is_minimal(prefer), now))

    def count(self) -> None:
        """POST /counters/{key}."""
        key = self.key()
        members: dict[str, str] = {}
        by, initial, ttl = 1, 0, self.model.default_ttl
        if self.maybe(60):
            by = self.random.choice((0, 1, 2, -3, 10, 2**63 - 1, -2**63, 2**53 + 1))
            members["by"] = str(by)
        if self.maybe(30):
            initial = self.random.choice((0, 1, 100, -100, 2**63 - 2))
            members["initial"] = str(initial)
        if self.maybe(30):
            members["ttl"], ttl = self.random.choice(TTLS)
        body = self.document(members) if members or self.maybe(50) else None
        when, prefer = self.conditions(key, 20), self.prefer()
        request = Request("POST", self.path("counters", key),
                          [JSON_MEDIA, *condition_headers(when), *prefer], body)
        self.exchange([key], request, lambda now: self.model.answer_write(
            key, self.model.count(key, by, initial, ttl, when, now), "counters",
            is_minimal(prefer), now))

    # --- batches -----------------------------------------------------------------------------

    def batch(self) -> None:
        """POST /batch; most of its operations meet on a few keys."""
        keys = [self.key() for _ in range(self.random.randint(1, 3))]
        items = [self._batch_item(self.random.choice(keys))
                 for _ in range(self.random.randint(1, 9))]
        body = b'{"operations":[' + b", ".join(document for document, _ in items) + b"]}"

        def judge(now: Span) -> Expected:
            parts: list[Part] = [b'{"results":[']
            for i, (_, result) in enumerate(items):
                parts += [b"," if i else b"", *result(now)]
            return Expected(200, [*parts, b"]}"], {
                "Content-Type": [b"application/json"], "Cache-Control": [b"no-store"],
                "X-Content-Type-Options": [b"nosniff"]})

        self.exchange(keys, Request("POST", "/batch", [JSON_MEDIA], body), judge)

    def _batch_item(self, key: str) -> tuple[bytes, Callable[[Span], Sequence[Part]]]:
        """An operation, and what the model makes of it."""
        model = self.model
        when = self.conditions(key, 25)
        members = {"key": quoted(key).decode()}
        if when.if_match is not None:
            members["if_match"] = json.dumps(when.if_match)
        if when.if_none_match is not None:
            members["if_none_match"] = json.dumps(when.if_none_match)
        dice = self.random.random()
        if dice < 0.04:
            return self._bad_item(key)
        if dice < 0.45:
            return self.document({**members, "method": '"GET"'}), lambda now: model.batch_result(
                key, model.read(key, when, now), True, now)
        if dice < 0.6:
            return self.document({**members, "method": '"DELETE"'}), lambda now: model.batch_result(
                key, model.remove(key, when, now), False, now)
        more, what = self.written()
        document = self.document({**members, **more, "method": '"PUT"'})
        return document, lambda now: model.batch_result(
            key, model.write(key, what, when, now), False, now)

    def _bad_item(self, key: str) -> tuple[bytes, Callable[[Span], Sequence[Part]]]:
        """An operation that is refused, and the others aren't."""
        name = quoted(key).decode()
        members, status, slug, shown = self.random.choice((
            ({"method": '"PUT"', "key": name, "value": "1", "ttl": "0"}, 422, "invalid-ttl", True),
            ({"method": '"PUT"', "key": name}, 422, "schema-violation", True),
            ({"method": '"GET"', "key": name, "if_match": "null"}, 400, "invalid-precondition", True),
            ({"method": '"POST"', "key": name}, 422, "schema-violation", False),
            ({"method": '"GET"'}, 422, "schema-violation", False),
            ({"method": '"GET"', "key": '"a//b"'}, 400, "invalid-key", False),
            ({"method": '"GET"', "key": name, "tll": "1"}, 422, "unknown-field", False)))
        return self.document(members), lambda now: self.model.batch_result(
            key if shown else None, Outcome(status, slug), False, now)

    # --- more than one entry -----------------------------------------------------------------

    def invalidate(self) -> None:
        """DELETE /cache?tag=."""
        tag, prefer = self.random.choice(TAGS), self.prefer()

        def judge(_: Span) -> Expected:
            self.model.invalidate(tag)
            body: list[Part] = [b'{"invalidated":true,"tag":', quoted(tag)]
            expected = answer_many(body, is_minimal(prefer))
            if tag.isascii():
                expected.fields["Cache-Group-Invalidation"] = [structured(tag).encode()]
            return expected

        self.exchange([], Request("DELETE", f"/cache?tag={self._query(tag)}", prefer), judge)

    def _query(self, text: str) -> str:
        return quote_plus(text) if self.maybe(50) else quote(text, safe="")

    def remove_prefix(self) -> None:
        """DELETE /cache?prefix=."""
        prefix, prefer = self.random.choice(PREFIXES), self.prefer()

        def judge(_: Span) -> Expected:
            body: list[Part] = [b'{"deleted":%d' % self.model.remove_prefix(prefix)]
            return answer_many(body, is_minimal(prefer))

        self.exchange([], Request("DELETE", f"/cache?prefix={self._query(prefix)}", prefer), judge)

    def clear(self) -> None:
        """DELETE /cache."""
        def judge(_: Span) -> Expected:
            self.model.entries.clear()
            return answer_many([b'{"cleared":true'], False)

        self.exchange([], Request("DELETE", "/cache"), judge)

    def list_keys(self) -> None:
        """GET /keys, page by page: none that is alive is left out, none that isn't there is in."""
        prefix = self.random.choice(("", "", *PREFIXES))
        limit = self.random.choice((1, 3, 1000))
        listed: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            target = f"/keys?limit={limit}&prefix={self._query(prefix)}&cursor={cursor}"
            request = Request("GET", target)
            self._note([], str(request))
            answer = self.random.choice(self._ways).ask(request)
            document = answer.json()
            link = answer.header("Link")
            cursor = document["cursor"]
            if answer.status != 200 or list(document) != ["keys", "cursor"] or \
                    (link is None) != (cursor is None):
                self._fail([], [f"{answer}"])
            listed.update(document["keys"])
        there = {key for key, entry in self.model.entries.items()
                 if entry.is_string and key.startswith(prefix) and key != NO_KEY}
        alive = {key for key in there if self.model.find(key) is not None}
        if not alive <= listed <= there:
            self._fail([], [f"/keys lists {listed}; alive {alive}; there {there}"])

    # --- what is refused ---------------------------------------------------------------------

    def refused(self) -> None:
        """Requests that are wrong in one way each; nothing changes."""
        key = self.key()
        request, status, slug = self.random.choice(REFUSALS)
        target = request.target.replace("{key}", quote(key, safe=""))
        body = request.body
        has_key = "{key}" in request.target
        sent = Request(request.method, target, request.headers, body)

        def judge(_: Span) -> Expected:
            expected = self.model.problem(status, slug, key if has_key else None)
            if request.method == "PATCH" and status == 415 and slug == "unsupported-media-type":
                expected.fields["Accept-Patch"] = [b"application/merge-patch+json"]
            return expected

        self.exchange([key], sent, judge)

    def strange_paths(self) -> None:
        """Paths that are no key, straight to larderd: web servers refuse some on their own."""
        target, slug = self.random.choice((
            ("/cache/", "invalid-key"), ("/raw/", "invalid-key"), ("/cache/a//b", "malformed-path"),
            ("/cache/%", "malformed-path"), ("/cache/..", "malformed-path"),
            ("/cache/%2e", "malformed-path"), ("/cache/%FF", "invalid-key"),
            ("/cache/%00", "invalid-key"), ("/cache/" + "x" * 513, "key-too-long")))
        method = self.random.choice(("GET", "PUT", "DELETE"))
        self.exchange([], Request(method, target), lambda now: self.model.problem(400, slug, None),
                      self._ways[-1])

    # --- behind larderd's back ---------------------------------------------------------------

    def foreign(self) -> None:
        """Another program writes into Redis."""
        key = self.key() if self.maybe(90) else NO_KEY
        name = self._name(key)
        if self.maybe(15):
            self._note([key], f"redis: DEL, RPUSH {key}")
            self._redis.ask("DEL", name)
            self._redis.ask("RPUSH", name, "1")
            self.model.entries[key] = Entry(is_string=False)
            return
        body = self.random.choice(FOREIGN)
        entry = Entry(body)
        life: tuple[str | int, ...] = ()
        before = time.time()
        if self.maybe(40):
            life = ("EX", 7200)
        self._note([key], f"redis: SET {key} {body[:100]!r} {life}")
        self._redis.ask("SET", name, body, *life)
        if life:
            entry.end = entry.expiry = (before + 7200, time.time() + 7200)
        self.model.entries[key] = entry

    def evict_tag(self) -> None:
        """Redis evicts what larder knows of a tag."""
        tag = self.random.choice(TAGS)
        self._note([], f"redis: UNLINK the nonce of {tag}")
        self._redis.ask("UNLINK", self._prefix + b"\xfftag:" + tag.encode())
        self.model.invalidate(tag)

    def forget_scripts(self) -> None:
        """Redis loses larder's scripts, as at a restart."""
        self._note([], "redis: SCRIPT FLUSH")
        self._redis.ask("SCRIPT", "FLUSH")

    def expire(self) -> None:
        """An entry's time is over."""
        key = self.key()
        self._note([key], f"redis: {key} expires")
        self._redis.ask("PEXPIREAT", self._name(key), "1")
        self.model.entries.pop(key, None)

    def audit(self) -> None:
        """What is in Redis is what the model has: JSON entries are their text and nothing else, and
        no tag's nonce goes before an entry that needs it."""
        self._note([], "audit")
        for key in (*KEYS, NO_KEY):
            fault = self._audit_entry(key, self.model.entries.get(key))
            if fault:
                self._fail([key], [f"in Redis, {key}: {fault}"])
        if self._prefix and self._redis.ask("GET", "bystander") != b"1":
            self._fail([], ["an entry of another user of this Redis was touched"])

    def _audit_entry(self, key: str, entry: Entry | None) -> str:
        name = self._name(key)
        if entry is None or not entry.is_string:
            kind = self._redis.ask("TYPE", name)
            return "" if kind == ("none" if entry is None else "list") else f"type {kind}"
        before = time.time()
        left: int = self._redis.ask("PTTL", name)
        stored: bytes | None = self._redis.ask("GET", name)
        if stored is None:
            return "not there"
        if not entry.has_header and stored != entry.body:
            return f"{stored[:200]!r} instead of {entry.body[:200]!r}"
        if entry.has_header and not (stored.startswith(b"\0larder1 {")
                                     and stored.endswith(b"}\n" + entry.body)):
            return f"{stored[:200]!r} instead of a header and {entry.body[:200]!r}"
        if entry.expiry is None:
            if left != -1:
                return f"expires in {left} ms instead of never"
        elif not (entry.expiry[0] - time.time() - 0.1) * 1000 <= left \
                <= (entry.expiry[1] - before + 0.1) * 1000:
            return f"expires in {left} ms instead of {entry.expiry[1] - before:.3f} s"
        return self._audit_tags(entry) if self.model.is_alive(entry) else ""

    def _audit_tags(self, entry: Entry) -> str:
        for tag in entry.tags:
            left: int = self._redis.ask("PTTL", self._prefix + b"\xfftag:" + tag.encode())
            too_short = left >= 0 and (
                entry.end is None or left < (entry.end[0] - time.time()) * 1000)
            if left == -2 or too_short:
                return f"its tag {tag} lives {left} ms, less than the entry"
        return ""


def base64_text(body: bytes) -> str:
    """RFC 4648, part 4."""
    import base64
    return base64.b64encode(body).decode()


def condition_headers(when: Conditions) -> list[Header]:
    """The conditions as fields."""
    headers: list[Header] = []
    if when.if_match is not None:
        headers.append(("If-Match", when.if_match))
    if when.if_none_match is not None:
        headers.append(("If-None-Match", when.if_none_match))
    return headers


def is_minimal(prefer: Sequence[Header]) -> bool:
    """Whether the field asks for no body."""
    return any("minimal" in value for _, value in prefer)


def answer_many(begin: Sequence[Part], minimal: bool) -> Expected:
    """Of a DELETE of many entries."""
    from expect import STAMP
    if minimal:
        return Expected(204, [], {"Preference-Applied": [b"return=minimal"]})
    return Expected(200, [*begin, b',"timestamp":"', STAMP, b'"}'], {
        "Content-Type": [b"application/json"], "X-Content-Type-Options": [b"nosniff"]})


def _put(body: bytes | None, *headers: Header) -> Request:
    return Request("PUT", "/cache/{key}", headers or [JSON_MEDIA], body)


def _put_raw(query: str, *headers: Header) -> Request:
    return Request("PUT", "/raw/{key}" + query, headers, b"x")


def _patch(body: bytes, media: Header = PATCH_MEDIA) -> Request:
    return Request("PATCH", "/cache/{key}", [media], body)


def _count(body: bytes) -> Request:
    return Request("POST", "/counters/{key}", [JSON_MEDIA], body)


def _batch(body: bytes) -> Request:
    return Request("POST", "/batch", [JSON_MEDIA], body)


REFUSALS: tuple[tuple[Request, int, str], ...] = (
    (_put(None), 400, "body-required"),
    (_put(b"{"), 400, "invalid-json"),
    (_put(b'{"value":NaN}'), 400, "invalid-json"),
    (_put(b"[" * 200 + b"]" * 200), 400, "too-deep"),
    (_put(b"[]"), 422, "schema-violation"),
    (_put(b'{"ttl":7200}'), 422, "schema-violation"),
    (_put(b'{"value":1,"value":2}'), 400, "duplicate-field"),
    (_put(b'{"value":1,"tll":2}'), 422, "unknown-field"),
    (_put(b'{"value":1,"key":"another"}'), 422, "key-mismatch"),
    (_put(b'{"value":1,"content_type":"a/b"}'), 422, "schema-violation"),
    (_put(b'{"value":"1","content_type":"nothing"}'), 422, "schema-violation"),
    (_put(b'{"value":"*","encoding":"base64"}'), 422, "schema-violation"),
    (_put(b'{"value":"x","content_encoding":"gzip"}'), 422, "schema-violation"),
    (_put(b'{"value":1,"tags":["a\\n"]}'), 422, "invalid-tag"),
    (_put(b'{"value":1,"tags":"a"}'), 422, "invalid-tag"),
    (_put(b'{"value":1,"tags":[' + b",".join(b'"%d"' % i for i in range(33)) + b"]}"),
     422, "invalid-tag"),
    (_put(b'{"value":1}', ("Content-Type", "text/plain")), 415, "unsupported-media-type"),
    (_put(b'{"value":1}', JSON_MEDIA, ("Content-Encoding", "gzip")), 415,
     "unsupported-content-coding"),
    *((_put(b'{"value":1,"ttl":%s}' % text.encode()), 422, "invalid-ttl") for text in BAD_SECONDS),
    *((_put(b'{"value":1,"idle":%s}' % text.encode()), 422, "invalid-idle")
      for text in BAD_SECONDS),
    (Request("PUT", "/cache/{key}?ttl=7200", [JSON_MEDIA], b'{"value":1}'), 400,
     "unknown-parameter"),
    (Request("DELETE", "/cache/{key}?x"), 400, "unknown-parameter"),
    (Request("DELETE", "/raw/{key}?tag=red"), 400, "unknown-parameter"),
    (_put_raw("?ttl=0"), 422, "invalid-ttl"),
    (_put_raw("?ttl="), 422, "invalid-ttl"),
    (_put_raw("?idle=1.5"), 422, "invalid-idle"),
    (_put_raw("?tll=7200"), 400, "unknown-parameter"),
    (_put_raw("?ttl=7200&ttl=7200"), 400, "invalid-parameter"),
    (_put_raw("", ("Cache-Groups", '"a" "b"')), 400, "invalid-field"),
    (_put_raw("", ("Cache-Groups", "a, b")), 400, "invalid-field"),
    (_put_raw("", ("Cache-Groups", '""')), 422, "invalid-tag"),
    (_put_raw("", ("Content-Type", "nothing")), 400, "invalid-field"),
    (_put_raw("", ("Content-Encoding", "a b")), 400, "invalid-field"),
    (_patch(b'{"value":null}'), 422, "schema-violation"),
    (_patch(b'{"tags":[]}'), 422, "unknown-field"),
    (_patch(b'{"ttl":0}'), 422, "invalid-ttl"),
    (_patch(b"{}", ("Content-Type", "text/plain")), 415, "unsupported-media-type"),
    (_count(b'{"by":1.5}'), 422, "schema-violation"),
    (_count(b'{"by":9223372036854775808}'), 422, "schema-violation"),
    (_count(b'{"value":1}'), 422, "unknown-field"),
    (_count(b'{"ttl":-1}'), 422, "invalid-ttl"),
    (Request("DELETE", "/cache?prefix="), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?tag="), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?prefix=a&tag=red"), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?key=a"), 400, "unknown-parameter"),
    (Request("DELETE", "/cache?tag=" + "x" * 129), 422, "invalid-tag"),
    (Request("GET", "/keys?limit=0"), 400, "invalid-parameter"),
    (Request("GET", "/keys?cursor=x"), 400, "invalid-parameter"),
    (_batch(b'{"operations":[]}'), 422, "schema-violation"),
    (_batch(b'{"operations":{}}'), 422, "schema-violation"),
    (_batch(b"[]"), 422, "schema-violation"),
)

WEIGHTS: tuple[tuple[Callable[[Walk], None], int], ...] = (
    (Walk.read, 280), (Walk.put, 170), (Walk.put_raw, 80), (Walk.patch, 110), (Walk.delete, 60),
    (Walk.count, 80), (Walk.batch, 90), (Walk.put_back, 30), (Walk.invalidate, 15),
    (Walk.remove_prefix, 12), (Walk.clear, 3), (Walk.list_keys, 8), (Walk.refused, 40),
    (Walk.strange_paths, 5), (Walk.foreign, 45), (Walk.evict_tag, 10), (Walk.forget_scripts, 10),
    (Walk.expire, 20), (Walk.audit, 10))
