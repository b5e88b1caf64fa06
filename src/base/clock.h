/* Time. Everything that measures or expires uses the monotonic clock; the wall clock is shown. */
#ifndef LARDER_BASE_CLOCK_H
#define LARDER_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC: the same for all processes of one boot. */
int64_t clock_monotonic(void);

/* Nanoseconds since the epoch. */
int64_t clock_realtime(void);

/* For readings of the monotonic clock that another process left where anything may be: neither
 * overflows, whatever `then` is. `now` is the caller's own. */

/* Nanoseconds since `then`; 0 if that is no time before now. */
static inline int64_t clock_elapsed(int64_t now, int64_t then) {
    return then < 0 || then > now ? 0 : now - then;
}

/* Whether `then` is less than `span` nanoseconds away from now, on either side: who wrote it may
 * have looked at the clock a moment later than the caller. */
static inline bool clock_is_near(int64_t now, int64_t then, int64_t span) {
    return then > now - span && then < now + span;
}

/* "2026-01-31T23:59:59.123456Z": RFC 3339, UTC, microseconds. */
enum { CLOCK_TIMESTAMP_BYTES = 27 };

/* Writes CLOCK_TIMESTAMP_BYTES bytes and no NUL. `realtime` is clock_realtime's, years 1970 to
 * 9999. Remembers the calendar of the last second, so one thread only. */
void clock_format(int64_t realtime, char out[CLOCK_TIMESTAMP_BYTES]);

#endif
