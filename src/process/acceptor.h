/*
 * Fair accept. With kept connections a worker that accepts a few more than the others serves a few
 * more for ever, so a worker that has more connections than the least loaded one, by more than one,
 * takes the listener out of its epoll set until that changes. Each row of the segment tells its
 * number of connections; a row whose heartbeat is old does not count. Who goes out wakes the least
 * loaded one if that isn't listening: it may have gone out itself when it had more, and would
 * otherwise let connections wait until it happens to look again.
 *
 * A worker that has as many connections as its descriptors suffice for takes no more: they wait in
 * the listener's queue. It must never lack the one that leads back to Redis.
 */
#ifndef LARDER_PROCESS_ACCEPTOR_H
#define LARDER_PROCESS_ACCEPTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "process/inherit.h"
#include "process/round.h"

struct acceptor {
    const struct inherit *inherit;
    int epoll;
    void *listener_tag;
    void *pass_tag;
    bool listening;      /* both descriptors are in the epoll set */
    uint32_t most;       /* connections; 0: any number; set by acceptor_limit */
    int64_t pause_until; /* out of descriptors or memory: not before this */
    int64_t said;        /* when the log was last told why some wait; 0: never */
    int64_t turned_away; /* when the log last told of one; 0: never */
};

/* Works out how many connections this process may have, once all else that it needs is open. */
void acceptor_limit(struct acceptor *a);

/* Puts the listener and the passing socket into the epoll set when it is this worker's turn to take
 * connections, and takes them out when it is not. Cheap; once a turn. */
void acceptor_balance(struct acceptor *a, const struct round *round, int64_t now);

/* No more connections: for a worker that leaves. */
void acceptor_stop(struct acceptor *a);

/* The listener is readable: accepts one connection. */
void acceptor_accept(struct acceptor *a, struct round *round, int64_t now);

/* Takes whoever has connected or was passed on so far: for a worker that stops. */
void acceptor_take_rest(struct acceptor *a, struct round *round);

/* The passing socket is readable: adopts one kept connection. */
void acceptor_adopt(struct acceptor *a, struct round *round);

#endif
