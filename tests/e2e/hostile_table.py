"""The whole matrix: its cases, the rows that are tested elsewhere, and those that are left out.

Rows are A1 to A21 (the golden table of keys), B1 to B105 (requests), F1 to F22 (raw FastCGI), and
X1 on (what lists of such things leave out).
"""

from __future__ import annotations

import hostile_entries
import hostile_extra
import hostile_fastcgi
import hostile_http
import hostile_keys
import hostile_values
from hostile import Case

CASES: list[Case] = [*hostile_keys.CASES, *hostile_http.CASES, *hostile_values.CASES,
                     *hostile_entries.CASES, *hostile_fastcgi.CASES, *hostile_extra.CASES]

ROWS = [*(f"A{i}" for i in range(1, 22)), *(f"B{i}" for i in range(1, 106)),
        *(f"F{i}" for i in range(1, 23))]

# Rows, or parts of them, that are no request and its answer: the tests that have them.
APART: dict[str, tuple[str, ...]] = {
    "B8": ("test_22_hostile.test_every_raw_byte",),
    "B25": ("test_23_hostile_cost.test_time",),
    "B36": ("test_22_hostile.test_nginx_keeps_its_connections",),
    "B53": ("test_22_hostile.test_slow_body_occupies_nobody",),
    "B71": ("test_23_hostile_cost.test_time",),
    "B80": ("test_23_hostile_cost.test_time", "test_23_hostile_cost.test_memory"),
    "B85": ("test_26_conditions.test_one_of_64_creators_wins",),
    "B99": ("test_35_prefix.test_deletions_stay_inside",
            "test_33_keys.test_nobody_waits_for_a_large_deletion"),
    "F1": ("test_30_fastcgi.test_silence",),
    "F2": ("test_30_fastcgi.test_silence", "test_30_fastcgi.test_dripping"),
    "F8": ("test_23_hostile_cost.test_limited_memory",),
    "F10": ("test_23_hostile_cost.test_limited_memory",),
    "F16": ("test_23_hostile_cost.test_limited_memory",
            "test_75_regressions.test_padding_is_no_way_to_memory"),
    "F18": ("test_30_fastcgi.test_split_at_every_byte", "test_30_fastcgi.test_one_byte_at_a_time"),
    "F19": ("test_30_fastcgi.test_peer_that_does_not_read",),
    "F20": ("test_30_fastcgi.test_peer_closes_at_once",
            "test_30_fastcgi.test_peer_resets_under_an_answer"),
    "F22": ("test_23_hostile_cost.test_limited_memory",
            "test_30_fastcgi.test_two_thousand_connections"),
}

NO_AUTHORIZATION = "there are no credentials yet: who reaches the port may do everything"
LEFT_OUT: dict[str, str] = {
    "B93": NO_AUTHORIZATION,
    "B94": NO_AUTHORIZATION,
    "B95": NO_AUTHORIZATION,
    "B96": NO_AUTHORIZATION,
    "B97": NO_AUTHORIZATION,
}
