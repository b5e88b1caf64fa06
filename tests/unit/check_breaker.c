/* The circuit breaker: when it opens and closes, and who may probe. */
#include "units.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "redis/breaker.h"

/* So short that all rounds together are less than what would be taken for damage: a process that
 * didn't run for a while has an old time. */
enum { PROCESSES = 8, ROUNDS = 300000, LEASE_NS = 100 };

/* Shared with children. */
static struct shared {
    struct breaker_state breaker;
    _Atomic int round;
    _Atomic unsigned winners[ROUNDS];
} * shared;

static struct breaker_state *b;

static const int64_t NOW = 1000 * NS_PER_S;

static int64_t ms(int64_t n) {
    return n * NS_PER_MS;
}

static void setup(void) {
    /* cppcheck-suppress invalidFunctionArg ; no file: -1 is what is asked for */
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    b = &shared->breaker;
}

static void teardown(void) {
    munmap(shared, sizeof(*shared));
}

/* --- positions ------------------------------------------------------------------------------- */

START_TEST(a_new_one_is_closed) {
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
    ck_assert_int_eq(breaker_reason(b), OK);
}
END_TEST

START_TEST(a_failed_connection_lets_only_working_ones_go_on) {
    breaker_connect_failed(b, E_BACKEND_REFUSED, NOW);
    ck_assert_int_eq(breaker_position(b), BREAKER_NO_ENTRY);
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_REFUSED);
    ck_assert_int_eq(b->opened, NOW);
}
END_TEST

START_TEST(the_reason_is_the_latest_and_the_time_the_first) {
    breaker_connect_failed(b, E_BACKEND_REFUSED, NOW);
    breaker_connect_failed(b, E_BACKEND_LOADING, NOW + ms(300));
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_LOADING);
    ck_assert_int_eq(b->opened, NOW);
}
END_TEST

START_TEST(one_timeout_changes_nothing) {
    breaker_timed_out(b, NOW);
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

START_TEST(one_timeout_right_after_boot_changes_nothing) {
    breaker_timed_out(b, ms(5));
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

START_TEST(two_timeouts_within_a_second_open_it) {
    breaker_timed_out(b, NOW);
    breaker_timed_out(b, NOW + ms(999));
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_TIMEOUT);
    ck_assert_int_eq(b->opened, NOW + ms(999));
}
END_TEST

START_TEST(timeouts_further_apart_do_not_add_up) {
    breaker_timed_out(b, NOW);
    breaker_timed_out(b, NOW + ms(1000));
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
    breaker_timed_out(b, NOW + ms(1999));
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
}
END_TEST

START_TEST(a_failed_probe_does_not_let_anybody_in_again) {
    breaker_timed_out(b, NOW);
    breaker_timed_out(b, NOW + ms(1));
    breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW + ms(200));
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(timeouts_shut_out_those_who_had_a_connection) {
    breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
    breaker_timed_out(b, NOW + ms(1));
    ck_assert_int_eq(breaker_position(b), BREAKER_NO_ENTRY);
    breaker_timed_out(b, NOW + ms(2));
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
    ck_assert_int_eq(b->opened, NOW);
}
END_TEST

START_TEST(a_handshake_closes_it_and_forgets_the_timeout) {
    breaker_timed_out(b, NOW);
    breaker_timed_out(b, NOW + ms(1));
    breaker_close(b);
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
    ck_assert_int_eq(breaker_reason(b), OK);
    breaker_timed_out(b, NOW + ms(2));
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

/* Who opened it may be gone, and who is connected doesn't probe. */
START_TEST(an_answer_to_a_later_question_closes_it) {
    breaker_timed_out(b, NOW);
    breaker_timed_out(b, NOW + ms(1));
    breaker_prove(b, NOW + ms(1), NOW + ms(2));
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
    breaker_prove(b, NOW + ms(2), NOW + ms(3));
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

START_TEST(an_answer_says_nothing_of_new_connections) {
    breaker_connect_failed(b, E_BACKEND_REFUSED, NOW);
    breaker_prove(b, NOW + ms(1), NOW + ms(2));
    ck_assert_int_eq(breaker_position(b), BREAKER_NO_ENTRY);
}
END_TEST

START_TEST(an_answer_closes_what_damage_opened) {
    b->state = 77;
    b->opened = INT64_MAX;
    breaker_prove(b, NOW, NOW + ms(1));
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

START_TEST(a_timeout_in_the_future_is_no_second_one) {
    b->last_timeout = INT64_MAX;
    breaker_timed_out(b, NOW);
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
    b->last_timeout = INT64_MIN;
    breaker_timed_out(b, NOW);
    ck_assert_int_eq(breaker_position(b), BREAKER_CLOSED);
}
END_TEST

START_TEST(nonsense_in_the_segment_is_an_open_breaker_with_a_reason) {
    b->state = 77;
    ck_assert_int_eq(breaker_position(b), BREAKER_OPEN);
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_UNAVAILABLE);
    b->reason = ERROR_COUNT;
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_UNAVAILABLE);
    b->reason = UINT32_MAX;
    ck_assert_int_eq(breaker_reason(b), E_BACKEND_UNAVAILABLE);
}
END_TEST

/* --- probes ---------------------------------------------------------------------------------- */

START_TEST(the_first_probe_comes_after_100_to_250_ms) {
    for (int i = 0; i < 1000; i++) {
        breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
        ck_assert_int_ge(b->probe_after, NOW + ms(100));
        ck_assert_int_lt(b->probe_after, NOW + ms(250));
    }
    ck_assert(!breaker_take_probe(b, NOW + ms(99), ms(400)));
    ck_assert(breaker_take_probe(b, NOW + ms(250), ms(400)));
}
END_TEST

START_TEST(workers_do_not_come_back_at_the_same_moment) {
    int64_t first = 0;
    bool differ = false;
    for (int i = 0; i < 100; i++) {
        breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
        differ = differ || (i > 0 && b->probe_after != first);
        first = b->probe_after;
    }
    ck_assert(differ);
}
END_TEST

/* Damage, or a clock of another boot: Redis must not stay away for ever. */
START_TEST(a_time_that_nobody_sets_keeps_nobody_from_probing) {
    static const int64_t nonsense[] = {INT64_MAX, INT64_MAX / 2, INT64_MIN, -1, 0};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
        b->probe_after = nonsense[i];
        ck_assert(breaker_take_probe(b, NOW, ms(400)));
        ck_assert_int_eq(b->probe_after, NOW + ms(400));
    }
    b->probe_after = NOW + ms(1400);
    ck_assert(!breaker_take_probe(b, NOW, ms(400)));
    b->probe_after = NOW + ms(1401);
    ck_assert(breaker_take_probe(b, NOW, ms(400)));
}
END_TEST

START_TEST(the_right_is_one_workers_until_it_expires) {
    breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
    int64_t at = NOW + ms(250);
    ck_assert(breaker_take_probe(b, at, ms(400)));
    ck_assert(!breaker_take_probe(b, at, ms(400)));
    ck_assert(!breaker_take_probe(b, at + ms(399), ms(400)));
    /* The prober died: nobody has to clean up after it. */
    ck_assert(breaker_take_probe(b, at + ms(400), ms(400)));
    ck_assert(!breaker_take_probe(b, at + ms(401), ms(400)));
}
END_TEST

START_TEST(a_failed_probe_sets_the_time_of_the_next) {
    breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, NOW);
    int64_t at = NOW + ms(250);
    ck_assert(breaker_take_probe(b, at, ms(100000)));
    breaker_connect_failed(b, E_BACKEND_UNAVAILABLE, at + ms(5));
    ck_assert(!breaker_take_probe(b, at + ms(5), ms(400)));
    ck_assert(breaker_take_probe(b, at + ms(5) + ms(250), ms(400)));
}
END_TEST

