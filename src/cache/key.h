/* Which keys there are, and how one is read out of a raw request target. */
#ifndef LARDER_CACHE_KEY_H
#define LARDER_CACHE_KEY_H

#include "base/error.h"
#include "base/slice.h"

enum { KEY_MAX = 512 }; /* bytes after decoding */

struct key {
    char bytes[KEY_MAX];
    size_t n;
};

/* Decodes `raw`, the part of a raw request target after "/cache/" and before any "?", exactly once
 * (RFC 3986, 2.1). What is wrong is looked for in this order. E_INVALID_KEY: nothing there at all.
 * E_MALFORMED_PATH: a byte that RFC 3986 does not allow raw in a path (raw non-ASCII, space, '#',
 * and the like), a broken percent escape, an empty, "." or ".." segment after decoding (also when
 * the slash or the dots were escaped). E_KEY_TOO_LONG. E_INVALID_KEY: not UTF-8, or control
 * characters (C0, U+007F, C1); noncharacters are allowed. */
LARDER_MUST_CHECK enum error key_decode(struct key *key, struct slice raw);

static inline struct slice key_slice(const struct key *key) {
    return (struct slice){key->bytes, key->n};
}

#endif
