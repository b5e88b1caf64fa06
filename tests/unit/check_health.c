/* /health, /health/live, /health/ready: what they say of a Redis that comes and goes. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "redis/breaker.h"
#include "rig.h"

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

static struct breaker_state *breaker(void) {
    return &rig.service.segment->breaker;
}

static void move_time(int64_t ms) {
    rig.service.now += ms * NS_PER_MS;
}

/* The answer's status; its body must be JSON of the type that goes with the status. */
static int ask(enum step (*plan)(struct request *)) {
    request_reset(&rig.request);
    ck_assert_int_eq(plan(&rig.request), STEP_ANSWER);
    int status = rig.request.response.status;
    ck_assert(slice_eq(rig.request.response.content_type, status == 200
                                                              ? SLICE("application/json")
                                                              : SLICE("application/problem+json")));
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "Cache-Control: no-store\r\n"));
    rig_json(&rig);
    return status;
}

static bool body_has(const char *text) {
    return strstr(rig_body(&rig), text) != NULL;
}

static void expect_ready(void) {
    ck_assert_int_eq(ask(health_ready_plan), 200);
    ck_assert(body_has("{\"status\":\"ready\",\"timestamp\":\""));
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("{\"status\":\"healthy\",\"timestamp\":\""));
    ck_assert_int_eq(ask(health_live_plan), 200);
}

/* `e` is what is wrong with Redis. */
static void expect_not_ready(enum error e) {
    char reason[64];
    const struct error_info *info = error_info(e);
    (void)snprintf(reason, sizeof(reason), ",\"reason\":\"%s\"}", info->slug);
    ck_assert_int_eq(ask(health_ready_plan), 503);
    ck_assert(body_has(info->slug) && body_has(info->detail));
    ck_assert_int_eq(ask(health_plan), 503);
    ck_assert(body_has("\"type\":\"/errors/backend-unavailable\""));
    ck_assert(body_has("\"detail\":\"Redis connection failed\""));
    ck_assert(body_has(reason));
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "Retry-After: 1\r\n"));
    ck_assert_int_eq(ask(health_live_plan), 200);
}

START_TEST(live_needs_nothing) {
    ck_assert_int_eq(ask(health_live_plan), 200);
    ck_assert(body_has("{\"status\":\"alive\",\"timestamp\":\""));
}
END_TEST

START_TEST(a_worker_that_never_had_a_connection_is_not_ready) {
    expect_not_ready(E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(no_reply_yet_is_none_right_after_boot_too) {
    rig.service.now = rig.service.started = NS_PER_S;
    expect_not_ready(E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(a_connection_makes_it_ready_for_good) {
    rig_connect(&rig);
    expect_ready();
    move_time(3600000);
    expect_ready();
}
END_TEST

START_TEST(health_says_since_when) {
    rig_connect(&rig);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("\"redis\":\"connected\""));
    ck_assert(body_has("\"version\":\"" PACKAGE_VERSION "\""));
    ck_assert(body_has("\"uptime_seconds\":100}"));
}
END_TEST

START_TEST(missing_workers_degrade_it_after_a_second) {
    rig_connect(&rig);
    atomic_store(&rig.service.segment->short_since, rig.service.now);
    move_time(999);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("\"healthy\"") && !body_has("reasons"));
    move_time(1);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("{\"status\":\"degraded\",") &&
              body_has("\"reasons\":[\"workers-missing\"]}"));
    ck_assert_int_eq(ask(health_ready_plan), 200);
    atomic_store(&rig.service.segment->reload_refused, 1);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("[\"workers-missing\",\"reload-refused\"]"));
    atomic_store(&rig.service.segment->short_since, 0);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("{\"status\":\"degraded\",") &&
              body_has("\"reasons\":[\"reload-refused\"]}"));
}
END_TEST

/* Anything may stand there: it is no overflow, and no reason. */
START_TEST(a_time_that_is_none_is_no_reason) {
    const int64_t times[] = {INT64_MIN, -1, INT64_MAX};
    rig_connect(&rig);
    atomic_store(&rig.service.segment->short_since, times[_i]);
    ck_assert_int_eq(ask(health_plan), 200);
    ck_assert(body_has("\"healthy\"") && !body_has("reasons"));
}
END_TEST

START_TEST(no_entry_leaves_a_worker_with_a_connection_ready) {
    rig_connect(&rig);
    breaker_connect_failed(breaker(), E_BACKEND_REFUSED, rig.service.now);
    expect_ready();
}
END_TEST

START_TEST(no_entry_and_no_connection_is_not_ready_however_fresh) {
    rig_connect(&rig);
    rig_hang_up(&rig);
    breaker_connect_failed(breaker(), E_BACKEND_LOADING, rig.service.now);
    expect_not_ready(E_BACKEND_LOADING);
}
END_TEST

START_TEST(an_open_breaker_is_not_ready_whoever_has_a_connection) {
    rig_connect(&rig);
    breaker_timed_out(breaker(), rig.service.now);
    expect_ready();
    breaker_timed_out(breaker(), rig.service.now);
    expect_not_ready(E_BACKEND_TIMEOUT);
    breaker_close(breaker());
    expect_ready();
}
END_TEST

START_TEST(a_lost_connection_counts_for_two_seconds) {
    rig_connect(&rig);
    rig_hang_up(&rig);
    expect_ready();
    move_time(1999);
    expect_ready();
    move_time(1);
    expect_not_ready(E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(they_ask_redis_nothing) {
    rig_connect(&rig);
    expect_ready();
    ck_assert_str_eq(rig_commands(&rig), "");
}
END_TEST

Suite *suite_health(void) {
    Suite *s = suite_create("health");
    TCase *t = tcase_create("health");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, live_needs_nothing);
    tcase_add_test(t, a_worker_that_never_had_a_connection_is_not_ready);
    tcase_add_test(t, no_reply_yet_is_none_right_after_boot_too);
    tcase_add_test(t, a_connection_makes_it_ready_for_good);
    tcase_add_test(t, health_says_since_when);
    tcase_add_test(t, missing_workers_degrade_it_after_a_second);
    tcase_add_loop_test(t, a_time_that_is_none_is_no_reason, 0, 3);
    tcase_add_test(t, no_entry_leaves_a_worker_with_a_connection_ready);
    tcase_add_test(t, no_entry_and_no_connection_is_not_ready_however_fresh);
    tcase_add_test(t, an_open_breaker_is_not_ready_whoever_has_a_connection);
    tcase_add_test(t, a_lost_connection_counts_for_two_seconds);
    tcase_add_test(t, they_ask_redis_nothing);
    suite_add_tcase(s, t);
    return s;
}
