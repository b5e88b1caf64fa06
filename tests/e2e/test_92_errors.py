"""docs/errors.md has every error that a client can get, and each comes as the page says.

src/base/errors.def is the source: the page's sections and its table must be that list. The
examples are run through a web server; those about Redis while Redis is in the state they are about.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

import fcgi
from checks import check_problem
from harness import FRONTS, SRCDIR, Front, Larder, Redis, Stack, eventually
from pages import Example, Section, dead_links, differences, sections
from proxy import Link, Relay

PAGE = SRCDIR / "docs" / "errors.md"
ROW = re.compile(r'^ERROR\(\w+, "([^"]+)", (\d+), "([^"]+)", "(?:[^"\\]|\\.)*", (\d+)\)$', re.M)
# The state that an example needs, and nothing else can give: see STATES.
IN_A_STATE = {"contention", "entry-too-large", "wrong-type"}
# Never by a client alone: a peer that speaks FastCGI badly provokes the first two.
BY_A_PEER = {"malformed-request", "incomplete-body"}
NOT_PROVOKED = {"out-of-memory", "internal"}


@dataclass
class Row:
    """A row of errors.def."""

    slug: str
    status: int
    title: str
    retry_after: int


def rows() -> list[Row]:
    """Those that can reach a client: the last group can't."""
    text = (SRCDIR / "src" / "base" / "errors.def").read_text()
    reach, mark, _ = text.partition("/* Never reach a client")
    assert mark
    found = [Row(slug, int(status), title, int(retry))
             for slug, status, title, retry in ROW.findall(reach)]
    assert len(found) == len(re.findall(r"^ERROR\(", reach, re.M)), "a row isn't understood"
    return found


def described() -> dict[str, Section]:
    """The sections about one error each: they begin with a status."""
    found = [s for s in sections(PAGE) if re.match(r"\*\*\d", s.text)]
    assert len({s.title for s in found}) == len(found)
    return {s.title: s for s in found}


def head(row: Row, section: Section) -> str:
    """How the section must begin, with what the page says of trying again."""
    again = re.match(r".*; trying again helps: (.*)\.$", section.text, re.M)
    says = again[1] if again else "?"
    assert (says == "no") == (row.retry_after == 0 and row.status != 412), (row.slug, says)
    return f"**{row.status} {row.title}**; trying again helps: {says}.\n"


def test_the_page_and_the_table_agree() -> None:
    """Every error has its section in the table's order, with its status and title, and its row."""
    table = rows()
    page = described()
    assert list(page) == [row.slug for row in table]
    for row in table:
        start = head(row, page[row.slug])
        assert page[row.slug].text.startswith(start), row.slug
        says = start.rpartition("helps: ")[2].removesuffix(".\n")
        assert f"\n| [{row.slug}](#{row.slug}) | {row.status} | {says} |\n" in PAGE.read_text()
    assert PAGE.read_text().count("\n| [") == len(table)


def test_every_error_has_an_example_of_its_own() -> None:
    """The last command of a section shows the error that it is about."""
    for slug, section in described().items():
        if slug in BY_A_PEER | NOT_PROVOKED:
            assert not section.examples
            continue
        assert f'"type":"/errors/{slug}"' in section.examples[-1].output, slug


def in_a_state(row: Row) -> bool:
    """Whether the example needs more than an empty Redis that is well."""
    return row.slug.startswith("backend-") or row.slug in IN_A_STATE


def general() -> list[Example]:
    """What stands before the errors, the entries for their examples above all."""
    page = described()
    return [e for s in sections(PAGE) if s.title not in page for e in s.examples]


@pytest.mark.parametrize("kind", FRONTS)
def test_examples(own: Callable[..., Stack], kind: str) -> None:
    """Every example that a request alone can give is what happens."""
    page = described()
    stack = own(kind)
    examples = general() + [e for row in rows() if not in_a_state(row)
                            for e in page[row.slug].examples]
    assert len(examples) > 25
    wrong = differences(PAGE, examples, stack.fronts[kind].port)
    assert not wrong, "\n".join(wrong)


# --- Redis in a state ----------------------------------------------------------------------------

