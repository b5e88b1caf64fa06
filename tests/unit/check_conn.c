/* A FastCGI connection by itself: reading until a request is whole, answering, going on. */
#include "units.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "echo.h"
#include "http/fcgi.h"
#include "process/conn.h"
#include "rig.h"
#include "support.h"
#include "web_peer.h"

enum { BODY_MAX = 1000 };

static struct rig rig;
static struct web_peer peer;
static struct conn *conn;

static void setup(void) {
    rig_setup(&rig);
    rig.service.routes = &echo_routes;
    ck_assert_int_eq(fcgi_setup(), OK);
    conn = conn_open(web_peer_setup(&peer), &rig.service);
    ck_assert_ptr_nonnull(conn);
}

static void teardown(void) {
    conn_close(&conn);
    ck_assert_ptr_null(conn);
    web_peer_teardown(&peer);
    rig_teardown(&rig);
}

/* More may be there: the worker would know by an event. */
static enum error read_more(void) {
    conn->readable = true;
    return conn_read(conn, BODY_MAX, rig.service.now);
}

static void start(enum step expected) {
    enum step step = STEP_WAIT;
    ck_assert_int_eq(conn_start(conn, &step), OK);
    ck_assert_int_eq(step, expected);
}

/* Answers the request that is started, and compares the answer's body. */
static void answer(unsigned id, int status, const char *body) {
    struct web_answer got;
    ck_assert_int_eq(conn_encode(conn), OK);
    ck_assert_int_eq(conn_write(conn, rig.service.now), OK);
    ck_assert(web_peer_answer(&peer, id, &got));
    ck_assert_int_eq(got.status, status);
    ck_assert_msg(body == NULL || slice_eq(got.body, slice_of(body)), "%.*s", (int)got.body.n,
                  got.body.p);
    records_free_answer(&got);
    conn_next(conn);
}

static const struct web_request get = {.method = "GET", .target = "/echo?a"};
static const struct web_request put = {
    .id = 9, .method = "PUT", .target = "/echo", .body = SLICE_INIT("body"), .close = true};

/* --- one request ----------------------------------------------------------------------------- */

START_TEST(request_is_read_started_and_answered) {
    web_peer_request(&peer, &get);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 200, "GET a");
    ck_assert(conn_is_idle(conn));
    ck_assert(web_peer_is_quiet(&peer));
}
END_TEST

START_TEST(request_is_taken_when_it_is_whole_wherever_it_is_cut) {
    struct buf records = {0};
    records_put_request(&records, &put);
    for (size_t cut = 0; cut < records.n; cut++) {
        web_peer_send(&peer, (struct slice){records.p, cut});
        ck_assert_int_eq(read_more(), E_AGAIN);
        ck_assert_int_eq(conn_is_idle(conn), cut == 0);
        ck_assert(!conn->readable);
        web_peer_send(&peer, (struct slice){records.p + cut, records.n - cut});
        ck_assert_int_eq(read_more(), OK);
        start(STEP_ANSWER);
        answer(9, 200, "<body>");
        ck_assert(conn_is_idle(conn));
    }
    buf_fini(&records);
}
END_TEST

START_TEST(bytes_are_counted) {
    const struct stats_row *row = rig.service.row;
    struct buf records = {0};
    struct web_answer got;
    records_put_request(&records, &get);
    web_peer_send(&peer, buf_slice(&records));
    ck_assert_int_eq(read_more(), OK);
    ck_assert_uint_eq(stats_read(&row->counter[STAT_bytes_received]), records.n);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn_encode(conn), OK);
    ck_assert_int_eq(conn_write(conn, rig.service.now), OK);
    ck_assert(web_peer_answer(&peer, 1, &got));
    ck_assert_uint_eq(stats_read(&row->counter[STAT_bytes_sent]), got.bytes);
    records_free_answer(&got);
    buf_fini(&records);
}
END_TEST

