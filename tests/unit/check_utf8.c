/* UTF-8: every code point, every lead byte with telling followers, and whole texts around the
 * eight-byte steps. */
#include "units.h"

#include "base/utf8.h"
#include "support.h"

/* Unicode 15, table 3-7, as it is printed: the well-formed byte sequences. */
static const struct {
    unsigned char first[2], second[2], third[2], fourth[2];
    size_t length;
} well_formed[] = {
    {{0x00, 0x7F}, {0, 0}, {0, 0}, {0, 0}, 1},
    {{0xC2, 0xDF}, {0x80, 0xBF}, {0, 0}, {0, 0}, 2},
    {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}, {0, 0}, 3},
    {{0xE1, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}, {0, 0}, 3},
    {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}, {0, 0}, 3},
    {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}, {0, 0}, 3},
    {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}, 4},
    {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}, 4},
    {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}, 4},
};

static bool within(unsigned char byte, const unsigned char range[2]) {
    return byte >= range[0] && byte <= range[1];
}

static size_t expected_length(const char *text, size_t n) {
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < COUNT_OF(well_formed); i++) {
        size_t length = well_formed[i].length;
        if (n >= length && within(p[0], well_formed[i].first) &&
            (length < 2 || within(p[1], well_formed[i].second)) &&
            (length < 3 || within(p[2], well_formed[i].third)) &&
            (length < 4 || within(p[3], well_formed[i].fourth)))
            return length;
    }
    return 0;
}

static bool expected_valid(struct slice text) {
    for (size_t at = 0; at < text.n;) {
        size_t length = expected_length(text.p + at, text.n - at);
        if (length == 0)
            return false;
        at += length;
    }
    return true;
}

static size_t encode(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 + c / 64);
        out[1] = (char)(0x80 + c % 64);
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 + c / 4096);
        out[1] = (char)(0x80 + c / 64 % 64);
        out[2] = (char)(0x80 + c % 64);
        return 3;
    }
    out[0] = (char)(0xF0 + c / 262144);
    out[1] = (char)(0x80 + c / 4096 % 64);
    out[2] = (char)(0x80 + c / 64 % 64);
    out[3] = (char)(0x80 + c % 64);
    return 4;
}

START_TEST(every_code_point_is_itself_and_surrogates_are_none) {
    for (uint32_t c = 0; c <= 0x110000; c++) {
        char bytes[4];
        uint32_t code = UINT32_MAX;
        size_t n = encode(c, bytes);
        bool scalar = c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF);
        size_t length = utf8_decode(bytes, n, &code);
        if (length != (scalar ? n : 0) || code != (scalar ? c : UINT32_MAX))
            ck_abort_msg("U+%04X: length %zu, code U+%04X", c, length, code);
        if (scalar && utf8_decode(bytes, n - 1 > 0 ? n - 1 : 1, NULL) != (n == 1 ? 1 : 0))
            ck_abort_msg("U+%04X without its last byte", c);
    }
}
END_TEST

START_TEST(every_lead_byte_takes_what_the_unicode_table_says) {
    static const unsigned char telling[] = {0x00, 0x22, 0x7F, 0x80, 0x8F, 0x90,
                                            0x9F, 0xA0, 0xBF, 0xC0, 0xF0, 0xFF};
    const size_t few = COUNT_OF(telling);
    for (size_t i = 0; i < 256 * few * few * few; i++) {
        char bytes[] = {(char)(i / (few * few * few)), (char)telling[i / (few * few) % few],
                        (char)telling[i / few % few], (char)telling[i % few]};
        for (size_t n = 1; n <= 4; n++)
            if (utf8_decode(bytes, n, NULL) != expected_length(bytes, n))
                ck_abort_msg("%02x %02x %02x %02x, the first %zu", bytes[0] & 0xFF, bytes[1] & 0xFF,
                             bytes[2] & 0xFF, bytes[3] & 0xFF, n);
    }
}
END_TEST

START_TEST(the_empty_text_is_valid) {
    ck_assert(utf8_valid((struct slice){NULL, 0}));
    ck_assert(utf8_valid(SLICE("")));
}
END_TEST

/* Each sequence at each place of texts of up to three words, in a block of that very size. */
START_TEST(texts_are_judged_alike_wherever_a_sequence_falls) {
    static const struct slice sequences[] = {
        SLICE_INIT("\x7f"),
        SLICE_INIT("\x80"),
        SLICE_INIT("\xc3\xa9"),
        SLICE_INIT("\xc3"),
        SLICE_INIT("\xc0\xaf"),
        SLICE_INIT("\xe2\x82\xac"),
        SLICE_INIT("\xe2\x82"),
        SLICE_INIT("\xed\xa0\x80"),
        SLICE_INIT("\xf0\x9f\x8d\x8e"),
        SLICE_INIT("\xf4\x90\x80\x80"),
        SLICE_INIT("\xf0\x9f\x8d"),
        SLICE_INIT("\0"),
        SLICE_INIT("\xff"),
    };
    for (size_t i = 0; i < COUNT_OF(sequences); i++)
        for (size_t before = 0; before <= 17; before++)
            for (size_t behind = 0; behind <= 9; behind++) {
                char text[32];
                struct slice s = {text, before + sequences[i].n + behind};
                memset(text, 'a', sizeof(text));
                memcpy(text + before, sequences[i].p, sequences[i].n);
                char *copy = exact_copy(s);
                bool valid = utf8_valid((struct slice){copy, s.n});
                free(copy);
                ck_assert_msg(valid == expected_valid(s), "sequence %zu after %zu before %zu", i,
                              before, behind);
            }
}
END_TEST

START_TEST(random_texts_are_judged_as_the_unicode_table_does) {
    uint64_t seed = 3629;
    size_t valid_ones = 0;
    for (int i = 0; i < 100000; i++) {
        char text[40];
        size_t n = 0;
        size_t want = random_below(&seed, 36);
        while (n < want)
            n += encode((uint32_t)(random_next(&seed) >> (43 + random_below(&seed, 15))) % 0x110000,
                        text + n);
        if (n > 0 && random_below(&seed, 2) == 0)
            text[random_below(&seed, n)] = (char)random_next(&seed);
        char *copy = exact_copy((struct slice){text, n});
        bool valid = utf8_valid((struct slice){copy, n});
        free(copy);
        if (valid != expected_valid((struct slice){text, n}))
            ck_abort_msg("text %d", i);
        valid_ones += valid;
    }
    ck_assert_uint_gt(valid_ones, 20000);
    ck_assert_uint_lt(valid_ones, 80000);
}
END_TEST

Suite *suite_utf8(void) {
    Suite *s = suite_create("utf8");
    TCase *t = tcase_create("sequences");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_code_point_is_itself_and_surrogates_are_none);
    tcase_add_test(t, every_lead_byte_takes_what_the_unicode_table_says);
    suite_add_tcase(s, t);
    t = tcase_create("texts");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_empty_text_is_valid);
    tcase_add_test(t, texts_are_judged_alike_wherever_a_sequence_falls);
    tcase_add_test(t, random_texts_are_judged_as_the_unicode_table_does);
    suite_add_tcase(s, t);
    return s;
}
