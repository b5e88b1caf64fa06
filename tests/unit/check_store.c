/* The connection to Redis, against a Redis that the test plays: who gets which reply, and what
 * becomes of everybody when it fails. Time is the test's own, events are epoll's. */
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "commands.h"
#include "fake_redis.h"
#include "redis/breaker.h"
#include "redis/store.h"
#include "refuse.h"
#include "require.h"
#include "support.h"

enum { MIB = 1 << 20, CALLS = 8, CONNECT_MS = 200, ANSWER_MS = 500 };

#define WELCOME "$22\r\nredis_version:7.0.15\r\n\r\n+OK\r\n+OK\r\n" SCRIPTS_LOADED

static struct fake_redis redis;
static struct config config;
static struct segment *segment;
static struct stats_row *row;
static struct store *store;
static struct call calls[CALLS];
static int epoll;
static int tag;
static int64_t now;

static void setup(void) {
    size_t bytes = sizeof(struct segment) + 2 * sizeof(struct stats_row);
    fake_redis_setup(&redis);
    ck_assert_int_eq(log_open("/dev/null", LOG_LEVEL_DEBUG), OK);
    config = (struct config){
        .redis_connect_timeout = CONNECT_MS,
        .redis_timeout = ANSWER_MS,
        .max_memory_policy = POLICY_ALLKEYS_LRU,
    };
    memcpy(config.redis_socket, redis.path, sizeof(redis.path));
    segment = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(segment);
    memset(segment, 0, bytes);
    row = &segment->rows[1];
    epoll = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_ge(epoll, 0);
    now = 1000 * NS_PER_S;
    store = store_open(&config, segment, row, epoll, &tag);
    ck_assert_ptr_nonnull(store);
}

static void teardown(void) {
    store_close(&store);
    ck_assert_ptr_null(store);
    for (size_t i = 0; i < CALLS; i++)
        call_fini(&calls[i]);
    memset(calls, 0, sizeof(calls));
    close(epoll);
    free(segment);
    fake_redis_teardown(&redis);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
}

/* --- steps ----------------------------------------------------------------------------------- */

static void pass(int64_t ms) {
    now += ms * NS_PER_MS;
}

/* Hands the store what epoll has for it at this moment; gives the events. */
static uint32_t look(void) {
    struct epoll_event event;
    int n = epoll_wait(epoll, &event, 1, 0);
    if (n < 1)
        return 0;
    require(event.data.ptr == &tag);
    store_on_event(store, event.events, now);
    return event.events;
}

/* A turn of the worker. */
static void turn(void) {
    (void)look();
    store_tick(store, now);
}

static void redis_says(const char *bytes) {
    fake_redis_send(&redis, slice_of(bytes));
    (void)look();
}

static void connect_up_to_handshake(void) {
    if (redis.listener < 0)
        fake_redis_listen(&redis);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis),
                     "INFO server\nSELECT 0\n"
                     "CONFIG SET maxmemory-policy allkeys-lru\n" SCRIPTS_LOAD);
}

static void connect_to_redis(void) {
    connect_up_to_handshake();
    redis_says(WELCOME);
    ck_assert(store_get_status(store).ready);
}

static void begin(int i) {
    require(store_begin(store, &calls[i], now) == OK);
}

static void append(int i, const char *command, const char *key) {
    store_append(store, &calls[i], (struct slice[]){slice_of(command), slice_of(key)}, 2);
}

/* A call of one command. */
static void ask(int i, const char *key) {
    begin(i);
    append(i, "GET", key);
    store_commit(store, &calls[i], now);
}

static void ask_and_flush(int i, const char *key) {
    ask(i, key);
    store_flush(store, now);
}

/* The next call that is done is this one. */
static void check_done(int i) {
    ck_assert_ptr_eq(store_next_done(store), &calls[i]);
}

static void check_answered(int i, const char *reply) {
    check_done(i);
    ck_assert_int_eq(calls[i].error, OK);
    const struct reply *r = replies_get(&calls[i].replies, 0);
    ck_assert_ptr_nonnull(r);
    ck_assert_msg(slice_eq(replies_bytes(&calls[i].replies, r), slice_of(reply)),
                  "call %d got %.*s instead of %s", i, (int)r->n,
                  r->n > 0 ? calls[i].replies.bytes.p + r->offset : "", reply);
}

static void check_failed(int i, enum error e, bool outcome_known) {
    check_done(i);
    ck_assert_int_eq(calls[i].error, e);
    ck_assert_int_eq(calls[i].outcome_known, outcome_known);
}

static void check_none_done(void) {
    ck_assert_ptr_null(store_next_done(store));
}

/* The connection is gone, and Redis sees it. */
static void check_dropped(void) {
    ck_assert(!store_get_status(store).ready);
    ck_assert_uint_eq(atomic_load(&row->redis_ready), 0);
    ck_assert(redis.peer < 0 || fake_redis_was_left(&redis));
}

/* Redis lets us in again, and is asked what has not left yet: these commands, no byte more. */
static void reconnect_and_expect(const char *commands) {
    pass(60);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    (void)fake_redis_commands(&redis);
    redis_says(WELCOME);
    ck_assert(store_get_status(store).ready);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), commands);
    ck_assert_uint_eq(redis.got.n, 0);
}

static uint64_t counted(enum stat_id id) {
    return stats_read(&row->counter[id]);
}

/* A connection that epoll can't watch would never be heard of again. */
START_TEST(connection_that_cannot_be_watched_is_given_up) {
    fake_redis_listen(&redis);
    refuse_begin(REFUSE_epoll_ctl, 0, ENOSPC);
    turn();
    ck_assert(refuse_end());
    ck_assert(fake_redis_accept(&redis));
    check_dropped();
    ck_assert_int_eq(store_get_status(store).reason, E_OUT_OF_MEMORY);
    pass(400);
    connect_to_redis();
}
END_TEST

/* What was sent is lost with it, and said to be unknown. */
START_TEST(connection_that_cannot_be_watched_for_room_is_dropped) {
    connect_to_redis();
    char *large = malloc(MIB);
    ck_assert_ptr_nonnull(large);
    memset(large, 'x', MIB);
    begin(0);
    store_append(store, &calls[0], (struct slice[]){SLICE("SET"), SLICE("k"), {large, MIB}}, 3);
    store_commit(store, &calls[0], now);
    refuse_begin(REFUSE_epoll_ctl, 0, ENOMEM);
    store_flush(store, now);
    ck_assert(refuse_end());
    check_dropped();
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    free(large);
}
END_TEST

/* --- connecting ------------------------------------------------------------------------------ */

START_TEST(it_connects_and_is_ready_after_the_handshake) {
    ck_assert(!store_get_status(store).ready);
    ck_assert_int_eq(store_get_status(store).reason, E_BACKEND_UNAVAILABLE);
    connect_up_to_handshake();
    ck_assert(!store_get_status(store).ready);
    ck_assert_uint_eq(atomic_load(&row->redis_ready), 0);
    pass(3);
    redis_says(WELCOME);
    struct store_status status = store_get_status(store);
    ck_assert(status.ready);
    ck_assert_int_eq(status.reason, OK);
    ck_assert_int_eq(status.last_reply, now);
    ck_assert(!status.policy_refused);
    ck_assert_uint_eq(atomic_load(&row->redis_ready), 1);
    ck_assert_uint_eq(counted(STAT_redis_connects), 1);
    ck_assert_uint_eq(counted(STAT_redis_reconnects), 0);
    ck_assert_uint_eq(counted(STAT_redis_commands), 0);
    ck_assert_uint_eq(counted(STAT_redis_errors), 0);
}
END_TEST

START_TEST(handshake_may_come_in_pieces) {
    static const char welcome[] = WELCOME;
    connect_up_to_handshake();
    for (size_t i = 0; i < sizeof(welcome) - 1; i++) {
        ck_assert(!store_get_status(store).ready);
        fake_redis_send(&redis, (struct slice){welcome + i, 1});
        turn();
    }
    ck_assert(store_get_status(store).ready);
}
END_TEST

