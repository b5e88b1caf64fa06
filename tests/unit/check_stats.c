/* Statistics: latency buckets, percentiles, sums over rows that other processes write. */
#include "units.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/stats.h"
#include "support.h"

enum { ROWS = 3, NS_PER_US = 1000 };

static struct stats_row *rows; /* shared with children */
static struct stats_sum sum;

static void setup(void) {
    size_t bytes = ROWS * sizeof(*rows);
    /* cppcheck-suppress invalidFunctionArg ; no file: -1 is what is asked for */
    rows = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(rows, MAP_FAILED);
}

static void teardown(void) {
    munmap(rows, ROWS * sizeof(*rows));
}

static int64_t bound_ns(size_t bucket) {
    return (int64_t)latency_bound_us(bucket) * NS_PER_US;
}

/* --- buckets --------------------------------------------------------------------------------- */

START_TEST(every_bucket_ends_where_the_next_begins) {
    for (size_t k = 0; k + 1 < LATENCY_BUCKETS; k++) {
        ck_assert_uint_eq(latency_bucket(bound_ns(k) - 1), k);
        ck_assert_uint_eq(latency_bucket(bound_ns(k)), k + 1);
    }
}
END_TEST

START_TEST(bounds_rise_by_whole_microseconds) {
    double before = 0;
    for (size_t k = 0; k < LATENCY_BUCKETS; k++) {
        double bound = latency_bound_us(k);
        ck_assert_double_gt(bound, before);
        ck_assert_double_eq(bound, floor(bound));
        before = bound;
    }
}
END_TEST

START_TEST(a_bucket_is_at_most_an_eighth_wide) {
    for (size_t k = 1; k < LATENCY_BUCKETS; k++) {
        double lower = latency_bound_us(k - 1);
        double width = latency_bound_us(k) - lower;
        ck_assert(width <= 1 || width <= lower / 8);
    }
}
END_TEST

START_TEST(what_is_out_of_range_goes_into_the_end_buckets) {
    ck_assert_uint_eq(latency_bucket(0), 0);
    ck_assert_uint_eq(latency_bucket(999), 0);
    ck_assert_uint_eq(latency_bucket(-1), 0);
    ck_assert_uint_eq(latency_bucket(INT64_MIN), 0);
    ck_assert_uint_eq(latency_bucket(bound_ns(LATENCY_BUCKETS - 1)), LATENCY_BUCKETS - 1);
    ck_assert_uint_eq(latency_bucket(INT64_MAX), LATENCY_BUCKETS - 1);
}
END_TEST

START_TEST(a_longer_latency_is_never_in_an_earlier_bucket) {
    uint64_t seed = 1;
    size_t before = 0;
    for (int64_t ns = 1; ns < INT64_C(1) << 38;
         ns += 1 + ns / 50 + (int64_t)random_below(&seed, 100)) {
        size_t bucket = latency_bucket(ns);
        ck_assert_uint_ge(bucket, before);
        ck_assert_uint_le(bucket - before, 1);
        before = bucket;
    }
}
END_TEST

/* --- percentiles ----------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* From 100 ns to 10 s, every order of magnitude alike. */
static int64_t random_latency(uint64_t *seed) {
    double magnitude = 2 + 8 * (double)random_next(seed) / (double)UINT64_MAX;
    return (int64_t)pow(10, magnitude);
}

