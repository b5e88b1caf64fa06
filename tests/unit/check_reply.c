/* Replies of Redis: walking the list, what errors mean, INFO. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "redis/reply.h"
#include "support.h"

static struct replies list;

static void setup(void) {
    list = (struct replies){0};
}

static void teardown(void) {
    buf_fini(&list.nodes);
    buf_fini(&list.bytes);
}

static void put(enum reply_type type, int64_t integer, const char *text) {
    struct reply node = {type, integer, list.bytes.n, strlen(text)};
    buf_puts(&list.bytes, text);
    buf_put(&list.nodes, &node, sizeof(node));
}

static void put_array(int64_t elements) {
    put(REPLY_ARRAY, elements, "");
}

static void put_integer(int64_t v) {
    put(REPLY_INTEGER, v, "");
}

static enum error meaning_of(const char *text) {
    put(REPLY_ERROR, 0, text);
    size_t last = list.nodes.n / sizeof(struct reply) - 1;
    return reply_error(&list, replies_get(&list, last));
}

/* --- the list -------------------------------------------------------------------------------- */

START_TEST(top_level_replies_are_found_by_their_number) {
    put(REPLY_STRING, 0, "first");
    put(REPLY_NIL, 0, "");
    put_integer(-7);
    const struct reply *first = replies_get(&list, 0);
    ck_assert_int_eq(first->type, REPLY_STRING);
    ck_assert(slice_eq(replies_bytes(&list, first), SLICE("first")));
    ck_assert_int_eq(replies_get(&list, 1)->type, REPLY_NIL);
    ck_assert_int_eq(replies_get(&list, 2)->integer, -7);
    ck_assert_ptr_null(replies_get(&list, 3));
    ck_assert_ptr_null(replies_get(&list, 1000));
}
END_TEST

START_TEST(an_empty_list_has_no_reply) {
    ck_assert_ptr_null(replies_get(&list, 0));
}
END_TEST

/* [1, [[2], [], "x"], 3], [], 4 */
static void put_nested(void) {
    put_array(3);
    put_integer(1);
    put_array(3);
    put_array(1);
    put_integer(2);
    put_array(0);
    put(REPLY_STRING, 0, "x");
    put_integer(3);
    put_array(0);
    put_integer(4);
}

START_TEST(an_array_counts_as_one_reply_with_all_it_holds) {
    put_nested();
    ck_assert_int_eq(replies_get(&list, 0)->integer, 3);
    ck_assert_int_eq(replies_get(&list, 1)->type, REPLY_ARRAY);
    ck_assert_int_eq(replies_get(&list, 1)->integer, 0);
    ck_assert_int_eq(replies_get(&list, 2)->type, REPLY_INTEGER);
    ck_assert_int_eq(replies_get(&list, 2)->integer, 4);
    ck_assert_ptr_null(replies_get(&list, 3));
}
END_TEST

START_TEST(next_steps_over_what_an_array_holds) {
    put_nested();
    const struct reply *outer = replies_get(&list, 0);
    const struct reply *one = outer + 1;
    const struct reply *inner = replies_next(&list, one);
    ck_assert_ptr_eq(inner, outer + 2);
    const struct reply *three = replies_next(&list, inner);
    ck_assert_int_eq(three->integer, 3);
    ck_assert_int_eq(three->type, REPLY_INTEGER);
    ck_assert_ptr_eq(replies_next(&list, outer), replies_get(&list, 1));
    ck_assert_ptr_null(replies_next(&list, replies_get(&list, 2)));
}
END_TEST

START_TEST(an_array_that_ends_early_does_not_lead_out_of_the_list) {
    put_array(INT64_MAX);
    put_array(INT64_MAX);
    put_array(-1);
    size_t n = list.nodes.n;
    char *exact = exact_copy(buf_slice(&list.nodes));
    buf_fini(&list.nodes);
    list.nodes = (struct buf){exact, n, n, false};
    ck_assert_ptr_null(replies_next(&list, replies_get(&list, 0)));
    ck_assert_ptr_null(replies_get(&list, 1));
}
END_TEST