class Scene:
    """A stack of its own, with a relay before Redis."""

    def __init__(self, redis: Redis, relay: Relay, larder: Larder, front: Front) -> None:
        self.redis, self.relay, self.larder, self.front = redis, relay, larder, front


State = Callable[[Scene], AbstractContextManager[None]]


def answering(text: bytes) -> State:
    """Redis refuses every command with this error."""
    @contextmanager
    def state(scene: Scene) -> Iterator[None]:
        scene.relay.rule = lambda link, command, reply: link.send(b"-" + text + b"\r\n")
        yield
        scene.relay.rule = None
    return state


@contextmanager
def changing(scene: Scene) -> Iterator[None]:
    """The entry becomes another one whenever larder has looked at it."""
    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0].upper() == b"GETRANGE":
            scene.redis.ask("INCR", "greeting")
        return link.send(reply)
    scene.redis.ask("SET", "greeting", 1)
    scene.relay.rule = rule
    yield
    scene.relay.rule = None


@contextmanager
def gone(scene: Scene) -> Iterator[None]:
    """There is no Redis."""
    scene.redis.stop()
    eventually(lambda: not scene.larder.ready(), what="larder notices")
    yield


@contextmanager
def hanging(scene: Scene) -> Iterator[None]:
    """Redis is there and says nothing: noticed by the request itself, not by a ping before it."""
    scene.redis.signal(signal.SIGSTOP)
    yield
    scene.redis.signal(signal.SIGCONT)


def having(*command: str | int) -> State:
    """Redis after a command of another program's."""
    @contextmanager
    def state(scene: Scene) -> Iterator[None]:
        scene.redis.ask(*command)
        yield
    return state


@contextmanager
def full(scene: Scene) -> Iterator[None]:
    """Redis has no room and may evict nothing."""
    scene.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    scene.redis.ask("CONFIG", "SET", "maxmemory", 1)
    yield


STATES: dict[str, State] = {
    "contention": changing,
    "entry-too-large": having("SETRANGE", "foreign", 9 << 20, "x"),
    "wrong-type": having("RPUSH", "foreign", "a"),
    "backend-unavailable": gone,
    "backend-timeout": hanging,
    "backend-loading": answering(b"LOADING Redis is loading the dataset in memory"),
    "backend-readonly": having("REPLICAOF", "127.0.0.1", 1),
    "backend-busy": answering(b"BUSY Redis is busy running a script"),
    "backend-refused": answering(b"NOPERM this user has no permissions to run this command"),
    "backend-error": answering(b"ERR something new"),
    "backend-full": full,
}


def test_every_state_is_made() -> None:
    """No error of Redis's is left out."""
    assert set(STATES) == {row.slug for row in rows() if in_a_state(row)}


@pytest.fixture
def scene(new_redis: Callable[..., Redis], new_larder: Callable[..., Larder],
          new_front: Callable[[str, Larder], Front]) -> Iterator[Scene]:
    """Redis, a relay, larderd and nginx."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start()
    yield Scene(redis, relay, larder, new_front("nginx", larder))
    relay.rule = None
    larder.stop()
    relay.close()


@pytest.mark.parametrize("slug", STATES)
def test_examples_in_a_state(scene: Scene, slug: str) -> None:
    """With Redis in the state that the section is about, its example is what happens."""
    with STATES[slug](scene):
        wrong = differences(PAGE, described()[slug].examples, scene.front.port)
    assert not wrong, "\n".join(wrong)


def test_a_request_without_a_target(stack: Stack) -> None:
    """What a wrong configuration of the web server leads to."""
    with stack.larder.connect() as connection:
        connection.send(fcgi.request_bytes("GET", ""))
        check_problem(connection.read_response(), 400, "malformed-request")


def test_a_body_of_another_length(stack: Stack) -> None:
    """What a peer leads to that sends less, or more, than it announces."""
    answer = stack.larder.fastcgi("PUT", "/cache/a", b'{"value":1}', CONTENT_LENGTH="5")
    check_problem(answer, 400, "incomplete-body")


def test_links_lead_somewhere() -> None:
    """Every file and heading that the page links to is there."""
    assert not dead_links(PAGE)
