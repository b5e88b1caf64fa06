/*
 * GET /stats: the statistics as JSON. The members that the original service had come first; the
 * groups after them are ours. larder's own numbers come from the shared segment, so every worker
 * gives the same; those of Redis are asked for each time.
 */
#include "api/document.h"
#include "api/handlers.h"
#include "api/redis_info.h"
#include "api/snapshot.h"
#include "base/clock.h"
#include "http/problem.h"
#include "redis/breaker.h"

/* --- requests -------------------------------------------------------------------------------- */

static void add_classes(struct json_doc *doc, struct json *parent, const char *name,
                        const uint64_t count[STATS_CLASSES]) {
    struct json *classes = json_add_object(doc, parent, name);
    for (size_t i = 0; i < STATS_CLASSES; i++)
        if (count[i] > 0)
            json_add_uint(doc, classes, snapshot_class_name(i), count[i]);
}

static void add_requests(struct json_doc *doc, const struct route_table *routes,
                         const struct snapshot *s) {
    struct json *requests = json_add_object(doc, json_root(doc), "requests");
    json_add_uint(doc, requests, "total", stats_total_requests(&s->sum));
    add_classes(doc, requests, "by_class", s->by_class);
    struct json *by_route = json_add_object(doc, requests, "by_route");
    for (size_t i = 0; i < STATS_ROUTES; i++) {
        const char *name = snapshot_route_name(routes, i);
        if (name != NULL)
            add_classes(doc, by_route, name, s->sum.requests[i]);
    }
}

static void add_latency(struct json_doc *doc, const struct snapshot *s) {
    static const struct {
        const char *name;
        double fraction;
    } percentiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99_9", 0.999}};

    double mean = s->answered == 0 ? 0 : (double)s->sum.latency_sum / (double)s->answered;
    struct json *latency = json_add_object(doc, json_root(doc), "latency");
    document_add_text(doc, latency, "unit", "microseconds");
    json_add_fixed(doc, latency, "mean", mean, 1);
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
        json_add_fixed(doc, latency, percentiles[i].name,
                       latency_percentile_us(s->sum.latency, percentiles[i].fraction), 0);
}

static void add_counters(struct json_doc *doc, const struct stats_sum *sum) {
    struct json *counters = json_add_object(doc, json_root(doc), "counters");
    for (size_t i = 0; i < STAT_COUNT; i++)
        json_add_uint(doc, counters, stat_table[i].name, sum->counter[i]);
}

/* --- Redis ----------------------------------------------------------------------------------- */

/* What Redis didn't tell is null. */
static void add_word(struct json_doc *doc, struct json *parent, const char *name,
                     struct slice word) {
    if (word.n > 0)
        json_add_string(doc, parent, name, word);
    else
        json_add_null(doc, parent, name);
}

static void add_figures(struct json_doc *doc, struct json *parent, const struct redis_info *info) {
    for (size_t i = 0; i < REDIS_FIGURES; i++) {
        int64_t v = redis_info_figure(info, &redis_figures[i]);
        if (v >= 0)
            json_add_int(doc, parent, redis_figures[i].name, v);
        else
            json_add_null(doc, parent, redis_figures[i].name);
    }
}

static const char *breaker_name(const struct breaker_state *breaker) {
    static const char *const names[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_NO_ENTRY] = "no-entry",
        [BREAKER_OPEN] = "open",
    };
    return names[breaker_position(breaker)];
}

static void add_redis(struct json_doc *doc, const struct service *service,
                      const struct redis_info *info) {
    const struct segment *segment = service->segment;
    struct json *redis = json_add_object(doc, json_root(doc), "redis");
    json_add_bool(doc, redis, "connected", true);
    document_add_text(doc, redis, "breaker", breaker_name(&segment->breaker));
    add_word(doc, redis, "max_memory_policy",
             redis_info_word(info, REDIS_MEMORY, "maxmemory_policy"));
    document_add_text(doc, redis, "max_memory_policy_configured",
                      config_policy_name(service->config->max_memory_policy));
    uint32_t refused = atomic_load_explicit(&segment->policy_refused, memory_order_relaxed);
    json_add_bool(doc, redis, "policy_refused", refused != 0);
    add_word(doc, redis, "used_memory_human",
             redis_info_word(info, REDIS_MEMORY, "used_memory_human"));
    add_figures(doc, redis, info);
}

