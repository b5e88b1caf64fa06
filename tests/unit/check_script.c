/* Calls of scripts: what is sent, and how a Redis that has lost them is known. */
#include "units.h"

#include <string.h>

#include "base/digest.h"
#include "redis/script.h"
#include "rig.h"
#include "support.h"

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig_connect(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

/* Sends it, and gives what came out at Redis's end. */
static const char *sent(struct script_call *script) {
    struct call *call = &rig.request.call;
    ck_assert_int_eq(store_begin(rig.service.store, call, rig.service.now), OK);
    script_send(script, rig.service.store, call);
    ck_assert_uint_eq(call->wanted, 1);
    store_commit(rig.service.store, call, rig.service.now);
    const char *text = rig_commands(&rig);
    rig_reply(&rig, "+OK\r\n");
    return text;
}

START_TEST(digest_goes_first_and_the_text_if_it_is_asked_for) {
    for (enum script i = 0; i < SCRIPT_COUNT; i++) {
        struct script_call script;
        char digest[DIGEST_SHA1_HEX];
        digest_sha1_hex(script_text(i), digest);
        script_begin(&script, i, false);
        ck_assert(slice_eq(script.args[0], SLICE("EVALSHA")));
        ck_assert(slice_eq(script.args[1], (struct slice){digest, sizeof(digest)}));
        script_begin(&script, i, true);
        ck_assert(slice_eq(script.args[0], SLICE("EVAL")));
        ck_assert(slice_eq(script.args[1], script_text(i)));
    }
}
END_TEST

/* The texts are read from files at build time: each is there, and none is another. */
START_TEST(every_script_has_a_text_of_its_own) {
    for (enum script i = 0; i < SCRIPT_COUNT; i++) {
        struct slice text = script_text(i);
        ck_assert_ptr_nonnull(memmem(text.p, text.n, "\n-- KEYS", 8));
        ck_assert_ptr_nonnull(memmem(text.p, text.n, "redis.call(", 11));
        ck_assert_int_eq(text.p[text.n - 1], '\n');
        for (enum script j = 0; j < i; j++)
            ck_assert(!slice_eq(text, script_text(j)));
    }
}
END_TEST

START_TEST(keys_are_counted_and_arguments_follow) {
    struct script_call script;
    script_begin(&script, SCRIPT_guard, false);
    ck_assert_str_eq(sent(&script), "EVALSHA guard 0\n");
    script_begin(&script, SCRIPT_guard, false);
    script_arg(&script, SLICE("a"));
    ck_assert_str_eq(sent(&script), "EVALSHA guard 0 a\n");
    script_begin(&script, SCRIPT_tags, true);
    script_key(&script, SLICE("k1"));
    script_key(&script, SLICE("k2"));
    script_arg(&script, SLICE("a"));
    script_arg(&script, SLICE(""));
    script_arg(&script, SLICE("c"));
    ck_assert_str_eq(sent(&script), "EVAL tags 2 k1 k2 a  c\n");
}
END_TEST

/* An entry, 32 tags, five arguments and 32 nonces. */
START_TEST(longest_call_has_room) {
    struct script_call script;
    script_begin(&script, SCRIPT_guard, false);
    for (int i = 0; i < 33; i++)
        script_key(&script, SLICE("k"));
    for (int i = 0; i < 5 + 32; i++)
        script_arg(&script, SLICE("a"));
    const char *text = sent(&script);
    ck_assert_int_eq(strncmp(text, "EVALSHA guard 33 k k ", 21), 0);
    size_t words = 1;
    for (const char *p = text; *p != '\0'; p++)
        words += *p == ' ';
    ck_assert_uint_eq(words, 3 + 33 + 5 + 32);
}
END_TEST

START_TEST(noscript_is_told_from_every_other_error) {
    static const struct {
        const char *text;
        enum reply_type type;
        bool missing;
    } rows[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", REPLY_ERROR, true},
        {"NOSCRIPT", REPLY_ERROR, true},
        {"ERR NOSCRIPT", REPLY_ERROR, false},
        {"NOPERM no", REPLY_ERROR, false},
        {"OOM", REPLY_ERROR, false},
        {"NOSCRIPT No matching script.", REPLY_STRING, false},
        {"NOSCRIPT No matching script.", REPLY_STATUS, false},
        {"", REPLY_NIL, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct replies replies = {0};
        struct reply node = {rows[i].type, 0, 0, strlen(rows[i].text)};
        buf_puts(&replies.bytes, rows[i].text);
        buf_put(&replies.nodes, &node, sizeof(node));
        ck_assert_int_eq(script_is_missing(&replies, replies_get(&replies, 0)), rows[i].missing);
        buf_fini(&replies.nodes);
        buf_fini(&replies.bytes);
    }
}
END_TEST

Suite *suite_script(void) {
    Suite *s = suite_create("script");
    TCase *t = tcase_create("script");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, digest_goes_first_and_the_text_if_it_is_asked_for);
    tcase_add_test(t, every_script_has_a_text_of_its_own);
    tcase_add_test(t, keys_are_counted_and_arguments_follow);
    tcase_add_test(t, longest_call_has_room);
    tcase_add_test(t, noscript_is_told_from_every_other_error);
    suite_add_tcase(s, t);
    return s;
}
