"""Entity tags, conditional requests and Prefer, through both web servers, down to Redis."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from checks import check_envelope, check_json, check_problem
from harness import FRONTS, SRCDIR, Front, Process, Redis, Stack, Workspace, eventually
from rawhttp import Answer, Header, Http

ETAG = re.compile(r'"[0-9a-f]{32}"')
JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain")
VIEWS = ("/cache", "/raw")


def tag_of(answer: Answer) -> str:
    """The ETag of an answer, with its quotes; it must be a strong one of ours."""
    tag = answer.header("ETag")
    assert tag is not None and ETAG.fullmatch(tag), answer
    return tag


def inside(tag: str, suffix: str) -> str:
    """The tag with a suffix inside its quotes, as web servers write it."""
    return f'{tag[:-1]}{suffix}"'


def fields(text: str, tag: str) -> list[Header]:
    """Header fields from a text such as "If-Match: TAG | If-None-Match: *"."""
    pairs = [part.split(":", 1) for part in text.split("|")]
    named = {"TAG-gzip": inside(tag, "-gzip"), "TAG;gzip": inside(tag, ";gzip"),
             "TAG-br": inside(tag, "-br"), "TAG-x": inside(tag, "-x"), "TAG": tag}
    for name, value in named.items():
        pairs = [[field, rest.replace(name, value)] for field, rest in pairs]
    return [(field.strip(), rest.strip()) for field, rest in pairs]


def state(redis: Redis, key: str) -> tuple[Any, Any]:
    """What Redis holds of an entry, and when it expires: the same if nothing was done to it."""
    return redis.ask("GET", key), redis.ask("PEXPIRETIME", key)


# --- entity tags ---------------------------------------------------------------------------------

@pytest.mark.parametrize("path,body,content_type", [
    ("/cache", b'{"value":{"a":[1,"\xc3\xa9"]},"ttl":60}', JSON), ("/raw", b"bytes \xff\0", TEXT)])
def test_one_tag_for_one_entry(stack: Stack, key: str, path: str, body: bytes,
                               content_type: Header) -> None:
    """PUT, GET and HEAD, both representations, both web servers: one strong tag."""
    tags = set()
    for front in stack.fronts.values():
        with front.http() as http:
            tags.add(tag_of(http.put(f"{path}/{key}", body, [content_type])))
            for view in VIEWS:
                tags.add(tag_of(http.get(f"{view}/{key}")))
                tags.add(tag_of(http.request("HEAD", f"{view}/{key}")))
    assert len(tags) == 1


def test_ttl_and_tags_leave_the_tag(http: Http, key: str) -> None:
    """What is no part of the value is no part of the tag: ttl, idle time, tags, white space around
    the value, the key."""
    path = f"/cache/{key}"
    tag = tag_of(http.put(path, b'{"value":[1],"ttl":60}'))
    for body in (b'{"value":[1],"ttl":600}', b'{"value":[1],"idle":60}',
                 b'{"value":[1],"tags":["a","b"]}', b'{ "value" : [1] , "tags" : ["c"] }',
                 b'{"value":[1],"ttl":50,"idle":6,"tags":["a"]}'):
        assert tag_of(http.put(path, body)) == tag
        assert tag_of(http.get(path)) == tag
    assert tag_of(http.request("PATCH", path, b'{"ttl":99}', [JSON])) == tag
    assert tag_of(http.request("PATCH", path, b'{"ttl":null}', [JSON])) == tag
    assert tag_of(http.put(f"{path}-other", b'{"value":[1]}')) == tag


def test_value_type_and_coding_make_the_tag(http: Http, key: str) -> None:
    """Another value, or spelling of it, another media type, another coding: another tag."""
    tags = [tag_of(http.put(f"/cache/{key}", b'{"value":%s}' % value))
            for value in (b"1", b"1.0", b'"1"', b"[1]", b"[ 1 ]", b"null", b'""')]
    tags += [tag_of(http.put(f"/raw/{key}", body, [("Content-Type", kind), *coding]))
             for body in (b"1", b"")
             for kind in ("text/plain", "text/html", "application/json", "TEXT/plain")
             for coding in ((), (("Content-Encoding", "gzip"),), (("Content-Encoding", "br"),))]
    assert len(set(tags)) == len(tags)
    assert tag_of(http.put(f"/cache/{key}", b'{"value":1}')) == tags[0]


def test_every_way_to_change_a_value_gives_its_tag(stack: Stack, http: Http, key: str) -> None:
    """PATCH, counters and other programs: the tag is that of the value, however it came about."""
    path = f"/cache/{key}"
    seven = tag_of(http.put(path, {"value": 7}))
    http.delete(path)
    assert tag_of(http.request("POST", f"/counters/{key}", b'{"by":7}', [JSON])) == seven
    http.put(path, {"value": {"n": 1}})
    assert tag_of(http.request("PATCH", path, b'{"value":7}', [JSON])) == seven
    stack.redis.ask("SET", key, "7")
    assert tag_of(http.get(path)) == tag_of(http.get(f"/raw/{key}")) == seven


def test_answers_without_an_entry_have_no_tag(http: Http, key: str) -> None:
    """404 and DELETE carry no ETag."""
    assert http.get(f"/cache/{key}").header("ETag") is None
    http.put(f"/cache/{key}", {"value": 1})
    assert http.delete(f"/cache/{key}").header("ETag") is None


# --- reading -------------------------------------------------------------------------------------

MATCHING = ["TAG", "W/TAG", "*", " * ", '"x", TAG', 'TAG,"x"', 'W/"x" ,\tW/TAG', ", TAG,,",
            "TAG-gzip", "W/TAG-gzip", '"x", TAG-br', "TAG;gzip", '"", TAG', '"a,b", TAG',
            r'"\", TAG']


@pytest.mark.parametrize("value", MATCHING)
@pytest.mark.parametrize("view", VIEWS)
def test_not_modified(stack: Stack, http: Http, key: str, view: str, value: str) -> None:
    """If-None-Match with the tag, compared weakly, is 304 with what a cache needs to go on."""
    http.put(f"/cache/{key}", {"value": "x" * 2000, "ttl": 60, "tags": ["a"]})
    path = f"{view}/{key}"
    tag = tag_of(http.get(path))
    for method in ("GET", "HEAD"):
        answer = http.request(method, path, headers=fields(f"If-None-Match: {value}", tag))
        assert (answer.status, answer.body) == (304, b""), answer
        assert tag_of(answer) == tag
        assert answer.header("Cache-Control") == "private, no-cache"
        assert re.fullmatch(r"larder; hit; ttl=(59|60)", answer.header("Cache-Status") or "")
        assert answer.header("Cache-Groups") == '"a"'
        assert answer.header("Content-Type") is None
        assert http.get(path).status == 200, "the connection is out of step"


@pytest.mark.parametrize("value", ['"x"', 'W/"x"', '""', '"x", "y"', "TAG-x",
                                   '"0", W/"1", "2-gzip"'])
@pytest.mark.parametrize("view", VIEWS)
def test_modified(http: Http, key: str, view: str, value: str) -> None:
    """Tags of something else get the whole entry."""
    http.put(f"/cache/{key}", {"value": 1})
    path = f"{view}/{key}"
    tag = tag_of(http.get(path))
    for wrong in (value, tag.upper(), inside(tag[:-2] + '"', ""), f'"{tag[2:]}'):
        answer = http.get(path, fields(f"If-None-Match: {wrong}", tag))
        assert answer.status == 200 and answer.body, answer


# Fields, and the status of a GET.
READS = [
    ("If-Match: TAG", 200), ("If-Match: *", 200), ('If-Match: "x", TAG', 200),
    ("If-Match: TAG-gzip", 200), ('If-Match: "x"', 412), ("If-Match: W/TAG", 412),
    ("If-Match: TAG | If-None-Match: TAG", 304), ("If-Match: * | If-None-Match: *", 304),
    ('If-Match: TAG | If-None-Match: "x"', 200), ('If-Match: "x" | If-None-Match: TAG', 412),
    ("If-Match: W/TAG | If-None-Match: TAG", 412), ('If-Match: "x" | If-None-Match: "y"', 412),
]


@pytest.mark.parametrize("text,status", READS)
@pytest.mark.parametrize("view", VIEWS)
def test_conditions_of_reads(http: Http, key: str, view: str, text: str, status: int) -> None:
    """If-Match compares strongly and comes first (RFC 9110, 13.2.2); a 412 carries the tag."""
    http.put(f"/cache/{key}", {"value": 1})
    path = f"{view}/{key}"
    tag = tag_of(http.get(path))
    answer, head = (http.request(method, path, headers=fields(text, tag))
                    for method in ("GET", "HEAD"))
    assert answer.status == head.status == status
    assert tag_of(answer) == tag_of(head) == tag
    if status == 412:
        assert check_problem(answer, 412, "precondition-failed")["key"] == key


@pytest.mark.parametrize("text", ["If-None-Match: *", 'If-None-Match: "x"', "If-Match: *",
                                  'If-Match: "x"'])
def test_reads_of_nothing_are_404(http: Http, key: str, text: str) -> None:
    """What would be 404 without conditions is 404 with them (RFC 9110, 13.2.1)."""
    for view in VIEWS:
        answer = http.get(f"{view}/{key}", fields(text, ""))
        check_problem(answer, 404, "key-not-found")
        assert answer.header("ETag") is None


def test_a_304_says_nothing_of_bytes(http: Http, key: str) -> None:
    """304 of a raw entry leaves out what describes the body: type and coding."""
    stored = http.put(f"/raw/{key}", b"x" * 3000, [TEXT, ("Content-Encoding", "br")])
    answer = http.get(f"/raw/{key}", [("If-None-Match", tag_of(stored))])
    assert answer.status == 304
    for name in ("Content-Type", "Content-Encoding", "Content-Security-Policy"):
        assert answer.header(name) is None, name


# --- writing -------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Write:
    """A write, what Redis holds after it where 5 was, and its status where nothing was."""

    method: str
    path: str
    body: bytes | None
    content_type: str
    after: bytes | None
    absent: int

    def send(self, http: Http, key: str, headers: list[Header]) -> Answer:
        """Sends it with these header fields besides its own."""
        own = [("Content-Type", self.content_type)] if self.body is not None else []
        return http.request(self.method, f"{self.path}/{key}", self.body, [*own, *headers])

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


PUT = Write("PUT", "/cache", b'{"value":6}', "application/json", b"6", 200)
WRITES = [
    PUT,
    Write("PUT", "/raw", b"6", "text/plain", b'\0larder1 {"type":"text/plain"}\n6', 200),
    Write("PATCH", "/cache", b'{"value":6}', "application/merge-patch+json", b"6", 404),
    Write("POST", "/counters", b'{"by":1,"initial":5}', "application/json", b"6", 200),
    Write("DELETE", "/cache", None, "", None, 404),
    Write("DELETE", "/raw", None, "", None, 404),
]
every_write = pytest.mark.parametrize("write", WRITES, ids=str)

HOLDING = ["If-Match: *", "If-Match: TAG", 'If-Match: "x", TAG', 'If-Match: W/"x" , TAG,',
           "If-Match: TAG-gzip", 'If-Match: W/TAG, TAG', 'If-None-Match: "x"',
           'If-None-Match: W/"x", "y-gzip"', 'If-Match: TAG | If-None-Match: "x"',
           'If-Match: * | If-None-Match: W/"x"']
FAILING = ['If-Match: "x"', "If-Match: W/TAG", "If-Match: TAG-x", 'If-Match: "x", W/TAG-gzip',
           "If-None-Match: *", "If-None-Match: TAG", "If-None-Match: W/TAG",
           'If-None-Match: "x", TAG-gzip', "If-Match: TAG | If-None-Match: *",
           "If-Match: * | If-None-Match: TAG", 'If-Match: "x" | If-None-Match: "x"',
           'If-Match: "x" | If-None-Match: *']


@every_write
@pytest.mark.parametrize("text", HOLDING)
def test_a_condition_that_holds(stack: Stack, http: Http, key: str, write: Write,
                                text: str) -> None:
    """The write is done as it would be without the condition."""
    tag = tag_of(http.put(f"/cache/{key}", {"value": 5, "ttl": 1000}))
    answer = write.send(http, key, fields(text, tag))
    assert answer.status == 200, answer
    assert stack.redis.ask("GET", key) == write.after
    if write.after is not None:
        assert tag_of(answer) == tag_of(http.get(f"/raw/{key}")) != tag


@every_write
@pytest.mark.parametrize("text", FAILING)
def test_a_condition_that_fails(stack: Stack, http: Http, key: str, write: Write,
                                text: str) -> None:
    """412 changes neither value nor expiry, and tells the tag that would have matched."""
    tag = tag_of(http.put(f"/cache/{key}", {"value": 5, "ttl": 1000}))
    before = state(stack.redis, key)
    answer = write.send(http, key, fields(text, tag))
    document = check_problem(answer, 412, "precondition-failed")
    assert document["key"] == key and tag_of(answer) == tag
    assert state(stack.redis, key) == before


@every_write
@pytest.mark.parametrize("text", ["If-Match: *", 'If-Match: "x"', 'If-Match: W/"x"',
                                  "If-Match: * | If-None-Match: *"])
def test_if_match_where_nothing_is(stack: Stack, http: Http, key: str, write: Write,
                                   text: str) -> None:
    """If-Match is 412 where there is no entry, also for "*", and makes none."""
    answer = write.send(http, key, fields(text, ""))
    check_problem(answer, 412, "precondition-failed")
    assert answer.header("ETag") is None
    assert stack.redis.ask("EXISTS", key) == 0


@every_write
@pytest.mark.parametrize("text", ["If-None-Match: *", 'If-None-Match: "x"'])
def test_if_none_match_where_nothing_is(stack: Stack, http: Http, key: str, write: Write,
                                        text: str) -> None:
    """If-None-Match holds where there is no entry: it is created, or missed as ever."""
    answer = write.send(http, key, fields(text, ""))
    assert answer.status == write.absent, answer
    assert stack.redis.ask("GET", key) == (write.after if write.absent == 200 else None)


@every_write
def test_an_idle_entry_with_tags_is_like_others(stack: Stack, http: Http, key: str,
                                                write: Write) -> None:
    """Conditions see the same tag of an entry that has a header in Redis."""
    body = {"value": 5, "ttl": 1000, "idle": 100, "tags": ["a", "b"]}
    tag = tag_of(http.put(f"/cache/{key}", body))
    before = stack.redis.ask("GET", key)
    assert before.startswith(b"\0larder1 {")
    assert write.send(http, key, [("If-Match", '"x"')]).status == 412
    assert write.send(http, key, [("If-None-Match", tag)]).status == 412
    assert stack.redis.ask("GET", key) == before
    assert write.send(http, key, [("If-Match", tag)]).status == 200
    assert (stack.redis.ask("GET", key) is None) == (write.after is None)


@every_write
@pytest.mark.parametrize("header", [
    ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"), ("If-Unmodified-Since", "garbage"),
    ("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"), ("If-Modified-Since", "garbage"),
    ("If-Range", '"x"'),
], ids=lambda h: f"{h[0]}: {h[1][:3]}")
def test_dates_are_ignored(stack: Stack, http: Http, key: str, write: Write,
                           header: Header) -> None:
    """An entry has no modification date, so conditions on one are ignored (RFC 9110, 13.1.4)."""
    http.put(f"/cache/{key}", {"value": 5})
    assert write.send(http, key, [header]).status == 200
    assert stack.redis.ask("GET", key) == write.after


def test_another_programs_value_can_be_swapped(stack: Stack, http: Http, key: str) -> None:
    """Compare-and-swap works on what another program wrote, and sees its next change."""
    stack.redis.ask("SET", key, b"\xfftheirs")
    tag = tag_of(http.get(f"/cache/{key}"))
    stack.redis.ask("APPEND", key, "!")
    assert PUT.send(http, key, [("If-Match", tag)]).status == 412
    assert PUT.send(http, key, [("If-Match", tag_of(http.get(f"/raw/{key}")))]).status == 200
    stack.redis.ask("DEL", key)
    stack.redis.ask("RPUSH", key, "list")
    for text in ("If-Match: *", "If-None-Match: *"):
        check_problem(PUT.send(http, key, fields(text, "")), 409, "wrong-type")


# --- malformed conditions ------------------------------------------------------------------------

MALFORMED = ["x", "TAG x", '"', '"a', 'a"', '"a" "b"', '"a""b"', '"a";"b"', "W/", "W/a", 'w/"a"',
             'W/ "a"', 'W"a"', '*, "a"', '"a", *', "**", "*,*", ",", " , ,", '"a b"', "'a'",
             '"a", b', '"a\\" b"', ", ".join(['"a"'] * 65), ", ".join(['"a"'] * 500),
             f'"{"a" * 4095}"', f'"{"a" * 7000}"']


@pytest.mark.parametrize("value", MALFORMED, ids=lambda v: v[:12])
@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
def test_malformed_conditions(stack: Stack, http: Http, key: str, name: str, value: str) -> None:
    """A condition that can't be read in full is 400, for reads and writes, and changes nothing."""
    tag = tag_of(http.put(f"/cache/{key}", {"value": 5, "ttl": 1000}))
    before = state(stack.redis, key)
    headers = fields(f"{name}: {value}", tag)
    for view in VIEWS:
        check_problem(http.get(f"{view}/{key}", headers), 400, "invalid-precondition")
    for write in WRITES:
        check_problem(write.send(http, key, headers), 400, "invalid-precondition")
    assert state(stack.redis, key) == before