/* --- processes ------------------------------------------------------------------------------- */

/* The counters are the row's: they go on where an earlier worker's ended. */
static void add_worker(struct json_doc *doc, struct json *workers, const struct stats_row *row,
                       uint32_t index, const struct snapshot_worker *w) {
    struct stats_sum sum;
    stats_sum_rows(&sum, row, 1);
    struct json *worker = json_add_object(doc, workers, NULL);
    json_add_uint(doc, worker, "row", index);
    json_add_int(doc, worker, "pid", w->pid);
    document_add_text(doc, worker, "state", snapshot_state_name(w->state));
    json_add_uint(doc, worker, "generation", w->generation);
    json_add_uint(doc, worker, "connections", w->connections);
    json_add_uint(doc, worker, "in_flight", w->in_flight);
    json_add_uint(doc, worker, "requests", stats_total_requests(&sum));
    json_add_uint(doc, worker, "hits", sum.counter[STAT_hits]);
    json_add_uint(doc, worker, "misses", sum.counter[STAT_misses]);
    json_add_int(doc, worker, "uptime_seconds", w->age / NS_PER_S);
    json_add_int(doc, worker, "heartbeat_age_ms", w->heartbeat / NS_PER_MS);
    json_add_bool(doc, worker, "redis_ready", w->redis_ready);
}

static void add_workers(struct json_doc *doc, const struct service *service) {
    const struct segment *segment = service->segment;
    struct json *workers = json_add_array(doc, json_root(doc), "workers");
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < service->rows; i++) {
        struct snapshot_worker w = snapshot_worker(&segment->rows[i], service->now);
        if (w.state != WORKER_NONE)
            add_worker(doc, workers, &segment->rows[i], i, &w);
    }
}

static void add_service(struct json_doc *doc, const struct service *service) {
    struct json *about = json_add_object(doc, json_root(doc), "service");
    document_add_text(doc, about, "version", PACKAGE_VERSION);
    json_add_int(doc, about, "workers_configured", service->config->workers);
    document_add_time(doc, about, "started", service->started_real);
}

/* --- the document ---------------------------------------------------------------------------- */

static void add_original(struct json_doc *doc, const struct snapshot *s,
                         const struct redis_info *info) {
    struct json *root = json_root(doc);
    if (info->keys >= 0)
        json_add_int(doc, root, "total_keys", info->keys);
    else
        json_add_null(doc, root, "total_keys");
    json_add_uint(doc, root, "hits", s->sum.counter[STAT_hits]);
    json_add_uint(doc, root, "misses", s->sum.counter[STAT_misses]);
    json_add_fixed(doc, root, "hit_rate", stats_hit_rate(&s->sum), 2);
    add_word(doc, root, "memory_usage", redis_info_word(info, REDIS_MEMORY, "used_memory_human"));
    json_add_int(doc, root, "uptime_seconds", s->uptime / NS_PER_S);
}

enum step stats_plan(struct request *r) {
    enum error e = redis_info_ask(r);
    return e == OK ? STEP_WAIT : problem(r, e, NULL);
}

enum step stats_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    struct redis_info info = redis_info_read(r);
    if (info.refused != NULL)
        return problem_reply(r, info.refused);

    struct snapshot s;
    struct json_doc doc;
    snapshot_take(&s, r->service);
    json_init(&doc);
    add_original(&doc, &s, &info);
    document_add_time(&doc, json_root(&doc), "timestamp", clock_realtime());
    json_add_bool(&doc, json_root(&doc), "total_keys_approximate", info.keys_approximate);
    add_requests(&doc, r->service->routes, &s);
    add_latency(&doc, &s);
    add_counters(&doc, &s.sum);
    add_redis(&doc, r->service, &info);
    add_workers(&doc, r->service);
    add_service(&doc, r->service);
    return document_answer(r, &doc);
}