START_TEST(head_has_no_body) {
    struct web_answer got;
    web_peer_request(&peer, &(struct web_request){.method = "HEAD", .target = "/echo?abc"});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn_encode(conn), OK);
    ck_assert_int_eq(conn_write(conn, rig.service.now), OK);
    ck_assert(web_peer_answer(&peer, 1, &got));
    ck_assert_uint_eq(got.body.n, 0);
    ck_assert(slice_eq(records_field(&got, "Content-Length"), SLICE("7")));
    records_free_answer(&got);
}
END_TEST

START_TEST(nul_in_a_parameter_is_a_malformed_request) {
    struct buf pairs = {0};
    unsigned before = echo_plans;
    records_put_pair(&pairs, "HTTP_X", SLICE("a\0b"));
    web_peer_request(&peer, &(struct web_request){
                                .method = "GET", .target = "/echo", .params = buf_slice(&pairs)});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 400, NULL);
    ck_assert_uint_eq(echo_plans, before);
    /* The next one is none of its business. */
    web_peer_request(&peer, &get);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 200, "GET a");
    buf_fini(&pairs);
}
END_TEST

/* --- bodies ---------------------------------------------------------------------------------- */

START_TEST(body_over_the_limit_is_discarded_and_told) {
    static char body[BODY_MAX + 1];
    struct web_request request = {.method = "PUT", .target = "/echo", .body = {body, BODY_MAX + 1}};
    web_peer_request(&peer, &request);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 413, NULL);
    ck_assert(conn_is_idle(conn));
    request.body.n = BODY_MAX;
    memset(body, 'b', BODY_MAX);
    web_peer_request(&peer, &request);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 200, NULL);
}
END_TEST

START_TEST(body_of_a_request_without_use_for_it_is_read) {
    static const struct web_request requests[] = {
        {.method = "GET", .target = "/echo?a", .body = SLICE_INIT("body")},
        {.method = "HEAD", .target = "/echo?a", .body = SLICE_INIT("body")},
        {.method = "DELETE", .target = "/echo", .body = SLICE_INIT("body")},
        {.method = "GET", .target = "/nothing", .body = SLICE_INIT("body")},
        {.method = "POST", .target = "/echo", .body = SLICE_INIT("body")},
        {.method = "OPTIONS", .target = "/echo", .body = SLICE_INIT("body")},
        {.method = "PUT", .target = "/echo", .body = SLICE_INIT("body"), .length = "3"},
    };
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct web_answer got;
        web_peer_request(&peer, &requests[i]);
        ck_assert_int_eq(read_more(), OK);
        start(STEP_ANSWER);
        ck_assert_int_eq(conn_encode(conn), OK);
        ck_assert_int_eq(conn_write(conn, rig.service.now), OK);
        ck_assert(web_peer_answer(&peer, 1, &got));
        records_free_answer(&got);
        conn_next(conn);
        ck_assert(conn_is_idle(conn));
        web_peer_request(&peer, &get);
        ck_assert_int_eq(read_more(), OK);
        start(STEP_ANSWER);
        answer(1, 200, "GET a");
    }
}
END_TEST

START_TEST(large_buffers_are_given_back) {
    static char body[1 << 20];
    web_peer_request(
        &peer, &(struct web_request){.method = "PUT", .target = "/echo", .body = {body, 100000}});
    conn->readable = true;
    ck_assert_int_eq(conn_read(conn, sizeof(body), rig.service.now), OK);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn_encode(conn), OK);
    for (int i = 0; conn_write(conn, rig.service.now) == E_AGAIN && i < 100; i++)
        (void)web_peer_is_quiet(&peer);
    conn_next(conn);
    ck_assert_uint_le(conn->in.cap, 65536);
    ck_assert_uint_le(conn->body.cap, 65536);
    ck_assert_uint_le(conn->out.cap, 65536);
}
END_TEST

