/* Fair accept: whose turn it is, who is woken, and what is done with a connection. */
#include "units.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "process/acceptor.h"
#include "refuse.h"
#include "rig.h"
#include "support.h"
#include "temp_dir.h"
#include "under_valgrind.h"

enum {
    ROWS = SEGMENT_FIRST_WORKER_ROW + RIG_WORKERS,
    OWN = SEGMENT_FIRST_WORKER_ROW,
    OTHER,
    THIRD
};

static struct rig rig;
static struct round r;
static struct temp_dir dir;
static struct sockaddr_un address;
static int bells[ROWS];
static struct inherit inherit;
static struct peers peers;
static struct acceptor acceptor;
static int listener_tag;
static int pass_tag;
static int web[8];

static struct stats_row *row(uint32_t i) {
    return &rig.service.segment->rows[i];
}

/* A live worker with so many connections. */
static void set_worker(uint32_t i, uint32_t connections) {
    atomic_store(&row(i)->state, WORKER_READY);
    atomic_store(&row(i)->heartbeat, rig.service.now);
    atomic_store(&row(i)->connections, connections);
}

static void setup(void) {
    rig_setup(&rig);
    round_init(&r, rig.service, rig.epoll);
    temp_dir_setup(&dir);
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    temp_dir_join(&dir, "socket", address.sun_path, sizeof(address.sun_path));
    peers = (struct peers){0};
    inherit = (struct inherit){
        .config = &rig.config,
        .routes = rig.service.routes,
        .segment = rig.service.segment,
        .bells = bells,
        .peers = &peers,
        .rows = ROWS,
        .row = OWN,
    };
    inherit.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(inherit.listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(inherit.listener, 16), 0);
    ck_assert_int_eq(pass_open(&inherit.pass), OK);
    for (uint32_t i = 0; i < ROWS; i++)
        bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < COUNT_OF(web); i++)
        web[i] = -1;
    acceptor = (struct acceptor){
        .inherit = &inherit,
        .epoll = rig.epoll,
        .listener_tag = &listener_tag,
        .pass_tag = &pass_tag,
    };
    set_worker(OWN, 0);
}

static void teardown(void) {
    acceptor_stop(&acceptor);
    round_fini(&r);
    for (uint32_t i = 0; i < ROWS; i++)
        close(bells[i]);
    for (size_t i = 0; i < COUNT_OF(web); i++)
        if (web[i] >= 0)
            close(web[i]);
    pass_close(&inherit.pass);
    close(inherit.listener);
    temp_dir_teardown(&dir);
    rig_teardown(&rig);
}

static void balance_with(uint32_t connections) {
    r.connections = connections;
    acceptor_balance(&acceptor, &r, rig.service.now);
    r.connections = 0;
    ck_assert_uint_eq(atomic_load(&row(OWN)->listening), acceptor.listening ? 1 : 0);
}

static void check_listening(bool expected) {
    ck_assert_int_eq(acceptor.listening, expected);
}

static bool was_rung(uint32_t i) {
    uint64_t count;
    return read(bells[i], &count, sizeof(count)) == (ssize_t)sizeof(count);
}

static void connect_web(int i) {
    web[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(web[i], (struct sockaddr *)&address, sizeof(address)), 0);
}

/* The tag of the one event that epoll has; NULL if it has none. */
static void *next_event(void) {
    struct epoll_event event;
    return epoll_wait(rig.epoll, &event, 1, 0) == 1 ? event.data.ptr : NULL;
}

static uint64_t counted(enum stat_id id) {
    return stats_read(&rig.service.row->counter[id]);
}

/* --- whose turn it is ------------------------------------------------------------------------ */

START_TEST(lone_worker_always_listens) {
    static const uint32_t connections[] = {0, 1, 2, 1000, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(connections); i++) {
        balance_with(connections[i]);
        check_listening(true);
    }
}
END_TEST

