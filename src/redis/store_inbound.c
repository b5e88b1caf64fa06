/* What Redis says, and whose it is: see store_impl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "redis/breaker.h"
#include "redis/store_impl.h"

enum {
    READ_BYTES = 65536,
    READS_PER_TURN = 64,
    LEAVE_EVERY_MS = 1000, /* a replica is left at most this often */
};

static unsigned char read_buffer[READ_BYTES];

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
        link_log_fault(s, e, now, what);
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

/* One more of the call's replies is whole. */
static void complete_reply(struct store *s, struct call *call, int64_t now) {
    bool whole = ++call->got == call->wanted;
    if (call == &s->greeting) {
        link_step_handshake(s, whole, now);
        return;
    }
    s->last_reply = now;
    if (!whole)
        return;
    if (call->replies.has_error)
        note_error_reply(s, call, now);
    calls_note_size(s, call);
    calls_done(s, calls_pop(s));
    if (call != &s->ping)
        return;
    if (ping_is_answered(s))
        breaker_prove(&s->segment->breaker, call->committed, now);
    else
        link_drop_doubtful(s, now, "sends replies to other commands than were asked");
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
            link_drop_doubtful(s, now,
                               call == NULL ? "sent a reply that nobody asked for"
                                            : "broke its protocol, or memory is out");
    }
    return false;
}

static bool feed(struct store *s, size_t n, int64_t now) {
    enum error e = wire_feed(s->wire, read_buffer, n);
    if (e != OK) {
        link_drop_broken(s, now,
                         e == E_PROTOCOL ? "sent a string of more than 16 MiB"
                                         : "memory is out for its replies");
        return false;
    }
    return parse_replies(s, now);
}

void inbound_ended(struct store *s, ssize_t n, int64_t now) {
    char what[256];
    (void)snprintf(what, sizeof(what), "the connection was lost: %s",
                   n == 0 ? "closed by Redis" : strerror(errno));
    if (s->state == READY)
        link_drop_broken(s, now, what);
    else
        link_connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
}

void inbound_read(struct store *s, bool to_the_end, int64_t now) {
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(wire_fd(s->wire), read_buffer, sizeof(read_buffer), MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            s->readable = false;
            return;
        }
        if (n <= 0) {
            inbound_ended(s, n, now);
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
