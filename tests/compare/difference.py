"""How two answers to one request differ, as lines of text.

Status, Content-Type, the fields that tell a client what to do next, the body's members, their
types and their values. What differs from one moment to the next (time, memory) is compared by
type and form only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from rawhttp import Answer

FIELDS = ("Content-Type", "Allow", "Location", "Retry-After", "Cache-Control")
# By member, of whatever object: what it is at the moment is nobody's promise.
VOLATILE = {"timestamp", "uptime_seconds", "memory_usage", "hits", "misses", "hit_rate"}
TTL_SLACK_S = 2
ABSENT = "absent"


class Number(str):
    """A JSON number as it is spelled."""


class Members(list[tuple[str, Any]]):
    """A JSON object with a name that is there twice."""


def _object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    return found if len(found) == len(pairs) else Members(pairs)


def parse(body: bytes) -> Any:
    """A body as JSON that keeps the spelling of numbers; as text if it is no JSON."""
    try:
        return json.loads(body.decode(), parse_int=Number, parse_float=Number,
                          parse_constant=Number, object_pairs_hook=_object)
    except ValueError:
        return body


def kind(value: Any) -> str:
    """The name of a value's type."""
    if isinstance(value, Number):
        return "number"
    names = {bytes: "no JSON", str: "string", bool: "boolean", type(None): "null", list: "array",
             dict: "object", Members: "object with a name twice"}
    return names[type(value)]


def short(value: Any) -> str:
    """A value to show in a line."""
    text = value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"


def timestamp_form(text: str) -> str:
    """A time with every digit replaced."""
    return re.sub(r"\d", "9", text)


def _differ(name: str, old: Any, new: Any) -> Iterator[str]:
    """Lines about two values that a member (a path of names) has."""
    leaf = name.rpartition(".")[2]
    if kind(old) != kind(new):
        yield f"{name}: {kind(old)} -> {kind(new)}"
    elif isinstance(old, dict):
        yield from differ_members(old, new, f"{name}.")
    elif name == "timestamp":
        if timestamp_form(old) != timestamp_form(new):
            yield f"timestamp: {timestamp_form(old)} -> {timestamp_form(new)}"
    elif name == "ttl" and isinstance(old, Number):
        if abs(float(old) - float(new)) > TTL_SLACK_S:
            yield f"ttl: {old} -> {new}"
    elif old != new and leaf not in VOLATILE:
        yield f"{name}: {short(old)} -> {short(new)}"


def differ_members(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Lines about two objects."""
    for name in old:
        if name in new:
            yield from _differ(prefix + name, old[name], new[name])
        else:
            yield f"{prefix}{name}: {kind(old[name])} -> {ABSENT}"
    for name in new:
        if name not in old:
            yield f"{prefix}{name}: {ABSENT} -> {kind(new[name])}"


def outcome(answer: Answer) -> str:
    """What a client makes of an answer, by its status."""
    return {2: "success", 3: "redirect"}.get(answer.status // 100, "error")


def differ(old: Answer, new: Answer) -> Iterator[str]:
    """Lines about two answers. A success and an error have nothing in common: then the status
    says all."""
    if old.status != new.status:
        yield f"status: {old.status} -> {new.status}"
    if outcome(old) != outcome(new):
        return
    for field in FIELDS:
        before, after = old.header(field) or ABSENT, new.header(field) or ABSENT
        if before != after:
            yield f"{field}: {before} -> {after}"
    if not old.body or not new.body:
        if old.body != new.body:
            yield f"body: {'some' if old.body else 'none'} -> {'some' if new.body else 'none'}"
        return
    before, after = parse(old.body), parse(new.body)
    if isinstance(before, dict) and isinstance(after, dict):
        yield from differ_members(before, after)
    elif kind(before) != kind(after):
        yield f"body: {kind(before)} -> {kind(after)}"
