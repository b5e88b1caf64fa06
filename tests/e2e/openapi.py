"""openapi.json, read: its operations, schemas and examples.

What stands in it under one name is one example:

    x-larder-examples of the operation   what was there before, the request's target and header
                                         fields, the answer's status and header fields
    examples of the request body         the body; one that the schema refuses is a text with the
                                         target instead
    examples of the answer's content     its body; without one, only the schema binds it

`given` is a list of requests to make first, or of words: a line for redis-cli, larderd with
options, or "Redis is away". What a schema marks with x-larder-varies is of the moment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator, FormatChecker

from harness import SRCDIR
from rawhttp import Answer, Header, Http

SOURCE = SRCDIR / "src" / "api" / "openapi.json"
METHODS = ("get", "put", "patch", "post", "delete")
# What web servers and HTTP itself put into answers, and what is said of all of them at once.
COMMON_FIELDS = {"server", "date", "connection", "keep-alive", "content-type", "content-length",
                 "transfer-encoding", "x-content-type-options"}
TTL_SLACK = 5


@dataclass
class Given:
    """A request to make first."""

    method: str
    target: str
    headers: list[Header]
    body: bytes | None

    def send(self, http: Http) -> None:
        """Makes it; it must succeed."""
        answer = http.request(self.method, self.target, self.body, self.headers)
        assert answer.status in (200, 204), (self, answer)


@dataclass
class Example:
    """One request of one operation, and its answer."""

    operation: "Operation"
    name: str
    summary: str
    given: list[Given]
    words: list[str]
    target: str
    headers: list[Header]
    body: bytes | None
    status: int
    answer_headers: dict[str, str]
    answer: Any           # None if there is none to compare with
    sources: list[Any]    # the Example Objects it is made of

    def __str__(self) -> str:
        return f"{self.operation.id}-{self.name}"


class Operation:
    """An operation: a method of a path."""

    def __init__(self, document: "Document", path: str, method: str) -> None:
        item = document.root["paths"][path]
        self.document = document
        self.path = path
        self.method = method.upper()
        self.raw = item[method]
        self.id: str = self.raw["operationId"]
        self.parameters = [document.resolve(p) for p in
                           [*item.get("parameters", []), *self.raw.get("parameters", [])]]
        self.responses = {status: document.resolve(r)
                          for status, r in self.raw["responses"].items()}

    def examples(self) -> Iterator[Example]:
        """Its examples, in their order."""
        for name in self.raw["x-larder-examples"]:
            yield self._example(name)

    def _example(self, name: str) -> Example:
        raw = self.raw["x-larder-examples"][name]
        request, response = raw["request"], raw["response"]
        headers = list(request.get("headers", {}).items())
        body = body_of(self.method, request)
        sources = []
        for media, content in self.raw.get("requestBody", {}).get("content", {}).items():
            if name in content.get("examples", {}):
                assert not body, (self.id, name, "two bodies")
                source = content["examples"][name]
                body = text_of(media, source["value"])
                if media != "*/*":
                    headers.append(("Content-Type", media))
                sources.append(source)
        answer = None
        for content in self.responses[str(response["status"])].get("content", {}).values():
            if name in content.get("examples", {}):
                sources.append(content["examples"][name])
                answer = sources[-1]["value"]
        summaries = [s["summary"] for s in [raw, *sources] if "summary" in s]
        given = raw.get("given", [])
        return Example(
            self, name, summaries[0] if summaries else "",
            [Given(g["method"], g["target"], list(g.get("headers", {}).items()),
                   body_of(g["method"], g))
             for g in given if not isinstance(g, str)],
            [g for g in given if isinstance(g, str)],
            request["target"], headers, body, response["status"], response.get("headers", {}),
            answer, sources)

    def matches(self, target: str) -> bool:
        """Whether the path of this target is one of this operation's."""
        pattern = re.escape(self.path).replace(re.escape("{key}"), ".+")
        return re.fullmatch(pattern, target.partition("?")[0]) is not None


