/* Digests: see digest.h. The one file that knows libxxhash and nettle. */
#include "base/digest.h"

#include <endian.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <string.h>
#include <xxhash.h>

/* "000102...ff": two digits a byte are one copy. */
static char pairs[256][2];

static void put_pairs(const unsigned char *bytes, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    if (pairs[0][0] == '\0')
        for (unsigned i = 0; i < 256; i++) {
            pairs[i][0] = digits[i >> 4];
            pairs[i][1] = digits[i & 15];
        }
    for (size_t i = 0; i < n; i++)
        memcpy(out + 2 * i, pairs[bytes[i]], 2);
}

uint64_t digest_xxh64(struct slice bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.p, bytes.n, seed);
}

void digest_xxh128_hex(struct slice bytes, uint64_t seed, char out[DIGEST_XXH128_HEX]) {
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.p, bytes.n, seed);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    put_pairs(canonical.digest, sizeof(canonical.digest), out);
}

void digest_sha1_hex(struct slice bytes, char out[DIGEST_SHA1_HEX]) {
    struct sha1_ctx context;
    uint8_t digest[SHA1_DIGEST_SIZE];
    sha1_init(&context);
    sha1_update(&context, bytes.n, (const uint8_t *)bytes.p);
    sha1_digest(&context, sizeof(digest), digest);
    put_pairs(digest, sizeof(digest), out);
}

void digest_sha256(struct slice bytes, char out[DIGEST_SHA256_BYTES]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, bytes.n, (const uint8_t *)bytes.p);
    sha256_digest(&context, DIGEST_SHA256_BYTES, (uint8_t *)out);
}
