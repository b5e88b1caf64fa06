/* The round, with the web servers and Redis played by the test: requests in, answers out, and what
 * becomes of peers that stop, leave or talk nonsense. Time is the test's own, events are epoll's.
 */
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "echo.h"
#include "http/fcgi.h"
#include "process/round.h"
#include "refuse.h"
#include "rig.h"
#include "support.h"
#include "web_peer.h"

enum { PEERS = 100, EVENTS_MAX = 256 };

static struct rig rig;
static struct round r;
static struct web_peer peers[PEERS];

static void setup(void) {
    rig_setup(&rig);
    rig.config.max_value = 1000;
    rig.service.routes = &echo_routes;
    ck_assert_int_eq(fcgi_setup(), OK);
    round_init(&r, rig.service, rig.epoll);
    for (size_t i = 0; i < PEERS; i++)
        peers[i].fd = -1;
}

static void teardown(void) {
    round_fini(&r);
    ck_assert_uint_eq(r.connections, 0);
    for (size_t i = 0; i < PEERS; i++)
        web_peer_teardown(&peers[i]);
    rig_teardown(&rig);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void pass(int64_t ms) {
    rig.service.now += ms * NS_PER_MS;
    r.service.now = rig.service.now;
}

/* Hands out what epoll has at this moment; gives how many events that was. */
static int look(void) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(rig.epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &rig)
            store_on_event(rig.service.store, events[i].events, rig.service.now);
        else
            round_on_event(&r, events[i].data.ptr, events[i].events);
    }
    return n;
}

/* A turn of the worker; gives the number of events in it. */
static int turn(void) {
    int events = look();
    round_scatter(&r);
    round_gather(&r);
    store_tick(rig.service.store, rig.service.now);
    round_scatter(&r);
    round_end_turn(&r);
    return events;
}

static void settle(void) {
    for (int i = 0; i < 100 && (turn() > 0 || round_has_work(&r)); i++)
        ;
}

/* A web server connects. */
static void add(int i) {
    round_add(&r, web_peer_setup(&peers[i]));
}

static void request(int i, const char *method, const char *target) {
    web_peer_request(&peers[i], &(struct web_request){.method = method, .target = target});
}

static void check_answer(int i, int status, const char *body) {
    struct web_answer got;
    ck_assert_msg(web_peer_answer(&peers[i], 1, &got), "peer %d has no answer", i);
    ck_assert_int_eq(got.status, status);
    ck_assert_msg(body == NULL || slice_eq(got.body, slice_of(body)), "peer %d: %.*s", i,
                  (int)got.body.n, got.body.p);
    records_free_answer(&got);
}

static void check_no_answer(int i) {
    ck_assert_msg(web_peer_is_quiet(&peers[i]), "peer %d", i);
}

static void check_left(int i) {
    ck_assert_msg(web_peer_was_left(&peers[i]), "peer %d is still connected", i);
}

static void redis_says(const char *bytes) {
    ck_assert_int_eq(send(rig.peer, bytes, strlen(bytes), MSG_NOSIGNAL), (ssize_t)strlen(bytes));
}

static uint64_t counted(enum stat_id id) {
    return stats_read(&rig.service.row->counter[id]);
}

static uint64_t requests_counted(const char *route, int class) {
    size_t i = 0;
    while (i < echo_routes.count && strcmp(echo_routes.rows[i].name, route) != 0)
        i++;
    return stats_read(
        &rig.service.row->requests[i < echo_routes.count ? i : STATS_ROUTES - 1][class - 1]);
}

/* --- requests -------------------------------------------------------------------------------- */

START_TEST(request_comes_in_and_answer_goes_out) {
    add(0);
    request(0, "GET", "/echo?a");
    ck_assert(round_has_work(&r));
    (void)turn();
    check_answer(0, 200, "GET a");
    ck_assert(!round_has_work(&r));
    ck_assert_uint_eq(atomic_load(&rig.service.row->connections), 1);
    ck_assert_uint_eq(atomic_load(&rig.service.row->served), 1);
    ck_assert_uint_eq(r.answered, 1);
    ck_assert_uint_eq(requests_counted("echo_get", 2), 1);
}
END_TEST

START_TEST(kept_connection_takes_one_request_after_the_other) {
    add(0);
    for (int i = 0; i < 5; i++) {
        request(0, "GET", "/echo?a");
        (void)turn();
        check_answer(0, 200, "GET a");
        check_no_answer(0);
    }
    ck_assert_uint_eq(r.connections, 1);
    ck_assert_uint_eq(r.answered, 5);
}
END_TEST

START_TEST(connection_that_is_not_kept_is_closed_after_its_answer) {
    add(0);
    web_peer_request(&peers[0],
                     &(struct web_request){.method = "GET", .target = "/echo?a", .close = true});
    (void)turn();
    check_answer(0, 200, "GET a");
    check_left(0);
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_uint_eq(atomic_load(&rig.service.row->connections), 0);
}
END_TEST

/* It would never be heard of again: the web server sees it closed, after the answer it has. */
START_TEST(connection_that_cannot_be_watched_is_closed) {
    add(0);
    request(0, "GET", "/echo?a");
    refuse_begin(REFUSE_epoll_ctl, 0, ENOSPC);
    (void)turn();
    ck_assert(refuse_end());
    check_answer(0, 200, "GET a");
    check_left(0);
    ck_assert_uint_eq(r.connections, 0);
    add(1);
    refuse_begin(REFUSE_epoll_ctl, 0, ENOSPC);
    (void)turn();
    ck_assert(refuse_end());
    check_left(1);
    ck_assert_uint_eq(r.connections, 0);
}
END_TEST

