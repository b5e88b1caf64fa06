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

enum { FRESH_MS = 2000 }; /* how long Redis counts as well after a connection ended */

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

enum step health_plan(struct request *r) {
    enum error e = why_not_ready(r->service);
    if (e != OK) {
        enum step step = problem(r, E_BACKEND_UNAVAILABLE, "Redis connection failed");
        problem_add(r, "reason", error_info(e)->slug);
        return step;
    }
    struct json_doc doc;
    begin(&doc, "healthy");
    document_add_text(&doc, json_root(&doc), "redis", "connected");
    document_add_text(&doc, json_root(&doc), "version", PACKAGE_VERSION);
    json_add_int(&doc, json_root(&doc), "uptime_seconds",
                 (r->service->now - r->service->segment->started) / NS_PER_S);
    if (atomic_load_explicit(&r->service->segment->reload_refused, memory_order_relaxed) != 0)
        document_add_text(&doc, json_root(&doc), "reload", "refused");
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
