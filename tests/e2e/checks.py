"""What every answer of the service owes, checked in one place."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

from fcgi import Response
from rawhttp import Answer

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def check_timestamp(text: Any) -> None:
    """RFC 3339 UTC with microseconds, and about now."""
    assert isinstance(text, str) and TIMESTAMP.fullmatch(text), text
    then = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - then) < timedelta(minutes=1), text


def check_common(answer: Answer | Response) -> None:
    """What every answer carries: never to be sniffed as another type."""
    assert answer.header("X-Content-Type-Options") == "nosniff", answer


def check_json(answer: Answer | Response, status: int = 200) -> Any:
    """A JSON answer with this status; gives the document."""
    assert answer.status == status, answer
    assert answer.header("Content-Type") == "application/json", answer
    check_common(answer)
    return answer.json()


def check_problem(answer: Answer | Response, status: int, slug: str) -> dict[str, Any]:
    """A problem document (RFC 9457) of this kind; gives the document."""
    assert answer.status == status, answer
    assert answer.header("Content-Type") == "application/problem+json", answer
    assert answer.header("Cache-Control") == "no-store", answer
    check_common(answer)
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"/errors/{slug}", document
    assert document["status"] == status
    for name in ("title", "detail"):
        assert isinstance(document[name], str) and document[name], document
    if status == 503:
        seconds = answer.header("Retry-After")
        assert seconds is not None and int(seconds) >= 1, answer
        assert document["retry_after"] == int(seconds)
    return document


def check_envelope(answer: Answer | Response, key: str, value: Any, ttl: int | None,
                   slack: int = 0) -> dict[str, Any]:
    """A 200 of PUT or GET with exactly the promised members; ttl may be `slack` less."""
    document: dict[str, Any] = check_json(answer)
    assert list(document) == ["key", "value", "ttl", "timestamp"], document
    assert document["key"] == key
    assert document["value"] == value and type(document["value"]) is type(value)
    if ttl is None:
        assert document["ttl"] is None
    else:
        assert type(document["ttl"]) is int and ttl - slack <= document["ttl"] <= ttl, document
    check_timestamp(document["timestamp"])
    return document


def check_allow(answer: Answer | Response, methods: set[str]) -> None:
    """The Allow field lists exactly these methods."""
    allow = answer.header("Allow")
    assert allow is not None, answer
    listed = [m.strip() for m in allow.split(",")]
    assert len(listed) == len(set(listed)) and set(listed) == methods, allow


def value_text(body: bytes) -> bytes:
    """The text of `value` in an envelope that larder wrote."""
    start = body.index(b'"value":') + len(b'"value":')
    return body[start:body.rindex(b',"ttl":')]