START_TEST(only_text_has_bytes) {
    put(REPLY_STATUS, 0, "OK");
    put(REPLY_STRING, 0, "");
    put_integer(2);
    ck_assert(slice_eq(replies_bytes(&list, replies_get(&list, 0)), SLICE("OK")));
    ck_assert_uint_eq(replies_bytes(&list, replies_get(&list, 1)).n, 0);
    ck_assert_uint_eq(replies_bytes(&list, replies_get(&list, 2)).n, 0);
    /* Whatever such a node says of bytes. */
    struct reply nil = {REPLY_NIL, 0, 0, 2};
    ck_assert_uint_eq(replies_bytes(&list, &nil).n, 0);
}
END_TEST

START_TEST(bytes_may_contain_nul) {
    struct reply node = {REPLY_STRING, 0, 0, 3};
    buf_put(&list.bytes, "a\0b", 3);
    buf_put(&list.nodes, &node, sizeof(node));
    ck_assert(slice_eq(replies_bytes(&list, replies_get(&list, 0)), SLICE("a\0b")));
}
END_TEST

/* --- errors ---------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum error meaning;
} errors[] = {
    {"LOADING Redis is loading the dataset in memory", E_BACKEND_LOADING},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
     E_BACKEND_UNAVAILABLE},
    {"READONLY You can't write against a read only replica.", E_BACKEND_READONLY},
    {"NOREPLICAS Not enough good replicas to write.", E_BACKEND_READONLY},
    {"MISCONF Redis is configured to save RDB snapshots", E_BACKEND_READONLY},
    {"BUSY Redis is busy running a script.", E_BACKEND_BUSY},
    {"OOM command not allowed when used memory > 'maxmemory'.", E_BACKEND_FULL},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", E_WRONG_TYPE},
    {"NOAUTH Authentication required.", E_BACKEND_REFUSED},
    {"WRONGPASS invalid username-password pair or user is disabled.", E_BACKEND_REFUSED},
    {"NOPERM this user has no permissions to run the 'get' command", E_BACKEND_REFUSED},
    {"DENIED Redis is running in protected mode", E_BACKEND_REFUSED},
    {"ERR unknown command 'FLUSHDB', with args beginning with: ", E_BACKEND_REFUSED},
    {"ERR max number of clients reached", E_BACKEND_UNAVAILABLE},
    {"ERR max number of clients + cluster connections reached", E_BACKEND_UNAVAILABLE},
    {"ERR value is not an integer or out of range", E_BACKEND_ERROR},
    {"ERR", E_BACKEND_ERROR},
    {"OOM", E_BACKEND_FULL},
    {"", E_BACKEND_ERROR},
    {"BUSYKEY Target key name already exists.", E_BACKEND_ERROR},
    {"oom", E_BACKEND_ERROR},
    {"OO", E_BACKEND_ERROR},
    {"NOSCRIPT No matching script.", E_AGAIN},
    {"NOSCRIPTS", E_BACKEND_ERROR},
};

START_TEST(an_error_reply_is_told_apart_by_its_first_words) {
    ck_assert_int_eq(meaning_of(errors[_i].text), errors[_i].meaning);
}
END_TEST

START_TEST(other_replies_are_no_errors) {
    put(REPLY_STRING, 0, "OOM is my value");
    put(REPLY_STATUS, 0, "OK");
    put_integer(0);
    put(REPLY_NIL, 0, "");
    put_array(0);
    for (size_t i = 0; i < 5; i++)
        ck_assert_int_eq(reply_error(&list, replies_get(&list, i)), OK);
}
END_TEST

/* --- INFO ------------------------------------------------------------------------------------ */

