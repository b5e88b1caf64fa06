/* GET /keys: pages of keys out of SCAN's steps, and the names that are none. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "support.h"
#include "talk.h"

enum { STEPS_MAX = 150 };

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig_connect(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

static enum step start(const char *target) {
    const struct talk talk = {.method = "GET", .target = target};
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

/* --- pages ----------------------------------------------------------------------------------- */

START_TEST(page_may_be_all_there_is) {
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$0\n[2\n$a\"\n$\xc3\xa9/b",
              "200 {\"keys\":[\"a\\\"\",\"\xc3\xa9/b\"],\"cursor\":null}");
    ck_assert_ptr_null(strstr(rig_head(&rig), "Link:"));
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nCache-Control: no-store\r\n"));
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$0\n[0", "200 {\"keys\":[],\"cursor\":null}");
}
END_TEST

START_TEST(page_goes_on_until_it_is_full) {
    ck_assert_int_eq(start("/keys?limit=2"), STEP_WAIT);
    turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$5\n[0");
    turn("SCAN 5 COUNT 32 TYPE string\n", "[2\n$7\n[1\n$a");
    last_turn("SCAN 7 COUNT 32 TYPE string\n", "[2\n$18446744073709551615\n[2\n$b\n$c",
              "200 {\"keys\":[\"a\",\"b\",\"c\"],\"cursor\":\"18446744073709551615\"}");
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nLink: </keys?limit=2&cursor="
                                                 "18446744073709551615>; rel=\"next\"\r\n"));
}
END_TEST

START_TEST(next_page_begins_where_the_last_one_ended) {
    ck_assert_int_eq(start("/keys?cursor=18446744073709551615&limit=1&prefix=u%3A%2A%20%C3%A9"),
                     STEP_WAIT);
    last_turn("SCAN 18446744073709551615 COUNT 32 MATCH u:\\* \xc3\xa9* TYPE string\n",
              "[2\n$9\n[1\n$u:* \xc3\xa9", "200 {\"keys\":[\"u:* \xc3\xa9\"],\"cursor\":\"9\"}");
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nLink: </keys?prefix=u:%2A%20%C3%A9&limit=1&"
                                                 "cursor=9>; rel=\"next\"\r\n"));
}
END_TEST

/* A page of few keys in a large Redis ends by itself. */
START_TEST(page_takes_so_many_steps_at_most) {
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    (void)rig_commands(&rig);
    for (int i = 1; i < STEPS_MAX; i++) {
        ck_assert_int_eq(talk_reply(&rig, "[2\n$5\n[0"), STEP_WAIT);
        talk_expect(&rig, "SCAN 5 COUNT 32 TYPE string\n");
    }
    ck_assert_int_eq(talk_reply(&rig, "[2\n$6\n[0"), STEP_ANSWER);
    talk_check_answer(&rig, "200 {\"keys\":[],\"cursor\":\"6\"}");
}
END_TEST

START_TEST(nobody_waits_any_more) {
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    rig.request.peer_gone = true;
    last_turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$5\n[0", "200 {\"keys\":[],\"cursor\":\"5\"}");
}
END_TEST

/* --- names ----------------------------------------------------------------------------------- */

START_TEST(names_that_are_no_keys_are_left_out) {
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 TYPE string\n",
              "[2\n$0\n[9\n$a\n$\\xfftag:a\n$\n$a//b\n$/a\n$..\n$a\\n\n$\\0\n$z",
              "200 {\"keys\":[\"a\",\"z\"],\"cursor\":null}");
}
END_TEST

