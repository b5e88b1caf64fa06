/*
 * Inside the store: what its files share. Nobody else includes it; see store.h for what it is.
 *
 *     store.c          what the round calls, and what is due when
 *     store_link.c     a connection's beginning and its end
 *     store_inbound.c  what Redis says
 *     store_calls.c    the calls that wait, and what becomes of them
 *     store_ping.c     whether Redis lives, and replies are those that were asked for
 */
#ifndef LARDER_REDIS_STORE_IMPL_H
#define LARDER_REDIS_STORE_IMPL_H

#include <sys/types.h>

#include "base/clock.h"
#include "base/watch.h"
#include "redis/outqueue.h"
#include "redis/store.h"
#include "redis/wire.h"

/*
 *     CLOSED -> CONNECTING -> HANDSHAKE -> READY
 *        ^__________________________________|   any error, deadline or surprise
 *
 * Commands that are committed before READY wait behind the handshake, so a request that comes while
 * the connection is being made anew is served, not failed.
 */
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

/* Each byte that has to be carried gives a deadline more time. */
enum { DEADLINE_BYTES_PER_MS = 100 * 1024 };

/* --- calls ----------------------------------------------------------------------------------- */

static inline void calls_done(struct store *s, struct call *call) {
    if (call == &s->ping)
        s->pinging = false;
    else
        call_queue_push(&s->done, call);
}

static inline struct call *calls_pop(struct store *s) {
    struct call *call = call_queue_pop(&s->waiting);
    s->expected -= call->wanted;
    return call;
}

/* Whether no byte of those that wait has left. */
static inline bool calls_are_unsent(const struct store *s) {
    return s->waiting.first == NULL || s->waiting.first->from >= s->sent;
}

/* Of the first one; there must be one. What comes in takes its time, too: large values that were
 * asked for before. */
static inline int64_t calls_first_deadline(const struct store *s) {
    const struct call *first = s->waiting.first;
    return first->deadline +
           (int64_t)((s->received - first->received) / DEADLINE_BYTES_PER_MS) * NS_PER_MS;
}

static inline bool calls_are_overdue(const struct store *s, int64_t now) {
    return s->waiting.first != NULL && now >= calls_first_deadline(s);
}

/* Large replies are noticed at once, and remembered for a while. */
static inline void calls_note_size(struct store *s, const struct call *call) {
    uint64_t bytes = call->replies.bytes.n / call->wanted;
    if (bytes > s->reply_bytes)
        s->reply_bytes = (s->reply_bytes + bytes) / 2;
    else
        s->reply_bytes -= (s->reply_bytes - bytes) / 16;
}

/* The call waits, with its deadline. */
void calls_push(struct store *s, struct call *call, int64_t now);

void calls_fail_all(struct store *s, enum error e);

/* Those of which something has left. The others wait for the next connection, with the deadlines
 * they have. */
void calls_fail_sent(struct store *s, enum error e);

/* Whether one of those that wait has left in part. */
bool calls_are_split(const struct store *s);

/* Replies that were waited for and never came may have been large ones. */
void calls_fear_size(struct store *s);

/* --- the connection -------------------------------------------------------------------------- */

/* The same fault over and over is one line a minute. */
void link_log_fault(struct store *s, enum error e, int64_t now, const char *what);

/* Ends the connection, whatever its state. What becomes of the calls that wait on it is the
 * caller's to say. */
void link_hang_up(struct store *s, enum error e, int64_t now, const char *what);

/* ... and all of them fail. */
void link_drop(struct store *s, enum error e, int64_t now, const char *what);

/* ... and those fail of which something has left; if it never became READY, as below. */
void link_drop_broken(struct store *s, int64_t now, const char *what);

/* ... and so do those that are complete and not yet answered: replies may have come apart from
 * their calls, and nobody knows since when. */
void link_drop_doubtful(struct store *s, int64_t now, const char *what);

/* It never became READY: everybody should know. */
void link_connect_failed(struct store *s, enum error e, int64_t now, const char *what);

/* Connects; in CONNECTING, once the address is known. */
void link_try(struct store *s, int64_t now);

/* Connects if nothing speaks against it: at once while the breaker is closed, else only with the
 * right to probe. */
void link_try_if_allowed(struct store *s, int64_t now);

/* The descriptor of a TCP connection that is being made is writable, or has failed. */
void link_tcp_connected(struct store *s, int64_t now);

/* One more of the handshake's replies is there; `whole` if it was the last. */
void link_step_handshake(struct store *s, bool whole, int64_t now);

/* Has epoll report what is wanted; if it can't, the connection is dropped: false. */
bool link_watch(struct store *s, enum watch wanted, int64_t now);

/* --- what comes in --------------------------------------------------------------------------- */

/* Reads and parses, a bounded amount a turn: a peer that never stops must not hold up the round.
 * `to_the_end` when the peer is closing: the end itself comes with no further edge. */
void inbound_read(struct store *s, bool to_the_end, int64_t now);

/* The end of the stream (`n` is 0), or an error of it, in errno. */
void inbound_ended(struct store *s, ssize_t n, int64_t now);

/* --- pings ----------------------------------------------------------------------------------- */

/* Asks, if it is time to. */
void ping_if_due(struct store *s, int64_t now);

/* Whether its reply, which is whole, is the one to it. */
bool ping_is_answered(const struct store *s);

#endif