START_TEST(percentiles_are_those_of_the_sorted_latencies) {
    enum { SAMPLES = 20000 };
    static const double fractions[] = {0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    static int64_t sample[SAMPLES];
    uint64_t buckets[LATENCY_BUCKETS] = {0};
    uint64_t seed = (uint64_t)_i;
    for (size_t i = 0; i < SAMPLES; i++) {
        sample[i] = random_latency(&seed);
        buckets[latency_bucket(sample[i])]++;
    }
    qsort(sample, SAMPLES, sizeof(sample[0]), by_size);
    for (size_t i = 0; i < COUNT_OF(fractions); i++) {
        size_t rank = (size_t)ceil(fractions[i] * SAMPLES);
        double exact = (double)sample[rank - 1] / NS_PER_US;
        double found = latency_percentile_us(buckets, fractions[i]);
        ck_assert_double_gt(found, exact);
        ck_assert_double_le(found, fmax(exact * 1.125, exact + 1));
    }
}
END_TEST

START_TEST(percentiles_of_nothing_and_of_one) {
    uint64_t buckets[LATENCY_BUCKETS] = {0};
    ck_assert_double_eq(latency_percentile_us(buckets, 0.5), 0);
    buckets[17] = 1;
    ck_assert_double_eq(latency_percentile_us(buckets, 0), 20);
    ck_assert_double_eq(latency_percentile_us(buckets, 0.5), 20);
    ck_assert_double_eq(latency_percentile_us(buckets, 1), 20);
}
END_TEST

START_TEST(a_percentile_is_the_smallest_latency_that_enough_requests_did_not_exceed) {
    uint64_t buckets[LATENCY_BUCKETS] = {0};
    buckets[0] = 90;
    buckets[1] = 9;
    buckets[LATENCY_BUCKETS - 1] = 1;
    ck_assert_double_eq(latency_percentile_us(buckets, 0.90), 1);
    ck_assert_double_eq(latency_percentile_us(buckets, 0.901), 2);
    ck_assert_double_eq(latency_percentile_us(buckets, 0.99), 2);
    ck_assert_double_eq(latency_percentile_us(buckets, 0.991),
                        latency_bound_us(LATENCY_BUCKETS - 1));
}
END_TEST

/* --- counting -------------------------------------------------------------------------------- */

START_TEST(a_request_counts_under_its_route_its_class_and_its_latency) {
    stats_count_request(&rows[0], 2, 200, 19 * NS_PER_US + 999);
    stats_count_request(&rows[0], 2, 299, 1);
    stats_count_request(&rows[0], 2, 404, -5);
    stats_count_request(&rows[0], 0, 100, 0);
    stats_count_request(&rows[0], STATS_ROUTES - 1, 599, 0);
    stats_sum_rows(&sum, rows, ROWS);
    ck_assert_uint_eq(sum.requests[2][1], 2);
    ck_assert_uint_eq(sum.requests[2][3], 1);
    ck_assert_uint_eq(sum.requests[0][0], 1);
    ck_assert_uint_eq(sum.requests[STATS_ROUTES - 1][4], 1);
    ck_assert_uint_eq(stats_total_requests(&sum), 5);
    ck_assert_uint_eq(sum.latency[17], 1);
    ck_assert_uint_eq(sum.latency[0], 4);
    ck_assert_uint_eq(sum.latency_sum, 19);
}
END_TEST

START_TEST(a_route_or_status_out_of_range_stays_inside_the_row) {
    stats_count_request(&rows[0], STATS_ROUTES, 200, 0);
    stats_count_request(&rows[0], SIZE_MAX, 200, 0);
    stats_count_request(&rows[0], 0, 0, 0);
    stats_count_request(&rows[0], 0, 1000, 0);
    stats_sum_rows(&sum, rows, ROWS);
    ck_assert_uint_eq(sum.requests[STATS_ROUTES - 1][1], 2);
    ck_assert_uint_eq(sum.requests[0][STATS_CLASSES - 1], 2);
    ck_assert_uint_eq(stats_total_requests(&sum), 4);
}
END_TEST

START_TEST(a_sum_has_every_row_and_every_counter) {
    for (size_t row = 0; row < ROWS; row++) {
        for (size_t i = 0; i < STAT_COUNT; i++)
            stats_add(&rows[row].counter[i], 1000 * row + i);
        stats_add(&rows[row].latency[LATENCY_BUCKETS - 1], 1);
    }
    memset(&sum, 0xff, sizeof(sum));
    stats_sum_rows(&sum, rows, ROWS);
    for (size_t i = 0; i < STAT_COUNT; i++)
        ck_assert_uint_eq(sum.counter[i], 3000 + ROWS * i);
    ck_assert_uint_eq(sum.latency[LATENCY_BUCKETS - 1], ROWS);
    ck_assert_uint_eq(sum.requests[0][0], 0);
    stats_sum_rows(&sum, &rows[1], 1);
    ck_assert_uint_eq(sum.counter[0], 1000);
}
END_TEST

START_TEST(the_hit_rate_is_in_percent) {
    stats_sum_rows(&sum, rows, ROWS);
    ck_assert_double_eq(stats_hit_rate(&sum), 0);
    sum.counter[STAT_misses] = 1;
    ck_assert_double_eq(stats_hit_rate(&sum), 0);
    sum.counter[STAT_hits] = 3;
    ck_assert_double_eq(stats_hit_rate(&sum), 75);
    /* Damage: together they wrap around. */
    sum.counter[STAT_hits] = UINT64_MAX;
    sum.counter[STAT_misses] = 2;
    ck_assert_double_eq(stats_hit_rate(&sum), 100);
}
END_TEST

/* --- processes ------------------------------------------------------------------------------- */

static const uint64_t events_each = 200000;

static pid_t fork_writer(struct stats_row *row, uint64_t events) {
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    for (uint64_t i = 0; i < events; i++) {
        stats_add(&row->counter[STAT_hits], 1);
        stats_count_request(row, i % STATS_ROUTES, 200, (int64_t)i);
    }
    _exit(0);
}

START_TEST(two_processes_lose_nothing_and_sums_never_go_down) {
    pid_t first = fork_writer(&rows[1], events_each);
    pid_t second = fork_writer(&rows[2], events_each);
    uint64_t hits = 0;
    uint64_t requests = 0;
    int living = 2;
    while (living > 0) {
        stats_sum_rows(&sum, rows, ROWS);
        ck_assert_uint_ge(sum.counter[STAT_hits], hits);
        ck_assert_uint_ge(stats_total_requests(&sum), requests);
        hits = sum.counter[STAT_hits];
        requests = stats_total_requests(&sum);
        int status = 0;
        pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended == first || ended == second) {
            ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            living--;
        }
    }
    stats_sum_rows(&sum, rows, ROWS);
    ck_assert_uint_eq(sum.counter[STAT_hits], 2 * events_each);
    ck_assert_uint_eq(stats_total_requests(&sum), 2 * events_each);
}
END_TEST

