/* All clients together: see load.h. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "random.h"

enum {
    LOOK_EVERY_MS = 20,  /* at timeouts */
    BEHIND_MOST_MS = 20, /* what a rate may make up for */
    PREPARATION_TRIES = 100,
};

bool load_init(struct load *l, const struct options *options) {
    *l = (struct load){.options = *options, .dice = options->seed, .begun = clock_now()};
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->clients = calloc(options->connections, sizeof(l->clients[0]));
    if (l->epoll < 0 || l->clients == NULL || !ledger_init(&l->ledger, options->keys, options->tag))
        return false;
    l->ledger.may_vanish = options->may_vanish;
    l->ledger.late_writes = options->late_writes;
    tally_init(&l->tally, l->begun);
    for (uint32_t i = 0; i < options->connections; i++)
        client_init(&l->clients[i], i, l->epoll, options->port);
    l->next_slot = l->begun;
    return true;
}

void load_fini(struct load *l) {
    for (uint32_t i = 0; l->clients != NULL && i < l->options.connections; i++)
        client_fini(&l->clients[i]);
    free(l->clients);
    ledger_fini(&l->ledger);
    tally_fini(&l->tally);
    if (l->epoll >= 0)
        (void)close(l->epoll);
}

/* --- what to ask ----------------------------------------------------------------------------- */

/* Key i is written by the client with the number i modulo the number of clients. */
static uint32_t own_keys(const struct load *l, const struct client *c) {
    uint32_t n = l->options.connections;
    return (l->options.keys - c->number + n - 1) / n;
}

static struct known *own_key(const struct load *l, const struct client *c, uint32_t i) {
    return &l->ledger.keys[c->number + i * l->options.connections];
}

/* The next of its keys that was never stored; NULL if all were, or it has been tried enough. */
static struct known *key_to_prepare(const struct load *l, struct client *c) {
    uint32_t own = own_keys(l, c);
    while (c->prepared < own) {
        struct known *k = own_key(l, c, c->prepared);
        if (!k->ready && c->tries++ < PREPARATION_TRIES)
            return k;
        c->prepared++;
        c->tries = 0;
    }
    return NULL;
}

/* Bytes of filler: most values are small in every mixture, as they are in life. */
static size_t choose_size(struct load *l) {
    static const uint32_t most[][3] = {
        [SIZES_SMALL] = {100, 1000, 1000},
        [SIZES_MIXED] = {1000, 16000, 128000},
        [SIZES_LARGE] = {16000, 256000, 900000},
    };
    uint32_t kind = random_below(&l->dice, 100);
    return random_below(&l->dice, most[l->options.sizes][kind < 80 ? 0 : kind < 97 ? 1 : 2]);
}

static bool choose_raw(struct load *l) {
    if (l->options.target == TARGET_MIXED)
        return random_below(&l->dice, 2) == 0;
    return l->options.target == TARGET_RAW;
}

static bool choose(struct load *l, struct client *c) {
    struct known *k = key_to_prepare(l, c);
    if (k != NULL)
        return request_make(&c->request, PUT, k, choose_raw(l), choose_size(l));
    uint32_t kind = random_below(&l->dice, 100);
    if (kind >= l->options.writes + l->options.deletes) {
        k = &l->ledger.keys[random_below(&l->dice, l->options.keys)];
        return request_make(&c->request, GET, k, choose_raw(l), 0);
    }
    k = own_key(l, c, random_below(&l->dice, own_keys(l, c)));
    if (kind < l->options.writes)
        return request_make(&c->request, PUT, k, choose_raw(l), choose_size(l));
    return request_make(&c->request, DELETE, k, choose_raw(l), 0);
}

/* --- one request ----------------------------------------------------------------------------- */

static void end_request(struct load *l, struct client *c, int64_t now, bool ok) {
    l->busy--;
    if (!tally_end(&l->tally, now, ok, now - c->begun))
        l->short_of_memory = true;
    if (!ok)
        c->not_before = now + l->options.pause_ms * NS_PER_MS;
}

