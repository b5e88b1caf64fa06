/* Time to live: what counts as a whole number of seconds, and what never may. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "cache/ttl.h"
#include "support.h"

enum { MAX = 31536000 };

static enum error parse(struct slice text, int64_t max, int64_t *seconds) {
    const char *reason = NULL;
    char *copy = exact_copy(text);
    enum error e = ttl_parse((struct slice){copy, text.n}, max, seconds, &reason);
    free(copy);
    ck_assert(e == OK || e == E_INVALID_TTL);
    ck_assert_int_eq(e == OK, reason == NULL);
    return e;
}

START_TEST(whole_numbers_in_every_spelling) {
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"1", 1},
        {"10", 10},
        {"31536000", MAX},
        {"10.0", 10},
        {"10.000000", 10},
        {"1e1", 10},
        {"1E1", 10},
        {"1e+1", 10},
        {"1e0", 1},
        {"10e-0", 10},
        {"100e-1", 10},
        {"100E-1", 10},
        {"1.5e1", 15},
        {"0.1e2", 10},
        {"0.0000001e8", 10},
        {"1000000000000000000000e-20", 10},
        {"10.0e0", 10},
        {"1.0e1", 10},
        {"123.4560e3", 123456},
        {"3.1536e7", MAX},
        {"3153600000000000000000000000e-20", MAX},
        {"1e00000000000000000000000000000001", 10},
        {"10e-0000000000000000000000000000000", 10},
        {"\"1\"", 1},
        {"\"10\"", 10},
        {"\"31536000\"", MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t seconds = -1;
        ck_assert_msg(parse(slice_of(rows[i].text), MAX, &seconds) == OK, "%s", rows[i].text);
        ck_assert_msg(seconds == rows[i].seconds, "%s gives %lld", rows[i].text,
                      (long long)seconds);
    }
}
END_TEST

START_TEST(everything_else_is_refused_and_sets_nothing) {
    static const char *const rows[] = {
        /* other values */
        "true",
        "false",
        "null",
        "[]",
        "[10]",
        "{}",
        "\"\"",
        "",
        /* below 1 */
        "0",
        "-0",
        "0.0",
        "-0.0",
        "0e0",
        "0e5",
        "-1",
        "-10",
        "-10.0",
        "-1e400",
        "0e999999999999",
        "0e-999999999999",
        "\"0\"",
        "0.00e400",
        /* fractions */
        "1.5",
        "0.5",
        "1e-1",
        "10e-2",
        "15e-1",
        "10.0000000000000000000000001",
        "0.1e0",
        "1e-400",
        "1e-99999999999999999999",
        "10.5e0",
        "1.55e1",
        "-1.5",
        /* too large */
        "31536001",
        "315360000",
        "31536000.1e1",
        "2147483648",
        "4294967296",
        "4294967306",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "18446744073709551626",
        "1e10",
        "1e19",
        "1e20",
        "1e30",
        "1e400",
        "1e99999999999999999999",
        "1e18446744073709551616",
        "1e-18446744073709551616",
        "1e4294967296",
        "0.1e400",
        "1000000000000000000000000000000",
        "-1000000000000000000000000000000",
        /* strings of anything but plain digits */
        "\"x\"",
        "\"1x\"",
        "\" 5\"",
        "\"5 \"",
        "\"+5\"",
        "\"-5\"",
        "\"5;6\"",
        "\"0005\"",
        "\"010\"",
        "\"00\"",
        "\"10.0\"",
        "\"1e1\"",
        "\"0x10\"",
        "\"\\u0031\"",
        "\"1\\u0030\"",
        "\"1\\n\"",
        "\"\xd9\xa5\"",
        "\"1_0\"",
        "\"1,0\"",
        "\"31536001\"",
        "\"18446744073709551626\"",
        "\"\\\"\"",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t seconds = -77;
        ck_assert_msg(parse(slice_of(rows[i]), MAX, &seconds) == E_INVALID_TTL, "%s", rows[i]);
        ck_assert_msg(seconds == -77, "%s set %lld", rows[i], (long long)seconds);
    }
}
END_TEST

