/* Who goes on after a death: see survivor.h. */
#include "survivor.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/lease.h"
#include "redis/breaker.h"

enum { ATTEMPTS_MOST = 1000 };

/* The counters of one event, and what they were when survivor_note looked. */
enum counter { HITS, REQUESTS, LATENCY, LATENCY_SUM, COUNTERS };

static struct {
    uint64_t counter[COUNTERS];
    uint64_t done;
} before[ROWS];

static void read_counters(const struct stats_row *row, uint64_t out[COUNTERS]) {
    out[HITS] = stats_read(&row->counter[STAT_hits]);
    out[REQUESTS] = stats_read(&row->requests[0][1]);
    out[LATENCY] = stats_read(&row->latency[latency_bucket(ACT_LATENCY_US * NS_PER_MS / 1000)]);
    out[LATENCY_SUM] = stats_read(&row->latency_sum) / ACT_LATENCY_US;
}

/* Each counter has what was counted to its end, and perhaps the event that died. */
static void check_counters(const struct ground *ground, uint32_t row, struct tally *tally) {
    uint64_t now[COUNTERS] = {0};
    read_counters(&ground->segment->rows[row], now);
    uint64_t done = stats_read(&ground->done[row]);
    for (size_t i = 0; i < COUNTERS; i++) {
        uint64_t least = before[row].counter[i] + done - before[row].done;
        if (now[i] != least && now[i] != least + 1)
            tally->wrong_sums++;
        tally->events_open += now[i] == least + 1;
    }
}

static bool is_published(const char *address) {
    return strcmp(address, act_addresses[0]) == 0 || strcmp(address, act_addresses[1]) == 0;
}

/* Known: it is one that was published. Unknown, and who wrote it has died: the next one to publish
 * makes it known. While he lives he may have been interrupted in the middle, which is nobody's
 * death. */
static bool address_is_right(const struct ground *ground, bool publisher_died,
                             struct tally *tally) {
    char address[SEGMENT_ADDRESS_MAX];
    bool known = segment_read_address(ground->segment, ACT_HOST, address);
    if (!known && publisher_died) {
        act_do(ACT_PUBLISH, ground);
        known = segment_read_address(ground->segment, ACT_HOST, address);
    }
    tally->torn += known && !is_published(address);
    return known || !publisher_died;
}

/* Whatever right the dead had, it has expired by then. Others may be quicker once; not always. */
static bool rights_are_free(const struct ground *ground) {
    struct segment *segment = ground->segment;
    int64_t later = clock_monotonic() + 2 * NS_PER_S;
    bool probe = false;
    bool claim = false;
    for (int i = 0; i < ATTEMPTS_MOST && !(probe && claim); i++) {
        probe = probe || breaker_take_probe(&segment->breaker, later, ACT_LEASE_NS);
        claim =
            claim || lease_take(&segment->census.claimed, later, ACT_LEASE_NS, ACT_LEASE_MOST_NS);
    }
    atomic_store(&segment->breaker.probe_after, 0);
    atomic_store(&segment->census.claimed, 0);
    return probe && claim;
}

static void check_breaker(const struct ground *ground, struct tally *tally) {
    uint32_t state = atomic_load(&ground->segment->breaker.state);
    tally->torn += state > BREAKER_OPEN;
    if (state != BREAKER_CLOSED && breaker_reason(&ground->segment->breaker) == OK)
        tally->torn += atomic_load(&ground->segment->breaker.state) != BREAKER_CLOSED;
}

/* Of the processor: others may have had it meanwhile. */
static int64_t worked_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

void survivor_look(const struct ground *ground, uint32_t row, bool publisher_died,
                   struct tally *tally) {
    int64_t begun = worked_ns();
    check_counters(ground, row, tally);
    check_breaker(ground, tally);
    bool ok = address_is_right(ground, publisher_died, tally) && rights_are_free(ground);
    tally->stuck += !ok;
    int64_t took = worked_ns() - begun;
    if (took > tally->longest_ns)
        tally->longest_ns = took;
}

void survivor_note(const struct ground *ground, uint32_t row) {
    read_counters(&ground->segment->rows[row], before[row].counter);
    before[row].done = stats_read(&ground->done[row]);
}