START_TEST(refused_policy_is_remembered) {
    connect_up_to_handshake();
    redis_says("$0\r\n\r\n+OK\r\n-NOPERM no\r\n" SCRIPTS_LOADED);
    ck_assert(store_get_status(store).ready);
    ck_assert(store_get_status(store).policy_refused);
    fake_redis_hang_up(&redis);
    pass(200);
    turn();
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    ck_assert(store_get_status(store).ready);
    ck_assert(!store_get_status(store).policy_refused);
}
END_TEST

START_TEST(commands_wait_behind_the_handshake) {
    fake_redis_listen(&redis);
    ask(0, "a");
    ask(1, "b");
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    ask(2, "c");
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis),
                     "INFO server\nSELECT 0\n"
                     "CONFIG SET maxmemory-policy allkeys-lru\n" SCRIPTS_LOAD);
    check_none_done();
    redis_says(WELCOME);
    check_none_done();
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\nGET b\nGET c\n");
    redis_says("+A\r\n+B\r\n+C\r\n");
    check_answered(0, "A");
    check_answered(1, "B");
    check_answered(2, "C");
}
END_TEST

START_TEST(first_command_connects) {
    fake_redis_listen(&redis);
    ask(0, "a");
    ck_assert(fake_redis_accept(&redis));
}
END_TEST

START_TEST(nobody_listens) {
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_UNAVAILABLE);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_NO_ENTRY);
    ck_assert_uint_eq(atomic_load(&segment->resolve_wanted), 1);
    ck_assert_uint_eq(counted(STAT_redis_errors), 1);
    ck_assert_int_eq(store_get_status(store).reason, E_BACKEND_UNAVAILABLE);
    /* Not again before it is time. */
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_UNAVAILABLE);
    turn();
    ck_assert_uint_eq(counted(STAT_redis_errors), 1);
    check_none_done();
}
END_TEST

/* One worker at a time tries again, behind the requests' back, and the first success is for all. */
START_TEST(probe_brings_the_service_back) {
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_UNAVAILABLE);
    fake_redis_listen(&redis);
    pass(300);
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_UNAVAILABLE);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_UNAVAILABLE);
    redis_says(WELCOME);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
}
END_TEST

/* --- a handshake that fails ------------------------------------------------------------------ */

static void check_refused(enum error e) {
    check_dropped();
    ck_assert_int_eq(store_get_status(store).reason, e);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_NO_ENTRY);
    ck_assert_int_eq(breaker_reason(&segment->breaker), e);
    ck_assert_int_eq(store_begin(store, &calls[CALLS - 1], now), e);
    ck_assert_uint_eq(counted(STAT_redis_connects), 0);
}

static const struct {
    const char *says;
    enum error e;
} refusals[] = {
    {"-NOAUTH Authentication required.\r\n-NOAUTH x\r\n-NOAUTH x\r\n", E_BACKEND_REFUSED},
    {"-LOADING Redis is loading\r\n-LOADING x\r\n-LOADING x\r\n", E_BACKEND_LOADING},
    {"$22\r\nredis_version:5.0.14\r\n\r\n+OK\r\n+OK\r\n", E_BACKEND_REFUSED},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", E_BACKEND_UNAVAILABLE},
};

START_TEST(refused_handshake_opens_the_breaker) {
    fake_redis_listen(&redis);
    ask(0, "a");
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(refusals[_i].says);
    /* Nothing was sent for it, so nothing was done. */
    check_failed(0, refusals[_i].e, true);
    check_none_done();
    check_refused(refusals[_i].e);
}
END_TEST

/* Redis says why in one line and hangs up: protected mode, too many clients. */
static const struct {
    const char *says;
    enum error e;
} goodbyes[] = {
    {"-DENIED Redis is running in protected mode because...\r\n", E_BACKEND_REFUSED},
    {"-ERR max number of clients reached\r\n", E_BACKEND_UNAVAILABLE},
};

START_TEST(redis_that_says_why_and_hangs_up_is_understood) {
    connect_up_to_handshake();
    fake_redis_send(&redis, slice_of(goodbyes[_i].says));
    fake_redis_hang_up(&redis);
    turn();
    check_refused(goodbyes[_i].e);
}
END_TEST

START_TEST(redis_that_hangs_up_in_the_handshake_opens_the_breaker) {
    connect_up_to_handshake();
    ask(0, "a");
    fake_redis_hang_up(&redis);
    turn();
    check_failed(0, E_BACKEND_UNAVAILABLE, true);
    check_refused(E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(handshake_has_a_deadline) {
    connect_up_to_handshake();
    pass(CONNECT_MS - 1);
    turn();
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    ck_assert_int_eq(store_next_deadline(store, now), now + NS_PER_MS);
    pass(1);
    turn();
    check_refused(E_BACKEND_TIMEOUT);
}
END_TEST

/* --- replies --------------------------------------------------------------------------------- */

START_TEST(replies_go_to_their_calls_in_order) {
    connect_to_redis();
    ask(0, "a");
    begin(1);
    append(1, "GET", "b");
    append(1, "PTTL", "b");
    append(1, "TYPE", "b");
    store_commit(store, &calls[1], now);
    ask(2, "c");
    ck_assert_uint_gt(store_unsent_bytes(store), 0);
    ck_assert_str_eq(fake_redis_commands(&redis), "");
    store_flush(store, now);
    ck_assert_uint_eq(store_unsent_bytes(store), 0);
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\nGET b\nPTTL b\nTYPE b\nGET c\n");
    redis_says("$1\r\nA\r\n$1\r\nB\r\n:7\r\n");
    check_answered(0, "A");
    check_none_done();
    redis_says("+string\r\n$-1\r\n");
    check_answered(1, "B");
    ck_assert_int_eq(replies_get(&calls[1].replies, 1)->integer, 7);
    ck_assert_int_eq(replies_get(&calls[1].replies, 2)->type, REPLY_STATUS);
    ck_assert_ptr_null(replies_get(&calls[1].replies, 3));
    check_answered(2, "");
    ck_assert_int_eq(replies_get(&calls[2].replies, 0)->type, REPLY_NIL);
    check_none_done();
    ck_assert_uint_eq(counted(STAT_redis_commands), 5);
}
END_TEST

/* One reply of every kind, to a call of eight commands. */
static const char all_kinds[] = "$13\r\na\r\nb+OK\r\n:1\r\n\r\n"
                                "+OK\r\n"
                                ":-9223372036854775807\r\n"
                                "$-1\r\n"
                                "*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n+y\r\n"
                                "*0\r\n"
                                "$0\r\n\r\n"
                                "-ERR bad\r\n";

static void ask_for_all_kinds(int i) {
    begin(i);
    for (int n = 0; n < 8; n++)
        append(i, "GET", "x");
    store_commit(store, &calls[i], now);
    store_flush(store, now);
}

static void check_all_kinds(const struct replies *list) {
    static const enum reply_type types[] = {REPLY_STRING, REPLY_STATUS, REPLY_INTEGER, REPLY_NIL,
                                            REPLY_ARRAY,  REPLY_ARRAY,  REPLY_STRING,  REPLY_ERROR};
    const struct reply *r = NULL;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        r = replies_get(list, i);
        ck_assert_ptr_nonnull(r);
        ck_assert_int_eq(r->type, types[i]);
    }
    ck_assert_ptr_null(replies_next(list, r));
    r = replies_get(list, 0);
    ck_assert(slice_eq(replies_bytes(list, r), SLICE("a\r\nb+OK\r\n:1\r\n")));
    ck_assert_int_eq(replies_get(list, 2)->integer, -INT64_MAX);
    r = replies_get(list, 4);
    ck_assert_int_eq(r[0].integer, 3);
    ck_assert(slice_eq(replies_bytes(list, &r[1]), SLICE("x")));
    ck_assert_int_eq(r[2].integer, 2);
    ck_assert_int_eq(r[3].integer, 1);
    ck_assert_int_eq(r[4].type, REPLY_NIL);
    ck_assert(slice_eq(replies_bytes(list, &r[5]), SLICE("y")));
    ck_assert_int_eq(replies_get(list, 5)->integer, 0);
    ck_assert_int_eq(reply_error(list, replies_get(list, 7)), E_BACKEND_ERROR);
}

START_TEST(replies_of_every_kind_are_read_at_every_split) {
    connect_to_redis();
    for (size_t cut = 0; cut < sizeof(all_kinds); cut++) {
        ask_for_all_kinds(0);
        fake_redis_send(&redis, (struct slice){all_kinds, cut});
        (void)look();
        if (cut < sizeof(all_kinds) - 1)
            check_none_done();
        fake_redis_send(&redis, (struct slice){all_kinds + cut, sizeof(all_kinds) - 1 - cut});
        (void)look();
        check_done(0);
        ck_assert_int_eq(calls[0].error, OK);
        check_all_kinds(&calls[0].replies);
    }
    ask_for_all_kinds(1);
    for (size_t i = 0; i < sizeof(all_kinds) - 1; i++) {
        check_none_done();
        fake_redis_send(&redis, (struct slice){all_kinds + i, 1});
        (void)look();
    }
    check_done(1);
    check_all_kinds(&calls[1].replies);
}
END_TEST

START_TEST(large_values_come_back_whole) {
    static const size_t lengths[] = {65535, 65536, 65537, 200000, MIB};
    char *value = malloc(MIB);
    uint64_t seed = 5;
    ck_assert_ptr_nonnull(value);
    for (size_t i = 0; i < MIB; i++)
        value[i] = (char)random_next(&seed);
    connect_to_redis();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        char head[32];
        int n = snprintf(head, sizeof(head), "$%zu\r\n", lengths[i]);
        ask_and_flush(0, "a");
        fake_redis_send(&redis, (struct slice){head, (size_t)n});
        for (size_t at = 0; at < lengths[i];) {
            size_t piece = lengths[i] - at < 50000 ? lengths[i] - at : 50000;
            fake_redis_send(&redis, (struct slice){value + at, piece});
            turn();
            at += piece;
        }
        check_none_done();
        redis_says("\r\n");
        check_done(0);
        const struct reply *r = replies_get(&calls[0].replies, 0);
        ck_assert(slice_eq(replies_bytes(&calls[0].replies, r), (struct slice){value, lengths[i]}));
    }
    free(value);
}
END_TEST

