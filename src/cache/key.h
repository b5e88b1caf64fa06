/* Which keys there are, and how one is read out of a raw request target. */
#ifndef LARDER_CACHE_KEY_H
#define LARDER_CACHE_KEY_H

#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

enum { KEY_MAX = 512 /* bytes after decoding */, KEY_PREFIX_MAX = 128 };

struct key {
    char bytes[KEY_PREFIX_MAX + KEY_MAX]; /* the prefix, then the key */
    size_t prefix;                        /* bytes of key_prefix, which every name in Redis has */
    size_t n;                             /* bytes of the key itself */
};

/* Once, before the first key; at most KEY_PREFIX_MAX bytes. */
void key_set_prefix(struct key *key, struct slice prefix);

/* Decodes `raw`, the part of a raw request target after "/cache/" and before any "?", exactly once
 * (RFC 3986, 2.1). What is wrong is looked for in this order. E_INVALID_KEY: nothing there at all.
 * E_MALFORMED_PATH: a byte that RFC 3986 does not allow raw in a path (raw non-ASCII, space, '#',
 * and the like), a broken percent escape, an empty, "." or ".." segment after decoding (also when
 * the slash or the dots were escaped). E_KEY_TOO_LONG. E_INVALID_KEY: not UTF-8, or control
 * characters (C0, U+007F, C1); noncharacters are allowed. */
LARDER_MUST_CHECK enum error key_decode(struct key *key, struct slice raw);

/* The same rules for a key that is plain text, as in a JSON document or in Redis. */
LARDER_MUST_CHECK enum error key_check(struct slice plain);

/* UTF-8 without control characters, of any length. */
bool key_text_is_valid(struct slice text);

/* The key as clients know it. */
static inline struct slice key_slice(const struct key *key) {
    return (struct slice){key->bytes + key->prefix, key->n};
}

/* Its name in Redis. */
static inline struct slice key_name(const struct key *key) {
    return (struct slice){key->bytes, key->prefix + key->n};
}

#endif
