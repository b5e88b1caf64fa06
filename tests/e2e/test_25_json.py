"""JSON that other programs keep in Redis, and JSON of a megabyte. What is taken from clients, and
how it comes back, is in hostile_values.py."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest

from checks import value_text
from harness import Stack
from json_cases import BAD, GOOD, TEXTS


def test_the_table_is_whole() -> None:
    """The table has the size that was promised, without a name twice."""
    assert len(GOOD) >= 60 and len(BAD) >= 120
    assert len({name for name, _ in TEXTS}) == len(TEXTS)


@pytest.mark.parametrize("name,text", BAD, ids=[name for name, _ in BAD])
def test_foreign_text_never_breaks_an_answer(stack: Stack, key: str, name: str,
                                             text: bytes) -> None:
    """The same texts, put into Redis by another program, still give a valid JSON answer."""
    stack.redis.ask("SET", key, text)
    answer = stack.larder.fastcgi("GET", f"/cache/{key}")
    assert answer.status == 200
    document = answer.json()
    if "encoding" in document:
        assert base64.b64decode(document["value"], validate=True) == text
    else:
        assert document["value"] == text.decode("utf-8")


@pytest.mark.parametrize("make", [
    lambda: b"[" + b",".join([b"1"] * 500_000) + b"]",
    lambda: b"{" + b",".join(b'"n%06d":0' % i for i in range(50_000)) + b"}",
    lambda: b'"' + b"\\u0000" * 170_000 + b'"',
    lambda: b'"' + "ключ€😀".encode() * 60_000 + b'"',
], ids=["ones", "names", "escapes", "utf-8"])
def test_big_values(stack: Stack, key: str, make: Callable[[], bytes]) -> None:
    """A megabyte of any shape is stored whole."""
    text = make()
    assert 500_000 < len(text) <= 1 << 20
    assert stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":' + text + b"}").status == 200
    assert stack.redis.ask("GET", key) == text
    assert value_text(stack.larder.fastcgi("GET", f"/cache/{key}").body) == text