/* Each call asks for its own number, and Redis, who reads and answers in pieces of any size, gives
 * it: nobody gets another's. */
START_TEST(nobody_gets_anothers_reply) {
    enum { ROUNDS = 3000 };
    uint64_t seed = 77;
    struct buf replies = {0};
    int first = 0; /* the oldest that is asked */
    int next = 0;
    char key[16];
    connect_to_redis();
    for (int i = 0; i < ROUNDS; i++) {
        while (next - first < CALLS && random_below(&seed, 2) == 0) {
            (void)snprintf(key, sizeof(key), "%d", next);
            ask(next % CALLS, key);
            next++;
        }
        if (random_below(&seed, 2) == 0)
            store_flush(store, now);
        /* Every command is "GET <number>", or "PING <number>". */
        for (const char *line = fake_redis_commands(&redis); *line != '\0';
             line = strchr(line, '\n') + 1) {
            const char *number = strchr(line, ' ') + 1;
            int digits = (int)(strchr(number, '\n') - number);
            if (line[0] == 'P')
                buf_printf(&replies, "$%d\r\n", digits);
            buf_printf(&replies, line[0] == 'P' ? "%.*s\r\n" : "+%.*s\r\n", digits, number);
        }
        size_t n = random_below(&seed, replies.n + 1);
        fake_redis_send(&redis, (struct slice){replies.p, n});
        if (replies.n > 0)
            buf_consume(&replies, n);
        turn();
        struct call *call;
        while ((call = store_next_done(store)) != NULL) {
            require(call == &calls[first % CALLS]);
            require(call->error == OK);
            (void)snprintf(key, sizeof(key), "%d", first);
            require(slice_eq(replies_bytes(&call->replies, replies_get(&call->replies, 0)),
                             slice_of(key)));
            first++;
        }
    }
    ck_assert_int_gt(first, ROUNDS / 4);
    buf_fini(&replies);
}
END_TEST

START_TEST(call_can_be_used_again) {
    connect_to_redis();
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
    /* As a handler does that needs a second round. */
    begin(0);
    append(0, "GET", "b");
    append(0, "GET", "c");
    store_commit(store, &calls[0], now);
    store_flush(store, now);
    redis_says("+B\r\n");
    check_none_done();
    redis_says("+C\r\n");
    check_answered(0, "B");
    ck_assert_ptr_null(replies_get(&calls[0].replies, 2));
}
END_TEST

/* --- bytes that nobody asked for ------------------------------------------------------------- */

/* Redis sends this while nothing is asked. However it is cut, no call may ever get it. */
static void check_surplus(const char *surplus, size_t n) {
    fake_redis_send(&redis, (struct slice){surplus, n});
    (void)look();
    ck_assert_msg(!store_get_status(store).ready, "%zu bytes", n);
    check_dropped();
    check_none_done();
    pass(200);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    ck_assert(store_get_status(store).ready);
    (void)fake_redis_commands(&redis);
    pass(200);
}

START_TEST(surplus_reply_ends_the_connection) {
    static const char *const replies[] = {"+OK\r\n", "$1\r\nx\r\n", "*0\r\n", "-ERR x\r\n"};
    connect_to_redis();
    for (size_t i = 0; i < COUNT_OF(replies); i++)
        check_surplus(replies[i], strlen(replies[i]));
    ck_assert_uint_eq(counted(STAT_redis_reconnects), COUNT_OF(replies));
}
END_TEST

/* Part of a reply is a surplus too: the rest of it would be taken for the next call's. */
START_TEST(surplus_byte_ends_the_connection) {
    static const char reply[] = "$5\r\nhello\r\n";
    connect_to_redis();
    for (size_t n = 1; n < sizeof(reply); n++)
        check_surplus(reply, n);
}
END_TEST

START_TEST(surplus_behind_a_reply_ends_the_connection) {
    static const char *const surplus[] = {"+X\r\n", "$5\r\nhel", "+", "\r\n"};
    connect_to_redis();
    ask_and_flush(0, "a");
    fake_redis_send(&redis, SLICE("+A\r\n"));
    redis_says(surplus[_i]);
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    check_none_done();
    check_dropped();
}
END_TEST

/* Only what came in the same breath: what was handed back before is answered. */
START_TEST(surplus_says_nothing_of_what_was_answered_before) {
    connect_to_redis();
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
    ask_and_flush(1, "b");
    redis_says("+B\r\n+X\r\n");
    check_failed(1, E_BACKEND_UNAVAILABLE, false);
    ck_assert_int_eq(calls[0].error, OK);
}
END_TEST

/* A call whose commands have not been sent has no reply yet, so the reply is a surplus. */
START_TEST(reply_before_its_command_is_a_surplus) {
    connect_to_redis();
    ask(0, "a");
    redis_says("+not a\r\n");
    check_none_done();
    check_dropped();
    reconnect_and_expect("GET a\n");
    redis_says("+A\r\n");
    check_answered(0, "A");
}
END_TEST

/* Redis answers each command as it reads it: the first of a call's commands may be answered while
 * the socket has no room for the last. */
START_TEST(reply_to_the_first_command_may_come_before_the_last_has_left) {
    char *value = malloc(MIB);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', MIB);
    connect_to_redis();
    begin(0);
    append(0, "GET", "a");
    store_append(store, &calls[0], (struct slice[]){SLICE("SET"), SLICE("a"), {value, MIB}}, 3);
    store_commit(store, &calls[0], now);
    store_flush(store, now);
    ck_assert_uint_gt(store_unsent_bytes(store), 0);
    redis_says("+A\r\n");
    ck_assert(store_get_status(store).ready);
    check_none_done();
    for (int i = 0; store_unsent_bytes(store) > 0 && i < 1000; i++) {
        while (fake_redis_receive(&redis, 65536))
            ;
        turn();
    }
    redis_says("+OK\r\n");
    check_answered(0, "A");
    free(value);
    /* Nothing is unsent: that Redis reads is no event any more. */
    while (look() != 0)
        ;
    ask_and_flush(1, "b");
    while (fake_redis_receive(&redis, 65536))
        ;
    ck_assert_uint_eq(look(), 0);
}
END_TEST