def test_the_longest_conditions(http: Http, key: str) -> None:
    """64 tags and 4096 bytes are read."""
    tag = tag_of(http.put(f"/cache/{key}", {"value": 5}))
    for value in (", ".join([*['"a"'] * 63, tag]), f'"{"a" * 4056}", {tag}', f'"{"a" * 4094}", *'):
        status = 400 if value.endswith("*") else 304
        assert http.get(f"/cache/{key}", [("If-None-Match", value)]).status == status


def test_an_empty_condition(stack: Stack, key: str) -> None:
    """nginx passes an empty field on, which is malformed; lighttpd leaves it out."""
    for kind, status in (("nginx", 400), ("lighttpd", 200)):
        with stack.fronts[kind].http() as http:
            for name in ("If-Match", "If-None-Match"):
                assert PUT.send(http, key, [(name, "")]).status == status


@every_write
def test_two_fields_through_nginx(stack: Stack, key: str, write: Write) -> None:
    """nginx refuses two of either field itself."""
    with stack.fronts["nginx"].http() as http:
        tag = tag_of(http.put(f"/cache/{key}", {"value": 5}))
        for name in ("If-Match", "If-None-Match"):
            for other in (tag, '"x"', "*"):
                answer = write.send(http, key, [(name, other), (name, '"x"')])
                assert answer.status == 400 and not answer.is_problem, answer
    assert stack.redis.ask("GET", key) == b"5"


