/* What counts: entries that are a whole number of 64 bits, spelled as Redis spells them. */
#ifndef LARDER_CACHE_INTEGER_H
#define LARDER_CACHE_INTEGER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

enum { INTEGER_TEXT_MAX = 20 }; /* bytes of INT64_MIN, with its sign */

/* Reads the canonical spelling, the only one that INCRBY takes: no plus, no leading zero, no "-0",
 * nothing around it. E_NOT_AN_INTEGER for everything else, with `*value` left alone. */
LARDER_MUST_CHECK enum error integer_parse(struct slice text, int64_t *value);

/* E_COUNTER_OVERFLOW, with `*sum` left alone, if the sum doesn't fit. */
LARDER_MUST_CHECK enum error integer_add(int64_t a, int64_t b, int64_t *sum);

/* Writes the canonical spelling, at most INTEGER_TEXT_MAX bytes without a terminator; gives how
 * many. */
size_t integer_put(char *to, int64_t v);

#endif