/* But nobody can have carried out a command that has not left. */
START_TEST(reply_before_the_end_of_its_command_is_a_surplus) {
    char *value = malloc(MIB);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', MIB);
    connect_to_redis();
    begin(0);
    store_append(store, &calls[0], (struct slice[]){SLICE("SET"), SLICE("a"), {value, MIB}}, 3);
    store_commit(store, &calls[0], now);
    store_flush(store, now);
    ck_assert_uint_gt(store_unsent_bytes(store), 0);
    redis_says("+OK\r\n");
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    check_dropped();
    ck_assert_uint_eq(store_unsent_bytes(store), 0);
    free(value);
}
END_TEST

START_TEST(surplus_behind_the_handshake_is_no_reply) {
    connect_up_to_handshake();
    ask(0, "a");
    redis_says(WELCOME "+not a\r\n");
    check_none_done();
    check_dropped();
    reconnect_and_expect("GET a\n");
    redis_says("+A\r\n");
    check_answered(0, "A");
}
END_TEST

START_TEST(what_is_no_reply_ends_the_connection) {
    static const char *const garbage[] = {
        "hello\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "_\r\n",
        "$-2\r\n",
        "$1x\r\n",
        "*-2\r\n",
        "*3000000000\r\n",
        "\r\n",
        "\0",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        /* A length that is damaged: the rest of the value would be the next reply. */
        "$1\r\nx==",
        "$1\r\nx\r=",
        "*2\r\n:1\r\n$3\r\nabc:1",
        "$0\r\n+\n",
    };
    connect_to_redis();
    for (size_t i = 0; i < COUNT_OF(garbage); i++) {
        size_t n = strlen(garbage[i]);
        ask_and_flush(0, "a");
        ask_and_flush(1, "b");
        fake_redis_send(&redis, SLICE("+A\r\n"));
        fake_redis_send(&redis, (struct slice){garbage[i], n > 0 ? n : 1});
        (void)look();
        check_failed(0, E_BACKEND_UNAVAILABLE, false);
        check_failed(1, E_BACKEND_UNAVAILABLE, false);
        check_dropped();
        pass(200);
        turn();
        ck_assert(fake_redis_accept(&redis));
        turn();
        redis_says(WELCOME);
        (void)fake_redis_commands(&redis);
    }
    ck_assert_uint_eq(counted(STAT_redis_errors), COUNT_OF(garbage));
}
END_TEST

START_TEST(reply_without_end_is_not_carried) {
    static char filler[65536];
    int sent = 0;
    connect_to_redis();
    ask_and_flush(0, "a");
    redis_says("$500000000\r\n");
    while (store_get_status(store).ready && sent < 2000) {
        fake_redis_send(&redis, (struct slice){filler, sizeof(filler)});
        (void)look();
        sent++;
    }
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    ck_assert_int_ge(sent, 250);
    ck_assert_int_le(sent, 260);
}
END_TEST

/* --- the end of a connection ----------------------------------------------------------------- */

/* The replies that are whole are delivered; the rest fail at once, not at their deadline; what has
 * not left waits for the next connection. */
START_TEST(eof_in_the_middle_of_a_pipeline) {
    connect_to_redis();
    for (int i = 0; i < 3; i++)
        ask(i, "a");
    store_flush(store, now);
    ask(3, "unsent");
    fake_redis_send(&redis, SLICE("+A\r\n$5\r\nhe"));
    fake_redis_hang_up(&redis);
    (void)look();
    check_answered(0, "A");
    check_failed(1, E_BACKEND_UNAVAILABLE, false);
    check_failed(2, E_BACKEND_UNAVAILABLE, false);
    check_none_done();
    check_dropped();
    ck_assert_uint_eq(counted(STAT_redis_errors), 1);
    ck_assert_uint_eq(counted(STAT_redis_timeouts), 0);
    /* Redis was well a moment ago: nobody is refused. */
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    ask(4, "later");
    reconnect_and_expect("GET unsent\nGET later\n");
    redis_says("+U\r\n+L\r\n");
    check_answered(3, "U");
    check_answered(4, "L");
}
END_TEST

/* The same at every byte of the replies. */
START_TEST(eof_at_every_byte) {
    static const char replies[] = "$1\r\nA\r\n$1\r\nB\r\n";
    connect_to_redis();
    for (size_t n = 0; n < sizeof(replies) - 1; n++) {
        ask(0, "a");
        ask(1, "b");
        store_flush(store, now);
        fake_redis_send(&redis, (struct slice){replies, n});
        (void)look();
        fake_redis_hang_up(&redis);
        (void)look();
        if (n < 7)
            check_failed(0, E_BACKEND_UNAVAILABLE, false);
        else
            check_answered(0, "A");
        check_failed(1, E_BACKEND_UNAVAILABLE, false);
        pass(200);
        turn();
        ck_assert(fake_redis_accept(&redis));
        turn();
        redis_says(WELCOME);
        (void)fake_redis_commands(&redis);
    }
}
END_TEST

/* Replies that lie in the socket when a write fails have arrived. */
START_TEST(eof_found_by_a_write) {
    connect_to_redis();
    ask_and_flush(0, "a");
    fake_redis_send(&redis, SLICE("+A\r\n"));
    fake_redis_hang_up(&redis);
    ask_and_flush(1, "b");
    (void)look();
    check_answered(0, "A");
    check_none_done();
    check_dropped();
    reconnect_and_expect("GET b\n");
    redis_says("+B\r\n");
    check_answered(1, "B");
}
END_TEST

START_TEST(eof_when_idle_is_noticed_at_once) {
    connect_to_redis();
    fake_redis_hang_up(&redis);
    (void)look();
    check_dropped();
    ck_assert_int_eq(store_get_status(store).reason, E_BACKEND_UNAVAILABLE);
    check_none_done();
}
END_TEST

/* What has left, whole or in part, may have been carried out and is never sent again; the rest of a
 * command is not either. */
/* A write is the last thing of a turn: nothing else would wake the worker. */
START_TEST(what_a_write_ended_needs_no_event) {
    connect_to_redis();
    ask_and_flush(0, "a");
    pass(1000);
    fake_redis_hang_up(&redis);
    ask_and_flush(1, "b");
    ck_assert(store_next_deadline(store, now) <= now);
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    /* The one that has not left wants a connection. */
    ck_assert(store_next_deadline(store, now) <= now);
    reconnect_and_expect("GET b\n");
    redis_says("+B\r\n");
    check_answered(1, "B");
    ck_assert(store_next_deadline(store, now) > now);
}
END_TEST

START_TEST(what_has_left_fails_and_what_has_not_waits) {
    char *value = malloc(MIB);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', MIB);
    connect_to_redis();
    ask(0, "whole");
    begin(1);
    store_append(store, &calls[1], (struct slice[]){SLICE("SET"), SLICE("a"), {value, MIB}}, 3);
    store_commit(store, &calls[1], now);
    ask(2, "unsent");
    store_flush(store, now);
    ck_assert_uint_gt(store_unsent_bytes(store), 0);
    ck_assert_uint_lt(store_unsent_bytes(store), MIB);
    fake_redis_hang_up(&redis);
    (void)look();
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    check_failed(1, E_BACKEND_UNAVAILABLE, false);
    check_none_done();
    /* Nobody needs it any more. */
    free(value);
    ask(3, "later");
    reconnect_and_expect("GET unsent\nGET later\n");
    redis_says("+U\r\n+L\r\n");
    check_answered(2, "U");
    check_answered(3, "L");
}
END_TEST

START_TEST(waiting_for_the_next_connection_keeps_its_deadline) {
    config.redis_connect_timeout = 5000;
    connect_to_redis();
    ask(0, "a");
    fake_redis_hang_up(&redis);
    (void)look();
    pass(200);
    turn();
    ck_assert(fake_redis_accept(&redis));
    pass(ANSWER_MS - 201);
    turn();
    check_none_done();
    pass(1);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, true);
}
END_TEST

/* Another worker has found out that Redis is away. */
START_TEST(waiting_for_a_redis_that_is_away_is_over) {
    connect_to_redis();
    ask(0, "a");
    fake_redis_hang_up(&redis);
    (void)look();
    check_none_done();
    breaker_connect_failed(&segment->breaker, E_BACKEND_LOADING, now);
    turn();
    check_failed(0, E_BACKEND_LOADING, true);
}
END_TEST