@every_write
def test_two_fields_through_lighttpd(stack: Stack, key: str, write: Write) -> None:
    """lighttpd makes one list of two If-Match, and drops all but the first If-None-Match: no worse
    than if the client had sent that alone."""
    with stack.fronts["lighttpd"].http() as http:
        tag = tag_of(http.put(f"/cache/{key}", {"value": 5}))
        answer = write.send(http, key, [("If-Match", '"x"'), ("If-Match", '"y"')])
        check_problem(answer, 412, "precondition-failed")
        answer = write.send(http, key, [("If-Match", "*"), ("If-Match", '"x"')])
        check_problem(answer, 400, "invalid-precondition")
        answer = write.send(http, key, [("If-None-Match", "*"), ("If-None-Match", '"x"')])
        check_problem(answer, 412, "precondition-failed")
        assert stack.redis.ask("GET", key) == b"5"
        assert write.send(http, key, [("If-Match", '"x"'), ("If-Match", tag)]).status == 200


# --- one step in Redis ---------------------------------------------------------------------------

def in_parallel(stack: Stack, count: int, work: Callable[[int, Http], None]) -> None:
    """Runs work(0..count-1) at the same time, through both web servers in turn."""
    gate = threading.Barrier(count)
    faults: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with stack.fronts[FRONTS[number % 2]].http() as http:
                http.get("/health/live")
                gate.wait(20)
                work(number, http)
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults[0]


