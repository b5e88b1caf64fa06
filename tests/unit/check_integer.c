/* Counters' numbers: the one spelling, and the edges of 64 bits. */
#include "units.h"

#include <inttypes.h>
#include <stdio.h>

#include "cache/integer.h"
#include "require.h"
#include "support.h"

static enum error parse(struct slice text, int64_t *value) {
    char *copy = exact_copy(text);
    enum error e = integer_parse((struct slice){copy, text.n}, value);
    free(copy);
    require(e == OK || e == E_NOT_AN_INTEGER);
    return e;
}

static const struct {
    const char *text;
    int64_t value;
} numbers[] = {
    {"0", 0},
    {"1", 1},
    {"-1", -1},
    {"9", 9},
    {"10", 10},
    {"-10", -10},
    {"100", 100},
    {"4294967296", 4294967296},
    {"-2147483649", -2147483649},
    {"999999999999999999", 999999999999999999},
    {"1000000000000000000", 1000000000000000000},
    {"9223372036854775806", INT64_MAX - 1},
    {"9223372036854775807", INT64_MAX},
    {"-9223372036854775807", -INT64_MAX},
    {"-9223372036854775808", INT64_MIN},
};

START_TEST(numbers_are_read_and_spelled) {
    int64_t value = -77;
    char text[INTEGER_TEXT_MAX];
    ck_assert_int_eq(parse(slice_of(numbers[_i].text), &value), OK);
    ck_assert_int_eq(value, numbers[_i].value);
    struct slice spelled = {text, integer_put(text, value)};
    ck_assert_msg(slice_eq(spelled, slice_of(numbers[_i].text)), "%.*s", (int)spelled.n, text);
}
END_TEST

static const struct slice others[] = {
    SLICE_INIT(""),
    SLICE_INIT("-"),
    SLICE_INIT("+"),
    SLICE_INIT("--1"),
    SLICE_INIT("-0"),
    SLICE_INIT("+0"),
    SLICE_INIT("+1"),
    SLICE_INIT("00"),
    SLICE_INIT("01"),
    SLICE_INIT("-01"),
    SLICE_INIT("0000000000000000000000000000001"),
    SLICE_INIT(" 1"),
    SLICE_INIT("1 "),
    SLICE_INIT("\t1"),
    SLICE_INIT("1\n"),
    SLICE_INIT("- 1"),
    SLICE_INIT("1-"),
    SLICE_INIT("1-1"),
    SLICE_INIT("1.0"),
    SLICE_INIT("1."),
    SLICE_INIT(".1"),
    SLICE_INIT("1e1"),
    SLICE_INIT("0x10"),
    SLICE_INIT("1_000"),
    SLICE_INIT("1,000"),
    SLICE_INIT("\"1\""),
    SLICE_INIT("1\0"),
    SLICE_INIT("\0"
               "1"),
    SLICE_INIT("1\0"
               "1"),
    SLICE_INIT("one"),
    SLICE_INIT("inf"),
    SLICE_INIT("true"),
    SLICE_INIT("\xd9\xa1"),
    SLICE_INIT("1\xff"),
    SLICE_INIT("1/"),
    SLICE_INIT("1:"),
    SLICE_INIT("9223372036854775808"),
    SLICE_INIT("9223372036854775810"),
    SLICE_INIT("-9223372036854775809"),
    SLICE_INIT("-9223372036854775810"),
    SLICE_INIT("10000000000000000000"),
    SLICE_INIT("-10000000000000000000"),
    SLICE_INIT("18446744073709551615"),
    SLICE_INIT("18446744073709551616"),
    SLICE_INIT("18446744073709551617"),
    SLICE_INIT("92233720368547758070"),
    SLICE_INIT("184467440737095516160000000000000000000000000000000000000000000001"),
};

START_TEST(everything_else_is_refused_and_sets_nothing) {
    int64_t value = -77;
    ck_assert_msg(parse(others[_i], &value) == E_NOT_AN_INTEGER, "%.*s", (int)others[_i].n,
                  others[_i].p);
    ck_assert_int_eq(value, -77);
}
END_TEST

START_TEST(no_text_at_all_is_no_number) {
    int64_t value = -77;
    ck_assert_int_eq(integer_parse((struct slice){0}, &value), E_NOT_AN_INTEGER);
    ck_assert_int_eq(value, -77);
}
END_TEST

