"""What is asked: values, keys, the dialects of the targets, and the table of loads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack import Failure

TTL = 99999  # keeps its five digits for as long as any run takes
MIX_KEYS = 100_000
MIX_EXPONENT = 0.99
MIX_PUTS = 0.05


@dataclass(frozen=True)
class Value:
    """A JSON text, and the key it is under. Without characters that nginx or Lua would change, so
    that every target can store and answer the same bytes."""

    key: str
    text: str


def filled(size: int) -> str:
    """An object of so many bytes."""
    frame = '{"id":1042,"text":""}'
    words = "the quick brown fox jumps over the lazy dog and "
    need = size - len(frame)
    return frame[:-2] + (words * (need // len(words) + 1))[:need] + frame[-2:]


SMALL = Value("user:1042", '{"id":1042,"name":"Ada Lovelace","mail":"ada@example.org","visits":7,'
                           '"admin":false,"tags":["a","b"]}')
PAGE = Value("page:1042", filled(1024))
BLOB = Value("blob:1042", filled(100 * 1024))
VALUES = (SMALL, PAGE, BLOB)
WRITTEN = Value("put:1042", SMALL.text)  # by another dialect's PUT a value is spelled anew
MISSING = "none:1042"
MIX_KEY = "mix:%06d"
PATH = f"/cache/{SMALL.key}"
DOCUMENT = f'{{"value":{SMALL.text},"ttl":{TTL}}}'


class CacheApi:
    """The dialect of larder, of the service it replaces, and of the Lua peers."""

    miss_status = 404

    @staticmethod
    def get_path(key: str) -> str:
        """Of a GET."""
        return f"/cache/{key}"

    @staticmethod
    def put(key: str, text: str) -> tuple[str, str]:
        """Path and body of a PUT."""
        return f"/cache/{key}", f'{{"value":{text},"ttl":{TTL}}}'

    @staticmethod
    def is_hit(body: bytes, value: Value) -> bool:
        """Whether this is the value with its ttl."""
        document = json.loads(body)
        return bool(document["key"] == value.key and document["value"] == json.loads(value.text)
                    and 0 < document["ttl"] <= TTL)

    @staticmethod
    def is_stored(body: bytes, value: Value) -> bool:
        """Whether this is the answer to a PUT that was done."""
        return CacheApi.is_hit(body, value)

    @staticmethod
    def is_miss(body: bytes) -> bool:
        """Whether this says that there is no such key."""
        return "value" not in json.loads(body)


class WebdisApi(CacheApi):
    """Redis commands as paths: no ttl in the answer, no look at the value."""

    miss_status = 200

    @staticmethod
    def get_path(key: str) -> str:
        return f"/GET/{key}"

    @staticmethod
    def put(key: str, text: str) -> tuple[str, str]:
        return f"/SETEX/{key}/{TTL}", text

    @staticmethod
    def is_hit(body: bytes, value: Value) -> bool:
        return bool(json.loads(json.loads(body)["GET"]) == json.loads(value.text))

    @staticmethod
    def is_stored(body: bytes, value: Value) -> bool:
        return bool(json.loads(body) == {"SETEX": [True, "OK"]})

    @staticmethod
    def is_miss(body: bytes) -> bool:
        return bool(json.loads(body) == {"GET": None})


class ConstantApi(CacheApi):
    """A ceiling gives larder's body to whatever is asked; only its size depends on the key."""

    miss_status = 200

    @staticmethod
    def is_hit(body: bytes, value: Value) -> bool:
        return bool(json.loads(body)["value"] == json.loads(value.text))

    @staticmethod
    def is_stored(body: bytes, value: Value) -> bool:
        return ConstantApi.is_hit(body, SMALL)

    @staticmethod
    def is_miss(body: bytes) -> bool:
        return ConstantApi.is_hit(body, SMALL)


class FilesApi(ConstantApi):
    """A web server alone; what it says to a miss is its own page."""

    miss_status = 404

    @staticmethod
    def is_miss(body: bytes) -> bool:
        return bool(body)


@dataclass(frozen=True)
class Load:
    """A row of the table."""

    name: str
    title: str
    operation: str  # get, miss, put, mix
    connections: int
    value: Value = SMALL


LOADS = {load.name: load for load in (
    Load("get-1", "GET, 1 connection", "get", 1),
    Load("get-32", "GET, 32 connections", "get", 32),
    Load("get-128", "GET, 128 connections", "get", 128),
    Load("miss-32", "GET of a missing key, 32", "miss", 32),
    Load("put-32", "PUT, 32", "put", 32, WRITTEN),
    Load("mix-32", "95/5 GET/PUT, 32", "mix", 32, WRITTEN),
    Load("get-1k", "GET of 1 KB, 32", "get", 32, PAGE),
    Load("get-100k", "GET of 100 KB, 32", "get", 32, BLOB),
)}


def commands() -> Iterator[bytes]:
    """What fills Redis, as Redis's protocol."""
    mix = (Value(MIX_KEY % number, SMALL.text) for number in range(MIX_KEYS))
    for value in (*VALUES, WRITTEN, *mix):
        words = ("SET", value.key, value.text, "EX", str(TTL))
        yield f"*{len(words)}\r\n".encode() + b"".join(
            f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def fill(redis_socket: Path) -> None:
    """Stores every value that is asked for."""
    done = subprocess.run(["redis-cli", "-s", str(redis_socket), "--pipe"],
                          input=b"".join(commands()), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0 or b"errors: 0," not in done.stdout:
        raise Failure(f"Redis could not be filled: {done.stdout.decode(errors='replace')}")