START_TEST(a_killed_writer_takes_nothing_back_and_the_next_goes_on) {
    pid_t victim = fork_writer(&rows[1], UINT64_MAX);
    do
        stats_sum_rows(&sum, rows, ROWS);
    while (sum.counter[STAT_hits] < 1000);
    ck_assert_int_eq(kill(victim, SIGKILL), 0);
    ck_assert_int_eq(waitpid(victim, NULL, 0), victim);
    stats_sum_rows(&sum, rows, ROWS);
    uint64_t hits = sum.counter[STAT_hits];
    ck_assert_uint_ge(hits, 1000);
    /* At most the one event that was being counted. */
    ck_assert_uint_le(hits - stats_total_requests(&sum), 1);

    pid_t heir = fork_writer(&rows[1], 10);
    ck_assert_int_eq(waitpid(heir, NULL, 0), heir);
    stats_sum_rows(&sum, rows, ROWS);
    ck_assert_uint_eq(sum.counter[STAT_hits], hits + 10);
}
END_TEST

/* --- the table ------------------------------------------------------------------------------- */

START_TEST(names_are_fit_for_prometheus) {
    for (size_t i = 0; i < STAT_COUNT; i++) {
        const char *name = stat_table[i].name;
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        ck_assert_uint_gt(strlen(stat_table[i].help), 0);
    }
}
END_TEST

Suite *suite_stats(void) {
    Suite *s = suite_create("stats");
    TCase *buckets = tcase_create("buckets");
    tcase_add_test(buckets, every_bucket_ends_where_the_next_begins);
    tcase_add_test(buckets, bounds_rise_by_whole_microseconds);
    tcase_add_test(buckets, a_bucket_is_at_most_an_eighth_wide);
    tcase_add_test(buckets, what_is_out_of_range_goes_into_the_end_buckets);
    tcase_add_test(buckets, a_longer_latency_is_never_in_an_earlier_bucket);
    suite_add_tcase(s, buckets);

    TCase *percentiles = tcase_create("percentiles");
    tcase_add_loop_test(percentiles, percentiles_are_those_of_the_sorted_latencies, 0, 5);
    tcase_add_test(percentiles, percentiles_of_nothing_and_of_one);
    tcase_add_test(percentiles,
                   a_percentile_is_the_smallest_latency_that_enough_requests_did_not_exceed);
    suite_add_tcase(s, percentiles);

    TCase *counting = tcase_create("counting");
    tcase_add_checked_fixture(counting, setup, teardown);
    tcase_set_timeout(counting, 30);
    tcase_add_test(counting, a_request_counts_under_its_route_its_class_and_its_latency);
    tcase_add_test(counting, a_route_or_status_out_of_range_stays_inside_the_row);
    tcase_add_test(counting, a_sum_has_every_row_and_every_counter);
    tcase_add_test(counting, the_hit_rate_is_in_percent);
    tcase_add_test(counting, two_processes_lose_nothing_and_sums_never_go_down);
    tcase_add_test(counting, a_killed_writer_takes_nothing_back_and_the_next_goes_on);
    suite_add_tcase(s, counting);

    TCase *table = tcase_create("table");
    tcase_add_test(table, names_are_fit_for_prometheus);
    suite_add_tcase(s, table);
    return s;
}
