/* GET /stats, /metrics and /: documents made of a segment and of what Redis answered. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/redis_info.h"
#include "api/routes.h"
#include "api/snapshot.h"
#include "base/clock.h"
#include "redis/breaker.h"
#include "rig.h"
#include "support.h"

#define MEMORY                                                                                     \
    "# Memory\r\nused_memory:914544\r\nused_memory_human:893.11K\r\nused_memory_rss:1\r\n"         \
    "maxmemory:1048576\r\nmaxmemory_policy:allkeys-lfu\r\n"
#define STATS                                                                                      \
    "# Stats\r\nexpired_keys:3\r\nevicted_keys:4\r\nkeyspace_hits:50\r\nkeyspace_misses:60\r\n"

static const int64_t US = 1000; /* in nanoseconds */

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig.config.workers = 2;
}

static void teardown(void) {
    rig_teardown(&rig);
}

static struct stats_row *worker_row(uint32_t i) {
    return &rig.service.segment->rows[SEGMENT_FIRST_WORKER_ROW + i];
}

static void put_replies(const char *memory, const char *stats) {
    rig_put_integer(&rig, 12);
    rig_put_string(&rig, memory);
    rig_put_string(&rig, stats);
}

/* libcheck takes no message of more than 8 KiB. */
static void expect_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) != NULL, "%s\nis not in\n%.4000s", part, text);
}

static void expect_not_in(const char *text, const char *part) {
    ck_assert_msg(strstr(text, part) == NULL, "%s\nis in\n%.4000s", part, text);
}

static const char *stats(void) {
    ck_assert_int_eq(stats_finish(&rig.request), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 200);
    ck_assert(slice_eq(rig.request.response.content_type, SLICE("application/json")));
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "\r\nCache-Control: no-store\r\n"));
    return rig_json(&rig);
}

static void start_worker(uint32_t i, enum worker_state state, int32_t pid) {
    struct stats_row *row = worker_row(i);
    row->state = state;
    row->pid = pid;
    row->generation = 3;
    row->connections = 10 + i;
    row->in_flight = 1 + i;
    row->redis_ready = i == 0;
    row->started = rig.service.now - 50 * NS_PER_S;
    row->heartbeat = rig.service.now - 25 * NS_PER_MS;
}

/* --- /stats ---------------------------------------------------------------------------------- */

START_TEST(the_original_members_come_first) {
    stats_add(&worker_row(0)->counter[STAT_hits], 1);
    stats_add(&worker_row(2)->counter[STAT_hits], 1);
    stats_add(&worker_row(1)->counter[STAT_misses], 1);
    put_replies(MEMORY, STATS);
    static const char first[] = "{\"total_keys\":12,\"hits\":2,\"misses\":1,\"hit_rate\":66.67,"
                                "\"memory_usage\":\"893.11K\",\"uptime_seconds\":100,";
    ck_assert_mem_eq(stats(), first, sizeof(first) - 1);
}
END_TEST

START_TEST(without_lookups_the_hit_rate_is_zero) {
    put_replies(MEMORY, STATS);
    expect_in(stats(), "\"hit_rate\":0.00,");
}
END_TEST

START_TEST(requests_are_told_by_class_and_route) {
    stats_count_request(worker_row(0), 0, 200, 0);
    stats_count_request(worker_row(1), 0, 200, 0);
    stats_count_request(worker_row(0), 0, 404, 0);
    stats_count_request(worker_row(0), 1, 503, 0);
    stats_count_request(worker_row(0), STATS_ROUTES - 1, 404, 0);
    put_replies(MEMORY, STATS);
    const char *text = stats();
    expect_in(text, "\"requests\":{\"total\":5,\"by_class\":{\"2xx\":2,\"4xx\":2,\"5xx\":1},"
                    "\"by_route\":{\"cache_get\":{\"2xx\":2,\"4xx\":1},\"cache_put\":{\"5xx\":1},"
                    "\"raw_get\":{},");
    expect_in(text, "\"index\":{},\"other\":{\"4xx\":1}}}");
}
END_TEST