START_TEST(nothing_piles_up_on_a_kept_connection) {
    for (int i = 0; i < 1000; i++) {
        web_peer_request(&peer, &get);
        ck_assert_int_eq(read_more(), OK);
        start(STEP_ANSWER);
        answer(1, 200, "GET a");
    }
    ck_assert_uint_le(conn->params.cap, 1024);
    ck_assert_uint_le(conn->in.cap, 8192);
    ck_assert_uint_le(conn->out.cap, 8192);
    ck_assert_uint_le(conn->body.cap, 8192);
}
END_TEST

/* --- more than one --------------------------------------------------------------------------- */

START_TEST(early_bytes_wait_for_their_turn) {
    struct buf records = {0};
    records_put_request(&records, &get);
    records_put_request(&records, &put);
    size_t both = records.n;
    records_put_request(&records, &get);
    web_peer_send(&peer, (struct slice){records.p, both + 20});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    ck_assert(!conn_is_idle(conn));
    answer(1, 200, "GET a");
    ck_assert(!conn_is_idle(conn));
    ck_assert(!conn->readable);
    ck_assert_int_eq(conn_read(conn, BODY_MAX, rig.service.now), OK);
    start(STEP_ANSWER);
    answer(9, 200, "<body>");
    ck_assert_int_eq(conn_read(conn, BODY_MAX, rig.service.now), E_AGAIN);
    ck_assert(!conn_is_idle(conn));
    ck_assert_int_eq(conn->partial_since, rig.service.now);
    web_peer_send(&peer, (struct slice){records.p + both + 20, records.n - both - 20});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    answer(1, 200, "GET a");
    ck_assert(conn_is_idle(conn));
    buf_fini(&records);
}
END_TEST

START_TEST(partial_request_is_dated_by_its_first_byte) {
    struct buf records = {0};
    records_put_request(&records, &get);
    ck_assert_int_eq(read_more(), E_AGAIN);
    ck_assert_int_eq(conn->partial_since, 0);
    int64_t first = rig.service.now;
    for (size_t i = 0; i < 10; i++) {
        web_peer_send(&peer, (struct slice){records.p + i, 1});
        ck_assert_int_eq(read_more(), E_AGAIN);
        ck_assert_int_eq(conn->partial_since, first);
        rig.service.now += NS_PER_MS;
    }
    web_peer_send(&peer, (struct slice){records.p + 10, records.n - 10});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn->partial_since, 0);
    answer(1, 200, "GET a");
    buf_fini(&records);
}
END_TEST

/* --- the end --------------------------------------------------------------------------------- */

START_TEST(end_of_the_peer_is_told) {
    struct buf records = {0};
    records_put_request(&records, &get);
    web_peer_send(&peer, (struct slice){records.p, (size_t)_i});
    ck_assert_int_eq(read_more(), E_AGAIN);
    web_peer_hang_up(&peer);
    ck_assert_int_eq(read_more(), E_CLOSED);
    buf_fini(&records);
}
END_TEST

START_TEST(whole_read_of_a_peer_that_left_is_still_taken) {
    web_peer_request(&peer, &get);
    web_peer_hang_up(&peer);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn_encode(conn), OK);
    ck_assert_int_eq(conn_write(conn, rig.service.now), E_CLOSED);
}
END_TEST

/* It was never watched: nobody has told that its peer left. */
START_TEST(whole_write_of_a_peer_that_left_is_not) {
    enum step step;
    unsigned plans = echo_plans;
    web_peer_request(&peer, &put);
    web_peer_hang_up(&peer);
    ck_assert_int_eq(read_more(), OK);
    ck_assert_int_eq(conn_start(conn, &step), E_CLOSED);
    ck_assert_uint_eq(echo_plans, plans);
}
END_TEST

/* The event that tells of it may be older than the peer's leaving, if this process stood still. */
START_TEST(after_a_standstill_the_peer_is_looked_for) {
    enum step step;
    web_peer_request(&peer, &put);
    web_peer_hang_up(&peer);
    ck_assert_int_eq(read_more(), OK);
    conn->watch = WATCH_READ;
    rig.service.late = _i == 1;
    ck_assert_int_eq(conn_start(conn, &step), _i == 1 ? E_CLOSED : OK);
}
END_TEST

