/* If-Match and If-None-Match (RFC 9110, 13.1.1 and 13.1.2): what the field says, and whether an
 * entity tag is among those it names. What follows from that is the caller's. */
#ifndef LARDER_CACHE_CONDITION_H
#define LARDER_CACHE_CONDITION_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum {
    CONDITION_TAGS_MAX = 64,
    CONDITION_FIELD_MAX = 4096, /* bytes */
};

enum condition_kind {
    CONDITION_NONE, /* there is no such field */
    CONDITION_ANY,  /* "*" */
    CONDITION_LIST,
};

/* A zeroed one is CONDITION_NONE. */
struct condition {
    enum condition_kind kind;
    struct slice list; /* CONDITION_LIST: inside the field that was parsed, and checked */
};

/* Reads the value of a field that is there. E_INVALID_PRECONDITION, with `*c` left alone, for all
 * that is neither "*" nor a list of entity tags in double quotes: a list without a single tag, more
 * than CONDITION_TAGS_MAX of them, or more than CONDITION_FIELD_MAX bytes too. A precondition that
 * is refused changes nothing; one half understood could. Empty list elements are skipped, as
 * RFC 9110, 5.6.1.2, demands of recipients. */
LARDER_MUST_CHECK enum error condition_parse(struct slice field, struct condition *c);

/* The same of a field that may be absent: its p is NULL then, and `*c` is left alone. */
LARDER_MUST_CHECK static inline enum error condition_read(struct slice field, struct condition *c) {
    return field.p == NULL ? OK : condition_parse(field, c);
}

/* `etag` is among the tags: the opaque tag, without quotes, of an entry that exists. `weak` is weak
 * comparison (8.8.3.2), If-None-Match's; without it a tag marked W/ matches nothing, as If-Match
 * demands. CONDITION_ANY matches every entry, CONDITION_NONE none.
 *
 * A tag also matches with the suffix of a content coding behind it: that is how web servers mark
 * what they compressed (lighttpd and Apache; nginx marks it W/), and it is still this entry. */
bool condition_matches(const struct condition *c, struct slice etag, bool weak);

#endif