START_TEST(keys_are_shown_without_the_prefix) {
    teardown();
    rig_setup(&rig);
    (void)snprintf(rig.config.key_prefix, sizeof(rig.config.key_prefix), "app:");
    request_init(&rig.request, &rig.service);
    rig_connect(&rig);
    ck_assert_int_eq(start("/keys?prefix=u&limit=1"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 MATCH app:u* TYPE string\n",
              "[2\n$3\n[6\n$app:u1\n$app:\n$app\n$apq:u2\n$app:\\xfftag:a\n$u3",
              "200 {\"keys\":[\"u1\"],\"cursor\":\"3\"}");
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "</keys?prefix=u&limit=1&cursor=3>"));
    ck_assert_int_eq(start("/keys"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 MATCH app:* TYPE string\n", "[2\n$0\n[0",
              "200 {\"keys\":[],\"cursor\":null}");
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

START_TEST(parameters_that_are_none_are_refused) {
    static const char *const queries[] = {
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=1.0",
        "limit=01",
        "limit=",
        "limit",
        "limit=x",
        "limit=1&limit=1",
        "cursor=x",
        "cursor=-1",
        "cursor=01",
        "cursor=1x",
        "cursor=0&cursor=0",
        "prefix=%0A",
        "prefix=%FF",
        "prefix=a&prefix=a",
        "prefix=%",
        "limit=99999999999999999999",
        "cursor=18446744073709551616",
    };
    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        char target[64];
        (void)snprintf(target, sizeof(target), "/keys?%s", queries[i]);
        ck_assert_msg(start(target) == STEP_ANSWER, "%s", target);
        ck_assert_int_eq(rig.request.response.status, 400);
        ck_assert_ptr_nonnull(strstr(rig_json(&rig), "/errors/invalid-parameter"));
        ck_assert_str_eq(rig_commands(&rig), "");
    }
}
END_TEST

START_TEST(parameters_may_be_empty_or_others) {
    static const char *const queries[] = {"",         "?",         "?prefix=",   "?prefix",
                                          "?cursor=", "?cursor=0", "?limit=100", "?x=%FF&y"};
    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        char target[64];
        (void)snprintf(target, sizeof(target), "/keys%s", queries[i]);
        ck_assert_msg(start(target) == STEP_WAIT, "%s: %s", target, talk_answer(&rig));
        last_turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$0\n[0",
                  "200 {\"keys\":[],\"cursor\":null}");
    }
}
END_TEST

START_TEST(limits_are_met_exactly) {
    ck_assert_int_eq(start("/keys?limit=1"), STEP_WAIT);
    last_turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$1\n[1\n$a",
              "200 {\"keys\":[\"a\"],\"cursor\":\"1\"}");
    ck_assert_int_eq(start("/keys?limit=1000"), STEP_WAIT);
    turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$1\n[1\n$a");
    last_turn("SCAN 1 COUNT 32 TYPE string\n", "[2\n$0\n[1\n$b",
              "200 {\"keys\":[\"a\",\"b\"],\"cursor\":null}");
}
END_TEST

/* --- failures -------------------------------------------------------------------------------- */

/* Nothing is left of the page that had begun. */
START_TEST(step_that_fails_fails_the_page) {
    static const struct {
        const char *reply;
        const char *type;
        bool distrust;
    } rows[] = {
        {"-BUSY x", "{\"type\":\"/errors/backend-busy\",", false},
        {"-ERR strange", "{\"type\":\"/errors/backend-error\",", false},
        {"+OK", "{\"type\":\"/errors/backend-error\",", true},
        {"-NOSCRIPT x", "{\"type\":\"/errors/backend-error\",", true},
        {"[2\n$0\n$a", "{\"type\":\"/errors/backend-error\",", true},
        {"[2\n$0\n[2\n$b\n:5", "{\"type\":\"/errors/backend-error\",", true},
        {"[2\n$0x\n[0", "{\"type\":\"/errors/backend-error\",", true},
        {"[1\n$0", "{\"type\":\"/errors/backend-error\",", true},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        teardown();
        setup();
        ck_assert_int_eq(start("/keys"), STEP_WAIT);
        turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$5\n[1\n$a");
        talk_expect(&rig, "SCAN 5 COUNT 32 TYPE string\n");
        ck_assert_int_eq(talk_reply(&rig, rows[i].reply), STEP_ANSWER);
        ck_assert_int_eq(rig.request.response.status, 503);
        ck_assert_msg(strncmp(rig_json(&rig), rows[i].type, strlen(rows[i].type)) == 0, "%s",
                      rig_body(&rig));
        ck_assert_ptr_null(strstr(rig_body(&rig), "outcome"));
        ck_assert_int_eq(talk_is_distrusted(&rig), rows[i].distrust);
    }
}
END_TEST

START_TEST(redis_may_leave_at_every_step) {
    for (int how = 0; how < 2; how++) {
        teardown();
        setup();
        ck_assert_int_eq(start("/keys"), STEP_WAIT);
        turn("SCAN 0 COUNT 32 TYPE string\n", "[2\n$5\n[1\n$a");
        (void)rig_commands(&rig);
        if (how == 0) {
            ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
        } else {
            talk_deliver(&rig, "[2\n$5\n[1\n$a");
            talk_lose_redis(&rig);
            ck_assert_int_eq(request_continue(&rig.request), STEP_ANSWER);
        }
        ck_assert_int_eq(rig.request.response.status, 503);
        ck_assert_ptr_nonnull(strstr(rig_json(&rig), "{\"type\":\"/errors/backend-unavailable\""));
        ck_assert_ptr_null(strstr(rig_body(&rig), "outcome"));
    }
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_keys(void) {
    Suite *s = suite_create("keys");
    TCase *t = add_case(s, "pages");
    tcase_add_test(t, page_may_be_all_there_is);
    tcase_add_test(t, page_goes_on_until_it_is_full);
    tcase_add_test(t, next_page_begins_where_the_last_one_ended);
    tcase_add_test(t, page_takes_so_many_steps_at_most);
    tcase_add_test(t, nobody_waits_any_more);
    t = add_case(s, "names");
    tcase_add_test(t, names_that_are_no_keys_are_left_out);
    tcase_add_test(t, keys_are_shown_without_the_prefix);
    t = add_case(s, "refused");
    tcase_add_test(t, parameters_that_are_none_are_refused);
    tcase_add_test(t, parameters_may_be_empty_or_others);
    tcase_add_test(t, limits_are_met_exactly);
    t = add_case(s, "failures");
    tcase_add_test(t, step_that_fails_fails_the_page);
    tcase_add_test(t, redis_may_leave_at_every_step);
    return s;
}
