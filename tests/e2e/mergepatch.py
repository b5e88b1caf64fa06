"""JSON Merge Patch (RFC 7396) twice: on values, as the RFC's pseudo-code has it, and on text.

The one on text says which bytes are left as they are; that it means the same as the one on values
is asserted at each use.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCALAR = re.compile(r"[^,\]}\s]+")


@dataclass(slots=True)
class Member:
    """A member of an object: the white space (and comma) before it, and its parts."""

    gap: str
    head: str  # from the quote of its name to its value
    name: str  # what it means
    value: "Node"


@dataclass(slots=True)
class Node:
    """A value as text; an object has its members, and the white space before its brace."""

    text: str
    members: list[Member] | None = None
    tail: str = ""


def meaning(text: str | bytes) -> Any:
    """A text as a value in which numbers keep their spelling."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> tuple[str, str]:
    return ("number", text)


def merge_values(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_values(merged.get(name), value)
    return merged


def merge_text(target: str, patch: str) -> str:
    """What becomes of the target's text; the patch {} changes no byte of an object."""
    merged = _merge(_parse(target), _parse(patch))
    assert meaning(merged) == merge_values(meaning(target), meaning(patch)), (target, patch, merged)
    return merged


def _parse(text: str) -> Node:
    return _value(text, 0)[0]


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, start: int) -> tuple[Node, int]:
    """The value at `start`, and where it ends."""
    first = text[start]
    if first == "{":
        return _object(text, start)
    if first == "[":
        at = _blank(text, start + 1)
        while text[at] != "]":
            _, at = _value(text, at)
            at = _blank(text, at)
            if text[at] == ",":
                at = _blank(text, at + 1)
        return Node(text[start:at + 1]), at + 1
    match = (_STRING if first == '"' else _SCALAR).match(text, start)
    assert match is not None, (text, start)
    return Node(match[0]), match.end()


def _object(text: str, start: int) -> tuple[Node, int]:
    members: list[Member] = []
    end = start + 1
    while True:
        at = _blank(text, end)
        if text[at] == ",":
            at = _blank(text, at + 1)
        if text[at] == "}":
            return Node(text[start:at + 1], members, text[end:at]), at + 1
        name = _STRING.match(text, at)
        assert name is not None, (text, at)
        colon = _blank(text, name.end())
        begin = _blank(text, colon + 1)
        value, after = _value(text, begin)
        members.append(Member(text[end:at], text[at:begin], json.loads(name[0]), value))
        end = after


def _last(members: list[Member]) -> dict[str, Member]:
    """By name; of several with one name the last counts."""
    return {member.name: member for member in members}


def _is_pure(node: Node) -> bool:
    """Whether a merge with nothing leaves it as it is: it has no null and no duplicate."""
    return node.members is None or (
        len(_last(node.members)) == len(node.members)
        and all(m.value.text != "null" and _is_pure(m.value) for m in node.members))


def _alone(node: Node) -> str:
    """What a merge of the patch's value with nothing gives."""
    if node.members is None or _is_pure(node):
        return node.text
    return "{" + ",".join(_new_members(node.members, set())) + "}"


def _new_members(members: list[Member], known: set[str]) -> list[str]:
    """The members of a patch that are added to an object that knows these names."""
    last = _last(members)
    return [m.head + _alone(m.value) for m in members
            if last[m.name] is m and m.name not in known and m.value.text != "null"]


def _merge(target: Node, patch: Node) -> str:
    if target.members is None or patch.members is None:
        return _alone(patch)
    changes, last = _last(patch.members), _last(target.members)
    parts: list[str] = []
    for member in target.members:
        change = changes.get(member.name)
        if change is None:
            text = member.value.text
        elif change.value.text == "null" or last[member.name] is not member:
            continue
        else:
            text = _merge(member.value, change.value)
        gap = member.gap if parts else member.gap.rpartition(",")[2]
        parts.append(gap + member.head + text)
    for text in _new_members(patch.members, set(last)):
        parts.append(("," if parts else "") + text)
    return "{" + "".join(parts) + target.tail + "}"