START_TEST(every_route_has_a_member) {
    put_replies(MEMORY, STATS);
    const char *text = stats();
    for (size_t i = 0; i < api_routes.count; i++) {
        char member[64];
        (void)snprintf(member, sizeof(member), "\"%s\":{}", api_routes.rows[i].name);
        expect_in(text, member);
    }
}
END_TEST

START_TEST(latency_is_the_mean_and_four_percentiles) {
    put_replies(MEMORY, STATS);
    expect_in(stats(), "\"latency\":{\"unit\":\"microseconds\",\"mean\":0.0,\"p50\":0,\"p90\":0,"
                       "\"p99\":0,\"p99_9\":0}");
    for (uint32_t i = 0; i < 998; i++)
        stats_count_request(worker_row(i % 2), 0, 200, 10 * US);
    stats_count_request(worker_row(0), 0, 200, 100 * US);
    stats_count_request(worker_row(0), 0, 200, 2000 * US);
    response_reset(&rig.request.response);
    expect_in(stats(), "\"mean\":12.1,\"p50\":11,\"p90\":11,\"p99\":11,\"p99_9\":104}");
}
END_TEST

START_TEST(every_counter_is_a_member) {
    for (size_t i = 0; i < STAT_COUNT; i++)
        stats_add(&worker_row(0)->counter[i], 100 + i);
    put_replies(MEMORY, STATS);
    const char *counters = strstr(stats(), "\"counters\":{");
    ck_assert_ptr_nonnull(counters);
    for (size_t i = 0; i < STAT_COUNT; i++) {
        char member[80];
        (void)snprintf(member, sizeof(member), "\"%s\":%zu%c", stat_table[i].name, 100 + i,
                       i + 1 < STAT_COUNT ? ',' : '}');
        expect_in(counters, member);
    }
}
END_TEST

START_TEST(redis_says_what_it_does_and_what_it_was_asked) {
    rig.config.max_memory_policy = 1;
    rig.service.segment->policy_refused = 1;
    put_replies(MEMORY, STATS);
    char members[512];
    (void)snprintf(members, sizeof(members),
                   "\"redis\":{\"connected\":true,\"breaker\":\"closed\","
                   "\"max_memory_policy\":\"allkeys-lfu\",\"max_memory_policy_configured\":\"%s\","
                   "\"policy_refused\":true,\"used_memory_human\":\"893.11K\",",
                   config_policy_name(1));
    expect_in(stats(), members);
}
END_TEST

START_TEST(every_figure_of_redis_is_a_member) {
    put_replies(MEMORY, STATS);
    expect_in(stats(), "\"used_memory\":914544,\"maxmemory\":1048576,\"evicted_keys\":4,"
                       "\"expired_keys\":3,\"keyspace_hits\":50,\"keyspace_misses\":60}");
}
END_TEST

START_TEST(the_breaker_has_a_name_in_every_position) {
    put_replies(MEMORY, STATS);
    breaker_connect_failed(&rig.service.segment->breaker, E_BACKEND_UNAVAILABLE, 1);
    expect_in(stats(), "\"breaker\":\"no-entry\"");
    rig.service.segment->breaker.state = 99;
    response_reset(&rig.request.response);
    expect_in(stats(), "\"breaker\":\"open\"");
}
END_TEST

START_TEST(what_redis_does_not_tell_is_null) {
    put_replies("",
                "evicted_keys:many\r\nexpired_keys:-1\r\nkeyspace_hits:99999999999999999999\r\n");
    const char *text = stats();
    expect_in(text, "\"memory_usage\":null,");
    expect_in(text, "\"max_memory_policy\":null,");
    expect_in(text, "\"used_memory_human\":null,\"used_memory\":null,\"maxmemory\":null,"
                    "\"evicted_keys\":null,\"expired_keys\":null,\"keyspace_hits\":null,"
                    "\"keyspace_misses\":null}");
}
END_TEST

