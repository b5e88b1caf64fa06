"""Runs a case of the hostile-input matrix by all of its ways, and says what went wrong.

After each, whatever it was: what the answers owe, what Redis holds, and that a good request is
answered, on the same connection unless the table says that the server closed it.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from typing import Any

import fcgi
import rawhttp
from checks import TIMESTAMP, value_text
from harness import FRONTS, SLOW, Stack
from hostile import ANY, BARE, WHATEVER, Answers, Ask, Case, Records, Say, Sent, Wire
from rawhttp import Answer, Closed, Http

WAYS = (*FRONTS, "fastcgi")
ANSWER_S = 4.0  # an answer takes less
PROBE = b"probe"
PROBE_TEXT = b'"still in step"'

Answered = Answer | fcgi.Response
Heard = tuple[Say, Answered | None]

# No part of these may be in an answer that is an error.
SECRETS = re.compile(rb"hiredis|libfcgi|WRONGTYPE|-ERR|/tmp/|\.sock\b|s3cret")


# --- the ways ------------------------------------------------------------------------------------

def http_bytes(ask: Ask) -> bytes:
    """A request as HTTP; a body brings its length."""
    lines = [ask.method + b" " + ask.target + b" HTTP/1.1", b"Host: localhost"]
    lines += [name + b": " + value for name, value in ask.fields]
    if ask.body is not None:
        lines.append(b"Content-Length: %d" % len(ask.body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + (ask.body or b"")


def cgi_name(name: bytes) -> bytes:
    """The parameter that a web server makes of a field."""
    plain = name.upper().replace(b"-", b"_")
    return plain if plain == b"CONTENT_TYPE" else b"HTTP_" + plain


def fastcgi_bytes(ask: Ask) -> bytes:
    """A request as FastCGI records, on a connection that is kept."""
    body = ask.body or b""
    length = b"" if ask.body is None else b"%d" % len(body)
    pairs = [(b"REQUEST_METHOD", ask.method), (b"REQUEST_URI", ask.target),
             (b"CONTENT_LENGTH", length)]
    pairs += [(cgi_name(name), value) for name, value in ask.fields]
    return fcgi.request_bytes("", "", body, pairs=pairs, keep=True)


class Line:
    """One connection by one way, made anew when it was closed."""

    def __init__(self, stack: Stack, way: str) -> None:
        self.stack = stack
        self.way = way
        self._http: Http | None = None
        self._fastcgi: fcgi.Connection | None = None

    def send(self, sent: Sent) -> None:
        """Sends what it is, as far as the peer takes it."""
        try:
            if self.way == "fastcgi":
                self._send_records(sent)
            else:
                self._send_http(sent)
        except OSError as e:
            # The peer may have answered, and closed, before it had all.
            if isinstance(e, TimeoutError):
                raise

    def _send_records(self, sent: Sent) -> None:
        if self._fastcgi is None:
            self._fastcgi = self.stack.larder.connect(ANSWER_S)
        assert not isinstance(sent, Wire)
        self._fastcgi.send(fastcgi_bytes(sent) if isinstance(sent, Ask) else sent.data)
        if isinstance(sent, Records) and sent.ends:
            self._fastcgi.socket.shutdown(socket.SHUT_WR)

    def _send_http(self, sent: Sent) -> None:
        if self._http is None:
            self._http = Http(self.stack.fronts[self.way].port, ANSWER_S * SLOW)
        assert not isinstance(sent, Records)
        self._http.send(http_bytes(sent) if isinstance(sent, Ask) else sent.data)
        if isinstance(sent, Wire) and sent.ends:
            self._http.shutdown()

    def receive(self, head: bool) -> Answered | None:
        """The next answer; None if the connection ends instead."""
        try:
            if self._fastcgi is not None:
                answer = self._fastcgi.read_response()
                fcgi.check_length("HEAD" if head else "", answer)
                return answer
            assert self._http is not None
            return self._http.receive_kept(head)
        except (Closed, fcgi.Closed, ConnectionError):
            return None
        except rawhttp.NotHttp as e:
            return Answer(BARE.status, [], e.data)

    def is_closed(self, says_so: bool) -> bool:
        """Whether the peer closes it. A server that says so may wait for us to do it first."""
        end = self._fastcgi.socket if self._fastcgi is not None else self._http
        assert end is not None
        try:
            if says_so and self._http is not None:
                self._http.shutdown()
            if not says_so and not select.select([end], [], [], 0.5 * SLOW)[0]:
                return False
            if self._fastcgi is not None:
                return self._fastcgi.at_end()
            return self._http is not None and self._http.at_end()
        except OSError as e:
            if isinstance(e, TimeoutError):
                return False
            return True  # ECONNRESET, ENOTCONN

    def close(self) -> None:
        """Closes it."""
        if self._fastcgi is not None:
            self._fastcgi.close()
        if self._http is not None:
            self._http.close()
        self._fastcgi = self._http = None


# --- what an answer owes -------------------------------------------------------------------------

def field_of(answer: Answered, name: str) -> str | None:
    """The first value of a field."""
    return next((v for k, v in answer.headers if k.lower() == name.lower()), None)


def is_problem(answer: Answered) -> bool:
    """Whether it is an error answer of larder's."""
    return field_of(answer, "Content-Type") == "application/problem+json"