/* All hammer the breaker. Time goes on when somebody has got the right, by just the lease, so that
 * everybody may try again at that very moment. */
static _Noreturn void compete(void) {
    for (;;) {
        int round = atomic_load(&shared->round);
        if (round >= ROUNDS)
            _exit(0);
        if (!breaker_take_probe(b, NOW + LEASE_NS * round, LEASE_NS))
            continue;
        atomic_fetch_add(&shared->winners[round], 1);
        atomic_fetch_add(&shared->round, 1);
    }
}

START_TEST(of_eight_processes_exactly_one_probes_per_lease) {
    b->probe_after = NOW;
    for (int i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            compete();
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        ck_assert_int_gt(wait(&status), 0);
        ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    for (int round = 0; round < ROUNDS; round++)
        ck_assert_msg(shared->winners[round] == 1, "round %d has %u probers", round,
                      shared->winners[round]);
}
END_TEST

Suite *suite_breaker(void) {
    Suite *s = suite_create("breaker");
    TCase *positions = tcase_create("positions");
    tcase_add_checked_fixture(positions, setup, teardown);
    tcase_add_test(positions, a_new_one_is_closed);
    tcase_add_test(positions, a_failed_connection_lets_only_working_ones_go_on);
    tcase_add_test(positions, the_reason_is_the_latest_and_the_time_the_first);
    tcase_add_test(positions, one_timeout_changes_nothing);
    tcase_add_test(positions, one_timeout_right_after_boot_changes_nothing);
    tcase_add_test(positions, two_timeouts_within_a_second_open_it);
    tcase_add_test(positions, timeouts_further_apart_do_not_add_up);
    tcase_add_test(positions, a_failed_probe_does_not_let_anybody_in_again);
    tcase_add_test(positions, timeouts_shut_out_those_who_had_a_connection);
    tcase_add_test(positions, a_handshake_closes_it_and_forgets_the_timeout);
    tcase_add_test(positions, an_answer_to_a_later_question_closes_it);
    tcase_add_test(positions, an_answer_says_nothing_of_new_connections);
    tcase_add_test(positions, an_answer_closes_what_damage_opened);
    tcase_add_test(positions, a_timeout_in_the_future_is_no_second_one);
    tcase_add_test(positions, nonsense_in_the_segment_is_an_open_breaker_with_a_reason);
    suite_add_tcase(s, positions);

    TCase *probes = tcase_create("probes");
    tcase_add_checked_fixture(probes, setup, teardown);
    tcase_set_timeout(probes, 30);
    tcase_add_test(probes, the_first_probe_comes_after_100_to_250_ms);
    tcase_add_test(probes, workers_do_not_come_back_at_the_same_moment);
    tcase_add_test(probes, a_time_that_nobody_sets_keeps_nobody_from_probing);
    tcase_add_test(probes, the_right_is_one_workers_until_it_expires);
    tcase_add_test(probes, a_failed_probe_sets_the_time_of_the_next);
    tcase_add_test(probes, of_eight_processes_exactly_one_probes_per_lease);
    suite_add_tcase(s, probes);
    return s;
}