START_TEST(what_is_no_word_of_redis_is_not_passed_on) {
    static const char *const words[] = {"\xff",     "a\x01", "two words",
                                        "\xc3\xa4", "\x7f",  "123456789012345678901234567890123"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        char memory[128];
        (void)snprintf(memory, sizeof(memory), "used_memory_human:%s\r\n", words[i]);
        request_reset(&rig.request);
        put_replies(memory, STATS);
        expect_in(stats(), "\"memory_usage\":null,");
    }
}
END_TEST

START_TEST(workers_are_the_rows_that_have_a_process) {
    start_worker(0, WORKER_READY, 4711);
    start_worker(2, WORKER_RETIRING, 4712);
    stats_count_request(worker_row(0), 0, 200, 0);
    stats_count_request(worker_row(0), 1, 200, 0);
    stats_add(&worker_row(0)->counter[STAT_hits], 5);
    stats_add(&worker_row(0)->counter[STAT_misses], 6);
    put_replies(MEMORY, STATS);
    expect_in(stats(),
              "\"workers\":[{\"row\":1,\"pid\":4711,\"state\":\"ready\",\"generation\":3,"
              "\"connections\":10,\"in_flight\":1,\"requests\":2,\"hits\":5,\"misses\":6,"
              "\"uptime_seconds\":50,\"heartbeat_age_ms\":25,\"redis_ready\":true},"
              "{\"row\":3,\"pid\":4712,\"state\":\"retiring\",\"generation\":3,\"connections\":12,"
              "\"in_flight\":3,\"requests\":0,\"hits\":0,\"misses\":0,\"uptime_seconds\":50,"
              "\"heartbeat_age_ms\":25,\"redis_ready\":false}]");
}
END_TEST

START_TEST(a_row_with_nonsense_in_it_does_no_harm) {
    start_worker(0, WORKER_READY, 1);
    start_worker(1, WORKER_STATES, 2);
    worker_row(0)->started = INT64_MIN;
    worker_row(0)->heartbeat = INT64_MAX;
    put_replies(MEMORY, STATS);
    const char *text = stats();
    expect_in(text, "\"uptime_seconds\":0,\"heartbeat_age_ms\":0,");
    expect_not_in(text, "\"pid\":2");
}
END_TEST

static void fill_segment(unsigned *seed) {
    unsigned char *bytes = (unsigned char *)rig.service.segment;
    size_t n = sizeof(struct segment) + rig.service.rows * sizeof(struct stats_row);
    /* One value everywhere makes the extremes; a few bytes make rows that pass for live ones. */
    unsigned way = (unsigned)rand_r(seed) % 3;
    unsigned char same = (unsigned char)rand_r(seed);
    for (size_t i = 0; i < n; i++)
        if (way != 2 || rand_r(seed) % 16 == 0)
            bytes[i] = way == 0 ? same : (unsigned char)rand_r(seed);
}

/* Whatever stands there, by damage, the documents are documents. rig_json checks every byte. */
START_TEST(a_segment_of_nonsense_is_still_told_in_json) {
    unsigned seed = 1;
    for (int i = 0; i < 300; i++) {
        fill_segment(&seed);
        put_replies(MEMORY, STATS);
        (void)stats();
        response_reset(&rig.request.response);
        ck_assert_int_eq(metrics_plan(&rig.request) == STEP_ANSWER ||
                             metrics_finish(&rig.request) == STEP_ANSWER,
                         true);
        response_reset(&rig.request.response);
        ck_assert_int_eq(health_plan(&rig.request), STEP_ANSWER);
        (void)rig_json(&rig);
        response_reset(&rig.request.response);
    }
}
END_TEST