/* The acceptor goes by it. */
START_TEST(connections_that_end_with_their_request_are_noticed) {
    ck_assert_int_eq(r.one_shot_at, 0);
    add(0);
    web_peer_request(&peers[0],
                     &(struct web_request){.method = "GET", .target = "/echo?a", .close = true});
    (void)turn();
    ck_assert_int_eq(r.one_shot_at, r.service.now);
    add(1);
    request(1, "GET", "/echo?a");
    (void)turn();
    ck_assert_int_eq(r.one_shot_at, 0);
}
END_TEST

/* It would wake the worker once more for each answer. */
START_TEST(peer_that_takes_its_answer_is_no_event) {
    add(0);
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
    ck_assert_int_eq(look(), 0);
    request(0, "GET", "/large");
    settle();
    struct web_answer got;
    ck_assert(!web_peer_answer(&peers[0], 1, &got));
    ck_assert_int_gt(look(), 0);
    bool whole = false;
    for (int i = 0; i < 100 && !whole; i++) {
        settle();
        whole = web_peer_answer(&peers[0], 1, &got);
    }
    ck_assert(whole);
    records_free_answer(&got);
    /* And it is not asked for any longer. */
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
    ck_assert_int_eq(look(), 0);
}
END_TEST

START_TEST(last_answers_close_their_connections) {
    add(0);
    request(0, "GET", "/echo?a");
    r.last_answers = true;
    (void)turn();
    check_answer(0, 200, "GET a");
    check_left(0);
}
END_TEST

START_TEST(request_is_answered_wherever_it_is_cut) {
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "PUT",
                                                        .target = "/echo",
                                                        .body = SLICE_INIT("body"),
                                                        .padding = 2});
    add(0);
    (void)turn();
    for (size_t cut = 1; cut < records.n; cut++) {
        web_peer_send(&peers[0], (struct slice){records.p, cut});
        settle();
        check_no_answer(0);
        web_peer_send(&peers[0], (struct slice){records.p + cut, records.n - cut});
        settle();
        check_answer(0, 200, "<body>");
    }
    for (size_t i = 0; i < records.n; i++) {
        check_no_answer(0);
        web_peer_send(&peers[0], (struct slice){records.p + i, 1});
        settle();
    }
    check_answer(0, 200, "<body>");
    buf_fini(&records);
}
END_TEST

START_TEST(requests_that_come_early_are_answered_in_order) {
    struct buf records = {0};
    static const char *const targets[] = {"/echo?1", "/echo?2", "/nothing", "/echo?3"};
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        records_put_request(&records, &(struct web_request){.method = "GET", .target = targets[i]});
    size_t whole = records.n;
    records_put_request(&records, &(struct web_request){.method = "GET", .target = "/echo?4"});
    add(0);
    web_peer_send(&peers[0], (struct slice){records.p, whole + 30});
    settle();
    check_answer(0, 200, "GET 1");
    check_answer(0, 200, "GET 2");
    check_answer(0, 404, NULL);
    check_answer(0, 200, "GET 3");
    check_no_answer(0);
    web_peer_send(&peers[0], (struct slice){records.p + whole + 30, records.n - whole - 30});
    settle();
    check_answer(0, 200, "GET 4");
    buf_fini(&records);
}
END_TEST

START_TEST(head_is_answered_without_a_body) {
    struct web_answer got;
    add(0);
    request(0, "HEAD", "/echo?abc");
    settle();
    ck_assert(web_peer_answer(&peers[0], 1, &got));
    ck_assert_int_eq(got.status, 200);
    ck_assert_uint_eq(got.body.n, 0);
    ck_assert(slice_eq(records_field(&got, "Content-Length"), SLICE("7")));
    records_free_answer(&got);
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
}
END_TEST

START_TEST(answers_are_counted_by_route_and_class) {
    add(0);
    request(0, "GET", "/echo");
    settle();
    request(0, "POST", "/echo");
    settle();
    request(0, "GET", "/nothing");
    settle();
    request(0, "GET", "/wait/%zz");
    settle();
    request(0, "DELETE", "/echo?x");
    settle();
    ck_assert_uint_eq(requests_counted("echo_get", 2), 1);
    ck_assert_uint_eq(requests_counted("none of them", 4), 2);
    ck_assert_uint_eq(requests_counted("wait", 4), 1);
    ck_assert_uint_eq(requests_counted("echo_delete", 4), 1);
    ck_assert_uint_eq(r.answered, 5);
}
END_TEST

START_TEST(body_over_the_limit_is_thrown_away_and_answered) {
    size_t large = 2 << 20;
    char *body = malloc(large);
    struct buf records = {0};
    ck_assert_ptr_nonnull(body);
    memset(body, 'b', large);
    records_put_request(
        &records, &(struct web_request){.method = "PUT", .target = "/echo", .body = {body, large}});
    add(0);
    for (size_t at = 0; at < records.n; at += 50000) {
        size_t n = records.n - at < 50000 ? records.n - at : 50000;
        check_no_answer(0);
        web_peer_send(&peers[0], (struct slice){records.p + at, n});
        settle();
        ck_assert_uint_lt(r.conns->in.n, 100000);
    }
    check_answer(0, 413, NULL);
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
    buf_fini(&records);
    free(body);
}
END_TEST

/* --- smuggling ------------------------------------------------------------------------------- */

/* A body that is itself a request must never be read as one, whatever happens to the request that
 * carries it. */
