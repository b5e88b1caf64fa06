#!/usr/bin/env python3
"""What fuzzing starts from.

seeds.py unpack TARGET DIR   makes a file in DIR of each input there is for TARGET
seeds.py pack DIR FILE       writes the files of DIR to FILE, one a line, the shortest first

Inputs are lines of seeds/TARGET.txt, by hand, and corpus/TARGET.txt, which `make fuzz KEEP=1`
writes. In a line \\\\ is a backslash, \\n a newline, \\xNN any byte; one that starts with # is a
comment. What other tests have in tables of their own comes from there.
"""

from __future__ import annotations

import ast
import codecs
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
PACKED_MAX = 14000  # bytes of text for one target

sys.path.insert(0, str(TESTS / "e2e"))
import fcgi  # noqa: E402  pylint: disable=wrong-import-position


def escape(data: bytes) -> str:
    """One line of text for it."""
    plain = "".join(chr(b) if 32 <= b < 127 and b != 92 else "\\n" if b == 10 else
                    "\\\\" if b == 92 else f"\\x{b:02x}" for b in data)
    return "\\x23" + plain[1:] if plain.startswith("#") else plain


def unescape(line: str) -> bytes:
    """The input that a line stands for."""
    return codecs.escape_decode(line.encode())[0]  # type: ignore[no-any-return]


def lines(path: Path) -> Iterator[bytes]:
    """The inputs in a file of lines; none if it isn't there."""
    for line in path.read_text().splitlines() if path.exists() else []:
        if line and not line.startswith("#"):
            yield unescape(line)


def json_texts() -> Iterator[bytes]:
    """tests/unit/jsonsuite.def and tests/e2e/json_cases.txt."""
    row = re.compile(r'^(?:Y|N|TAKEN|REFUSED)\("[^"]*",((?:\s*"(?:[^"\\]|\\.)*")+)\s*\)', re.M)
    for found in row.finditer((TESTS / "unit" / "jsonsuite.def").read_text()):
        pieces = re.findall(r'"((?:[^"\\]|\\.)*)"', found.group(1))
        yield b"".join(unescape(piece) for piece in pieces)
    for line in (TESTS / "e2e" / "json_cases.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            text = ast.literal_eval(line.split(None, 1)[1])
            if len(text) <= 512:
                yield text


def merges() -> Iterator[bytes]:
    """Each JSON text merged into an object, and an object into it."""
    for text in json_texts():
        if len(text) < 200:
            yield b'{"a":1,"b":{"c":[1.10,null]}}\xff{"b":' + text + b',"a":null}'
            yield text + b'\xff{"a":{"b":null,"c":2}}'


def envelopes() -> Iterator[bytes]:
    """Each JSON text as a value, in a document of each kind."""
    for i, text in enumerate(json_texts()):
        if len(text) < 200:
            yield bytes([i % 5]) + b'{"value":' + text + b',"ttl":60}'


def requests() -> Iterator[bytes]:
    """Requests as a web server sends them."""
    for keep in (False, True):
        for method, target, body in (
                ("GET", "/cache/a", b""), ("HEAD", "/cache/%D0%BA", b""), ("GET", "/raw/a", b""),
                ("PUT", "/cache/a", b'{"value":{"x":[1,2.50]},"ttl":60,"tags":["t"]}'),
                ("PATCH", "/cache/a", b'{"value":{"x":null}}'), ("DELETE", "/cache/a", b""),
                ("POST", "/counters/n", b'{"by":2}'), ("PUT", "/raw/a?ttl=9", b"\0bytes\xff"),
                ("POST", "/batch", b'{"operations":[{"method":"GET","key":"a"},'
                                   b'{"method":"PUT","key":"b","value":1}]}'),
                ("GET", "/keys?prefix=a&limit=5", b""), ("DELETE", "/cache?prefix=u%3A", b""),
                ("GET", "/stats", b""), ("GET", "/metrics", b""), ("GET", "/health", b""),
                ("OPTIONS", "/cache/a", b""), ("FOO", "/nothing", b""), ("PUT", "/cache/b", b"")):
            yield fcgi.request_bytes(method, target, body, keep=keep)
    fields = {"HTTP_IF_MATCH": '"a", W/"b"', "HTTP_PREFER": "return=minimal",
              "HTTP_CACHE_GROUPS": '"t1", "t2"', "HTTP_IF_NONE_MATCH": "*"}
    yield fcgi.request_bytes("PUT", "/raw/a", b"x" * 100, params=fields, keep=True, padding=5)
    yield fcgi.request_bytes("PUT", "/cache/a", b'{"value":1}', params=fields, chunk=7)
    twice = [(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/"), (b"HTTP_PREFER", b"a"),
             (b"HTTP_PREFER", b"b"), (b"REQUEST_URI", b"/b")]
    yield fcgi.request_bytes("GET", "/", pairs=twice)


def connections() -> Iterator[bytes]:
    """Connections with one, two, and three requests, cut in several ways."""
    every = list(requests())
    for i, one in enumerate(every):
        yield bytes([i % 7]) + one
        yield bytes([i % 60]) + one + every[(i + 5) % len(every)] + one
        yield (b"\x40" + one + b"\xff" * 4 + every[(i + 3) % len(every)] + b"\xff" * 4
               + every[(i + 9) % len(every)])


def configurations() -> Iterator[bytes]:
    """conf/larder.conf with all its options said, and each alone as an argument."""
    text = (TESTS.parent / "conf" / "larder.conf").read_text()
    options = re.findall(r"^#?(\w+) = (.*)$", text, re.M)
    yield "".join(f"{name} = {value}\n" for name, value in options).encode()
    for name, value in options:
        yield f"{name} = {value}\n".encode()
        yield b"\xff--" + name.replace("_", "-").encode() + b"=" + value.encode()


GENERATED: dict[str, Callable[[], Iterator[bytes]]] = {
    "json": json_texts,
    "number": json_texts,
    "merge": merges,
    "envelope": envelopes,
    "framer": lambda: (bytes([i % 5]) + r for i, r in enumerate(requests())),
    "conn": connections,
    "config": configurations,
}


def unpack(target: str, directory: Path) -> int:
    """Writes what there is; gives how many inputs that is."""
    directory.mkdir(parents=True, exist_ok=True)
    sources = {"seed": list(lines(HERE / "seeds" / f"{target}.txt")),
               "corpus": list(lines(HERE / "corpus" / f"{target}.txt")),
               "table": list(GENERATED.get(target, lambda: iter(()))())}
    for name, inputs in sources.items():
        for i, data in enumerate(inputs):
            (directory / f"{name}-{i:04d}").write_bytes(data)
    return sum(map(len, sources.values()))


def pack(directory: Path, path: Path) -> int:
    """Writes the directory's inputs as lines, as many as have room; gives how many that is."""
    texts = sorted({escape(f.read_bytes()) for f in directory.iterdir()}, key=lambda t: (len(t), t))
    size = 0
    kept = []
    for text in texts:
        size += len(text) + 1
        if text and size <= PACKED_MAX:
            kept.append(text)
    path.write_text("# By `make fuzz KEEP=1`: what reaches all that was ever reached. See seeds.py.\n"
                    + "".join(f"{text}\n" for text in kept))
    return len(kept)


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) == 3 and arguments[0] == "unpack":
        print(unpack(arguments[1], Path(arguments[2])))
        return 0
    if len(arguments) == 3 and arguments[0] == "pack":
        print(pack(Path(arguments[1]), Path(arguments[2])))
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
