/*
 * Commands on their way to Redis: RESP2 requests (arrays of bulk strings, lengths always given, so
 * no byte of a key or value can be taken for protocol). Small ones are gathered in one buffer;
 * large arguments are not copied but referenced, and everything leaves by one sendmsg.
 */
#ifndef LARDER_REDIS_OUTQUEUE_H
#define LARDER_REDIS_OUTQUEUE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/slice.h"

/* Arguments above this many bytes are referenced: they must stay until they are sent. */
enum { OUTQUEUE_COPY_MAX = 65536 };

struct outqueue {
    struct buf bytes;    /* copied bytes */
    struct buf segments; /* of struct segment_ref, in order; what they name is unsent */
    size_t first;        /* index of the first unsent segment */
    size_t unsent;       /* bytes */
};

void outqueue_fini(struct outqueue *q);

/* Forgets everything unsent. */
void outqueue_reset(struct outqueue *q);

/* Appends one command; check outqueue_failed once after the last. Gives its length in bytes. */
size_t outqueue_put(struct outqueue *q, const struct slice *args, size_t n);

/* Memory was out since the mark; roll back to it. */
static inline bool outqueue_failed(const struct outqueue *q) {
    return buf_failed(&q->bytes) || buf_failed(&q->segments);
}

/* A position to roll back to while nothing is sent in between. */
struct outqueue_mark {
    size_t bytes, segments, last_length, unsent;
};

struct outqueue_mark outqueue_mark(const struct outqueue *q);
void outqueue_rollback(struct outqueue *q, struct outqueue_mark mark);

/* Forgets the first `n` unsent bytes. */
void outqueue_skip(struct outqueue *q, size_t n);

/* Sends as much as the socket takes without waiting. Gives the number of bytes sent, 0 if it takes
 * none now, -1 with errno set if the connection is broken. */
ssize_t outqueue_send(struct outqueue *q, int fd);

#endif
