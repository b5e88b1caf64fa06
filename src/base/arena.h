/*
 * Memory that lives as long as a request: taken in pieces that never move, given back all at once.
 * It has a sticky error like a buf: take freely, ask arena_failed once.
 */
#ifndef LARDER_BASE_ARENA_H
#define LARDER_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* the one in use first */
    size_t bytes;               /* that it holds, adopted ones included */
    bool failed;
};

/* A zeroed struct is an empty arena. Frees everything and leaves one. */
void arena_fini(struct arena *a);

/* Gives back all that was taken, and clears the error; a small chunk is kept for the next time. */
void arena_reset(struct arena *a);

/* `n` bytes, not zeroed, aligned for every type; NULL, and sticky, when memory is out. */
void *arena_take(struct arena *a, size_t n);

/* A copy of the bytes; the empty slice when memory is out. */
struct slice arena_copy(struct arena *a, struct slice bytes);

/* Takes over the buffer's memory, which stays where it is until the arena is reset, and leaves the
 * buffer empty. False, and sticky, when memory is out: the buffer then keeps it. */
bool arena_adopt(struct arena *a, struct buf *b);

static inline bool arena_failed(const struct arena *a) {
    return a->failed;
}

#endif
