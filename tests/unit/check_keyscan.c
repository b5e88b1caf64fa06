/* Going through the names in Redis: patterns, cursors, and what SCAN may say. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "cache/keyscan.h"
#include "rig.h"
#include "support.h"

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

/* --- patterns -------------------------------------------------------------------------------- */

START_TEST(prefix_is_literal_in_the_pattern) {
    static const struct {
        const char *key_prefix;
        const char *prefix;
        const char *pattern;
    } rows[] = {
        {"", "", "*"},         {"", "user:", "user:*"},
        {"", "*", "\\**"},     {"", "a?b[c]d\\e", "a\\?b\\[c\\]d\\\\e*"},
        {"", "^-", "^-*"},     {"", "\xc3\xa9*", "\xc3\xa9\\**"},
        {"app:", "", "app:*"}, {"a*p:", "u?", "a\\*p:u\\?*"},
        {"[", "]", "\\[\\]*"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        (void)snprintf(rig.config.key_prefix, sizeof(rig.config.key_prefix), "%s",
                       rows[i].key_prefix);
        struct slice pattern = keyscan_pattern(&rig.request.arena, slice_of(rows[i].key_prefix),
                                               slice_of(rows[i].prefix));
        ck_assert_msg(slice_eq(pattern, slice_of(rows[i].pattern)), "%.*s instead of %s",
                      (int)pattern.n, pattern.p, rows[i].pattern);
    }
}
END_TEST

/* Every byte of it may take two. */
START_TEST(longest_pattern_has_room) {
    char prefix[KEY_MAX];
    memset(prefix, '*', sizeof(prefix));
    memset(rig.config.key_prefix, '?', KEY_PREFIX_MAX);
    rig.config.key_prefix[KEY_PREFIX_MAX] = '\0';
    struct slice pattern = keyscan_pattern(&rig.request.arena, slice_of(rig.config.key_prefix),
                                           (struct slice){prefix, sizeof(prefix)});
    ck_assert_uint_eq(pattern.n, 2 * (KEY_MAX + KEY_PREFIX_MAX) + 1);
    ck_assert_int_eq(pattern.p[pattern.n - 1], '*');
    ck_assert_int_eq(pattern.p[pattern.n - 3], '\\');
}
END_TEST

/* --- cursors --------------------------------------------------------------------------------- */

START_TEST(cursors_are_numbers_of_64_bits_in_one_spelling) {
    static const struct {
        struct slice text;
        bool good;
    } rows[] = {
        {{NULL, 0}, true},
        {SLICE_INIT(""), true},
        {SLICE_INIT("0"), true},
        {SLICE_INIT("1"), true},
        {SLICE_INIT("17"), true},
        {SLICE_INIT("9999999999999999999"), true},
        {SLICE_INIT("18446744073709551615"), true},
        {SLICE_INIT("18446744073709551616"), false},
        {SLICE_INIT("19000000000000000000"), false},
        {SLICE_INIT("99999999999999999999"), false},
        {SLICE_INIT("100000000000000000000"), false},
        {SLICE_INIT("00"), false},
        {SLICE_INIT("01"), false},
        {SLICE_INIT("-1"), false},
        {SLICE_INIT("+1"), false},
        {SLICE_INIT(" 1"), false},
        {SLICE_INIT("1 "), false},
        {SLICE_INIT("1.0"), false},
        {SLICE_INIT("0x1"), false},
        {SLICE_INIT("a"), false},
        {SLICE_INIT("1\0"), false},
        {SLICE_INIT("\xd9\xa1"), false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keyscan scan = {.cursor = "7", .cursor_n = 1};
        enum error e = keyscan_begin(&scan, rows[i].text);
        ck_assert_msg(e == (rows[i].good ? OK : E_INVALID_PARAMETER), "row %zu", i);
        struct slice expected = rows[i].good ? rows[i].text : SLICE("7");
        if (expected.n == 0)
            expected = SLICE("0");
        ck_assert(slice_eq(keyscan_cursor(&scan), expected));
    }
}
END_TEST

START_TEST(cursor_of_zero_is_the_end) {
    struct keyscan scan = {0};
    ck_assert_int_eq(keyscan_begin(&scan, SLICE("0")), OK);
    ck_assert(keyscan_is_over(&scan));
    ck_assert_int_eq(keyscan_begin(&scan, SLICE("10")), OK);
    ck_assert(!keyscan_is_over(&scan));
    ck_assert_int_eq(keyscan_begin(&scan, SLICE("5")), OK);
    ck_assert(!keyscan_is_over(&scan));
}
END_TEST

/* --- commands -------------------------------------------------------------------------------- */

static const char *asked(const struct keyscan *scan, unsigned count, bool strings_only) {
    struct request *r = &rig.request;
    ck_assert_int_eq(store_begin(r->service->store, &r->call, r->service->now), OK);
    keyscan_append(scan, r->service->store, &r->call, count, strings_only);
    store_commit(r->service->store, &r->call, r->service->now);
    const char *text = rig_commands(&rig);
    rig_reply(&rig, "*2\r\n$1\r\n0\r\n*0\r\n");
    return text;
}

START_TEST(scan_says_what_it_looks_for) {
    struct keyscan scan = {.pattern = SLICE("*")};
    rig_connect(&rig);
    ck_assert_int_eq(keyscan_begin(&scan, SLICE("18446744073709551615")), OK);
    ck_assert_str_eq(asked(&scan, 100, false), "SCAN 18446744073709551615 COUNT 100\n");
    ck_assert_str_eq(asked(&scan, 1, true), "SCAN 18446744073709551615 COUNT 1 TYPE string\n");
    scan.pattern = SLICE("a\\**");
    ck_assert_int_eq(keyscan_begin(&scan, SLICE("")), OK);
    ck_assert_str_eq(asked(&scan, 100, true), "SCAN 0 COUNT 100 MATCH a\\** TYPE string\n");
}
END_TEST

/* --- replies --------------------------------------------------------------------------------- */

static struct reply *put(enum reply_type type, int64_t integer, const char *text) {
    struct replies *replies = &rig.request.call.replies;
    struct reply node = {type, integer, replies->bytes.n, strlen(text)};
    buf_puts(&replies->bytes, text);
    buf_put(&replies->nodes, &node, sizeof(node));
    return (struct reply *)(void *)replies->nodes.p;
}

START_TEST(reply_moves_the_cursor_on) {
    struct keyscan scan = {.cursor = "0", .cursor_n = 1};
    const struct reply *names = NULL;
    put(REPLY_ARRAY, 2, "");
    put(REPLY_STRING, 0, "18446744073709551615");
    put(REPLY_ARRAY, 1, "");
    struct reply *reply = put(REPLY_STRING, 0, "name");
    ck_assert(keyscan_take(&scan, &rig.request.call.replies, reply, &names));
    ck_assert(slice_eq(keyscan_cursor(&scan), SLICE("18446744073709551615")));
    ck_assert_ptr_eq(names, reply + 2);
    ck_assert_int_eq(names->integer, 1);
}
END_TEST

START_TEST(replies_that_make_no_sense_are_not_taken) {
    enum { NODES_MAX = 5 };
    static const struct {
        struct {
            enum reply_type type;
            int64_t integer;
            const char *text;
        } nodes[NODES_MAX];
    } rows[] = {
        {{{REPLY_ERROR, 0, "ERR no"}}},
        {{{REPLY_STRING, 0, "0"}}},
        {{{REPLY_NIL, 0, ""}}},
        {{{REPLY_ARRAY, 0, ""}}},
        {{{REPLY_ARRAY, 1, ""}, {REPLY_STRING, 0, "0"}}},
        {{{REPLY_ARRAY, 3, ""}, {REPLY_STRING, 0, "0"}, {REPLY_ARRAY, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_INTEGER, 0, ""}, {REPLY_ARRAY, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, "0"}, {REPLY_STRING, 0, "name"}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, "0"}, {REPLY_NIL, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, ""}, {REPLY_ARRAY, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, "x"}, {REPLY_ARRAY, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, "0"}, {REPLY_ARRAY, 1, ""}, {REPLY_NIL, 0, ""}}},
        {{{REPLY_ARRAY, 2, ""},
          {REPLY_STRING, 0, "0"},
          {REPLY_ARRAY, 2, ""},
          {REPLY_STRING, 0, "a"},
          {REPLY_INTEGER, 5, ""}}},
        {{{REPLY_ARRAY, 2, ""}, {REPLY_STRING, 0, "18446744073709551616"}, {REPLY_ARRAY, 0, ""}}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keyscan scan = {.cursor = "7", .cursor_n = 1};
        const struct reply *names;
        struct reply *reply = NULL;
        call_reset(&rig.request.call);
        for (size_t j = 0; j < NODES_MAX && rows[i].nodes[j].text != NULL; j++)
            reply = put(rows[i].nodes[j].type, rows[i].nodes[j].integer, rows[i].nodes[j].text);
        ck_assert_msg(!keyscan_take(&scan, &rig.request.call.replies, reply, &names), "row %zu", i);
        ck_assert(slice_eq(keyscan_cursor(&scan), SLICE("7")));
    }
}
END_TEST

Suite *suite_keyscan(void) {
    Suite *s = suite_create("keyscan");
    TCase *t = tcase_create("keyscan");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, prefix_is_literal_in_the_pattern);
    tcase_add_test(t, longest_pattern_has_room);
    tcase_add_test(t, cursors_are_numbers_of_64_bits_in_one_spelling);
    tcase_add_test(t, cursor_of_zero_is_the_end);
    tcase_add_test(t, scan_says_what_it_looks_for);
    tcase_add_test(t, reply_moves_the_cursor_on);
    tcase_add_test(t, replies_that_make_no_sense_are_not_taken);
    suite_add_tcase(s, t);
    return s;
}