static const struct {
    const char *method;
    const char *target;
    const char *length;
    int status;
    int status_over; /* when the body is over the limit */
} carriers[] = {
    {"GET", "/echo", NULL, 200, 200},      {"HEAD", "/echo", NULL, 200, 200},
    {"PUT", "/echo", NULL, 200, 413},      {"DELETE", "/echo", NULL, 200, 200},
    {"POST", "/echo", NULL, 405, 405},     {"OPTIONS", "/echo", NULL, 204, 204},
    {"GET", "/nothing", NULL, 404, 404},   {"GET", "/wait/%00", NULL, 400, 400},
    {"DELETE", "/echo?x", NULL, 400, 400}, {"PUT", "/echo", "0", 400, 413},
    {"PUT", "/echo", "1", 400, 413},       {"PUT", "/echo", "x", 400, 400},
    {"PUT", "/echo", "", 400, 400},        {"", "/echo", NULL, 400, 400},
    {"GET", "", NULL, 400, 400},
};

START_TEST(request_in_a_body_never_runs) {
    struct buf smuggled = {0};
    records_put_request(&smuggled,
                        &(struct web_request){.method = "DELETE", .target = "/echo?smuggled"});
    add(0);
    for (size_t i = 0; i < 6; i++) {
        struct web_request outer = {
            .method = carriers[_i].method,
            .target = carriers[_i].target,
            .length = carriers[_i].length,
            .body = buf_slice(&smuggled),
            .body_step = i % 3 * 8,
        };
        unsigned before = echo_plans;
        r.body_max = i < 3 ? smuggled.n : smuggled.n - 1;
        web_peer_request(&peers[0], &outer);
        settle();
        check_answer(0, i < 3 ? carriers[_i].status : carriers[_i].status_over, NULL);
        check_no_answer(0);
        ck_assert_uint_le(echo_plans, before + 1);
        request(0, "GET", "/echo?next");
        settle();
        check_answer(0, 200, "GET next");
    }
    bool deletes = strcmp(carriers[_i].method, "DELETE") == 0 && carriers[_i].status == 200;
    ck_assert_uint_eq(requests_counted("echo_delete", 2), deletes ? 6 : 0);
    buf_fini(&smuggled);
}
END_TEST

/* --- Redis ----------------------------------------------------------------------------------- */

START_TEST(request_waits_for_redis) {
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/wait/a");
    (void)turn();
    check_no_answer(0);
    ck_assert_uint_eq(r.in_flight, 1);
    ck_assert_uint_eq(atomic_load(&rig.service.row->in_flight), 1);
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    redis_says("$5\r\nhello\r\n");
    (void)turn();
    check_answer(0, 200, "hello");
    ck_assert_uint_eq(r.in_flight, 0);
    ck_assert_uint_eq(atomic_load(&rig.service.row->in_flight), 0);
    /* Others are not held up. */
    request(0, "GET", "/wait/b");
    (void)turn();
    add(1);
    request(1, "GET", "/echo?a");
    (void)turn();
    check_answer(1, 200, "GET a");
    check_no_answer(0);
    redis_says("$-1\r\n");
    (void)turn();
    check_answer(0, 404, NULL);
    ck_assert_uint_eq(counted(STAT_hits), 1);
    ck_assert_uint_eq(counted(STAT_misses), 1);
}
END_TEST

START_TEST(everybody_gets_his_own_reply) {
    char target[32];
    char text[32];
    rig_connect(&rig);
    for (int i = 0; i < 20; i++) {
        add(i);
        (void)snprintf(target, sizeof(target), "/wait/%d", i);
        request(i, "GET", target);
    }
    (void)turn();
    ck_assert_uint_eq(r.in_flight, 20);
    (void)rig_commands(&rig);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(text, sizeof(text), "+%d\r\n", i);
        redis_says(text);
        if (i % 7 == 0)
            (void)turn();
    }
    (void)turn();
    for (int i = 0; i < 20; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        check_answer(i, 200, text);
    }
}
END_TEST

START_TEST(request_may_ask_again) {
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/again/a");
    (void)turn();
    (void)rig_commands(&rig);
    redis_says("+first\r\n");
    (void)turn();
    check_no_answer(0);
    ck_assert_uint_eq(r.in_flight, 1);
    (void)turn();
    redis_says("+second\r\n");
    (void)turn();
    check_answer(0, 200, "second");
    ck_assert_uint_eq(r.in_flight, 0);
}
END_TEST

START_TEST(next_request_waits_until_the_first_is_answered) {
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/wait/a");
    request(0, "GET", "/echo?b");
    (void)turn();
    request(0, "GET", "/echo?c");
    settle();
    check_no_answer(0);
    redis_says("+A\r\n");
    settle();
    check_answer(0, 200, "A");
    check_answer(0, 200, "GET b");
    check_answer(0, 200, "GET c");
}
END_TEST

START_TEST(requests_are_answered_when_redis_is_away) {
    add(0);
    request(0, "PUT", "/wait/a");
    settle();
    check_answer(0, 503, NULL);
    ck_assert_uint_eq(r.in_flight, 0);
}
END_TEST

START_TEST(requests_in_flight_are_answered_when_redis_leaves) {
    rig_connect(&rig);
    add(0);
    add(1);
    request(0, "GET", "/wait/a");
    request(1, "PUT", "/wait/b");
    (void)turn();
    ck_assert_uint_eq(r.in_flight, 2);
    rig_hang_up(&rig);
    (void)turn();
    check_answer(0, 503, NULL);
    check_answer(1, 503, NULL);
    ck_assert_uint_eq(r.in_flight, 0);
    ck_assert_uint_eq(requests_counted("wait", 5), 1);
    ck_assert_uint_eq(requests_counted("wait_put", 5), 1);
}
END_TEST

START_TEST(requests_in_flight_have_a_deadline) {
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/wait/a");
    (void)turn();
    pass(499);
    (void)turn();
    check_no_answer(0);
    pass(1);
    (void)turn();
    check_answer(0, 503, NULL);
}
END_TEST