START_TEST(the_service_says_what_it_is) {
    rig.service.started_real = 0;
    put_replies(MEMORY, STATS);
    expect_in(stats(), "\"service\":{\"version\":\"" PACKAGE_VERSION "\",\"workers_configured\":2,"
                       "\"started\":\"1970-01-01T00:00:00.000000Z\"}}");
}
END_TEST

static void expect_problem(int status, const char *part) {
    ck_assert_int_eq(stats_finish(&rig.request), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, status);
    expect_in(rig_json(&rig), part);
    expect_not_in(rig_body(&rig), "total_keys");
}

START_TEST(a_call_that_failed_is_a_503) {
    rig.request.call.error = E_BACKEND_TIMEOUT;
    expect_problem(503, "\"type\":\"/errors/backend-timeout\"");
}
END_TEST

START_TEST(an_error_reply_is_a_503_without_its_text) {
    rig_put_error(&rig, "LOADING secret");
    rig_put_string(&rig, MEMORY);
    rig_put_string(&rig, STATS);
    expect_problem(503, "\"type\":\"/errors/backend-loading\"");
    expect_not_in(rig_body(&rig), "secret");
}
END_TEST

START_TEST(a_refused_info_is_a_503) {
    rig_put_integer(&rig, 1);
    rig_put_string(&rig, MEMORY);
    rig_put_error(&rig, "NOPERM this user has no permissions to run the 'info' command");
    expect_problem(503, "\"type\":\"/errors/backend-refused\"");
}
END_TEST

START_TEST(of_several_refusals_the_first_counts) {
    rig_put_error(&rig, "LOADING Redis is loading the dataset in memory");
    rig_put_error(&rig, "NOPERM no");
    rig_put_error(&rig, "NOPERM no");
    expect_problem(503, "\"type\":\"/errors/backend-loading\"");
}
END_TEST

START_TEST(a_reply_of_another_type_is_a_503) {
    rig_put_integer(&rig, 1);
    rig_put_integer(&rig, 2);
    rig_put_string(&rig, STATS);
    expect_problem(503, "\"type\":\"/errors/backend-error\"");
}
END_TEST

START_TEST(stats_asks_redis_three_things_in_one_go) {
    rig_connect(&rig);
    ck_assert_int_eq(stats_plan(&rig.request), STEP_WAIT);
    ck_assert_str_eq(rig_commands(&rig), "DBSIZE\nINFO memory\nINFO stats\n");
    rig_reply(&rig, ":77\r\n$25\r\nused_memory_human:1.00M\r\n\r\n$0\r\n\r\n");
    expect_in(stats(), "{\"total_keys\":77,");
    expect_in(rig_body(&rig), "\"memory_usage\":\"1.00M\"");
}
END_TEST

START_TEST(stats_is_a_503_at_once_while_redis_is_away) {
    breaker_connect_failed(&rig.service.segment->breaker, E_BACKEND_REFUSED, rig.service.now);
    ck_assert_int_eq(stats_plan(&rig.request), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 503);
    expect_in(rig_json(&rig), "\"type\":\"/errors/backend-refused\"");
}
END_TEST

/* --- /metrics -------------------------------------------------------------------------------- */

static const char *answered_metrics(enum step step) {
    ck_assert_int_eq(step, STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 200);
    ck_assert(slice_eq(rig.request.response.content_type,
                       SLICE("text/plain; version=0.0.4; charset=utf-8")));
    return rig_body(&rig);
}

static const char *metrics(void) {
    return answered_metrics(metrics_finish(&rig.request));
}

static void expect_line(const char *text, const char *line) {
    char whole[256];
    (void)snprintf(whole, sizeof(whole), "\n%s\n", line);
    expect_in(text, whole);
}

