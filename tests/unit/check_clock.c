/* Time: the clocks run forward, and a timestamp is the one RFC 3339 means. */
#include "units.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "support.h"

static void assert_timestamp(int64_t realtime, const char *want) {
    char out[CLOCK_TIMESTAMP_BYTES + 1];
    memset(out, '~', sizeof(out));
    clock_format(realtime, out);
    ck_assert_int_eq(out[CLOCK_TIMESTAMP_BYTES], '~');
    out[CLOCK_TIMESTAMP_BYTES] = '\0';
    ck_assert_str_eq(out, want);
}

START_TEST(monotonic_time_never_goes_back) {
    int64_t last = clock_monotonic();
    ck_assert_int_gt(last, 0);
    for (int i = 0; i < 10000; i++) {
        int64_t t = clock_monotonic();
        if (t < last)
            ck_abort_msg("%lld after %lld", (long long)t, (long long)last);
        last = t;
    }
}
END_TEST

START_TEST(monotonic_time_counts_nanoseconds) {
    const struct timespec wait = {.tv_nsec = 20 * NS_PER_MS};
    int64_t before = clock_monotonic();
    nanosleep(&wait, NULL);
    int64_t took = clock_monotonic() - before;
    ck_assert_int_ge(took, 20 * NS_PER_MS);
    ck_assert_int_lt(took, 10 * NS_PER_S);
}
END_TEST

START_TEST(real_time_is_the_systems) {
    int64_t now = clock_realtime() / NS_PER_S;
    ck_assert_int_le(now - 5, (int64_t)time(NULL));
    ck_assert_int_ge(now + 5, (int64_t)time(NULL));
}
END_TEST

START_TEST(timestamps_of_known_moments) {
    static const struct {
        int64_t seconds;
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, 0, "1970-01-01T00:00:00.000000Z"},
        {0, 999999999, "1970-01-01T00:00:00.999999Z"},
        {1, 0, "1970-01-01T00:00:01.000000Z"},
        {0, 1000, "1970-01-01T00:00:00.000001Z"},
        {0, 999, "1970-01-01T00:00:00.000000Z"},
        {68169599, 5000000, "1972-02-28T23:59:59.005000Z"},
        {68169600, 0, "1972-02-29T00:00:00.000000Z"},
        {951782400, 0, "2000-02-29T00:00:00.000000Z"},
        {1000000000, 0, "2001-09-09T01:46:40.000000Z"},
        {1709164800, 123456789, "2024-02-29T00:00:00.123456Z"},
        {1709251200, 0, "2024-03-01T00:00:00.000000Z"},
        {2147483648, 1, "2038-01-19T03:14:08.000000Z"},
        {4102444800, 0, "2100-01-01T00:00:00.000000Z"},
        {4107542400, 0, "2100-03-01T00:00:00.000000Z"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_timestamp(rows[i].seconds * NS_PER_S + rows[i].ns, rows[i].text);
    for (size_t i = COUNT_OF(rows); i-- > 0;)
        assert_timestamp(rows[i].seconds * NS_PER_S + rows[i].ns, rows[i].text);
}
END_TEST

/* Howard Hinnant's civil_from_days, for days since the epoch. */
static void civil_date(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t doe = z % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = yoe + era * 400 + (*month <= 2);
}

START_TEST(timestamps_agree_with_a_second_calendar) {
    uint64_t seed = 3339;
    int64_t seconds = 0;
    for (int i = 0; i < 20000; i++) {
        /* Half of them stay in the second before, which is remembered. */
        if (random_below(&seed, 2) == 0)
            seconds = (int64_t)random_below(&seed, 9000000000);
        int64_t ns = (int64_t)random_below(&seed, (size_t)NS_PER_S);
        int64_t year, month, day;
        char want[64];
        char have[CLOCK_TIMESTAMP_BYTES];
        civil_date(seconds / 86400, &year, &month, &day);
        (void)snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", (int)year,
                       (int)month, (int)day, (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60),
                       (int)(seconds % 60), (int)(ns / 1000));
        clock_format(seconds * NS_PER_S + ns, have);
        if (memcmp(have, want, sizeof(have)) != 0)
            ck_abort_msg("%.27s instead of %s", have, want);
    }
}
END_TEST

Suite *suite_clock(void) {
    Suite *s = suite_create("clock");
    TCase *t = tcase_create("clocks");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, monotonic_time_never_goes_back);
    tcase_add_test(t, monotonic_time_counts_nanoseconds);
    tcase_add_test(t, real_time_is_the_systems);
    suite_add_tcase(s, t);
    t = tcase_create("timestamps");
    tcase_add_test(t, timestamps_of_known_moments);
    tcase_add_test(t, timestamps_agree_with_a_second_calendar);
    suite_add_tcase(s, t);
    return s;
}
