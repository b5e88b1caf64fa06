"""What an answer must be, and the comparison of it with what came.

A body or field is a list of parts: bytes that stand there as they are, and those of which only the
kind or the range is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from checks import TIMESTAMP
from fcgi import Response
from rawhttp import Answer

# An entity tag stands for this: what the entry is, besides its life and tags.
Identity = tuple[tuple[str, str] | None, bytes]

# Two moments between which something happened, in seconds of the clock.
Span = tuple[float, float]

# Redis's clock is the machine's, but read at another moment and cut to milliseconds.
CLOCK_SLACK_S = 0.05

_NUMBER = re.compile(rb"[0-9]+")
_STRING = re.compile(rb'"(?:[^"\\]|\\.)+"')
_STAMP = re.compile(TIMESTAMP.pattern.encode())
_ETAG = re.compile(rb"[\x21\x23-\x5b\x5d-\x7e]{8,}")


@dataclass(frozen=True, slots=True)
class Seconds:
    """A whole number within bounds."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Etag:
    """The entity tag of an entry, without its quotes."""

    identity: Identity


@dataclass(frozen=True, slots=True)
class Pattern:
    """Whatever matches."""

    name: str
    regex: re.Pattern[bytes]


STAMP = Pattern("a timestamp", _STAMP)
STRING = Pattern("a string", _STRING)

Part = bytes | Seconds | Etag | Pattern
Parts = Sequence[Part]


def seconds_left(end: Span, now: Span) -> Seconds:
    """What is left of a life, rounded up."""
    low = math.ceil(end[0] - now[1] - CLOCK_SLACK_S)
    return Seconds(max(low, 1), math.ceil(end[1] - now[0] + CLOCK_SLACK_S))


@dataclass(slots=True)
class Expected:
    """An answer. A field of COMPARED that is not named must be absent."""

    status: int
    body: Parts = ()
    fields: dict[str, Parts] = field(default_factory=dict)
    length: int | None = None  # of the body, for a HEAD; None: not known exactly


COMPARED = ("ETag", "Content-Type", "Content-Encoding", "Cache-Control", "Cache-Status",
            "Cache-Groups", "Cache-Group-Invalidation", "Preference-Applied", "Accept-Patch",
            "X-Content-Type-Options", "Content-Security-Policy", "Retry-After", "Link")


class Etags:
    """The entity tags seen so far: one for each identity, each of another one."""

    def __init__(self) -> None:
        self._of: dict[Identity, str] = {}
        self._whose: dict[str, Identity] = {}

    def get(self, identity: Identity) -> str | None:
        """The tag, if an answer has shown it."""
        return self._of.get(identity)

    def known(self) -> list[str]:
        """All tags, in the order they were seen."""
        return list(self._whose)

    def learn(self, identity: Identity, tag: str) -> str:
        """Takes note; gives what is wrong with it, or nothing."""
        if self._of.setdefault(identity, tag) != tag:
            return f"the entity tag {tag} of what had {self._of[identity]}"
        if self._whose.setdefault(tag, identity) != identity:
            return f"the entity tag {tag} of two: {identity!r:.200} {self._whose[tag]!r:.200}"
        return ""


def compare(expected: Expected, answer: Answer | Response, head: bool, etags: Etags) -> list[str]:
    """What is different, a line each."""
    faults = []
    if answer.status != expected.status:
        faults.append(f"status {answer.status}, not {expected.status}")
    got: dict[str, str] = {}
    for name, value in answer.headers:
        if name.lower() in got:
            faults.append(f"{name} came twice")
        got[name.lower()] = value
    for name in COMPARED:
        fault = _compare_field(expected.fields.get(name), got.get(name.lower()), etags)
        if fault:
            faults.append(f"{name}: {fault}")
    if not head:
        fault = _match(expected.body, answer.body, etags)
        if fault:
            faults.append(f"body: {fault}")
    elif answer.body:
        faults.append("a body behind HEAD")
    elif expected.length is not None and got.get("content-length") != str(expected.length):
        faults.append(f"Content-Length {got.get('content-length')}, not {expected.length}")
    return faults


def _compare_field(parts: Parts | None, value: str | None, etags: Etags) -> str:
    if parts is None:
        return "" if value is None else f"{value!r} instead of none"
    if value is None:
        return f"absent instead of {show(parts)}"
    return _match(parts, value.encode("latin-1"), etags)


def _match(parts: Parts, text: bytes, etags: Etags) -> str:
    """What is wrong with it, or nothing."""
    at = 0
    for part in parts:
        fault = ""
        if isinstance(part, bytes):
            if not text.startswith(part, at):
                return f"at byte {at}: {text[at:at + 200]!r}\n    instead of {part[:200]!r}"
            at += len(part)
            continue
        regex = part.regex if isinstance(part, Pattern) else \
            _NUMBER if isinstance(part, Seconds) else _ETAG
        match = regex.match(text, at)
        if match is None:
            fault = f"no {show([part])}"
        elif isinstance(part, Seconds) and not part.low <= int(match[0]) <= part.high:
            fault = f"{int(match[0])} is not within {part.low} to {part.high}"
        elif isinstance(part, Etag):
            fault = etags.learn(part.identity, match[0].decode())
        if fault or match is None:
            return f"at byte {at}: {fault}: {text[at:at + 100]!r}"
        at = match.end()
    return "" if at == len(text) else f"too much: {text[at:at + 100]!r}"


def show(parts: Parts) -> str:
    """For people."""
    words = []
    for part in parts:
        if isinstance(part, bytes):
            words.append(part[:300].decode("utf-8", "backslashreplace"))
        elif isinstance(part, Seconds):
            words.append(f"<{part.low} to {part.high}>")
        elif isinstance(part, Etag):
            words.append("<entity tag>")
        else:
            words.append(f"<{part.name}>")
    return "".join(words)