@pytest.mark.parametrize("members", [{}, {"tags": ["a"]}, {"idle": 60}], ids=str)
def test_one_of_64_creators_wins(stack: Stack, key: str, members: dict[str, Any]) -> None:
    """Of 64 parallel PUTs with If-None-Match: *, one is done; the others are told its tag."""
    answers: list[tuple[int, Answer]] = []

    def create(number: int, http: Http) -> None:
        body = {"value": number, **members}
        answers.append((number, http.put(f"/cache/{key}", body, [JSON, ("If-None-Match", "*")])))

    in_parallel(stack, 64, create)
    assert sorted(answer.status for _, answer in answers) == [200] + [412] * 63
    [winner] = [number for number, answer in answers if answer.status == 200]
    assert len({tag_of(answer) for _, answer in answers}) == 1
    assert stack.larder.fastcgi("GET", f"/cache/{key}").json()["value"] == winner


@pytest.mark.parametrize("members", [{}, {"tags": ["a"], "idle": 60}], ids=str)
def test_no_swap_is_lost(stack: Stack, key: str, members: dict[str, Any]) -> None:
    """Read, add one, swap if it is still the same, again if not: nobody's one is lost."""
    stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":0}')

    def add(_: int, http: Http) -> None:
        for _ in range(10):
            while True:
                read = http.get(f"/cache/{key}")
                body = {"value": read.json()["value"] + 1, **members}
                swap = http.put(f"/cache/{key}", body, [JSON, ("If-Match", tag_of(read))])
                if swap.status == 200:
                    break
                check_problem(swap, 412, "precondition-failed")

    in_parallel(stack, 6, add)
    assert stack.larder.fastcgi("GET", f"/cache/{key}").json()["value"] == 60


