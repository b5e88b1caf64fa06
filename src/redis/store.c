/*
 * The connection to Redis: see store.h.
 *
 *     CLOSED -> CONNECTING -> HANDSHAKE -> READY
 *        ^__________________________________|   any error, deadline or surprise
 *
 * Commands that are committed before READY wait behind the handshake, so a request that comes while
 * the connection is being made anew is served, not failed.
 */
#include "redis/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/log.h"
#include "base/watch.h"
#include "redis/breaker.h"
#include "redis/handshake.h"
#include "redis/outqueue.h"
#include "redis/wire.h"

enum {
    READ_BYTES = 65536,
    READS_PER_TURN = 64,
    IDLE_PING_MS = 500, /* how soon a Redis that hangs is noticed without a request */
    BUSY_PING_MS = 100, /* how soon it is noticed that replies are not those that were asked for, */
    BUSY_PING_COMMANDS = 128, /* ... and after how many */
    DEADLINE_BYTES_PER_MS = 100 * 1024,
    FLAP_MS = 100, /* a connection lost sooner than this after READY is flapping */
    FLAP_DELAY_MS = 50,
    LEAVE_EVERY_MS = 1000, /* a replica is left at most this often */
    SAME_FAULT_LOG_S = 60,
    UNSENT_MAX = 4 << 20,     /* bytes of commands that Redis has not taken yet */
    EXPECTED_MAX = 16 << 20,  /* bytes of replies, as they are thought to become */
    REPLY_FIRST = 64 << 10,   /* what a reply is thought to have before any came */
    REPLY_FEARED = 512 << 10, /* ... after those that were waited for never came */
};

enum state { CLOSED, CONNECTING, HANDSHAKE, READY };

struct store {
    const struct config *config;
    struct segment *segment;
    struct stats_row *row;
    void *tag;
    int epoll;

    enum state state;
    struct wire *wire;     /* NULL in CLOSED, and in CONNECTING while the address is not known */
    struct outqueue hello; /* the handshake's commands */
    struct outqueue out;   /* the requests' commands */
    bool writable;         /* cleared by a short write until EPOLLOUT */
    enum watch watch;      /* of the wire's descriptor */
    bool readable;         /* more may be there than was read in this turn */
    uint64_t appended;     /* bytes of request commands since the last drop */
    uint64_t sent;
    uint64_t received;    /* bytes of replies, in all */
    uint64_t expected;    /* replies that calls wait for */
    uint64_t reply_bytes; /* of one, as they were of late */

    struct call_queue waiting; /* committed, in the order of their commands */
    struct call_queue done;    /* for store_next_done */
    struct call greeting;      /* the handshake */
    struct call ping;
    bool pinging;
    uint64_t ping_number;      /* of the last one: its reply says it */
    int64_t pinged;            /* when it was sent; at first, when the connection was READY */
    uint64_t unproved;         /* commands asked since then */
    struct outqueue_mark mark; /* where the call that is open began */

    int64_t connect_deadline;
    int64_t connect_after; /* CLOSED: not before */
    int64_t ready_since;
    int64_t last_reply;
    bool ever_ready;
    bool leave_when_idle; /* READONLY: look for the new master once what was sent is answered */
    int64_t left;         /* when that was last done; 0: never */

    enum error reason;                 /* of the last failure */
    int64_t fault_logged[ERROR_COUNT]; /* when, by reason; 0: never */
};

static unsigned char read_buffer[READ_BYTES];

/* --- calls ----------------------------------------------------------------------------------- */

static void push_done(struct store *s, struct call *call) {
    if (call == &s->ping)
        s->pinging = false;
    else
        call_queue_push(&s->done, call);
}

struct call *store_next_done(struct store *s) {
    return call_queue_pop(&s->done);
}

/* --- the end of a connection ----------------------------------------------------------------- */

static struct call *pop_waiting(struct store *s) {
    struct call *call = call_queue_pop(&s->waiting);
    s->expected -= call->wanted;
    return call;
}