#define INFO_TEXT                                                                                  \
    "# Memory\r\nused_memory:914544\r\nused_memory_human:893.11K\r\nlow:-12\r\nempty:\r\n"         \
    "url:a:b\r\nmax:9223372036854775807\r\nmin:-9223372036854775808\r\nover:9223372036854775808\r" \
    "\nunder:-9223372036854775809\r\nminus:-\r\nhex:0x10\r\nlong:99999999999999999999\r\ntail:1 "  \
    "\r\nplus:+1\r\nlast:5"

START_TEST(info_fields_are_found_whole) {
    static const struct {
        const char *field;
        const char *value;
    } fields[] = {
        {"used_memory", "914544"},
        {"used_memory_human", "893.11K"},
        {"empty", ""},
        {"url", "a:b"},
        {"last", "5"},
    };
    struct slice value;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        ck_assert(reply_info_field(SLICE(INFO_TEXT), fields[i].field, &value));
        ck_assert(slice_eq(value, slice_of(fields[i].value)));
    }
}
END_TEST

START_TEST(what_info_does_not_have_is_not_found) {
    static const char *const absent[] = {"used",  "memory", "used_memory_huma",
                                         "human", "las",    "# Memory"};
    struct slice value;
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        ck_assert(!reply_info_field(SLICE(INFO_TEXT), absent[i], &value));
    ck_assert(!reply_info_field((struct slice){0}, "used_memory", &value));
    ck_assert(!reply_info_field(SLICE("\r\n\n\r\n"), "used_memory", &value));
}
END_TEST

START_TEST(a_field_may_end_in_a_bare_newline) {
    struct slice value;
    ck_assert(reply_info_field(SLICE("a:1\nb:2\n"), "b", &value));
    ck_assert(slice_eq(value, SLICE("2")));
}
END_TEST

START_TEST(info_numbers_are_exact_or_the_fallback) {
    static const struct {
        const char *field;
        int64_t value;
    } numbers[] = {
        {"used_memory", 914544},
        {"low", -12},
        {"max", INT64_MAX},
        {"min", INT64_MIN},
        {"last", 5},
        {"over", 77},
        {"under", 77},
        {"minus", 77},
        {"hex", 77},
        {"long", 77},
        {"tail", 77},
        {"plus", 77},
        {"empty", 77},
        {"used_memory_human", 77},
        {"absent", 77},
    };
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        ck_assert_int_eq(reply_info_int(SLICE(INFO_TEXT), numbers[i].field, 77), numbers[i].value);
}
END_TEST

Suite *suite_reply(void) {
    Suite *s = suite_create("reply");
    TCase *walk = tcase_create("list");
    tcase_add_checked_fixture(walk, setup, teardown);
    tcase_add_test(walk, top_level_replies_are_found_by_their_number);
    tcase_add_test(walk, an_empty_list_has_no_reply);
    tcase_add_test(walk, an_array_counts_as_one_reply_with_all_it_holds);
    tcase_add_test(walk, next_steps_over_what_an_array_holds);
    tcase_add_test(walk, an_array_that_ends_early_does_not_lead_out_of_the_list);
    tcase_add_test(walk, only_text_has_bytes);
    tcase_add_test(walk, bytes_may_contain_nul);
    suite_add_tcase(s, walk);

    TCase *meaning = tcase_create("errors");
    tcase_add_checked_fixture(meaning, setup, teardown);
    tcase_add_loop_test(meaning, an_error_reply_is_told_apart_by_its_first_words, 0,
                        COUNT_OF(errors));
    tcase_add_test(meaning, other_replies_are_no_errors);
    suite_add_tcase(s, meaning);

    TCase *info = tcase_create("info");
    tcase_add_test(info, info_fields_are_found_whole);
    tcase_add_test(info, what_info_does_not_have_is_not_found);
    tcase_add_test(info, a_field_may_end_in_a_bare_newline);
    tcase_add_test(info, info_numbers_are_exact_or_the_fallback);
    suite_add_tcase(s, info);
    return s;
}