def test_merges_and_counts_in_parallel(stack: Stack, key: str) -> None:
    """Unconditional merges of different members don't undo each other; conditional counts count."""
    stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":{}}')
    stack.larder.fastcgi("PUT", f"/cache/{key}-n", b'{"value":0,"tags":["a"]}')

    def work(number: int, http: Http) -> None:
        for i in range(5):
            patch = b'{"value":{"m%d":%d}}' % (number * 5 + i, i)
            assert http.request("PATCH", f"/cache/{key}", patch, [JSON]).status == 200
            count = http.request("POST", f"/counters/{key}-n", None, [("If-Match", "*"),
                                                                      ("Content-Length", "0")])
            assert count.status == 200, count

    in_parallel(stack, 8, work)
    assert len(stack.larder.fastcgi("GET", f"/cache/{key}").json()["value"]) == 40
    assert stack.larder.fastcgi("GET", f"/cache/{key}-n").json()["value"] == 40


# --- entries that a tag made dead ----------------------------------------------------------------

def invalidate(redis: Redis, http: Http, tag: str) -> None:
    """Invalidates a tag as a client does."""
    assert check_json(http.delete(f"/cache?tag={tag}"))["invalidated"] is True


def evict(redis: Redis, http: Http, tag: str) -> None:
    """Takes away what larder knows of a tag, as Redis may when it is full."""
    assert redis.ask("DEL", b"\xfftag:" + tag.encode()) == 1


