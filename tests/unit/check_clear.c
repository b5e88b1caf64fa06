/* DELETE /cache: everything, a prefix, a tag; what is refused before anything is deleted, and what
 * is said when only some of it may be. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "support.h"
#include "talk.h"

#define SCAN(cursor) "SCAN " cursor " COUNT 32 MATCH u:*\n"

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig_connect(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

static enum step start(const char *target) {
    const struct talk talk = {.method = "DELETE", .target = target};
    return talk_start(&rig, &talk);
}

static void turn(const char *commands, const char *replies) {
    talk_expect(&rig, commands);
    ck_assert_msg(talk_reply(&rig, replies) == STEP_WAIT, "%s", talk_answer(&rig));
}

static void last_turn(const char *commands, const char *replies, const char *answer) {
    talk_expect(&rig, commands);
    ck_assert_int_eq(talk_reply(&rig, replies), STEP_ANSWER);
    (void)rig_json(&rig);
    talk_check_answer(&rig, answer);
}

static uint64_t counted(enum stat_id id) {
    return stats_read(&rig.service.row->counter[id]);
}

static void check_problem(enum error e, const char *outcome) {
    char type[80];
    const char *answer = talk_answer(&rig);
    (void)snprintf(type, sizeof(type), "%d {\"type\":\"/errors/%s\",", error_info(e)->status,
                   error_info(e)->slug);
    ck_assert_msg(strncmp(answer, type, strlen(type)) == 0, "%s instead of %s", answer, type);
    (void)snprintf(type, sizeof(type), "\"outcome\":\"%s\"", outcome != NULL ? outcome : "");
    ck_assert_msg((strstr(answer, type) != NULL) == (outcome != NULL), "%s", answer);
}

/* --- everything ------------------------------------------------------------------------------ */

START_TEST(everything_is_one_command) {
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    last_turn("FLUSHDB ASYNC\n", "+OK", "200 {\"cleared\":true,\"timestamp\":\"~\"}");
    ck_assert_uint_eq(counted(STAT_clears), 1);
    ck_assert_uint_eq(counted(STAT_deletes), 0);
    /* What should stand in the query was never set. */
    ck_assert_int_eq(start("/cache?"), STEP_ANSWER);
    check_problem(E_INVALID_PARAMETER, NULL);
}
END_TEST

/* Others' names stay. */
START_TEST(everything_is_what_has_the_prefix_where_others_are) {
    teardown();
    rig_setup(&rig);
    (void)snprintf(rig.config.key_prefix, sizeof(rig.config.key_prefix), "a*:");
    request_init(&rig.request, &rig.service);
    rig_connect(&rig);
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    turn("SCAN 0 COUNT 32 MATCH a\\*:*\n", "[2\n$0\n[2\n$a*:k\n$a*:\\xfftag:x");
    last_turn("UNLINK a*:k a*:\\xfftag:x\n", ":2", "200 {\"cleared\":true,\"timestamp\":\"~\"}");
    ck_assert_uint_eq(counted(STAT_clears), 1);
    ck_assert_int_eq(start("/cache?prefix=u"), STEP_WAIT);
    turn("SCAN 0 COUNT 32 MATCH a\\*:u*\n", "[2\n$0\n[1\n$a*:u1");
    last_turn("UNLINK a*:u1\n", ":1", "200 {\"deleted\":1,\"timestamp\":\"~\"}");
    ck_assert_int_eq(start("/cache?tag=x"), STEP_WAIT);
    last_turn("UNLINK a*:\\xfftag:x\n", ":1",
              "200 {\"invalidated\":true,\"tag\":\"x\",\"timestamp\":\"~\"}");
}
END_TEST

