/* Going through the names in Redis, a bounded step at a time: for listing keys, deleting by prefix
 * and counting. KEYS is never used: it would hold up everybody. */
#ifndef LARDER_CACHE_KEYSCAN_H
#define LARDER_CACHE_KEYSCAN_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"
#include "redis/store.h"

enum {
    KEYSCAN_CURSOR_DIGITS = 20,
    /* Names that Redis looks at in a step: some 20 us, and as much to delete them. With 100 the p99
     * of other requests was three times the quiet one, and a sweep no quicker (bench/bulk). */
    KEYSCAN_STEP = 32,
};

struct keyscan {
    struct slice pattern; /* of the names in Redis; see keyscan_pattern */
    char cursor[KEYSCAN_CURSOR_DIGITS];
    size_t cursor_n;
};

/* A glob pattern for the names that begin with key_prefix and `prefix`, both literal. In the arena;
 * the empty slice when memory is out. */
struct slice keyscan_pattern(struct arena *arena, struct slice key_prefix, struct slice prefix);

/* From the start, or from where `cursor` says. E_INVALID_PARAMETER: it is no cursor. */
LARDER_MUST_CHECK enum error keyscan_begin(struct keyscan *scan, struct slice cursor);

/* Appends one SCAN that looks at about `count` names. */
void keyscan_append(const struct keyscan *scan, struct store *store, struct call *call,
                    unsigned count, bool strings_only);

/* Takes its reply: the cursor moves on, `*names` is the array of names. False: it makes no sense.
 */
bool keyscan_take(struct keyscan *scan, const struct replies *replies, const struct reply *reply,
                  const struct reply **names);

/* All has been seen. */
bool keyscan_is_over(const struct keyscan *scan);

static inline struct slice keyscan_cursor(const struct keyscan *scan) {
    return (struct slice){scan->cursor, scan->cursor_n};
}

#endif