static void fail_first(struct store *s, enum error e) {
    struct call *call = pop_waiting(s);
    call->error = e;
    call->outcome_known = s->sent <= call->from;
    push_done(s, call);
}

static void fail_all(struct store *s, enum error e) {
    while (s->waiting.first != NULL)
        fail_first(s, e);
    outqueue_reset(&s->out);
    s->appended = s->sent = 0;
}

/* Calls of which no byte has left wait for the next connection, with the deadlines they have. */
static void fail_sent(struct store *s, enum error e) {
    while (s->waiting.first != NULL && s->waiting.first->from < s->sent)
        fail_first(s, e);
    if (s->waiting.first == NULL) {
        fail_all(s, e);
        return;
    }
    /* The rest of a command that had left in part. */
    outqueue_skip(&s->out, (size_t)(s->waiting.first->from - s->sent));
    s->sent = s->waiting.first->from;
}

/* The same fault over and over is one line a minute. */
static void log_fault(struct store *s, enum error e, int64_t now, const char *what) {
    if (s->fault_logged[e] != 0 && now - s->fault_logged[e] < SAME_FAULT_LOG_S * NS_PER_S)
        return;
    s->fault_logged[e] = now;
    log_warning("Redis: %s", what);
}

/* Ends the connection, whatever its state. What becomes of the calls that wait on it is the
 * caller's to say. The one place where a wire is closed. */
static void hang_up(struct store *s, enum error e, int64_t now, const char *what) {
    log_fault(s, e, now, what);
    wire_close(&s->wire);
    s->watch = WATCH_NOT;
    bool flapping = s->state == READY && now - s->ready_since < FLAP_MS * NS_PER_MS;
    s->connect_after = flapping ? now + FLAP_DELAY_MS * NS_PER_MS : now;
    s->state = CLOSED;
    s->reason = e;
    s->leave_when_idle = s->readable = false;
    atomic_store_explicit(&s->row->redis_ready, 0, memory_order_relaxed);
    outqueue_reset(&s->hello);
}

static void drop(struct store *s, enum error e, int64_t now, const char *what) {
    hang_up(s, e, now, what);
    fail_all(s, e);
}

/* A connection that never became READY: everybody should know. */
static void connect_failed(struct store *s, enum error e, int64_t now, const char *what) {
    stats_add(&s->row->counter[STAT_redis_errors], 1);
    breaker_connect_failed(&s->segment->breaker, e, now);
    atomic_store_explicit(&s->segment->resolve_wanted, 1, memory_order_relaxed);
    drop(s, e, now, what);
}

static void drop_broken(struct store *s, int64_t now, const char *what) {
    if (s->state != READY) {
        connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
        return;
    }
    stats_add(&s->row->counter[STAT_redis_errors], 1);
    hang_up(s, E_BACKEND_UNAVAILABLE, now, what);
    fail_sent(s, E_BACKEND_UNAVAILABLE);
}

/* Replies may have come apart from their calls, and nobody knows since when. What is complete but
 * not yet answered came in the same breath, so it is not believed either. */
static void drop_doubtful(struct store *s, int64_t now, const char *what) {
    for (struct call *call = s->done.first; call != NULL; call = call->next)
        if (call->error == OK) {
            call->error = E_BACKEND_UNAVAILABLE;
            call->outcome_known = false;
        }
    drop_broken(s, now, what);
}

/* --- the beginning of a connection ----------------------------------------------------------- */

static void begin_handshake(struct store *s) {
    s->state = HANDSHAKE;
    s->writable = true;
    call_reset(&s->greeting);
    s->greeting.wanted = handshake_put(s->config, &s->hello);
}

/* Whether the name is known well enough to connect; a Unix socket needs none. */
static bool open_wire(struct store *s) {
    char address[SEGMENT_ADDRESS_MAX];
    if (s->config->redis_socket[0] != '\0') {
        s->wire = wire_open_unix(s->config->redis_socket);
        return true;
    }
    if (!segment_read_address(s->segment, s->config->redis_host, address))
        return false;
    s->wire = wire_open_tcp(address, (int)s->config->redis_port);
    return true;
}