/* --- peers that leave ------------------------------------------------------------------------ */

START_TEST(idle_peer_that_leaves_is_forgotten) {
    add(0);
    request(0, "GET", "/echo");
    (void)turn();
    check_answer(0, 200, NULL);
    web_peer_hang_up(&peers[0]);
    (void)turn();
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_int_eq(turn(), 0);
}
END_TEST

START_TEST(peer_that_never_said_anything_is_forgotten) {
    add(0);
    (void)turn();
    web_peer_hang_up(&peers[0]);
    (void)turn();
    ck_assert_uint_eq(r.connections, 0);
}
END_TEST

/* Part of a request and the end come in one event. */
START_TEST(peer_that_leaves_inside_a_request_is_forgotten_at_once) {
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "PUT", .target = "/echo"});
    add(0);
    (void)turn();
    web_peer_send(&peers[0], (struct slice){records.p, records.n - (size_t)_i});
    web_peer_hang_up(&peers[0]);
    settle();
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_uint_eq(r.answered, 0);
    buf_fini(&records);
}
END_TEST

/* It wants its answer, though it will ask no more: then the connection is of no use. */
START_TEST(peer_that_only_listens_gets_its_answer) {
    rig_connect(&rig);
    add(0);
    (void)turn();
    request(0, "GET", _i == 0 ? "/echo?a" : "/wait/a");
    ck_assert_int_eq(shutdown(peers[0].fd, SHUT_WR), 0);
    (void)turn();
    if (_i == 1)
        redis_says("+A\r\n");
    settle();
    check_answer(0, 200, _i == 0 ? "GET a" : "A");
    check_left(0);
    ck_assert_uint_eq(r.connections, 0);
}
END_TEST

START_TEST(peer_that_leaves_while_its_request_waits_is_no_fault) {
    rig_connect(&rig);
    add(0);
    add(1);
    request(0, "GET", "/wait/a");
    request(1, "GET", "/wait/b");
    settle();
    web_peer_hang_up(&peers[0]);
    (void)turn();
    /* Nothing spins on it. */
    ck_assert_int_eq(turn(), 0);
    ck_assert(!round_has_work(&r));
    ck_assert_uint_eq(r.in_flight, 2);
    (void)rig_commands(&rig);
    redis_says("+A\r\n+B\r\n");
    settle();
    check_answer(1, 200, "B");
    ck_assert_uint_eq(r.in_flight, 0);
    ck_assert_uint_eq(r.connections, 1);
    ck_assert_uint_eq(counted(STAT_hits), 2);
}
END_TEST

START_TEST(peer_that_leaves_with_its_answer_half_sent_is_forgotten) {
    add(0);
    request(0, "GET", "/large");
    settle();
    ck_assert_uint_eq(r.connections, 1);
    web_peer_hang_up(&peers[0]);
    settle();
    ck_assert_uint_eq(r.connections, 0);
}
END_TEST

/* Events of one wait may still name a connection that an earlier one of them has closed. */
START_TEST(late_event_of_a_closed_connection_is_ignored) {
    add(0);
    web_peer_send(&peers[0], SLICE("nonsense"));
    struct conn *conn = r.conns;
    round_gather(&r);
    ck_assert_uint_eq(r.connections, 0);
    round_on_event(&r, conn, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR);
    ck_assert(!round_has_work(&r));
    round_end_turn(&r);
    check_left(0);
}
END_TEST

START_TEST(nonsense_is_hung_up_on_and_counted) {
    static const struct slice nonsense[] = {
        SLICE_INIT("GET / HTTP/1.1\r\n\r\n"),
        SLICE_INIT("\1\1\0\1\0\10\0\0\0\2\1\0\0\0\0\0"),
        SLICE_INIT("\1\4\0\1\0\0\0\0"),
    };
    for (int i = 0; i < (int)COUNT_OF(nonsense); i++) {
        add(i);
        web_peer_send(&peers[i], nonsense[i]);
        settle();
        check_left(i);
        ck_assert_uint_eq(counted(STAT_protocol_errors), (uint64_t)i + 1);
    }
    ck_assert_uint_eq(r.answered, 0);
    /* A peer that leaves is not one of them. */
    add(5);
    web_peer_hang_up(&peers[5]);
    settle();
    ck_assert_uint_eq(counted(STAT_protocol_errors), 3);
}
END_TEST

/* --- peers that stop ------------------------------------------------------------------------- */

static void tick(int64_t ms) {
    pass(ms);
    (void)turn();
    round_tick(&r);
    round_end_turn(&r);
}

START_TEST(peer_that_connects_and_says_nothing_is_hung_up_on) {
    add(0);
    tick(0);
    tick(ROUND_PARTIAL_MS - 1);
    ck_assert_uint_eq(r.connections, 1);
    tick(1);
    check_left(0);
    ck_assert_uint_eq(counted(STAT_connections_timed_out), 1);
}
END_TEST

/* Not what the worker slept through: its peers may have stood still with it. */
START_TEST(peer_has_its_time_after_a_standstill) {
    add(0);
    tick(0);
    tick(ROUND_PARTIAL_MS - 1);
    r.stood_still += 10 * NS_PER_S;
    tick(10000);
    ck_assert_uint_eq(r.connections, 1);
    tick(1);
    check_left(0);
}
END_TEST

START_TEST(kept_connection_may_be_silent_between_requests) {
    add(0);
    request(0, "GET", "/echo");
    settle();
    check_answer(0, 200, NULL);
    round_adopt(&r, web_peer_setup(&peers[1]));
    for (int i = 0; i < 10; i++)
        tick(1000);
    ck_assert_uint_eq(r.connections, 2);
    request(0, "GET", "/echo?a");
    request(1, "GET", "/echo?b");
    settle();
    check_answer(0, 200, "GET a");
    check_answer(1, 200, "GET b");
}
END_TEST

