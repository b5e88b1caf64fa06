/* The growing buffer: see buf.h. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/decimal.h"

enum { FIRST_CAPACITY = 256 };

void buf_fini(struct buf *b) {
    free(b->p);
    *b = (struct buf){0};
}

void buf_reset(struct buf *b, size_t keep) {
    if (b->cap > keep) {
        free(b->p);
        b->p = NULL;
        b->cap = 0;
    }
    b->n = 0;
    b->failed = false;
}

bool buf_grow(struct buf *b, size_t more) {
    if (b->failed)
        return false;
    if (more > SIZE_MAX / 2 - b->n) {
        b->failed = true;
        return false;
    }
    size_t cap = b->cap < FIRST_CAPACITY ? FIRST_CAPACITY : b->cap;
    while (cap - b->n < more)
        cap *= 2;
    char *p = realloc(b->p, cap);
    if (p == NULL) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_put_uint(struct buf *b, uint64_t v) {
    if (buf_reserve(b, DECIMAL_MAX))
        b->n += decimal_put(b->p + b->n, v);
}

void buf_put_int(struct buf *b, int64_t v) {
    if (v < 0)
        buf_put_char(b, '-');
    buf_put_uint(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        b->failed = true;
        return;
    }
    if (!buf_reserve(b, (size_t)n + 1))
        return;
    va_start(args, format);
    int written = vsnprintf(b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    if (written == n)
        b->n += (size_t)n;
    else
        b->failed = true;
}

void buf_consume(struct buf *b, size_t n) {
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