static const char CANNOT_WATCH[] = "the connection cannot be watched; is memory out?";

static bool watch(struct store *s, enum watch wanted) {
    return watch_set(s->epoll, wire_fd(s->wire), s->tag, &s->watch, wanted);
}

static void set_up_wire(struct store *s, int64_t now) {
    char what[256];
    bool tcp = s->config->redis_socket[0] == '\0';
    if (s->wire == NULL) {
        connect_failed(s, E_OUT_OF_MEMORY, now, "memory is out for a connection");
        return;
    }
    if (wire_fault(s->wire) != NULL) {
        (void)snprintf(what, sizeof(what), "cannot connect: %s", wire_fault(s->wire));
        connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
        return;
    }
    if (!watch(s, tcp ? WATCH_WRITE : WATCH_READ)) {
        (void)snprintf(what, sizeof(what), "cannot watch the connection: %s", strerror(errno));
        connect_failed(s, E_OUT_OF_MEMORY, now, what);
        return;
    }
    /* A Unix socket is connected or refused at once; a TCP one says so by EPOLLOUT. */
    if (!tcp)
        begin_handshake(s);
}

static void try_connect(struct store *s, int64_t now) {
    if (s->state == CLOSED) {
        s->state = CONNECTING;
        s->connect_deadline = now + s->config->redis_connect_timeout * NS_PER_MS;
    }
    if (open_wire(s))
        set_up_wire(s, now);
}

/* Connects if nothing speaks against it: at once while the breaker is closed, else only with the
 * right to probe. */
static void maybe_connect(struct store *s, int64_t now) {
    if (s->state != CLOSED || now < s->connect_after)
        return;
    struct breaker_state *breaker = &s->segment->breaker;
    int64_t lease = 2 * s->config->redis_connect_timeout * NS_PER_MS;
    if (breaker_position(breaker) == BREAKER_CLOSED || breaker_take_probe(breaker, now, lease))
        try_connect(s, now);
}

