/* A call: one request's commands of one round, and what became of them. */
#ifndef LARDER_REDIS_CALL_H
#define LARDER_REDIS_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "redis/reply.h"

/* Lives in the request; zeroed at first, then reset by store_begin. */
struct call {
    struct call *next;
    struct replies replies;
    struct replies previous; /* of the round before, if call_keep_previous was called */
    unsigned wanted;         /* replies asked for */
    unsigned got;            /* replies complete */
    uint64_t from, to;       /* its commands' bytes in the connection's stream */
    int64_t committed;       /* clock_monotonic */
    int64_t deadline;        /* clock_monotonic; set by store_commit; later by what comes: */
    uint64_t received;       /* bytes that the connection had received by then */
    enum error error;        /* why it failed as a whole; OK if every reply is there */
    bool outcome_known;      /* with `error`: no byte of it reached Redis, so nothing was done */
};

/* Frees what the call has allocated. It must not be queued. */
void call_fini(struct call *call);

/* Drops its replies, and the memory of large ones. It must not be queued. */
void call_release(struct call *call);

/* Before the call is begun again: its replies are needed once more, as call->previous, until the
 * next time. */
void call_keep_previous(struct call *call);

/* Ready to be asked anew. */
void call_reset(struct call *call);

/* First in, first out; calls are linked, not owned. */
struct call_queue {
    struct call *first;
    struct call *last;
};

void call_queue_push(struct call_queue *q, struct call *call);

/* NULL if it is empty. */
struct call *call_queue_pop(struct call_queue *q);

#endif
