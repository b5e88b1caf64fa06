/* Time to live, as clients write it and as Redis tells it. */
#ifndef LARDER_CACHE_TTL_H
#define LARDER_CACHE_TTL_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* Reads the text of a JSON value (checked by jsontext) as a ttl in whole seconds: a number whose
 * value is integral however it is spelled (10, 10.0, 1e1), or a string of plain decimal digits
 * without a leading zero ("10"); 1 to `max`. E_INVALID_TTL for everything else, with `*reason` a
 * static phrase for the client ("not a whole number") and `*seconds` left alone. Exact: nothing is
 * clamped or rounded. */
LARDER_MUST_CHECK enum error ttl_parse(struct slice text, int64_t max, int64_t *seconds,
                                       const char **reason);

/* The milliseconds that an entry with this ttl (seconds; 0: no end) is given: up to `jitter`
 * percent less, at random, so that entries written together do not expire together; at least one
 * second. 0: no end. */
int64_t ttl_expiry(int64_t seconds, int64_t jitter);

/* What is left, in seconds rounded up, of `pttl` milliseconds (Redis PTTL, >= 0): at least 1, for 0
 * is less than a millisecond, and a ttl of 0 could not be sent back. */
int64_t ttl_seconds_left(int64_t pttl);

#endif