/* It drips: a byte every now and then does not make it a request. */
START_TEST(request_that_does_not_become_whole_is_hung_up_on) {
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "GET", .target = "/echo"});
    add(0);
    request(0, "GET", "/echo");
    settle();
    check_answer(0, 200, NULL);
    tick(5000);
    for (size_t i = 0; i < 10; i++) {
        web_peer_send(&peers[0], (struct slice){records.p + i, 1});
        tick(0);
        ck_assert_uint_eq(r.connections, 1);
        tick(ROUND_PARTIAL_MS / 10 - (i == 9 ? 1 : 0));
    }
    ck_assert_uint_eq(r.connections, 1);
    tick(1);
    check_left(0);
    ck_assert_uint_eq(counted(STAT_connections_timed_out), 1);
    buf_fini(&records);
}
END_TEST

START_TEST(early_bytes_that_stop_are_hung_up_on_after_the_answer) {
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "GET", .target = "/wait/a"});
    size_t whole = records.n;
    records_put_request(&records, &(struct web_request){.method = "GET", .target = "/echo"});
    rig_connect(&rig);
    add(0);
    web_peer_send(&peers[0], (struct slice){records.p, whole + 10});
    settle();
    /* It is Redis that we wait for. */
    tick(400);
    redis_says("+A\r\n");
    tick(0);
    check_answer(0, 200, "A");
    tick(ROUND_PARTIAL_MS - 1);
    ck_assert_uint_eq(r.connections, 1);
    tick(1);
    check_left(0);
    buf_fini(&records);
}
END_TEST

START_TEST(answer_that_nobody_reads_is_given_up) {
    add(0);
    request(0, "GET", "/large");
    settle();
    tick(ROUND_PARTIAL_MS - 1);
    ck_assert_uint_eq(r.connections, 1);
    tick(1);
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_uint_eq(counted(STAT_connections_timed_out), 1);
}
END_TEST

START_TEST(answer_that_is_read_slowly_is_not) {
    struct web_answer got = {0};
    bool whole = false;
    add(0);
    request(0, "GET", "/large");
    settle();
    for (int i = 0; i < 100 && !whole; i++) {
        tick(ROUND_PARTIAL_MS - 1);
        whole = web_peer_answer(&peers[0], 1, &got);
        ck_assert_uint_eq(r.connections, 1);
    }
    ck_assert(whole);
    ck_assert_uint_eq(got.body.n, ECHO_LARGE);
    records_free_answer(&got);
    ck_assert_uint_eq(counted(STAT_connections_timed_out), 0);
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
}
END_TEST

/* What has come and waits for us is not the peer's fault. */
START_TEST(request_that_waits_for_us_is_not_overdue) {
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/wait/a");
    r.in_flight = ROUND_IN_FLIGHT_MAX;
    tick(5000);
    ck_assert_uint_eq(r.connections, 1);
    r.in_flight = 0;
    (void)turn();
    redis_says("$1\r\n1\r\n$1\r\n1\r\n");
    (void)turn();
    check_answer(0, 200, "1");
}
END_TEST

/* --- too much -------------------------------------------------------------------------------- */

START_TEST(so_many_requests_are_taken_in_a_turn) {
    for (int i = 0; i < PEERS; i++) {
        add(i);
        request(i, "GET", "/echo");
    }
    (void)turn();
    ck_assert_uint_eq(r.answered, ROUND_TAKE_MAX);
    ck_assert(round_has_work(&r));
    (void)turn();
    ck_assert_uint_eq(r.answered, PEERS);
    ck_assert(!round_has_work(&r));
    for (int i = 0; i < PEERS; i++)
        check_answer(i, 200, "GET ");
}
END_TEST

/* Who has more requests there already, or sends without end, does not hold up the others. */
START_TEST(everybody_has_one_go_a_turn) {
    for (int i = 0; i < 2; i++)
        add(i);
    request(0, "GET", "/echo?1");
    request(0, "GET", "/echo?2");
    request(0, "GET", "/echo?3");
    request(1, "GET", "/echo?a");
    (void)turn();
    check_answer(0, 200, "GET 1");
    check_no_answer(0);
    check_answer(1, 200, "GET a");
    ck_assert(round_has_work(&r));
    (void)turn();
    check_answer(0, 200, "GET 2");
    check_no_answer(0);
    (void)turn();
    check_answer(0, 200, "GET 3");
}
END_TEST

START_TEST(peer_that_sends_without_end_does_not_hold_up_others) {
    static char content[RECORD_CONTENT_MAX];
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "PUT",
                                                        .target = "/echo",
                                                        .body = {content, sizeof(content)}});
    /* Without its last record, and with two more. */
    records.n -= RECORD_HEADER;
    records_put(&records, RECORD_STDIN, 1, (struct slice){content, sizeof(content)}, 0);
    records_put(&records, RECORD_STDIN, 1, (struct slice){content, sizeof(content)}, 0);
    add(0);
    add(1);
    web_peer_send(&peers[0], buf_slice(&records));
    request(1, "GET", "/echo?a");
    (void)turn();
    check_answer(1, 200, "GET a");
    ck_assert(round_has_work(&r));
    for (int i = 0; i < 100 && round_has_work(&r); i++)
        (void)turn();
    ck_assert(!round_has_work(&r));
    ck_assert_uint_gt(counted(STAT_bytes_received), records.n);
    buf_reset(&records, SIZE_MAX);
    records_put(&records, RECORD_STDIN, 1, (struct slice){0}, 0);
    web_peer_send(&peers[0], buf_slice(&records));
    settle();
    check_answer(0, 413, NULL);
    buf_fini(&records);
}
END_TEST

