/* The circuit breaker: see breaker.h. All times are clock_monotonic. */
#include "redis/breaker.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    PROBE_MS_LEAST = 100,
    PROBE_MS_SPREAD = 150,
    TIMEOUT_PAIR_MS = 1000,
    SKEW_MS = 1000, /* a worker's reading of the clock is from the start of its turn */
};

enum breaker_position breaker_position(const struct breaker_state *b) {
    uint32_t state = atomic_load_explicit(&b->state, memory_order_acquire);
    return state > BREAKER_OPEN ? BREAKER_OPEN : (enum breaker_position)state;
}

enum error breaker_reason(const struct breaker_state *b) {
    if (breaker_position(b) == BREAKER_CLOSED)
        return OK;
    uint32_t reason = atomic_load_explicit(&b->reason, memory_order_relaxed);
    return reason == OK || reason >= ERROR_COUNT ? E_BACKEND_UNAVAILABLE : (enum error)reason;
}

/* Workers that lost Redis at the same moment must not come back at the same moment. */
static int64_t next_probe(int64_t now) {
    static unsigned seed = 0;
    if (seed == 0)
        seed = (unsigned)now ^ (unsigned)getpid();
    return now + (PROBE_MS_LEAST + rand_r(&seed) % PROBE_MS_SPREAD) * NS_PER_MS;
}

static void open_to(struct breaker_state *b, enum breaker_position position, enum error reason,
                    int64_t now) {
    atomic_store_explicit(&b->reason, (uint32_t)reason, memory_order_relaxed);
    atomic_store_explicit(&b->probe_after, next_probe(now), memory_order_relaxed);
    if (breaker_position(b) == BREAKER_CLOSED)
        atomic_store_explicit(&b->opened, now, memory_order_relaxed);
    atomic_store_explicit(&b->state, (uint32_t)position, memory_order_release);
}

void breaker_connect_failed(struct breaker_state *b, enum error reason, int64_t now) {
    enum breaker_position position = breaker_position(b);
    open_to(b, position == BREAKER_OPEN ? BREAKER_OPEN : BREAKER_NO_ENTRY, reason, now);
}

void breaker_timed_out(struct breaker_state *b, int64_t now) {
    int64_t last = atomic_exchange_explicit(&b->last_timeout, now, memory_order_relaxed);
    if (last != 0 && clock_is_near(now, last, TIMEOUT_PAIR_MS * NS_PER_MS))
        open_to(b, BREAKER_OPEN, E_BACKEND_TIMEOUT, now);
}

void breaker_close(struct breaker_state *b) {
    atomic_store_explicit(&b->last_timeout, 0, memory_order_relaxed);
    atomic_store_explicit(&b->state, BREAKER_CLOSED, memory_order_release);
}

void breaker_prove(struct breaker_state *b, int64_t asked, int64_t now) {
    int64_t opened = atomic_load_explicit(&b->opened, memory_order_relaxed);
    if (breaker_position(b) == BREAKER_OPEN && (asked > opened || opened > now))
        breaker_close(b);
}

bool breaker_take_probe(struct breaker_state *b, int64_t now, int64_t lease_ns) {
    const int64_t spread = (PROBE_MS_LEAST + PROBE_MS_SPREAD) * NS_PER_MS;
    int64_t longest = (lease_ns > spread ? lease_ns : spread) + SKEW_MS * NS_PER_MS;
    int64_t after = atomic_load_explicit(&b->probe_after, memory_order_relaxed);
    /* Nobody sets it further ahead than that. What is there then is damage, and must not keep Redis
     * away for ever. */
    if (now < after && after - now <= longest)
        return false;
    return atomic_compare_exchange_strong_explicit(&b->probe_after, &after, now + lease_ns,
                                                   memory_order_acq_rel, memory_order_relaxed);
}
