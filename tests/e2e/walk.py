"""A random walk through the API, with the model at its side: whoever differs is wrong.

Everything but the clock follows from the seed, so a difference comes again by the same command.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

from dice import BYTES, CODINGS, FOREIGN, IDLES, KEYS, PREFIXES, TAGS, TTLS, TYPES, Dice
from expect import Etags, Expected, Part, Parts, Span, compare, show
from harness import Stack
from model import Conditions, Entry, Model, Outcome, Written, put_back, quoted, structured
from rawhttp import Header
from refusals import JSON_MEDIA, PATCH_MEDIA, REFUSALS, STRANGE_PATHS
from ways import Answered, Request, Way, open_way

# A machine with much to do is no difference; an answer that never comes is one.
_PATIENT = {"LARDER_REDIS_TIMEOUT": "10000"}

# How larderd is set up; each is a walk of its own. In the last one, workers come and go as well.
VARIANTS: Mapping[str, Mapping[str, str]] = {
    "plain": _PATIENT,
    "prefixed": {**_PATIENT, "KEY_PREFIX": "app[1]*:"},
    "endless": {**_PATIENT, "DEFAULT_TTL": "0", "LARDER_CLIENT_CACHING": "yes",
                "LARDER_MAX_REQUESTS": "700"},
}

# A name in Redis that no request can reach, since it is no key.
NO_KEY = "bad//name"

# The methods of a Walk, and how often each is taken.
ACTS = {
    "read": 280, "put": 170, "put_raw": 80, "patch": 110, "delete": 60, "count": 80, "batch": 90,
    "put_back": 30, "invalidate": 15, "remove_prefix": 12, "clear": 3, "list_keys": 8,
    "refused": 40, "strange_path": 5, "foreign": 45, "evict_tag": 10, "forget_scripts": 10,
    "expire": 20, "sleep": 30, "audit": 10,
}

HISTORY_SHOWN = 25

# What an entry has left when it was not read for long: less than any idle time.
ASLEEP_S = 1000


class Difference(Exception):
    """The service and the model disagree."""


class Walk:
    """One walk: the service, the model and what happened so far."""

    def __init__(self, stack: Stack, variant: str, seed: int) -> None:
        environment = VARIANTS[variant]
        self.variant = variant
        self.seed = seed
        self.number = 0  # of the operation
        self.counts: Counter[tuple[str, int]] = Counter()  # answers, by act and status
        self.slowest = 0.0, ""  # answer, in seconds
        self._act = ""
        self._dice = Dice(f"{seed} {variant}")
        self._etags = Etags()
        self._model = Model(self._etags, int(environment.get("DEFAULT_TTL", "3600")),
                            "LARDER_CLIENT_CACHING" in environment)
        self._history: deque[tuple[int, Sequence[str], str]] = deque(maxlen=2000)
        self._prefix = environment.get("KEY_PREFIX", "").encode()
        self._redis = stack.redis.client()
        self._direct = open_way(stack, "fastcgi")
        self._ways = [self._direct, *(open_way(stack, front) for front in stack.fronts)]
        if self._prefix:
            self._redis.ask("SET", "bystander", "1")

    def go(self, operations: int) -> None:
        """Does so many operations; raises Difference at the first that differs."""
        acts, weights = list(ACTS), list(ACTS.values())
        try:
            for self.number in range(1, operations + 1):
                self._act = self._dice.random.choices(acts, weights)[0]
                getattr(self, self._act)()
            self.audit()
            self._audit_statistics()
        finally:
            self._redis.close()
            for way in self._ways:
                way.close()

    # --- asking and judging ------------------------------------------------------------------

    def _ask(self, keys: Sequence[str], request: Request, judge: Callable[[Span], Expected],
             way: Way | None = None) -> Answered:
        """Sends a request and holds the answer against what the model says."""
        way = way or self._dice.pick(self._ways)
        self._note(keys, f"{way.name}: {request}")
        before = time.time()
        answer = way.ask(request)
        after = time.time()
        self.slowest = max(self.slowest, (after - before, f"{self.number} {way.name}: {request}"))
        expected = judge((before, after))
        faults = compare(expected, answer, request.method == "HEAD", self._etags)
        if faults:
            self._fail(keys, faults, expected, answer)
        self.counts[self._act, answer.status] += 1
        return answer

    def _note(self, keys: Sequence[str], text: str) -> None:
        """Keeps it for the account of a difference; without keys it concerns all."""
        self._history.append((self.number, keys, text))

    def _fail(self, keys: Sequence[str], faults: Sequence[str], expected: Expected | None = None,
              answer: Answered | None = None) -> None:
        related = [f"  {number:6} {text}" for number, touched, text in self._history
                   if not touched or not keys or not set(touched).isdisjoint(keys)]
        lines = [f"operation {self.number} of seed {self.seed}, variant {self.variant}:", *faults]
        if expected is not None and answer is not None:
            wanted = "".join(f"\n    {k}: {show(v)}" for k, v in sorted(expected.fields.items()))
            got = "".join(f"\n    {k}: {v}" for k, v in answer.headers)
            lines += [f"expected: {expected.status} {show(expected.body)[:3000]}{wanted}",
                      f"got: {answer.status} {answer.body[:3000]!r}{got}"]
        lines += ["what came before, on the same keys and on all:", *related[-HISTORY_SHOWN:],
                  "again: make model "
                  f"SEED={self.seed} VARIANT={self.variant} OPERATIONS={self.number}"]
        raise Difference("\n".join(lines))

    def _name(self, key: str) -> bytes:
        """The entry's name in Redis."""
        return self._prefix + key.encode()

    def _tag_name(self, tag: str) -> bytes:
        """The name in Redis of what larder knows of a tag."""
        return self._prefix + b"\xfftag:" + tag.encode()

    # --- conditions --------------------------------------------------------------------------

    def _etag(self, key: str) -> str:
        """The quoted entity tag of the entry, or "none" as long as nobody has seen it."""
        entry = self._model.find(key)
        tag = self._etags.get(entry.identity) if entry is not None and entry.is_string else None
        return f'"{tag or "none"}"'

    def _condition(self, key: str) -> str:
        """What If-Match or If-None-Match may say."""
        current = self._etag(key)
        known = self._etags.known()
        other = f'"{self._dice.pick(known)}"' if known else '"other"'
        return self._dice.pick((
            "*", "*", current, current, current, other, f"W/{current}", f'{current[:-1]}-gzip"',
            f"{other}, {current}", f"{other} ,, W/{current}", f'{current[:-1]}-nonsense"', '""'))

    def _conditions(self, key: str, percent: float) -> Conditions:
        """So often a condition, now and then both or a malformed one."""
        if not self._dice.maybe(percent):
            return Conditions()
        fate = self._dice.random.random()
        if fate < 0.05:
            bad = self._dice.pick(("x", '"a" "b"', "*, *", "W/", '"open', ","))
            return Conditions(bad) if self._dice.maybe(50) else Conditions(None, bad)
        match = self._condition(key) if fate < 0.55 else None
        none_match = self._condition(key) if fate > 0.5 else None
        return Conditions(match, none_match)

    # --- reading -----------------------------------------------------------------------------

    def read(self) -> None:
        """GET or HEAD of either representation."""
        key, raw = self._dice.key(), self._dice.maybe(40)
        when = self._conditions(key, 35)
        target = self._dice.path("raw" if raw else "cache", key)
        target += "?x=1" if self._dice.maybe(5) else ""
        method = "HEAD" if self._dice.maybe(25) else "GET"
        self._ask([key], Request(method, target, condition_headers(when)), lambda now:
                  self._model.answer_read(key, self._model.read(key, when, now), raw, now))

    def put_back(self) -> None:
        """What GET gave is put back."""
        model, key, when = self._model, self._dice.key(), Conditions()
        answer = self._ask([key], Request("GET", self._dice.path("cache", key)), lambda now:
                           model.answer_read(key, model.read(key, when, now), False, now))
        entry = model.find(key)
        if answer.status != 200 or entry is None:
            return
        what = put_back(entry, answer.json()["ttl"], model.default_ttl)
        self._write(key, Request("PUT", self._dice.path("cache", key), [JSON_MEDIA], answer.body),
                    lambda now: model.write(key, what, when, now), "cache")

    # --- writing -----------------------------------------------------------------------------

    def _write(self, key: str, request: Request, change: Callable[[Span], Outcome],
               form: str) -> None:
        minimal = is_minimal(request.headers)
        self._ask([key], request, lambda now:
                  self._model.answer_write(key, change(now), form, minimal, now))

    def put(self) -> None:
        """PUT /cache/{key}."""
        key = self._dice.key()
        members, what = self._dice.written(self._model.default_ttl)
        if self._dice.maybe(5):
            members["key"] = quoted(key).decode()
        when = self._conditions(key, 30)
        headers = [JSON_MEDIA, *condition_headers(when), *self._dice.prefer()]
        request = Request("PUT", self._dice.path("cache", key), headers,
                          self._dice.document(members))
        self._write(key, request, lambda now: self._model.write(key, what, when, now), "cache")

    def put_raw(self) -> None:
        """PUT /raw/{key}."""
        key = self._dice.key()
        what, headers = self._raw_written()
        query = []
        if self._dice.maybe(40):
            what.ttl = self._dice.pick(TTLS)[1]
            query.append(f"ttl={what.ttl}")
        if self._dice.maybe(15):
            what.idle = self._dice.pick(IDLES)
            query.append(f"idle={what.idle}")
        target = self._dice.path("raw", key) + ("?" + "&".join(query) if query else "")
        when = self._conditions(key, 25)
        headers += [*condition_headers(when), *self._dice.prefer()]
        self._write(key, Request("PUT", target, headers, what.body),
                    lambda now: self._model.write(key, what, when, now), "raw")

    def _raw_written(self) -> tuple[Written, list[Header]]:
        """Bytes with the fields that say what they are."""
        headers: list[Header] = []
        kind, coding = "application/octet-stream", ""
        if self._dice.maybe(80):
            kind = self._dice.pick(TYPES)
            headers.append(("Content-Type", kind))
        if self._dice.maybe(20):
            coding = self._dice.pick(CODINGS)
            headers.append(("Content-Encoding", coding))
        tags = tuple(tag for tag in self._dice.tags() if tag.isascii())
        if tags:
            headers.append(("Cache-Groups", ", ".join(map(structured, tags))))
        what = Written(self._dice.pick(BYTES), (kind, coding), self._model.default_ttl, tags=tags)
        return what, headers

    def patch(self) -> None:
        """PATCH: the ttl, a merge, both or nothing."""
        key = self._dice.key()
        members: dict[str, str] = {}
        value: bytes | None = None
        ttl: int | None = None
        if self._dice.maybe(80):
            text = self._dice.json_object(self._dice.random.randrange(4))
            other = self._dice.json_text()
            members["value"] = other if self._dice.maybe(15) and other != "null" else text
            value = members["value"].encode()
        if self._dice.maybe(35):
            members["ttl"], ttl = self._dice.pick((*TTLS, ("null", 0)))
        when = self._conditions(key, 25)
        media = PATCH_MEDIA if self._dice.maybe(70) else JSON_MEDIA
        headers = [media, *condition_headers(when), *self._dice.prefer()]
        request = Request("PATCH", self._dice.path("cache", key), headers,
                          self._dice.document(members))
        self._write(key, request,
                    lambda now: self._model.patch(key, value, ttl, when, now), "cache")

    def delete(self) -> None:
        """DELETE of either representation."""
        key = self._dice.key()
        form = "raw" if self._dice.maybe(30) else "cache"
        when = self._conditions(key, 40)
        headers = [*condition_headers(when), *self._dice.prefer()]
        self._write(key, Request("DELETE", self._dice.path(form, key), headers),
                    lambda now: self._model.remove(key, when, now), form)

    def count(self) -> None:
        """POST /counters/{key}."""
        key = self._dice.key()
        members: dict[str, str] = {}
        by, initial, ttl = 1, 0, self._model.default_ttl
        if self._dice.maybe(60):
            by = self._dice.pick((0, 1, 2, -3, 10, 2**63 - 1, -2**63, 2**53 + 1))
            members["by"] = str(by)
        if self._dice.maybe(30):
            initial = self._dice.pick((0, 1, 100, -100, 2**63 - 2))
            members["initial"] = str(initial)
        if self._dice.maybe(30):
            members["ttl"], ttl = self._dice.pick(TTLS)
        body = self._dice.document(members) if members or self._dice.maybe(50) else None
        when = self._conditions(key, 20)
        headers = [JSON_MEDIA, *condition_headers(when), *self._dice.prefer()]
        self._write(key, Request("POST", self._dice.path("counters", key), headers, body),
                    lambda now: self._model.count(key, by, initial, ttl, when, now), "counters")

    # --- batches -----------------------------------------------------------------------------

    def batch(self) -> None:
        """POST /batch; its operations meet on few keys."""
        keys = [self._dice.key() for _ in range(self._dice.random.randint(1, 3))]
        items = [self._operation(self._dice.pick(keys))
                 for _ in range(self._dice.random.randint(1, 9))]
        body = b'{"operations":[' + b", ".join(document for document, _ in items) + b"]}"

        def judge(now: Span) -> Expected:
            parts: list[Part] = [b'{"results":[']
            for i, (_, result) in enumerate(items):
                parts += [b"," if i else b"", *result(now)]
            return Expected(200, [*parts, b"]}"], {
                "Content-Type": [b"application/json"], "Cache-Control": [b"no-store"],
                "X-Content-Type-Options": [b"nosniff"]})

        self._ask(keys, Request("POST", "/batch", [JSON_MEDIA], body), judge)

    def _operation(self, key: str) -> tuple[bytes, Callable[[Span], Parts]]:
        """One of a batch, and what the model makes of it."""
        model, when = self._model, self._conditions(key, 25)
        members = {"key": quoted(key).decode()}
        if when.if_match is not None:
            members["if_match"] = json.dumps(when.if_match)
        if when.if_none_match is not None:
            members["if_none_match"] = json.dumps(when.if_none_match)
        fate = self._dice.random.random()
        what = Written(b"")
        if fate < 0.04:
            return self._bad_operation(key)
        if fate < 0.45:
            members["method"] = '"GET"'
        elif fate < 0.6:
            members["method"] = '"DELETE"'
        else:
            more, what = self._dice.written(model.default_ttl)
            members |= {**more, "method": '"PUT"'}

        def result(now: Span) -> Parts:
            if fate < 0.45:
                outcome = model.read(key, when, now)
            elif fate < 0.6:
                outcome = model.remove(key, when, now)
            else:
                outcome = model.write(key, what, when, now)
            self.counts["operations of batches", outcome.status] += 1
            return model.batch_result(key, outcome, now)

        return self._dice.document(members), result

    def _bad_operation(self, key: str) -> tuple[bytes, Callable[[Span], Parts]]:
        """One that is refused, while the others aren't."""
        name = quoted(key).decode()
        members, status, slug, shown = self._dice.pick((
            ({"method": '"PUT"', "key": name, "value": "1", "ttl": "0"}, 422, "invalid-ttl", True),
            ({"method": '"PUT"', "key": name}, 422, "schema-violation", True),
            ({"method": '"GET"', "key": name, "if_match": "null"}, 400, "invalid-precondition",
             True),
            ({"method": '"POST"', "key": name}, 422, "schema-violation", False),
            ({"method": '"GET"'}, 422, "schema-violation", False),
            ({"method": '"GET"', "key": '"a//b"'}, 400, "invalid-key", False),
            ({"method": '"GET"', "key": name, "tll": "1"}, 422, "unknown-field", False)))
        outcome = Outcome(status, slug)
        return self._dice.document(members), lambda now: self._model.batch_result(
            key if shown else None, outcome, now)

    # --- more than one entry -----------------------------------------------------------------

    def invalidate(self) -> None:
        """DELETE /cache?tag=."""
        tag, prefer = self._dice.pick(TAGS), self._dice.prefer()

        def judge(_: Span) -> Expected:
            self._model.invalidate(tag)
            expected = self._model.answer_many(
                [b'{"invalidated":true,"tag":', quoted(tag)], is_minimal(prefer))
            if tag.isascii():
                expected.fields["Cache-Group-Invalidation"] = [structured(tag).encode()]
            return expected

        self._ask([], Request("DELETE", f"/cache?tag={self._dice.query(tag)}", prefer), judge)

    def remove_prefix(self) -> None:
        """DELETE /cache?prefix=."""
        prefix, prefer = self._dice.pick(PREFIXES), self._dice.prefer()
        self._ask([], Request("DELETE", f"/cache?prefix={self._dice.query(prefix)}", prefer),
                  lambda _: self._model.answer_many(
                      [b'{"deleted":%d' % self._model.remove_prefix(prefix)], is_minimal(prefer)))

    def clear(self) -> None:
        """DELETE /cache."""
        def judge(_: Span) -> Expected:
            self._model.entries.clear()
            return self._model.answer_many([b'{"cleared":true'], False)

        self._ask([], Request("DELETE", "/cache"), judge)

    def list_keys(self) -> None:
        """GET /keys, page by page: none that is alive is left out, none that isn't there is in."""
        prefix = self._dice.pick(("", "", *PREFIXES))
        limit = self._dice.pick((1, 3, 1000))
        listed: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            request = Request("GET", f"/keys?limit={limit}&prefix={self._dice.query(prefix)}"
                                     f"&cursor={cursor}")
            self._note([], str(request))
            answer = self._dice.pick(self._ways).ask(request)
            if answer.status != 200 or list(answer.json()) != ["keys", "cursor"]:
                self._fail([], [f"{answer}"])
            listed.update(answer.json()["keys"])
            cursor = answer.json()["cursor"]
            if (answer.header("Link") is None) != (cursor is None):
                self._fail([], [f"{answer}"])
        self.counts[self._act, 200] += 1
        there = {key for key, entry in self._model.entries.items()
                 if entry.is_string and key.startswith(prefix) and key != NO_KEY}
        alive = {key for key in there if self._model.find(key) is not None}
        if not alive <= listed <= there:
            self._fail([], [f"/keys lists {listed}; alive: {alive}; in Redis: {there}"])

    # --- what is refused ---------------------------------------------------------------------

    def refused(self) -> None:
        """Requests that are wrong in one way each; nothing changes."""
        key = self._dice.key()
        request, status, slug = self._dice.pick(REFUSALS)
        has_key = "{key}" in request.target
        target = request.target.replace("{key}", quote(key, safe=""))

        def judge(_: Span) -> Expected:
            expected = self._model.problem(status, slug, key if has_key else None)
            if request.method == "PATCH" and status == 415:
                expected.fields["Accept-Patch"] = [b"application/merge-patch+json"]
            return expected

        self._ask([key], Request(request.method, target, request.headers, request.body), judge)

    def strange_path(self) -> None:
        """Paths that name no key."""
        target, slug = self._dice.pick(STRANGE_PATHS)
        method = self._dice.pick(("GET", "PUT", "DELETE"))
        self._ask([], Request(method, target), lambda _: self._model.problem(400, slug, None),
                  self._direct)

    # --- behind larderd's back ---------------------------------------------------------------

    def foreign(self) -> None:
        """Another program writes into Redis."""
        key = self._dice.key() if self._dice.maybe(90) else NO_KEY
        name = self._name(key)
        if self._dice.maybe(15):
            self._note([key], f"redis: DEL and RPUSH {key}")
            self._redis.ask("DEL", name)
            self._redis.ask("RPUSH", name, "1")
            self._model.entries[key] = Entry(is_string=False)
            return
        entry = Entry(self._dice.pick(FOREIGN))
        life = ("EX", 7200) if self._dice.maybe(40) else ()
        self._note([key], f"redis: SET {key} {entry.body[:100]!r} {life}")
        before = time.time()
        self._redis.ask("SET", name, entry.body, *life)
        if life:
            entry.end = entry.expiry = (before + 7200, time.time() + 7200)
        self._model.entries[key] = entry

    def evict_tag(self) -> None:
        """Redis evicts what larder knows of a tag."""
        tag = self._dice.pick(TAGS)
        self._note([], f"redis: UNLINK of the tag {tag}")
        self._redis.ask("UNLINK", self._tag_name(tag))
        self._model.invalidate(tag)

    def forget_scripts(self) -> None:
        """Redis loses larder's scripts, as at a restart."""
        self._note([], "redis: SCRIPT FLUSH")
        self._redis.ask("SCRIPT", "FLUSH")

    def sleep(self) -> None:
        """An entry with an idle time is as if nobody had read it for long."""
        asleep = [key for key, entry in self._model.entries.items() if entry.idle]
        if not asleep:
            return
        key = self._dice.pick(asleep)
        self._note([key], f"redis: EXPIRE {key} {ASLEEP_S}")
        before = time.time()
        self._redis.ask("EXPIRE", self._name(key), ASLEEP_S)
        self._model.entries[key].expiry = (before + ASLEEP_S, time.time() + ASLEEP_S)

    def expire(self) -> None:
        """An entry's time is over."""
        key = self._dice.key()
        self._note([key], f"redis: PEXPIREAT {key} 1")
        self._redis.ask("PEXPIREAT", self._name(key), 1)
        self._model.entries.pop(key, None)

    # --- what Redis has ----------------------------------------------------------------------

    def audit(self) -> None:
        """What is in Redis is what the model has: JSON entries are their text and nothing else, and
        no tag goes before an entry that needs it."""
        for key in (*KEYS, NO_KEY):
            fault = self._audit_entry(key, self._model.entries.get(key))
            if fault:
                self._fail([key], [f"in Redis, {key}: {fault}"])
        if self._prefix and self._redis.ask("GET", "bystander") != b"1":
            self._fail([], ["an entry of another user of this Redis was touched"])

    def _audit_statistics(self) -> None:
        """Hits and misses are counted exactly, each read of a batch too."""
        stats = self._direct.ask(Request("GET", "/stats")).json()
        counted, known = (stats["hits"], stats["misses"]), (self._model.hits, self._model.misses)
        if counted != known:
            self._fail([], [f"hits and misses are {counted}, not {known}"])

    def _audit_entry(self, key: str, entry: Entry | None) -> str:
        """What is wrong with it, or nothing."""
        name = self._name(key)
        if entry is None or not entry.is_string:
            kind = self._redis.ask("TYPE", name)
            return "" if kind == ("none" if entry is None else "list") else f"type {kind}"
        stored: bytes = self._redis.ask("GET", name) or b""
        if not entry.has_header and stored != entry.body:
            return f"{stored[:200]!r} instead of {entry.body[:200]!r}"
        if entry.has_header and not (stored.startswith(b"\0larder1 {")
                                     and stored.endswith(b"}\n" + entry.body)):
            return f"{stored[:200]!r} instead of a header and {entry.body[:200]!r}"
        return self._audit_life(name, entry)

    def _audit_life(self, name: bytes, entry: Entry) -> str:
        slack_s = 0.1
        before = time.time()
        left: int = self._redis.ask("PTTL", name)
        if entry.expiry is None and left != -1:
            return f"expires in {left} ms instead of never"
        if entry.expiry is not None and not (entry.expiry[0] - time.time() - slack_s) * 1000 \
                <= left <= (entry.expiry[1] - before + slack_s) * 1000:
            return f"expires in {left} ms instead of {entry.expiry[1] - before:.3f} s"
        for tag in entry.tags if self._model.is_alive(entry) else ():
            tag_left: int = self._redis.ask("PTTL", self._tag_name(tag))
            too_short = tag_left >= 0 and (
                entry.end is None or tag_left < (entry.end[0] - time.time()) * 1000)
            if tag_left == -2 or too_short:
                return f"its tag {tag} has {tag_left} ms, less than the entry"
        return ""


def condition_headers(when: Conditions) -> list[Header]:
    """The conditions as fields."""
    headers: list[Header] = []
    if when.if_match is not None:
        headers.append(("If-Match", when.if_match))
    if when.if_none_match is not None:
        headers.append(("If-None-Match", when.if_none_match))
    return headers


def is_minimal(headers: Sequence[Header]) -> bool:
    """Whether the request asks for an answer without a body."""
    return any(name == "Prefer" and "minimal" in value for name, value in headers)