static void tcp_connected(struct store *s, int64_t now) {
    int error = 0;
    socklen_t length = sizeof(error);
    char what[256];
    if (getsockopt(wire_fd(s->wire), SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error == 0) {
        begin_handshake(s);
        return;
    }
    (void)snprintf(what, sizeof(what), "cannot connect: %s", strerror(error));
    connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
}

static void count_ready(struct store *s) {
    stats_add(&s->row->counter[STAT_redis_connects], 1);
    if (s->ever_ready)
        stats_add(&s->row->counter[STAT_redis_reconnects], 1);
    s->ever_ready = true;
    atomic_store_explicit(&s->row->redis_ready, 1, memory_order_relaxed);
}

static void note_scripts(struct store *s, const struct handshake_result *result, int64_t now) {
    char what[320];
    if (result->scripts_fault[0] == '\0')
        return;
    (void)snprintf(
        what, sizeof(what),
        "takes no scripts (%s): DELETE of a key, conditional requests, tags and counters "
        "fail; allow this user +script|load +evalsha +eval",
        result->scripts_fault);
    log_fault(s, E_BACKEND_REFUSED, now, what);
}

static void note_policy(struct store *s, const struct handshake_result *result) {
    uint32_t before = atomic_exchange_explicit(
        &s->segment->policy_refused, result->policy_refused ? 1 : 0, memory_order_relaxed);
    if (result->policy_refused && before == 0)
        log_warning("Redis keeps its own eviction settings (%s); to let max_memory_policy and "
                    "max_memory apply, allow this user CONFIG SET",
                    result->fault);
}

/* After each reply: a refusal counts at once, since Redis may close without the other replies. */
static void step_handshake(struct store *s, bool whole, int64_t now) {
    struct handshake_result result;
    char what[320];
    enum error e = handshake_check(s->config, &s->greeting.replies, &result);
    if (e == E_AGAIN && !whole)
        return;
    if (e != OK) {
        (void)snprintf(what, sizeof(what), "the handshake failed: %s", result.fault);
        connect_failed(s, e, now, what);
        return;
    }
    s->state = READY;
    s->reason = OK;
    s->ready_since = s->last_reply = s->pinged = now;
    s->unproved = 0;
    breaker_close(&s->segment->breaker);
    count_ready(s);
    note_policy(s, &result);
    note_scripts(s, &result, now);
    log_info("connected to Redis %s", result.version);
}

/* --- reading --------------------------------------------------------------------------------- */

static void note_error_reply(struct store *s, const struct call *call, int64_t now) {
    char what[256];
    for (const struct reply *r = replies_get(&call->replies, 0); r != NULL;
         r = replies_next(&call->replies, r)) {
        enum error e = reply_error(&call->replies, r);
        if (e == OK || e == E_AGAIN)
            continue;
        struct slice text = replies_bytes(&call->replies, r);
        (void)snprintf(what, sizeof(what), "answered with an error: %.*s",
                       text.n < 200 ? (int)text.n : 200, text.p);
        stats_add(&s->row->counter[STAT_redis_errors], 1);
        log_fault(s, e, now, what);
        /* A replica: the name may lead to the new master by now. Not the other reasons for which
         * Redis takes no writes. */
        if (text.n >= 8 && memcmp(text.p, "READONLY", 8) == 0 &&
            (s->left == 0 || now - s->left >= LEAVE_EVERY_MS * NS_PER_MS))
            s->leave_when_idle = true;
    }
}

/* All that `call` asked has been answered but for one reply. */
static bool lacks_one(const struct call *call) {
    return call->got + 1 == call->wanted;
}

/* Whose reply comes next: the first call's, if a command of it has left, and for its last reply all
 * of it (what is answered is freed, and must not be referenced by what is unsent). NULL: nothing
 * that was asked is unanswered, so whatever comes belongs to nobody, and least of all to who asks
 * next. The handshake's first reply may come before anything was asked: a Redis that is full, or
 * that lets in nobody from another machine, says so at once and closes. */
static struct call *expecting(struct store *s) {
    if (s->state == HANDSHAKE)
        return lacks_one(&s->greeting) && s->hello.unsent > 0 ? NULL : &s->greeting;
    struct call *first = s->waiting.first;
    if (first == NULL || first->from >= s->sent)
        return NULL;
    return lacks_one(first) && first->to > s->sent ? NULL : first;
}

/* Large ones are noticed at once, and remembered for a while. */
static void note_size(struct store *s, const struct call *call) {
    uint64_t bytes = call->replies.bytes.n / call->wanted;
    if (bytes > s->reply_bytes)
        s->reply_bytes = (s->reply_bytes + bytes) / 2;
    else
        s->reply_bytes -= (s->reply_bytes - bytes) / 16;
}

/* A reply that is another command's, early or late by however many, is not this number. */
static bool ping_is_answered(const struct store *s) {
    char digits[DECIMAL_MAX];
    const struct reply *r = replies_get(&s->ping.replies, 0);
    struct slice number = {digits, decimal_put(digits, s->ping_number)};
    return r->type == REPLY_ERROR ||
           (r->type == REPLY_STRING && slice_eq(replies_bytes(&s->ping.replies, r), number));
}

/* One more of the call's replies is whole. */
static void complete_reply(struct store *s, struct call *call, int64_t now) {
    bool whole = ++call->got == call->wanted;
    if (call == &s->greeting) {
        step_handshake(s, whole, now);
        return;
    }
    s->last_reply = now;
    if (!whole)
        return;
    if (call->replies.has_error)
        note_error_reply(s, call, now);
    note_size(s, call);
    push_done(s, pop_waiting(s));
    if (call != &s->ping)
        return;
    if (ping_is_answered(s))
        breaker_prove(&s->segment->breaker, call->committed, now);
    else
        drop_doubtful(s, now, "sends replies to other commands than were asked");
}

/* Parses what has been fed. False when the connection was dropped. */
static bool parse_replies(struct store *s, int64_t now) {
    while (s->state != CLOSED) {
        struct call *call = expecting(s);
        enum error e = wire_parse(s->wire, call != NULL ? &call->replies : NULL);
        if (e == E_AGAIN)
            return true;
        if (e == OK && call != NULL)
            complete_reply(s, call, now);
        else
            drop_doubtful(s, now,
                          call == NULL ? "sent a reply that nobody asked for"
                                       : "broke its protocol, or memory is out");
    }
    return false;
}

static bool feed(struct store *s, size_t n, int64_t now) {
    enum error e = wire_feed(s->wire, read_buffer, n);
    if (e != OK) {
        drop_broken(s, now,
                    e == E_PROTOCOL ? "sent a string of more than 16 MiB"
                                    : "memory is out for its replies");
        return false;
    }
    return parse_replies(s, now);
}

/* The end of the stream, or an error of it. */
static void read_ended(struct store *s, ssize_t n, int64_t now) {
    char what[256];
    (void)snprintf(what, sizeof(what), "the connection was lost: %s",
                   n == 0 ? "closed by Redis" : strerror(errno));
    if (s->state == READY)
        drop_broken(s, now, what);
    else
        connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
}

/* Reads and parses, a bounded amount a turn: a peer that never stops must not hold up the round.
 * `to_the_end` when the peer is closing: the end itself comes with no further edge. */
static void read_replies(struct store *s, bool to_the_end, int64_t now) {
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(wire_fd(s->wire), read_buffer, sizeof(read_buffer), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            s->readable = false;
            return;
        }
        if (n <= 0) {
            read_ended(s, n, now);
            return;
        }
        s->received += (uint64_t)n;
        if (!feed(s, (size_t)n, now))
            return;
        /* Edge-triggered: a short read has emptied the socket, what comes later is a new edge. */
        if ((size_t)n < sizeof(read_buffer) && !to_the_end) {
            s->readable = false;
            return;
        }
    }
    s->readable = true;
}

