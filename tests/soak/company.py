"""What goes on beside the verified load: the rest of the API, requests that are refused, and
clients that behave badly. Each runs at its own pace, in a thread."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

import fcgi
from harness import Front, Larder
from rawhttp import Answer, Closed, Http, build
from refusals import JSON_MEDIA, PATCH_MEDIA, REFUSALS, STRANGE_PATHS

KEYS = 200
TAGS = ("red", "green", "blue")
SIZES = (0, 10, 100, 1000, 10_000, 100_000)
# A service whose Redis is away says so, and a web server whose backend is busy.
AWAY = (500, 502, 503, 504)


class Companion(threading.Thread):
    """Does one of its acts so often a second, until it is stopped. An act that a client can't do,
    since nobody answers, is counted; one that finds something wrong is told in `wrong`."""

    def __init__(self, front: Front, per_second: float, seed: int) -> None:
        super().__init__(daemon=True)
        self.front = front
        self.http = Http(front.port, 30)
        self.per_second = per_second
        self.seed = seed
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.unanswered = 0
        self.wrong: list[str] = []
        self._over = threading.Event()

    def acts(self) -> list[Callable[[], None]]:
        """What it may do next, all as likely."""
        raise NotImplementedError

    def run(self) -> None:
        """Until stop()."""
        acts = self.acts()
        due = time.monotonic()
        while not self._over.is_set():
            act = self.random.choice(acts)
            try:
                act()
            except (OSError, Closed, fcgi.Closed):
                self.unanswered += 1
            except Exception as e:  # pylint: disable=broad-except
                self._note(f"{act.__name__}: {type(e).__name__}: {e}")
            self.done[act.__name__] += 1
            # It doesn't catch up what it could not do.
            due = max(due + 1 / self.per_second, time.monotonic() - 1)
            self._over.wait(max(0.0, due - time.monotonic()))

    def _note(self, text: str) -> None:
        if len(self.wrong) < 100:
            self.wrong.append(text[:500])

    def expect(self, what: str, answer: Answer | fcgi.Response, *statuses: int) -> bool:
        """Counts an answer; one with none of these statuses is wrong. False: Redis is away."""
        self.statuses[answer.status] += 1
        if answer.status in AWAY:
            return False
        if answer.status not in statuses:
            self._note(f"{what}: {answer.status} {answer.body[:200]!r}")
        return answer.status in statuses

    def stop(self) -> None:
        """Ends it, and waits for that."""
        self._over.set()
        self.join(60)
        self.http.close()


class Users(Companion):
    """Clients that use all of the API, on keys of their own whose values say whose they are."""

    def acts(self) -> list[Callable[[], None]]:
        return [self.put, self.put, self.get, self.get, self.get, self.patch, self.delete,
                self.create, self.raw, self.count, self.batch, self.keys, self.prefix, self.tag,
                self.look, self.look]

    def _key(self) -> str:
        return f"company/{self.random.randrange(KEYS)}"

    def _value(self, key: str) -> dict[str, object]:
        return {"of": key, "filler": "x" * self.random.choice(SIZES)}

    def _members(self, key: str) -> dict[str, object]:
        members: dict[str, object] = {"value": self._value(key)}
        if self.random.random() < 0.5:
            members["tags"] = self.random.sample(TAGS, self.random.randint(1, 3))
        if self.random.random() < 0.5:
            members["ttl"] = self.random.randint(1, 600)
        elif self.random.random() < 0.3:
            members["idle"] = self.random.randint(1, 600)
        return members

    def put(self) -> None:
        """PUT, with or without tags, ttl, idle."""
        key = self._key()
        answer = self.http.request("PUT", f"/cache/{key}", json.dumps(self._members(key)).encode(),
                                   [JSON_MEDIA])
        self.expect("PUT", answer, 200)

    def get(self) -> None:
        """GET, whose value must be of its key; again with the ETag."""
        key = self._key()
        answer = self.http.request("GET", f"/cache/{key}")
        if not self.expect("GET", answer, 200, 404) or answer.status != 200:
            return
        value = answer.json()["value"]
        if value["of"] != key:
            self._note(f"the value of {value['of']} under {key}")
        etag = answer.header("ETag") or ""
        again = self.http.request("GET", f"/cache/{key}", headers=[("If-None-Match", etag)])
        self.expect("GET If-None-Match", again, 200, 304, 404)

    def patch(self) -> None:
        """A merge, and one of the ttl alone."""
        key = self._key()
        for body in ({"value": {"patched": self.random.randrange(100)}}, {"ttl": 60}):
            answer = self.http.request("PATCH", f"/cache/{key}", json.dumps(body).encode(),
                                       [PATCH_MEDIA])
            self.expect("PATCH", answer, 200, 404)

    def create(self) -> None:
        """A PUT that must not replace anything."""
        key = self._key()
        answer = self.http.request("PUT", f"/cache/{key}", json.dumps(self._members(key)).encode(),
                                   [JSON_MEDIA, ("If-None-Match", "*")])
        self.expect("PUT If-None-Match", answer, 200, 412)

    def delete(self) -> None:
        """DELETE."""
        self.expect("DELETE", self.http.request("DELETE", f"/cache/{self._key()}"), 200, 404)

    def raw(self) -> None:
        """Bytes there and back."""
        # Nobody else writes there.
        target = f"/raw/company-raw/{self.seed}/{self.random.randrange(20)}"
        body = self.random.randbytes(self.random.choice(SIZES))
        answer = self.http.request("PUT", target, body, [("Content-Type", "image/png")])
        if not self.expect("PUT raw", answer, 200):
            return
        answer = self.http.request("GET", target)
        if self.expect("GET raw", answer, 200, 404) and answer.status == 200:
            if answer.body != body:
                self._note(f"{len(answer.body)} other bytes at {target} than the {len(body)} put")

    def count(self) -> None:
        """A counter."""
        answer = self.http.request("POST", f"/counters/company-n/{self.random.randrange(20)}",
                                   b'{"by":3,"ttl":60}', [JSON_MEDIA])
        if self.expect("POST counter", answer, 200) and answer.json()["value"] % 3 != 0:
            self._note(f"a counter of threes: {answer.body!r}")

    def batch(self) -> None:
        """Many operations at once."""
        operations: list[dict[str, object]] = []
        for _ in range(self.random.randint(1, 50)):
            key = self._key()
            method = self.random.choice(("GET", "GET", "PUT", "DELETE"))
            members = self._members(key) if method == "PUT" else {}
            operations.append({"method": method, "key": key, **members})
        answer = self.http.request("POST", "/batch",
                                   json.dumps({"operations": operations}).encode(), [JSON_MEDIA])
        if self.expect("POST batch", answer, 200, 207, 413):
            for operation, result in zip(operations, answer.json().get("results", [])):
                value = result.get("value")
                if operation["method"] == "GET" and isinstance(value, dict) \
                        and value["of"] != operation["key"]:
                    self._note(f"batch: the value of {value['of']} under {operation['key']}")

    def keys(self) -> None:
        """Some pages of the list."""
        cursor = ""
        for _ in range(3):
            answer = self.http.request("GET", "/keys?limit=100&prefix=company" + cursor)
            if not self.expect("GET keys", answer, 200) or answer.json()["cursor"] is None:
                return
            cursor = f"&cursor={answer.json()['cursor']}"

    def prefix(self) -> None:
        """Removes a tenth of the keys."""
        answer = self.http.request("DELETE", f"/cache?prefix=company/{self.random.randrange(10)}")
        self.expect("DELETE prefix", answer, 200)

    def tag(self) -> None:
        """Invalidates a tag."""
        answer = self.http.request("DELETE", f"/cache?tag={self.random.choice(TAGS)}")
        self.expect("DELETE tag", answer, 200)

    def look(self) -> None:
        """What people and machines look at."""
        target = self.random.choice(("/stats", "/metrics", "/health", "/health/live", "/", "/docs",
                                     "/openapi.json"))
        self.expect(f"GET {target}", self.http.request("GET", target), 200)


class Vandals(Companion):
    """Requests that are refused, and clients that go away in the middle of everything."""

    def __init__(self, front: Front, larder: Larder, per_second: float, seed: int) -> None:
        super().__init__(front, per_second, seed)
        self.larder = larder

    def acts(self) -> list[Callable[[], None]]:
        return [self.refused, self.refused, self.refused, self.strange_path, self.half_head,
                self.half_body, self.no_reader, self.half_record, self.no_record, self.lost_answer]

    def refused(self) -> None:
        """One of all the requests that are wrong in one way."""
        request, status, slug = self.random.choice(REFUSALS)
        answer = self.http.request(request.method, request.target.replace("{key}", "company/0"),
                                   request.body, request.headers)
        if self.expect(f"refused {slug}", answer, status):
            assert answer.is_problem, answer

    def strange_path(self) -> None:
        """Paths that web servers would not let through."""
        path, slug = self.random.choice(STRANGE_PATHS)
        answer = self.larder.fastcgi("GET", path)
        if self.expect(f"path {slug}", answer, 400, 414, 422):
            assert answer.slug == slug, answer

    def _say(self, data: bytes, wait: float = 0.0) -> None:
        with socket.create_connection(("127.0.0.1", self.front.port), 10) as client:
            client.sendall(data)
            if wait:
                client.settimeout(wait)
                client.recv(self.random.randint(1, 2000))

    def half_head(self) -> None:
        """Half a header."""
        data = build("GET", "/cache/company/1")
        self._say(data[:self.random.randrange(1, len(data))])

    def half_body(self) -> None:
        """Half a body."""
        data = build("PUT", "/cache/company-half", [JSON_MEDIA], b'{"value":"%s"}' % (b"x" * 5000))
        self._say(data[:self.random.randrange(100, len(data))])

    def no_reader(self) -> None:
        """A client that asks for much and goes when it begins to come."""
        key = self.random.randrange(KEYS)
        self._say(build("GET", f"/cache/company/{key}") + build("GET", "/openapi.json"), wait=5.0)

    def _tell(self, data: bytes) -> None:
        with self.larder.connect() as peer:
            peer.send(data)
            if self.random.random() < 0.2:
                time.sleep(0.02)

    def half_record(self) -> None:
        """Half a FastCGI request, cut anywhere."""
        data = fcgi.request_bytes("PUT", "/cache/company-half", b'{"value":"' + b"x" * 3000 + b'"}')
        self._tell(data[:self.random.randrange(1, len(data))])

    def no_record(self) -> None:
        """What is no FastCGI at all."""
        self._tell(self.random.randbytes(self.random.choice((1, 8, 100, 10_000))))

    def lost_answer(self) -> None:
        """A request whose peer doesn't wait for the answer."""
        self._tell(fcgi.request_bytes("GET", f"/cache/company/{self.random.randrange(KEYS)}"))
