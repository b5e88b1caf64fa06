"""The contract (docs/api.md) as a small program: what each request makes of the entries, and what
it answers. It shares nothing with larderd but the page it was written from.

Every operation is told when it happened: a span between two moments. Nothing here looks at an
answer; entity tags, which nobody can foretell, are learnt by expect.Etags when they are seen.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from functools import lru_cache

from expect import STAMP, STRING, Etag, Etags, Expected, Identity, Part, Parts, Span, seconds_left
from mergepatch import merge_text

Media = tuple[str, str]  # type and coding; the latter may be empty

INT64 = range(-2**63, 2**63)
A_YEAR_S = 31536000  # what never expires may still be replaced
HEADER_MARK = b"\0larder1 "
CODING_SUFFIXES = ("-gzip", "-br", "-zstd", "-deflate", "-x-gzip", "-bzip2", "-x-bzip2", ";gzip")

_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")
_ENTITY_TAG = re.compile(r'(W/)?"([^"\x00-\x20\x7f]*)"')
_ESCAPED = re.compile('["\\\\\x00-\x1f]')


@lru_cache(maxsize=4096)
def is_json(body: bytes) -> bool:
    """Whether the bytes are JSON text (RFC 8259)."""
    def refuse(word: str) -> None:
        raise ValueError(word)
    try:
        json.loads(body.decode("utf-8"), parse_constant=refuse, parse_int=str)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def is_text(body: bytes) -> bool:
    """Whether the bytes are UTF-8."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _escape(match: re.Match[str]) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
             "\t": "\\t"}
    return short.get(match[0]) or f"\\u{ord(match[0]):04x}"


@lru_cache(maxsize=4096)
def quoted(text: str) -> bytes:
    """A JSON string with no more escapes than it needs."""
    return ('"' + _ESCAPED.sub(_escape, text) + '"').encode()


@dataclass(slots=True)
class Entry:
    """What is kept under a key. Without a media type the body is JSON or another program's."""

    body: bytes = b""
    media: Media | None = None
    idle: int = 0
    end: Span | None = None     # of its whole life; None: it has none
    expiry: Span | None = None  # when it goes if nobody reads it
    tags: dict[str, int] = field(default_factory=dict)  # how often each had been invalidated
    is_string: bool = True      # in Redis; other types are another program's

    @property
    def identity(self) -> Identity:
        """What the entity tag stands for."""
        return (self.media, self.body)

    @property
    def has_header(self) -> bool:
        """Whether Redis keeps more than the body."""
        return self.media is not None or bool(self.tags) or self.idle > 0


@dataclass(slots=True)
class Written:
    """What a PUT asks for."""

    body: bytes
    media: Media | None = None
    ttl: int = 0  # seconds; 0: no end
    idle: int = 0
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Conditions:
    """If-Match and If-None-Match as they are sent; None: not there."""

    if_match: str | None = None
    if_none_match: str | None = None

    def __bool__(self) -> bool:
        return self.if_match is not None or self.if_none_match is not None


@dataclass(slots=True)
class Outcome:
    """What came of an operation on one entry, in whatever form it is then answered."""

    status: int
    slug: str = ""
    entry: Entry | None = None  # as it is now, or was read
    shows_ttl: int | None = None  # just written: no time has passed for who sees it
    etag: Identity | None = None


def _is_malformed(condition: str) -> bool:
    if condition.strip() == "*":
        return False
    elements = [e.strip() for e in condition.split(",")]
    tags = [e for e in elements if e]
    return not 1 <= len(tags) <= 64 or not all(_ENTITY_TAG.fullmatch(t) for t in tags)


