"""What requests are made of, at random: keys, tags, JSON in many spellings, bytes, lives."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, quote_plus

from model import Written, is_text, quoted
from rawhttp import Header

KEYS = ("a", "a/b", "user:1", "user:2", "é", "e\u0301", "日本/語", "with space", "100%+1", "q?x=1&y#z",
        "*[x]?\\^", '"quote"~.-_')
PREFIXES = ("a", "user:", "user:2", "é", "日本/", "with ", "100%+", "q?", "*", "*[x]?\\", "none",
            "bad")
TAGS = ("red", "a b", 'q"\\', "größe", "product-7")

_SCALARS = ("null", "true", "false", "0", "-0", "1", "1.0", "-7", "1e400", "1E+2",
            "18446744073709551616", '""', '"x"', '"123"', '"\\u00e9"', '"é\\n\\/\\""',
            '"\\ud83d\\ude00"', '"\\u0000"')
_INTEGERS = ("0", "5", "-7", "41", "9223372036854775807", "9223372036854775800",
             "-9223372036854775808")
# Above what a batch asks for at first, and above a FastCGI record. A batch of these still fits.
_LARGE = ('"' + "x" * 20000 + '"', '"' + "ü" * 35000 + '"', "[" + "1.50," * 4000 + "0]")
_NAMES = ("a", "b", "c", "dé", "\\u0061", "")
_BLANKS = ("", "", "", " ", "\n ", "\t")

# Long enough not to run out during the longest walk.
TTLS = (("7200", 7200), ("7200.0", 7200), ('"7200"', 7200), ("72e2", 7200), ("86400", 86400),
        ("31536000", 31536000))
IDLES = (5000, 9000)

TYPES = ("text/plain", "text/plain; charset=utf-8", "application/json", "image/png",
         'multipart/form-data; boundary="a b"')
CODINGS = ("gzip", "br", "gzip, br")
BYTES = (b"", b"text", "größe €".encode(), b"\x00\xff\xfe", b'{"a":1}', b"5", b"\0larder1 ",
         b'\0larder1 {"idle":0}\nx', b'\0larder1 {"type":"a/b"}\nx\xff', bytes(range(256)),
         b"\xe2\x80\xa8\x7f\r\n\t", b"b" * 20000, b"\xfe" * 70000)

# What other programs write: text, JSON with white space around it, bytes, nothing, and what looks
# like a header of larder's but is none.
FOREIGN = (b"text", b"", b'  {"a": 1, "b":[null]}\n', b" 12 ", b"12", b"-5", b"-0", b"007", b"1.5",
           b"\xff\xfe", b"NaN", "größe".encode(), b'"quoted"', b"null", b'{"a":1', b"\0",
           b"\0larder1 no header\n", b'\0larder1 {"idle":0}\nx',
           b'\0larder1 {"tags":{"red":"0"}}\n5', b"y" * 16384, b" " * 16384 + b"1")


T = TypeVar("T")


class Dice:
    """A source of random pieces; the same seed gives the same."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)

    def maybe(self, percent: float) -> bool:
        """True so often."""
        return self.random.random() * 100 < percent

    def pick(self, choices: Sequence[T]) -> T:
        """One of them."""
        return self.random.choice(choices)

    # --- names -------------------------------------------------------------------------------

    def key(self) -> str:
        """A key; the first are met more often, so that something happens to them."""
        return KEYS[min(self.random.randrange(len(KEYS)), self.random.randrange(len(KEYS)))]

    def path(self, form: str, key: str) -> str:
        """A target that names the key, in one of its spellings."""
        spelled = quote(key, safe="/" if self.maybe(70) else "")
        if self.maybe(5):
            spelled = "".join(f"%{byte:02x}" for byte in key.encode())
        return f"/{form}/{spelled}"

    def query(self, text: str) -> str:
        """A value in a query, in one of its spellings."""
        return quote_plus(text) if self.maybe(50) else quote(text, safe="")

    def tags(self) -> tuple[str, ...]:
        """Mostly no tag."""
        if self.maybe(65):
            return ()
        return tuple(self.random.sample(TAGS, self.random.randint(1, 3)))

    # --- JSON --------------------------------------------------------------------------------

    def blank(self) -> str:
        """White space between tokens; mostly none."""
        return self.pick(_BLANKS)

    def json_text(self, depth: int = 3) -> str:
        """A JSON value in some spelling."""
        fate = self.random.random()
        if depth == 0 or fate < 0.4:
            return self.pick(_SCALARS)
        count = self.random.randrange(4)
        if fate >= 0.55:
            return self.json_object(count, depth)
        items = [self.blank() + self.json_text(depth - 1) + self.blank() for _ in range(count)]
        return f"[{self.blank()}{','.join(items)}]"

    def json_object(self, count: int, depth: int = 3) -> str:
        """An object; now and then with two members of one name."""
        members = [self._member(self.pick(_NAMES), self.json_text(depth - 1))
                   for _ in range(count)]
        return "{" + ",".join(members) + self.blank() + "}"

    def _member(self, name: str, value: str) -> str:
        return (f'{self.blank()}"{name}"{self.blank()}:{self.blank()}{value}{self.blank()}')

    def value(self) -> str:
        """The JSON text of a value: a whole number, an object, seldom a large one, anything."""
        fate = self.random.random()
        if fate < 0.03:
            return self.pick(_LARGE)
        if fate < 0.25:
            return self.pick(_INTEGERS)
        if fate < 0.6:
            return self.json_object(self.random.randint(1, 4))
        return self.json_text()

    def document(self, members: Mapping[str, str]) -> bytes:
        """An object of these members, which are JSON texts, in some order and spelling."""
        names = list(members)
        self.random.shuffle(names)
        parts = []
        for name in names:
            shown = f"\\u{ord(name[0]):04x}{name[1:]}" if self.maybe(2) else name
            parts.append(self._member(shown, members[name]))
        return ("{" + ",".join(parts) + "}").encode()

    # --- what is written ---------------------------------------------------------------------

    def written(self, default_ttl: int) -> tuple[dict[str, str], Written]:
        """What a PUT asks for, as the members of its document and as the model takes it."""
        members: dict[str, str] = {}
        what = Written(b"", ttl=default_ttl)
        if self.maybe(80):
            members["value"] = self.value()
            what.body = members["value"].encode()
        else:
            self._spell_bytes(members, what)
        if self.maybe(40):
            members["ttl"], what.ttl = self.pick(TTLS)
        elif self.maybe(10):
            members["ttl"] = "null"
        if self.maybe(12):
            what.idle = self.pick(IDLES)
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
        what.body = self.pick(BYTES)
        if self.maybe(75):
            coding = self.pick(CODINGS) if self.maybe(20) else ""
            what.media = (self.pick(TYPES), coding)
            members["content_type"] = quoted(what.media[0]).decode()
            if coding:
                members["content_encoding"] = quoted(coding).decode()
        if what.media is not None and is_text(what.body) and self.maybe(70):
            members["value"] = quoted(what.body.decode()).decode()
            if self.maybe(50):
                members["encoding"] = '"utf-8"'
        else:
            members["value"] = f'"{base64.b64encode(what.body).decode()}"'
            members["encoding"] = '"base64"'

    def prefer(self) -> list[Header]:
        """Now and then, Prefer: return=minimal."""
        if not self.maybe(12):
            return []
        return [("Prefer", self.pick((
            "return=minimal", 'respond-async, return="minimal"', "return=representation")))]
