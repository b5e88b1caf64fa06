/*
 * GET /metrics: the statistics as Prometheus text. It answers 200 whatever Redis does: what can't
 * be known then is left out, and larder_redis_up says so.
 */
#include "api/handlers.h"
#include "api/redis_info.h"
#include "api/snapshot.h"
#include "base/prometheus.h"
#include "http/problem.h"
#include "redis/breaker.h"

/* --- requests -------------------------------------------------------------------------------- */

static void put_counters(struct prometheus *p, const struct stats_sum *sum) {
    for (size_t i = 0; i < STAT_COUNT; i++) {
        prometheus_family(p, PROMETHEUS_COUNTER, stat_table[i].help, "larder_%s_total",
                          stat_table[i].name);
        prometheus_uint(p, NULL, 0, sum->counter[i]);
    }
}

/* Classes that never occurred are there too: a rate needs the zero before the first one. No answer
 * of ours is a 1xx. */
static void put_classes(struct prometheus *p, const char *route,
                        const uint64_t count[STATS_CLASSES]) {
    for (size_t i = 1; i < STATS_CLASSES; i++) {
        const struct prometheus_label labels[] = {{"route", route},
                                                  {"class", snapshot_class_name(i)}};
        prometheus_uint(p, labels, 2, count[i]);
    }
}

static void put_requests(struct prometheus *p, const struct route_table *routes,
                         const struct stats_sum *sum) {
    prometheus_family(p, PROMETHEUS_COUNTER, "Requests answered, by route and status class.",
                      "larder_requests_total");
    for (size_t i = 0; i < STATS_ROUTES; i++) {
        const char *name = snapshot_route_name(routes, i);
        if (name != NULL)
            put_classes(p, name, sum->requests[i]);
    }
}

/*
 * The bounds are those of every eighth bucket, so no bucket is cut in two: 20 us, 40 us, and so on
 * to 655 ms, which is beyond Redis's usual deadline.
 */
static void put_durations(struct prometheus *p, const struct snapshot *s) {
    enum { FIRST = 17, BOUNDS = 16 };
    struct prometheus_bucket buckets[BOUNDS];
    uint64_t seen = 0;
    size_t next = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        size_t last = FIRST + i * LATENCY_STEPS;
        while (next <= last)
            seen = stats_plus(seen, s->sum.latency[next++]);
        buckets[i] = (struct prometheus_bucket){latency_bound_us(last), seen};
    }
    prometheus_family(p, PROMETHEUS_HISTOGRAM,
                      "Time from taking a request to having its answer, in seconds.",
                      "larder_request_duration_seconds");
    prometheus_histogram(p, buckets, BOUNDS, s->answered, s->sum.latency_sum);
}

/* --- the service ----------------------------------------------------------------------------- */

static void put_gauge(struct prometheus *p, const char *name, const char *help, uint64_t v) {
    prometheus_family(p, PROMETHEUS_GAUGE, help, "larder_%s", name);
    prometheus_uint(p, NULL, 0, v);
}

static void put_workers(struct prometheus *p, const struct snapshot *s) {
    prometheus_family(p, PROMETHEUS_GAUGE, "Worker processes, by state.", "larder_workers");
    for (enum worker_state state = WORKER_STARTING; state < WORKER_STATES; state++) {
        struct prometheus_label label = {"state", snapshot_state_name(state)};
        prometheus_uint(p, &label, 1, s->workers[state]);
    }
    put_gauge(p, "connections", "FastCGI connections open.", s->connections);
    put_gauge(p, "in_flight", "Requests taken and not yet answered.", s->in_flight);
}

static void put_service(struct prometheus *p, const struct segment *segment,
                        const struct snapshot *s) {
    struct prometheus_label version = {"version", PACKAGE_VERSION};
    prometheus_family(p, PROMETHEUS_GAUGE, "Always 1; the version is in the label.",
                      "larder_build_info");
    prometheus_uint(p, &version, 1, 1);
    prometheus_family(p, PROMETHEUS_GAUGE, "Time since the service started, in seconds.",
                      "larder_uptime_seconds");
    prometheus_seconds(p, (uint64_t)s->uptime / 1000);
    put_gauge(p, "breaker_position",
              "Circuit breaker: 0 closed, 1 only connections that work are used, 2 open.",
              breaker_position(&segment->breaker));
    uint32_t refused = atomic_load_explicit(&segment->policy_refused, memory_order_relaxed);
    put_gauge(p, "redis_policy_refused", "1 if Redis refused the configured eviction settings.",
              refused != 0);
}

/* --- Redis ----------------------------------------------------------------------------------- */

static void put_redis(struct prometheus *p, const struct redis_info *info) {
    if (info->keys >= 0)
        put_gauge(p, "redis_keys",
                  "Keys in the database, or those below key_prefix as last counted.",
                  (uint64_t)info->keys);
    for (size_t i = 0; i < REDIS_FIGURES; i++) {
        const struct redis_figure *figure = &redis_figures[i];
        int64_t v = redis_info_figure(info, figure);
        if (v < 0)
            continue;
        prometheus_family(p, figure->type, figure->help, "larder_redis_%s%s", figure->name,
                          figure->suffix);
        prometheus_uint(p, NULL, 0, (uint64_t)v);
    }
}

/* --- the text -------------------------------------------------------------------------------- */

/* `info` is NULL if Redis did not answer. */
static enum step answer(struct request *r, const struct redis_info *info, bool up) {
    struct response *response = &r->response;
    const struct service *service = r->service;
    struct prometheus p = {.out = &response->body};
    struct snapshot s;
    snapshot_take(&s, service);

    response->status = 200;
    response->content_type = SLICE(PROMETHEUS_CONTENT_TYPE);
    response->no_store = true;
    put_counters(&p, &s.sum);
    put_requests(&p, service->routes, &s.sum);
    put_durations(&p, &s);
    put_workers(&p, &s);
    put_service(&p, service->segment, &s);
    put_gauge(&p, "redis_up", "1 if Redis answered this scrape and can serve requests.", up);
    if (info != NULL)
        put_redis(&p, info);
    return buf_failed(&response->body) ? problem(r, E_OUT_OF_MEMORY, NULL) : STEP_ANSWER;
}

enum step metrics_plan(struct request *r) {
    return redis_info_ask(r) == OK ? STEP_WAIT : answer(r, NULL, false);
}

enum step metrics_finish(struct request *r) {
    if (r->call.error != OK)
        return answer(r, NULL, false);
    struct redis_info info = redis_info_read(r);
    /* Redis may be well and just not let this user ask for statistics. */
    enum error e = info.refused != NULL ? reply_error(&r->call.replies, info.refused) : OK;
    return answer(r, &info, e == OK || e == E_BACKEND_REFUSED);
}
