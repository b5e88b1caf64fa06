/* The connection to Redis, as the round sees it: see store.h. */
#include "redis/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "redis/breaker.h"
#include "redis/store_impl.h"

enum { REPLY_FIRST = 64 << 10 }; /* what a reply is thought to have before any came */

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
        link_try_if_allowed(s, now);
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
        calls_done(s, call);
        return;
    }
    calls_push(s, call, now);
    if (call == &s->ping)
        return;
    s->unproved += call->wanted;
    stats_add(&s->row->counter[STAT_redis_commands], call->wanted);
}

/* Replies that arrived whole before the connection broke are delivered. */
static void write_failed(struct store *s, int64_t now) {
    int error = errno;
    inbound_read(s, true, now);
    errno = error;
    if (s->state != CLOSED)
        inbound_ended(s, -1, now);
}

void store_flush(struct store *s, int64_t now) {
    if (s->state < HANDSHAKE || !s->writable)
        return;
    /* What is asked from now on waits for the next connection: else somebody always waits on this
     * one, and it is never left. */
    if (s->leave_when_idle && !calls_are_split(s))
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
    if (!s->writable)
        (void)link_watch(s, WATCH_WRITE, now);
}

void store_on_event(struct store *s, uint32_t events, int64_t now) {
    if (s->wire == NULL)
        return;
    if (s->state == CONNECTING) {
        if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
            link_tcp_connected(s, now);
        if (s->state != HANDSHAKE)
            return;
    }
    if ((events & EPOLLOUT) != 0) {
        s->writable = true;
        if (!link_watch(s, WATCH_READ, now))
            return;
    }
    const uint32_t closing = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if ((events & (EPOLLIN | closing)) != 0)
        inbound_read(s, (events & closing) != 0, now);
}

static void tick_ready(struct store *s, int64_t now) {
    if (s->leave_when_idle && calls_are_unsent(s)) {
        s->left = now;
        link_hang_up(s, E_BACKEND_READONLY, now, "is read-only; connecting anew");
        calls_fail_sent(s, E_BACKEND_READONLY);
        return;
    }
    if (!s->leave_when_idle)
        ping_if_due(s, now);
}

static void tick_deadline(struct store *s, int64_t now) {
    if (!calls_are_overdue(s, now))
        return;
    /* Perhaps it was this process that was held up, and the replies are here. */
    if (s->state == READY)
        inbound_read(s, true, now);
    if (!calls_are_overdue(s, now))
        return;
    stats_add(&s->row->counter[STAT_redis_timeouts], 1);
    /* All workers see one slow command: what was asked before the last timeout proves nothing new.
     */
    int64_t last = atomic_load_explicit(&s->segment->breaker.last_timeout, memory_order_relaxed);
    if (s->waiting.first->committed > last || last > now)
        breaker_timed_out(&s->segment->breaker, now);
    calls_fear_size(s);
    link_drop(s, E_BACKEND_TIMEOUT, now, "did not answer in time");
}

/* What was kept for the next connection does not wait for a Redis that is known to be away. */
static void refuse_waiting(struct store *s) {
    enum error reason = breaker_reason(&s->segment->breaker);
    if (reason != OK && s->waiting.first != NULL)
        calls_fail_all(s, reason);
}

void store_tick(struct store *s, int64_t now) {
    if (s->readable && s->wire != NULL)
        inbound_read(s, true, now);
    tick_deadline(s, now);
    switch (s->state) {
    case CLOSED:
        link_try_if_allowed(s, now);
        if (s->state == CLOSED)
            refuse_waiting(s);
        break;
    case CONNECTING:
    case HANDSHAKE:
        if (now >= s->connect_deadline)
            link_connect_failed(s, E_BACKEND_TIMEOUT, now, "did not let us in in time");
        else if (s->wire == NULL)
            link_try(s, now);
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
        next = earlier(next, calls_first_deadline(s));
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
        link_drop_doubtful(s, now, "gave a reply that its command never gives");
}
