/* JSON strings: what their text means, and how one is written. */
#include "units.h"

#include <stdio.h>

#include "base/jsontext.h"
#include "base/utf8.h"
#include "require.h"
#include "support.h"

/* --- reading --------------------------------------------------------------------------------- */

static const struct {
    struct slice raw;
    struct slice plain;
} meanings[] = {
    {SLICE_INIT(""), SLICE_INIT("")},
    {SLICE_INIT("ttl"), SLICE_INIT("ttl")},
    {SLICE_INIT("\\u0074tl"), SLICE_INIT("ttl")},
    {SLICE_INIT("t\\u0074l"), SLICE_INIT("ttl")},
    {SLICE_INIT("tt\\u006C"), SLICE_INIT("ttl")},
    {SLICE_INIT("\\u0074\\u0074\\u006c"), SLICE_INIT("ttl")},
    {SLICE_INIT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), SLICE_INIT("\"\\/\b\f\n\r\t")},
    {SLICE_INIT("a\\u0000b"), SLICE_INIT("a\0b")},
    {SLICE_INIT("\\\\u0041"), SLICE_INIT("\\u0041")},
    {SLICE_INIT("\xd0\xba\\u043B"), SLICE_INIT("\xd0\xba\xd0\xbb")},
    {SLICE_INIT("\\u20AC"), SLICE_INIT("\xe2\x82\xac")},
    {SLICE_INIT("\\uD83C\\uDF4E!"), SLICE_INIT("\xf0\x9f\x8d\x8e!")},
    {SLICE_INIT("\\ud800\\udc00"), SLICE_INIT("\xf0\x90\x80\x80")},
    {SLICE_INIT("\\uDBFF\\uDFFF"), SLICE_INIT("\xf4\x8f\xbf\xbf")},
    {SLICE_INIT("\\u007f\\u0080\\u07ff\\u0800\\uffff"),
     SLICE_INIT("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
};

START_TEST(escapes_mean_what_they_mean) {
    for (size_t i = 0; i < COUNT_OF(meanings); i++) {
        struct buf b = {0};
        char *copy = exact_copy(meanings[i].raw);
        struct slice raw = {copy, meanings[i].raw.n};
        buf_puts(&b, "<");
        jsontext_decode(&b, raw);
        ck_assert_uint_eq(b.n, meanings[i].plain.n + 1);
        ck_assert(slice_eq((struct slice){b.p + 1, b.n - 1}, meanings[i].plain));
        ck_assert(jsontext_string_is(raw, meanings[i].plain));
        free(copy);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(strings_that_differ_are_not_the_same) {
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        for (size_t j = 0; j < COUNT_OF(meanings); j++) {
            bool same = slice_eq(meanings[i].plain, meanings[j].plain);
            ck_assert_int_eq(jsontext_string_is(meanings[i].raw, meanings[j].plain), same);
        }
    static const struct {
        struct slice raw;
        struct slice plain;
    } rows[] = {
        {SLICE_INIT("ttl"), SLICE_INIT("tt")},
        {SLICE_INIT("tt"), SLICE_INIT("ttl")},
        {SLICE_INIT("ttl"), SLICE_INIT("")},
        {SLICE_INIT("TTL"), SLICE_INIT("ttl")},
        {SLICE_INIT("\\u0074t"), SLICE_INIT("ttl")},
        {SLICE_INIT("t\\u0074ll"), SLICE_INIT("ttl")},
        {SLICE_INIT("tt\\n"), SLICE_INIT("ttn")},
        {SLICE_INIT("\\u0000"), SLICE_INIT("")},
        {SLICE_INIT("ttl\\u0000"), SLICE_INIT("ttl")},
        {SLICE_INIT("\\\\"), SLICE_INIT("\\\\")},
        {SLICE_INIT("\\u20ac"), SLICE_INIT("\xe2\x82")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        ck_assert_msg(!jsontext_string_is(rows[i].raw, rows[i].plain), "row %zu", i);
}
END_TEST

START_TEST(nothing_means_nothing) {
    struct buf b = {0};
    jsontext_decode(&b, (struct slice){NULL, 0});
    ck_assert_uint_eq(b.n, 0);
    ck_assert(jsontext_string_is((struct slice){NULL, 0}, (struct slice){NULL, 0}));
    ck_assert(!jsontext_string_is((struct slice){NULL, 0}, SLICE("a")));
    ck_assert(!jsontext_string_is(SLICE("a"), (struct slice){NULL, 0}));
    buf_fini(&b);
}
END_TEST

/* One code point as escapes, in capitals where `capitals` says so. */
static struct slice spell_escape(char out[16], uint32_t code, bool capitals) {
    uint32_t units[] = {code, 0};
    size_t count = 1;
    size_t n = 0;
    if (code > 0xFFFF) {
        units[0] = 0xD7C0 + (code >> 10);
        units[1] = 0xDC00 + (code & 0x3FF);
        count = 2;
    }
    for (size_t i = 0; i < count; i++)
        n += (size_t)(capitals ? sprintf(out + n, "\\u%04X", units[i])
                               : sprintf(out + n, "\\u%04x", units[i]));
    return (struct slice){out, n};
}

START_TEST(every_code_point_can_be_escaped) {
    struct buf b = {0};
    for (uint32_t code = 0; code <= 0x10FFFF; code += code < 0x10000 ? 1 : 7) {
        char text[16];
        uint32_t back = UINT32_MAX;
        if (code >= 0xD800 && code <= 0xDFFF)
            continue;
        buf_reset(&b, SIZE_MAX);
        jsontext_decode(&b, spell_escape(text, code, code % 2 == 0));
        if (utf8_decode(b.p, b.n, &back) != b.n || back != code)
            ck_abort_msg("U+%04X", code);
    }
    buf_fini(&b);
}
END_TEST

/* --- writing --------------------------------------------------------------------------------- */

START_TEST(every_ascii_byte_is_written_as_rfc_8259_demands) {
    for (int c = 0; c < 128; c++) {
        char text[] = {(char)c};
        char want[16];
        struct buf b = {0};
        const char *shorts = "b\bf\fn\nr\rt\t\"\"\\\\";
        const char *found = NULL;
        for (size_t i = 1; i < 14 && found == NULL; i += 2)
            if (shorts[i] == c)
                found = &shorts[i - 1];
        if (found != NULL)
            (void)snprintf(want, sizeof(want), "\"\\%c\"", *found);
        else if (c < 0x20)
            (void)snprintf(want, sizeof(want), "\"\\u%04x\"", (unsigned)c);
        else
            (void)snprintf(want, sizeof(want), "\"%c\"", c);
        jsontext_put_string(&b, (struct slice){text, 1});
        ck_assert_msg(slice_eq(buf_slice(&b), slice_of(want)), "%02x: %.*s", (unsigned)c, (int)b.n,
                      b.p);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(other_text_stays_as_it_is) {
    struct buf b = {0};
    buf_puts(&b, ":");
    jsontext_put_string(&b, SLICE("a/b\x7f\xd0\xba\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x8d\x8e<&>'"));
    jsontext_put_string(&b, (struct slice){NULL, 0});
    jsontext_put_string(&b, SLICE("\"\n\""));
    jsontext_put_string(&b, SLICE("x\ny\nz"));
    ck_assert(slice_eq(buf_slice(&b), SLICE(":\"a/b\x7f\xd0\xba\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x8d"
                                            "\x8e<&>'\"\"\"\"\\\"\\n\\\"\"\"x\\ny\\nz\"")));
    buf_fini(&b);
}
END_TEST

/* Words of eight bytes are looked at together: every byte at every place, among bytes that differ
 * from those with an escape by one bit. */
START_TEST(an_escape_is_found_wherever_it_is) {
    enum { LENGTH = 21 };
    static const char near[] = "#]! \x7f\x82\xdc\xa0";
    for (int c = 0; c < 0x100; c++)
        for (size_t at = 0; at < LENGTH; at++) {
            char text[LENGTH];
            struct buf one = {0};
            struct buf all = {0};
            for (size_t i = 0; i < LENGTH; i++)
                text[i] = near[(i + (size_t)c) % (sizeof(near) - 1)];
            text[at] = (char)c;
            char *copy = exact_copy((struct slice){text, LENGTH});
            jsontext_put_string(&all, (struct slice){copy, LENGTH});
            buf_put_char(&one, '"');
            for (size_t i = 0; i < LENGTH; i++) {
                struct buf single = {0};
                jsontext_put_string(&single, (struct slice){text + i, 1});
                buf_put(&one, single.p + 1, single.n - 2);
                buf_fini(&single);
            }
            buf_put_char(&one, '"');
            require(slice_eq(buf_slice(&one), buf_slice(&all)));
            buf_fini(&one);
            buf_fini(&all);
            free(copy);
        }
}
END_TEST

static size_t random_text(uint64_t *seed, char text[128]) {
    static const char *const pieces[] = {"a",
                                         "/",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\x01",
                                         "\t",
                                         "\x7f",
                                         "word",
                                         "\xd0\xba",
                                         "\xe2\x82\xac",
                                         "u0041",
                                         "\xf0\x9f\x8d\x8e",
                                         "\x1f",
                                         "\r",
                                         "12345678"};
    size_t n = 0;
    for (size_t count = random_below(seed, 12); count > 0; count--) {
        const char *piece = pieces[random_below(seed, COUNT_OF(pieces))];
        size_t length = random_below(seed, 30) == 0 ? 1 : strlen(piece);
        memcpy(text + n, length == 1 && strlen(piece) > 1 ? "\0" : piece, length);
        n += length;
    }
    return n;
}

START_TEST(written_strings_are_json_and_mean_the_text) {
    uint64_t seed = 4627;
    for (int i = 0; i < 20000; i++) {
        char bytes[128];
        struct slice text = {bytes, random_text(&seed, bytes)};
        struct buf json = {0};
        struct buf back = {0};
        jsontext_put_string(&json, text);
        struct slice raw = {json.p + 1, json.n - 2};
        jsontext_decode(&back, raw);
        if (jsontext_check(buf_slice(&json), NULL, NULL) != OK ||
            !slice_eq(buf_slice(&back), text) || !jsontext_string_is(raw, text))
            ck_abort_msg("text %d: %.*s", i, (int)json.n, json.p);
        if (text.n > 0) {
            bytes[random_below(&seed, text.n)] ^= 1;
            if (jsontext_string_is(raw, text))
                ck_abort_msg("changed text %d: %.*s", i, (int)json.n, json.p);
        }
        buf_fini(&json);
        buf_fini(&back);
    }
}
END_TEST

/* --- base64 ---------------------------------------------------------------------------------- */

START_TEST(base64_test_vectors) {
    static const struct slice rows[][2] = {
        /* RFC 4648, 10 */
        {SLICE_INIT(""), SLICE_INIT("\"\"")},
        {SLICE_INIT("f"), SLICE_INIT("\"Zg==\"")},
        {SLICE_INIT("fo"), SLICE_INIT("\"Zm8=\"")},
        {SLICE_INIT("foo"), SLICE_INIT("\"Zm9v\"")},
        {SLICE_INIT("foob"), SLICE_INIT("\"Zm9vYg==\"")},
        {SLICE_INIT("fooba"), SLICE_INIT("\"Zm9vYmE=\"")},
        {SLICE_INIT("foobar"), SLICE_INIT("\"Zm9vYmFy\"")},
        /* the two digits that differ from the URL's alphabet, and bytes above 0x7f */
        {SLICE_INIT("\xfb\xff\xbf"), SLICE_INIT("\"+/+/\"")},
        {SLICE_INIT("\xff\xff\xff"), SLICE_INIT("\"////\"")},
        {SLICE_INIT("\0\0\0"), SLICE_INIT("\"AAAA\"")},
        {SLICE_INIT("\xff"), SLICE_INIT("\"/w==\"")},
        {SLICE_INIT("\xff\xff"), SLICE_INIT("\"//8=\"")},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b = {0};
        char *copy = exact_copy(rows[i][0]);
        buf_puts(&b, "x");
        jsontext_put_base64(&b, (struct slice){copy, rows[i][0].n});
        ck_assert_msg(slice_eq((struct slice){b.p + 1, b.n - 1}, rows[i][1]), "%.*s", (int)b.n,
                      b.p);
        free(copy);
        buf_fini(&b);
    }
    struct buf b = {0};
    jsontext_put_base64(&b, (struct slice){NULL, 0});
    ck_assert(slice_eq(buf_slice(&b), SLICE("\"\"")));
    buf_fini(&b);
}
END_TEST

/* Bit by bit, from RFC 4648, 4; gives the number of bytes. */
static size_t decode_base64(struct slice text, char *out) {
    size_t bits = 0;
    memset(out, 0, text.n);
    for (size_t i = 0; i < text.n && text.p[i] != '='; i++) {
        char c = text.p[i];
        int digit = c >= 'a'   ? c - 'a' + 26
                    : c >= 'A' ? c - 'A'
                    : c >= '0' ? c - '0' + 52
                    : c == '+' ? 62
                               : 63;
        for (int k = 5; k >= 0; k--, bits++)
            if (digit >> k & 1)
                out[bits / 8] = (char)(out[bits / 8] | 0x80 >> bits % 8);
    }
    return bits / 8;
}

START_TEST(base64_keeps_every_byte) {
    uint64_t seed = 4648;
    for (int i = 0; i < 2000; i++) {
        char bytes[300];
        char back[500];
        size_t n = random_below(&seed, sizeof(bytes));
        struct buf b = {0};
        for (size_t k = 0; k < n; k++)
            bytes[k] = (char)random_next(&seed);
        jsontext_put_base64(&b, (struct slice){bytes, n});
        ck_assert_uint_eq(b.n, (n + 2) / 3 * 4 + 2);
        ck_assert_uint_eq(decode_base64((struct slice){b.p + 1, b.n - 2}, back), n);
        ck_assert_mem_eq(back, bytes, n);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(a_failed_buffer_takes_nothing) {
    struct buf b = {0};
    buf_puts(&b, "kept");
    ck_assert(!buf_reserve(&b, SIZE_MAX));
    jsontext_put_string(&b, SLICE("a\nb"));
    jsontext_put_base64(&b, SLICE("abc"));
    jsontext_decode(&b, SLICE("a\\nb"));
    ck_assert(buf_failed(&b));
    ck_assert(slice_eq(buf_slice(&b), SLICE("kept")));
    buf_fini(&b);
}
END_TEST

Suite *suite_jsonstring(void) {
    Suite *s = suite_create("jsonstring");
    TCase *t = tcase_create("reading");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, escapes_mean_what_they_mean);
    tcase_add_test(t, strings_that_differ_are_not_the_same);
    tcase_add_test(t, nothing_means_nothing);
    tcase_add_test(t, every_code_point_can_be_escaped);
    suite_add_tcase(s, t);
    t = tcase_create("writing");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, every_ascii_byte_is_written_as_rfc_8259_demands);
    tcase_add_test(t, other_text_stays_as_it_is);
    tcase_add_test(t, an_escape_is_found_wherever_it_is);
    tcase_add_test(t, written_strings_are_json_and_mean_the_text);
    tcase_add_test(t, a_failed_buffer_takes_nothing);
    suite_add_tcase(s, t);
    t = tcase_create("base64");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, base64_test_vectors);
    tcase_add_test(t, base64_keeps_every_byte);
    suite_add_tcase(s, t);
    return s;
}