/* Neither half of it, and again at the next look. */
START_TEST(worker_that_cannot_listen_tries_again) {
    for (size_t before = 0; before < 2; before++) {
        refuse_begin(REFUSE_epoll_ctl, before, ENOMEM);
        balance_with(0);
        ck_assert(refuse_end());
        check_listening(false);
    }
    balance_with(0);
    check_listening(true);
    acceptor_stop(&acceptor);
    check_listening(false);
}
END_TEST

START_TEST(worker_with_two_more_than_another_steps_aside) {
    for (uint32_t others = 0; others < 5; others++) {
        set_worker(OTHER, others);
        set_worker(THIRD, others + 10);
        balance_with(others);
        check_listening(true);
        balance_with(others + 1);
        check_listening(true);
        balance_with(others + 2);
        check_listening(false);
        balance_with(others + 2);
        check_listening(false);
        balance_with(others + 1);
        check_listening(true);
    }
}
END_TEST

START_TEST(worker_comes_back_when_the_others_have_caught_up) {
    set_worker(OTHER, 3);
    balance_with(5);
    check_listening(false);
    set_worker(OTHER, 4);
    balance_with(5);
    check_listening(true);
}
END_TEST

/* Who does not look at its connections cannot take them: it must not keep others from it. */
START_TEST(worker_that_is_not_live_does_not_count) {
    static const uint32_t states[] = {WORKER_NONE, WORKER_STARTING, WORKER_RETIRING, WORKER_STATES};
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        set_worker(OTHER, 0);
        atomic_store(&row(OTHER)->state, states[i]);
        balance_with(50);
        check_listening(true);
    }
    set_worker(OTHER, 0);
    balance_with(50);
    check_listening(false);
    static const int64_t heartbeats[] = {-NS_PER_S, NS_PER_S, INT64_MAX / 2, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(heartbeats); i++) {
        set_worker(OTHER, 0);
        balance_with(50);
        check_listening(false);
        /* INT64_MIN of them is no difference but a value: it would overflow one. */
        atomic_store(&row(OTHER)->heartbeat,
                     heartbeats[i] == INT64_MIN ? INT64_MIN : rig.service.now + heartbeats[i]);
        balance_with(50);
        check_listening(true);
    }
}
END_TEST

START_TEST(master_and_own_row_do_not_count) {
    set_worker(SEGMENT_MASTER_ROW, 0);
    set_worker(OWN, 0);
    balance_with(50);
    check_listening(true);
}
END_TEST

/* Any worker could write into the segment: its own word for its size is not believed. */
START_TEST(rows_are_counted_by_the_master) {
    rig.service.segment->row_count = UINT32_MAX;
    balance_with(50);
    check_listening(true);
    rig.service.segment->row_count = 0;
    set_worker(THIRD, 0);
    balance_with(50);
    check_listening(false);
}
END_TEST

/* A row that nobody has could keep all others from listening, for ever. */
START_TEST(heartbeats_that_are_no_time_do_not_count) {
    static const int64_t times[] = {INT64_MIN, -1, INT64_MAX, 2000 * NS_PER_S};
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        set_worker(OTHER, 0);
        atomic_store(&row(OTHER)->heartbeat, times[i]);
        balance_with(50);
        check_listening(true);
    }
    /* Its own clock is read later than the turn's. */
    atomic_store(&row(OTHER)->heartbeat, rig.service.now + NS_PER_MS);
    balance_with(50);
    check_listening(false);
}
END_TEST

START_TEST(least_loaded_worker_is_woken_if_it_is_not_listening) {
    balance_with(0);
    set_worker(OTHER, 2);
    set_worker(THIRD, 1);
    balance_with(5);
    check_listening(false);
    ck_assert(was_rung(THIRD));
    ck_assert(!was_rung(OTHER));
    ck_assert(!was_rung(OWN));
    /* Once: who has been out for a while rings nobody. */
    balance_with(5);
    ck_assert(!was_rung(THIRD));
}
END_TEST

