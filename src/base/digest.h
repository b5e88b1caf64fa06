/*
 * Digests: XXH3 (libxxhash) for entity tags, SHA-1 (nettle) where a script of ours in Redis, which
 * has no other, must recognize what was read, SHA-256 (nettle) where a browser must recognize a
 * text of ours. None keeps a secret.
 */
#ifndef LARDER_BASE_DIGEST_H
#define LARDER_BASE_DIGEST_H

#include <stdint.h>

#include "base/slice.h"

enum { DIGEST_XXH128_HEX = 32, DIGEST_SHA1_HEX = 40, DIGEST_SHA256_BYTES = 32 };

/* XXH3-64, for tables and seeds. */
uint64_t digest_xxh64(struct slice bytes, uint64_t seed);

/* XXH3-128 as lower-case hexadecimal digits in the canonical (big-endian) order; no terminator. */
void digest_xxh128_hex(struct slice bytes, uint64_t seed, char out[DIGEST_XXH128_HEX]);

/* SHA-1 as lower-case hexadecimal digits, as redis.sha1hex gives it; no terminator. */
void digest_sha1_hex(struct slice bytes, char out[DIGEST_SHA1_HEX]);

/* SHA-256, as bytes. */
void digest_sha256(struct slice bytes, char out[DIGEST_SHA256_BYTES]);

#endif