class Model:
    """All entries, and what has become of tags."""

    def __init__(self, etags: Etags, default_ttl: int, client_caching: bool) -> None:
        self.etags = etags
        self.default_ttl = default_ttl
        self.client_caching = client_caching
        self.entries: dict[str, Entry] = {}  # dead ones too: Redis keeps them
        self.invalidations: dict[str, int] = {}
        self.hits = self.misses = 0

    # --- what there is -----------------------------------------------------------------------

    def is_alive(self, entry: Entry) -> bool:
        """Whether no tag of it was invalidated."""
        return all(self.invalidations.get(t, 0) == n for t, n in entry.tags.items())

    def find(self, key: str) -> Entry | None:
        """The entry, for who wants one that is alive."""
        entry = self.entries.get(key)
        return entry if entry is not None and self.is_alive(entry) else None

    def _load(self, key: str) -> Entry | Outcome | None:
        """The entry, for who needs to know what it is; or what prevents that."""
        entry = self.find(key)
        if entry is not None and not entry.is_string:
            return Outcome(409, "wrong-type")
        return entry

    def _renew(self, entry: Entry, now: Span) -> None:
        """It is used, by a read or by a change."""
        entry.expiry = self._first_expiry(entry.idle, entry.end, now)

    @staticmethod
    def _first_expiry(idle: int, end: Span | None, now: Span) -> Span | None:
        """When an entry goes that is used now and then no more."""
        if not idle:
            return end
        asleep = (now[0] + idle, now[1] + idle)
        return asleep if end is None else (min(asleep[0], end[0]), min(asleep[1], end[1]))

    # --- conditions --------------------------------------------------------------------------

    def _names(self, condition: str, entry: Entry, weakly: bool) -> bool:
        """Whether the condition names the entry."""
        if condition.strip() == "*":
            return True
        etag = self.etags.get(entry.identity)
        if etag is None:
            return False
        spellings = {etag, *(etag + suffix for suffix in CODING_SUFFIXES)}
        return any(opaque in spellings and (weakly or not weak)
                   for weak, opaque in _ENTITY_TAG.findall(condition))

    def _judge(self, entry: Entry | None, when: Conditions) -> Outcome | None:
        """The 412, if the conditions don't hold."""
        failed = False
        if when.if_match is not None:
            failed = entry is None or not self._names(when.if_match, entry, False)
        if when.if_none_match is not None and entry is not None:
            failed = failed or self._names(when.if_none_match, entry, True)
        if not failed:
            return None
        return Outcome(412, "precondition-failed", etag=entry.identity if entry else None)

    @staticmethod
    def _refuse(when: Conditions) -> Outcome | None:
        """The 400, if a condition is malformed."""
        for condition in (when.if_match, when.if_none_match):
            if condition is not None and _is_malformed(condition):
                return Outcome(400, "invalid-precondition")
        return None

    # --- operations on one entry -------------------------------------------------------------

    def read(self, key: str, when: Conditions, now: Span) -> Outcome:
        """GET and HEAD, of either representation."""
        if refused := self._refuse(when):
            return refused
        entry = self._load(key)
        if isinstance(entry, Outcome):
            return entry
        if entry is None:
            self.misses += 1
            return Outcome(404, "key-not-found")
        self._renew(entry, now)
        if when.if_match is not None and not self._names(when.if_match, entry, False):
            return Outcome(412, "precondition-failed", etag=entry.identity)
        self.hits += 1
        same = when.if_none_match is not None and self._names(when.if_none_match, entry, True)
        return Outcome(304 if same else 200, entry=entry, etag=entry.identity)

    def write(self, key: str, what: Written, when: Conditions, now: Span) -> Outcome:
        """PUT of either representation."""
        if refused := self._refuse(when):
            return refused
        if when:
            entry = self._load(key)
            if isinstance(entry, Outcome):
                return entry
            if failed := self._judge(entry, when):
                return failed
        media = what.media
        if media is None and what.body.startswith(HEADER_MARK) and what.body != HEADER_MARK:
            media = ("application/octet-stream", "")  # lest they be taken for a header
        end = (now[0] + what.ttl, now[1] + what.ttl) if what.ttl else None
        new = Entry(what.body, media, what.idle, end, self._first_expiry(what.idle, end, now),
                    {t: self.invalidations.get(t, 0) for t in what.tags})
        self.entries[key] = new
        return Outcome(200, entry=new, shows_ttl=what.ttl, etag=new.identity)

    def remove(self, key: str, when: Conditions, now: Span) -> Outcome:
        """DELETE of either representation."""
        if refused := self._refuse(when):
            return refused
        if when:
            entry = self._load(key)
            if isinstance(entry, Outcome):
                return entry
            if failed := self._judge(entry, when):
                return failed
            if entry is None:
                return Outcome(404, "key-not-found")
        entry = self.find(key)
        self.entries.pop(key, None)
        return Outcome(200) if entry is not None else Outcome(404, "key-not-found")

    def patch(self, key: str, value: bytes | None, ttl: int | None, when: Conditions,
              now: Span) -> Outcome:
        """PATCH; `ttl`: None leaves it, 0 removes it."""
        if refused := self._refuse(when):
            return refused
        entry = self._load(key)
        if isinstance(entry, Outcome):
            return entry
        if failed := self._judge(entry, when):
            return failed
        if entry is None:
            return Outcome(404, "key-not-found")
        if value is not None:
            if entry.media is not None or not is_json(entry.body):
                return Outcome(409, "not-json")
            entry.body = merge_text(entry.body.decode().strip(" \t\n\r"), value.decode()).encode()
        if ttl is not None:
            entry.end = (now[0] + ttl, now[1] + ttl) if ttl else None
        if value is not None or ttl is not None:
            self._renew(entry, now)
        return Outcome(200, entry=entry, shows_ttl=ttl, etag=entry.identity)

    def count(self, key: str, by: int, initial: int, ttl: int, when: Conditions,
              now: Span) -> Outcome:
        """POST to a counter."""
        if refused := self._refuse(when):
            return refused
        entry = self._load(key)
        if isinstance(entry, Outcome):
            return entry
        if failed := self._judge(entry, when):
            return failed
        if entry is None:
            if initial + by not in INT64:
                return Outcome(409, "counter-overflow")
            return self.write(key, Written(b"%d" % (initial + by), ttl=ttl), Conditions(), now)
        if entry.media is not None or not _INTEGER.fullmatch(entry.body) \
                or int(entry.body) not in INT64:
            return Outcome(409, "not-an-integer")
        total = int(entry.body) + by
        if total not in INT64:
            return Outcome(409, "counter-overflow")
        entry.body = b"%d" % total
        self._renew(entry, now)
        return Outcome(200, entry=entry, etag=entry.identity)

    # --- operations on many ------------------------------------------------------------------

    def invalidate(self, tag: str) -> None:
        """DELETE /cache?tag=; the same becomes of a tag that Redis evicts."""
        self.invalidations[tag] = self.invalidations.get(tag, 0) + 1

    def remove_prefix(self, prefix: str) -> int:
        """DELETE /cache?prefix=; gives how many went."""
        gone = [key for key in self.entries if key.startswith(prefix)]
        for key in gone:
            del self.entries[key]
        return len(gone)

    # --- answers -----------------------------------------------------------------------------

    @staticmethod
    def problem(status: int, slug: str, key: str | None, etag: Identity | None = None) -> Expected:
        """An error answer."""
        parts: list[Part] = [b'{"type":"/errors/%s","title":' % slug.encode(), STRING,
                             b',"status":%d,"detail":' % status, STRING]
        if key is not None:
            parts += [b',"key":', quoted(key)]
        fields: dict[str, Parts] = {
            "Content-Type": [b"application/problem+json"], "Cache-Control": [b"no-store"],
            "X-Content-Type-Options": [b"nosniff"]}
        if etag is not None:
            fields["ETag"] = [b'"', Etag(etag), b'"']
        return Expected(status, [*parts, b"}"], fields)

    def answer_read(self, key: str, outcome: Outcome, raw: bool, now: Span) -> Expected:
        """Of GET and HEAD."""
        if outcome.slug:
            return self.problem(outcome.status, outcome.slug, key, outcome.etag)
        entry = outcome.entry
        assert entry is not None
        fields: dict[str, Parts] = {
            "ETag": [b'"', Etag(entry.identity), b'"'],
            "Cache-Control": [b"private, no-cache"],
            "Cache-Status": [b"larder; hit"]}
        left = None if entry.expiry is None else seconds_left(entry.expiry, now)
        if left is not None:
            fields["Cache-Status"] = [b"larder; hit; ttl=", left]
        if self.client_caching:
            fields["Cache-Control"] = [b"private, max-age=", left or b"%d" % A_YEAR_S]
        groups = [t for t in entry.tags if t.isascii()]
        if groups:
            fields["Cache-Groups"] = [", ".join(map(structured, groups)).encode()]
        if outcome.status == 304:
            return Expected(304, [], fields)
        fields["X-Content-Type-Options"] = [b"nosniff"]
        if not raw:
            fields["Content-Type"] = [b"application/json"]
            return Expected(200, self._document(key, outcome, now), fields)
        fields["Content-Type"] = [media_type(entry).encode()]
        fields["Content-Security-Policy"] = [b"sandbox"]
        if entry.media is not None and entry.media[1]:
            fields["Content-Encoding"] = [entry.media[1].encode()]
        return Expected(200, [entry.body], fields, len(entry.body))

    def answer_write(self, key: str, outcome: Outcome, form: str, minimal: bool,
                     now: Span) -> Expected:
        """Of whatever writes; `form` is the path's first segment."""
        if outcome.slug:
            return self.problem(outcome.status, outcome.slug, key, outcome.etag)
        fields: dict[str, Parts] = {}
        if outcome.etag is not None:
            fields["ETag"] = [b'"', Etag(outcome.etag), b'"']
        if minimal:
            return Expected(204, [], {**fields, "Preference-Applied": [b"return=minimal"]})
        fields["Content-Type"] = [b"application/json"]
        fields["X-Content-Type-Options"] = [b"nosniff"]
        entry = outcome.entry
        if entry is None:
            return Expected(200, [b'{"key":', quoted(key), b',"deleted":true,"timestamp":"', STAMP,
                                  b'"}'], fields)
        if form == "cache":
            return Expected(200, self._document(key, outcome, now), fields)
        if form == "counters":
            fields["Cache-Control"] = [b"no-store"]
            return Expected(200, [b'{"key":', quoted(key), *self._value(entry),
                                  *self._life(outcome, now), b"}"], fields)
        assert entry.media is not None
        return Expected(200, [
            b'{"key":', quoted(key), b',"content_type":', quoted(entry.media[0]),
            b',"size":%d' % len(entry.body), *self._life(outcome, now), b',"timestamp":"', STAMP,
            b'"}'], fields)

    @staticmethod
    def answer_many(members: Parts, minimal: bool) -> Expected:
        """Of a DELETE of many entries; `members` begin the document."""
        if minimal:
            return Expected(204, [], {"Preference-Applied": [b"return=minimal"]})
        return Expected(200, [*members, b',"timestamp":"', STAMP, b'"}'], {
            "Content-Type": [b"application/json"], "X-Content-Type-Options": [b"nosniff"]})

    def batch_result(self, key: str | None, outcome: Outcome, now: Span) -> Parts:
        """Of one operation in a batch."""
        if outcome.slug:
            parts: list[Part] = [b'{"status":%d,"type":"/errors/%s","title":'
                                 % (outcome.status, outcome.slug.encode()), STRING, b',"detail":',
                                 STRING]
            if key is not None:
                parts += [b',"key":', quoted(key)]
            if outcome.etag is not None:
                parts += [b',"etag":"\\"', Etag(outcome.etag), b'\\""']
            return [*parts, b"}"]
        assert key is not None
        parts = [b'{"status":%d,"key":' % outcome.status, quoted(key)]
        if outcome.entry is None:
            return [*parts, b',"deleted":true}']
        if outcome.status != 304:
            parts += [*self._value(outcome.entry), *self._life(outcome, now)]
        return [*parts, b',"etag":"\\"', Etag(outcome.entry.identity), b'\\""}']

    def _document(self, key: str, outcome: Outcome, now: Span) -> Parts:
        assert outcome.entry is not None
        return [b'{"key":', quoted(key), *self._value(outcome.entry), *self._life(outcome, now),
                b',"timestamp":"', STAMP, b'"}']

    @staticmethod
    def _value(entry: Entry) -> Parts:
        """What is shown of the value. Whole: an entry may change before the parts are compared."""
        text = value_text(entry)
        if entry.media is None:
            binary = not is_json(entry.body) and not is_text(entry.body)
            return [b',"value":' + text + (b',"encoding":"base64"' if binary else b"")]
        kind, coding = entry.media
        encoding = b"utf-8" if is_text(entry.body) else b"base64"
        return [b',"value":' + text, b',"content_type":' + quoted(kind),
                b',"content_encoding":' + quoted(coding) if coding else b"",
                b',"encoding":"' + encoding + b'"']

    @staticmethod
    def _life(outcome: Outcome, now: Span) -> Parts:
        entry = outcome.entry
        assert entry is not None
        parts: list[Part] = [b',"ttl":']
        if entry.end is None:
            parts.append(b"null")
        elif outcome.shows_ttl is not None:
            parts.append(b"%d" % outcome.shows_ttl)
        else:
            parts.append(seconds_left(entry.end, now))
        if entry.idle:
            parts.append(b',"idle":%d' % entry.idle)
        if entry.tags:
            parts.append(b',"tags":[' + b",".join(map(quoted, entry.tags)) + b"]")
        return parts


def value_text(entry: Entry) -> bytes:
    """The JSON text of the member "value"."""
    if entry.media is None and is_json(entry.body):
        return entry.body.strip(b" \t\n\r")
    if is_text(entry.body):
        return quoted(entry.body.decode())
    return b'"' + base64.b64encode(entry.body) + b'"'


def media_type(entry: Entry) -> str:
    """Content-Type of the bare bytes."""
    if entry.media is not None:
        return entry.media[0]
    if is_json(entry.body):
        return "application/json"
    return "text/plain; charset=utf-8" if is_text(entry.body) else "application/octet-stream"


def structured(text: str) -> str:
    """A String of a structured field (RFC 9651)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def put_back(entry: Entry, shown_ttl: int | None, default_ttl: int) -> Written:
    """What a PUT of the document that GET gave asks for. Another program's text comes back as the
    JSON string that it was shown as; its bytes that are no text, as they are."""
    body = entry.body
    if entry.media is None and (is_json(body) or is_text(body)):
        body = value_text(entry)
    ttl = default_ttl if shown_ttl is None else shown_ttl
    return Written(body, entry.media, ttl, entry.idle, tuple(entry.tags))
