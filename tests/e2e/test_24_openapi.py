"""GET /openapi.json and GET /docs: the document is the service, and the page is the document's."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from checks import check_common, check_json, check_problem
from harness import FRONTS, LARDERD, PATH, SRCDIR, Front, Larder, Stack
from openapi import SOURCE, Document, Example, Operation, check_request
from rawhttp import Http

DOCUMENT = Document()
EXAMPLES = [example for operation in DOCUMENT.operations for example in operation.examples()]
COMMAND = "redis-cli "
# Examples of the service as it is, and those of one that is started for them.
HERE = [e for e in EXAMPLES if all(word.startswith(COMMAND) for word in e.words)]
STATES = sorted({word for e in EXAMPLES for word in e.words if not word.startswith(COMMAND)})
CHROMIUM = shutil.which("chromium", path=PATH)


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Every object below a node."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def errors() -> dict[str, int]:
    """Statuses by slug, of errors.def."""
    text = (SRCDIR / "src" / "base" / "errors.def").read_text()
    return {slug: int(status) for slug, status in
            re.findall(r'^ERROR\(\w+, "([^"]+)", (\d+),', text, re.M)}


def slugs(node: Any) -> set[str]:
    """Every problem type that is named below a node."""
    return set(re.findall(r"'/errors/([^']+)'", str(node)))


# --- the document --------------------------------------------------------------------------------

def test_is_served_as_it_is(http: Http) -> None:
    """GET /openapi.json gives the file of the source tree."""
    answer = http.get("/openapi.json")
    check_json(answer)
    assert answer.body == SOURCE.read_bytes()


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
def test_is_asked_for_again_cheaply(http: Http, path: str) -> None:
    """The entity tag gives 304, as a compressing web server marks it, too; another one doesn't."""
    whole = http.get(path)
    tag = whole.header("ETag")
    assert whole.status == 200 and tag and whole.header("Cache-Control") == "no-cache"
    for field in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = http.get(path, [("If-None-Match", field)])
        assert (again.status, again.body, again.header("ETag")) == (304, b"", tag), field
    assert http.get(path, [("If-None-Match", '"other"')]).body == whole.body
    assert http.get(path, [("If-Match", tag)]).body == whole.body
    check_problem(http.get(path, [("If-Match", '"other"')]), 412, "precondition-failed")
    check_problem(http.get(path, [("If-None-Match", "other")]), 400, "invalid-precondition")
    head = http.request("HEAD", path)
    assert (head.status, head.body, head.header("ETag")) == (200, b"", tag)


def test_version() -> None:
    """info.version is the program's."""
    version = DOCUMENT.root["info"]["version"]
    said = subprocess.run([LARDERD, "--version"], capture_output=True, text=True, check=True)
    assert version in said.stdout.split()
    assert f"AC_INIT([larder], [{version}]" in (SRCDIR / "configure.ac").read_text()


# --- what could drift apart ----------------------------------------------------------------------

def test_operations_are_the_routes(stack: Stack, http: Http) -> None:
    """GET / and the document list the same, in the same words; /stats counts it by operationId."""
    listed = check_json(http.get("/"))["endpoints"]
    described = {f"{o.method} {o.path}": o.raw["summary"] for o in DOCUMENT.operations}
    assert described == listed
    routes = stack.larder.stats()["requests"]["by_route"]
    assert {o.id for o in DOCUMENT.operations} == set(routes) - {"other"}


@pytest.mark.parametrize("kind", FRONTS)
def test_paths_are_those_of_a_shared_host(kind: str) -> None:
    """The pattern that a shared host takes from conf/ has every path but "/"."""
    text = (SRCDIR / "conf" / f"{kind}.conf").read_text()
    patterns = re.findall(r"^ *# +.*(\^/\(cache.*\))(?:\"| \{)", text, re.M)
    assert len(patterns) == 1
    for path in DOCUMENT.root["paths"]:
        assert path == "/" or re.search(patterns[0], path.replace("{key}", "k")), path


def test_problems_are_the_errors() -> None:
    """Every error is described, with its status, and no other is."""
    types = DOCUMENT.root["components"]["schemas"]["ProblemType"]["oneOf"]
    described = {t["const"].removeprefix("/errors/"): int(t["title"]) for t in types}
    assert described == errors()
    assert slugs(DOCUMENT.root) == set(described)


@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda o: o.id)
def test_statuses_are_those_of_their_problems(operation: Operation) -> None:
    """A problem is listed under the status that it is answered with."""
    for status, response in operation.responses.items():
        if status != "default" and int(status) >= 400:
            content = response["content"]["application/problem+json"]
            found = slugs(content["schema"])
            assert found and {errors()[slug] for slug in found} == {int(status)}
            assert slugs(content.get("examples", {})) <= found