/* With as much in flight as may be. */
static void make_busy(bool busy) {
    r.in_flight = busy ? ROUND_IN_FLIGHT_MAX : 0;
}

START_TEST(what_needs_redis_waits_above_the_limits) {
    rig_connect(&rig);
    for (int i = 0; i < 3; i++)
        add(i);
    make_busy(true);
    request(0, "GET", "/wait/a");
    request(1, "GET", "/wait/b");
    request(2, "GET", "/echo?c");
    unsigned plans = echo_plans;
    (void)turn();
    /* Who needs none is none the worse for it. */
    check_answer(2, 200, "GET c");
    ck_assert_uint_eq(echo_plans, plans + 1);
    ck_assert_str_eq(rig_commands(&rig), "");
    /* The worker may sleep: the next event is Redis's. */
    ck_assert(!round_has_work(&r));
    make_busy(false);
    ck_assert(round_has_work(&r));
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "GET a\nGET b\n");
    ck_assert_uint_eq(r.in_flight, 2);
    redis_says("$1\r\n1\r\n$1\r\n2\r\n");
    (void)turn();
    check_answer(0, 200, "1");
    check_answer(1, 200, "2");
    ck_assert_uint_eq(r.in_flight, 0);
}
END_TEST

START_TEST(they_are_let_in_as_others_leave) {
    rig_connect(&rig);
    for (int i = 0; i < 3; i++)
        add(i);
    r.in_flight = ROUND_IN_FLIGHT_MAX - 1;
    for (int i = 0; i < 3; i++)
        request(i, "GET", "/wait/a");
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    redis_says("$1\r\n1\r\n");
    (void)turn();
    check_answer(0, 200, "1");
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    redis_says("$1\r\n2\r\n");
    (void)turn();
    check_answer(1, 200, "2");
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    redis_says("$1\r\n3\r\n");
    (void)turn();
    check_answer(2, 200, "3");
    ck_assert_uint_eq(r.in_flight, ROUND_IN_FLIGHT_MAX - 1);
}
END_TEST

START_TEST(nothing_is_done_for_who_left_while_waiting) {
    rig_connect(&rig);
    add(0);
    add(1);
    make_busy(true);
    request(0, "PUT", "/wait/a");
    request(1, "PUT", "/wait/b");
    (void)turn();
    web_peer_hang_up(&peers[0]);
    settle();
    ck_assert_uint_eq(r.connections, 2);
    make_busy(false);
    (void)turn();
    ck_assert_uint_eq(r.connections, 1);
    ck_assert_str_eq(rig_commands(&rig), "GET b\n");
    ck_assert_uint_eq(r.in_flight, 1);
}
END_TEST

/* Else all that wait would have their bodies in memory. */
START_TEST(bodies_are_not_read_above_the_limits) {
    static char content[RECORD_CONTENT_MAX];
    rig.config.max_value = sizeof(content);
    r.body_max = sizeof(content);
    struct buf records = {0};
    records_put_request(&records, &(struct web_request){.method = "PUT",
                                                        .target = "/echo",
                                                        .body = {content, sizeof(content)}});
    make_busy(true);
    add(0);
    /* Without its end. */
    web_peer_send(&peers[0], (struct slice){records.p, records.n - RECORD_HEADER});
    for (int i = 0; i < 10; i++)
        (void)turn();
    ck_assert(!round_has_work(&r));
    ck_assert_uint_le(counted(STAT_bytes_received), 4096);
    tick(5000);
    ck_assert_uint_eq(r.connections, 1);
    make_busy(false);
    ck_assert(round_has_work(&r));
    settle();
    /* Its second begins only now. */
    ck_assert_uint_ge(counted(STAT_bytes_received), records.n - RECORD_HEADER);
    tick(ROUND_PARTIAL_MS - 1);
    ck_assert_uint_eq(r.connections, 1);
    web_peer_send(&peers[0], (struct slice){records.p + records.n - RECORD_HEADER, RECORD_HEADER});
    settle();
    check_answer(0, 200, NULL);
    buf_fini(&records);
}
END_TEST

/* There is always somebody who waits for Redis: as one leaves, the next comes. */
START_TEST(bodies_are_read_when_it_is_their_turn) {
    static char content[20000];
    rig.config.max_value = sizeof(content);
    r.body_max = sizeof(content);
    rig_connect(&rig);
    r.in_flight = ROUND_IN_FLIGHT_MAX - 1;
    for (int i = 0; i < 4; i++)
        add(i);
    request(0, "GET", "/wait/a");
    request(1, "GET", "/wait/b");
    (void)turn();
    web_peer_request(&peers[3], &(struct web_request){.method = "PUT",
                                                      .target = "/echo",
                                                      .body = {content, sizeof(content)}});
    (void)turn();
    ck_assert_uint_eq(peers[3].got.n, 0);
    request(2, "GET", "/wait/c");
    for (int i = 0; i < 4; i++) {
        (void)turn();
        redis_says("$1\r\n1\r\n");
        (void)turn();
        check_answer(i % 3, 200, "1");
        request(i % 3, "GET", "/wait/a");
    }
    (void)turn();
    check_answer(3, 200, NULL);
}
END_TEST

START_TEST(unsent_commands_are_a_limit) {
    static char value[4 << 20];
    struct call *call = &rig.request.call;
    rig_connect(&rig);
    add(0);
    request(0, "GET", "/wait/a");
    ck_assert_int_eq(store_begin(rig.service.store, call, rig.service.now), OK);
    store_append(rig.service.store, call, (struct slice[]){{value, sizeof(value)}}, 1);
    store_commit(rig.service.store, call, rig.service.now);
    unsigned plans = echo_plans;
    round_gather(&r);
    ck_assert_uint_eq(echo_plans, plans);
    ck_assert(!round_has_work(&r));
    store_flush(rig.service.store, rig.service.now);
    round_gather(&r);
    ck_assert_uint_eq(echo_plans, plans + 1);
    rig_hang_up(&rig);
    ck_assert_ptr_eq(store_next_done(rig.service.store), call);
}
END_TEST