/* Another worker waited out its deadlines: nobody else has to, nor to wait for a handshake that
 * Redis will not answer. */
START_TEST(waiting_for_a_handshake_is_over_when_the_others_know) {
    fake_redis_listen(&redis);
    ask(0, "a");
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    check_none_done();
    breaker_timed_out(&segment->breaker, now);
    turn();
    check_none_done();
    breaker_timed_out(&segment->breaker, now);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, true);
    (void)fake_redis_commands(&redis);
    redis_says(WELCOME);
    turn();
    ck_assert(store_get_status(store).ready);
    ck_assert_str_eq(fake_redis_commands(&redis), "");
    ask_and_flush(1, "b");
    redis_says("+B\r\n");
    check_answered(1, "B");
}
END_TEST

START_TEST(waiting_for_a_connection_that_fails_is_over) {
    connect_to_redis();
    pass(200);
    ask(0, "a");
    fake_redis_stop_listening(&redis);
    fake_redis_hang_up(&redis);
    (void)look();
    check_none_done();
    turn();
    check_failed(0, E_BACKEND_UNAVAILABLE, true);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_NO_ENTRY);
}
END_TEST

START_TEST(lost_connection_is_made_again) {
    connect_to_redis();
    pass(150);
    fake_redis_hang_up(&redis);
    (void)look();
    /* The next request is served by the new connection. */
    ask(0, "a");
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    turn();
    redis_says("+A\r\n");
    check_answered(0, "A");
    ck_assert_uint_eq(counted(STAT_redis_connects), 2);
    ck_assert_uint_eq(counted(STAT_redis_reconnects), 1);
}
END_TEST

/* A Redis that lets us in and throws us out must not be hammered. */
START_TEST(connection_that_is_not_trusted_ends) {
    connect_to_redis();
    pass(200);
    ask(0, "a");
    ask(1, "b");
    ask(2, "c");
    store_flush(store, now);
    redis_says("+A\r\n+B\r\n");
    check_answered(0, "A");
    /* What is handed back after it is as doubtful as what has not come. */
    store_distrust(store, now);
    check_failed(1, E_BACKEND_UNAVAILABLE, false);
    check_failed(2, E_BACKEND_UNAVAILABLE, false);
    check_dropped();
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    turn();
    ck_assert(fake_redis_accept(&redis));
    /* It is about the connection that was, not about the one that is being made. */
    store_distrust(store, now);
    turn();
    redis_says(WELCOME);
    ck_assert(store_get_status(store).ready);
}
END_TEST

START_TEST(connection_lost_at_once_is_made_again_later) {
    connect_to_redis();
    fake_redis_hang_up(&redis);
    (void)look();
    turn();
    ask(0, "a");
    ck_assert(!fake_redis_accept(&redis));
    ck_assert_int_eq(store_next_deadline(store, now), now + 50 * NS_PER_MS);
    pass(49);
    turn();
    ck_assert(!fake_redis_accept(&redis));
    pass(1);
    turn();
    ck_assert(fake_redis_accept(&redis));
}
END_TEST

START_TEST(store_can_be_closed_at_any_time) {
    if (_i >= 1)
        connect_up_to_handshake();
    if (_i >= 2)
        redis_says(WELCOME);
    if (_i >= 3)
        ask_and_flush(0, "a");
    if (_i >= 4)
        redis_says("*3\r\n$1\r\nx\r\n");
    store_close(&store);
    store_close(&store);
    if (_i >= 1)
        ck_assert(fake_redis_was_left(&redis));
}
END_TEST

/* --- time ------------------------------------------------------------------------------------ */

START_TEST(deadline_of_the_first_ends_the_pipeline) {
    connect_to_redis();
    ask_and_flush(0, "a");
    pass(100);
    ask_and_flush(1, "b");
    ask(2, "unsent");
    ck_assert_int_eq(store_next_deadline(store, now + 350 * NS_PER_MS),
                     now + (ANSWER_MS - 100) * NS_PER_MS);
    pass(ANSWER_MS - 101);
    turn();
    check_none_done();
    pass(1);
    ask(3, "not even sent");
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, false);
    check_failed(1, E_BACKEND_TIMEOUT, false);
    /* The turn before has sent this one. */
    check_failed(2, E_BACKEND_TIMEOUT, false);
    check_failed(3, E_BACKEND_TIMEOUT, true);
    check_dropped();
    ck_assert_uint_eq(counted(STAT_redis_timeouts), 1);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    /* What was never sent is forgotten with it. */
    ask(4, "later");
    reconnect_and_expect("GET later\n");
    redis_says("+L\r\n");
    check_answered(4, "L");
}
END_TEST

START_TEST(second_deadline_within_a_second_opens_the_breaker) {
    connect_to_redis();
    ask_and_flush(0, "a");
    pass(ANSWER_MS);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, false);
    ask(1, "b");
    ck_assert(fake_redis_accept(&redis));
    turn();
    pass(1);
    redis_says(WELCOME);
    /* The handshake succeeded: Redis is well again. */
    turn();
    pass(ANSWER_MS);
    turn();
    check_failed(1, E_BACKEND_TIMEOUT, false);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    /* Another worker's a moment ago. */
    pass(10);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    breaker_timed_out(&segment->breaker, now);
    pass(1);
    ask_and_flush(2, "c");
    pass(ANSWER_MS);
    turn();
    check_failed(2, E_BACKEND_TIMEOUT, false);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_OPEN);
    ck_assert_int_eq(store_begin(store, &calls[3], now), E_BACKEND_TIMEOUT);
}
END_TEST

/* All workers wait for the same slow command: that is one timeout, however many see it. */
START_TEST(deadlines_of_one_moment_count_once) {
    connect_to_redis();
    ask_and_flush(0, "a");
    pass(ANSWER_MS - 10);
    breaker_timed_out(&segment->breaker, now);
    pass(10);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, false);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
}
END_TEST

/* This process was held up, not Redis: the reply lies in the socket. */
START_TEST(reply_that_waited_for_us_is_in_time) {
    connect_to_redis();
    ask_and_flush(0, "a");
    fake_redis_send(&redis, SLICE("+A\r\n"));
    pass(INT64_C(2) * ANSWER_MS);
    store_tick(store, now);
    ck_assert_ptr_eq(store_next_done(store), &calls[0]);
    ck_assert_int_eq(calls[0].error, OK);
    ck_assert(store_get_status(store).ready);
}
END_TEST

START_TEST(large_commands_have_more_time) {
    char *value = malloc(MIB);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', MIB);
    connect_to_redis();
    begin(0);
    store_append(store, &calls[0], (struct slice[]){SLICE("SET"), SLICE("a"), {value, MIB}}, 3);
    store_commit(store, &calls[0], now);
    ck_assert_int_eq(calls[0].deadline, now + (ANSWER_MS + 10) * NS_PER_MS);
    free(value);
}
END_TEST

/* A reply of 1 MiB, which comes in many pieces. */
static void say_large(void) {
    static char reply[MIB];
    memset(reply, 'v', sizeof(reply));
    redis_says("$1048576\r\n");
    for (size_t sent = 0; sent < sizeof(reply); turn()) {
        ssize_t n = send(redis.peer, reply + sent, sizeof(reply) - sent, MSG_DONTWAIT);
        require(n > 0);
        sent += (size_t)n;
    }
    redis_says("\r\n");
    turn();
}

/* Who asked after others for something large gets it after theirs. */
START_TEST(what_comes_in_has_more_time) {
    connect_to_redis();
    ask_and_flush(0, "large");
    ask_and_flush(1, "last");
    pass(ANSWER_MS - 1);
    say_large();
    check_done(0);
    /* 10 ms for 1 MiB. */
    pass(10);
    turn();
    check_none_done();
    ck_assert_int_eq(store_next_deadline(store, now), now + NS_PER_MS);
    pass(1);
    turn();
    check_failed(1, E_BACKEND_TIMEOUT, false);
}
END_TEST

static void ask_many(int i, int commands) {
    begin(i);
    for (int k = 0; k < commands; k++)
        append(i, "GET", "a");
    store_commit(store, &calls[i], now);
    store_flush(store, now);
}

