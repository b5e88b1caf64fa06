/* Keys: the golden table of request targets, and a second decoder that was written apart. */
#include "units.h"

#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "cache/key.h"
#include "support.h"

struct row {
    struct slice raw;
    enum error verdict;
    struct slice key;
};

#define GOOD(raw, key)                                                                             \
    { SLICE_INIT(raw), OK, SLICE_INIT(key) }
#define MALFORMED(raw)                                                                             \
    { SLICE_INIT(raw), E_MALFORMED_PATH, SLICE_INIT("") }
#define INVALID(raw)                                                                               \
    { SLICE_INIT(raw), E_INVALID_KEY, SLICE_INIT("") }

static const struct row golden[] = {
    /* slashes, escaped or not, are the same; an escaped percent sign is decoded once */
    GOOD("a", "a"),
    GOOD("user:123", "user:123"),
    GOOD("a/b", "a/b"),
    GOOD("a%2Fb", "a/b"),
    GOOD("a%2fb", "a/b"),
    GOOD("a%252Fb", "a%2Fb"),
    GOOD("%25", "%"),
    GOOD("%2525", "%25"),
    /* a plus is a plus */
    GOOD("a+b", "a+b"),
    GOOD("a%2Bb", "a+b"),
    GOOD("a%20b", "a b"),
    GOOD("%20", " "),
    /* what the server must not take for a query or a fragment */
    GOOD("a%3Fb", "a?b"),
    GOOD("a%23b", "a#b"),
    /* every sub-delim, colon and at raw */
    GOOD("-._~!$&'()*+,;=:@", "-._~!$&'()*+,;=:@"),
    /* names that mean something elsewhere */
    GOOD("__stats__", "__stats__"),
    GOOD("*", "*"),
    GOOD("%25s%25n%25x", "%s%n%x"),
    GOOD("$5", "$5"),
    GOOD("...", "..."),
    GOOD(".a", ".a"),
    GOOD("a.", "a."),
    GOOD("..a/b..", "..a/b.."),
    GOOD("..:lock:", "..:lock:"),
    GOOD(".../....", ".../...."),
    GOOD("%7Bjson%7D%22%5C", "{json}\"\\"),
    GOOD("%3Cscript%3E", "<script>"),
    /* UTF-8 */
    GOOD("%D0%BA%D0%BB%D1%8E%D1%87", "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87"),
    GOOD("%f0%9f%8d%8e", "\xf0\x9f\x8d\x8e"),
    GOOD("e%CC%81", "e\xcc\x81"),
    GOOD("%C3%A9", "\xc3\xa9"),
    GOOD("%C2%A0", "\xc2\xa0"),
    GOOD("%EF%BF%BF", "\xef\xbf\xbf"),
    GOOD("%EF%B7%90", "\xef\xb7\x90"),
    GOOD("%E2%80%AE", "\xe2\x80\xae"),
    GOOD("%EE%80%80", "\xee\x80\x80"),
    GOOD("%F4%8F%BF%BF", "\xf4\x8f\xbf\xbf"),
    /* raw bytes that RFC 3986 has not in a path */
    MALFORMED("a b"),
    MALFORMED("a#b"),
    MALFORMED("a?b"),
    MALFORMED("a\\b"),
    MALFORMED("a\"b"),
    MALFORMED("<"),
    MALFORMED(">"),
    MALFORMED("^"),
    MALFORMED("`"),
    MALFORMED("{"),
    MALFORMED("|"),
    MALFORMED("}"),
    MALFORMED("["),
    MALFORMED("]"),
    MALFORMED("\xd0\xba"),
    MALFORMED("a\0b"),
    MALFORMED("a\nb"),
    MALFORMED("a\x7f"),
    /* percent signs */
    MALFORMED("%"),
    MALFORMED("a%"),
    MALFORMED("%2"),
    MALFORMED("a%2"),
    MALFORMED("%zz"),
    MALFORMED("%2z"),
    MALFORMED("%z2"),
    MALFORMED("%u0041"),
    MALFORMED("%%41"),
    MALFORMED("%-1"),
    MALFORMED("%+1"),
    MALFORMED("% 1"),
    MALFORMED("%0x"),
    /* segments */
    MALFORMED("."),
    MALFORMED(".."),
    MALFORMED("%2e"),
    MALFORMED("%2E%2e"),
    MALFORMED(".%2e"),
    MALFORMED("a/./b"),
    MALFORMED("a/../b"),
    MALFORMED("a/.."),
    MALFORMED("../a"),
    MALFORMED("./a"),
    MALFORMED("a%2F..%2Fb"),
    MALFORMED("a%2f%2e%2e%2fb"),
    MALFORMED("/"),
    MALFORMED("%2F"),
    MALFORMED("/a"),
    MALFORMED("a/"),
    MALFORMED("a%2F"),
    MALFORMED("a//b"),
    MALFORMED("a/%2Fb"),
    MALFORMED("a%2F%2Fb"),
    /* what a key may not be */
    INVALID(""),
    INVALID("%00"),
    INVALID("%00a"),
    INVALID("a%00b"),
    INVALID("a%00"),
    INVALID("a%0Ab"),
    INVALID("%0d%0aSet-Cookie:x"),
    INVALID("%1F"),
    INVALID("%7F"),
    INVALID("%C2%80"),
    INVALID("%C2%9F"),
    INVALID("%FF"),
    INVALID("%C0%AF"),
    INVALID("%C1%BF"),
    INVALID("%80"),
    INVALID("%E0%80%AF"),
    INVALID("%ED%A0%80"),
    INVALID("%F4%90%80%80"),
    INVALID("%E2%82"),
    INVALID("%E2%82/a"),
    INVALID("%F8%88%80%80%80"),
    /* the path is judged before the key in it */
    MALFORMED("%00/"),
    MALFORMED("%FF%zz"),
    MALFORMED("%FF/../a"),
};