/* Whatever isn't how printf spells the number it stands for is none. */
static void judge(struct slice text) {
    char printed[32];
    char terminated[32];
    int64_t value;
    require(text.n < sizeof(terminated));
    if (text.n > 0)
        memcpy(terminated, text.p, text.n);
    terminated[text.n] = '\0';
    int n = snprintf(printed, sizeof(printed), "%lld", strtoll(terminated, NULL, 10));
    bool canonical = slice_eq(text, (struct slice){printed, (size_t)n});
    require((parse(text, &value) == OK) == canonical);
    require(!canonical || value == strtoll(terminated, NULL, 10));
}

START_TEST(every_short_text_is_judged_as_by_printf) {
    static const char alphabet[] = {'-', '0', '1', '9', '+', ' ', '\0', '/', ':', '\xb1'};
    enum { LETTERS = sizeof(alphabet), LENGTH = 5 };
    for (size_t n = 0, count = 1; n <= LENGTH; n++, count *= LETTERS)
        for (size_t i = 0; i < count; i++) {
            char text[LENGTH] = {0};
            for (size_t at = 0, rest = i; at < n; at++, rest /= LETTERS)
                text[at] = alphabet[rest % LETTERS];
            judge((struct slice){text, n});
        }
}
END_TEST

START_TEST(random_numbers_come_back_as_they_went) {
    uint64_t seed = 64;
    for (int i = 0; i < 100000; i++) {
        char text[INTEGER_TEXT_MAX];
        char printed[32];
        int64_t v = (int64_t)(random_next(&seed) >> random_below(&seed, 64));
        int64_t back;
        if (random_below(&seed, 2) == 0)
            v = (int64_t)(0 - (uint64_t)v);
        struct slice spelled = {text, integer_put(text, v)};
        int n = snprintf(printed, sizeof(printed), "%" PRId64, v);
        require(slice_eq(spelled, (struct slice){printed, (size_t)n}));
        require(parse(spelled, &back) == OK && back == v);
    }
}
END_TEST

static const struct {
    int64_t a, b;
    bool fits;
    int64_t sum;
} sums[] = {
    {0, 0, true, 0},
    {1, 2, true, 3},
    {-1, 1, true, 0},
    {INT64_MAX, 0, true, INT64_MAX},
    {INT64_MAX - 1, 1, true, INT64_MAX},
    {INT64_MAX, -1, true, INT64_MAX - 1},
    {INT64_MIN, 0, true, INT64_MIN},
    {INT64_MIN + 1, -1, true, INT64_MIN},
    {INT64_MIN, 1, true, INT64_MIN + 1},
    {INT64_MAX, INT64_MIN, true, -1},
    {INT64_MIN, INT64_MAX, true, -1},
    {INT64_MAX, 1, false, 0},
    {1, INT64_MAX, false, 0},
    {INT64_MAX, INT64_MAX, false, 0},
    {INT64_MIN, -1, false, 0},
    {-1, INT64_MIN, false, 0},
    {INT64_MIN, INT64_MIN, false, 0},
    {INT64_MAX / 2 + 1, INT64_MAX / 2 + 1, false, 0},
};

START_TEST(sums_fit_or_set_nothing) {
    int64_t sum = -77;
    enum error e = integer_add(sums[_i].a, sums[_i].b, &sum);
    ck_assert_int_eq(e, sums[_i].fits ? OK : E_COUNTER_OVERFLOW);
    ck_assert_int_eq(sum, sums[_i].fits ? sums[_i].sum : -77);
}
END_TEST

Suite *suite_integer(void) {
    Suite *s = suite_create("integer");
    TCase *t = tcase_create("parse");
    tcase_add_loop_test(t, numbers_are_read_and_spelled, 0, COUNT_OF(numbers));
    tcase_add_loop_test(t, everything_else_is_refused_and_sets_nothing, 0, COUNT_OF(others));
    tcase_add_test(t, no_text_at_all_is_no_number);
    suite_add_tcase(s, t);
    t = tcase_create("second opinion");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, every_short_text_is_judged_as_by_printf);
    tcase_add_test(t, random_numbers_come_back_as_they_went);
    suite_add_tcase(s, t);
    t = tcase_create("add");
    tcase_add_loop_test(t, sums_fit_or_set_nothing, 0, COUNT_OF(sums));
    suite_add_tcase(s, t);
    return s;
}