START_TEST(the_maximum_is_met_exactly) {
    static const int64_t maxima[] = {1,
                                     2,
                                     9,
                                     10,
                                     11,
                                     99,
                                     100,
                                     MAX,
                                     86400,
                                     10000000000,
                                     2147483647,
                                     INT64_MAX - 1,
                                     INT64_MAX - 7};
    for (size_t i = 0; i < COUNT_OF(maxima); i++)
        for (int64_t off = -1; off <= 1; off++) {
            char text[32];
            int64_t seconds = -1;
            bool allowed = off <= 0 && maxima[i] + off >= 1;
            (void)snprintf(text, sizeof(text), "%" PRId64, maxima[i] + off);
            ck_assert_msg((parse(slice_of(text), maxima[i], &seconds) == OK) == allowed, "%s",
                          text);
            ck_assert_int_eq(seconds, allowed ? maxima[i] + off : -1);
        }
    int64_t seconds = -1;
    ck_assert_int_eq(parse(SLICE("9223372036854775807"), INT64_MAX, &seconds), OK);
    ck_assert_int_eq(seconds, INT64_MAX);
    ck_assert_int_eq(parse(SLICE("9223372036854775808"), INT64_MAX, &seconds), E_INVALID_TTL);
    ck_assert_int_eq(parse(SLICE("92233720368547758080"), INT64_MAX, &seconds), E_INVALID_TTL);
}
END_TEST

