/* Going through the names in Redis, a bounded step at a time: what /keys and deleting by prefix
 * have in common. KEYS is never used: it would hold up everybody. */
#ifndef LARDER_API_KEYSCAN_H
#define LARDER_API_KEYSCAN_H

#include "http/request.h"

enum { KEYSCAN_CURSOR_DIGITS = 20 };

struct keyscan {
    struct slice pattern; /* of the names in Redis; see keyscan_pattern */
    char cursor[KEYSCAN_CURSOR_DIGITS];
    size_t cursor_n;
};

/* A glob pattern for the names of entries whose keys begin with `prefix`, which is literal. In the
 * request's arena; the empty slice when memory is out. */
struct slice keyscan_pattern(struct request *r, struct slice prefix);

/* From the start, or from where `cursor` says. E_INVALID_PARAMETER: it is no cursor. */
LARDER_MUST_CHECK enum error keyscan_begin(struct keyscan *scan, struct slice cursor);

/* Appends one SCAN that looks at about `count` names. */
void keyscan_append(struct request *r, const struct keyscan *scan, unsigned count,
                    bool strings_only);

/* Takes its reply: the cursor moves on, `*names` is the array of names, strings all. False: it
 * makes no sense. */
bool keyscan_take(struct request *r, struct keyscan *scan, const struct reply *reply,
                  const struct reply **names);

/* All has been seen. */
bool keyscan_is_over(const struct keyscan *scan);

static inline struct slice keyscan_cursor(const struct keyscan *scan) {
    return (struct slice){scan->cursor, scan->cursor_n};
}

#endif