def rewrite(redis: Redis, http: Http, tag: str) -> None:
    """Invalidates a tag that another entry then brings back to life."""
    invalidate(redis, http, tag)
    assert http.put(f"/cache/{tag}-other", {"value": 1, "tags": [tag]}).status == 200


@pytest.fixture(params=[invalidate, evict, rewrite], ids=lambda f: f.__name__)
def kill(request: pytest.FixtureRequest) -> Callable[[Redis, Http, str], None]:
    """Each way in which an entry dies by its tag."""
    made: Callable[[Redis, Http, str], None] = request.param
    return made


@pytest.mark.parametrize("members", [{}, {"idle": 600}], ids=["tags", "tags-and-idle"])
@every_write
def test_a_dead_entry_is_none(stack: Stack, http: Http, key: str, write: Write,
                              members: dict[str, int],
                              kill: Callable[[Redis, Http, str], None]) -> None:
    """If-Match fails on it without a tag to show, If-None-Match holds, and a miss is a miss."""
    stored = http.put(f"/cache/{key}", {"value": 5, "tags": ["live", key], **members})
    tag = tag_of(stored)
    kill(stack.redis, http, key)
    for view in VIEWS:
        check_problem(http.get(f"{view}/{key}"), 404, "key-not-found")
        check_problem(http.get(f"{view}/{key}", [("If-None-Match", tag)]), 404, "key-not-found")
    for text in ("If-Match: *", f"If-Match: {tag}", f"If-Match: {tag} | If-None-Match: *"):
        answer = write.send(http, key, fields(text, ""))
        check_problem(answer, 412, "precondition-failed")
        assert answer.header("ETag") is None
    assert stack.redis.ask("EXISTS", key) == 1
    answer = write.send(http, key, [("If-None-Match", "*")])
    assert answer.status == write.absent, answer
    if write.absent == 200:
        assert stack.redis.ask("GET", key) == write.after
        assert http.get(f"/raw/{key}").body == b"6"


@every_write
def test_an_unconditional_write_over_a_dead_entry(stack: Stack, http: Http, key: str, write: Write,
                                                  kill: Callable[[Redis, Http, str], None]) -> None:
    """Without conditions, too, it is as if nothing were there."""
    http.put(f"/cache/{key}", {"value": 5, "tags": [key]})
    kill(stack.redis, http, key)
    answer = write.send(http, key, [])
    assert answer.status == write.absent, answer
    assert http.get(f"/raw/{key}").status == write.absent


# --- scripts -------------------------------------------------------------------------------------

def use_every_script(http: Http, key: str, before: Callable[[], None]) -> None:
    """One request of each kind that runs a script in Redis, with `before` done before each."""
    def ask(method: str, path: str, body: bytes | None = None, *headers: Header) -> Answer:
        before()
        answer = http.request(method, path.replace("KEY", key), body, [JSON, *headers])
        assert answer.status == 200, (method, path, answer)
        return answer

    tag = tag_of(ask("PUT", "/cache/KEY", b'{"value":{"n":1},"tags":["a"],"idle":60}'))
    assert ask("GET", "/cache/KEY").json()["value"] == {"n": 1}
    ask("HEAD", "/raw/KEY")
    tag = tag_of(ask("PUT", "/cache/KEY", b'{"value":{"n":2}}', ("If-Match", tag)))
    tag = tag_of(ask("PUT", "/raw/KEY", b'{"n":3}', ("If-Match", tag)))
    tag = tag_of(ask("PUT", "/cache/KEY", b'{"value":{"n":4},"tags":["a"]}', ("If-Match", tag)))
    ask("PATCH", "/cache/KEY", b'{"ttl":50}')
    ask("PATCH", "/cache/KEY", b'{"ttl":null}')
    assert ask("PATCH", "/cache/KEY", b'{"value":{"m":5}}').json()["value"] == {"n": 4, "m": 5}
    ask("DELETE", "/cache/KEY")
    assert ask("POST", "/counters/KEY", b'{"by":2}').json()["value"] == 2
    assert ask("POST", "/counters/KEY", b"{}", ("If-Match", "*")).json()["value"] == 3
    batch = (b'{"operations":[{"method":"DELETE","key":"KEY"},'
             b'{"method":"PUT","key":"KEY","value":1,"tags":["a"],"idle":9},'
             b'{"method":"PUT","key":"KEY","value":2,"idle":9,"if_match":"*"},'
             b'{"method":"GET","key":"KEY"},{"method":"DELETE","key":"KEY","if_match":"*"}]}')
    results = ask("POST", "/batch", batch.replace(b"KEY", key.encode())).json()["results"]
    assert [result["status"] for result in results] == [200] * 5, results
    assert results[3]["value"] == 2