START_TEST(unsent_answers_are_a_limit) {
    rig_connect(&rig);
    add(0);
    add(1);
    request(0, "GET", "/large");
    (void)turn();
    ck_assert_uint_gt(r.unsent, ECHO_LARGE / 2);
    ck_assert_uint_lt(r.unsent, ECHO_LARGE);
    size_t unsent = r.unsent;
    r.unsent += ROUND_UNSENT_MAX;
    request(1, "GET", "/wait/a");
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "");
    r.unsent = unsent;
    settle();
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    struct web_answer got;
    for (int i = 0; i < 1000 && !web_peer_answer(&peers[0], 1, &got); i++)
        (void)turn();
    ck_assert_uint_eq(got.body.n, ECHO_LARGE);
    records_free_answer(&got);
    ck_assert_uint_eq(r.unsent, 0);
    request(0, "GET", "/large");
    (void)turn();
    web_peer_hang_up(&peers[0]);
    settle();
    ck_assert_uint_eq(r.unsent, 0);
}
END_TEST

START_TEST(share_goes_from_one_to_the_next) {
    rig_connect(&rig);
    for (int i = 0; i < 4; i++)
        add(i);
    for (int i = 0; i < 3; i++)
        request(i, "GET", "/large/a");
    request(3, "GET", "/wait/b");
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "GET a\nGET b\n");
    ck_assert_uint_eq(r.in_flight, 2);
    ck_assert(!round_has_work(&r));
    /* The next one leaves, and does not hold up the one after it. */
    web_peer_hang_up(&peers[1]);
    settle();
    redis_says("$1\r\n1\r\n$1\r\n2\r\n");
    settle();
    check_answer(0, 200, "1");
    check_answer(3, 200, "2");
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    ck_assert_uint_eq(r.in_flight, 1);
    redis_says("$1\r\n3\r\n");
    (void)turn();
    check_answer(2, 200, "3");
    ck_assert_uint_eq(r.service.shares[SHARE_LARGE], 0);
    ck_assert_uint_eq(r.in_flight, 0);
}
END_TEST

/* Anybody can ask for many walks, which take long and wait for each other. */
START_TEST(who_waits_to_walk_keeps_nobody_from_redis) {
    rig_connect(&rig);
    r.in_flight = ROUND_IN_FLIGHT_MAX - 5;
    for (int i = 0; i < 7; i++)
        add(i);
    for (int i = 0; i < 6; i++)
        request(i, "GET", "/walk/a");
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "GET a\nGET a\nGET a\nGET a\n");
    request(6, "GET", "/wait/b");
    (void)turn();
    ck_assert_str_eq(rig_commands(&rig), "GET b\n");
    redis_says("$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n2\r\n");
    settle();
    check_answer(6, 200, "2");
    redis_says("$1\r\n1\r\n$1\r\n1\r\n");
    settle();
    for (int i = 0; i < 6; i++)
        check_answer(i, 200, "1");
    ck_assert_uint_eq(r.in_flight, ROUND_IN_FLIGHT_MAX - 5);
    ck_assert_uint_eq(r.service.shares[SHARE_SWEEP], 0);
}
END_TEST

START_TEST(share_of_a_connection_that_ends_is_free_again) {
    rig_connect(&rig);
    add(0);
    add(1);
    request(0, "GET", "/large/a");
    request(1, "GET", "/large/b");
    (void)turn();
    web_peer_hang_up(&peers[0]);
    settle();
    /* Its call is still out. */
    ck_assert_str_eq(rig_commands(&rig), "GET a\n");
    redis_says("$1\r\n1\r\n");
    settle();
    ck_assert_str_eq(rig_commands(&rig), "GET b\n");
}
END_TEST

/* --- passing on ------------------------------------------------------------------------------ */

static int disposed[PEERS];
static int disposals;

static enum disposal dispose(void *context, int fd) {
    const enum disposal *what = context;
    if (*what == DISPOSED)
        disposed[disposals] = dup(fd);
    disposals++;
    return *what;
}

/* Connections: idle; inside a request; its request waits; its answer is half sent; just come; taken
 * over, with a request there that nobody has looked at. */
static void make_every_kind(void) {
    disposals = 0;
    rig_connect(&rig);
    for (int i = 0; i < 4; i++) {
        add(i);
        request(i, "GET", "/echo");
        settle();
        check_answer(i, 200, NULL);
    }
    web_peer_send(&peers[1], SLICE("\1\1\0\1"));
    request(2, "GET", "/wait/a");
    request(3, "GET", "/large");
    settle();
    add(4);
    request(4, "GET", "/echo?a");
    round_adopt(&r, web_peer_setup(&peers[5]));
    request(5, "GET", "/echo?b");
}

START_TEST(idle_connections_can_be_passed_on) {
    enum disposal what = DISPOSED;
    make_every_kind();
    round_dispose_idle(&r, dispose, &what);
    round_end_turn(&r);
    ck_assert_int_eq(disposals, 1);
    ck_assert_uint_eq(r.connections, 5);
    /* It lives on elsewhere, and reports here no more. */
    ck_assert(!web_peer_was_left(&peers[0]));
    request(0, "GET", "/echo");
    ck_assert_int_eq(look(), 0);
    struct round other;
    round_init(&other, rig.service, rig.epoll);
    round_adopt(&other, disposed[0]);
    round_gather(&other);
    check_answer(0, 200, NULL);
    round_fini(&other);
    /* The others go on here. */
    (void)rig_commands(&rig);
    redis_says("+A\r\n");
    settle();
    check_answer(2, 200, "A");
    check_answer(4, 200, "GET a");
    check_answer(5, 200, "GET b");
}
END_TEST

