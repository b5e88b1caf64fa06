/* Prometheus text: families, samples, escapes, histograms. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "base/prometheus.h"

static struct buf out;
static struct prometheus p;

static void setup(void) {
    out = (struct buf){0};
    p = (struct prometheus){.out = &out};
}

static void teardown(void) {
    buf_fini(&out);
}

static void expect(const char *text) {
    ck_assert(!buf_failed(&out));
    buf_put_char(&out, '\0');
    ck_assert_str_eq(out.p, text);
}

START_TEST(a_family_and_its_samples) {
    static const struct prometheus_label two[] = {{"a", "x"}, {"b", "y z"}};
    prometheus_family(&p, PROMETHEUS_COUNTER, "Hits.", "larder_%s_total", "hits");
    prometheus_uint(&p, NULL, 0, UINT64_MAX);
    prometheus_uint(&p, two, 1, 0);
    prometheus_uint(&p, two, 2, 7);
    prometheus_family(&p, PROMETHEUS_GAUGE, "Age.", "age_seconds");
    prometheus_seconds(&p, 1500001);
    expect("# HELP larder_hits_total Hits.\n"
           "# TYPE larder_hits_total counter\n"
           "larder_hits_total 18446744073709551615\n"
           "larder_hits_total{a=\"x\"} 0\n"
           "larder_hits_total{a=\"x\",b=\"y z\"} 7\n"
           "# HELP age_seconds Age.\n"
           "# TYPE age_seconds gauge\n"
           "age_seconds 1.500001\n");
}
END_TEST

START_TEST(what_the_format_cannot_take_is_escaped) {
    static const struct prometheus_label label = {"a", "q\" b\\ n\n"};
    prometheus_family(&p, PROMETHEUS_GAUGE, "q\" b\\ n\n", "x");
    prometheus_uint(&p, &label, 1, 1);
    expect("# HELP x q\" b\\\\ n\\n\n"
           "# TYPE x gauge\n"
           "x{a=\"q\\\" b\\\\ n\\n\"} 1\n");
}
END_TEST

START_TEST(a_histogram_ends_in_the_infinite_bucket_sum_and_count) {
    static const struct prometheus_bucket buckets[] = {{20, 1}, {1e6, 3}};
    prometheus_family(&p, PROMETHEUS_HISTOGRAM, "Time.", "t_seconds");
    prometheus_histogram(&p, buckets, 2, 4, 2500000);
    expect("# HELP t_seconds Time.\n"
           "# TYPE t_seconds histogram\n"
           "t_seconds_bucket{le=\"0.000020\"} 1\n"
           "t_seconds_bucket{le=\"1.000000\"} 3\n"
           "t_seconds_bucket{le=\"+Inf\"} 4\n"
           "t_seconds_sum 2.500000\n"
           "t_seconds_count 4\n");
}
END_TEST

START_TEST(a_name_that_is_too_long_fails_the_buffer) {
    char name[PROMETHEUS_NAME_BYTES + 1];
    memset(name, 'a', sizeof(name) - 1);
    name[PROMETHEUS_NAME_BYTES - 1] = '\0';
    prometheus_family(&p, PROMETHEUS_GAUGE, "", "%s", name);
    ck_assert(!buf_failed(&out));
    name[PROMETHEUS_NAME_BYTES - 1] = 'a';
    name[PROMETHEUS_NAME_BYTES] = '\0';
    prometheus_family(&p, PROMETHEUS_GAUGE, "", "%s", name);
    ck_assert(buf_failed(&out));
}
END_TEST

Suite *suite_prometheus(void) {
    Suite *s = suite_create("prometheus");
    TCase *t = tcase_create("text");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_family_and_its_samples);
    tcase_add_test(t, what_the_format_cannot_take_is_escaped);
    tcase_add_test(t, a_histogram_ends_in_the_infinite_bucket_sum_and_count);
    tcase_add_test(t, a_name_that_is_too_long_fails_the_buffer);
    suite_add_tcase(s, t);
    return s;
}