/* Line by line: a family is opened once, with help and type, and its samples follow it. */
START_TEST(metrics_are_families_of_samples) {
    put_replies(MEMORY, STATS);
    char *text = strdup(metrics());
    ck_assert_uint_gt(strlen(text), 0);
    ck_assert_int_eq(text[strlen(text) - 1], '\n');
    char family[128] = "";
    int samples = 1;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); rest != NULL; line = strsep(&rest, "\n")) {
        char name[128];
        char type[16];
        if (sscanf(line, "# HELP %127s %1s", name, type) == 2) {
            char again[160];
            ck_assert_msg(samples > 0, "%s has no sample", family);
            samples = 0;
            (void)snprintf(family, sizeof(family), "%s", name);
            (void)snprintf(again, sizeof(again), "# HELP %s ", name);
            ck_assert_msg(strstr(rest, again) == NULL, "%s is opened twice", name);
            continue;
        }
        if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
            ck_assert_str_eq(name, family);
            bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
            ck_assert_int_eq(total, strcmp(type, "counter") == 0);
            continue;
        }
        ck_assert_msg(strncmp(line, family, strlen(family)) == 0, "%s in %s", line, family);
        char *end = NULL;
        const char *value = strrchr(line, ' ');
        ck_assert_ptr_nonnull(value);
        (void)strtod(value + 1, &end);
        ck_assert_msg(*end == '\0' && end != value + 1, "%s", line);
        samples++;
    }
    free(text);
}
END_TEST

START_TEST(every_statistic_is_a_metric) {
    for (size_t i = 0; i < STAT_COUNT; i++)
        stats_add(&worker_row(i % 2)->counter[i], 100 + i);
    put_replies(MEMORY, STATS);
    const char *text = metrics();
    for (size_t i = 0; i < STAT_COUNT; i++) {
        char lines[256];
        (void)snprintf(lines, sizeof(lines),
                       "%s\n# TYPE larder_%s_total counter\nlarder_%s_total %zu\n",
                       stat_table[i].help, stat_table[i].name, stat_table[i].name, 100 + i);
        expect_in(text, lines);
    }
}
END_TEST

START_TEST(every_route_has_every_class) {
    stats_count_request(worker_row(0), 0, 200, 0);
    stats_count_request(worker_row(0), STATS_ROUTES - 1, 404, 0);
    put_replies(MEMORY, STATS);
    const char *text = metrics();
    expect_line(text, "larder_requests_total{route=\"cache_get\",class=\"2xx\"} 1");
    expect_line(text, "larder_requests_total{route=\"cache_get\",class=\"5xx\"} 0");
    expect_line(text, "larder_requests_total{route=\"index\",class=\"3xx\"} 0");
    expect_line(text, "larder_requests_total{route=\"other\",class=\"4xx\"} 1");
    expect_not_in(text, "1xx");
    size_t series = 0;
    for (const char *at = text; (at = strstr(at, "larder_requests_total{")) != NULL; at++)
        series++;
    ck_assert_uint_eq(series, (api_routes.count + 1) * 4);
}
END_TEST

START_TEST(durations_are_cumulative_at_exact_bounds) {
    stats_count_request(worker_row(0), 0, 200, 0);
    stats_count_request(worker_row(0), 0, 200, 19999);
    stats_count_request(worker_row(1), 0, 200, 20000);
    stats_count_request(worker_row(1), 0, 200, 655359999);
    stats_count_request(worker_row(1), 0, 200, 655360000);
    stats_count_request(worker_row(1), 0, 200, INT64_MAX / 2);
    put_replies(MEMORY, STATS);
    const char *text = metrics();
    expect_line(text, "larder_request_duration_seconds_bucket{le=\"0.000020\"} 2");
    expect_line(text, "larder_request_duration_seconds_bucket{le=\"0.000040\"} 3");
    expect_line(text, "larder_request_duration_seconds_bucket{le=\"0.327680\"} 3");
    expect_line(text, "larder_request_duration_seconds_bucket{le=\"0.655360\"} 4");
    expect_line(text, "larder_request_duration_seconds_bucket{le=\"+Inf\"} 6");
    expect_line(text, "larder_request_duration_seconds_count 6");
}
END_TEST

