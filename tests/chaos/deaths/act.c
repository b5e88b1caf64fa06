/* What processes do to the segment: see act.h. */
#include "act.h"

#include "base/clock.h"
#include "base/lease.h"
#include "base/stats.h"
#include "redis/breaker.h"

const char *const act_names[ACTS] = {
    [ACT_COUNT] = "count", [ACT_REFUSED] = "refused", [ACT_TIMEOUT] = "timeout",
    [ACT_PROVE] = "prove", [ACT_CLOSE] = "close",     [ACT_PROBE] = "probe",
    [ACT_CLAIM] = "claim", [ACT_READ] = "read",       [ACT_PUBLISH] = "publish",
};

const char *const act_addresses[2] = {"127.0.0.1", "2001:db8:ffff:ffff:ffff:ffff:192.168.100.200"};

const int64_t ACT_LEASE_NS = 400 * NS_PER_MS;
const int64_t ACT_LEASE_MOST_NS = 800 * NS_PER_MS;

/* The kill comes between two instructions of this process, so the compiler's order is all that
 * matters. */
static void count(const struct ground *ground) {
    struct stats_row *row = &ground->segment->rows[ground->row];
    stats_add(&row->counter[STAT_hits], 1);
    stats_count_request(row, 0, 200, ACT_LATENCY_US * NS_PER_MS / 1000);
    atomic_signal_fence(memory_order_seq_cst);
    stats_add(&ground->done[ground->row], 1);
}

static void publish(struct segment *segment) {
    static unsigned turn;
    segment_publish_address(segment, ACT_HOST, act_addresses[turn++ % 2]);
}

void act_do(enum act act, const struct ground *ground) {
    struct segment *segment = ground->segment;
    struct breaker_state *breaker = &segment->breaker;
    char address[SEGMENT_ADDRESS_MAX];
    int64_t now = clock_monotonic();
    switch (act) {
    case ACT_COUNT:
        count(ground);
        break;
    case ACT_REFUSED:
        breaker_connect_failed(breaker, E_BACKEND_UNAVAILABLE, now);
        break;
    case ACT_TIMEOUT:
        breaker_timed_out(breaker, now);
        break;
    case ACT_PROVE:
        breaker_prove(breaker, now, now);
        break;
    case ACT_CLOSE:
        breaker_close(breaker);
        break;
    case ACT_PROBE:
        (void)breaker_take_probe(breaker, now, ACT_LEASE_NS);
        break;
    case ACT_CLAIM:
        (void)lease_take(&segment->census.claimed, now, ACT_LEASE_NS, ACT_LEASE_MOST_NS);
        break;
    case ACT_READ:
        (void)segment_read_address(segment, ACT_HOST, address);
        break;
    case ACT_PUBLISH:
        publish(segment);
        break;
    case ACTS:
        break;
    }
}
