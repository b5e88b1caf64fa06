/* Statistics: see stats.h. */
#include "base/stats.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"

const struct stat_info stat_table[STAT_COUNT] = {
#define STAT(name, unit, help) [STAT_##name] = {#name, unit, help},
#include "base/stats.def"
#undef STAT
};

/*
 * Buckets 0 to 7 hold 1 us each; above that, each doubling is cut into 8 equal steps, so that the
 * index is the position of the highest bit and the three bits below it.
 */
size_t latency_bucket(int64_t ns) {
    if (ns < 0)
        return 0;
    uint64_t us = (uint64_t)ns / 1000;
    if (us < LATENCY_STEPS)
        return (size_t)us;
    unsigned top = 63U - (unsigned)__builtin_clzll(us);
    size_t bucket = (size_t)(top - 2) * LATENCY_STEPS + ((us >> (top - 3)) & (LATENCY_STEPS - 1));
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

double latency_bound_us(size_t bucket) {
    if (bucket < LATENCY_STEPS)
        return (double)(bucket + 1);
    unsigned top = (unsigned)(bucket / LATENCY_STEPS) + 2;
    return ldexp((double)(LATENCY_STEPS + bucket % LATENCY_STEPS + 1), (int)top - 3);
}

void stats_count_request(struct stats_row *row, size_t route, int status, int64_t latency_ns) {
    size_t class = (size_t)(status / 100 - 1);
    if (route >= STATS_ROUTES)
        route = STATS_ROUTES - 1;
    if (class >= STATS_CLASSES)
        class = STATS_CLASSES - 1;
    stats_add(&row->requests[route][class], 1);
    stats_add(&row->latency[latency_bucket(latency_ns)], 1);
    stats_add(&row->latency_sum, latency_ns > 0 ? (uint64_t)latency_ns / 1000 : 0);
}

void stats_sum_rows(struct stats_sum *sum, const struct stats_row *rows, size_t n) {
    memset(sum, 0, sizeof(*sum));
    for (size_t i = 0; i < n; i++) {
        const struct stats_row *row = &rows[i];
        for (size_t k = 0; k < STAT_COUNT; k++)
            sum->counter[k] += stats_read(&row->counter[k]);
        for (size_t route = 0; route < STATS_ROUTES; route++)
            for (size_t class = 0; class < STATS_CLASSES; class ++)
                sum->requests[route][class] += stats_read(&row->requests[route][class]);
        for (size_t k = 0; k < LATENCY_BUCKETS; k++)
            sum->latency[k] += stats_read(&row->latency[k]);
        sum->latency_sum += stats_read(&row->latency_sum);
    }
}

uint64_t stats_total_requests(const struct stats_sum *sum) {
    uint64_t total = 0;
    for (size_t route = 0; route < STATS_ROUTES; route++)
        for (size_t class = 0; class < STATS_CLASSES; class ++)
            total += sum->requests[route][class];
    return total;
}

double stats_hit_rate(const struct stats_sum *sum) {
    uint64_t hits = sum->counter[STAT_hits];
    uint64_t lookups = hits + sum->counter[STAT_misses];
    double rate = lookups == 0 ? 0 : 100.0 * (double)hits / (double)lookups;
    /* Sums that wrap around are damage, and still no reason for 10^21 percent. */
    return rate > 100 ? 100 : rate;
}

double latency_percentile_us(const uint64_t latency[LATENCY_BUCKETS], double fraction) {
    uint64_t total = 0;
    for (size_t k = 0; k < LATENCY_BUCKETS; k++)
        total += latency[k];
    if (total == 0)
        return 0;
    uint64_t rank = (uint64_t)ceil(fraction * (double)total);
    uint64_t seen = 0;
    for (size_t k = 0; k < LATENCY_BUCKETS; k++) {
        seen += latency[k];
        if (seen >= rank && seen > 0)
            return latency_bound_us(k);
    }
    return latency_bound_us(LATENCY_BUCKETS - 1);
}