/* What FLUSHDB and the UNLINK of one name never say. */
START_TEST(replies_of_other_commands_are_no_success) {
    static const struct {
        const char *target;
        const char *reply;
    } rows[] = {
        {"/cache", "+QUEUED"},   {"/cache", "+PONG"},     {"/cache", "-NOSCRIPT no"},
        {"/cache?tag=x", ":2"},  {"/cache?tag=x", ":-1"}, {"/cache?tag=x", "-NOSCRIPT no"},
        {"/cache?tag=x", "+OK"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        teardown();
        setup();
        ck_assert_int_eq(start(rows[i].target), STEP_WAIT);
        (void)rig_commands(&rig);
        ck_assert_int_eq(talk_reply(&rig, rows[i].reply), STEP_ANSWER);
        check_problem(E_BACKEND_ERROR, "unknown");
        ck_assert_msg(talk_is_distrusted(&rig), "%s %s", rows[i].target, rows[i].reply);
    }
}
END_TEST

START_TEST(everything_may_fail) {
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, "-NOPERM no"), STEP_ANSWER);
    check_problem(E_BACKEND_REFUSED, "not-applied");
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, "-ERR strange"), STEP_ANSWER);
    check_problem(E_BACKEND_ERROR, "unknown");
    ck_assert(!talk_is_distrusted(&rig));
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, ":1"), STEP_ANSWER);
    check_problem(E_BACKEND_ERROR, "unknown");
    ck_assert(talk_is_distrusted(&rig));
    ck_assert_uint_eq(counted(STAT_clears), 0);
}
END_TEST

