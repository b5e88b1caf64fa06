/*
 * Decimal digits of a number, without a terminator. printf takes twenty times as long, and lengths
 * in front of every string of the Redis protocol are numbers.
 */
#ifndef LARDER_BASE_DECIMAL_H
#define LARDER_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

enum { DECIMAL_MAX = 20 }; /* digits of UINT64_MAX */

/* Writes at most DECIMAL_MAX bytes; gives how many. */
static inline size_t decimal_put(char *to, uint64_t v) {
    size_t n = 1;
    for (uint64_t limit = 10; n < DECIMAL_MAX && v >= limit; limit *= 10)
        n++;
    size_t at = n;
    for (; at > 1; v /= 100, at -= 2) {
        unsigned pair = (unsigned)(v % 100);
        to[at - 1] = (char)('0' + pair % 10);
        to[at - 2] = (char)('0' + pair / 10);
    }
    if (at == 1)
        to[0] = (char)('0' + v);
    return n;
}

#endif