START_TEST(durations_sum_up_in_seconds) {
    stats_count_request(worker_row(0), 0, 200, 1500 * NS_PER_MS);
    stats_count_request(worker_row(1), 0, 200, 1000);
    put_replies(MEMORY, STATS);
    expect_line(metrics(), "larder_request_duration_seconds_sum 1.500001");
}
END_TEST

START_TEST(gauges_are_those_of_living_workers) {
    start_worker(0, WORKER_READY, 1);
    start_worker(1, WORKER_READY, 2);
    start_worker(2, WORKER_NONE, 3);
    put_replies(MEMORY, STATS);
    const char *text = metrics();
    expect_line(text, "larder_workers{state=\"starting\"} 0");
    expect_line(text, "larder_workers{state=\"ready\"} 2");
    expect_line(text, "larder_workers{state=\"retiring\"} 0");
    expect_line(text, "larder_connections 21");
    expect_line(text, "larder_in_flight 3");
    expect_line(text, "larder_uptime_seconds 100.000000");
    expect_line(text, "larder_build_info{version=\"" PACKAGE_VERSION "\"} 1");
    expect_not_in(text, "\"none\"");
    worker_row(1)->state = UINT32_MAX;
    response_reset(&rig.request.response);
    expect_line(metrics(), "larder_workers{state=\"ready\"} 1");
}
END_TEST

START_TEST(redis_is_up_with_all_its_figures) {
    put_replies(MEMORY, STATS);
    rig.service.segment->policy_refused = 1;
    const char *text = metrics();
    expect_line(text, "larder_redis_up 1");
    expect_line(text, "larder_breaker_position 0");
    expect_line(text, "larder_redis_policy_refused 1");
    expect_line(text, "larder_redis_keys 12");
    expect_line(text, "larder_redis_used_memory_bytes 914544");
    expect_line(text, "larder_redis_maxmemory_bytes 1048576");
    expect_line(text, "larder_redis_evicted_keys_total 4");
    expect_line(text, "larder_redis_expired_keys_total 3");
    expect_line(text, "larder_redis_keyspace_hits_total 50");
    expect_line(text, "larder_redis_keyspace_misses_total 60");
}
END_TEST

static void expect_no_redis(const char *text) {
    expect_line(text, "larder_redis_up 0");
    expect_line(text, "larder_hits_total 0");
    expect_not_in(text, "larder_redis_keys ");
    for (size_t i = 0; i < REDIS_FIGURES; i++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "larder_redis_%s", redis_figures[i].name);
        expect_not_in(text, name);
    }
}

START_TEST(metrics_answers_without_redis) {
    breaker_connect_failed(&rig.service.segment->breaker, E_BACKEND_UNAVAILABLE, rig.service.now);
    const char *text = answered_metrics(metrics_plan(&rig.request));
    expect_no_redis(text);
    expect_line(text, "larder_breaker_position 1");
}
END_TEST

START_TEST(metrics_answers_when_redis_does_not) {
    rig.request.call.error = E_BACKEND_TIMEOUT;
    expect_no_redis(metrics());
}
END_TEST

START_TEST(a_redis_that_is_loading_is_not_up_but_tells_its_memory) {
    rig_put_error(&rig, "LOADING Redis is loading the dataset in memory");
    rig_put_string(&rig, MEMORY);
    rig_put_string(&rig, STATS);
    const char *text = metrics();
    expect_line(text, "larder_redis_up 0");
    expect_line(text, "larder_redis_used_memory_bytes 914544");
    expect_not_in(text, "larder_redis_keys ");
}
END_TEST