START_TEST(redis_may_leave_while_it_clears) {
    ck_assert_int_eq(start("/cache"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
    check_problem(E_BACKEND_UNAVAILABLE, "unknown");
    ck_assert_int_eq(start("/cache"), STEP_ANSWER);
    check_problem(E_BACKEND_UNAVAILABLE, "not-applied");
}
END_TEST

/* --- a prefix -------------------------------------------------------------------------------- */

START_TEST(prefix_is_gone_through_in_steps) {
    ck_assert_int_eq(start("/cache?prefix=u%3A"), STEP_WAIT);
    turn(SCAN("0"), "[2\n$17\n[2\n$u:1\n$u:2");
    turn("UNLINK u:1 u:2\n" SCAN("17"), ":2\n[2\n$18446744073709551615\n[0");
    turn(SCAN("18446744073709551615"), "[2\n$5\n[1\n$u:3");
    /* One that was gone already is not counted. */
    turn("UNLINK u:3\n" SCAN("5"), ":0\n[2\n$0\n[1\n$u:4");
    last_turn("UNLINK u:4\n", ":1", "200 {\"deleted\":3,\"timestamp\":\"~\"}");
    ck_assert_uint_eq(counted(STAT_deletes), 3);
    ck_assert_uint_eq(counted(STAT_clears), 0);
}
END_TEST

START_TEST(prefix_of_nothing_deletes_nothing) {
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    last_turn(SCAN("0"), "[2\n$0\n[0", "200 {\"deleted\":0,\"timestamp\":\"~\"}");
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    turn(SCAN("0"), "[2\n$1\n[1\n$u:1");
    last_turn("UNLINK u:1\n" SCAN("1"), ":1\n[2\n$0\n[0",
              "200 {\"deleted\":1,\"timestamp\":\"~\"}");
}
END_TEST

START_TEST(prefix_is_literal) {
    ck_assert_int_eq(start("/cache?prefix=%2A%5Ba%5D+b"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 MATCH \\*\\[a\\] b*\n", "[2\n$0\n[0",
              "200 {\"deleted\":0,\"timestamp\":\"~\"}");
}
END_TEST

/* SCAN may give many more than it was asked for. */
START_TEST(many_names_take_several_commands) {
    enum { NAMES = 300, AT_ONCE = 128 };
    struct buf replies = {0};
    buf_printf(&replies, "[2\n$0\n[%d\n", NAMES);
    for (int i = 0; i < NAMES; i++)
        buf_printf(&replies, "$u:%d\n", i);
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    turn(SCAN("0"), replies.p);
    struct buf commands = {0};
    for (int i = 0; i < NAMES; i++)
        buf_printf(&commands, "%s u:%d%s", i % AT_ONCE == 0 ? "UNLINK" : "", i,
                   i % AT_ONCE == AT_ONCE - 1 || i == NAMES - 1 ? "\n" : "");
    buf_put_char(&commands, '\0');
    last_turn(commands.p, ":128\n:128\n:44", "200 {\"deleted\":300,\"timestamp\":\"~\"}");
    buf_fini(&replies);
    buf_fini(&commands);
}
END_TEST

START_TEST(last_command_may_be_full) {
    struct buf replies = {0};
    buf_puts(&replies, "[2\n$0\n[128\n");
    for (int i = 0; i < 128; i++)
        buf_puts(&replies, "$u:\n");
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    turn(SCAN("0"), replies.p);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, ":128"), STEP_ANSWER);
    talk_check_answer(&rig, "200 {\"deleted\":128,\"timestamp\":\"~\"}");
    buf_fini(&replies);
}
END_TEST

START_TEST(nobody_waits_any_more) {
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    turn(SCAN("0"), "[2\n$17\n[1\n$u:1");
    rig.request.peer_gone = true;
    last_turn("UNLINK u:1\n" SCAN("17"), ":1\n[2\n$5\n[1\n$u:2",
              "200 {\"deleted\":1,\"timestamp\":\"~\"}");
}
END_TEST

START_TEST(client_may_want_little_back) {
    const struct talk talk = {
        .method = "DELETE", .target = "/cache?prefix=u:", .prefer = "return=minimal"};
    ck_assert_int_eq(talk_start(&rig, &talk), STEP_WAIT);
    talk_expect(&rig, SCAN("0"));
    ck_assert_int_eq(talk_reply(&rig, "[2\n$0\n[0"), STEP_ANSWER);
    talk_check_answer(&rig, "204 ");
}
END_TEST

/* Once something is deleted, no failure is called not-applied. */
static const struct {
    const char *replies[3]; /* of the turns; the last one fails */
    const char *outcome;
    enum error e;
    bool distrust;
} failures[] = {
    {{"-BUSY x"}, "not-applied", E_BACKEND_BUSY, false},
    {{"-ERR strange"}, "not-applied", E_BACKEND_ERROR, false},
    {{":1"}, "not-applied", E_BACKEND_ERROR, true},
    {{"-NOSCRIPT x"}, "not-applied", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", "-NOSCRIPT x\n[2\n$0\n[0"}, "unknown", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", ":-1\n[2\n$0\n[0"}, "unknown", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", ":129\n[2\n$0\n[0"}, "unknown", E_BACKEND_ERROR, true},
    {{"[2\n$x\n[0"}, "not-applied", E_BACKEND_ERROR, true},
    {{"[2\n$0\n[1\n_"}, "not-applied", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", "-READONLY x\n-READONLY x"}, "not-applied", E_BACKEND_READONLY, false},
    {{"[2\n$5\n[1\n$u:1", "-ERR strange\n-ERR strange"}, "unknown", E_BACKEND_ERROR, false},
    {{"[2\n$5\n[1\n$u:1", "+OK\n[2\n$0\n[0"}, "unknown", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", ":1\n-BUSY x"}, "unknown", E_BACKEND_BUSY, false},
    {{"[2\n$5\n[1\n$u:1", ":0\n-BUSY x"}, "not-applied", E_BACKEND_BUSY, false},
    {{"[2\n$5\n[1\n$u:1", ":0\n:1"}, "unknown", E_BACKEND_ERROR, true},
    {{"[2\n$5\n[1\n$u:1", ":1\n[2\n$7\n[1\n$u:2", "-READONLY x\n-READONLY x"},
     "unknown",
     E_BACKEND_READONLY,
     false},
    {{"[2\n$5\n[1\n$u:1", ":1\n[2\n$7\n[1\n$u:2", ":0\n:5"}, "unknown", E_BACKEND_ERROR, true},
};

START_TEST(steps_may_fail) {
    size_t turns = 0;
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    while (turns < 3 && failures[_i].replies[turns] != NULL)
        turns++;
    for (size_t i = 0; i < turns; i++) {
        (void)rig_commands(&rig);
        enum step step = talk_reply(&rig, failures[_i].replies[i]);
        ck_assert_int_eq(step, i + 1 < turns ? STEP_WAIT : STEP_ANSWER);
    }
    check_problem(failures[_i].e, failures[_i].outcome);
    ck_assert_int_eq(talk_is_distrusted(&rig), failures[_i].distrust);
}
END_TEST

/* Of several commands in a step, the others may have done their part. */
START_TEST(one_of_several_unlinks_may_fail) {
    struct buf replies = {0};
    buf_puts(&replies, "[2\n$0\n[200\n");
    for (int i = 0; i < 200; i++)
        buf_puts(&replies, "$u:\n");
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
    turn(SCAN("0"), replies.p);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, "-BUSY x\n:72"), STEP_ANSWER);
    check_problem(E_BACKEND_BUSY, "unknown");
    buf_fini(&replies);
}
END_TEST

START_TEST(redis_may_leave_at_every_step) {
    static const char *const replies[] = {"[2\n$5\n[1\n$u:1", ":1\n[2\n$7\n[1\n$u:2",
                                          ":1\n[2\n$0\n[1\n$u:3"};
    for (size_t turns = 0; turns <= COUNT_OF(replies); turns++) {
        for (int how = 0; how < 3; how++) {
            teardown();
            setup();
            ck_assert_int_eq(start("/cache?prefix=u:"), STEP_WAIT);
            for (size_t i = 0; i < turns; i++) {
                (void)rig_commands(&rig);
                talk_deliver(&rig, replies[i]);
                if (how == 0 && i + 1 == turns)
                    talk_lose_redis(&rig);
                enum step step = request_continue(&rig.request);
                ck_assert_int_eq(step, how == 0 && i + 1 == turns ? STEP_ANSWER : STEP_WAIT);
            }
            if (how == 0 && turns == 0)
                continue;
            if (how == 2)
                (void)rig_commands(&rig); /* it has left us, and may have been done */
            if (how > 0)
                ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
            bool unknown = turns > 1 || (turns == 1 && how == 2);
            check_problem(E_BACKEND_UNAVAILABLE, unknown ? "unknown" : "not-applied");
        }
    }
}
END_TEST

/* --- a tag ----------------------------------------------------------------------------------- */

START_TEST(tag_is_one_command) {
    ck_assert_int_eq(start("/cache?tag=a%22b"), STEP_WAIT);
    last_turn("UNLINK \\xfftag:a\"b\n", ":1",
              "200 {\"invalidated\":true,\"tag\":\"a\\\"b\",\"timestamp\":\"~\"}");
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nCache-Group-Invalidation: \"a\\\"b\"\r\n"));
    ck_assert_int_eq(start("/cache?tag=%C3%A9"), STEP_WAIT);
    last_turn("UNLINK \\xfftag:\xc3\xa9\n", ":0",
              "200 {\"invalidated\":true,\"tag\":\"\xc3\xa9\",\"timestamp\":\"~\"}");
    ck_assert_ptr_null(strstr(rig_head(&rig), "Cache-Group-Invalidation"));
    ck_assert_uint_eq(counted(STAT_clears) + counted(STAT_deletes), 0);
}
END_TEST

START_TEST(tag_may_fail) {
    ck_assert_int_eq(start("/cache?tag=a"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, "-MISCONF x"), STEP_ANSWER);
    check_problem(E_BACKEND_READONLY, "not-applied");
    ck_assert_int_eq(start("/cache?tag=a"), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, "+OK"), STEP_ANSWER);
    check_problem(E_BACKEND_ERROR, "unknown");
    ck_assert(talk_is_distrusted(&rig));
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

START_TEST(parameters_that_are_none_delete_nothing) {
    static const struct {
        const char *query;
        enum error e;
    } rows[] = {
        {"prefix", E_INVALID_PARAMETER},
        {"prefix=", E_INVALID_PARAMETER},
        {"tag=", E_INVALID_PARAMETER},
        {"tag", E_INVALID_PARAMETER},
        {"prefix=a&tag=b", E_INVALID_PARAMETER},
        {"prefix=&tag=", E_INVALID_PARAMETER},
        {"prefix=a&prefix=b", E_INVALID_PARAMETER},
        {"tag=a&tag=a", E_INVALID_PARAMETER},
        {"prefix=%0A", E_INVALID_PARAMETER},
        {"prefix=%FF", E_INVALID_PARAMETER},
        {"prefix=%", E_INVALID_PARAMETER},
        {"tag=%0A", E_INVALID_TAG},
        {"tag=%FF", E_INVALID_TAG},
        {"key=a", E_UNKNOWN_PARAMETER},
        {"prefix=a&x", E_UNKNOWN_PARAMETER},
        {"Prefix=a", E_UNKNOWN_PARAMETER},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char target[64];
        (void)snprintf(target, sizeof(target), "/cache?%s", rows[i].query);
        ck_assert_msg(start(target) == STEP_ANSWER, "%s", target);
        check_problem(rows[i].e, NULL);
        ck_assert_str_eq(rig_commands(&rig), "");
    }
}
END_TEST

/* `n` letters as the value. */
static enum step start_long(const char *name, size_t n) {
    struct buf target = {0};
    buf_printf(&target, "/cache?%s=", name);
    for (size_t i = 0; i < n; i++)
        buf_put_char(&target, 'x');
    buf_put_char(&target, '\0');
    enum step step = start(target.p);
    (void)rig_commands(&rig);
    buf_fini(&target);
    return step;
}

START_TEST(values_are_measured) {
    ck_assert_int_eq(start_long("prefix", KEY_MAX), STEP_WAIT);
    ck_assert_int_eq(talk_reply(&rig, "[2\n$0\n[0"), STEP_ANSWER);
    ck_assert_int_eq(start_long("prefix", KEY_MAX + 1), STEP_ANSWER);
    check_problem(E_INVALID_PARAMETER, NULL);
    ck_assert_int_eq(start_long("tag", ENTRY_TAG_BYTES_MAX), STEP_WAIT);
    ck_assert_int_eq(talk_reply(&rig, ":0"), STEP_ANSWER);
    ck_assert_int_eq(start_long("tag", ENTRY_TAG_BYTES_MAX + 1), STEP_ANSWER);
    check_problem(E_INVALID_TAG, NULL);
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_clear(void) {
    Suite *s = suite_create("clear");
    TCase *t = add_case(s, "everything");
    tcase_add_test(t, everything_is_one_command);
    tcase_add_test(t, everything_is_what_has_the_prefix_where_others_are);
    tcase_add_test(t, replies_of_other_commands_are_no_success);
    tcase_add_test(t, everything_may_fail);
    tcase_add_test(t, redis_may_leave_while_it_clears);
    t = add_case(s, "prefix");
    tcase_add_test(t, prefix_is_gone_through_in_steps);
    tcase_add_test(t, prefix_of_nothing_deletes_nothing);
    tcase_add_test(t, prefix_is_literal);
    tcase_add_test(t, many_names_take_several_commands);
    tcase_add_test(t, last_command_may_be_full);
    tcase_add_test(t, nobody_waits_any_more);
    tcase_add_test(t, client_may_want_little_back);
    tcase_add_loop_test(t, steps_may_fail, 0, COUNT_OF(failures));
    tcase_add_test(t, one_of_several_unlinks_may_fail);
    tcase_add_test(t, redis_may_leave_at_every_step);
    t = add_case(s, "tag");
    tcase_add_test(t, tag_is_one_command);
    tcase_add_test(t, tag_may_fail);
    t = add_case(s, "refused");
    tcase_add_test(t, parameters_that_are_none_delete_nothing);
    tcase_add_test(t, values_are_measured);
    return s;
}