/* --- what the round calls -------------------------------------------------------------------- */

struct store *store_open(const struct config *config, struct segment *segment,
                         struct stats_row *row, int epoll, void *tag) {
    struct store *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->config = config;
    s->segment = segment;
    s->row = row;
    s->epoll = epoll;
    s->tag = tag;
    s->reason = E_BACKEND_UNAVAILABLE;
    s->reply_bytes = REPLY_FIRST;
    return s;
}

void store_close(struct store **store) {
    struct store *s = *store;
    if (s == NULL)
        return;
    wire_close(&s->wire);
    outqueue_fini(&s->hello);
    outqueue_fini(&s->out);
    call_fini(&s->greeting);
    call_fini(&s->ping);
    free(s);
    *store = NULL;
}

enum error store_begin(struct store *s, struct call *call, int64_t now) {
    enum breaker_position position = breaker_position(&s->segment->breaker);
    bool refused = position == BREAKER_OPEN || (position == BREAKER_NO_ENTRY && s->state != READY);
    if (!refused) {
        maybe_connect(s, now);
        /* Connecting may have failed at once and opened the breaker. */
        refused = s->state == CLOSED && breaker_position(&s->segment->breaker) != BREAKER_CLOSED;
    }
    if (refused) {
        enum error reason = breaker_reason(&s->segment->breaker);
        return reason == OK ? E_BACKEND_UNAVAILABLE : reason;
    }
    call_reset(call);
    call->from = call->to = s->appended;
    s->mark = outqueue_mark(&s->out);
    return OK;
}

void store_append(struct store *s, struct call *call, const struct slice *args, size_t n) {
    size_t bytes = outqueue_put(&s->out, args, n);
    s->appended += bytes;
    call->to += bytes;
    call->wanted++;
}

void store_commit(struct store *s, struct call *call, int64_t now) {
    if (outqueue_failed(&s->out)) {
        outqueue_rollback(&s->out, s->mark);
        s->appended = call->from;
        call->error = E_OUT_OF_MEMORY;
        call->outcome_known = true;
        push_done(s, call);
        return;
    }
    int64_t size_ms = (int64_t)((call->to - call->from) / DEADLINE_BYTES_PER_MS);
    call->deadline = now + (s->config->redis_timeout + size_ms) * NS_PER_MS;
    call->committed = now;
    call->received = s->received;
    call_queue_push(&s->waiting, call);
    s->expected += call->wanted;
    if (call == &s->ping)
        return;
    s->unproved += call->wanted;
    stats_add(&s->row->counter[STAT_redis_commands], call->wanted);
}