START_TEST(connections_that_cannot_be_passed_on_are_kept) {
    enum disposal what = _i == 0 ? KEPT : FULL;
    make_every_kind();
    round_dispose_idle(&r, dispose, &what);
    ck_assert_int_eq(disposals, 1);
    round_end_turn(&r);
    ck_assert_uint_eq(r.connections, 6);
    request(0, "GET", "/echo?a");
    settle();
    check_answer(0, 200, "GET a");
}
END_TEST

/* --- the end --------------------------------------------------------------------------------- */

START_TEST(round_can_end_at_any_time) {
    make_every_kind();
    round_fini(&r);
    for (int i = 0; i < 6; i++) {
        struct web_answer ignored;
        if (web_peer_answer(&peers[i], 1, &ignored))
            records_free_answer(&ignored);
        peers[i].got.n = 0;
        check_left(i);
    }
    store_close(&rig.service.store);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_round(void) {
    Suite *s = suite_create("round");
    TCase *t = add_case(s, "requests");
    tcase_add_test(t, request_comes_in_and_answer_goes_out);
    tcase_add_test(t, kept_connection_takes_one_request_after_the_other);
    tcase_add_test(t, connection_that_is_not_kept_is_closed_after_its_answer);
    tcase_add_test(t, connection_that_cannot_be_watched_is_closed);
    tcase_add_test(t, connections_that_end_with_their_request_are_noticed);
    tcase_add_test(t, peer_that_takes_its_answer_is_no_event);
    tcase_add_test(t, last_answers_close_their_connections);
    tcase_add_test(t, request_is_answered_wherever_it_is_cut);
    tcase_add_test(t, requests_that_come_early_are_answered_in_order);
    tcase_add_test(t, head_is_answered_without_a_body);
    tcase_add_test(t, answers_are_counted_by_route_and_class);
    tcase_add_test(t, body_over_the_limit_is_thrown_away_and_answered);
    t = add_case(s, "smuggling");
    tcase_add_loop_test(t, request_in_a_body_never_runs, 0, COUNT_OF(carriers));
    t = add_case(s, "redis");
    tcase_add_test(t, request_waits_for_redis);
    tcase_add_test(t, everybody_gets_his_own_reply);
    tcase_add_test(t, request_may_ask_again);
    tcase_add_test(t, next_request_waits_until_the_first_is_answered);
    tcase_add_test(t, requests_are_answered_when_redis_is_away);
    tcase_add_test(t, requests_in_flight_are_answered_when_redis_leaves);
    tcase_add_test(t, requests_in_flight_have_a_deadline);
    t = add_case(s, "leaving");
    tcase_add_test(t, idle_peer_that_leaves_is_forgotten);
    tcase_add_test(t, peer_that_never_said_anything_is_forgotten);
    tcase_add_loop_test(t, peer_that_leaves_inside_a_request_is_forgotten_at_once, 1, 10);
    tcase_add_loop_test(t, peer_that_only_listens_gets_its_answer, 0, 2);
    tcase_add_test(t, peer_that_leaves_while_its_request_waits_is_no_fault);
    tcase_add_test(t, peer_that_leaves_with_its_answer_half_sent_is_forgotten);
    tcase_add_test(t, late_event_of_a_closed_connection_is_ignored);
    tcase_add_test(t, nonsense_is_hung_up_on_and_counted);
    t = add_case(s, "stopping");
    tcase_add_test(t, peer_that_connects_and_says_nothing_is_hung_up_on);
    tcase_add_test(t, peer_has_its_time_after_a_standstill);
    tcase_add_test(t, kept_connection_may_be_silent_between_requests);
    tcase_add_test(t, request_that_does_not_become_whole_is_hung_up_on);
    tcase_add_test(t, early_bytes_that_stop_are_hung_up_on_after_the_answer);
    tcase_add_test(t, answer_that_nobody_reads_is_given_up);
    tcase_add_test(t, answer_that_is_read_slowly_is_not);
    tcase_add_test(t, request_that_waits_for_us_is_not_overdue);
    t = add_case(s, "limits");
    tcase_add_test(t, so_many_requests_are_taken_in_a_turn);
    tcase_add_test(t, everybody_has_one_go_a_turn);
    tcase_add_test(t, peer_that_sends_without_end_does_not_hold_up_others);
    tcase_add_test(t, what_needs_redis_waits_above_the_limits);
    tcase_add_test(t, they_are_let_in_as_others_leave);
    tcase_add_test(t, nothing_is_done_for_who_left_while_waiting);
    tcase_add_test(t, bodies_are_not_read_above_the_limits);
    tcase_add_test(t, bodies_are_read_when_it_is_their_turn);
    tcase_add_test(t, unsent_commands_are_a_limit);
    tcase_add_test(t, unsent_answers_are_a_limit);
    tcase_add_test(t, share_goes_from_one_to_the_next);
    tcase_add_test(t, who_waits_to_walk_keeps_nobody_from_redis);
    tcase_add_test(t, share_of_a_connection_that_ends_is_free_again);
    t = add_case(s, "passing");
    tcase_add_test(t, idle_connections_can_be_passed_on);
    tcase_add_loop_test(t, connections_that_cannot_be_passed_on_are_kept, 0, 2);
    t = add_case(s, "end");
    tcase_add_test(t, round_can_end_at_any_time);
    return s;
}
