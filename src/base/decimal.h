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
    for (uint64_t rest = v; rest >= 10; rest /= 10)
        n++;
    for (size_t at = n; at > 0; v /= 10)
        to[--at] = (char)('0' + v % 10);
    return n;
}

#endif