START_TEST(reasons_tell_the_faults_apart) {
    static const char *const rows[][2] = {
        {"true", "neither"}, {"\"x\"", "string"},      {"1.5", "whole"},  {"-1", "less"},
        {"0", "less"},       {"-1e400", "less"},       {"1e400", "more"}, {"31536001", "more"},
        {"\"0\"", "less"},   {"\"99999999\"", "more"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t seconds;
        const char *reason = NULL;
        ck_assert_int_eq(ttl_parse(slice_of(rows[i][0]), MAX, &seconds, &reason), E_INVALID_TTL);
        ck_assert_msg(strstr(reason, rows[i][1]) != NULL, "%s: %s", rows[i][0], reason);
    }
}
END_TEST

static void put_zeros(struct buf *b, size_t n) {
    while (n-- > 0)
        buf_put_char(b, '0');
}

/* A megabyte of zeros on either side of the point, with the exponent that makes up for it. */
START_TEST(long_numbers_are_exact_and_quick) {
    enum { ZEROS = 1000000 };
    struct buf b = {0};
    int64_t seconds = -1;
    buf_puts(&b, "0.");
    put_zeros(&b, ZEROS);
    buf_puts(&b, "7e1000002");
    ck_assert_int_eq(parse(buf_slice(&b), MAX, &seconds), OK);
    ck_assert_int_eq(seconds, 70);
    buf_reset(&b, SIZE_MAX);
    buf_puts(&b, "7");
    put_zeros(&b, ZEROS);
    buf_puts(&b, "e-999999");
    ck_assert_int_eq(parse(buf_slice(&b), MAX, &seconds), OK);
    ck_assert_int_eq(seconds, 70);
    b.p[b.n - 1] = '8';
    ck_assert_int_eq(parse(buf_slice(&b), MAX, &seconds), OK);
    ck_assert_int_eq(seconds, 700);
    buf_reset(&b, SIZE_MAX);
    buf_puts(&b, "10.");
    put_zeros(&b, ZEROS);
    buf_puts(&b, "1");
    ck_assert_int_eq(parse(buf_slice(&b), MAX, &seconds), E_INVALID_TTL);
    buf_reset(&b, SIZE_MAX);
    buf_puts(&b, "1e");
    put_zeros(&b, ZEROS);
    buf_puts(&b, "2");
    ck_assert_int_eq(parse(buf_slice(&b), MAX, &seconds), OK);
    ck_assert_int_eq(seconds, 100);
    buf_fini(&b);
}
END_TEST

/* Spells `digits` times 10^scale with the point moved `shift` places to the left. */
static void put_spelling(struct buf *b, const char *digits, int scale, size_t shift) {
    size_t n = strlen(digits);
    for (size_t lead = n; lead < shift + 1; lead++)
        buf_put_char(b, '0');
    size_t padded = b->n + n;
    buf_puts(b, digits);
    if (shift > 0) {
        size_t point = padded - shift;
        buf_put_char(b, '.');
        memmove(b->p + point + 1, b->p + point, shift);
        b->p[point] = '.';
    }
    if (scale != 0 || shift > 0)
        buf_printf(b, "%c%+d", shift % 2 == 0 ? 'e' : 'E', scale + (int)shift);
}

START_TEST(random_spellings_of_a_number_agree) {
    uint64_t seed = 8259;
    for (int i = 0; i < 50000; i++) {
        struct buf b = {0};
        char digits[40];
        int64_t whole = 1 + (int64_t)random_below(&seed, MAX + MAX / 10);
        int zeros = (int)random_below(&seed, 12);
        bool half = random_below(&seed, 5) == 0;
        int n = snprintf(digits, sizeof(digits), "%lld%0*d", (long long)whole, zeros + 1, 0);
        if (half)
            digits[n - 1] = '5';
        put_spelling(&b, digits, -(zeros + 1), random_below(&seed, 30));
        int64_t seconds = -1;
        enum error e = parse(buf_slice(&b), MAX, &seconds);
        bool good = !half && whole <= MAX;
        if ((e == OK) != good || seconds != (good ? whole : -1))
            ck_abort_msg("%.*s gives %lld", (int)b.n, b.p, (long long)seconds);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(what_is_left_is_rounded_up) {
    static const int64_t rows[][2] = {
        {0, 1},      {1, 1},      {999, 1},           {1000, 1},
        {1001, 2},   {1999, 2},   {2000, 2},          {59999, 60},
        {60000, 60}, {60001, 61}, {31536000000, MAX}, {INT64_MAX, 9223372036854776},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        ck_assert_int_eq(ttl_seconds_left(rows[i][0]), rows[i][1]);
}
END_TEST

/* --- expiry ---------------------------------------------------------------------------------- */

enum { SAMPLES = 2000 };

START_TEST(expiry_without_jitter_is_exact) {
    static const int64_t rows[] = {0, 1, 2, 60, MAX, INT64_C(10000000000)};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int j = 0; j < 100; j++)
            ck_assert_int_eq(ttl_expiry(rows[i], 0), rows[i] * 1000);
}
END_TEST

START_TEST(jitter_takes_off_up_to_so_many_percent) {
    static const struct {
        int64_t seconds, jitter, least;
    } rows[] = {
        {100, 1, 99000},
        {100, 50, 50000},
        {100, 90, 10000},
        {MAX, 10, MAX * INT64_C(900)},
        {INT64_C(10000000000), 90, INT64_C(1000000000000)},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t most = rows[i].seconds * 1000;
        int64_t lowest = most;
        int64_t highest = 0;
        int64_t sum = 0;
        for (int j = 0; j < SAMPLES; j++) {
            int64_t expiry = ttl_expiry(rows[i].seconds, rows[i].jitter);
            if (expiry < rows[i].least || expiry > most)
                ck_abort_msg("%lld of %lld s", (long long)expiry, (long long)rows[i].seconds);
            lowest = expiry < lowest ? expiry : lowest;
            highest = expiry > highest ? expiry : highest;
            sum += most - expiry;
        }
        /* All of the range is used, evenly: a hundredth of it is missed by chance once in 10^8. */
        int64_t range = most - rows[i].least;
        ck_assert_int_lt(lowest, rows[i].least + range / 100);
        ck_assert_int_gt(highest, most - range / 100);
        ck_assert_int_gt(sum / SAMPLES, range / 100 * 45);
        ck_assert_int_lt(sum / SAMPLES, range / 100 * 55);
    }
}
END_TEST

START_TEST(jitter_leaves_a_second_at_least) {
    for (int64_t seconds = 1; seconds <= 3; seconds++) {
        for (int j = 0; j < SAMPLES; j++) {
            int64_t expiry = ttl_expiry(seconds, 90);
            if (expiry < 1000 || expiry > seconds * 1000)
                ck_abort_msg("%lld", (long long)expiry);
        }
    }
    ck_assert_int_eq(ttl_expiry(1, 90), 1000);
}
END_TEST

START_TEST(what_has_no_end_gets_none_by_jitter) {
    for (int j = 0; j < 100; j++)
        ck_assert_int_eq(ttl_expiry(0, 90), 0);
}
END_TEST

Suite *suite_ttl(void) {
    Suite *s = suite_create("ttl");
    TCase *t = tcase_create("parse");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, whole_numbers_in_every_spelling);
    tcase_add_test(t, everything_else_is_refused_and_sets_nothing);
    tcase_add_test(t, the_maximum_is_met_exactly);
    tcase_add_test(t, reasons_tell_the_faults_apart);
    tcase_add_test(t, long_numbers_are_exact_and_quick);
    tcase_add_test(t, random_spellings_of_a_number_agree);
    suite_add_tcase(s, t);
    t = tcase_create("left");
    tcase_add_test(t, what_is_left_is_rounded_up);
    suite_add_tcase(s, t);
    t = tcase_create("expiry");
    tcase_add_test(t, expiry_without_jitter_is_exact);
    tcase_add_test(t, jitter_takes_off_up_to_so_many_percent);
    tcase_add_test(t, jitter_leaves_a_second_at_least);
    tcase_add_test(t, what_has_no_end_gets_none_by_jitter);
    suite_add_tcase(s, t);
    return s;
}