static enum error decode(struct key *key, struct slice raw) {
    char *copy = exact_copy(raw);
    enum error e = key_decode(key, (struct slice){copy, raw.n});
    free(copy);
    return e;
}

START_TEST(golden_table) {
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        struct key key;
        enum error e = decode(&key, golden[i].raw);
        ck_assert_msg(e == golden[i].verdict, "\"%s\": %s", golden[i].raw.p, error_info(e)->slug);
        if (e == OK)
            ck_assert_msg(slice_eq(key_slice(&key), golden[i].key), "\"%s\": \"%.*s\"",
                          golden[i].raw.p, (int)key.n, key.bytes);
    }
}
END_TEST

START_TEST(no_raw_text_at_all_is_an_invalid_key) {
    struct key key;
    ck_assert_int_eq(key_decode(&key, (struct slice){NULL, 0}), E_INVALID_KEY);
}
END_TEST

/* Decodes a raw key of `units` times `unit` and then `tail`. */
static enum error decode_repeated(struct key *key, const char *unit, size_t units,
                                  const char *tail) {
    struct buf raw = {0};
    for (size_t i = 0; i < units; i++)
        buf_puts(&raw, unit);
    buf_puts(&raw, tail);
    enum error e = decode(key, buf_slice(&raw));
    buf_fini(&raw);
    return e;
}

START_TEST(length_counts_decoded_bytes) {
    static const char *const units[] = {"a", "%41", "~", "%25"};
    struct key key;
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        ck_assert_int_eq(decode_repeated(&key, units[i], 512, ""), OK);
        ck_assert_uint_eq(key.n, 512);
        ck_assert_int_eq(decode_repeated(&key, units[i], 513, ""), E_KEY_TOO_LONG);
        ck_assert_int_eq(decode_repeated(&key, units[i], 1000, ""), E_KEY_TOO_LONG);
    }
    ck_assert_int_eq(decode_repeated(&key, "%D0%BA", 256, ""), OK);
    ck_assert_int_eq(decode_repeated(&key, "%D0%BA", 257, ""), E_KEY_TOO_LONG);
    ck_assert_int_eq(decode_repeated(&key, "a%2F", 255, "bc"), OK);
    ck_assert_int_eq(decode_repeated(&key, "a/", 256, "b"), E_KEY_TOO_LONG);
}
END_TEST