/* Replies that arrived whole before the connection broke are delivered. */
static void write_failed(struct store *s, int64_t now) {
    int error = errno;
    read_replies(s, true, now);
    errno = error;
    if (s->state != CLOSED)
        read_ended(s, -1, now);
}

/* The bytes of a call have left in part. */
static bool is_inside_call(const struct store *s) {
    const struct call *call = s->waiting.first;
    while (call != NULL && call->to <= s->sent)
        call = call->next;
    return call != NULL && call->from < s->sent;
}

void store_flush(struct store *s, int64_t now) {
    if (s->state < HANDSHAKE || !s->writable)
        return;
    /* What is asked from now on waits for the next connection: else somebody always waits on this
     * one, and it is never left. */
    if (s->leave_when_idle && !is_inside_call(s))
        return;
    struct outqueue *q = s->state == HANDSHAKE ? &s->hello : &s->out;
    if (q->unsent == 0)
        return;
    ssize_t n = outqueue_send(q, wire_fd(s->wire));
    if (n < 0) {
        write_failed(s, now);
        return;
    }
    if (q == &s->out)
        s->sent += (uint64_t)n;
    s->writable = q->unsent == 0;
    if (!s->writable && !watch(s, WATCH_WRITE))
        drop_broken(s, now, CANNOT_WATCH);
}

void store_on_event(struct store *s, uint32_t events, int64_t now) {
    if (s->wire == NULL)
        return;
    if (s->state == CONNECTING) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
            tcp_connected(s, now);
        if (s->state != HANDSHAKE)
            return;
    }
    if ((events & EPOLLOUT) != 0) {
        s->writable = true;
        if (!watch(s, WATCH_READ)) {
            drop_broken(s, now, CANNOT_WATCH);
            return;
        }
    }
    const uint32_t closing = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & (EPOLLIN | closing)) != 0)
        read_replies(s, (events & closing) != 0, now);
}

/* An idle Redis is asked whether it is alive; with the breaker open, when nobody else will ask it
 * anything, at once. A busy one is asked something that has one answer only: while there is always
 * something under way, one reply too many or too few would never show. */
static bool ping_is_due(const struct store *s, int64_t now) {
    if (s->pinging)
        return false;
    if (s->waiting.first != NULL)
        return s->unproved >= BUSY_PING_COMMANDS || now - s->pinged >= BUSY_PING_MS * NS_PER_MS;
    return now - s->last_reply >= IDLE_PING_MS * NS_PER_MS ||
           breaker_position(&s->segment->breaker) == BREAKER_OPEN;
}

static void ping(struct store *s, int64_t now) {
    char digits[DECIMAL_MAX];
    struct slice number = {digits, decimal_put(digits, ++s->ping_number)};
    call_reset(&s->ping);
    s->ping.from = s->ping.to = s->appended;
    s->mark = outqueue_mark(&s->out);
    store_append(s, &s->ping, (struct slice[]){SLICE("PING"), number}, 2);
    s->pinging = true;
    s->pinged = now;
    s->unproved = 0;
    store_commit(s, &s->ping, now);
}

static void tick_ready(struct store *s, int64_t now) {
    bool is_idle = s->waiting.first == NULL || s->waiting.first->from >= s->sent;
    if (s->leave_when_idle && is_idle) {
        s->left = now;
        hang_up(s, E_BACKEND_READONLY, now, "is read-only; connecting anew");
        fail_sent(s, E_BACKEND_READONLY);
        return;
    }
    if (!s->leave_when_idle && ping_is_due(s, now))
        ping(s, now);
}

/* Of the first call. What comes in takes its time, too: large values that were asked for before. */
static int64_t first_deadline(const struct store *s) {
    const struct call *first = s->waiting.first;
    return first->deadline +
           (int64_t)((s->received - first->received) / DEADLINE_BYTES_PER_MS) * NS_PER_MS;
}

