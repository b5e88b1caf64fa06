"""What a case of the hostile-input matrix is, in words that its tables are written in.

A case is what is sent and what must come of it: through lighttpd, through nginx, and from larderd
itself, reached by raw FastCGI. hostile_run.py sends it; hostile_table.py has all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

JSON = (b"Content-Type", b"application/json")
BODY = b'{"value":1}'

Field = tuple[bytes, bytes]


# --- what is sent --------------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Ask:
    """A request that any way can carry: a web server gets it as HTTP, larderd as the parameters
    that a web server would make of it."""

    method: bytes
    target: bytes
    fields: Sequence[Field] = ()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes for a web server. `ends`: the client says that nothing more comes."""

    data: bytes
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Records:
    """Bytes for larderd's socket."""

    data: bytes
    ends: bool = False


Sent = Ask | Wire | Records


# --- what is expected ----------------------------------------------------------------------------

@dataclass(frozen=True, slots=True)
class Say:
    """One answer. `slug`: which problem of larder's it is; `own`: the web server made it itself.
    `closes`: the connection ends with it. `value`: the text of the value in an envelope; `body`:
    the whole body; `fields`: what they say, None for one that must not be there; `detail`: words
    of the problem's."""

    status: int
    slug: str = ""
    own: bool = False
    closes: bool = False
    value: bytes | None = None
    body: bytes | None = None
    fields: Mapping[str, str | None] = field(default_factory=dict)
    detail: str = ""

    def __str__(self) -> str:
        who = self.slug or ("the server's own" if self.own else "larder's")
        return f"{self.status} ({who}{', closes' if self.closes else ''})"


# The connection ends, and there was no answer.
HANGS_UP = Say(0, closes=True)

# Bytes that are no HTTP/1 answer (HTTP/0.9 has no head), and the end of the connection.
BARE = Say(9, own=True, closes=True)


def ok(value: bytes | None = None, status: int = 200, **more: object) -> Say:
    """An answer of larder's that is no error."""
    return Say(status, value=value, **more)  # type: ignore[arg-type]


def problem(status: int, slug: str, detail: str = "", **fields: str) -> Say:
    """A problem document of larder's, whose detail has these words."""
    return Say(status, slug, detail=detail,
               fields={name.replace("_", "-"): text for name, text in fields.items()})


def server(status: int, closes: bool = False) -> Say:
    """An answer that the web server makes itself."""
    return Say(status, own=True, closes=closes)


def server_closes(status: int) -> Say:
    """The same, and the connection ends with it."""
    return server(status, closes=True)


Answers = Sequence[Say]


@dataclass(frozen=True, slots=True)
class Step:
    """Something sent on the case's connection, and the answers to it by each way. None: it does not
    go that way."""

    sent: Sent
    lighttpd: Answers | None
    nginx: Answers | None
    fastcgi: Answers | None


def _answers(say: Say | Answers | None) -> Answers | None:
    return (say,) if isinstance(say, Say) else say


def step(sent: Sent, *says: Say | Answers | None) -> Step:
    """One `say` for all ways that the bytes can go; two: lighttpd and nginx; three: and FastCGI."""
    lighttpd, nginx, fastcgi = (says * 3 if len(says) == 1 else (*says, None))[:3]
    if isinstance(sent, Wire):
        fastcgi = None
    if isinstance(sent, Records):
        lighttpd = nginx = None
    return Step(sent, _answers(lighttpd), _answers(nginx), _answers(fastcgi))


# --- cases ---------------------------------------------------------------------------------------

# What Redis holds afterwards is not compared.
WHATEVER: Mapping[bytes, bytes] = {b"": b""}
# A name is there; what it holds is not compared.
ANY = b"(anything)"

STORED: Mapping[bytes, bytes] = {b"k": b"1"}


@dataclass(frozen=True, slots=True)
class Case:
    """Steps on one connection. `given` is in Redis before; after it there is `stored` if a write of
    the case was acknowledged, else what was given and nothing more. `seconds`: what one way may
    take at most."""

    row: str
    name: str
    steps: Sequence[Step]
    given: Mapping[bytes, bytes] = field(default_factory=dict)
    stored: Mapping[bytes, bytes] = field(default_factory=lambda: STORED)
    seconds: float = 5.0

    def __str__(self) -> str:
        return f"{self.row}-{self.name}"


def case(row: str, name: str, *steps: Step, **more: object) -> Case:
    """A case of some steps."""
    return Case(row, name, steps, **more)  # type: ignore[arg-type]


def get(target: bytes, *fields: Field) -> Ask:
    """GET."""
    return Ask(b"GET", target, fields)


def put(target: bytes, body: bytes | None = BODY, *fields: Field) -> Ask:
    """PUT; without fields, of JSON."""
    return Ask(b"PUT", target, fields or (JSON,), body)


def put_value(text: bytes) -> Ask:
    """PUT of a value in its envelope."""
    return put(b"/cache/k", b'{"value":' + text + b"}")


def http(start: bytes, *fields: bytes, body: bytes = b"", host: bool = True,
         ends: bool = False) -> Wire:
    """Bytes of a request, of which nothing is put right: a line, fields, a body."""
    lines = [start, *([b"Host: x"] if host else []), *fields]
    return Wire(b"\r\n".join(lines) + b"\r\n\r\n" + body, ends)


def http_put(*fields: bytes, body: bytes = BODY, ends: bool = False) -> Wire:
    """Bytes of a PUT of JSON with these fields more."""
    return http(b"PUT /cache/k HTTP/1.1", b"Content-Type: application/json", *fields, body=body,
                ends=ends)


def http_get(*fields: bytes, body: bytes = b"", ends: bool = False) -> Wire:
    """Bytes of a GET with these fields more."""
    return http(b"GET /cache/k HTTP/1.1", *fields, body=body, ends=ends)