/* What is asked at once is bounded by what comes back, as far as that is known. */
START_TEST(large_replies_make_it_full_sooner) {
    connect_to_redis();
    for (int i = 0; i < 100; i++) {
        ask_and_flush(0, "small");
        redis_says("+S\r\n");
        check_answered(0, "S");
    }
    ask_many(0, 1000);
    ck_assert(!store_is_full(store));
    for (int i = 0; i < 1000; i++)
        redis_says("+S\r\n");
    check_done(0);
    ask_and_flush(0, "small");
    turn(); /* so many commands are followed by a PING */
    redis_says("+S\r\n$1\r\n1\r\n");
    check_answered(0, "S");
    ask_and_flush(0, "large");
    say_large();
    check_done(0);
    /* 0.5 MiB each, as far as one can tell. */
    ask_many(0, 16);
    ck_assert(!store_is_full(store));
    ask_many(1, 16);
    ck_assert(store_is_full(store));
    for (int i = 0; i < 16; i++)
        redis_says("+S\r\n");
    ck_assert(!store_is_full(store));
}
END_TEST

/* Perhaps what was asked for was too much at once. */
START_TEST(replies_that_never_came_may_have_been_large) {
    connect_to_redis();
    for (int i = 0; i < 100; i++) {
        ask_and_flush(0, "small");
        redis_says("+S\r\n");
        check_answered(0, "S");
    }
    ask_many(0, 32);
    ck_assert(!store_is_full(store));
    pass(ANSWER_MS);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, false);
    ask_many(0, 31);
    ck_assert(!store_is_full(store));
    ask_many(1, 1);
    ck_assert(store_is_full(store));
}
END_TEST

START_TEST(late_reply_reaches_nobody) {
    connect_to_redis();
    ask_and_flush(0, "late");
    pass(ANSWER_MS);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, false);
    int old = redis.peer;
    redis.peer = -1;
    ask(1, "b");
    ck_assert(fake_redis_accept(&redis));
    (void)send(old, "+LATE\r\n", 7, MSG_NOSIGNAL);
    close(old);
    turn();
    redis_says(WELCOME);
    turn();
    redis_says("+B\r\n");
    check_answered(1, "B");
}
END_TEST

START_TEST(idle_connection_is_pinged) {
    connect_to_redis();
    pass(499);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "");
    pass(1);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 1\n");
    turn();
    pass(100);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "");
    redis_says("$1\r\n1\r\n");
    check_none_done();
    ck_assert(store_get_status(store).ready);
    ck_assert_int_eq(store_get_status(store).last_reply, now);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "");
    pass(500);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 2\n");
    /* It is nobody's request. */
    ck_assert_uint_eq(counted(STAT_redis_commands), 0);
}
END_TEST

START_TEST(requests_behind_a_ping_get_their_own_replies) {
    connect_to_redis();
    pass(500);
    turn();
    ask_and_flush(0, "a");
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 1\nGET a\n");
    redis_says("$1\r\n1\r\n+A\r\n");
    check_answered(0, "A");
}
END_TEST

START_TEST(redis_that_hangs_is_noticed_without_a_request) {
    connect_to_redis();
    pass(500);
    turn();
    pass(ANSWER_MS);
    turn();
    check_dropped();
    check_none_done();
    ck_assert_int_eq(store_get_status(store).reason, E_BACKEND_TIMEOUT);
    ck_assert_uint_eq(counted(STAT_redis_timeouts), 1);
}
END_TEST

/* Behind what is asked, ten times a second; one at a time, and none for those that come in
 * between.
 */
START_TEST(busy_connection_is_pinged_now_and_then) {
    connect_to_redis();
    pass(99);
    ask(0, "a");
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\n");
    redis_says("+A\r\n");
    check_answered(0, "A");
    pass(1);
    for (int i = 1; i <= 12; i++) {
        char commands[32];
        char replies[64];
        (void)snprintf(commands, sizeof(commands), "GET a\nPING %d\n", i);
        (void)snprintf(replies, sizeof(replies), "+A\r\n$%d\r\n%d\r\n", i < 10 ? 1 : 2, i);
        ask(0, "a");
        turn();
        ck_assert_str_eq(fake_redis_commands(&redis), commands);
        ask(1, "b");
        pass(100);
        turn();
        ck_assert_str_eq(fake_redis_commands(&redis), "GET b\n");
        redis_says(replies);
        check_answered(0, "A");
        check_none_done();
        redis_says("+B\r\n");
        check_answered(1, "B");
        turn();
        ck_assert_str_eq(fake_redis_commands(&redis), "");
    }
    ck_assert_uint_eq(counted(STAT_redis_commands), 25);
}
END_TEST

START_TEST(many_commands_are_followed_by_a_ping) {
    enum { EVERY = 128 };
    connect_to_redis();
    for (int i = 1; i <= 3 * EVERY; i++) {
        char number[8];
        char text[32];
        bool pinged = i % EVERY == 0;
        (void)snprintf(number, sizeof(number), "%d", i / EVERY);
        (void)snprintf(text, sizeof(text), pinged ? "GET a\nPING %s\n" : "GET a\n", number);
        ask(0, "a");
        turn();
        ck_assert_str_eq(fake_redis_commands(&redis), text);
        (void)snprintf(text, sizeof(text), pinged ? "+A\r\n$1\r\n%s\r\n" : "+A\r\n", number);
        redis_says(text);
        check_answered(0, "A");
    }
}
END_TEST

/* One reply too many or too few, and somebody always waiting: no call could tell. */
START_TEST(reply_that_is_not_the_pings_ends_the_connection) {
    static const char *const replies[] = {
        "+A\r\n+A\r\n",      /* twice: this is the ping's, the ping's the next call's */
        "$1\r\n1\r\n+B\r\n", /* a lost one */
        "+A\r\n$1\r\n2\r\n", /* another ping's */
        "+A\r\n$2\r\n11\r\n",
        "+A\r\n:1\r\n",
        "+A\r\n+PONG\r\n",
        "+A\r\n$-1\r\n",
        "+A\r\n*1\r\n$1\r\n1\r\n",
        "+A\r\n$0\r\n\r\n",
    };
    connect_to_redis();
    pass(100);
    ask(0, "a");
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\nPING 1\n");
    ask_and_flush(1, "b");
    redis_says(replies[_i]);
    check_failed(0, E_BACKEND_UNAVAILABLE, false);
    check_failed(1, E_BACKEND_UNAVAILABLE, false);
    check_none_done();
    check_dropped();
    reconnect_and_expect("");
    pass(100);
    ask(0, "a");
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\nPING 2\n");
    redis_says("+A\r\n$1\r\n2\r\n");
    check_answered(0, "A");
    ck_assert(store_get_status(store).ready);
}
END_TEST

/* A Redis that is loading, or busy with a script, is no other Redis for that. */
START_TEST(error_is_an_answer_to_a_ping) {
    connect_to_redis();
    pass(500);
    turn();
    redis_says("-BUSY Redis is busy running a script.\r\n");
    ck_assert(store_get_status(store).ready);
}
END_TEST

START_TEST(next_deadline_is_never_far_and_never_missed) {
    ck_assert_int_le(store_next_deadline(store, now), now + 100 * NS_PER_MS);
    connect_to_redis();
    ck_assert_int_eq(store_next_deadline(store, now), now + 100 * NS_PER_MS);
    ask_and_flush(0, "a");
    ck_assert_int_eq(store_next_deadline(store, now), now + 100 * NS_PER_MS);
    pass(ANSWER_MS - 30);
    ck_assert_int_eq(store_next_deadline(store, now), now + 30 * NS_PER_MS);
}
END_TEST

/* --- large values out ------------------------------------------------------------------------ */