START_TEST(a_redis_that_does_not_let_us_ask_is_up) {
    rig_put_integer(&rig, 5);
    rig_put_error(&rig, "NOPERM no");
    rig_put_error(&rig, "NOPERM no");
    const char *text = metrics();
    expect_line(text, "larder_redis_up 1");
    expect_line(text, "larder_redis_keys 5");
    expect_not_in(text, "larder_redis_used_memory");
}
END_TEST

START_TEST(metrics_asks_what_stats_asks) {
    rig_connect(&rig);
    ck_assert_int_eq(metrics_plan(&rig.request), STEP_WAIT);
    ck_assert_str_eq(rig_commands(&rig), "DBSIZE\nINFO memory\nINFO stats\n");
    rig_reply(&rig, ":1\r\n$0\r\n\r\n$16\r\nevicted_keys:9\r\n\r\n");
    expect_line(metrics(), "larder_redis_evicted_keys_total 9");
}
END_TEST

/* --- docs/statistics.md ---------------------------------------------------------------------- */

static const char *read_document(void) {
    static char text[65536];
    char path[4096];
    const char *srcdir = getenv("SRCDIR");
    ck_assert_msg(srcdir != NULL,
                  "SRCDIR, the directory of the sources, is not in the environment");
    int n = snprintf(path, sizeof(path), "%s/docs/statistics.md", srcdir);
    ck_assert(n > 0 && (size_t)n < sizeof(path));
    FILE *f = fopen(path, "re");
    ck_assert_msg(f != NULL, "%s cannot be read", path);
    size_t length = fread(text, 1, sizeof(text) - 1, f);
    ck_assert_int_eq(fclose(f), 0);
    text[length] = '\0';
    return text;
}

START_TEST(every_statistic_is_documented_as_it_is_declared) {
    const char *document = read_document();
    for (size_t i = 0; i < STAT_COUNT; i++) {
        char row[512];
        (void)snprintf(row, sizeof(row), "\n| `%s` | %s | %s |\n", stat_table[i].name,
                       stat_table[i].unit, stat_table[i].help);
        ck_assert_msg(strstr(document, row) != NULL, "docs/statistics.md lacks the row%s", row);
    }
}
END_TEST

START_TEST(every_figure_of_redis_is_documented_as_it_is_declared) {
    const char *document = read_document();
    for (size_t i = 0; i < REDIS_FIGURES; i++) {
        const struct redis_figure *figure = &redis_figures[i];
        char row[512];
        (void)snprintf(row, sizeof(row), "\n| `%s` | `larder_redis_%s%s` | %s |\n", figure->name,
                       figure->name, figure->suffix, figure->help);
        ck_assert_msg(strstr(document, row) != NULL, "docs/statistics.md lacks the row%s", row);
    }
}
END_TEST

static bool is_counter(const char *metric) {
    for (size_t i = 0; i < STAT_COUNT; i++) {
        char name[80];
        (void)snprintf(name, sizeof(name), "larder_%s_total", stat_table[i].name);
        if (strcmp(metric, name) == 0)
            return true;
    }
    return false;
}

START_TEST(every_other_metric_is_documented) {
    const char *document = read_document();
    put_replies(MEMORY, STATS);
    for (const char *at = metrics(); (at = strstr(at, "\n# TYPE ")) != NULL; at++) {
        char metric[96];
        char mention[100];
        ck_assert_int_eq(sscanf(at, "\n# TYPE %95s", metric), 1);
        (void)snprintf(mention, sizeof(mention), "`%s", metric);
        ck_assert_msg(is_counter(metric) || strstr(document, mention) != NULL,
                      "docs/statistics.md lacks %s", metric);
    }
}
END_TEST

/* --- / --------------------------------------------------------------------------------------- */

