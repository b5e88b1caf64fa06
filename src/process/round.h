/*
 * The round: gather, exchange, scatter.
 *
 *     gather    take every request that is whole, at most ROUND_TAKE_MAX a turn; plan it
 *     exchange  write all their commands in one go (store_flush); replies come when they come
 *     scatter   requests whose replies are all there finish; answers are encoded and written
 *
 * Nothing here waits. The worker calls it between two waits for events. Requests that need no Redis
 * are answered whatever the others wait for.
 */
#ifndef LARDER_PROCESS_ROUND_H
#define LARDER_PROCESS_ROUND_H

#include <stdbool.h>
#include <stdint.h>

#include "http/request.h"
#include "process/census.h"
#include "process/conn.h"

enum {
    ROUND_TAKE_MAX = 64, /* requests taken per turn */
    /* Above these what needs Redis waits, unread where it is more than a few KB. Enough to keep
     * Redis and the web server at work, and no more: what is taken holds memory. */
    ROUND_IN_FLIGHT_MAX = 128,
    ROUND_UNSENT_MAX = 64 << 20, /* bytes of answers that web servers have not taken yet */
    ROUND_BODY_SLACK = 8192,     /* what an envelope may add to max_value */
    /* For a request to become whole, and for an answer to move: a second, with the tick that looks.
     */
    ROUND_PARTIAL_MS = 850,
};

struct round {
    struct service service;
    int epoll;
    struct census *census;   /* whose calls come back here, too */
    struct conn *conns;      /* all of them */
    struct conn_queue ready; /* those to be looked at */
    /* Their requests wait for a share; for that of Redis also before they are read to their end:
     * in one queue, so that each has its turn. */
    struct conn_queue held[SHARES];
    struct conn_queue turns[TURNS_SEATS]; /* ... for their turn to change an entry, by seat */
    uint32_t waiting;                     /* in one of these */
    struct conn *closed; /* freed at the end of the turn: events of this turn may still name them */
    uint32_t connections;
    uint32_t in_flight;
    uint64_t answered;
    int64_t stood_still; /* nanoseconds: peers don't answer for what this process slept through */
    size_t unsent;       /* bytes of answers that wait for their web servers */
    size_t body_max;
    int64_t
        one_shot_at;   /* a request came on a connection that ends with it; 0: the last was kept */
    bool last_answers; /* connections are closed after their answer, kept or not */
    bool writes;       /* a request that may change something has been taken in this turn */
};

void round_init(struct round *r, struct service service, int epoll);

/* Closes every connection. Requests in flight are abandoned. */
void round_fini(struct round *r);

/* Takes over an accepted descriptor: a first request is due on it. */
void round_add(struct round *r, int fd);

/* Takes over a kept connection that another worker passed on: it may stay silent. */
void round_adopt(struct round *r, int fd);

/* The socket of `c` has reported `events` (EPOLL*). */
void round_on_event(struct round *r, struct conn *c, uint32_t events);

/* Reads and plans what is ready. */
void round_gather(struct round *r);

/* Finishes every request whose call came back, and answers it. */
void round_scatter(struct round *r);

/* Frees what was closed in this turn. */
void round_end_turn(struct round *r);

/* Closes peers that stopped in the middle of a request or of an answer. A few times a second. */
void round_tick(struct round *r);

/* There is work that needs no event: do not sleep. */
bool round_has_work(const struct round *r);

/* What became of an idle connection that was offered to somebody. */
enum disposal {
    DISPOSED, /* the descriptor may be closed here */
    KEPT,     /* it is not idle after all */
    FULL,     /* nobody takes more at the moment: offer none */
};

/* Offers every idle connection to `dispose`, and forgets those that it disposes of. */
void round_dispose_idle(struct round *r, enum disposal (*dispose)(void *context, int fd),
                        void *context);

#endif