class Document:
    """The whole document."""

    def __init__(self) -> None:
        self.text = SOURCE.read_bytes()
        self.root: dict[str, Any] = json.loads(self.text)
        self.operations = [Operation(self, path, method)
                           for path, item in self.root["paths"].items()
                           for method in METHODS if method in item]

    def resolve(self, node: Any) -> Any:
        """What a node refers to, or the node itself; a schema's $ref may have siblings."""
        while isinstance(node, dict) and list(node) == ["$ref"]:
            target: Any = self.root
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def validate(self, schema: Any, value: Any) -> None:
        """Asserts that a value is as the schema says."""
        whole = {"allOf": [schema], "components": self.root["components"]}
        errors = [f"{error.json_path}: {error.message}" for error in
                  Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)]
        assert not errors, errors

    def parts(self, schema: Any) -> Iterator[dict[str, Any]]:
        """A schema and all that it is composed of."""
        if "$ref" in schema:
            yield from self.parts(self.resolve({"$ref": schema["$ref"]}))
        yield schema
        for part in schema.get("allOf", []):
            yield from self.parts(part)

    def member(self, schema: Any, name: str) -> Any:
        """The schema of an object's member; {} if nothing is said of it."""
        found = [part["properties"][name] for part in self.parts(schema)
                 if name in part.get("properties", {})]
        return {"allOf": found}

    def items(self, schema: Any) -> Any:
        """The schema of an array's elements."""
        return {"allOf": [part["items"] for part in self.parts(schema) if "items" in part]}

    def check_like(self, schema: Any, shown: Any, seen: Any, name: str = "") -> None:
        """Asserts that what was seen is what is shown, but for what varies."""
        if any(part.get("x-larder-varies") for part in self.parts(schema)):
            return
        if isinstance(shown, dict) and isinstance(seen, dict):
            assert list(shown) == list(seen), (name, shown, seen)
            for key in shown:
                self.check_like(self.member(schema, key), shown[key], seen[key], key)
        elif isinstance(shown, list) and isinstance(seen, list):
            assert len(shown) == len(seen), (name, shown, seen)
            for a, b in zip(shown, seen):
                self.check_like(self.items(schema), a, b, name)
        elif name == "ttl" and isinstance(shown, int) and isinstance(seen, int):
            assert shown - TTL_SLACK <= seen <= shown, (name, shown, seen)
        else:
            assert shown == seen and type(shown) is type(seen), (name, shown, seen)

    def check_answer(self, example: Example, answer: Answer) -> None:
        """Asserts that an answer is what the example shows and the document promises."""
        assert answer.status == example.status, answer
        response = example.operation.responses[str(answer.status)]
        headers = {k.lower(): self.resolve(v) for k, v in response.get("headers", {}).items()}
        for name, value in answer.headers:
            if name.lower() not in COMMON_FIELDS:
                assert name.lower() in headers, f"{name} is not documented: {answer}"
                self.validate(headers[name.lower()]["schema"], value)
        for name, shown in example.answer_headers.items():
            check_field(shown, answer.header(name))
        self._check_body(example, answer, response.get("content"))

    def _check_body(self, example: Example, answer: Answer, content: Any) -> None:
        media = answer.header("Content-Type") or ""
        if content is None:
            assert answer.body == b"", answer
            return
        found = [content[m] for m in (media, media.partition(";")[0], "*/*") if m in content]
        assert found, f"{media} is not documented: {list(content)}"
        schema = found[0]["schema"]
        is_json = "*/*" not in content and "json" in media
        seen = answer.json() if is_json else answer.body.decode()
        self.validate(schema, seen)
        if example.answer is not None:
            self.check_like(schema, example.answer, seen)


def body_of(method: str, request: dict[str, Any]) -> bytes | None:
    """The body of a request, if it has one; a POST always does, if only an empty one."""
    if "body" in request:
        return str(request["body"]).encode()
    return b"" if method == "POST" else None


def text_of(media: str, value: Any) -> bytes:
    """The body that an example stands for."""
    if media == "*/*":
        assert isinstance(value, str)
        return value.encode()
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def check_field(shown: str, seen: str | None) -> None:
    """Asserts that a header field is as it is shown; a ttl in it may have run down a little."""
    assert seen is not None, f"missing; shown: {shown}"
    left = [int(n) for n in re.findall(r"ttl=(\d+)", shown + seen)]
    assert re.sub(r"ttl=\d+", "ttl=", shown) == re.sub(r"ttl=\d+", "ttl=", seen), (shown, seen)
    assert not left or left[0] - TTL_SLACK <= left[1] <= left[0], (shown, seen)


def check_request(example: Example) -> None:
    """Asserts that a request which succeeds is one that the operation documents."""
    operation, document = example.operation, example.operation.document
    query = parse_qsl(example.target.partition("?")[2], strict_parsing="?" in example.target)
    known = {(p["in"], p["name"].lower()): p["schema"] for p in operation.parameters}
    for place, pairs in (("query", query), ("header", example.headers)):
        for name, text in pairs:
            if name == "Content-Type":
                continue
            assert (place, name.lower()) in known, f"{name} is not documented"
            schema = document.resolve(known[place, name.lower()])
            document.validate(schema, int(text) if schema["type"] == "integer" else text)
    for content in operation.raw.get("requestBody", {}).get("content", {}).values():
        if example.name in content.get("examples", {}):
            document.validate(content["schema"], content["examples"][example.name]["value"])
