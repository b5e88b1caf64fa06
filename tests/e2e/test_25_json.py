"""Strict RFC 8259 on the way in, the client's own text on the way out."""

from __future__ import annotations

import ast
import base64
from collections.abc import Callable
from pathlib import Path

import pytest

import fcgi
from checks import value_text
from harness import SANITIZED, VALGRIND, Larder, Stack, resident_kib

Case = tuple[str, bytes]


def load_cases() -> list[Case]:
    """The table of json_cases.txt."""
    cases = []
    for line in Path(__file__).with_name("json_cases.txt").read_text("ascii").splitlines():
        if line and not line.startswith("#"):
            name, literal = line.split(None, 1)
            cases.append((name, ast.literal_eval(literal)))
    return cases


CASES = load_cases()
GOOD = [c for c in CASES if c[0].startswith("y_")]
BAD = [c for c in CASES if c[0].startswith("n_")]
BAD_BODIES = [c for c in CASES if c[0].startswith(("n_", "nb_"))]


def ids(cases: list[Case]) -> list[str]:
    """The cases' names."""
    return [name for name, _ in cases]


def put(larder: Larder, key: str, body: bytes) -> fcgi.Response:
    """PUTs exactly these bytes, also none, with a Content-Length."""
    return larder.fastcgi("PUT", f"/cache/{key}", body, CONTENT_LENGTH=str(len(body)),
                          CONTENT_TYPE="application/json")


def test_the_table_is_whole() -> None:
    """The table has the size that was promised, without a name twice."""
    assert len(GOOD) >= 60 and len(BAD) >= 120
    assert len({name for name, _ in CASES}) == len(CASES)


@pytest.mark.parametrize("name,text", GOOD, ids=ids(GOOD))
def test_json_is_kept_byte_for_byte(stack: Stack, key: str, name: str, text: bytes) -> None:
    """A JSON text as value comes back, and lies in Redis, exactly as it was sent."""
    stored = put(stack.larder, key, b'{"value":' + text + b"}")
    kept = text.strip(b" \t\r\n")
    assert stored.status == 200, stored
    assert value_text(stored.body) == kept
    assert stack.redis.ask("GET", key) == kept
    got = stack.larder.fastcgi("GET", f"/cache/{key}")
    assert got.status == 200 and value_text(got.body) == kept
    got.json()


@pytest.mark.parametrize("name,text", GOOD, ids=ids(GOOD))
def test_json_that_is_no_envelope(stack: Stack, key: str, name: str, text: bytes) -> None:
    """A JSON text that is no envelope is 422: it is JSON, only not the document expected."""
    answer = put(stack.larder, key, text)
    if text.strip().startswith(b"{") and name == "y_object_named_like_the_envelope":
        assert (answer.status, answer.slug) == (400, "duplicate-field")
    else:
        assert answer.status == 422, answer
        assert answer.slug in ("schema-violation", "unknown-field"), answer
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("name,text", BAD, ids=ids(BAD))
def test_what_is_not_json_is_no_value(stack: Stack, key: str, name: str, text: bytes) -> None:
    """What is not JSON is refused as a value with 400 invalid-json, and nothing is stored."""
    answer = put(stack.larder, key, b'{"value":' + text + b"}")
    assert (answer.status, answer.slug) == (400, "invalid-json"), answer
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("name,text", BAD_BODIES, ids=ids(BAD_BODIES))
def test_what_is_not_json_is_no_body(stack: Stack, key: str, name: str, text: bytes) -> None:
    """What is not JSON is refused as a body with 400, and nothing is stored."""
    answer = put(stack.larder, key, text)
    assert answer.status == 400, answer
    assert answer.slug == ("invalid-json" if text else "body-required"), answer
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("name,text", BAD, ids=ids(BAD))
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


@pytest.mark.parametrize("opening,closing", [(b"[", b"]"), (b'{"a":', b"}")],
                         ids=["arrays", "objects"])
def test_depth(stack: Stack, key: str, opening: bytes, closing: bytes) -> None:
    """128 levels are taken, the envelope being one of them; deeper is 400 too-deep at once."""
    def nested(levels: int) -> bytes:
        return b'{"value":' + opening * levels + b"0" + closing * levels + b"}"

    assert put(stack.larder, key, nested(127)).status == 200
    assert put(stack.larder, key, nested(128)).slug == "too-deep"
    deep = put(stack.larder, key, opening * (100_000 // len(opening)))
    assert (deep.status, deep.slug) == (400, "too-deep")
    assert stack.redis.ask("GET", key) == nested(127)[len('{"value":'):-1]


def test_every_escape_of_two_hex_digits(stack: Stack, key: str) -> None:
    """All 256 escapes \\u0000 to \\u00ff survive in one string, in both cases of digits."""
    text = b'"' + b"".join(b"\\u00%02x\\u00%02X" % (i, i) for i in range(256)) + b'"'
    assert put(stack.larder, key, b'{"value":' + text + b"}").status == 200
    assert stack.redis.ask("GET", key) == text


def test_every_raw_control_character_is_refused(stack: Stack, key: str) -> None:
    """None of the 32 control characters may stand raw in a string."""
    for code in range(32):
        answer = put(stack.larder, key, b'{"value":"a%cb"}' % code)
        assert (answer.status, answer.slug) == (400, "invalid-json"), code


@pytest.mark.parametrize("make", [
    lambda: b"[" + b",".join([b"1"] * 500_000) + b"]",
    lambda: b"{" + b",".join(b'"n%06d":0' % i for i in range(50_000)) + b"}",
    lambda: b'"' + b"\\u0000" * 170_000 + b'"',
    lambda: b'"' + "ключ€😀".encode() * 60_000 + b'"',
], ids=["ones", "names", "escapes", "utf-8"])
def test_big_values(stack: Stack, key: str, make: Callable[[], bytes]) -> None:
    """A megabyte of any shape is stored whole, with bounded memory."""
    text = make()
    assert 500_000 < len(text) <= 1 << 20
    answer = put(stack.larder, key, b'{"value":' + text + b"}")
    assert answer.status == 200
    assert stack.redis.ask("GET", key) == text
    assert value_text(stack.larder.fastcgi("GET", f"/cache/{key}").body) == text
    if not (SANITIZED or VALGRIND):
        assert max(map(resident_kib, stack.larder.workers())) < 40 * 1024
