/* For tests that make up their input: exact copies, and random numbers that are the same in every
 * run. For tests that fork: how their children end. */
#ifndef LARDER_TESTS_SUPPORT_H
#define LARDER_TESTS_SUPPORT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/slice.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The bytes at the very end of a heap block, so that AddressSanitizer and valgrind see a read
 * behind them. The caller frees it. */
static inline char *exact_copy(struct slice s) {
    char *p = malloc(s.n > 0 ? s.n : 1);
    if (p == NULL)
        abort();
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

/* SplitMix64. Any seed will do; the state is the seed. */
static inline uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* 0 to n - 1. */
static inline size_t random_below(uint64_t *state, size_t n) {
    return (size_t)(random_next(state) % n);
}

/* A test's child closes what it has from the test, before it ends or is ended. What valgrind finds
 * open in a process is then what the code under test left open. */
static inline void close_inherited(void) {
    closefrom(STDERR_FILENO + 1);
}

_Noreturn static inline void end_child(int status) {
    close_inherited();
    _exit(status);
}

#endif
