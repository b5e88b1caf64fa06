/*
 * The shared segment as /stats and /metrics show it. Other processes write it while it is read, and
 * a worker gone astray may have written anything: what comes out of here is in range, not exact.
 */
#ifndef LARDER_API_SNAPSHOT_H
#define LARDER_API_SNAPSHOT_H

#include <stdint.h>

#include "base/stats.h"
#include "http/request.h"

/* What a row's process says of itself. */
struct snapshot_worker {
    enum worker_state state; /* WORKER_NONE: nobody has the row, or what it says is no state */
    int32_t pid;
    uint32_t generation;
    uint32_t connections;
    uint32_t in_flight;
    bool redis_ready;
    int64_t age;       /* nanoseconds since it started */
    int64_t heartbeat; /* nanoseconds since its last sign of life */
};

struct snapshot_worker snapshot_worker(const struct stats_row *row, int64_t now);

/* The sums of all rows, and the gauges of those that have a process. */
struct snapshot {
    struct stats_sum sum;
    uint64_t by_class[STATS_CLASSES];
    uint64_t answered; /* requests that have a latency */
    uint64_t workers[WORKER_STATES];
    uint64_t connections;
    uint64_t in_flight;
    int64_t uptime; /* of the service, in nanoseconds */
};

void snapshot_take(struct snapshot *s, const struct service *service);

/* "2xx" for 1, and so on; below STATS_CLASSES. */
const char *snapshot_class_name(size_t class);

/* What the i-th row of request counters (below STATS_ROUTES) counts: a route, or "other" for what
 * matched none; NULL if the row is not used. */
const char *snapshot_route_name(const struct route_table *routes, size_t i);

const char *snapshot_state_name(enum worker_state state);

#endif
