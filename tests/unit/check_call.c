/* Calls: what a reset leaves, replies that are kept for one more round, the queue. */
#include "units.h"

#include <string.h>

#include "redis/call.h"
#include "support.h"

static struct call call;

static void setup(void) {
    call = (struct call){0};
}

static void teardown(void) {
    call_fini(&call);
}

static void answer(const char *text) {
    struct reply node = {REPLY_STRING, 0, call.replies.bytes.n, strlen(text)};
    buf_puts(&call.replies.bytes, text);
    buf_put(&call.replies.nodes, &node, sizeof(node));
}

static struct slice text_of(const struct replies *replies) {
    return replies_bytes(replies, replies_get(replies, 0));
}

START_TEST(reset_leaves_nothing_of_the_round_before) {
    struct call next;
    answer("old");
    call.next = &next;
    call.wanted = call.got = 3;
    call.error = E_BACKEND_TIMEOUT;
    call.outcome_known = true;
    call_reset(&call);
    ck_assert_ptr_null(replies_get(&call.replies, 0));
    ck_assert_ptr_null(call.next);
    ck_assert_uint_eq(call.wanted + call.got, 0);
    ck_assert_int_eq(call.error, OK);
    ck_assert(!call.outcome_known);
}
END_TEST

/* Pointers to nodes stay good, too: they are the array that a sweep goes through. */
START_TEST(kept_replies_outlive_one_reset) {
    for (int round = 0; round < 3; round++) {
        char text[] = "round 0";
        text[6] = (char)('0' + round);
        answer(text);
        const struct reply *node = replies_get(&call.replies, 0);
        const char *bytes = call.replies.bytes.p;
        call_keep_previous(&call);
        call_reset(&call);
        ck_assert_ptr_null(replies_get(&call.replies, 0));
        ck_assert_ptr_eq(replies_get(&call.previous, 0), node);
        ck_assert_ptr_eq(call.previous.bytes.p, bytes);
        ck_assert(slice_eq(text_of(&call.previous), slice_of(text)));
    }
}
END_TEST

START_TEST(kept_replies_are_gone_after_the_next_time) {
    answer("first");
    call_keep_previous(&call);
    call_reset(&call);
    answer("second");
    call_keep_previous(&call);
    call_reset(&call);
    ck_assert(slice_eq(text_of(&call.previous), SLICE("second")));
    ck_assert_ptr_null(replies_get(&call.previous, 1));
}
END_TEST

START_TEST(release_drops_both_and_the_memory_of_large_ones) {
    char *large = malloc(200001);
    ck_assert_ptr_nonnull(large);
    memset(large, 'L', 200000);
    large[200000] = '\0';
    for (int i = 0; i < 2; i++) {
        answer(large);
        call_keep_previous(&call);
    }
    call_release(&call);
    ck_assert_ptr_null(replies_get(&call.replies, 0));
    ck_assert_ptr_null(replies_get(&call.previous, 0));
    ck_assert_uint_lt(call.replies.bytes.cap, 200000);
    ck_assert_uint_lt(call.previous.bytes.cap, 200000);
    free(large);
}
END_TEST

START_TEST(queue_gives_back_in_order) {
    struct call calls[3] = {{0}, {0}, {0}};
    struct call_queue q = {NULL, NULL};
    ck_assert_ptr_null(call_queue_pop(&q));
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(calls); i++)
            call_queue_push(&q, &calls[i]);
        for (size_t i = 0; i < COUNT_OF(calls); i++) {
            ck_assert_ptr_eq(call_queue_pop(&q), &calls[i]);
            ck_assert_ptr_null(calls[i].next);
        }
        ck_assert_ptr_null(call_queue_pop(&q));
    }
}
END_TEST

Suite *suite_call(void) {
    Suite *s = suite_create("call");
    TCase *t = tcase_create("call");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, reset_leaves_nothing_of_the_round_before);
    tcase_add_test(t, kept_replies_outlive_one_reset);
    tcase_add_test(t, kept_replies_are_gone_after_the_next_time);
    tcase_add_test(t, release_drops_both_and_the_memory_of_large_ones);
    tcase_add_test(t, queue_gives_back_in_order);
    suite_add_tcase(s, t);
    return s;
}
