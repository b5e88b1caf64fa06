/* Digests against published values: entity tags and what scripts compare must not change with a
 * library, or every client's tags would with it. */
#include "units.h"

#include <stdint.h>
#include <string.h>

#include "base/digest.h"
#include "support.h"

/* --- SHA-1 ----------------------------------------------------------------------------------- */

/* The examples of FIPS 180 among them. */
START_TEST(sha1_is_what_redis_computes) {
    static const struct {
        const char *text;
        const char *digest;
    } rows[] = {
        {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"The quick brown fox jumps over the lazy dog", "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char digest[DIGEST_SHA1_HEX + 1] = {0};
        char *text = exact_copy(slice_of(rows[i].text));
        digest_sha1_hex((struct slice){text, strlen(rows[i].text)}, digest);
        ck_assert_str_eq(digest, rows[i].digest);
        free(text);
    }
}
END_TEST

START_TEST(sha1_of_a_million_letters) {
    char digest[DIGEST_SHA1_HEX + 1] = {0};
    char *text = malloc(1000000);
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', 1000000);
    digest_sha1_hex((struct slice){text, 1000000}, digest);
    ck_assert_str_eq(digest, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    free(text);
}
END_TEST

/* --- XXH3 ------------------------------------------------------------------------------------ */

static const uint64_t PRIME32 = UINT64_C(2654435761);
static const uint64_t PRIME64 = UINT64_C(11400714785074694797);

/* The bytes that xxHash's own published values are of. */
static char *xxhash_bytes(size_t n) {
    uint64_t state = PRIME32;
    char *p = malloc(n > 0 ? n : 1);
    ck_assert_ptr_nonnull(p);
    for (size_t i = 0; i < n; i++) {
        p[i] = (char)(state >> 56);
        state *= PRIME64;
    }
    return p;
}

/* A row for each way that the algorithm takes: it depends on the length. */
START_TEST(xxh128_is_canonical) {
    static const struct {
        size_t n;
        const char *digest;
    } rows[] = {
        {0, "99aa06d3014798d86001c324468d497f"},    {1, "a6cd5e9392000f6ac44bdff4074eecdb"},
        {6, "082afe0b8162d12a3e7039bdda43cfc6"},    {12, "6e3efd8fc7802b18061a192713f69ad9"},
        {24, "0ce966e4678d37611e7044d28b1b901d"},   {48, "a002ac4e5478227ef942219aed80f67b"},
        {81, "4952f58181ab00425e8bafb9f95fb803"},   {128, "39992220e045260aebb15e34a7fb5ab1"},
        {129, "03815fc91f1b30b686c9e3bc8f0a3b5c"},  {222, "337e09641b948717f1aebd597cec6b3a"},
        {240, "aa4202daa2769dc85c9aae94c8ebe5a0"},  {241, "99a80ecf0ecfc647c5a639ecd2030e5e"},
        {403, "1b6de21e332dd73dcdeb804d65c6dea4"},  {512, "18d2d110dcc9bca1617e49599013cb6b"},
        {2048, "f736557fd47073a5dd59e2c3a5f038e0"}, {2240, "ccb134fbfa7ce49d6e73a90539cf2948"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char digest[DIGEST_XXH128_HEX + 1] = {0};
        char *bytes = xxhash_bytes(rows[i].n);
        digest_xxh128_hex((struct slice){bytes, rows[i].n}, 0, digest);
        ck_assert_str_eq(digest, rows[i].digest);
        free(bytes);
    }
}
END_TEST

START_TEST(xxh128_takes_a_seed) {
    const struct {
        size_t n;
        uint64_t seed;
        const char *digest;
    } rows[] = {
        {0, PRIME32, "92220ae55e14ab505444f7869c671ab0"},
        {1, PRIME32, "89b99554ba22467cb53d5557e7f76f8d"},
        {12, PRIME32, "d7e09d518a3405d39be9f9a67f3c7dfb"},
        {222, PRIME32, "91820016621e97f1ae995bb8af917a8d"},
        {403, PRIME64, "bed311971e0be8f26259f6ecfd6443fd"},
        {2048, PRIME32, "7fb03f7e7186c3ea230d43f30206260b"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char digest[DIGEST_XXH128_HEX + 1] = {0};
        char *bytes = xxhash_bytes(rows[i].n);
        digest_xxh128_hex((struct slice){bytes, rows[i].n}, rows[i].seed, digest);
        ck_assert_str_eq(digest, rows[i].digest);
        free(bytes);
    }
}
END_TEST

START_TEST(xxh64_takes_a_seed) {
    const struct {
        size_t n;
        uint64_t seed;
        uint64_t digest;
    } rows[] = {
        {0, 0, UINT64_C(0x2D06800538D394C2)},    {0, PRIME64, UINT64_C(0xA8A6B918B2F0364A)},
        {1, 0, UINT64_C(0xC44BDFF4074EECDB)},    {1, PRIME64, UINT64_C(0x032BE332DD766EF8)},
        {12, 0, UINT64_C(0xA713DAF0DFBB77E7)},   {12, PRIME64, UINT64_C(0xE7303E1B2336DE0E)},
        {195, 0, UINT64_C(0xCD94217EE362EC3A)},  {195, PRIME64, UINT64_C(0xBA68003D370CB3D9)},
        {2048, 0, UINT64_C(0xDD59E2C3A5F038E0)}, {2048, PRIME64, UINT64_C(0x66F81670669ABABC)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *bytes = xxhash_bytes(rows[i].n);
        ck_assert_uint_eq(digest_xxh64((struct slice){bytes, rows[i].n}, rows[i].seed),
                          rows[i].digest);
        free(bytes);
    }
}
END_TEST

/* --- both ------------------------------------------------------------------------------------ */

START_TEST(digest_of_nothing_needs_no_memory) {
    const struct slice nothing = {NULL, 0};
    char sha1[DIGEST_SHA1_HEX + 1] = {0};
    char xxh128[DIGEST_XXH128_HEX + 1] = {0};
    digest_sha1_hex(nothing, sha1);
    digest_xxh128_hex(nothing, 0, xxh128);
    ck_assert_str_eq(sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    ck_assert_str_eq(xxh128, "99aa06d3014798d86001c324468d497f");
    ck_assert_uint_eq(digest_xxh64(nothing, 0), UINT64_C(0x2D06800538D394C2));
}
END_TEST

START_TEST(digests_write_their_digits_and_no_more) {
    char digits[DIGEST_SHA1_HEX + 2];
    memset(digits, '!', sizeof(digits));
    digest_sha1_hex(SLICE("abc"), digits + 1);
    ck_assert(digits[0] == '!' && digits[1] == 'a' && digits[DIGEST_SHA1_HEX + 1] == '!');
    memset(digits, '!', sizeof(digits));
    digest_xxh128_hex(SLICE("abc"), 0, digits + 1);
    ck_assert(digits[0] == '!' && digits[1] != '!' && digits[DIGEST_XXH128_HEX + 1] == '!');
}
END_TEST

Suite *suite_digest(void) {
    Suite *s = suite_create("digest");
    TCase *t = tcase_create("sha1");
    tcase_add_test(t, sha1_is_what_redis_computes);
    tcase_add_test(t, sha1_of_a_million_letters);
    suite_add_tcase(s, t);
    t = tcase_create("xxh3");
    tcase_add_test(t, xxh128_is_canonical);
    tcase_add_test(t, xxh128_takes_a_seed);
    tcase_add_test(t, xxh64_takes_a_seed);
    suite_add_tcase(s, t);
    t = tcase_create("both");
    tcase_add_test(t, digest_of_nothing_needs_no_memory);
    tcase_add_test(t, digests_write_their_digits_and_no_more);
    suite_add_tcase(s, t);
    return s;
}
