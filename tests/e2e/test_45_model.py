"""A random walk, on which every answer must be the one that a model of the contract gives.

`make model` takes a long one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from harness import SANITIZED, VALGRIND, Stack
from mergepatch import merge_text, merge_values
from walk import VARIANTS, Difference, Walk

Own = Callable[..., Stack]

OPERATIONS = 200 if VALGRIND else 1000 if SANITIZED else 2500


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", (1, None), ids=("known", "new"))
def test_model(own: Own, variant: str, seed: int | None) -> None:
    """Behind both web servers and without one, the service and the model agree."""
    stack = own("lighttpd", "nginx", env=dict(VARIANTS[variant]))
    walk = Walk(stack, variant, time.time_ns() // 1000000 if seed is None else seed)
    walk.go(OPERATIONS)
    assert len(walk.counts) > OPERATIONS / 60, "the walk has seen little"


def test_a_difference_is_found(own: Own) -> None:
    """What the model doesn't know of is a difference, and its account says how to see it again."""
    stack = own("nginx")
    walk = Walk(stack, "plain", 5)
    for key in ("a", "a/b"):
        stack.redis.ask("SET", key, "unheard of")
    with pytest.raises(Difference, match=r"again: make model SEED=5 VARIANT=plain OPERATIONS=\d+"):
        walk.go(OPERATIONS)


# RFC 7396, appendix A.
MERGES = (
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"), ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'), ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'), ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'), ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'), ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
)


@pytest.mark.parametrize(("target", "patch", "merged"), MERGES)
def test_the_model_merges(target: str, patch: str, merged: str) -> None:
    """The model itself is held against the RFC's examples."""
    assert merge_values(json.loads(target), json.loads(patch)) == json.loads(merged)
    assert merge_text(target, patch) == merged