def told(answer: Answered | None) -> str:
    """For people."""
    if answer is None:
        return "no answer"
    what = f"{answer.status} {field_of(answer, 'Content-Type') or '-'}"
    return f"{what} {answer.body[:300]!r}"


def fields_owed(answer: Answered) -> list[str]:
    """What is wrong with the fields of an answer, whatever it says."""
    faults = []
    names = [name.lower() for name, _ in answer.headers]
    faults += [f"{name} came twice" for name in set(names) if names.count(name) > 1]
    faults += [f"{name} is not printable: {value!r}" for name, value in answer.headers
               if not (value.isascii() and value.isprintable())]
    if "set-cookie" in names or "x-injected" in names:
        faults.append("a field of somebody else's making")
    return faults


def problem_owed(answer: Answered, say: Say) -> list[str]:
    """What a problem document owes (RFC 9457 and docs/api.md)."""
    if not is_problem(answer):
        return [f"not a problem document: {told(answer)}"]
    faults = []
    if field_of(answer, "Cache-Control") != "no-store":
        faults.append("an error without Cache-Control: no-store")
    try:
        document = json.loads(answer.body.decode("utf-8"))
    except ValueError as e:
        return [*faults, f"the document is not JSON: {e}"]
    if document.get("type") != f"/errors/{say.slug}" or document.get("status") != say.status:
        faults.append(f"another problem: {told(answer)}")
    if not document.get("title") or say.detail not in document.get("detail", ""):
        faults.append(f"a detail without {say.detail!r}: {told(answer)}")
    if say.status == 405 and not field_of(answer, "Allow"):
        faults.append("405 without Allow")
    return faults


# A word alone says nothing that an answer would not say by itself.
PLAIN_WORD = re.compile(rb"[A-Za-z0-9/_.*-]*")


def pieces_of(sent: Sent) -> list[bytes]:
    """Raw bytes of a request that no error answer may show again."""
    if isinstance(sent, Ask):
        pieces = [sent.target, sent.body or b"", *(value for _, value in sent.fields)]
    else:
        pieces = re.split(rb"[ \r\n:]+", sent.data) if isinstance(sent, Wire) else []
    return [piece for piece in pieces if len(piece) >= 4 and not PLAIN_WORD.fullmatch(piece)]


def reflection(answer: Answered, sent: Sent) -> list[str]:
    """Which raw bytes of the request came back, besides the entity tag of what is there."""
    tag = (field_of(answer, "ETag") or "").encode()
    shown = answer.body + b"".join(f"{k}: {v}\n".encode("latin-1") for k, v in answer.headers)
    faults = [f"reflected: {piece[:60]!r}" for piece in pieces_of(sent)
              if piece in shown and piece != tag]
    if SECRETS.search(shown):
        faults.append(f"not for clients: {told(answer)}")
    return faults


def judge(answer: Answered | None, say: Say, sent: Sent) -> list[str]:
    """What is wrong with an answer."""
    if answer is None or say.status == 0:
        return [] if answer is None and say.status == 0 else [f"{told(answer)}, not {say}"]
    faults = fields_owed(answer)
    if answer.status != say.status:
        faults.append(f"{told(answer)}, not {say}")
        return faults
    head = isinstance(sent, Ask) and sent.method == b"HEAD"
    if answer.status >= 400:
        faults += reflection(answer, sent)
    if say.own:
        faults += ["larder's own, not the server's"] if is_problem(answer) else []
    else:
        if answer.status not in (204, 304) and field_of(answer,
                                                        "X-Content-Type-Options") != "nosniff":
            faults.append("without X-Content-Type-Options: nosniff")
        if say.slug and not head:
            faults += problem_owed(answer, say)
    if say.value is not None and (b'"value":' not in answer.body
                                  or value_text(answer.body) != say.value):
        faults.append(f"another value than {say.value[:80]!r}: {told(answer)}")
    if say.body is not None and answer.body != say.body:
        faults.append(f"another body than {say.body[:80]!r}: {told(answer)}")
    for name, text in say.fields.items():
        if field_of(answer, name) != text:
            faults.append(f"{name}: {field_of(answer, name)!r}, not {text!r}")
    return faults


