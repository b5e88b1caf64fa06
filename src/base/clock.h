/* Time. Everything that measures or expires uses the monotonic clock; the wall clock is shown. */
#ifndef LARDER_BASE_CLOCK_H
#define LARDER_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC: the same for all processes of one boot. */
int64_t clock_monotonic(void);

/* Nanoseconds since the epoch. */
int64_t clock_realtime(void);

/* How long ago `then` was; both are clock_monotonic's. What another process wrote into shared
 * memory may be a little ahead of `now`, which is 0, or no time at all, which is INT64_MAX: too
 * long ago for whatever it is about. */
static inline int64_t clock_age(int64_t now, int64_t then) {
    if (then < 0 || then - now > NS_PER_S)
        return INT64_MAX;
    return then > now ? 0 : now - then;
}

/* "2026-01-31T23:59:59.123456Z": RFC 3339, UTC, microseconds. */
enum { CLOCK_TIMESTAMP_BYTES = 27 };

/* Writes CLOCK_TIMESTAMP_BYTES bytes and no NUL. `realtime` is clock_realtime's, years 1970 to
 * 9999. Remembers the calendar of the last second, so one thread only. */
void clock_format(int64_t realtime, char out[CLOCK_TIMESTAMP_BYTES]);

#endif
