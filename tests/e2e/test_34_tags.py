"""Tags: invalidation in one step, exact, and never a stale hit whatever happens to their nonces."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from checks import check_json, check_problem, check_timestamp
from harness import FRONTS, Front, Larder, Redis, Stack, eventually
from rawhttp import Answer, Http

JSON = (("Content-Type", "application/json"),)
MERGE = (("Content-Type", "application/merge-patch+json"),)
SLACK_MS = 60_000  # by which a nonce outlives the entries that carry it


def name_of(tag: str) -> bytes:
    """The name in Redis of a tag's nonce."""
    return b"\xfftag:" + tag.encode()


def escape(text: str) -> str:
    """Percent-encodes every byte."""
    return "".join(f"%{b:02X}" for b in text.encode())


def batch(http: Http, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a batch."""
    body = json.dumps({"operations": operations}).encode()
    results: list[dict[str, Any]] = check_json(
        http.request("POST", "/batch", body, JSON))["results"]
    return results


def put_json(http: Http, key: str, tags: list[str], **members: Any) -> None:
    """PUT of /cache/{key}."""
    answer = http.put(f"/cache/{key}", {"value": 7, "tags": tags, **members})
    assert check_json(answer)["tags"] == tags


def put_raw(http: Http, key: str, tags: list[str], ttl: int | None = None) -> None:
    """PUT of /raw/{key} with Cache-Groups."""
    groups = ", ".join(f'"{tag}"' for tag in tags)
    query = f"?ttl={ttl}" if ttl else ""
    answer = http.put(f"/raw/{key}{query}", b"7", [("Content-Type", "text/plain"),
                                                   ("Cache-Groups", groups)])
    assert check_json(answer)["tags"] == tags


def put_batch(http: Http, key: str, tags: list[str], **members: Any) -> None:
    """PUT in a batch."""
    result = batch(http, {"method": "PUT", "key": key, "value": 7, "tags": tags, **members})[0]
    assert result["status"] == 200 and result["tags"] == tags


def put_if(http: Http, key: str, tags: list[str], **members: Any) -> None:
    """A conditional PUT of a new entry, and one that replaces it."""
    for field in ("If-None-Match", "If-Match"):
        answer = http.put(f"/cache/{key}", {"value": 7, "tags": tags, **members},
                          [*JSON, (field, "*")])
        assert check_json(answer)["tags"] == tags


def put_idle(http: Http, key: str, tags: list[str], **members: Any) -> None:
    """An entry with an idle time."""
    put_json(http, key, tags, idle=50, **members)


WRITERS: dict[str, Callable[..., None]] = {
    "json": put_json, "raw": put_raw, "batch": put_batch, "conditional": put_if, "idle": put_idle}


def invalidate(http: Http, tag: str) -> Answer:
    """DELETE /cache?tag=..."""
    answer = http.delete(f"/cache?tag={escape(tag)}")
    document = check_json(answer)
    assert list(document) == ["invalidated", "tag", "timestamp"]
    assert document["invalidated"] is True and document["tag"] == tag
    check_timestamp(document["timestamp"])
    return answer


def reuse(http: Http, redis: Redis, tag: str) -> None:
    """The nonce is evicted, and then the tag used again."""
    redis.ask("DEL", name_of(tag))
    put_json(http, "reused", [tag])


def overwrite(redis: Redis, tag: str, *command: str) -> None:
    """Another program writes under the nonce's name."""
    redis.ask("DEL", name_of(tag))
    redis.ask(command[0], name_of(tag), *command[1:])


DEATHS: dict[str, Callable[[Http, Redis, str], object]] = {
    "invalidated": lambda http, redis, tag: invalidate(http, tag),
    "evicted": lambda http, redis, tag: redis.ask("DEL", name_of(tag)),
    "evicted-and-reused": reuse,
    "invalidated-and-reused": lambda http, redis, tag: (
        invalidate(http, tag), put_json(http, "reused", [tag])),
    "another-nonce": lambda http, redis, tag: overwrite(redis, tag, "SET", "0" * 32),
    "a-shorter-string": lambda http, redis, tag: overwrite(redis, tag, "SET", "0"),
    "a-longer-one": lambda http, redis, tag: redis.ask("APPEND", name_of(tag), "0"),
    "a-list": lambda http, redis, tag: overwrite(redis, tag, "RPUSH", "x"),
}


# --- dead for everybody --------------------------------------------------------------------------

def check_absent(http: Http, key: str, etag: str) -> None:
    """No request sees the entry, through either representation."""
    for target in (f"/cache/{key}", f"/raw/{key}"):
        check_problem(http.get(target), 404, "key-not-found")
        assert http.request("HEAD", target).status == 404
        for field in ("If-None-Match", "If-Match"):
            check_problem(http.get(target, [(field, etag)]), 404, "key-not-found")
    for match in (etag, "*"):
        for target, headers in ((f"/cache/{key}", JSON), (f"/raw/{key}", ())):
            answer = http.put(target, b'{"value":1}', [*headers, ("If-Match", match)])
            check_problem(answer, 412, "precondition-failed")
            assert answer.header("ETag") is None
    for patch in (b'{"ttl":5}', b'{"ttl":null}', b'{"value":{}}', b"{}"):
        check_problem(http.request("PATCH", f"/cache/{key}", patch, MERGE), 404, "key-not-found")
    for match in (etag, "*"):
        answer = http.request("DELETE", f"/cache/{key}", None, [("If-Match", match)])
        check_problem(answer, 412, "precondition-failed")
    results = batch(http, {"method": "GET", "key": key},
                    {"method": "GET", "key": key, "if_none_match": etag},
                    {"method": "PUT", "key": key, "value": 1, "if_match": "*"},
                    {"method": "DELETE", "key": key, "if_match": "*"})
    assert [r["status"] for r in results] == [404, 404, 412, 412]


def dead_entry(http: Http, redis: Redis, key: str, death: str, writer: str) -> str:
    """Makes an entry and has it die; gives the entity tag it had."""
    tag = f"{key}-tag"
    WRITERS[writer](http, key, [tag])
    etag = http.get(f"/cache/{key}").header("ETag")
    assert etag and http.get(f"/raw/{key}").body == b"7"
    DEATHS[death](http, redis, tag)
    return etag


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("death", DEATHS)
def test_dead(stack: Stack, http: Http, key: str, death: str, writer: str) -> None:
    """Whatever became of its tag's nonce, an entry is absent; and what is made then is new."""
    etag = dead_entry(http, stack.redis, key, death, writer)
    assert stack.redis.ask("EXISTS", key) == 1
    check_absent(http, key, etag)
    assert stack.redis.ask("EXISTS", key) == 1, "nothing was to change it"
    check_problem(http.delete(f"/cache/{key}"), 404, "key-not-found")
    assert stack.redis.ask("EXISTS", key) == 0, "DELETE gives its memory back"


REVIVALS: dict[str, Callable[[Http, str], Answer]] = {
    "put": lambda http, key: http.put(f"/cache/{key}", {"value": 8, "ttl": 60}),
    "create": lambda http, key: http.put(f"/cache/{key}", {"value": 8, "ttl": 60},
                                         [*JSON, ("If-None-Match", "*")]),
    "create-raw": lambda http, key: http.put(f"/raw/{key}?ttl=60", b"8", [("If-None-Match", "*")]),
    "counter": lambda http, key: http.request("POST", f"/counters/{key}",
                                              b'{"initial":7,"ttl":60}', JSON),
    "create-counter": lambda http, key: http.request(
        "POST", f"/counters/{key}", b'{"initial":7,"ttl":60}', [*JSON, ("If-None-Match", "*")]),
    "retag": lambda http, key: http.put(f"/cache/{key}", {"value": 8, "ttl": 60,
                                                          "tags": [f"{key}-other"]}),
}


@pytest.mark.parametrize("revival", REVIVALS)
@pytest.mark.parametrize("death", ["invalidated", "evicted", "a-list"])
def test_made_anew(stack: Stack, http: Http, key: str, death: str, revival: str) -> None:
    """Over a dead entry everything is made as over nothing: without its tags, with its own ttl."""
    dead_entry(http, stack.redis, key, death, "json")
    answer = REVIVALS[revival](http, key)
    assert answer.status == 200, answer
    document = http.get(f"/cache/{key}").json()
    assert document["value"] in (8, "8") and 58 <= document["ttl"] <= 60
    assert document.get("tags") == ([f"{key}-other"] if revival == "retag" else None)
    stack.redis.ask("DEL", name_of(f"{key}-tag"))
    assert http.get(f"/cache/{key}").status == 200


@pytest.mark.parametrize("death", DEATHS)
def test_dead_in_a_batch(stack: Stack, http: Http, key: str, death: str) -> None:
    """In batches dead entries are made anew and deleted as absent ones."""
    dead_entry(http, stack.redis, key, death, "json")
    results = batch(http, {"method": "DELETE", "key": key}, {"method": "GET", "key": key})
    assert [r["status"] for r in results] == [404, 404]
    etag = dead_entry(http, stack.redis, f"{key}-2", death, "idle")
    results = batch(http, {"method": "PUT", "key": f"{key}-2", "value": 1, "if_none_match": etag},
                    {"method": "GET", "key": f"{key}-2"})
    assert [r["status"] for r in results] == [200, 200] and results[1]["value"] == 1


# --- exact ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("writer", WRITERS)
def test_only_what_carries_the_tag(http: Http, key: str, writer: str) -> None:
    """Others live: other tags, tags that begin alike, no tags, and what was written anew."""
    write, tag = WRITERS[writer], f"{key}-tag"
    write(http, f"{key}-1", [tag])
    write(http, f"{key}-other", [f"{tag}s"])
    write(http, f"{key}-upper", [tag.upper()])
    write(http, f"{key}-rewritten", [tag])
    http.put(f"/cache/{key}-rewritten", {"value": "new"})
    write(http, f"{key}-retagged", [tag])
    http.put(f"/cache/{key}-retagged", {"value": "new", "tags": [f"{tag}-2"]})
    invalidate(http, tag)
    write(http, f"{key}-later", [tag])
    assert http.get(f"/cache/{key}-1").status == 404
    for name in ("other", "upper", "rewritten", "retagged", "later"):
        assert http.get(f"/cache/{key}-{name}").status == 200, name
    invalidate(http, tag)
    assert http.get(f"/cache/{key}-later").status == 404


@pytest.mark.parametrize("writer", WRITERS)
def test_several_tags(http: Http, key: str, writer: str) -> None:
    """An entry dies by any of its tags."""
    for i in range(3):
        tags = [f"{key}-{n}" for n in "abc"]
        WRITERS[writer](http, f"{key}-{i}", tags)
        invalidate(http, tags[i])
        assert http.get(f"/cache/{key}-{i}").status == 404
        assert http.get(f"/raw/{key}-{i}").status == 404


def test_what_changes_an_entry_keeps_its_tags(http: Http, key: str) -> None:
    """After PATCHes, counts and reads an entry carries the same tags, and dies by them."""
    tags = [f"{key}-a", f"{key}-ü"]
    put_json(http, f"{key}-n", tags)
    assert http.request("POST", f"/counters/{key}-n", b"{}", JSON).status == 200
    http.put(f"/cache/{key}-o", {"value": {"a": 1}, "tags": tags})
    for patch in (b'{"value":{"b":2}}', b'{"ttl":100}', b'{"ttl":null}', b'{"value":{},"ttl":9}'):
        answer = http.request("PATCH", f"/cache/{key}-o", patch, MERGE)
        assert check_json(answer)["tags"] == tags, patch
    for name, value in (("n", 8), ("o", {"a": 1, "b": 2})):
        answer = http.get(f"/cache/{key}-{name}")
        document = check_json(answer)
        assert document["value"] == value and document["tags"] == tags
        assert answer.header("Cache-Groups") == f'"{key}-a"', "only ASCII has a spelling there"
    invalidate(http, tags[1])
    assert http.get(f"/cache/{key}-n").status == 404 and http.get(f"/cache/{key}-o").status == 404


def test_a_document_put_back_has_its_tags(http: Http, key: str) -> None:
    """What GET gave, PUT back, carries the tags anew."""
    put_json(http, key, [f"{key}-a", f"{key}-b"], idle=40)
    document = http.get(f"/cache/{key}").body
    invalidate(http, f"{key}-a")
    assert http.put(f"/cache/{key}", document).status == 200
    assert http.get(f"/cache/{key}").json()["tags"] == [f"{key}-a", f"{key}-b"]
    invalidate(http, f"{key}-b")
    assert http.get(f"/cache/{key}").status == 404


def test_ten_thousand_entries_in_one_command(solo: tuple[Http, Larder, Redis]) -> None:
    """Invalidating costs Redis one command however many entries carry the tag, and all are dead."""
    http, _, redis = solo
    keys = [f"k{i}" for i in range(10_000)]
    pages = [keys[at:at + 1000] for at in range(0, len(keys), 1000)]
    for page in pages:
        results = batch(http, *({"method": "PUT", "key": k, "value": 1, "tags": ["all", k]}
                                for k in page))
        assert {r["status"] for r in results} == {200}
    put_json(http, "other", ["other"])
    redis.ask("CONFIG", "RESETSTAT")
    invalidate(http, "all")
    calls = {k: v for k, v in redis.info("commandstats").items()
             if k not in ("cmdstat_ping", "cmdstat_config|resetstat", "cmdstat_info")}
    assert list(calls) == ["cmdstat_unlink"] and "calls=1," in calls["cmdstat_unlink"], calls
    for page in pages:
        assert {r["status"] for r in batch(http, *({"method": "GET", "key": k} for k in page))} == {
            404}
    assert http.get("/cache/other").status == 200


def test_invalidation_is_final(stack: Stack, front: Front, key: str) -> None:
    """What was written before an answered invalidation is never read again, while others write and
    invalidate the same tag."""
    wrong: list[str] = []

    def work(number: int) -> None:
        with front.http() as http:
            for i in range(40):
                http.put(f"/cache/{key}-{number}", {"value": i, "tags": [f"{key}-tag"]})
                invalidate(http, f"{key}-tag")
                answer = http.get(f"/cache/{key}-{number}")
                if answer.status != 404:
                    wrong.append(f"{number}: {answer}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


# --- nonces live as long as entries --------------------------------------------------------------

def left_of(redis: Redis, name: str | bytes) -> int:
    """PTTL, with -1, no expiry, as more than any."""
    left = redis.ask("PTTL", name)
    assert isinstance(left, int) and left != -2, name
    return left if left >= 0 else 1 << 62


def check_nonces(redis: Redis, keys: Iterable[str], tags: Iterable[str]) -> None:
    """Every tag's nonce outlives every entry."""
    for key in keys:
        for tag in tags:
            assert left_of(redis, name_of(tag)) >= left_of(redis, key), (key, tag)


@pytest.mark.parametrize("writer", WRITERS)
def test_nonces_outlive_entries(stack: Stack, http: Http, key: str, writer: str) -> None:
    """Entries with several ttls: the nonce has the longest, and never a shorter one again."""
    redis, write, tags = stack.redis, WRITERS[writer], [f"{key}-a", f"{key}-b"]
    write(http, f"{key}-1", tags, ttl=100)
    assert 100_000 <= redis.ask("PTTL", name_of(tags[0])) <= 100_000 + SLACK_MS
    write(http, f"{key}-2", tags[:1], ttl=10_000)
    assert 9_990_000 <= redis.ask("PTTL", name_of(tags[0])) <= 10_000_000 + SLACK_MS
    assert redis.ask("PTTL", name_of(tags[1])) <= 100_000 + SLACK_MS
    write(http, f"{key}-3", tags, ttl=10)
    assert redis.ask("PTTL", name_of(tags[0])) >= 9_990_000
    check_nonces(redis, [f"{key}-1", f"{key}-3"], tags)
    check_nonces(redis, [f"{key}-2"], tags[:1])
    assert http.get(f"/cache/{key}-2").status == 200
    invalidate(http, tags[1])
    assert [http.get(f"/cache/{key}-{i}").status for i in (1, 2, 3)] == [404, 200, 404]


@pytest.mark.parametrize("idle", [None, 50])
def test_nonces_outlive_patched_entries(stack: Stack, http: Http, key: str,
                                        idle: int | None) -> None:
    """A ttl that PATCH makes longer, or takes away, holds for the nonces, too."""
    redis, tags = stack.redis, [f"{key}-a", f"{key}-b"]
    put_json(http, key, tags, ttl=10, idle=idle)
    for patch, least in ((b'{"ttl":5000}', 5_000_000), (b'{"ttl":60}', 4_990_000),
                         (b'{"ttl":9000}', 9_000_000), (b'{"ttl":null}', 1 << 62)):
        assert http.request("PATCH", f"/cache/{key}", patch, MERGE).status == 200
        for tag in tags:
            assert left_of(redis, name_of(tag)) >= least - 5_000, (patch, tag)
        check_nonces(redis, [key], tags)
    put_json(http, f"{key}-later", tags, ttl=10)
    for tag in tags:
        assert redis.ask("PTTL", name_of(tag)) == -1, "an entry without an end needs it on"
    assert http.get(f"/cache/{key}").status == 200


def test_nonces_of_entries_without_end(new_redis: Callable[..., Redis],
                                       new_larder: Callable[..., Larder]) -> None:
    """DEFAULT_TTL=0: the nonce has no end either, also if it had one."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, env={"DEFAULT_TTL": "0"}).start()
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":1,"tags":["t"],"ttl":5}').status == 200
    assert redis.ask("PTTL", name_of("t")) > 0
    assert larder.fastcgi("PUT", "/cache/b", b'{"value":1,"tags":["t"]}').status == 200
    assert redis.ask("PTTL", name_of("t")) == -1


def test_nonces_expire(stack: Stack, http: Http, key: str) -> None:
    """Nothing is left of a tag that no entry carries any more."""
    put_json(http, key, [f"{key}-a"], ttl=1)
    stack.redis.ask("PEXPIRE", name_of(f"{key}-a"), 1)
    eventually(lambda: stack.redis.ask("EXISTS", name_of(f"{key}-a")) == 0)
    assert http.get(f"/cache/{key}").status == 404


@pytest.mark.parametrize("evict", ["DEL", "invalidate"])
def test_a_used_tag_after_its_nonce_went(stack: Stack, http: Http, key: str, evict: str) -> None:
    """With an old and a new nonce, old entries stay dead and new ones live, again and again."""
    tag, old = f"{key}-t", []
    for i in range(4):
        put_json(http, f"{key}-{i}", [tag])
        assert [http.get(f"/cache/{k}").status for k in old] == [404] * len(old)
        assert http.get(f"/cache/{key}-{i}").status == 200
        old.append(f"{key}-{i}")
        if evict == "DEL":
            stack.redis.ask("DEL", name_of(tag))
        else:
            invalidate(http, tag)


# --- what another program wrote under a nonce's name ---------------------------------------------

FOREIGN: dict[str, tuple[str, ...]] = {
    "empty": ("SET", ""), "short": ("SET", "0123456789abcdef"), "31": ("SET", "a" * 31),
    "33": ("SET", "a" * 33), "upper-case": ("SET", "A" * 32), "no-hex": ("SET", "g" * 32),
    "quote": ("SET", '"' * 32), "line-end": ("SET", "\n" * 32), "nul": ("SET", "\0" * 32),
    "utf-8": ("SET", "é" * 16), "megabyte": ("SET", "a" * (1 << 20)),
    "list": ("RPUSH", "a"), "hash": ("HSET", "a", "b"), "set": ("SADD", "a"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_nonces(solo: tuple[Http, Larder, Redis], name: str) -> None:
    """Under a tag that isn't ours nothing is written, and nobody else is hindered: regression, 32
    bytes that are no nonce made an entry that was read as something else, and fewer or more a
    connection that was given up."""
    http, larder, redis = solo
    command, *rest = FOREIGN[name]
    redis.ask(command, name_of("t"), *rest)
    before = redis.ask("DUMP", name_of("t"))
    old = json.dumps({"value": "old"}).encode()
    assert http.put("/cache/k", old).status == 200
    for method, target, body, headers in (
            ("PUT", "/cache/k", b'{"value":1,"tags":["a","t"]}', JSON),
            ("PUT", "/cache/k", b'{"value":1,"tags":["t"],"idle":5}', JSON),
            ("PUT", "/cache/k", b'{"value":1,"tags":["t"]}', [*JSON, ("If-Match", "*")]),
            ("PUT", "/raw/k", b"1", [("Cache-Groups", '"t"')])):
        check_problem(http.request(method, target, body, headers), 409, "wrong-type")
    result = batch(http, {"method": "PUT", "key": "k", "value": 1, "tags": ["t"]},
                   {"method": "GET", "key": "k"})
    assert [r["status"] for r in result] == [409, 200]
    assert http.get("/cache/k").json()["value"] == "old"
    assert redis.ask("DUMP", name_of("t")) == before
    assert larder.stats()["counters"]["redis_reconnects"] == 0
    invalidate(http, "t")
    put_json(http, "k", ["t"])
    assert http.get("/cache/k").json()["value"] == 7


# --- the parameter and the fields ----------------------------------------------------------------

GOOD_TAGS = ["a", "a b", "a+b", "*", "[a]", "\\", '"', 'a"b\\c', "%41", "ключ", "é", "e\u0301", "😀",
             "x" * 128, "é" * 64, "a,b", "tag:x", "a&b=c", "?#/", "\ufffe", " ", "null", "{}"]


@pytest.mark.parametrize("tag", GOOD_TAGS, ids=range(len(GOOD_TAGS)))
def test_good_tags(stack: Stack, http: Http, key: str, tag: str) -> None:
    """Tags are literal, and come back as they are; those of ASCII in RFC 9875's fields."""
    put_json(http, key, [tag, f"{key}-x"])
    answer = http.get(f"/cache/{key}")
    assert answer.json()["tags"] == [tag, f"{key}-x"]
    quoted = '"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"'
    groups = f'{quoted}, "{key}-x"' if tag.isascii() else f'"{key}-x"'
    assert answer.header("Cache-Groups") == groups
    assert http.get(f"/raw/{key}").header("Cache-Groups") == groups
    assert stack.redis.ask("EXISTS", name_of(tag)) == 1
    gone = invalidate(http, tag)
    assert gone.header("Cache-Group-Invalidation") == (quoted if tag.isascii() else None)
    assert http.get(f"/cache/{key}").status == 404
    if tag.isascii():
        assert http.put(f"/raw/{key}", b"1", [("Cache-Groups", groups)]).status == 200
        assert http.get(f"/cache/{key}").json()["tags"] == [tag, f"{key}-x"]


def test_how_many_tags(http: Http, key: str) -> None:
    """32 tags, duplicates not counted; none at all is as good as no member."""
    tags = [f"{key}-{i}" for i in range(32)]
    answer = http.put(f"/cache/{key}", {"value": 1, "tags": tags + tags})
    assert check_json(answer)["tags"] == tags
    assert http.get(f"/cache/{key}").json()["tags"] == tags
    invalidate(http, tags[31])
    assert http.get(f"/cache/{key}").status == 404
    for none in ([], None):
        assert "tags" not in check_json(http.put(f"/cache/{key}", {"value": 1, "tags": none}))
    long = [f"{i:02d}" + "\u0416" * 63 for i in range(32)]
    assert check_json(http.put(f"/cache/{key}", {"value": 1, "tags": long}))["tags"] == long
    assert http.get(f"/cache/{key}").json()["tags"] == long


@pytest.mark.parametrize("query,status,slug", [
    ("tag=", 400, "invalid-parameter"), ("tag", 400, "invalid-parameter"),
    ("tag=a&tag=a", 400, "invalid-parameter"), ("tag=a&prefix=b", 400, "invalid-parameter"),
    ("prefix=b&tag=a", 400, "invalid-parameter"), ("tag=a&x=1", 400, "unknown-parameter"),
    ("Tag=a", 400, "unknown-parameter"), ("tags=a", 400, "unknown-parameter"),
    ("tag=%zz", 400, "invalid-parameter"), ("tag=%0A", 422, "invalid-tag"),
    ("tag=" + "x" * 129, 422, "invalid-tag"), ("tag=%C0%AF", 422, "invalid-tag"),
    ("tag=%C2%85", 422, "invalid-tag"),
])
def test_bad_queries(stack: Stack, http: Http, key: str, query: str, status: int,
                     slug: str) -> None:
    """A query that isn't one tag is refused, and nothing is invalidated."""
    put_json(http, key, ["a", "b"])
    answer = http.delete(f"/cache?{query}")
    if answer.is_problem:
        check_problem(answer, status, slug)
    else:
        assert answer.status == 400, "the web server's own"
    assert http.get(f"/cache/{key}").status == 200


def test_spellings_of_a_query(http: Http, key: str) -> None:
    """A plus is a space, an escaped one a plus, and names may be escaped, too."""
    for i, (tag, query) in enumerate((("a b", "tag=a+b"), ("a+b", "tag=a%2Bb"),
                                      ("a=b", "tag=a=b"), ("x", "%74ag=x"), ("y", "&tag=y&"))):
        put_json(http, f"{key}-{i}", [tag])
        assert check_json(http.delete(f"/cache?{query}"))["tag"] == tag
        assert http.get(f"/cache/{key}-{i}").status == 404


def test_prefer(http: Http, key: str) -> None:
    """Prefer: return=minimal is 204, and says which group was invalidated all the same."""
    put_json(http, key, [key])
    answer = http.request("DELETE", f"/cache?tag={key}", None, [("Prefer", "return=minimal")])
    assert answer.status == 204 and answer.body == b""
    assert answer.header("Cache-Group-Invalidation") == f'"{key}"'
    assert http.get(f"/cache/{key}").status == 404


def test_a_tag_that_nobody_carries(http: Http, key: str) -> None:
    """It is invalidated all the same: who asks need not know."""
    invalidate(http, f"{key}-nobody")


@pytest.mark.parametrize("kind", FRONTS)
def test_clear_takes_nonces(own: Callable[..., Stack], kind: str) -> None:
    """DELETE /cache leaves neither entries nor nonces."""
    stack = own(kind, workers=1)
    with stack.fronts[kind].http() as http:
        put_json(http, "a", ["t"])
        assert http.delete("/cache").status == 200
        assert stack.redis.ask("DBSIZE") == 0
        assert http.get("/cache/a").status == 404