START_TEST(worker_that_listens_is_not_woken) {
    balance_with(0);
    set_worker(OTHER, 0);
    atomic_store(&row(OTHER)->listening, 1);
    balance_with(5);
    check_listening(false);
    ck_assert(!was_rung(OTHER));
}
END_TEST

/* --- the epoll set --------------------------------------------------------------------------- */

START_TEST(listener_reports_only_while_it_is_our_turn) {
    connect_web(0);
    ck_assert_ptr_null(next_event());
    balance_with(0);
    ck_assert_ptr_eq(next_event(), &listener_tag);
    set_worker(OTHER, 0);
    balance_with(5);
    ck_assert_ptr_null(next_event());
    balance_with(0);
    ck_assert_ptr_eq(next_event(), &listener_tag);
    acceptor_stop(&acceptor);
    acceptor_stop(&acceptor);
    ck_assert_ptr_null(next_event());
    ck_assert_uint_eq(atomic_load(&row(OWN)->listening), 0);
}
END_TEST

START_TEST(passing_socket_reports_with_it) {
    connect_web(0);
    int fd = accept(inherit.listener, NULL, NULL);
    ck_assert_int_eq(pass_give(&inherit.pass, fd), OK);
    close(fd);
    ck_assert_ptr_null(next_event());
    balance_with(0);
    ck_assert_ptr_eq(next_event(), &pass_tag);
    acceptor_stop(&acceptor);
    ck_assert_ptr_null(next_event());
}
END_TEST

/* --- connections ----------------------------------------------------------------------------- */

START_TEST(connection_is_accepted_and_counted) {
    connect_web(0);
    connect_web(1);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 1);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 2);
    /* Another worker was faster. */
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 2);
    ck_assert_uint_eq(counted(STAT_connections_accepted), 2);
    ck_assert_int_eq(acceptor.pause_until, 0);
}
END_TEST

/* lighttpd's: they share a turn. Not without bound, so that other workers have some. */
START_TEST(connections_that_end_with_their_request_are_accepted_together) {
    r.one_shot_at = rig.service.now - 9 * NS_PER_MS;
    for (int i = 0; i < 3; i++)
        connect_web(i);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 3);
    for (int i = 0; i < 3; i++)
        close(web[i]);
    for (int i = 0; i < 8; i++)
        connect_web(i);
    int ninth = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(ninth, (struct sockaddr *)&address, sizeof(address)), 0);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 11);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 12);
    close(ninth);
    /* A health check of long ago. */
    for (int i = 0; i < 8; i++)
        close(web[i]);
    for (int i = 0; i < 3; i++)
        connect_web(i);
    acceptor_accept(&acceptor, &r, rig.service.now + NS_PER_MS);
    ck_assert_uint_eq(r.connections, 13);
}
END_TEST

START_TEST(all_who_wait_are_taken_before_a_stop) {
    for (int i = 0; i < 5; i++)
        connect_web(i);
    int fd = accept(inherit.listener, NULL, NULL);
    ck_assert_int_eq(pass_give(&inherit.pass, fd), OK);
    close(fd);
    acceptor_take_rest(&acceptor, &r);
    ck_assert_uint_eq(r.connections, 5);
    ck_assert_uint_eq(counted(STAT_connections_accepted), 4);
    acceptor_take_rest(&acceptor, &r);
    ck_assert_uint_eq(r.connections, 5);
}
END_TEST

START_TEST(passed_connection_is_adopted_and_counted) {
    connect_web(0);
    int fd = accept(inherit.listener, NULL, NULL);
    ck_assert_int_eq(pass_give(&inherit.pass, fd), OK);
    close(fd);
    acceptor_adopt(&acceptor, &r);
    ck_assert_uint_eq(r.connections, 1);
    acceptor_adopt(&acceptor, &r);
    ck_assert_uint_eq(r.connections, 1);
    ck_assert_uint_eq(counted(STAT_connections_adopted), 1);
    ck_assert_uint_eq(counted(STAT_connections_accepted), 0);
}
END_TEST