def test_scripts_survive_a_flush(stack: Stack, http: Http, key: str) -> None:
    """SCRIPT FLUSH at any moment costs no request its answer, nor a worker its connection."""
    before = stack.larder.stats()["counters"]["redis_reconnects"]
    use_every_script(http, key, lambda: stack.redis.ask("SCRIPT", "FLUSH"))
    assert stack.larder.stats()["counters"]["redis_reconnects"] == before


def test_scripts_survive_a_restart(own: Callable[..., Stack], key: str) -> None:
    """A Redis that was killed and started anew has no scripts; every kind of request works."""
    stack = own(*FRONTS, workers=1)
    with stack.fronts["lighttpd"].http() as one, stack.fronts["nginx"].http() as other:
        for http in (one, other):
            use_every_script(http, key, lambda: None)
            stack.redis.kill()
            stack.redis.start()
            eventually(stack.larder.ready, 20, "the worker has found it again")
            use_every_script(http, key, lambda: None)


# --- HEAD ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("body,headers", [
    (b"plain", [TEXT]), (b"", [TEXT]), (bytes(range(256)) * 9, [("Content-Type", "image/png")]),
    (b"z" * 3000, [TEXT, ("Content-Encoding", "gzip"), ("Cache-Groups", '"a", "b"')]),
], ids=["text", "empty", "bytes", "coded-and-tagged"])
@pytest.mark.parametrize("view", VIEWS)
def test_head_is_get_without_the_body(http: Http, key: str, view: str, body: bytes,
                                      headers: list[Header]) -> None:
    """HEAD has every field that GET has, with the same value."""
    http.put(f"/raw/{key}?ttl=100000&idle=50000", body, headers)
    get, head = http.get(f"{view}/{key}"), http.request("HEAD", f"{view}/{key}")
    assert (get.status, head.status, head.body) == (200, 200, b"")
    assert get.header("Content-Length") == str(len(get.body))

    def comparable(answer: Answer) -> list[Header]:
        return sorted((name, re.sub("ttl=(49999|50000)", "ttl=N", value))
                      for name, value in answer.headers if name != "Date")

    assert comparable(head) == comparable(get)


# --- Prefer --------------------------------------------------------------------------------------

@every_write
@pytest.mark.parametrize("prefer", ["return=minimal", 'Return="Minimal"', "wait=5, return=minimal",
                                    "return=minimal; x=y", "return = minimal"])
def test_as_little_as_possible(stack: Stack, http: Http, key: str, write: Write,
                               prefer: str) -> None:
    """The write is done, and answered by 204 with its tag."""
    http.put(f"/cache/{key}", {"value": 5})
    answer = write.send(http, key, [("Prefer", prefer)])
    assert (answer.status, answer.body) == (204, b""), answer
    assert answer.header("Preference-Applied") == "return=minimal"
    assert answer.header("Content-Type") is None
    assert stack.redis.ask("GET", key) == write.after
    if write.after is None:
        assert answer.header("ETag") is None
    else:
        assert tag_of(answer) == tag_of(http.get(f"/cache/{key}"))


@every_write
@pytest.mark.parametrize("prefer", ["return=representation", "minimal", "return", "return=minima",
                                    "return=representation, return=minimal", "wait=5", "=", "",
                                    "x=return=minimal", '"return=minimal"', "return=minimal ;="])
def test_other_preferences_are_ignored(stack: Stack, http: Http, key: str, write: Write,
                                       prefer: str) -> None:
    """Any other preference, or what is none, is as if it weren't there."""
    http.put(f"/cache/{key}", {"value": 5})
    answer = write.send(http, key, [("Prefer", prefer)])
    check_json(answer)
    assert answer.header("Preference-Applied") is None
    assert stack.redis.ask("GET", key) == write.after


def test_a_preference_changes_no_error_and_no_read(http: Http, key: str) -> None:
    """Errors are told in full, and a GET is there for its body."""
    prefer = ("Prefer", "return=minimal")
    http.put(f"/cache/{key}", {"value": 5})
    check_envelope(http.get(f"/cache/{key}", [prefer]), key, 5, 3600, slack=1)
    check_problem(http.put(f"/cache/{key}", b"{", [JSON, prefer]), 400, "invalid-json")
    check_problem(PUT.send(http, key, [prefer, ("If-None-Match", "*")]), 412,
                  "precondition-failed")
    cleared = http.request("DELETE", f"/cache?prefix={key}", headers=[prefer])
    assert cleared.status == 204
    assert http.get(f"/cache/{key}").status == 404


# --- web servers that compress -------------------------------------------------------------------

GZIP = ("Accept-Encoding", "gzip")
BIG = b'{"value":"%s"}' % (b"x" * 3000)