START_TEST(large_values_leave_from_where_they_lie) {
    enum { VALUES = 3 };
    char *value = malloc(MIB);
    uint64_t seed = 9;
    struct buf expected = {0};
    ck_assert_ptr_nonnull(value);
    for (size_t i = 0; i < MIB; i++)
        value[i] = (char)random_next(&seed);
    connect_to_redis();
    for (int i = 0; i < VALUES; i++) {
        begin(i);
        store_append(store, &calls[i],
                     (struct slice[]){SLICE("SET"), SLICE("k"), {value, MIB - (size_t)i}}, 3);
        store_commit(store, &calls[i], now);
        buf_printf(&expected, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", MIB - i);
        buf_put(&expected, value, MIB - (size_t)i);
        buf_puts(&expected, "\r\n");
    }
    ck_assert_uint_eq(store_unsent_bytes(store), expected.n);
    store_flush(store, now);
    /* Redis reads little at a time; the rest leaves when epoll says that there is room. */
    for (int i = 0; redis.got.n < expected.n && i < 100000; i++) {
        (void)fake_redis_receive(&redis, 30000);
        (void)look();
        store_flush(store, now);
    }
    ck_assert(slice_eq(buf_slice(&redis.got), buf_slice(&expected)));
    ck_assert_uint_eq(store_unsent_bytes(store), 0);
    redis_says("+OK\r\n+OK\r\n+OK\r\n");
    for (int i = 0; i < VALUES; i++)
        check_answered(i, "OK");
    free(value);
    buf_fini(&expected);
}
END_TEST

/* --- error replies --------------------------------------------------------------------------- */

START_TEST(error_reply_belongs_to_its_own_call) {
    connect_to_redis();
    for (int i = 0; i < 3; i++)
        ask(i, "a");
    store_flush(store, now);
    redis_says("+A\r\n-WRONGTYPE Operation against a key\r\n+C\r\n");
    check_answered(0, "A");
    check_done(1);
    ck_assert_int_eq(calls[1].error, OK);
    ck_assert_int_eq(reply_error(&calls[1].replies, replies_get(&calls[1].replies, 0)),
                     E_WRONG_TYPE);
    check_answered(2, "C");
    ck_assert(store_get_status(store).ready);
    ck_assert_uint_eq(counted(STAT_redis_errors), 1);
}
END_TEST

/* The name may lead elsewhere by now; for a primary that takes no writes just now it does not. */
START_TEST(primary_that_takes_no_writes_is_not_left) {
    static const char *const replies[] = {
        "-NOREPLICAS Not enough good replicas to write.\r\n",
        "-MISCONF Redis is configured to save RDB snapshots\r\n",
    };
    connect_to_redis();
    ask_and_flush(0, "a");
    redis_says(replies[_i]);
    check_done(0);
    ck_assert_int_eq(reply_error(&calls[0].replies, replies_get(&calls[0].replies, 0)),
                     E_BACKEND_READONLY);
    turn();
    turn();
    ck_assert(store_get_status(store).ready);
    ck_assert_uint_eq(counted(STAT_redis_reconnects), 0);
}
END_TEST

START_TEST(replica_is_left_when_nothing_is_asked) {
    connect_to_redis();
    pass(200);
    ask(0, "a");
    ask(1, "b");
    store_flush(store, now);
    /* Nothing is asked of its own accord, which would put it off. */
    redis_says("-READONLY You can't write against a read only replica.\r\n");
    check_done(0);
    ck_assert_int_eq(reply_error(&calls[0].replies, replies_get(&calls[0].replies, 0)),
                     E_BACKEND_READONLY);
    turn();
    ck_assert(store_get_status(store).ready);
    redis_says("+B\r\n");
    check_answered(1, "B");
    ck_assert(store_get_status(store).ready);
    turn();
    check_dropped();
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    turn();
    ck_assert(store_get_status(store).ready);
    ck_assert_uint_eq(counted(STAT_redis_reconnects), 1);
}
END_TEST

START_TEST(replica_is_left_though_there_is_always_something_asked) {
    connect_to_redis();
    pass(200);
    ask_and_flush(0, "a");
    ask_and_flush(1, "b");
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\nGET b\n");
    redis_says("-READONLY You can't write against a read only replica.\r\n");
    check_done(0);
    ask_and_flush(2, "c");
    turn();
    redis_says("+B\r\n");
    check_answered(1, "B");
    turn();
    check_dropped();
    turn();
    ck_assert(fake_redis_accept(&redis));
    turn();
    redis_says(WELCOME);
    (void)fake_redis_commands(&redis);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET c\n");
    redis_says("+C\r\n");
    check_answered(2, "C");
}
END_TEST

/* --- the breaker ----------------------------------------------------------------------------- */

/* Another worker could not connect: who has a connection goes on. When Redis stopped answering,
 * nobody does. */
START_TEST(breaker_of_the_others_is_heeded) {
    connect_to_redis();
    breaker_connect_failed(&segment->breaker, E_BACKEND_REFUSED, now);
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
    breaker_timed_out(&segment->breaker, now);
    breaker_timed_out(&segment->breaker, now);
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_OPEN);
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_TIMEOUT);
    breaker_close(&segment->breaker);
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
}
END_TEST

/* Who opened it may be gone (a worker that retired), or nobody ever did (damage): without this all
 * requests are refused for ever while every worker has a connection that works. */
START_TEST(breaker_that_nobody_closes_is_closed_by_who_is_connected) {
    connect_to_redis();
    breaker_timed_out(&segment->breaker, now);
    breaker_timed_out(&segment->breaker, now);
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_TIMEOUT);
    pass(1);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 1\n");
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_OPEN);
    pass(1);
    redis_says("$1\r\n1\r\n");
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
    ask_and_flush(0, "a");
    redis_says("+A\r\n");
    check_answered(0, "A");
}
END_TEST