START_TEST(nonsense_is_told) {
    static const struct slice nonsense[] = {
        SLICE_INIT("GET / HTTP/1.1\r\n\r\n"),
        SLICE_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        SLICE_INIT("\x16\x03\x01\x02\0\1\0\1\xfc\3\3"),
        SLICE_INIT("\1\x09\0\0\0\x11\7\0\x0f\0FCGI_MPXS_CONNS"),
        SLICE_INIT("\1\4\0\1\0\0\0\0"),
    };
    web_peer_send(&peer, nonsense[_i]);
    ck_assert_int_eq(read_more(), E_PROTOCOL);
}
END_TEST

START_TEST(answer_waits_for_a_peer_that_does_not_read) {
    struct web_answer got = {0};
    web_peer_request(&peer, &(struct web_request){.method = "GET", .target = "/large"});
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    ck_assert_int_eq(conn_encode(conn), OK);
    ck_assert_int_eq(conn_write(conn, 5), E_AGAIN);
    ck_assert_int_eq(conn->unsent_since, 5);
    ck_assert_int_eq(conn_write(conn, 6), E_AGAIN);
    /* It has not moved. */
    ck_assert_int_eq(conn->unsent_since, 5);
    enum error e = E_AGAIN;
    for (int64_t i = 7; e == E_AGAIN && i < 1000; i++) {
        ck_assert(!web_peer_answer(&peer, 1, &got));
        e = conn_write(conn, i);
        ck_assert_int_eq(conn->unsent_since, i);
    }
    ck_assert_int_eq(e, OK);
    ck_assert(web_peer_answer(&peer, 1, &got));
    ck_assert_uint_eq(got.body.n, ECHO_LARGE);
    ck_assert_int_eq(got.body.p[0], 'L');
    ck_assert_int_eq(got.body.p[ECHO_LARGE - 1], 'L');
    records_free_answer(&got);
}
END_TEST

START_TEST(descriptor_is_closed_with_the_connection) {
    web_peer_request(&peer, &get);
    ck_assert_int_eq(read_more(), OK);
    start(STEP_ANSWER);
    conn_close(&conn);
    ck_assert(web_peer_was_left(&peer));
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_conn(void) {
    Suite *s = suite_create("conn");
    TCase *t = add_case(s, "request");
    tcase_add_test(t, request_is_read_started_and_answered);
    tcase_add_test(t, request_is_taken_when_it_is_whole_wherever_it_is_cut);
    tcase_add_test(t, bytes_are_counted);
    tcase_add_test(t, head_has_no_body);
    tcase_add_test(t, nul_in_a_parameter_is_a_malformed_request);
    t = add_case(s, "body");
    tcase_add_test(t, body_over_the_limit_is_discarded_and_told);
    tcase_add_test(t, body_of_a_request_without_use_for_it_is_read);
    tcase_add_test(t, large_buffers_are_given_back);
    tcase_add_test(t, nothing_piles_up_on_a_kept_connection);
    t = add_case(s, "more");
    tcase_add_test(t, early_bytes_wait_for_their_turn);
    tcase_add_test(t, partial_request_is_dated_by_its_first_byte);
    t = add_case(s, "end");
    tcase_add_loop_test(t, end_of_the_peer_is_told, 0, 20);
    tcase_add_test(t, whole_read_of_a_peer_that_left_is_still_taken);
    tcase_add_test(t, whole_write_of_a_peer_that_left_is_not);
    tcase_add_loop_test(t, after_a_standstill_the_peer_is_looked_for, 0, 2);
    tcase_add_loop_test(t, nonsense_is_told, 0, 5);
    tcase_add_test(t, answer_waits_for_a_peer_that_does_not_read);
    tcase_add_test(t, descriptor_is_closed_with_the_connection);
    return s;
}
