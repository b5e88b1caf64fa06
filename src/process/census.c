/* Counting keys in the background: see census.h. */
#include "process/census.h"

#include "base/clock.h"
#include "base/digest.h"

enum {
    STEP_NAMES = 250, /* names that Redis looks at in a step: about 0.1 ms */
    TICK_STEPS = 10,  /* steps from one tick to the next: 25,000 names a second */
    WANTED_S = 60,    /* how long an answer to somebody is kept fresh */
    FRESH_S = 10,     /* how old it may be */
    LEASE_S = 2,      /* without a step for so long, another worker may count */
};

void census_init(struct census *c, struct service *service) {
    *c = (struct census){.service = service};
}

void census_fini(struct census *c) {
    call_fini(&c->call);
    arena_fini(&c->arena);
}

static int64_t load(_Atomic int64_t *v) {
    return atomic_load_explicit(v, memory_order_relaxed);
}

static bool is_within(int64_t then, int64_t now, int64_t seconds) {
    return then != 0 && clock_is_near(now, then, seconds * NS_PER_S);
}

/* The right to count; it expires by itself if its owner dies. Further ahead than a lease nobody
 * sets it: that is damage, and nobody's right. */
static bool claim(struct census_state *state, int64_t now) {
    int64_t claimed = load(&state->claimed);
    bool taken = claimed > now && claimed - now <= 2 * LEASE_S * NS_PER_S;
    return !taken && atomic_compare_exchange_strong_explicit(
                         &state->claimed, &claimed, now + LEASE_S * NS_PER_S, memory_order_acq_rel,
                         memory_order_relaxed);
}

static void step(struct census *c) {
    struct service *service = c->service;
    struct census_state *state = &service->segment->census;
    if (store_begin(service->store, &c->call, service->now) != OK) {
        c->counting = false;
        return;
    }
    keyscan_append(&c->scan, service->store, &c->call, STEP_NAMES, true);
    store_commit(service->store, &c->call, service->now);
    c->asking = true;
    c->steps++;
    atomic_store_explicit(&state->claimed, service->now + LEASE_S * NS_PER_S, memory_order_relaxed);
}

static uint64_t prefix_hash(const struct census *c) {
    return digest_xxh64(slice_of(c->service->config->key_prefix), 0);
}

static bool is_counted(const struct census *c) {
    return atomic_load_explicit(&c->service->segment->census.prefix, memory_order_relaxed) ==
           prefix_hash(c);
}

static void begin(struct census *c) {
    struct census_state *state = &c->service->segment->census;
    struct slice prefix = slice_of(c->service->config->key_prefix);
    int64_t now = c->service->now;
    if (prefix.n == 0 || !is_within(load(&state->wanted), now, WANTED_S) ||
        (is_counted(c) && is_within(load(&state->counted), now, FRESH_S)) || !claim(state, now))
        return;
    arena_reset(&c->arena);
    c->scan.pattern = keyscan_pattern(&c->arena, prefix, (struct slice){0});
    c->keys = 0;
    c->counting = c->scan.pattern.n > 0 && keyscan_begin(&c->scan, (struct slice){0}) == OK;
}

void census_tick(struct census *c) {
    c->steps = 0;
    if (!c->counting)
        begin(c);
    if (c->counting && !c->asking)
        step(c);
}

/* The names of tags are ours, too, but no keys. */
static bool is_key(struct slice name, struct slice prefix) {
    return name.n > prefix.n && name.p[prefix.n] != '\xff';
}

static void finish(struct census *c) {
    struct census_state *state = &c->service->segment->census;
    c->counting = false;
    atomic_store_explicit(&state->keys, c->keys, memory_order_relaxed);
    atomic_store_explicit(&state->prefix, prefix_hash(c), memory_order_relaxed);
    atomic_store_explicit(&state->counted, c->service->now, memory_order_release);
    atomic_store_explicit(&state->claimed, 0, memory_order_relaxed);
}

bool census_take(struct census *c, struct call *done) {
    const struct reply *names;
    struct slice prefix = slice_of(c->service->config->key_prefix);
    if (done != &c->call)
        return false;
    c->asking = false;
    if (done->error != OK ||
        !keyscan_take(&c->scan, &done->replies, replies_get(&done->replies, 0), &names)) {
        c->counting = false;
        return true;
    }
    for (int64_t i = 1; i <= names->integer; i++)
        c->keys += is_key(replies_bytes(&done->replies, &names[i]), prefix);
    if (keyscan_is_over(&c->scan))
        finish(c);
    else if (c->steps < TICK_STEPS)
        step(c);
    return true;
}
