/* The pool: how long the next worker waits when one dies early. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "process/master_state.h"

enum { WORKERS = 4, ROWS = SEGMENT_FIRST_WORKER_ROW + WORKERS, FIRST_MS = 10 };

static const int64_t NOW = 1000 * NS_PER_S;
static struct segment *segment;
static struct master master;

static void setup(void) {
    size_t bytes = sizeof(struct segment) + ROWS * sizeof(struct stats_row);
    segment = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(segment);
    memset(segment, 0, bytes);
    segment->row_count = ROWS;
    master = (struct master){.segment = segment, .rows = ROWS, .generation = 1};
    ck_assert_int_eq(children_init(&master.children, segment, ROWS, NULL), OK);
    ck_assert_int_eq(log_open("", LOG_LEVEL_ERROR), OK);
}

static void teardown(void) {
    children_fini(&master.children);
    free(segment);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
}

/* A live worker; `served`: it has answered a request. */
static void add_worker(uint32_t row, int64_t started, uint32_t served) {
    children_enter(&master.children, row, 100 + (pid_t)row, 1, started);
    master.children.slots[row].state = CHILD_LIVE;
    atomic_store(&segment->rows[row].served, served);
}

/* The next early death, when the wait of the one before is over. */
static int64_t die_early(void) {
    int64_t now = master.backoff_until > NOW ? master.backoff_until : NOW;
    pool_note_death(&master, true, now);
    ck_assert_int_eq(master.backoff_until - now, master.backoff_ms * NS_PER_MS);
    return master.backoff_ms;
}

START_TEST(each_early_death_doubles) {
    int64_t wait = FIRST_MS;
    for (int i = 0; i < 6; i++, wait *= 2)
        ck_assert_int_eq(die_early(), wait);
    for (int i = 0; i < 6; i++)
        ck_assert_int_le(die_early(), 5000);
    ck_assert_int_eq(master.backoff_ms, 5000);
}
END_TEST

START_TEST(a_later_death_resets) {
    die_early();
    die_early();
    pool_note_death(&master, false, master.backoff_until);
    ck_assert_int_eq(master.backoff_ms, 0);
    ck_assert_int_eq(die_early(), FIRST_MS);
}
END_TEST

START_TEST(a_successor_that_served_resets) {
    die_early();
    die_early();
    add_worker(2, master.backoff_until, 1);
    ck_assert_int_eq(die_early(), FIRST_MS);
    /* It is no successor of the one that died now. */
    ck_assert_int_eq(die_early(), INT64_C(2) * FIRST_MS);
}
END_TEST

START_TEST(others_do_not) {
    die_early();
    add_worker(1, NOW - NS_PER_S, 1);       /* from before it began */
    add_worker(2, master.backoff_until, 0); /* has served nobody */
    add_worker(3, master.backoff_until, 1); /* has gone */
    master.children.slots[3].state = CHILD_LEAVING;
    ck_assert_int_eq(die_early(), INT64_C(2) * FIRST_MS);
}
END_TEST

Suite *suite_pool(void) {
    Suite *suite = suite_create("pool");
    TCase *tcase = tcase_create("back-off");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, each_early_death_doubles);
    tcase_add_test(tcase, a_later_death_resets);
    tcase_add_test(tcase, a_successor_that_served_resets);
    tcase_add_test(tcase, others_do_not);
    suite_add_tcase(suite, tcase);
    return suite;
}