static bool is_overdue(const struct store *s, int64_t now) {
    return s->waiting.first != NULL && now >= first_deadline(s);
}

static void tick_deadline(struct store *s, int64_t now) {
    if (!is_overdue(s, now))
        return;
    /* Perhaps it was this process that was held up, and the replies are here. */
    if (s->state == READY)
        read_replies(s, true, now);
    if (!is_overdue(s, now))
        return;
    stats_add(&s->row->counter[STAT_redis_timeouts], 1);
    /* All workers see one slow command: what was asked before the last timeout proves nothing new.
     */
    int64_t last = atomic_load_explicit(&s->segment->breaker.last_timeout, memory_order_relaxed);
    if (s->waiting.first->committed > last || last > now)
        breaker_timed_out(&s->segment->breaker, now);
    if (s->reply_bytes < REPLY_FEARED)
        s->reply_bytes = REPLY_FEARED;
    drop(s, E_BACKEND_TIMEOUT, now, "did not answer in time");
}

/* What was kept for the next connection does not wait for a Redis that is known to be away. */
static void refuse_waiting(struct store *s) {
    enum error reason = breaker_reason(&s->segment->breaker);
    if (reason != OK && s->waiting.first != NULL)
        fail_all(s, reason);
}

void store_tick(struct store *s, int64_t now) {
    if (s->readable && s->wire != NULL)
        read_replies(s, true, now);
    tick_deadline(s, now);
    switch (s->state) {
    case CLOSED:
        maybe_connect(s, now);
        if (s->state == CLOSED)
            refuse_waiting(s);
        break;
    case CONNECTING:
    case HANDSHAKE:
        if (now >= s->connect_deadline)
            connect_failed(s, E_BACKEND_TIMEOUT, now, "did not let us in in time");
        else if (s->wire == NULL)
            try_connect(s, now);
        /* The other workers have found out that it hangs. */
        if (breaker_position(&s->segment->breaker) == BREAKER_OPEN)
            refuse_waiting(s);
        break;
    case READY:
        tick_ready(s, now);
        break;
    }
    store_flush(s, now);
}

static int64_t earlier(int64_t a, int64_t b) {
    return a < b ? a : b;
}

int64_t store_next_deadline(const struct store *s, int64_t now) {
    enum { IDLE_MS = 100, RESOLVING_MS = 5 };
    int64_t next = now + IDLE_MS * NS_PER_MS;
    /* What failed as the last thing of a turn is to be answered. */
    if (s->readable || s->done.first != NULL)
        return now;
    if (s->waiting.first != NULL)
        next = earlier(next, first_deadline(s));
    if (s->state == CONNECTING || s->state == HANDSHAKE)
        next = earlier(next, s->connect_deadline);
    if (s->state == CONNECTING && s->wire == NULL)
        next = earlier(next, now + RESOLVING_MS * NS_PER_MS);
    /* Calls that had not left wait for the next connection; with the breaker open none is made. */
    bool wanted =
        s->waiting.first != NULL && breaker_position(&s->segment->breaker) == BREAKER_CLOSED;
    if (s->state == CLOSED && (s->connect_after > now || wanted))
        next = earlier(next, s->connect_after);
    return next;
}

struct store_status store_get_status(const struct store *s) {
    return (struct store_status){
        .ready = s->state == READY,
        .connecting = s->state == CONNECTING || s->state == HANDSHAKE,
        .reason = s->state == READY ? OK : s->reason,
        .last_reply = s->last_reply,
        .policy_refused =
            atomic_load_explicit(&s->segment->policy_refused, memory_order_relaxed) != 0,
    };
}

void store_distrust(struct store *s, int64_t now) {
    if (s->state == READY)
        drop_doubtful(s, now, "gave a reply that its command never gives");
}

size_t store_unsent_bytes(const struct store *s) {
    return s->out.unsent;
}

bool store_is_full(const struct store *s) {
    return s->out.unsent >= UNSENT_MAX || s->expected * s->reply_bytes >= EXPECTED_MAX;
}
