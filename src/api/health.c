/*
 * /health, /health/live, /health/ready. They never ask Redis: a probe must not wait on what it
 * probes. They say what this worker's connection saw last, and what all workers know together (the
 * breaker). That is at most a second or so old, since an idle connection is pinged.
 */
#include "api/document.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "http/problem.h"
#include "redis/breaker.h"

enum {
    FRESH_MS = 2000, /* how long Redis counts as well after a connection ended */
    SHORT_MS = 1000, /* how long a worker may be missing: one that died is replaced sooner */
};

/* Why a request that needs Redis would be refused just now; OK if it would not. */
static enum error why_not_ready(const struct service *service) {
    const struct breaker_state *breaker = &service->segment->breaker;
    struct store_status status = store_get_status(service->store);
    enum breaker_position position = breaker_position(breaker);
    /* While there is no entry, who is in already goes on. */
    if (status.ready && position != BREAKER_OPEN)
        return OK;
    if (position != BREAKER_CLOSED)
        return breaker_reason(breaker);
    /* This connection is being made, or made anew, and requests wait for it. */
    bool fresh = status.last_reply != 0 && service->now - status.last_reply < FRESH_MS * NS_PER_MS;
    if (fresh || status.connecting)
        return OK;
    return status.reason == OK ? E_BACKEND_UNAVAILABLE : status.reason;
}

static void begin(struct json_doc *doc, const char *status) {
    json_init(doc);
    document_add_text(doc, json_root(doc), "status", status);
    document_add_time(doc, json_root(doc), "timestamp", clock_realtime());
}

/* What is not as it should be although requests are served. */
static void add_reasons(struct json_doc *doc, bool is_short, bool is_refused) {
    if (!is_short && !is_refused)
        return;
    struct json *reasons = json_add_array(doc, json_root(doc), "reasons");
    if (is_short)
        json_add_string(doc, reasons, NULL, SLICE("workers-missing"));
    if (is_refused)
        json_add_string(doc, reasons, NULL, SLICE("reload-refused"));
}

enum step health_plan(struct request *r) {
    const struct segment *segment = r->service->segment;
    enum error e = why_not_ready(r->service);
    if (e != OK) {
        enum step step = problem(r, E_BACKEND_UNAVAILABLE, "Redis connection failed");
        problem_add(r, "reason", error_info(e)->slug);
        return step;
    }
    struct json_doc doc;
    int64_t since = atomic_load_explicit(&segment->short_since, memory_order_relaxed);
    bool is_short = since != 0 && clock_elapsed(r->service->now, since) >= SHORT_MS * NS_PER_MS;
    bool is_refused = atomic_load_explicit(&segment->reload_refused, memory_order_relaxed) != 0;
    begin(&doc, is_short || is_refused ? "degraded" : "healthy");
    document_add_text(&doc, json_root(&doc), "redis", "connected");
    document_add_text(&doc, json_root(&doc), "version", PACKAGE_VERSION);
    json_add_int(&doc, json_root(&doc), "uptime_seconds",
                 clock_elapsed(r->service->now, r->service->started) / NS_PER_S);
    add_reasons(&doc, is_short, is_refused);
    return document_answer(r, &doc);
}

enum step health_live_plan(struct request *r) {
    struct json_doc doc;
    begin(&doc, "alive");
    return document_answer(r, &doc);
}

enum step health_ready_plan(struct request *r) {
    enum error e = why_not_ready(r->service);
    if (e != OK)
        return problem(r, e, NULL);
    struct json_doc doc;
    begin(&doc, "ready");
    return document_answer(r, &doc);
}
