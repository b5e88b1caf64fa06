"""Faults that were found once, each with the test that would have found it."""

from __future__ import annotations

import json
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import fcgi
from checks import check_envelope, check_json, check_problem, value_text
from harness import (SANITIZED, SRCDIR, VALGRIND, Larder, Redis, Stack, Workspace, cpu_seconds,
                     eventually, pause)
from proxy import Link, Relay

sys.path.insert(0, str(SRCDIR / "tests" / "chaos"))

from faults import Faults

NewRedis = Callable[..., Redis]
NewLarder = Callable[..., Larder]
MIB = 1 << 20


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * 4096


def reconnects(larder: Larder) -> int:
    """How often a connection to Redis was lost and made anew."""
    count: int = larder.stats()["counters"]["redis_reconnects"]
    return count


def test_a_foreign_giant_harms_nobody(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A value of another program's that is too large is refused by itself: the connection to Redis,
    and with it everybody else's requests, lives on."""
    redis = new_redis()
    larder = new_larder(redis).start(ready=True)
    redis.ask("SETRANGE", "giant", 70 * MIB, "x")
    redis.ask("SETRANGE", "limit", 8 * MIB, "x")
    redis.ask("SETRANGE", "largest", 8 * MIB - 1, "x")
    larder.fastcgi("PUT", "/cache/a", b'{"value":1}')
    for name in ("giant", "limit"):
        check_problem(larder.fastcgi("GET", f"/cache/{name}"), 409, "entry-too-large")
        check_envelope(larder.fastcgi("GET", "/cache/a"), "a", 1, 3600, slack=5)
    assert larder.fastcgi("HEAD", "/cache/largest").status == 200
    assert larder.fastcgi("DELETE", "/cache/giant").status == 200
    assert reconnects(larder) == 0


def test_an_empty_foreign_value_is_no_miss(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """GETRANGE says the same of an empty value and of none; the answers differ."""
    redis = new_redis()
    larder = new_larder(redis).start(ready=True)
    redis.ask("SET", "empty", "", "EX", 50)
    assert check_json(larder.fastcgi("GET", "/cache/empty"))["value"] == ""
    check_problem(larder.fastcgi("GET", "/cache/none"), 404, "key-not-found")
    stats = larder.stats()
    assert (stats["hits"], stats["misses"]) == (1, 1)


def test_a_key_that_comes_between_the_commands(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """The key appears after the value was asked for and before the ttl was: never an empty value."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path).start(ready=True)

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0] == b"GETRANGE":
            redis.ask("SET", command[1], '"late"')
        return link.send(reply)

    try:
        relay.rule = rule
        assert check_json(larder.fastcgi("GET", "/cache/k"))["value"] == "late"
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_an_endless_array_is_bounded(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A Redis that never stops sending elements costs neither memory nor other requests' time."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start(ready=True)

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0] != b"GETRANGE":
            return link.send(reply)
        link.send(b"*2147483647\r\n")
        for _ in range(400):
            link.send(b":1\r\n" * 65536)
        return False

    try:
        relay.rule = rule
        before = rss_bytes(larder.workers()[0])
        try:
            answer = larder.fastcgi("GET", "/cache/k")
            assert answer.status == 503
        finally:
            relay.rule = None
        assert rss_bytes(larder.workers()[0]) - before < (800 if SANITIZED else 200) * MIB
        eventually(lambda: larder.fastcgi("GET", "/cache/k").status == 404, 5, "404")
    finally:
        larder.stop()
        relay.close()


def test_padding_is_no_way_to_memory(new_larder: NewLarder) -> None:
    """Records of one byte with 255 of padding: refused long before they add up to a body's limit."""
    larder = new_larder(None, workers=1).start()
    worker = larder.workers()[0]
    before = rss_bytes(worker)
    piece = fcgi.record(fcgi.STDIN, b"x", padding=255) * 4096
    params = b"".join(fcgi.pair(name, value) for name, value in
                      ((b"REQUEST_METHOD", b"PUT"), (b"REQUEST_URI", b"/cache/k")))
    head = fcgi.begin() + fcgi.stream(fcgi.PARAMS, params)
    with fcgi.Connection(larder.socket) as connection:
        connection.send(head)
        sent = 0
        try:
            while sent < 64 * MIB:
                connection.send(piece)
                sent += len(piece)
        except OSError:
            pass
        assert sent < 16 * MIB, "nobody hung up"
    assert rss_bytes(worker) - before < (128 if SANITIZED else 32) * MIB
    assert larder.workers() == [worker]
    assert larder.fastcgi("GET", "/health/live").status == 200


def test_garbage_in_the_handshake_opens_the_breaker(new_redis: NewRedis,
                                                    new_larder: NewLarder) -> None:
    """A Redis that isn't one is tried a few times a second, not as fast as the machine can."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    relay.rule = lambda link, command, reply: link.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    larder = new_larder(relay.path, workers=1).start(ready=False)
    try:
        eventually(lambda: larder.fastcgi("GET", "/health/ready").status == 503, 5, "503")
        connections = relay.connections
        time.sleep(1)
        assert relay.connections - connections < 20
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_reload_to_another_host_is_a_move(new_redis: NewRedis, new_larder: NewLarder,
                                          tmp_path: Path) -> None:
    """After a reload with another redis_host, of the same port, nobody talks to the old one."""
    old = new_redis(tcp=True)
    new = new_redis("--port", str(old.port), "--bind", "127.0.0.2")
    conf = tmp_path / "larder.conf"
    conf.write_text(f"redis_host = 127.0.0.1\nredis_port = {old.port}\n")
    larder = new_larder(None, config=conf, redis_socket=None).start(ready=True)
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":"old"}').status == 200
    conf.write_text(f"redis_host = 127.0.0.2\nredis_port = {old.port}\n")
    larder.signal(signal.SIGHUP)
    eventually(lambda: {w["generation"] for w in larder.stats()["workers"]} == {2}, 10,
               "only the new generation serves")
    assert larder.fastcgi("GET", "/cache/a").status == 404
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":"new"}').status == 200
    assert (old.ask("GET", "a"), new.ask("GET", "a")) == (b'"old"', b'"new"')


def test_what_was_not_sent_waits_for_the_next_connection(new_redis: NewRedis,
                                                         new_larder: NewLarder) -> None:
    """Redis closes the connection while nobody looks: the request that comes next is served."""
    redis = new_redis()
    larder = new_larder(redis, workers=1).start(ready=True)
    worker = larder.workers()[0]
    for i in range(20):
        with larder.connect() as connection:
            pause(worker)
            redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            connection.send(fcgi.request_bytes("PUT", f"/cache/{i}", b'{"value":1}'))
            os.kill(worker, signal.SIGCONT)
            assert connection.read_response().status == 200
    assert redis.ask("DBSIZE") == 20


def test_a_merge_into_json_with_white_space_around_it(stack: Stack, key: str) -> None:
    """White space before another program's JSON made a merge throw all of it away."""
    for stored, result in ((b' {"a":1}\n', b'{"a":1,"b":2}'), (b"\t{}", b'{"b":2}'),
                           (b" 5 ", b'{"b":2}'),
                           (b'\r\n{ "a" : 1.0 }\r\n', b'{ "a" : 1.0,"b":2 }')):
        stack.redis.ask("SET", key, stored)
        answer = stack.larder.fastcgi("PATCH", f"/cache/{key}", b'{"value":{"b":2}}')
        assert value_text(answer.body) == stack.redis.ask("GET", key) == result


def test_json_by_its_suffix_is_json(stack: Stack, key: str) -> None:
    """The FastAPI service took every application/...+json; larder answered 415."""
    for front in stack.fronts.values():
        with front.http() as http:
            answer = http.put(f"/cache/{key}", b'{"value":1}',
                              [("Content-Type", "application/vnd.api+json")])
            check_envelope(answer, key, 1, 3600)


def test_a_body_that_is_none_has_no_type(stack: Stack, key: str) -> None:
    """`curl -d ''` says that nothing is a form: a counter that needs no document answered 415."""
    for i, front in enumerate(stack.fronts.values(), 1):
        with front.http() as http:
            answer = http.request("POST", f"/counters/{key}", b"",
                                  [("Content-Type", "application/x-www-form-urlencoded")])
            assert check_json(answer)["value"] == i
            refused = http.request("PUT", f"/cache/{key}", b"", [("Content-Type", "text/plain")])
            check_problem(refused, 415, "unsupported-media-type")


def test_half_a_deletion_is_not_said_to_be_none(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A DELETE by prefix that failed in a later step, with entries gone, said "not-applied"."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start()
    refusing = False

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        nonlocal refusing
        refusing = refusing or command[0].upper() == b"SCAN" and redis.ask("DBSIZE") < 1000
        return link.send(b"-LOADING Redis is loading\r\n" if refusing else reply)

    try:
        for i in range(1000):
            redis.ask("SET", f"a{i}", 1)
        relay.rule = rule
        answer = larder.fastcgi("DELETE", "/cache?prefix=a")
        document = check_problem(answer, 503, "backend-loading")
        assert document["outcome"] == "unknown" and 0 < redis.ask("DBSIZE") < 1000
        document = check_problem(larder.fastcgi("DELETE", "/cache?prefix=a"), 503,
                                 "backend-loading")
        assert document["outcome"] == "not-applied", "nothing was deleted by this one"
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_an_operation_of_a_batch_says_when_to_try_again(new_redis: NewRedis,
                                                       new_larder: NewLarder) -> None:
    """A failed operation of a batch lacked the retry_after that it would have had alone."""
    redis = new_redis()
    larder = new_larder(redis).start()
    redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    redis.ask("CONFIG", "SET", "maxmemory", 1)
    alone = check_problem(larder.fastcgi("PUT", "/cache/a", b'{"value":1}'), 507, "backend-full")
    answer = larder.fastcgi("POST", "/batch", b'{"operations":[{"method":"GET","key":"a"},'
                            b'{"method":"PUT","key":"a","value":1}]}')
    missing, full = check_json(answer)["results"]
    assert full == alone and alone["retry_after"] == 1
    assert missing["status"] == 404 and "retry_after" not in missing


def test_an_initial_value_is_for_new_counters_only(new_redis: NewRedis,
                                                   new_larder: NewLarder) -> None:
    """A first value that would overflow is no matter to a counter that is there."""
    larder = new_larder(new_redis()).start(ready=True)
    body = b'{"by":10,"initial":9223372036854775800}'
    check_problem(larder.fastcgi("POST", "/counters/c", body), 409, "counter-overflow")
    check_problem(larder.fastcgi("GET", "/cache/c"), 404, "key-not-found")
    larder.fastcgi("PUT", "/cache/c", b'{"value":5}')
    assert check_json(larder.fastcgi("POST", "/counters/c", body))["value"] == 15
    etag = larder.fastcgi("GET", "/cache/c").header("ETag")
    answer = larder.fastcgi("POST", "/counters/c", body, HTTP_IF_MATCH=etag or "")
    assert check_json(answer)["value"] == 25


def test_a_batch_keeps_its_order(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """What needs another round trip is not overtaken: a script that Redis has lost, a value that
    is larger than what is asked for at first."""
    redis = new_redis()
    larder = new_larder(redis).start(ready=True)

    def batch(*operations: dict[str, Any]) -> list[dict[str, Any]]:
        body = json.dumps({"operations": operations}).encode()
        results: list[dict[str, Any]] = check_json(larder.fastcgi("POST", "/batch", body))["results"]
        return results

    get, delete = {"method": "GET", "key": "a"}, {"method": "DELETE", "key": "a"}
    put = {"method": "PUT", "key": "a", "value": "new"}
    large = "x" * 20000
    larder.fastcgi("PUT", "/cache/a", json.dumps({"value": large}).encode())
    redis.ask("SCRIPT", "FLUSH")
    results = batch(delete, get, put, get)
    assert [r["status"] for r in results] == [200, 404, 200, 200]
    assert check_json(larder.fastcgi("GET", "/cache/a"))["value"] == "new"
    redis.ask("SET", "a", json.dumps(large))
    assert [r.get("value") for r in batch(get, put, get, delete)] == [large, "new", "new", None]
    redis.ask("SET", "a", "")
    assert [r["value"] for r in batch(get, put)] == ["", "new"]


def test_a_merge_sees_through_white_space(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """White space around another program's object doesn't hide it from a merge."""
    redis = new_redis()
    larder = new_larder(redis).start(ready=True)
    redis.ask("SET", "a", ' {"kept": 1}\n')
    answer = larder.fastcgi("PATCH", "/cache/a", b'{"value":{"new":2}}')
    check_envelope(answer, "a", {"kept": 1, "new": 2}, None)
    assert redis.ask("GET", "a") == b'{"kept": 1,"new":2}'


def test_a_coding_without_a_type_is_not_lost(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A member that nothing can be made of is refused: the entry would be another one than meant."""
    larder = new_larder(new_redis()).start(ready=True)
    for encoding in ("", ',"encoding":"utf-8"', ',"encoding":"base64"'):
        body = f'{{"value":"eA==","content_encoding":"gzip"{encoding}}}'.encode()
        check_problem(larder.fastcgi("PUT", "/cache/a", body), 422, "schema-violation")
    check_problem(larder.fastcgi("GET", "/cache/a"), 404, "key-not-found")


def test_a_parameter_that_is_refused_is_named(stack: Stack, key: str) -> None:
    """"A query parameter is malformed" left it to the client to find out which one."""
    for method, target, slug, detail in (
            ("PUT", f"/raw/{key}?ttl=1&idle=5&idle=6", "invalid-parameter",
             "The query parameter idle is there twice; nothing was changed."),
            ("PUT", f"/raw/{key}?TTL=1", "unknown-parameter",
             "This request takes no query parameter but ttl and idle; nothing was changed."),
            ("PUT", f"/cache/{key}?ttl=1", "unknown-parameter",
             "This request takes no query parameter; nothing was changed."),
            ("DELETE", "/cache?tag=", "invalid-parameter",
             "tag is 1 to 128 bytes of UTF-8 without control characters; nothing was deleted."),
            ("DELETE", f"/cache?tag={'x' * 129}", "invalid-tag",
             "tag is 1 to 128 bytes of UTF-8 without control characters; nothing was deleted."),
            ("DELETE", "/cache?prefix=<a>", "invalid-parameter",
             "The query parameter prefix has a broken percent sign, or a character that must be "
             "percent-encoded; nothing was changed."),
            ("GET", "/keys?limit=5&limit=6", "invalid-parameter",
             "The query parameter limit is there twice.")):
        answer = stack.larder.fastcgi(method, target, b'{"value":1}' if method == "PUT" else b"")
        document = check_problem(answer, 422 if slug == "invalid-tag" else 400, slug)
        assert document["detail"] == detail


def test_a_field_that_is_refused_is_named(stack: Stack, key: str) -> None:
    """"A header field is malformed" left it to the client to find out which one."""
    for name, value, status, slug in (
            ("Content-Type", "text", 400, "invalid-field"),
            ("Content-Encoding", "gzip,", 400, "invalid-field"),
            ("Cache-Groups", "a", 400, "invalid-field"),
            ("Cache-Groups", '""', 422, "invalid-tag")):
        param = name.upper().replace("-", "_")
        param = param if name == "Content-Type" else f"HTTP_{param}"
        answer = stack.larder.fastcgi("PUT", f"/raw/{key}", b"x", **{param: value})
        assert check_problem(answer, status, slug)["detail"].startswith(name)


def test_what_is_too_large_is_told_how_large_it_may_be(new_redis: NewRedis,
                                                       new_larder: NewLarder) -> None:
    """/raw, and a merge whose outcome is too large, told the name of the limit only."""
    larder = new_larder(new_redis(), max_value="100").start(ready=True)
    large = b'"' + 90 * b"x" + b'"'
    for method, target, body in (
            ("PUT", "/raw/a", 101 * b"x"), ("PUT", "/raw/a", 200000 * b"x"),
            ("PUT", "/cache/a", b'{"value":' + 200000 * b"1" + b"}"),
            ("PUT", "/cache/a", b'{"value":{"a":' + large + b"}}"),
            ("PATCH", "/cache/a", b'{"value":{"b":' + large + b"}}")):
        answer = larder.fastcgi(method, target, body)
        if answer.status != 200:
            document = check_problem(answer, 413, "value-too-large")
            assert document["detail"] == "The value is larger than max_value, 100 bytes."
    assert answer.status == 413


def test_a_weak_tag_in_if_match_is_told(stack: Stack, key: str) -> None:
    """The tag that a compressing web server has made weak is a riddle: it looks like the entry's."""
    etag = stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":1}').header("ETag") or ""
    operation = {"method": "PUT", "key": key, "value": 2}
    for field, told in ((f"W/{etag}", True), (f'"x", W/{etag}', True), ('W/"x"', False),
                        ('"x"', False)):
        answers = [stack.larder.fastcgi(method, f"/cache/{key}", body, HTTP_IF_MATCH=field).json()
                   for method, body in (("GET", b""), ("PUT", b'{"value":2}'), ("DELETE", b""),
                                        ("PATCH", b'{"ttl":5}'))]
        body = json.dumps({"operations": [{**operation, "if_match": field}]}).encode()
        answers += check_json(stack.larder.fastcgi("POST", "/batch", body))["results"]
        for document in answers:
            assert document["status"] == 412
            assert ("Accept-Encoding: identity" in document["detail"]) is told
    answer = stack.larder.fastcgi("DELETE", f"/cache/{key}", HTTP_IF_MATCH=f"W/{etag}",
                                  HTTP_IF_NONE_MATCH=etag)
    assert "identity" in check_problem(answer, 412, "precondition-failed")["detail"]
    answer = stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":2}', HTTP_IF_NONE_MATCH=etag)
    assert "identity" not in check_problem(answer, 412, "precondition-failed")["detail"]


def test_a_document_that_is_refused_is_told_what_to_be(stack: Stack, key: str) -> None:
    """An empty batch was told to send a value, a PATCH that larder does not know what PUT takes."""
    for method, target, body, slug, said in (
            ("POST", "/batch", b"", "body-required", '"operations"'),
            ("POST", "/batch", b"[]", "schema-violation", '"operations"'),
            ("PATCH", f"/cache/{key}", b"", "body-required", '{"ttl": 60}'),
            ("PATCH", f"/cache/{key}", b'{"idle":5}', "unknown-field",
             'The member "idle" is not taken here; these are: value and ttl.'),
            ("PUT", f"/cache/{key}", b'{"' + 99 * b"x" + b'":5}', "unknown-field",
             "these are: value, ttl, idle and tags.")):
        answer = stack.larder.fastcgi(method, target, body)
        document = check_problem(answer, 400 if slug == "body-required" else 422, slug)
        assert said in document["detail"]
    body = b'{"operations":[{"method":"GET","key":"a//b"}]}'
    [result] = check_json(stack.larder.fastcgi("POST", "/batch", body))["results"]
    assert (result["status"], result["type"]) == (400, "/errors/invalid-key")
    assert "segment" in result["detail"]


def test_a_list_may_come_in_lines(stack: Stack, key: str) -> None:
    """Prefer and Cache-Groups in two fields, which are one list by RFC 9110, were 400 behind nginx."""
    prefer = [("Prefer", "wait=1"), ("Content-Type", "text/plain"), ("Prefer", "return=minimal"),
              ("Cache-Groups", '"a"'), ("X-Other", "x"), ("Cache-Groups", '"b"')]
    for front in stack.fronts.values():
        with front.http() as http:
            answer = http.put(f"/raw/{key}", b"x", prefer)
            assert answer.status == 204, answer
            assert answer.header("Preference-Applied") == "return=minimal"
            assert http.get(f"/cache/{key}").json()["tags"] == ["a", "b"]


def test_a_field_that_comes_twice_is_named(stack: Stack, key: str) -> None:
    """"A field or member that may appear once appears twice" left it to the client which one."""
    with stack.fronts["nginx"].http() as http:
        answer = http.put(f"/raw/{key}", b"x", [("Content-Type", "a/b"), ("Content-Type", "a/b")])
        document = check_problem(answer, 400, "duplicate-field")
        assert document["detail"] == "Content-Type is there twice, and may be there once."


def test_codings_may_come_in_lines(stack: Stack, key: str) -> None:
    """Content-Encoding in two fields was 400 behind nginx, and stored as "gzip, br" behind lighttpd,
    which joins them."""
    for front in stack.fronts.values():
        with front.http() as http:
            fields = [("Content-Encoding", "gzip"), ("Content-Encoding", "br")]
            assert http.put(f"/raw/{key}", b"x", fields).status == 200
            assert http.get(f"/raw/{key}").header("Content-Encoding") == "gzip, br"
            fields = [("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
            check_problem(http.put(f"/cache/{key}", b'{"value":1}', fields), 415,
                          "unsupported-content-coding")


def test_tags_in_escapes_cost_no_memory(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Each element of "tags" that was spelled with an escape was decoded into a block of its own,
    also the hundred thousandth that said the same: 28 MB for one document of a megabyte, which the
    worker kept."""
    larder = new_larder(new_redis(), workers=1).start()
    worker = larder.workers()[0]
    tags = b",".join([b'"\\u0061"', b'"\\u0062"'] * 55_000)
    body = b'{"value":1,"tags":[' + tags + b"]}"
    assert larder.fastcgi("PUT", "/cache/a", b'{"value":"' + b"x" * len(tags) + b'"}').status == 200
    before = rss_bytes(worker)
    for _ in range(3):
        answer = larder.fastcgi("PUT", "/cache/a", body)
        assert check_json(answer)["tags"] == ["a", "b"]
        assert rss_bytes(worker) - before < (64 if SANITIZED or VALGRIND else 8) * MIB


def test_words_in_escapes_are_the_same_words(stack: Stack, key: str) -> None:
    """"method" of a batch and "encoding" were compared as they were spelled, so that a JSON writer
    that escapes more than it must was refused."""
    body = json.dumps({"operations": [{"method": "PUT", "key": key, "value": "eA==",
                                       "encoding": "base64"},
                                      {"method": "GET", "key": key}]})
    escaped = body.replace('"PUT"', '"\\u0050UT"').replace('"GET"', '"\\u0047\\u0045T"')
    escaped = escaped.replace('"base64"', '"base\\u00364"')
    answer = stack.larder.fastcgi("POST", "/batch", escaped.encode())
    assert [result["status"] for result in check_json(answer)["results"]] == [200, 200]
    assert stack.redis.ask("GET", key) == b"x"


def test_if_match_on_everything_deletes_nothing(stack: Stack, key: str) -> None:
    """DELETE /cache and POST /batch went on as if the condition, which nothing there can meet, were
    not there."""
    stack.larder.fastcgi("PUT", f"/cache/{key}", b'{"value":1}')
    batch = json.dumps({"operations": [{"method": "DELETE", "key": key}]}).encode()
    for field in ('"x"', "*"):
        for method, target, body in (("DELETE", "/cache", b""), ("POST", "/batch", batch),
                                     ("DELETE", f"/cache?prefix={key}", b""),
                                     ("DELETE", "/cache?tag=a", b"")):
            answer = stack.larder.fastcgi(method, target, body, HTTP_IF_MATCH=field)
            check_problem(answer, 412, "precondition-failed")
    assert stack.larder.fastcgi("GET", f"/cache/{key}").status == 200


def test_many_operations_on_one_key_cost_no_more(new_redis: NewRedis,
                                                 new_larder: NewLarder) -> None:
    """Each looked at all those before it: 10,000 held up the worker for a quarter of a second."""
    larder = new_larder(new_redis(), workers=1, batch_max=10000).start(ready=True)
    worker = larder.workers()[0]

    def cost(names: list[str]) -> float:
        body = json.dumps({"operations": [{"method": "GET", "key": k} for k in names]}).encode()
        before = cpu_seconds(worker)
        for _ in range(5):
            results = check_json(larder.fastcgi("POST", "/batch", body))["results"]
            assert len(results) == 10000
        return cpu_seconds(worker) - before

    different = cost([f"k{i}" for i in range(10000)])
    assert cost(["k"] * 10000) < 2 * different + 0.1


def test_what_a_batch_answers_has_a_bound(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Control characters take six bytes each in JSON: 31 values of 1 MiB made an answer of 186 MiB,
    and a worker of 700."""
    larder = new_larder(new_redis(), workers=1).start(ready=True)
    for i in range(31):
        assert larder.fastcgi("PUT", f"/raw/k{i}", b"\1" * MIB).status == 200
    larder.fastcgi("PUT", "/cache/last", b'{"value":1}')
    names = [*(f"k{i}" for i in range(31)), "last"]
    body = json.dumps({"operations": [{"method": "GET", "key": name} for name in names]}).encode()
    answer = larder.fastcgi("POST", "/batch", body)
    statuses = [result["status"] for result in check_json(answer)["results"]]
    assert statuses == [200] * 6 + [413] * 25 + [200]
    assert len(answer.body) < 40 * MIB


def test_too_many_header_fields_close_no_connection(stack: Stack, key: str) -> None:
    """A client that sends more than larder reads got a 502, after nginx had tried the request on
    each of its kept connections, which larder closed one after the other."""
    def errors() -> int:
        count: int = stack.larder.stats()["counters"]["protocol_errors"]
        return count

    before = errors()
    many = [(f"X-{i}", "x") for i in range(260)]
    for front in stack.fronts.values():
        with front.http() as http:
            for method in ("GET", "PUT", "GET"):
                body = b"x" if method == "PUT" else None
                answer = http.request(method, f"/cache/{key}", body, many)
                assert "256" in check_problem(answer, 400, "malformed-request")["detail"]
            check_problem(http.request("GET", f"/cache/{key}"), 404, "key-not-found")
    assert errors() == before


def test_a_batch_that_starts_over_holds_no_more_and_more(new_redis: NewRedis,
                                                         new_larder: NewLarder) -> None:
    """Each try of each operation kept the header it had found until the whole batch was answered:
    1000 entries with many tags, changed under it again and again, took gigabytes."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1, redis_timeout=60000).start(ready=True)
    tags = [f"{i:02}" + '"' * 126 for i in range(32)]
    operations: list[dict[str, Any]] = [
        {"method": "PUT", "key": f"k{i}", "value": 1, "tags": tags} for i in range(60)]
    put = larder.fastcgi("POST", "/batch", json.dumps({"operations": operations}).encode())
    assert {result["status"] for result in check_json(put)["results"]} == {200}

    def changed(link: Link, command: list[bytes], reply: bytes) -> bool:
        is_guard = command[0].upper() == b"EVALSHA" and b"SET" in command
        return link.send(b":0\r\n" if is_guard else reply)

    try:
        relay.rule = changed
        for operation in operations:
            operation["if_match"] = "*"
        with larder.connect(120) as connection:
            answer = connection.request("POST", "/batch",
                                        json.dumps({"operations": operations}).encode())
        types = {result["type"] for result in check_json(answer)["results"]}
        assert types == {"/errors/contention"}
        assert relay.commands.count(b"GETRANGE") < 60 * 100, "it stopped short of all the tries"
        assert SANITIZED or VALGRIND or rss_bytes(larder.workers()[0]) < 160 * MIB
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_all_the_tags_there_can_be_fit_into_a_header(stack: Stack, key: str) -> None:
    """32 tags that consist of quotes are 8 KiB of Cache-Groups: nginx answered 502."""
    tags = [f"{i:02}" + '"' * 126 for i in range(32)]
    body = json.dumps({"value": 1, "tags": tags}).encode()
    assert stack.larder.fastcgi("PUT", f"/cache/{key}", body).status == 200
    for front in stack.fronts.values():
        with front.http() as http:
            answer = http.request("GET", f"/cache/{key}")
            assert check_json(answer)["tags"] == tags
            assert (answer.header("Cache-Groups") or "").count("\\") == 32 * 126


def test_a_key_that_was_always_there_is_found(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """An entry was read, replaced by one without its tag, and judged by the tag that was invalidated
    then: 404, though at no moment was there nothing."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start(ready=True)
    armed = False

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        nonlocal armed
        if armed and command[0].upper() == b"PTTL":
            armed = False
            redis.ask("SET", "k", "2")
            redis.ask("UNLINK", b"\xfftag:a")
        return link.send(reply)

    try:
        relay.rule = rule
        for method, body, params in (("GET", b"", {}), ("PATCH", b'{"ttl":7}', {}),
                                     ("PUT", b'{"value":2}', {"HTTP_IF_MATCH": "*"}),
                                     ("DELETE", b"", {"HTTP_IF_MATCH": "*"})):
            larder.fastcgi("PUT", "/cache/k", b'{"value":1,"tags":["a"]}')
            armed = True
            answer = larder.fastcgi(method, "/cache/k", body, **params)
            assert check_json(answer).get("value", 2) == 2 and not armed
        larder.fastcgi("PUT", "/cache/k", b'{"value":1,"tags":["a"]}')
        redis.ask("UNLINK", b"\xfftag:a")
        check_problem(larder.fastcgi("GET", "/cache/k"), 404, "key-not-found")
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def check_peak(larder: Larder) -> None:
    """The one worker never had more memory than 250 MiB."""
    status = Path(f"/proc/{larder.workers()[0]}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    print(f"a worker had {peak >> 10} MiB at most")
    assert peak < (4 << 20 if SANITIZED or VALGRIND else 250 << 10)


def send_all(larder: Larder, requests: list[bytes]) -> list[fcgi.Response]:
    """Each on a connection of its own, all at once; their answers."""
    peers = [larder.connect(20) for _ in requests]
    for peer, data in zip(peers, requests):
        peer.send(data)
    with ThreadPoolExecutor(len(peers)) as pool:
        answers = list(pool.map(lambda peer: peer.read_response(), peers))
    for peer in peers:
        peer.close()
    return answers


@pytest.mark.serial
def test_a_crowd_gets_its_large_values(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """500 clients asked for 1 MB each: Redis worked all of it out before it said anything, every
    deadline passed, and all of them got 503."""
    larder = new_larder(new_redis(), workers=1, redis_timeout=1000).start()
    text = b'"' + b"x" * 1_000_000 + b'"'
    larder.fastcgi("PUT", "/cache/large", b'{"value":' + text + b"}")
    for i in range(200):
        larder.fastcgi("GET", f"/cache/none{i}")  # as if replies were small
    answers = send_all(larder, [fcgi.request_bytes("GET", "/cache/large")] * 300)
    served = sum(a.status == 200 and text in a.body for a in answers)
    print(f"{served} of 300 were served")
    assert served >= 100
    check_peak(larder)


def test_giant_batches_take_turns(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Each batch with 30 MB of values took 100 MB, and twenty at once 1.8 GB; health waited for 3.6
    seconds."""
    larder = new_larder(new_redis(), workers=1, redis_timeout=5000).start()
    for i in range(30):
        larder.fastcgi("PUT", f"/cache/g{i}", b'{"value":"' + b"x" * 1_000_000 + b'"}')
    operations = [{"method": "GET", "key": f"g{i}"} for i in range(30)]
    body = json.dumps({"operations": operations}).encode()
    answers = send_all(larder, [fcgi.request_bytes("POST", "/batch", body)] * 8)
    for answer in answers:
        assert [r["status"] for r in answer.json()["results"]] == [200] * 30
    check_peak(larder)


def test_a_crowd_of_batches_holds_up_nobody(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """Batches that waited for their turn to bring large values counted as in flight: 128 of them kept
    everybody else from Redis, for 9 seconds where each had 30 MB."""
    larder = new_larder(new_redis(), workers=1, redis_timeout=5000).start()
    larder.fastcgi("PUT", "/cache/large", b'{"value":"' + b"x" * 1_000_000 + b'"}')
    operations = [{"method": "GET", "key": "large"}] * 4
    data = fcgi.request_bytes("POST", "/batch", json.dumps({"operations": operations}).encode())
    peers = [larder.connect(60) for _ in range(200)]
    with ThreadPoolExecutor(len(peers)) as pool:
        for peer in peers:
            peer.send(data)
        answers = [pool.submit(peer.read_response) for peer in peers]
        eventually(lambda: any(answer.done() for answer in answers), what="the first one")
        assert larder.fastcgi("GET", "/cache/none").status == 404
        ahead = sum(answer.done() for answer in answers)
    print(f"{ahead} batches were answered first")
    assert [answer.result().status for answer in answers] == [200] * len(peers)
    for peer in peers:
        peer.close()
    assert ahead < 40


def test_changes_of_one_entry_do_not_ask_in_vain(new_redis: NewRedis,
                                                 new_larder: NewLarder) -> None:
    """Whoever waited for its turn to change an entry asked Redis for a PING each time round: 600 at
    once sent 356,000 of them."""
    redis = new_redis()
    larder = new_larder(redis, workers=1, redis_timeout=20000).start()
    larder.fastcgi("PUT", "/cache/hot", b'{"value":{}}')
    redis.ask("CONFIG", "RESETSTAT")
    patches = [fcgi.request_bytes("PATCH", "/cache/hot", b'{"value":{"k%d":1}}' % i,
                                  params={"CONTENT_TYPE": "application/merge-patch+json"})
               for i in range(200)]
    assert [a.status for a in send_all(larder, patches)] == [200] * 200
    assert len(larder.fastcgi("GET", "/cache/hot").json()["value"]) == 200
    pings = redis.info("commandstats").get("cmdstat_ping", "calls=0,")
    assert int(pings.split("=")[1].split(",")[0]) < 10, pings


def test_descriptors_are_left_for_redis(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A worker whose connections had taken all of its descriptors couldn't reach Redis again."""
    redis = new_redis()
    larder = new_larder(redis, workers=1)
    larder.start(limits=["prlimit", "--nofile=48:48"])
    peers = [larder.connect(10) for _ in range(60)]
    for peer in peers:
        peer.send(fcgi.request_bytes("GET", "/cache/a", keep=True))
    assert peers[0].read_response().status == 404
    for _ in range(5):
        redis.kill()
        time.sleep(0.3)
        redis.start()
        eventually(lambda: peers[0].request("GET", "/cache/a", keep=True).status == 404, 5,
                   "it serves again")
    for peer in peers:
        peer.close()


def test_a_machine_that_stood_still_kills_nobody(new_redis: NewRedis,
                                                 new_larder: NewLarder) -> None:
    """After a pause of the whole machine the master took all of its workers for stuck ones."""
    larder = new_larder(new_redis(), watchdog_timeout=1000).start()
    family = larder.workers()
    for pid in (*family, larder.pid):
        pause(pid)
    time.sleep(2)
    for pid in (larder.pid, *family):
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)
    assert larder.workers() == family and larder.fastcgi("GET", "/cache/a").status == 404


def test_a_scripts_error_to_another_command_is_no_internal_one(new_redis: NewRedis,
                                                              new_larder: NewLarder) -> None:
    """NOSCRIPT, where no script was called, was 500 "Not complete yet"."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    # Ready again is it while it connects, too: what is asked then has a connection's time.
    larder = new_larder(relay.path, workers=1, redis_connect_timeout=5000).start(ready=True)
    spoiled = {b"SCAN", b"UNLINK"}

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        return link.send(b"-NOSCRIPT none\r\n" if command[0] in spoiled else reply)

    try:
        relay.rule = rule
        check_problem(larder.fastcgi("GET", "/keys"), 503, "backend-error")
        for target in ("/cache?prefix=a", "/cache?tag=a"):
            eventually(larder.ready, 3, "ready")
            check_problem(larder.fastcgi("DELETE", target), 503, "backend-error")
        spoiled.add(b"INFO")
        redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        eventually(lambda: not larder.ready(), 5, "it isn't let in")
        check_problem(larder.fastcgi("GET", "/cache/a"), 503, "backend-refused")
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_a_length_that_is_damaged_ends_the_connection(new_redis: NewRedis,
                                                      new_larder: NewLarder) -> None:
    """A bulk string that isn't as long as it says was taken, with the next reply in the middle of
    a value: there it says what whoever wrote it likes."""
    redis = new_redis()
    relay = Relay(redis.directory, redis.socket)
    larder = new_larder(relay.path, workers=1).start(ready=True)
    # If GETRANGE gave two bytes of it, and a line end, what follows would be PTTL's reply.
    hostile = b"12==:50000\r\n"
    redis.ask("SET", "hostile", hostile)

    def rule(link: Link, command: list[bytes], reply: bytes) -> bool:
        if command[0] == b"GETRANGE" and command[1] == b"hostile":
            reply = b"$2\r\n" + hostile + b"\r\n"
        return link.send(reply)

    try:
        relay.rule = rule
        check_problem(larder.fastcgi("GET", "/cache/hostile"), 503, "backend-unavailable")
        relay.rule = None
        eventually(larder.ready, 3, "ready")
        assert check_json(larder.fastcgi("GET", "/cache/hostile"))["value"] == hostile.decode()
    finally:
        relay.rule = None
        larder.stop()
        relay.close()


def test_an_abandoned_write_is_not_done_later(new_redis: NewRedis, new_larder: NewLarder) -> None:
    """A worker that stood still finds a write whose web server has given it up: it isn't done over
    what was written, and acknowledged, since."""
    larder = new_larder(new_redis()).start(ready=True)
    with larder.connect() as connection:
        rows = connection.request("GET", "/stats", keep=True).json()["workers"]
        theirs = next(row["pid"] for row in rows if row["in_flight"] > 0)
        before = larder.stats()["requests"]["total"]
        pause(theirs)
        try:
            connection.send(fcgi.request_bytes("PUT", "/cache/a", b'{"value":"old"}', keep=True))
            connection.close()
            assert larder.fastcgi("PUT", "/cache/a", b'{"value":"new"}').status == 200
        finally:
            os.kill(theirs, signal.SIGCONT)
    # Its next answer comes after whatever it found.
    eventually(lambda: all(row["requests"] for row in larder.stats()["workers"]), what="both serve")
    eventually(lambda: larder.stats()["requests"]["total"] > before + 20, what="some turns of both")
    assert larder.fastcgi("GET", "/cache/a").json()["value"] == "new"


def test_who_stood_still_with_a_worker_is_not_silent(new_redis: NewRedis,
                                                     new_larder: NewLarder) -> None:
    """After a pause of the machine, or a turn that took a second, a worker closed the connections
    on which nothing had moved meanwhile: whole answers were cut, and bodies never read."""
    larder = new_larder(new_redis(), workers=1).start(ready=True)
    body = json.dumps({"value": "x" * 1_000_000}).encode()
    assert larder.fastcgi("PUT", "/cache/large", body).status == 200
    put = fcgi.request_bytes("PUT", "/cache/half", b'{"value":1}')
    worker = larder.workers()[0]
    with larder.connect() as reader, larder.connect() as writer:
        reader.send(fcgi.request_bytes("GET", "/cache/large"))
        writer.send(put[:-30])
        assert larder.fastcgi("GET", "/cache/none").status == 404  # it has read both of them
        pause(worker)
        time.sleep(1.5)
        os.kill(worker, signal.SIGCONT)
        time.sleep(0.3)
        writer.send(put[-30:])
        assert writer.read_response().status == 200
        assert len(value_text(reader.read_response().body)) == 1_000_002


@pytest.mark.parametrize("keep", [False, True])
def test_a_write_in_the_queue_is_not_done_for_nobody(new_redis: NewRedis, new_larder: NewLarder,
                                                     keep: bool) -> None:
    """A connection that waits to be accepted while its web server gives it up: the write on it was
    done, over what was acknowledged since."""
    redis = new_redis()
    larder = new_larder(redis, workers=1).start(ready=True)
    worker = larder.workers()[0]
    pause(worker)
    try:
        with larder.connect() as connection:
            connection.send(fcgi.request_bytes("PUT", "/cache/a", b'{"value":"old"}', keep=keep))
        redis.ask("SET", "a", '"new"')
    finally:
        os.kill(worker, signal.SIGCONT)
    # Its turn comes after that of the one before it in the queue.
    assert larder.fastcgi("GET", "/cache/a").json()["value"] == "new"
    assert redis.ask("GET", "a") == b'"new"'


def test_a_body_has_its_turn_among_many_reads(space: Workspace, new_redis: NewRedis,
                                              new_larder: NewLarder) -> None:
    """More readers than may be in flight, each of whom asks again at once: a body, of which only
    the beginning had been read, waited for as long as there were any."""
    faults = Faults(space, new_redis().socket).start()
    larder = new_larder(faults.path, workers=1, redis_timeout=20000).start(ready=True)
    # So slow that even this client keeps all in use.
    faults.set("delay", 100)
    ask = fcgi.request_bytes("GET", "/cache/a", keep=True)
    readers: list[fcgi.Connection] = []
    selector = selectors.DefaultSelector()
    over = threading.Event()

    def read_on() -> None:
        while not over.is_set():
            for key, _ in selector.select(0.1):
                key.data.read_response()
                key.data.send(ask)

    with ExitStack() as stack:
        stack.callback(faults.abandon)
        for _ in range(700):
            # At once: who connects and says nothing is left after a second.
            readers.append(stack.enter_context(larder.connect()))
            readers[-1].send(ask)
        for reader in readers:
            selector.register(reader.socket, selectors.EVENT_READ, reader)
        crowd = threading.Thread(target=read_on)
        crowd.start()
        stack.callback(crowd.join)
        stack.callback(over.set)
        eventually(lambda: larder.stats()["workers"][0]["in_flight"] >= 128, what="all is in use")
        body = json.dumps({"value": "x" * 20000}).encode()
        assert larder.fastcgi("PUT", "/cache/b", body).status == 200
        assert larder.fastcgi("GET", "/cache/b").json()["value"] == "x" * 20000
        assert crowd.is_alive(), "nobody reads any more"
        over.set()
        crowd.join()
        larder.stop()
        faults.stop()


def is_taken(port: int) -> bool:
    """What ./quickstart thinks of a port before it starts anything."""
    script = f'source "{SRCDIR}/scripts/lib.sh"; if port_taken {port}; then echo taken; fi'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert not done.stderr, done.stderr
    return done.stdout == "taken\n"


def test_a_port_is_looked_up_at_once_beside_many_connections() -> None:
    """./quickstart said nothing for a minute on a machine with some thousand connections: bash's read
    has the kernel start its table over for each line."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, min(hard, 4096)), hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (before, hard))
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1500))
        for _ in range(1500):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        ours = os.times()
        assert is_taken(listener.getsockname()[1])
        with socket.socket() as idle:
            idle.bind(("127.0.0.1", 0))
            assert not is_taken(idle.getsockname()[1]), "nobody listens there"
        used = os.times()
    seconds = used.children_user + used.children_system - ours.children_user - ours.children_system
    print(f"two ports were looked up in {seconds:.2f} s of processor time")
    assert seconds < 1


def test_a_reloads_workers_have_its_log(new_redis: NewRedis, new_larder: NewLarder,
                                        tmp_path: Path) -> None:
    """After a reload with another log_file or log_level the new workers went on with the old ones:
    they were forked before the master changed its own."""
    old, new, conf = tmp_path / "old.log", tmp_path / "new.log", tmp_path / "larder.conf"
    redis = new_redis()
    larder = new_larder(redis, config=conf)
    conf.write_text(f"log_file = {old}\nlog_level = warning\n")
    larder.start(ready=True)
    assert " info: " not in old.read_text()
    conf.write_text(f"log_file = {new}\nlog_level = info\n")
    larder.signal(signal.SIGHUP)
    eventually(lambda: new.exists() and "generation 2 serves" in new.read_text(), what="reloaded")
    eventually(lambda: len(larder.workers()) == 2, what="the old workers have left")
    before = old.read_text()
    eventually(lambda: new.read_text().count("info: connected to Redis") == 2,
               what=lambda: f"the workers' lines; there are: {new.read_text()}")
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    eventually(lambda: len(re.findall(r"^\S+ worker .* connection was lost", new.read_text(),
                                      re.M)) == 2, what="the new workers' warnings")
    assert old.read_text() == before
    # Rotated: nobody makes the old one anew.
    old.unlink()
    larder.signal(signal.SIGUSR1)
    eventually(lambda: "the log was reopened" in new.read_text(), what="reopened")
    larder.fastcgi("GET", "/cache/a")
    assert not old.exists()