@pytest.mark.parametrize("operation", DOCUMENT.operations, ids=lambda o: o.id)
def test_every_operation_has_examples(operation: Operation) -> None:
    """One that succeeds, and each with a line that says what it shows."""
    examples = list(operation.examples())
    assert any(e.status < 300 for e in examples)
    for example in examples:
        assert operation.matches(example.target), example.target
        assert example.summary or operation.raw["summary"], example.name
        if example.status < 400:
            check_request(example)


def test_no_example_is_left_out() -> None:
    """Every example of a body belongs to a request that is made here."""
    used = {id(source) for e in EXAMPLES for source in e.sources}
    for node in walk(DOCUMENT.root):
        for content in (node.get("content") or {}).values():
            for name, example in content.get("examples", {}).items():
                assert id(example) in used, (name, example)


# --- every example -------------------------------------------------------------------------------

def replay(example: Example, http: Http) -> None:
    """Makes what is given, then the request, and looks at the answer."""
    for given in example.given:
        given.send(http)
    answer = http.request(example.operation.method, example.target, example.body, example.headers)
    DOCUMENT.check_answer(example, answer)


@pytest.mark.parametrize("example", HERE, ids=str)
def test_example(stack: Stack, http: Http, example: Example) -> None:
    """The answer is the one that is shown."""
    stack.redis.ask("FLUSHALL")
    for word in example.words:
        stack.redis.ask(*word.removeprefix(COMMAND).split())
    replay(example, http)


@pytest.mark.parametrize("state", STATES)
def test_example_elsewhere(state: str, new_redis: Callable[..., Any],
                           new_larder: Callable[..., Larder],
                           new_front: Callable[[str, Larder], Front]) -> None:
    """So it is of a larderd with options, and of one without Redis."""
    program, *options = state.split()
    away = state == "Redis is away"
    assert away or program == "larderd", state
    given = dict(option.removeprefix("--").split("=") for option in options if not away)
    larder = new_larder(None if away else new_redis(), **given).start()
    for kind in FRONTS:
        with new_front(kind, larder).http() as http:
            for example in EXAMPLES:
                if example.words == [state]:
                    replay(example, http)


# --- the page ------------------------------------------------------------------------------------

def page_of(http: Http) -> tuple[str, dict[str, str]]:
    """GET /docs: the page, and its policy by directive."""
    answer = http.get("/docs")
    assert answer.status == 200 and answer.header("Content-Type") == "text/html; charset=utf-8"
    check_common(answer)
    policy = answer.header("Content-Security-Policy")
    assert policy is not None
    directives = dict(d.strip().split(" ", 1) for d in policy.split(";"))
    return answer.body.decode(), directives


def test_page_needs_nobody_else(http: Http) -> None:
    """The page names no other origin, and its policy lets it reach none."""
    page, policy = page_of(http)
    assert len(page.encode()) < 40_000
    assert not re.findall(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w.-]+\.\w", page)
    assert not re.findall(r"@import|\burl\(|\bimport\b|\bsrc=", page)
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'"
    for name in ("base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'", name


def test_page_runs_its_own_script_only(http: Http) -> None:
    """The policy names the digests of the page's style and script, and allows nothing besides."""
    page, policy = page_of(http)
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        texts = re.findall(f"<{element}>(.*?)</{element}>", page, re.S)
        assert len(texts) == 1 and len(texts[0]) > 100
        digest = base64.b64encode(hashlib.sha256(texts[0].encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    markup = re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.S)
    assert not re.findall(r"\s(?:style|on\w+)=|javascript:", markup)
    # What is stored here is shown there: never as markup.
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", page)


if CHROMIUM is not None:

    def test_page_in_a_browser(front: Front) -> None:
        """A browser shows every operation, and the one that the link names with its examples; it
        finds nothing to complain about."""
        linked = max(DOCUMENT.operations, key=lambda o: len(list(o.examples())))
        with tempfile.TemporaryDirectory() as profile:
            done = subprocess.run(
                [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
                 "--no-first-run", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=10000",
                 "--enable-logging=stderr", "--dump-dom", f"{front.url}/docs#{linked.id}"],
                capture_output=True, text=True, timeout=120, check=False)
        assert not re.findall(r".*CONSOLE.*", done.stderr), done.stderr
        for operation in DOCUMENT.operations:
            assert f'id="{operation.id}"' in done.stdout, done.stdout[-2000:]
        shown = re.findall(r'<option value="([^"]+)">(\d+) ', done.stdout)
        assert shown == [(e.name, str(e.status)) for e in linked.examples()]
