/* The shared segment as it is shown: see snapshot.h. */
#include "api/snapshot.h"

#include <string.h>

#include "base/clock.h"

#define LOAD(member) atomic_load_explicit(&(member), memory_order_relaxed)

struct snapshot_worker snapshot_worker(const struct stats_row *row, int64_t now) {
    uint32_t state = LOAD(row->state);
    return (struct snapshot_worker){
        .state = state < WORKER_STATES ? (enum worker_state)state : WORKER_NONE,
        .pid = LOAD(row->pid),
        .generation = LOAD(row->generation),
        .connections = LOAD(row->connections),
        .in_flight = LOAD(row->in_flight),
        .redis_ready = LOAD(row->redis_ready) != 0,
        .age = clock_elapsed(now, LOAD(row->started)),
        .heartbeat = clock_elapsed(now, LOAD(row->heartbeat)),
    };
}

static void add_worker(struct snapshot *s, const struct snapshot_worker *worker) {
    if (worker->state == WORKER_NONE)
        return;
    s->workers[worker->state]++;
    s->connections += worker->connections;
    s->in_flight += worker->in_flight;
}

void snapshot_take(struct snapshot *s, const struct service *service) {
    const struct segment *segment = service->segment;
    memset(s, 0, sizeof(*s));
    stats_sum_rows(&s->sum, segment->rows, service->rows);
    for (size_t route = 0; route < STATS_ROUTES; route++)
        for (size_t class = 0; class < STATS_CLASSES; class ++)
            s->by_class[class] += s->sum.requests[route][class];
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        s->answered += s->sum.latency[i];
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < service->rows; i++) {
        struct snapshot_worker worker = snapshot_worker(&segment->rows[i], service->now);
        add_worker(s, &worker);
    }
    s->uptime = clock_elapsed(service->now, service->started);
}

const char *snapshot_class_name(size_t class) {
    static const char *const names[STATS_CLASSES] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
    return names[class];
}

const char *snapshot_route_name(const struct route_table *routes, size_t i) {
    if (i < routes->count)
        return routes->rows[i].name;
    return i == STATS_ROUTES - 1 ? "other" : NULL;
}

const char *snapshot_state_name(enum worker_state state) {
    static const char *const names[WORKER_STATES] = {
        [WORKER_NONE] = "none",
        [WORKER_STARTING] = "starting",
        [WORKER_READY] = "ready",
        [WORKER_RETIRING] = "retiring",
    };
    return names[state];
}