START_TEST(ping_from_before_proves_nothing) {
    connect_to_redis();
    pass(500);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 1\n");
    pass(1);
    breaker_timed_out(&segment->breaker, now);
    breaker_timed_out(&segment->breaker, now);
    redis_says("$1\r\n1\r\n");
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_OPEN);
    pass(1);
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "PING 2\n");
    redis_says("$1\r\n2\r\n");
    ck_assert_int_eq(breaker_position(&segment->breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(worker_without_a_connection_heeds_no_entry) {
    fake_redis_listen(&redis);
    breaker_connect_failed(&segment->breaker, E_BACKEND_LOADING, now);
    ck_assert_int_eq(store_begin(store, &calls[0], now), E_BACKEND_LOADING);
    turn();
    ck_assert(!fake_redis_accept(&redis));
    pass(250);
    turn();
    ck_assert(fake_redis_accept(&redis));
}
END_TEST

/* --- TCP ------------------------------------------------------------------------------------- */

static void use_tcp(int port) {
    config.redis_socket[0] = '\0';
    (void)snprintf(config.redis_host, sizeof(config.redis_host), "redis.test");
    config.redis_port = port;
}

static uint32_t wait_for_event(void) {
    struct epoll_event event;
    ck_assert_int_eq(epoll_wait(epoll, &event, 1, 2000), 1);
    store_on_event(store, event.events, now);
    return event.events;
}

START_TEST(tcp_connects_when_the_address_is_known) {
    use_tcp(fake_redis_listen_tcp(&redis));
    ask(0, "a");
    turn();
    ck_assert_int_le(store_next_deadline(store, now), now + 5 * NS_PER_MS);
    ck_assert(!fake_redis_accept(&redis));
    segment_publish_address(segment, "other.test", "127.0.0.1");
    turn();
    ck_assert(!fake_redis_accept(&redis));
    segment_publish_address(segment, "redis.test", "127.0.0.1");
    turn();
    (void)wait_for_event();
    ck_assert(fake_redis_accept(&redis));
    turn();
    ck_assert_int_eq(strncmp(fake_redis_commands(&redis), "INFO server\n", 12), 0);
    fake_redis_send(&redis, SLICE(WELCOME));
    (void)wait_for_event();
    turn();
    ck_assert_str_eq(fake_redis_commands(&redis), "GET a\n");
    fake_redis_send(&redis, SLICE("+A\r\n"));
    (void)wait_for_event();
    check_answered(0, "A");
}
END_TEST

START_TEST(tcp_that_is_refused_opens_the_breaker) {
    use_tcp(fake_redis_listen_tcp(&redis));
    close(redis.listener);
    redis.listener = -1;
    segment_publish_address(segment, "redis.test", "127.0.0.1");
    enum error e = store_begin(store, &calls[0], now);
    if (e == OK) {
        append(0, "GET", "a");
        store_commit(store, &calls[0], now);
        (void)wait_for_event();
        check_failed(0, E_BACKEND_UNAVAILABLE, true);
    }
    check_refused(E_BACKEND_UNAVAILABLE);
    ck_assert_uint_eq(atomic_load(&segment->resolve_wanted), 1);
}
END_TEST

/* As a Redis does that is full, or in protected mode: it has spoken and hung up before the
 * handshake is sent. What it says is the reason, not that nobody asked. */
START_TEST(tcp_refusal_that_is_said_unasked_is_understood) {
    static const struct {
        const char *words;
        enum error reason;
    } said[] = {
        {"-DENIED Redis is running in protected mode\r\n", E_BACKEND_REFUSED},
        {"-ERR max number of clients reached\r\n", E_BACKEND_UNAVAILABLE},
        {"-LOADING Redis is loading the dataset in memory\r\n", E_BACKEND_LOADING},
    };
    use_tcp(fake_redis_listen_tcp(&redis));
    segment_publish_address(segment, "redis.test", "127.0.0.1");
    store_tick(store, now);
    ck_assert(fake_redis_accept(&redis));
    fake_redis_send(&redis, slice_of(said[_i].words));
    ck_assert_int_eq(shutdown(redis.peer, SHUT_WR), 0);
    require((wait_for_event() & EPOLLIN) != 0);
    check_refused(said[_i].reason);
}
END_TEST

/* But no reply of one that lets us in is believed before it was asked for. */
START_TEST(tcp_welcome_that_is_said_unasked_is_not_believed) {
    use_tcp(fake_redis_listen_tcp(&redis));
    segment_publish_address(segment, "redis.test", "127.0.0.1");
    store_tick(store, now);
    ck_assert(fake_redis_accept(&redis));
    fake_redis_send(&redis, SLICE(WELCOME));
    require((wait_for_event() & EPOLLIN) != 0);
    ck_assert(!store_get_status(store).ready);
    check_refused(E_BACKEND_UNAVAILABLE);
}
END_TEST

START_TEST(address_that_is_never_found_has_a_deadline) {
    use_tcp(6379);
    ask(0, "a");
    pass(CONNECT_MS - 1);
    turn();
    check_none_done();
    pass(1);
    turn();
    check_failed(0, E_BACKEND_TIMEOUT, true);
    check_refused(E_BACKEND_TIMEOUT);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_store(void) {
    Suite *s = suite_create("store");
    TCase *t = add_case(s, "connecting");
    tcase_add_test(t, it_connects_and_is_ready_after_the_handshake);
    tcase_add_test(t, handshake_may_come_in_pieces);
    tcase_add_test(t, refused_policy_is_remembered);
    tcase_add_test(t, commands_wait_behind_the_handshake);
    tcase_add_test(t, first_command_connects);
    tcase_add_test(t, nobody_listens);
    tcase_add_test(t, probe_brings_the_service_back);
    tcase_add_loop_test(t, refused_handshake_opens_the_breaker, 0, COUNT_OF(refusals));
    tcase_add_loop_test(t, redis_that_says_why_and_hangs_up_is_understood, 0, COUNT_OF(goodbyes));
    tcase_add_test(t, redis_that_hangs_up_in_the_handshake_opens_the_breaker);
    tcase_add_test(t, handshake_has_a_deadline);
    tcase_add_test(t, connection_that_cannot_be_watched_is_given_up);
    tcase_add_test(t, connection_that_cannot_be_watched_for_room_is_dropped);
    t = add_case(s, "replies");
    tcase_add_test(t, replies_go_to_their_calls_in_order);
    tcase_add_test(t, replies_of_every_kind_are_read_at_every_split);
    tcase_add_test(t, large_values_come_back_whole);
    tcase_add_test(t, nobody_gets_anothers_reply);
    tcase_add_test(t, call_can_be_used_again);
    t = add_case(s, "surplus");
    tcase_add_test(t, surplus_reply_ends_the_connection);
    tcase_add_test(t, surplus_byte_ends_the_connection);
    tcase_add_loop_test(t, surplus_behind_a_reply_ends_the_connection, 0, 4);
    tcase_add_test(t, surplus_says_nothing_of_what_was_answered_before);
    tcase_add_test(t, reply_before_its_command_is_a_surplus);
    tcase_add_test(t, reply_to_the_first_command_may_come_before_the_last_has_left);
    tcase_add_test(t, reply_before_the_end_of_its_command_is_a_surplus);
    tcase_add_test(t, surplus_behind_the_handshake_is_no_reply);
    tcase_add_test(t, what_is_no_reply_ends_the_connection);
    tcase_add_test(t, reply_without_end_is_not_carried);
    t = add_case(s, "end");
    tcase_add_test(t, eof_in_the_middle_of_a_pipeline);
    tcase_add_test(t, eof_at_every_byte);
    tcase_add_test(t, eof_found_by_a_write);
    tcase_add_test(t, eof_when_idle_is_noticed_at_once);
    tcase_add_test(t, what_a_write_ended_needs_no_event);
    tcase_add_test(t, what_has_left_fails_and_what_has_not_waits);
    tcase_add_test(t, waiting_for_the_next_connection_keeps_its_deadline);
    tcase_add_test(t, waiting_for_a_redis_that_is_away_is_over);
    tcase_add_test(t, waiting_for_a_handshake_is_over_when_the_others_know);
    tcase_add_test(t, waiting_for_a_connection_that_fails_is_over);
    tcase_add_test(t, lost_connection_is_made_again);
    tcase_add_test(t, connection_that_is_not_trusted_ends);
    tcase_add_test(t, connection_lost_at_once_is_made_again_later);
    tcase_add_loop_test(t, store_can_be_closed_at_any_time, 0, 5);
    t = add_case(s, "time");
    tcase_add_test(t, deadline_of_the_first_ends_the_pipeline);
    tcase_add_test(t, second_deadline_within_a_second_opens_the_breaker);
    tcase_add_test(t, deadlines_of_one_moment_count_once);
    tcase_add_test(t, reply_that_waited_for_us_is_in_time);
    tcase_add_test(t, large_commands_have_more_time);
    tcase_add_test(t, what_comes_in_has_more_time);
    tcase_add_test(t, large_replies_make_it_full_sooner);
    tcase_add_test(t, replies_that_never_came_may_have_been_large);
    tcase_add_test(t, late_reply_reaches_nobody);
    tcase_add_test(t, idle_connection_is_pinged);
    tcase_add_test(t, requests_behind_a_ping_get_their_own_replies);
    tcase_add_test(t, redis_that_hangs_is_noticed_without_a_request);
    tcase_add_test(t, busy_connection_is_pinged_now_and_then);
    tcase_add_test(t, many_commands_are_followed_by_a_ping);
    tcase_add_loop_test(t, reply_that_is_not_the_pings_ends_the_connection, 0, 9);
    tcase_add_test(t, error_is_an_answer_to_a_ping);
    tcase_add_test(t, next_deadline_is_never_far_and_never_missed);
    t = add_case(s, "values");
    tcase_add_test(t, large_values_leave_from_where_they_lie);
    t = add_case(s, "errors");
    tcase_add_test(t, error_reply_belongs_to_its_own_call);
    tcase_add_test(t, replica_is_left_when_nothing_is_asked);
    tcase_add_test(t, replica_is_left_though_there_is_always_something_asked);
    tcase_add_loop_test(t, primary_that_takes_no_writes_is_not_left, 0, 2);
    t = add_case(s, "breaker");
    tcase_add_test(t, breaker_of_the_others_is_heeded);
    tcase_add_test(t, breaker_that_nobody_closes_is_closed_by_who_is_connected);
    tcase_add_test(t, ping_from_before_proves_nothing);
    tcase_add_test(t, worker_without_a_connection_heeds_no_entry);
    t = add_case(s, "tcp");
    tcase_add_test(t, tcp_connects_when_the_address_is_known);
    tcase_add_test(t, tcp_that_is_refused_opens_the_breaker);
    tcase_add_loop_test(t, tcp_refusal_that_is_said_unasked_is_understood, 0, 3);
    tcase_add_test(t, tcp_welcome_that_is_said_unasked_is_not_believed);
    tcase_add_test(t, address_that_is_never_found_has_a_deadline);
    return s;
}
