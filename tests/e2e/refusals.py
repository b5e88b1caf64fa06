"""Requests that are wrong in one way each. {key} in a target stands for any key."""

from __future__ import annotations

from rawhttp import Header
from ways import Request

JSON_MEDIA: Header = ("Content-Type", "application/json")
PATCH_MEDIA: Header = ("Content-Type", "application/merge-patch+json")

BAD_SECONDS = ("0", "-1", "1.5", '"x"', "true", "31536001", "[]", '"07200"')


def _put(body: bytes | None, *headers: Header) -> Request:
    return Request("PUT", "/cache/{key}", headers or [JSON_MEDIA], body)


def _put_raw(query: str, *headers: Header) -> Request:
    return Request("PUT", "/raw/{key}" + query, headers, b"x")


def _patch(body: bytes, media: Header = PATCH_MEDIA) -> Request:
    return Request("PATCH", "/cache/{key}", [media], body)


def _count(body: bytes) -> Request:
    return Request("POST", "/counters/{key}", [JSON_MEDIA], body)


def _batch(body: bytes) -> Request:
    return Request("POST", "/batch", [JSON_MEDIA], body)


REFUSALS: tuple[tuple[Request, int, str], ...] = (
    (_put(None), 400, "body-required"),
    (_put(b"{"), 400, "invalid-json"),
    (_put(b'{"value":NaN}'), 400, "invalid-json"),
    (_put(b"[" * 200 + b"]" * 200), 400, "too-deep"),
    (_put(b"[]"), 422, "schema-violation"),
    (_put(b'{"ttl":7200}'), 422, "schema-violation"),
    (_put(b'{"value":1,"value":2}'), 400, "duplicate-field"),
    (_put(b'{"value":1,"tll":2}'), 422, "unknown-field"),
    (_put(b'{"value":1,"key":"another"}'), 422, "key-mismatch"),
    (_put(b'{"value":1,"content_type":"a/b"}'), 422, "schema-violation"),
    (_put(b'{"value":"1","content_type":"nothing"}'), 422, "schema-violation"),
    (_put(b'{"value":"*","encoding":"base64"}'), 422, "schema-violation"),
    (_put(b'{"value":"x","content_encoding":"gzip"}'), 422, "schema-violation"),
    (_put(b'{"value":1,"tags":["a\\n"]}'), 422, "invalid-tag"),
    (_put(b'{"value":1,"tags":"a"}'), 422, "invalid-tag"),
    (_put(b'{"value":1,"tags":[' + b",".join(b'"%d"' % i for i in range(33)) + b"]}"),
     422, "invalid-tag"),
    (_put(b'{"value":1}', ("Content-Type", "text/plain")), 415, "unsupported-media-type"),
    (_put(b'{"value":1}', JSON_MEDIA, ("Content-Encoding", "gzip")), 415,
     "unsupported-content-coding"),
    *((_put(b'{"value":1,"ttl":%s}' % text.encode()), 422, "invalid-ttl") for text in BAD_SECONDS),
    *((_put(b'{"value":1,"idle":%s}' % text.encode()), 422, "invalid-idle")
      for text in BAD_SECONDS),
    (Request("PUT", "/cache/{key}?ttl=7200", [JSON_MEDIA], b'{"value":1}'), 400,
     "unknown-parameter"),
    (Request("DELETE", "/cache/{key}?x"), 400, "unknown-parameter"),
    (Request("DELETE", "/raw/{key}?tag=red"), 400, "unknown-parameter"),
    (_put_raw("?ttl=0"), 422, "invalid-ttl"),
    (_put_raw("?ttl="), 422, "invalid-ttl"),
    (_put_raw("?idle=1.5"), 422, "invalid-idle"),
    (_put_raw("?tll=7200"), 400, "unknown-parameter"),
    (_put_raw("?ttl=7200&ttl=7200"), 400, "invalid-parameter"),
    (_put_raw("", ("Cache-Groups", '"a" "b"')), 400, "invalid-field"),
    (_put_raw("", ("Cache-Groups", "a, b")), 400, "invalid-field"),
    (_put_raw("", ("Cache-Groups", '""')), 422, "invalid-tag"),
    (_put_raw("", ("Content-Type", "nothing")), 400, "invalid-field"),
    (_put_raw("", ("Content-Encoding", "a b")), 400, "invalid-field"),
    (_patch(b'{"value":null}'), 422, "schema-violation"),
    (_patch(b'{"tags":[]}'), 422, "unknown-field"),
    (_patch(b'{"ttl":0}'), 422, "invalid-ttl"),
    (_patch(b"{}", ("Content-Type", "text/plain")), 415, "unsupported-media-type"),
    (_count(b'{"by":1.5}'), 422, "schema-violation"),
    (_count(b'{"by":9223372036854775808}'), 422, "schema-violation"),
    (_count(b'{"value":1}'), 422, "unknown-field"),
    (_count(b'{"ttl":-1}'), 422, "invalid-ttl"),
    (Request("DELETE", "/cache?prefix="), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?tag="), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?prefix=a&tag=red"), 400, "invalid-parameter"),
    (Request("DELETE", "/cache?key=a"), 400, "unknown-parameter"),
    (Request("DELETE", "/cache?tag=" + "x" * 129), 422, "invalid-tag"),
    (Request("GET", "/keys?limit=0"), 400, "invalid-parameter"),
    (Request("GET", "/keys?cursor=x"), 400, "invalid-parameter"),
    (_batch(b'{"operations":[]}'), 422, "schema-violation"),
    (_batch(b'{"operations":{}}'), 422, "schema-violation"),
    (_batch(b"[]"), 422, "schema-violation"),
)

# Straight to larderd: web servers refuse some of them on their own.
STRANGE_PATHS = (
    ("/cache/", "invalid-key"), ("/raw/", "invalid-key"), ("/cache/a//b", "malformed-path"),
    ("/cache/%", "malformed-path"), ("/cache/..", "malformed-path"),
    ("/cache/%2e", "malformed-path"), ("/cache/%FF", "invalid-key"),
    ("/cache/%00", "invalid-key"), ("/cache/" + "x" * 513, "key-too-long"))