def compression(kind: str) -> str:
    """The part of deploy.md's configuration that compresses."""
    page = (SRCDIR / "docs" / "deploy.md").read_text()
    if kind == "nginx":
        return "".join(re.findall(r"^ *gzip.*\n", page, re.M))
    [block] = re.findall(r'^ *\$HTTP\["request-method"\] =~ .*\{\n(?: *deflate\..*\n)+ *\}\n', page,
                         re.M)
    return f'server.modules += ( "mod_deflate" )\n{block}'


@pytest.fixture
def compressing(space: Workspace, stack: Stack,
                started: list[Process]) -> Iterator[Callable[[str, str], Front]]:
    """Starts a web server with more in its configuration, before the shared larderd."""
    made: list[Front] = []

    def start(kind: str, more: str) -> Front:
        front = Front(space, kind, stack.larder.socket)
        text = front.config.read_text()
        if kind == "nginx":
            assert "http {\n" in text
            front.config.write_text(text.replace("http {\n", f"http {{\n{more}", 1))
        else:
            front.config.write_text(f"{text}\n{more}")
        started.append(front)
        made.append(front)
        return front.start()

    yield start
    for front in made:
        front.stop()


@pytest.mark.parametrize("kind", FRONTS)
def test_tags_of_compressed_answers(compressing: Callable[[str, str], Front], key: str,
                                    kind: str) -> None:
    """The tag that a compressing web server gave still means the entry: 304, for both views."""
    with compressing(kind, compression(kind)).http() as http:
        tag = tag_of(http.put(f"/cache/{key}", BIG))
        for view in VIEWS:
            got = http.get(f"{view}/{key}", [GZIP])
            assert got.header("Content-Encoding") == "gzip"
            given = got.header("ETag")
            assert given == (f"W/{tag}" if kind == "nginx" else inside(tag, "-gzip"))
            for method in ("GET", "HEAD"):
                for headers in ([GZIP, ("If-None-Match", given)], [("If-None-Match", given)],
                                [GZIP, ("If-None-Match", f'"x", {given}')],
                                [GZIP, ("If-None-Match", tag)]):
                    answer = http.request(method, f"{view}/{key}", headers=headers)
                    assert (answer.status, answer.body) == (304, b""), answer


@pytest.mark.parametrize("kind", FRONTS)
def test_swaps_with_tags_of_compressed_answers(stack: Stack,
                                               compressing: Callable[[str, str], Front], key: str,
                                               kind: str) -> None:
    """lighttpd's tag is strong and swaps; nginx's is weak and doesn't, but gets the strong one."""
    with compressing(kind, compression(kind)).http() as http:
        http.put(f"/cache/{key}", BIG)
        given = http.get(f"/cache/{key}", [GZIP]).header("ETag") or ""
        answer = PUT.send(http, key, [GZIP, ("If-Match", given)])
        if kind == "nginx":
            check_problem(answer, 412, "precondition-failed")
            assert len(stack.redis.ask("GET", key)) > 3000
            answer = PUT.send(http, key, [GZIP, ("If-Match", tag_of(answer))])
        assert answer.status == 200, answer
        assert stack.redis.ask("GET", key) == b"6"


@pytest.mark.parametrize("kind", FRONTS)
def test_a_write_that_was_done_is_told_so(compressing: Callable[[str, str], Front], key: str,
                                          kind: str) -> None:
    """PUT of a value unless it is there, which a compressed answer's tag says: 200, not 412."""
    with compressing(kind, compression(kind)).http() as http:
        http.put(f"/cache/{key}", BIG)
        given = http.get(f"/cache/{key}", [GZIP]).header("ETag") or ""
        unless = [GZIP, JSON, ("If-None-Match", given)]
        assert http.put(f"/cache/{key}", BIG, unless).status == 412
        http.put(f"/cache/{key}", {"value": "another"})
        assert http.put(f"/cache/{key}", BIG, unless).status == 200
        assert len(http.get(f"/cache/{key}").json()["value"]) == 3000


def test_lighttpd_judges_compressed_answers_itself(compressing: Callable[[str, str], Front],
                                                   key: str) -> None:
    """Why deploy.md doesn't let lighttpd compress the answers to writes: it calls one that was done
    a 412 (docs/findings.md)."""
    everything = ('server.modules += ( "mod_deflate" )\n'
                  'deflate.mimetypes = ( "application/json" )\n'
                  'deflate.allowed-encodings = ( "gzip" )\n')
    with compressing("lighttpd", everything).http() as http:
        tag = inside(tag_of(http.put(f"/cache/{key}", BIG)), "-gzip")
        http.put(f"/cache/{key}", {"value": "another"})
        answer = http.put(f"/cache/{key}", BIG, [GZIP, JSON, ("If-None-Match", tag)])
        assert (answer.status, answer.body, answer.is_problem) == (412, b"", False)
        assert len(http.get(f"/cache/{key}").json()["value"]) == 3000, "it was not done"