START_TEST(a_long_key_is_judged_by_its_path_first_and_its_text_last) {
    struct key key;
    ck_assert_int_eq(decode_repeated(&key, "a", 700, "%zz"), E_MALFORMED_PATH);
    ck_assert_int_eq(decode_repeated(&key, "a", 700, "/.."), E_MALFORMED_PATH);
    ck_assert_int_eq(decode_repeated(&key, "%2F", 700, "a"), E_MALFORMED_PATH);
    ck_assert_int_eq(decode_repeated(&key, "a", 700, "%00"), E_KEY_TOO_LONG);
    ck_assert_int_eq(decode_repeated(&key, "%FF", 700, ""), E_KEY_TOO_LONG);
}
END_TEST

/* --- the second decoder ---------------------------------------------------------------------- */

static bool well_formed_utf8(const unsigned char *p, size_t n, bool *control) {
    for (size_t i = 0; i < n;) {
        uint32_t c = p[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xC0 && c < 0xE0 ? 1
                      : c >= 0xE0 && c < 0xF0 ? 2
                      : c >= 0xF0 && c < 0xF8 ? 3
                                              : 9;
        static const uint32_t masks[] = {0x7F, 0x1F, 0x0F, 0x07};
        static const uint32_t floors[] = {0, 0x80, 0x800, 0x10000};
        if (more == 9 || i + more >= n)
            return false;
        c &= masks[more];
        for (size_t k = 1; k <= more; k++) {
            if (p[i + k] / 64 != 2)
                return false;
            c = c * 64 + p[i + k] % 64;
        }
        if (c < floors[more] || c > 0x10FFFF || c / 0x800 == 0x1B)
            return false;
        *control = *control || c < 32 || (c > 126 && c < 160);
        i += more + 1;
    }
    return true;
}

static bool bad_segments(const char *text, size_t n) {
    char framed[4096];
    if (n + 2 > sizeof(framed))
        abort();
    framed[0] = '/';
    memcpy(framed + 1, text, n);
    framed[n + 1] = '/';
    static const struct slice bad[] = {SLICE_INIT("//"), SLICE_INIT("/./"), SLICE_INIT("/../")};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (memmem(framed, n + 2, bad[i].p, bad[i].n) != NULL)
            return true;
    return false;
}

static enum error second_opinion(struct slice raw, char *out, size_t *n) {
    static const char unreserved_and_more[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/";
    bool control = false;
    *n = 0;
    if (raw.n == 0)
        return E_INVALID_KEY;
    for (size_t i = 0; i < raw.n; i++) {
        char hex[3] = {0};
        char *end = hex;
        if (raw.p[i] != '%') {
            if (raw.p[i] == '\0' || strchr(unreserved_and_more, raw.p[i]) == NULL)
                return E_MALFORMED_PATH;
            out[(*n)++] = raw.p[i];
            continue;
        }
        if (raw.n - i < 3)
            return E_MALFORMED_PATH;
        memcpy(hex, raw.p + i + 1, 2);
        if (strspn(hex, "0123456789abcdefABCDEF") != 2)
            return E_MALFORMED_PATH;
        out[(*n)++] = (char)strtol(hex, &end, 16);
        i += 2;
    }
    if (bad_segments(out, *n))
        return E_MALFORMED_PATH;
    if (*n > 512)
        return E_KEY_TOO_LONG;
    if (!well_formed_utf8((const unsigned char *)out, *n, &control) || control)
        return E_INVALID_KEY;
    return OK;
}

static enum error compare(struct slice raw) {
    char text[4096];
    size_t n;
    struct key key;
    enum error want = second_opinion(raw, text, &n);
    enum error have = decode(&key, raw);
    if (have != want)
        ck_abort_msg("\"%.*s\": %s, wanted %s", (int)raw.n, raw.p, error_info(have)->slug,
                     error_info(want)->slug);
    if (have == OK && !slice_eq(key_slice(&key), (struct slice){text, n}))
        ck_abort_msg("\"%.*s\": the keys differ", (int)raw.n, raw.p);
    return have;
}

static void compare_framed(const char *before, struct slice middle, const char *behind) {
    struct buf raw = {0};
    buf_puts(&raw, before);
    buf_put_slice(&raw, middle);
    buf_puts(&raw, behind);
    compare(buf_slice(&raw));
    buf_fini(&raw);
}

START_TEST(every_byte_raw_and_escaped) {
    static const char *const frames[][2] = {{"", ""},       {"a", ""},    {"", "b"}, {"a", "b"},
                                            {"a/", "/b"},   {"%c3", ""},  {".", ""}, {"", "/."},
                                            {"%C2", "%2F"}, {"%", "%41"}, {"%4", ""}};
    for (int byte = 0; byte < 256; byte++)
        for (size_t i = 0; i < COUNT_OF(frames); i++) {
            char small[4];
            char capital[4];
            char raw = (char)byte;
            (void)snprintf(small, sizeof(small), "%%%02x", (unsigned)byte);
            (void)snprintf(capital, sizeof(capital), "%%%02X", (unsigned)byte);
            compare_framed(frames[i][0], slice_of(small), frames[i][1]);
            compare_framed(frames[i][0], slice_of(capital), frames[i][1]);
            compare_framed(frames[i][0], (struct slice){&raw, 1}, frames[i][1]);
        }
}
END_TEST

START_TEST(every_pair_of_bytes_after_a_percent_sign) {
    for (int i = 0; i < 65536; i++) {
        char raw[] = {'a', '%', (char)(i >> 8), (char)i, 'b'};
        compare((struct slice){raw, sizeof(raw)});
    }
}
END_TEST

/* Mostly of pieces that make a key, so that every verdict is reached. */
static void put_random_raw(struct buf *raw, uint64_t *seed) {
    static const char *const calm[] = {
        "a",
        "z9",
        "user:",
        "~",
        "+",
        "%25",
        "%41",
        "a/b",
        "%D0%BA",
        "%e2%82%ac",
        "%F0%9F%8D%8E",
        "%20",
        "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
    };
    static const char *const wild[] = {
        "/",      ".",      "..",  "%2F", "%2e", "%",   "%4",       "%00",
        "%C2%85", "%ED%A0", "%FF", "%C3", " ",   "%7f", "\xc3\xa9",
    };
    size_t one_in = 2 + random_below(seed, 60);
    size_t pieces = random_below(seed, 36) + (random_below(seed, 8) == 0 ? 60 : 0);
    for (; pieces > 0; pieces--)
        buf_puts(raw, random_below(seed, one_in) == 0 ? wild[random_below(seed, COUNT_OF(wild))]
                                                      : calm[random_below(seed, COUNT_OF(calm))]);
}

START_TEST(random_targets_are_judged_alike) {
    uint64_t seed = 3986;
    struct buf raw = {0};
    size_t verdicts[ERROR_COUNT] = {0};
    for (int i = 0; i < 100000; i++) {
        buf_reset(&raw, SIZE_MAX);
        put_random_raw(&raw, &seed);
        verdicts[compare(buf_slice(&raw))]++;
    }
    buf_fini(&raw);
    ck_assert_uint_gt(verdicts[OK], 10000);
    ck_assert_uint_gt(verdicts[E_MALFORMED_PATH], 10000);
    ck_assert_uint_gt(verdicts[E_INVALID_KEY], 1000);
    ck_assert_uint_gt(verdicts[E_KEY_TOO_LONG], 100);
}
END_TEST

/* --- names in Redis -------------------------------------------------------------------------- */

START_TEST(name_is_prefix_and_key) {
    struct key key = {0};
    key_set_prefix(&key, SLICE("app:"));
    ck_assert_int_eq(key_decode(&key, SLICE("a%2Fb")), OK);
    ck_assert(slice_eq(key_slice(&key), SLICE("a/b")));
    ck_assert(slice_eq(key_name(&key), SLICE("app:a/b")));
    /* The next one is decoded in the same place. */
    ck_assert_int_eq(key_decode(&key, SLICE("c")), OK);
    ck_assert(slice_eq(key_name(&key), SLICE("app:c")));
}
END_TEST

START_TEST(without_a_prefix_the_name_is_the_key) {
    struct key key = {0};
    key_set_prefix(&key, (struct slice){NULL, 0});
    ck_assert_int_eq(key_decode(&key, SLICE("a")), OK);
    ck_assert(slice_eq(key_slice(&key), SLICE("a")));
    ck_assert(slice_eq(key_name(&key), SLICE("a")));
}
END_TEST

/* The prefix is nobody's segment: what the key is does not depend on it. */
START_TEST(prefix_does_not_count_as_key) {
    static const char *const prefixes[] = {"", "a", "a/", "..", "/", "\xff"};
    static const char *const refused[] = {"", ".", "..", "/a", "a//b", "a/"};
    for (size_t i = 0; i < COUNT_OF(prefixes); i++) {
        struct key key = {0};
        key_set_prefix(&key, slice_of(prefixes[i]));
        for (size_t j = 0; j < COUNT_OF(refused); j++)
            ck_assert_int_ne(key_decode(&key, slice_of(refused[j])), OK);
        ck_assert_int_eq(key_decode(&key, SLICE("a/b")), OK);
        ck_assert(slice_eq(key_slice(&key), SLICE("a/b")));
    }
}
END_TEST

START_TEST(longest_prefix_and_longest_key_have_room) {
    char prefix[KEY_PREFIX_MAX + 1];
    char raw[KEY_MAX + 1];
    struct key *key = malloc(sizeof(*key));
    ck_assert_ptr_nonnull(key);
    memset(key, 0, sizeof(*key));
    memset(prefix, 'p', sizeof(prefix));
    memset(raw, 'k', sizeof(raw));
    key_set_prefix(key, (struct slice){prefix, KEY_PREFIX_MAX});
    ck_assert_int_eq(key_decode(key, (struct slice){raw, KEY_MAX}), OK);
    struct slice name = key_name(key);
    ck_assert_uint_eq(name.n, KEY_PREFIX_MAX + KEY_MAX);
    ck_assert(name.p[KEY_PREFIX_MAX - 1] == 'p' && name.p[KEY_PREFIX_MAX] == 'k');
    ck_assert_int_eq(key_decode(key, (struct slice){raw, KEY_MAX + 1}), E_KEY_TOO_LONG);
    /* Nothing longer than there is room for, whoever asks. */
    key_set_prefix(key, (struct slice){prefix, sizeof(prefix)});
    ck_assert_uint_eq(key->prefix, KEY_PREFIX_MAX);
    free(key);
}
END_TEST

/* --- plain keys ------------------------------------------------------------------------------ */

START_TEST(plain_keys_have_the_same_rules) {
    static const struct {
        struct slice plain;
        enum error e;
    } rows[] = {
        {SLICE_INIT("a"), OK},
        {SLICE_INIT("a/b"), OK},
        {SLICE_INIT("%2F"), OK},
        {SLICE_INIT("a b?#%"), OK},
        {SLICE_INIT("..."), OK},
        {SLICE_INIT("..a/.b"), OK},
        {SLICE_INIT("\xc3\xa9"), OK},
        {{NULL, 0}, E_INVALID_KEY},
        {SLICE_INIT(""), E_INVALID_KEY},
        {SLICE_INIT("/"), E_INVALID_KEY},
        {SLICE_INIT("/a"), E_INVALID_KEY},
        {SLICE_INIT("a/"), E_INVALID_KEY},
        {SLICE_INIT("a//b"), E_INVALID_KEY},
        {SLICE_INIT("."), E_INVALID_KEY},
        {SLICE_INIT(".."), E_INVALID_KEY},
        {SLICE_INIT("a/../b"), E_INVALID_KEY},
        {SLICE_INIT("a/."), E_INVALID_KEY},
        {SLICE_INIT("a\nb"), E_INVALID_KEY},
        {SLICE_INIT("a\0"), E_INVALID_KEY},
        {SLICE_INIT("\x7f"), E_INVALID_KEY},
        {SLICE_INIT("\xc2\x80"), E_INVALID_KEY},
        {SLICE_INIT("\xff"
                    "tag:a"),
         E_INVALID_KEY},
        {SLICE_INIT("\xc3"), E_INVALID_KEY},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *copy = exact_copy(rows[i].plain);
        ck_assert_msg(key_check((struct slice){copy, rows[i].plain.n}) == rows[i].e, "row %zu", i);
        free(copy);
    }
}
END_TEST

START_TEST(plain_keys_are_measured_to_the_byte) {
    char plain[KEY_MAX + 1];
    memset(plain, 'k', sizeof(plain));
    ck_assert_int_eq(key_check((struct slice){plain, KEY_MAX}), OK);
    ck_assert_int_eq(key_check((struct slice){plain, KEY_MAX + 1}), E_KEY_TOO_LONG);
}
END_TEST

/* Whatever a target decodes to passes, too, so a key that was listed can be asked for. */
START_TEST(plain_keys_and_decoded_ones_are_the_same) {
    uint64_t seed = 41;
    struct buf raw = {0};
    size_t good = 0;
    for (int i = 0; i < 20000; i++) {
        struct key key = {0};
        buf_reset(&raw, SIZE_MAX);
        put_random_raw(&raw, &seed);
        if (key_decode(&key, buf_slice(&raw)) != OK)
            continue;
        good++;
        if (key_check(key_slice(&key)) != OK)
            ck_abort_msg("%.*s", (int)raw.n, raw.p);
    }
    ck_assert_uint_gt(good, 2000);
    buf_fini(&raw);
}
END_TEST

Suite *suite_key(void) {
    Suite *s = suite_create("key");
    TCase *t = tcase_create("decode");
    tcase_add_test(t, golden_table);
    tcase_add_test(t, no_raw_text_at_all_is_an_invalid_key);
    tcase_add_test(t, length_counts_decoded_bytes);
    tcase_add_test(t, a_long_key_is_judged_by_its_path_first_and_its_text_last);
    suite_add_tcase(s, t);
    t = tcase_create("second opinion");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_byte_raw_and_escaped);
    tcase_add_test(t, every_pair_of_bytes_after_a_percent_sign);
    tcase_add_test(t, random_targets_are_judged_alike);
    suite_add_tcase(s, t);
    t = tcase_create("names");
    tcase_add_test(t, name_is_prefix_and_key);
    tcase_add_test(t, without_a_prefix_the_name_is_the_key);
    tcase_add_test(t, prefix_does_not_count_as_key);
    tcase_add_test(t, longest_prefix_and_longest_key_have_room);
    suite_add_tcase(s, t);
    t = tcase_create("plain");
    tcase_add_test(t, plain_keys_have_the_same_rules);
    tcase_add_test(t, plain_keys_are_measured_to_the_byte);
    tcase_add_test(t, plain_keys_and_decoded_ones_are_the_same);
    suite_add_tcase(s, t);
    return s;
}
