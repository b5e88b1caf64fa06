/*
 * Fuzzing: what every target has. A target is a function that is given any bytes and ends the
 * process, by need() or by a sanitizer, if the service does with them what it must not. It keeps
 * what costs time to make from one input to the next, and nothing else: an input must do the same
 * every time.
 *
 * Two programs call them: libFuzzer's (driver.c, one program a target) and replay.c.
 */
#ifndef LARDER_TESTS_FUZZ_H
#define LARDER_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

#define TARGET(name, longest, files) void fuzz_##name(struct slice input);
#include "targets.def"
#undef TARGET

/* What must be so. */
#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: '%s' is not so\n", __FILE__, __LINE__, #condition);      \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Taking an input apart: each takes from its front, and gives zeros once it is used up. */
static inline unsigned fuzz_byte(struct slice *rest) {
    if (rest->n == 0)
        return 0;
    unsigned byte = (unsigned char)rest->p[0];
    *rest = (struct slice){rest->p + 1, rest->n - 1};
    return byte;
}

/* 0 to n - 1; n is at most 256. */
static inline unsigned fuzz_below(struct slice *rest, unsigned n) {
    return fuzz_byte(rest) % n;
}

static inline uint64_t fuzz_word(struct slice *rest) {
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | fuzz_byte(rest);
    return v;
}

/* Up to the next byte `mark`, which is taken and left out; all of it if there is none. Its p is
 * not NULL. */
static inline struct slice fuzz_part(struct slice *rest, char mark) {
    if (rest->n == 0)
        return (struct slice){"", 0};
    const char *end = memchr(rest->p, mark, rest->n);
    struct slice part = {rest->p, end != NULL ? (size_t)(end - rest->p) : rest->n};
    size_t used = end != NULL ? part.n + 1 : part.n;
    *rest = (struct slice){rest->p + used, rest->n - used};
    return part;
}

/* A copy at the very end of a block, so that AddressSanitizer sees a read behind it. To be freed.
 */
static inline char *fuzz_exact(struct slice s) {
    char *p = malloc(s.n > 0 ? s.n : 1);
    need(p != NULL);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

#endif