START_TEST(the_index_lists_every_endpoint) {
    ck_assert_int_eq(index_plan(&rig.request), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 200);
    const char *text = rig_json(&rig);
    static const char first[] =
        "{\"service\":\"Cache Server\",\"version\":\"" PACKAGE_VERSION "\",\"description\":\"";
    ck_assert_mem_eq(text, first, sizeof(first) - 1);
    expect_in(text, "\"endpoints\":{\"GET /cache/{key}\":\"Get a value\",");
    expect_in(text, "\"DELETE /cache\":\"Delete every value, or those with a prefix or a tag\",");
    for (size_t i = 0; i < api_routes.count; i++) {
        char member[160];
        (void)snprintf(member, sizeof(member), " %s\":\"%s\"", api_routes.rows[i].path,
                       api_routes.rows[i].summary);
        expect_in(text, member);
    }
}
END_TEST

static void add_stats(Suite *s) {
    TCase *t = tcase_create("stats");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_original_members_come_first);
    tcase_add_test(t, without_lookups_the_hit_rate_is_zero);
    tcase_add_test(t, requests_are_told_by_class_and_route);
    tcase_add_test(t, every_route_has_a_member);
    tcase_add_test(t, latency_is_the_mean_and_four_percentiles);
    tcase_add_test(t, every_counter_is_a_member);
    tcase_add_test(t, redis_says_what_it_does_and_what_it_was_asked);
    tcase_add_test(t, every_figure_of_redis_is_a_member);
    tcase_add_test(t, the_breaker_has_a_name_in_every_position);
    tcase_add_test(t, what_redis_does_not_tell_is_null);
    tcase_add_test(t, what_is_no_word_of_redis_is_not_passed_on);
    tcase_add_test(t, workers_are_the_rows_that_have_a_process);
    tcase_add_test(t, a_row_with_nonsense_in_it_does_no_harm);
    tcase_add_test(t, a_segment_of_nonsense_is_still_told_in_json);
    tcase_add_test(t, the_service_says_what_it_is);
    tcase_add_test(t, a_call_that_failed_is_a_503);
    tcase_add_test(t, an_error_reply_is_a_503_without_its_text);
    tcase_add_test(t, a_refused_info_is_a_503);
    tcase_add_test(t, of_several_refusals_the_first_counts);
    tcase_add_test(t, a_reply_of_another_type_is_a_503);
    tcase_add_test(t, stats_asks_redis_three_things_in_one_go);
    tcase_add_test(t, stats_is_a_503_at_once_while_redis_is_away);
    suite_add_tcase(s, t);
}

static void add_metrics(Suite *s) {
    TCase *t = tcase_create("metrics");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, metrics_are_families_of_samples);
    tcase_add_test(t, every_statistic_is_a_metric);
    tcase_add_test(t, every_route_has_every_class);
    tcase_add_test(t, durations_are_cumulative_at_exact_bounds);
    tcase_add_test(t, durations_sum_up_in_seconds);
    tcase_add_test(t, gauges_are_those_of_living_workers);
    tcase_add_test(t, redis_is_up_with_all_its_figures);
    tcase_add_test(t, metrics_answers_without_redis);
    tcase_add_test(t, metrics_answers_when_redis_does_not);
    tcase_add_test(t, a_redis_that_is_loading_is_not_up_but_tells_its_memory);
    tcase_add_test(t, a_redis_that_does_not_let_us_ask_is_up);
    tcase_add_test(t, metrics_asks_what_stats_asks);
    suite_add_tcase(s, t);
}

static void add_document(Suite *s) {
    TCase *t = tcase_create("document");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, every_statistic_is_documented_as_it_is_declared);
    tcase_add_test(t, every_figure_of_redis_is_documented_as_it_is_declared);
    tcase_add_test(t, every_other_metric_is_documented);
    suite_add_tcase(s, t);
}

static void add_index(Suite *s) {
    TCase *t = tcase_create("index");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, the_index_lists_every_endpoint);
    suite_add_tcase(s, t);
}

Suite *suite_api_stats(void) {
    Suite *s = suite_create("api_stats");
    add_stats(s);
    add_metrics(s);
    add_document(s);
    add_index(s);
    return s;
}
