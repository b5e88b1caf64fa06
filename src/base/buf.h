/*
 * A growing byte buffer with a sticky error: append freely, ask buf_failed once before the bytes
 * leave. A failed buffer swallows what is appended and keeps what it had.
 */
#ifndef LARDER_BASE_BUF_H
#define LARDER_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/slice.h"

struct buf {
    char *p;
    size_t n;   /* bytes used */
    size_t cap; /* bytes allocated */
    bool failed;
};

/* A zeroed struct is an empty buffer. Frees the memory and leaves an empty buffer. */
void buf_fini(struct buf *b);

/* Empties it and clears the error. Keeps the memory, up to `keep` bytes of it. */
void buf_reset(struct buf *b, size_t keep);

/* Slow path of buf_reserve; false and sticky on overflow or when memory is out. */
bool buf_grow(struct buf *b, size_t more);

/* Room for `more` bytes at p + n, without using them; false (sticky) if there is none. */
static inline bool buf_reserve(struct buf *b, size_t more) {
    if (!b->failed && b->cap - b->n >= more)
        return true;
    return buf_grow(b, more);
}

static inline void buf_put(struct buf *b, const void *bytes, size_t n) {
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, bytes, n);
    b->n += n;
}

static inline void buf_put_slice(struct buf *b, struct slice s) {
    buf_put(b, s.p, s.n);
}

static inline void buf_put_char(struct buf *b, char c) {
    if (buf_reserve(b, 1))
        b->p[b->n++] = c;
}

static inline void buf_puts(struct buf *b, const char *cstring) {
    buf_put(b, cstring, strlen(cstring));
}

static inline bool buf_failed(const struct buf *b) {
    return b->failed;
}

static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->p, b->n};
}

/* Decimal digits. */
void buf_put_uint(struct buf *b, uint64_t v);
void buf_put_int(struct buf *b, int64_t v);

/* For what isn't on the path of every request. */
void buf_printf(struct buf *b, const char *format, ...) LARDER_PRINTF(2, 3);

/* Removes the first n bytes; n is at most b->n. Moves the rest. */
void buf_consume(struct buf *b, size_t n);

#endif
