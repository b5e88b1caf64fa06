/*
 * The shared segment with anything in it, as after a worker gone astray: whoever reads it must stay
 * within it, must not fail, and must still give answers that can be read; and once Redis and the
 * rows' owners write to it again, the service works.
 *
 * An input is changes: two bytes that say where, one that says which eight bytes.
 */
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "answer.h"
#include "base/clock.h"
#include "fuzz.h"
#include "house.h"
#include "process/acceptor.h"
#include "process/census.h"
#include "redis/breaker.h"

enum { CHANGES_MAX = 64, WORDS_MAX = 16 };

static struct house *house;
static struct request request;
static struct inherit inherit;
static int bells[HOUSE_ROWS];

/* --- changes -----------------------------------------------------------------------------------
 */

/* Some of the eight bytes: times are nanoseconds, and those near the ends are the hard ones. */
static uint64_t value_of(unsigned kind, struct slice *input) {
    int64_t now = house->service.now;
    switch (kind % 8) {
    case 0:
        return (uint64_t)INT64_MAX;
    case 1:
        return (uint64_t)INT64_MIN;
    case 2:
        return UINT64_MAX;
    case 3:
        return (uint64_t)now + fuzz_byte(input) * (uint64_t)NS_PER_S;
    case 4:
        return (uint64_t)(now - (int64_t)fuzz_byte(input) * NS_PER_S);
    case 5:
        return fuzz_byte(input);
    case 6:
        return (uint64_t)fuzz_byte(input) << 32 | fuzz_byte(input);
    default:
        return fuzz_word(input);
    }
}

static void change(struct slice *input) {
    char *bytes = (char *)house->service.segment;
    size_t size = sizeof(struct segment) + HOUSE_ROWS * sizeof(struct stats_row);
    /* Half of them hit the header and the gauges of the first rows. */
    size_t at = fuzz_byte(input) << 8;
    at |= fuzz_byte(input);
    at = at % 2 == 0 ? at * 4 % size : at / 2 % (sizeof(struct segment) + 64);
    uint64_t v = value_of(fuzz_byte(input), input);
    size_t n = size - at < sizeof(v) ? size - at : sizeof(v);
    memcpy(bytes + at, &v, n);
}

/* --- readers -----------------------------------------------------------------------------------
 */

static void play_redis(void) {
    struct slice words[WORDS_MAX];
    house_listen(house);
    while (house_command(house, words, WORDS_MAX) > 0) {
        bool pings = slice_eq(words[0], SLICE("PING"));
        struct slice reply = slice_eq(words[0], SLICE("INFO"))
                                 ? SLICE("$15\r\nused_memory:1\r\n\r\n")
                                 : SLICE(":5\r\n");
        char text[64];
        if (pings)
            reply = (struct slice){text, (size_t)snprintf(text, sizeof(text), "$%zu\r\n%.*s\r\n",
                                                          words[1].n, (int)words[1].n, words[1].p)};
        if (house->peer >= 0)
            (void)house_say(house, reply);
    }
}

static struct answer get(const char *target) {
    static struct buf text;
    struct request_params params = {.method = SLICE("GET"), .target = slice_of(target)};
    request_reset(&request);
    enum step step = request_start(&request, &params, (struct slice){0}, false);
    for (int i = 0; step == STEP_WAIT && i < 20; i++) {
        play_redis();
        struct call *done = store_next_done(house->service.store);
        if (done != NULL) {
            step = request_continue(&request);
            continue;
        }
        house->service.now += 200 * NS_PER_MS;
        store_tick(house->service.store, house->service.now);
    }
    need(step == STEP_ANSWER);
    text.n = 0;
    response_put_head(&request.response, &text);
    buf_put_slice(&text, buf_slice(&request.response.body));
    return answer_check(buf_slice(&text), false);
}

static void check_readers(void) {
    static const char *const targets[] = {"/health", "/health/ready", "/health/live", "/stats",
                                          "/metrics"};
    struct segment *segment = house->service.segment;
    char address[SEGMENT_ADDRESS_MAX];
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        struct answer answer = get(targets[i]);
        need(answer.status == 200 || answer.status == 503);
    }
    if (segment_read_address(segment, "localhost", address))
        need(strnlen(address, sizeof(address)) < sizeof(address));
    need(breaker_position(&segment->breaker) <= BREAKER_OPEN);
    need(error_info(breaker_reason(&segment->breaker)) != NULL);
}

static void check_workers(void) {
    struct round round = {.service = house->service};
    struct acceptor acceptor = {.inherit = &inherit, .epoll = house->epoll};
    int64_t now = house->service.now;
    for (uint32_t connections = 0; connections < 4; connections++) {
        round.connections = connections;
        acceptor_balance(&acceptor, &round, now);
    }
    acceptor_stop(&acceptor);
}

static void check_census(void) {
    struct census census;
    census_init(&census, &house->service);
    for (int i = 0; i < 3; i++) {
        house->service.now += 100 * NS_PER_MS;
        census_tick(&census);
    }
    /* Its call, if it is out, must come back before it goes. */
    for (int i = 0; i < 20 && census.asking; i++) {
        struct call *done = store_next_done(house->service.store);
        if (done != NULL)
            need(census_take(&census, done));
        house->service.now += 200 * NS_PER_MS;
        store_tick(house->service.store, house->service.now);
    }
    need(!census.asking);
    census_fini(&census);
}

static bool is_served(const struct store *store) {
    return store_get_status(store).ready &&
           breaker_position(&house->service.segment->breaker) != BREAKER_OPEN;
}

/* Nothing that stands there keeps a Redis that is well away for good. */
static void check_recovery(void) {
    struct store *store = house->service.store;
    for (int i = 0; i < 1500 && !is_served(store); i++) {
        house->service.now += 100 * NS_PER_MS;
        store_tick(store, house->service.now);
        if (house_accept(house)) {
            house_listen(house);
            house->said.n = 0;
            (void)house_greet(house);
        }
        play_redis();
    }
    need(is_served(store));
    need(get("/health").status == 200);
}

static void set_up(void) {
    house = house_open("p:");
    if (request.service != NULL)
        return;
    request_init(&request, &house->service);
    for (int i = 0; i < HOUSE_ROWS; i++)
        bells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    need(pass_open(&inherit.pass) == OK);
    inherit.config = &house->config;
    inherit.routes = house->service.routes;
    inherit.segment = house->service.segment;
    inherit.listener = house->listener;
    inherit.bells = bells;
    inherit.rows = HOUSE_ROWS;
    inherit.row = SEGMENT_FIRST_WORKER_ROW;
}

void fuzz_segment(struct slice input) {
    set_up();
    house_renew(house);
    if (fuzz_below(&input, 2) == 0)
        house_connect(house);
    for (int i = 0; i < CHANGES_MAX && input.n > 0; i++)
        change(&input);
    check_workers();
    check_readers();
    check_census();
    check_recovery();
}