# --- a case --------------------------------------------------------------------------------------

def data_in(stack: Stack) -> dict[bytes, bytes]:
    """All that Redis holds, besides the probe."""
    with stack.redis.client() as client:
        names = [name for name in client.ask("KEYS", "*") if name != PROBE]
        return {name: client.ask("GET", name) for name in names}


def set_up(stack: Stack, case: Case) -> None:
    """Empties Redis and stores what the case starts with."""
    with stack.redis.client() as client:
        client.ask("FLUSHALL")
        for name, text in case.given.items():
            client.ask("SET", name, text)


def acknowledged(sent: Sent, answers: list[Answered | None]) -> bool:
    """Whether a write of it was said to be done."""
    if isinstance(sent, Ask) and sent.method in (b"GET", b"HEAD", b"OPTIONS"):
        return False
    if isinstance(sent, Wire) and sent.data.startswith((b"GET ", b"HEAD ", b"OPTIONS ")):
        return False
    return any(answer is not None and 200 <= answer.status < 300 for answer in answers)


def still_in_step(line: Line) -> list[str]:
    """A good request is answered on this connection, or on another if this one has ended."""
    line.stack.redis.ask("SET", PROBE, PROBE_TEXT)
    line.send(Ask(b"GET", b"/cache/" + PROBE))
    try:
        answer = line.receive(False)
    except TimeoutError:
        answer = None
    if answer is None or answer.status != 200 or value_text(answer.body) != PROBE_TEXT:
        line.close()
        return [f"the next request was answered with: {told(answer)}"]
    return []


def hear(line: Line, say: Say, sent: Sent, faults: list[str]) -> Answered | None:
    """Takes one answer and judges it; a connection that ends is not used again."""
    head = isinstance(sent, Ask) and sent.method == b"HEAD"
    try:
        answer = line.receive(head)
    except TimeoutError:
        faults.append(f"no answer in {ANSWER_S} s, not {say}")
        line.close()
        return None
    faults += judge(answer, say, sent)
    if answer is None or say.closes:
        says_so = answer is not None and (field_of(answer, "Connection") or "").lower() == "close"
        if answer is not None and not line.is_closed(says_so):
            faults.append("the connection stays open")
        line.close()
    return answer


def run_way(stack: Stack, case: Case, way: str) -> tuple[list[str], list[Heard]]:
    """What went wrong on one way, and the answers there were."""
    faults: list[str] = []
    heard: list[Heard] = []
    expected = case.given
    set_up(stack, case)
    line = Line(stack, way)
    begun = time.monotonic()
    for step in case.steps:
        says: Answers | None = getattr(step, way)
        if says is None:
            continue
        line.send(step.sent)
        answers = [(say, hear(line, say, step.sent, faults)) for say in says]
        if acknowledged(step.sent, [answer for _, answer in answers]):
            expected = case.stored
        faults += still_in_step(line)
        heard += answers
    taken = time.monotonic() - begun
    line.close()
    if taken > case.seconds * SLOW:
        faults.append(f"took {taken:.2f} s")
    if expected is not WHATEVER:
        found = {name: ANY if expected.get(name) == ANY else text
                 for name, text in data_in(stack).items()}
        if found != expected:
            faults.append(f"Redis holds {str(found)[:300]}, not {str(expected)[:300]}")
    return faults, heard


STAMP = re.compile(TIMESTAMP.pattern.encode())
COMPARED = ("Content-Type", "Allow", "ETag", "Cache-Control", "Retry-After", "Content-Encoding",
            "X-Content-Type-Options", "Content-Security-Policy", "Cache-Groups")


def essence(answer: Answered | None) -> Any:
    """What of an answer of larder's must be the same by every way."""
    if answer is None:
        return None
    fields = {name: field_of(answer, name) for name in COMPARED}
    return answer.status, fields, STAMP.sub(b"", answer.body)


def compare(first: list[Heard], other: list[Heard]) -> list[str]:
    """Which answers differ although both should be the same one of larder's."""
    return [f"{essence(theirs)}\n  {essence(mine)}"
            for (say, mine), (said, theirs) in zip(first, other)
            if say == said and not say.own and essence(mine) != essence(theirs)]


def run(stack: Stack, case: Case) -> list[str]:
    """What went wrong, a line each with the way it went."""
    faults: list[str] = []
    heard: dict[str, list[Heard]] = {}
    for way in WAYS:
        if all(getattr(step, way) is None for step in case.steps):
            continue
        found, heard[way] = run_way(stack, case, way)
        faults += [f"{way}: {fault}" for fault in found]
    (base, answers), *others = heard.items()
    for way, theirs in others:
        faults += [f"{way}: not the answer as by {base}:\n  {pair}"
                   for pair in compare(answers, theirs)]
    return faults