static void note_surplus(struct load *l, const struct client *c) {
    tally_verdict(&l->tally, VERDICT_wrong, "client %u: more bytes than it asked for", c->number);
}

static void note(struct load *l, struct client *c, enum client_result result, int64_t now) {
    switch (result) {
    case CLIENT_ANSWERED: {
        bool ok = request_judge(&c->request, &c->answer, &l->ledger, &l->tally);
        if (!client_rest(c))
            note_surplus(l, c);
        end_request(l, c, now, ok);
        break;
    }
    case CLIENT_FAILED:
        request_fail(&c->request, c->failure, &l->ledger, &l->tally);
        end_request(l, c, now, false);
        break;
    case CLIENT_SURPLUS:
        note_surplus(l, c);
        break;
    default:
        break;
    }
}

/* False if nothing may be sent yet. */
static bool take_slot(struct load *l, int64_t now) {
    if (l->options.rate == 0)
        return true;
    if (l->next_slot > now)
        return false;
    if (l->next_slot < now - BEHIND_MOST_MS * NS_PER_MS)
        l->next_slot = now - BEHIND_MOST_MS * NS_PER_MS;
    l->next_slot += NS_PER_S / l->options.rate;
    return true;
}

static void send_next(struct load *l, struct client *c, int64_t now) {
    if (l->stopping || c->not_before > now || !take_slot(l, now))
        return;
    if (!choose(l, c)) {
        l->short_of_memory = true;
        return;
    }
    l->tally.requests++;
    l->busy++;
    note(l, c, client_start(c, now), now);
}

void load_on_event(struct load *l, struct client *c, uint32_t events) {
    int64_t now = clock_now();
    note(l, c, client_on_event(c, events), now);
    if (c->state == CLIENT_IDLE)
        send_next(l, c, now);
}

/* --- time ------------------------------------------------------------------------------------ */

/* Answers that were checked, right or not. */
static uint64_t checked(const struct tally *t) {
    uint64_t n = t->hits + t->misses;
    for (int v = VERDICT_right + 1; v < VERDICTS; v++)
        n += t->verdicts[v];
    return n;
}

static void check_ends(struct load *l, int64_t now) {
    const struct options *o = &l->options;
    bool enough = o->gets > 0 && checked(&l->tally) >= o->gets;
    bool long_enough = o->seconds > 0 && now - l->begun >= o->seconds * NS_PER_S;
    if (enough || long_enough || l->short_of_memory)
        load_stop(l);
}

static int64_t look_at(struct load *l, struct client *c, int64_t now) {
    int64_t limit = c->begun + l->options.timeout_ms * NS_PER_MS;
    if (c->state != CLIENT_IDLE && now >= limit)
        note(l, c, client_give_up(c, FAILURE_TIMEOUT), now);
    if (c->state == CLIENT_IDLE)
        send_next(l, c, now);
    return c->state == CLIENT_IDLE && c->not_before > now ? c->not_before : INT64_MAX;
}

int load_step(struct load *l) {
    int64_t now = clock_now();
    if (now >= l->next_look || (l->options.rate > 0 && now >= l->next_slot)) {
        int64_t next = now + LOOK_EVERY_MS * NS_PER_MS;
        /* From another one each time, so that a rate gives all of them their turn. */
        uint32_t first = random_below(&l->dice, l->options.connections);
        check_ends(l, now);
        for (uint32_t i = 0; i < l->options.connections; i++) {
            uint32_t at = (first + i) % l->options.connections;
            int64_t due = look_at(l, &l->clients[at], now);
            next = due < next ? due : next;
        }
        if (l->options.rate > 0 && l->next_slot < next && l->next_slot > now)
            next = l->next_slot;
        l->next_look = next;
    }
    int64_t left = l->next_look - clock_now();
    return left <= 0 ? 0 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

void load_set_rate(struct load *l, uint32_t rate) {
    l->options.rate = rate;
    l->next_slot = clock_now();
    l->next_look = l->next_slot;
}

void load_stop(struct load *l) {
    if (!l->stopping)
        l->ended = clock_now();
    l->stopping = true;
}

bool load_is_over(const struct load *l) {
    return l->stopping && l->busy == 0;
}
