"""Malformed and hostile input: through both web servers, and without one.

The matrix of hostile_table.py first, then what is more than requests and their answers. After each
case the service answers, on the same connection where the server kept it, and the workers are the
same ones.
"""

from __future__ import annotations

import ast
import random
import threading
import time
from pathlib import Path

import pytest

import hostile_run
from checks import check_envelope, check_problem
from harness import FRONTS, SLOW, Front, Stack
from hostile import http_put
from hostile_http import chunked
from hostile_table import APART, CASES, LEFT_OUT, ROWS
from rawhttp import Answer, Closed, Http

BODY = b'{"value":1}'


# --- the matrix ----------------------------------------------------------------------------------

@pytest.mark.parametrize("row", dict.fromkeys(case.row for case in CASES))
def test_row(stack: Stack, row: str) -> None:
    """By every way there is the answer that the table has, Redis holds what it should, and the next
    request is answered."""
    faults = [f"{case}: {fault}" for case in CASES if case.row == row
              for fault in hostile_run.run(stack, case)]
    assert not faults, "\n".join(faults)


def names_of_tests_in(module: str) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse(Path(__file__).with_name(f"{module}.py").read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_no_row_is_forgotten() -> None:
    """Every row has cases or a test of its own, or is left out by name."""
    tried = {case.row for case in CASES}
    for row in ROWS:
        assert (row in tried or row in APART) != (row in LEFT_OUT), row
    assert tried | set(APART) | set(LEFT_OUT) <= {*ROWS, *(f"X{i}" for i in range(1, 100))}
    for tests in APART.values():
        for test in tests:
            module, name = test.split(".")
            assert name in names_of_tests_in(module), test


def test_the_matrix_is_whole() -> None:
    """No case is there twice, none that goes through web servers at all goes through one only, and
    there are as many as were promised."""
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    steps = [step for case in CASES for step in case.steps]
    assert all((step.lighttpd is None) == (step.nginx is None) for step in steps)
    assert all(step.lighttpd or step.fastcgi for step in steps)
    by_way = {way: sum(any(getattr(step, way) for step in case.steps) for case in CASES)
              for way in hostile_run.WAYS}
    print(f"{len(CASES)} cases: {by_way}")
    assert len(CASES) >= 250 and min(by_way.values()) >= 250


# --- bytes, one at a time ------------------------------------------------------------------------

def test_every_raw_byte(stack: Stack, key: str) -> None:
    """A raw byte in a target is part of the key exactly if RFC 3986 allows it in a path."""
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/"
    for code in range(1, 256):
        if code in b"?%":
            continue
        raw = bytes([code])
        answer = stack.larder.fastcgi("GET", f"/cache/{key}".encode() + raw + b"z")
        if raw in allowed:
            check_problem(answer, 404, "key-not-found")
        else:
            check_problem(answer, 400, "malformed-path")


# --- connections ---------------------------------------------------------------------------------

def first_answer(http: Http, data: bytes) -> Answer | None:
    """The answer to some bytes, if there is one."""
    try:
        return http.exchange(data)
    except (Closed, ConnectionError, AssertionError):
        return None


@pytest.mark.parametrize("data,status", [
    (b"GET /cache/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 404),
    (b"GET /cache/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n" + b"x" * 1048576, 404),
    (b"DELETE /cache/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 404),
    (http_put(b"Content-Length: 0", body=b"").data, 400),
    (http_put(b"Transfer-Encoding: chunked", body=chunked(BODY)).data, 200),
    (b"FOO /cache/k HTTP/1.1\r\nHost: x\r\n\r\n", 405),
], ids=["get-with-body", "get-with-1-mib", "delete-with-body", "put-of-nothing", "chunked", "foo"])
def test_nginx_keeps_its_connections(stack: Stack, key: str, data: bytes, status: int) -> None:
    """After these, nginx's kept connections, to the client and to larder, go on and on."""
    data = data.replace(b"/cache/k", b"/cache/" + key.encode())
    with stack.fronts["nginx"].http() as http:
        for i in range(10):
            assert http.exchange(data).status == status
            http.put(f"/cache/{key}-{i}", {"value": i})
            check_envelope(http.get(f"/cache/{key}-{i}"), f"{key}-{i}", i, 3600, slack=1)
            http.delete(f"/cache/{key}")


@pytest.mark.parametrize("kind", FRONTS)
def test_expect_100_continue(stack: Stack, key: str, kind: str) -> None:
    """A client that waits for 100 Continue gets it, and its value is stored."""
    with stack.fronts[kind].http() as http:
        http.send(http_put(b"Content-Length: 11", b"Expect: 100-continue", body=b"").data
                  .replace(b"/cache/k", b"/cache/" + key.encode()))
        time.sleep(0.05)
        http.send(BODY)
        assert http.receive().status == 200
    assert stack.redis.ask("GET", key) == b"1"


@pytest.mark.parametrize("kind", FRONTS)
def test_slow_body_occupies_nobody(stack: Stack, key: str, kind: str) -> None:
    """Twenty clients that drip their bodies don't slow anybody else down."""
    front = stack.fronts[kind]
    drippers = [front.http() for _ in range(20)]
    stop = threading.Event()
    start = http_put(b"Content-Length: 1000", body=b"").data

    def drip() -> None:
        for client in drippers:
            client.send(start.replace(b"/cache/k", b"/cache/" + key.encode()))
        while not stop.wait(0.05):
            for client in drippers:
                client.send(b" ")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with front.http() as http:
            slowest = 0.0
            for i in range(50):
                begun = time.monotonic()
                assert http.put(f"/cache/{key}-{i}", {"value": i}).status == 200
                slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1.0 * SLOW
    finally:
        stop.set()
        thread.join()
        for client in drippers:
            client.close()
    assert stack.redis.ask("EXISTS", key) == 0


@pytest.mark.parametrize("kind", FRONTS)
def test_a_burst_of_garbage(stack: Stack, key: str, kind: str) -> None:
    """Three hundred random mutations of a good request leave the service as it was."""
    dice = random.Random(kind)
    front: Front = stack.fronts[kind]
    good = http_put(b"Content-Length: 11").data.replace(b"/cache/k", b"/cache/" + key.encode())
    for _ in range(300):
        data = bytearray(good)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        with front.http() as http:
            http.send(bytes(data))
            http.shutdown()
            answer = first_answer(http, b"")
            status = answer.status if answer is not None else 0
            assert status < 500 or status in (501, 505), (data, answer)
    with front.http() as http:
        assert http.get("/health").status == 200
