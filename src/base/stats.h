/*
 * Statistics: stats.def expanded into counters that live in the shared segment, one row per
 * worker and one for the master. A row has one writer, so a counter is a relaxed load and store,
 * no locked instruction; readers in other processes sum the rows. Rows outlive their processes
 * and are reused without a reset: sums only grow.
 */
#ifndef LARDER_BASE_STATS_H
#define LARDER_BASE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stat_id {
#define STAT(name, unit, help) STAT_##name,
#include "base/stats.def"
#undef STAT
    STAT_COUNT
};

struct stat_info {
    const char *name;
    const char *unit;
    const char *help;
};

/* Indexed by enum stat_id. */
extern const struct stat_info stat_table[STAT_COUNT];

enum {
    STATS_ROUTES = 24, /* rows of the route table, at most; the last one counts what matched none */
    STATS_CLASSES = 5, /* 1xx to 5xx */

    /* Latency buckets: 1 us wide up to 16 us, then 8 equal steps per doubling (12.5 % to 6.25 %
     * wide) up to 134 s; the last takes the rest. */
    LATENCY_STEPS = 8,
    LATENCY_BUCKETS = 25 * LATENCY_STEPS,
};

enum worker_state { WORKER_NONE, WORKER_STARTING, WORKER_READY, WORKER_RETIRING, WORKER_STATES };

/* What a worker is doing: what is left to say of one that does nothing else any more. */
enum worker_phase {
    WORKER_WAITS,    /* for events */
    WORKER_READS,    /* what came: events, Redis's replies, a request and its decoding */
    WORKER_STARTS,   /* a request: its handler's plan */
    WORKER_FINISHES, /* one whose replies are there, and writes its answer */
    WORKER_SENDS,    /* commands to Redis; what is due by time */
    WORKER_PHASES
};

typedef _Atomic uint64_t stat_counter;

struct stats_row {
    /* Who the row belongs to: gauges, written anew by each process that takes the row over. */
    _Alignas(64) _Atomic uint32_t state; /* enum worker_state */
    _Atomic int32_t pid;
    _Atomic uint32_t generation;  /* of the configuration */
    _Atomic uint32_t connections; /* FastCGI connections open */
    _Atomic uint32_t in_flight;   /* requests between being taken and being answered */
    _Atomic uint32_t route;       /* of the request it works on, or did last */
    _Atomic uint32_t phase;       /* enum worker_phase */
    _Atomic uint32_t redis_ready; /* 1 while its connection to Redis is usable */
    _Atomic uint32_t served;      /* 1 once this process has answered a request */
    _Atomic uint32_t listening;   /* 1 while it takes connections */
    _Atomic int32_t leaving;      /* its pid: it has served max_requests and wants to be replaced */
    _Atomic int64_t started;      /* clock_monotonic */
    _Atomic int64_t heartbeat;    /* clock_monotonic of its last turn */

    /* Counters: they persist across processes. */
    _Alignas(64) stat_counter counter[STAT_COUNT];
    stat_counter requests[STATS_ROUTES][STATS_CLASSES];
    stat_counter latency[LATENCY_BUCKETS];
    stat_counter latency_sum; /* microseconds */
};

/* Adds to a counter of a row that only the caller writes. */
static inline void stats_add(stat_counter *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t stats_read(const stat_counter *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Counts one answered request: its route's index, HTTP status (100 to 599) and latency. */
void stats_count_request(struct stats_row *row, size_t route, int status, int64_t latency_ns);

/* All rows summed, as one consistent-enough snapshot. */
struct stats_sum {
    uint64_t counter[STAT_COUNT];
    uint64_t requests[STATS_ROUTES][STATS_CLASSES];
    uint64_t latency[LATENCY_BUCKETS];
    uint64_t latency_sum;
};

void stats_sum_rows(struct stats_sum *sum, const struct stats_row *rows, size_t n);

/* Requests of all routes and classes. */
uint64_t stats_total_requests(const struct stats_sum *sum);

/* hits / (hits + misses) in percent, at most 100; 0 without lookups. */
double stats_hit_rate(const struct stats_sum *sum);

/* The bucket of a latency, and the upper bound of a bucket in microseconds. */
size_t latency_bucket(int64_t ns);
double latency_bound_us(size_t bucket);

/* The latency that `fraction` (0 to 1) of the requests did not exceed, in microseconds, as the
 * upper bound of its bucket; 0 without requests. */
double latency_percentile_us(const uint64_t latency[LATENCY_BUCKETS], double fraction);

#endif