START_TEST(worker_with_all_its_connections_takes_no_more) {
    acceptor.most = 2;
    for (int i = 0; i < 3; i++)
        connect_web(i);
    balance_with(0);
    acceptor_accept(&acceptor, &r, rig.service.now);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 2);
    balance_with(2);
    check_listening(false);
    /* One more event of the same turn. */
    r.connections = 2;
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 2);
    balance_with(1);
    check_listening(true);
    r.connections = 1;
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 2);
}
END_TEST

/* Redis must be reached again when its connection is lost. */
START_TEST(some_descriptors_are_no_connections) {
    struct rlimit before;
    int open_ones[64];
    if (under_valgrind())
        return;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {.rlim_cur = 64, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    /* What is free need not be all above what isn't. */
    int gap = dup(rig.epoll);
    int above = dup(rig.epoll);
    close(gap);
    acceptor_limit(&acceptor);
    unsigned n = 0;
    while ((open_ones[n] = dup(rig.epoll)) >= 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        close(open_ones[i]);
    close(above);
    ck_assert_uint_eq(n, acceptor.most + 8);
    ck_assert_uint_gt(acceptor.most, 0);
    few.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    acceptor_limit(&acceptor);
    ck_assert_uint_eq(acceptor.most, 1);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}
END_TEST

/* No descriptors left: looking again at once would spin. */
START_TEST(worker_without_descriptors_pauses) {
    struct rlimit before;
    if (under_valgrind())
        return;
    balance_with(0);
    connect_web(0);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_int_eq(acceptor.pause_until, rig.service.now + 100 * NS_PER_MS);
    balance_with(0);
    check_listening(false);
    rig.service.now += 99 * NS_PER_MS;
    balance_with(0);
    check_listening(false);
    rig.service.now += NS_PER_MS;
    balance_with(0);
    check_listening(true);
    ck_assert_ptr_eq(next_event(), &listener_tag);
    acceptor_accept(&acceptor, &r, rig.service.now);
    ck_assert_uint_eq(r.connections, 1);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_acceptor(void) {
    Suite *s = suite_create("acceptor");
    TCase *t = add_case(s, "turns");
    tcase_add_test(t, lone_worker_always_listens);
    tcase_add_test(t, worker_that_cannot_listen_tries_again);
    tcase_add_test(t, worker_with_two_more_than_another_steps_aside);
    tcase_add_test(t, worker_comes_back_when_the_others_have_caught_up);
    tcase_add_test(t, worker_that_is_not_live_does_not_count);
    tcase_add_test(t, master_and_own_row_do_not_count);
    tcase_add_test(t, rows_are_counted_by_the_master);
    tcase_add_test(t, heartbeats_that_are_no_time_do_not_count);
    tcase_add_test(t, least_loaded_worker_is_woken_if_it_is_not_listening);
    tcase_add_test(t, worker_that_listens_is_not_woken);
    t = add_case(s, "epoll");
    tcase_add_test(t, listener_reports_only_while_it_is_our_turn);
    tcase_add_test(t, passing_socket_reports_with_it);
    t = add_case(s, "connections");
    tcase_add_test(t, connection_is_accepted_and_counted);
    tcase_add_test(t, connections_that_end_with_their_request_are_accepted_together);
    tcase_add_test(t, all_who_wait_are_taken_before_a_stop);
    tcase_add_test(t, passed_connection_is_adopted_and_counted);
    tcase_add_test(t, worker_with_all_its_connections_takes_no_more);
    tcase_add_test(t, some_descriptors_are_no_connections);
    tcase_add_test(t, worker_without_descriptors_pauses);
    return s;
}
