/*
 * The circuit breaker: what the workers know together about Redis. While it is open a request that
 * needs Redis is refused at once instead of waiting out a deadline, and one worker at a time tries
 * to reconnect. The state lives in the shared segment and survives any worker's death: the right
 * to probe is a time stamp moved by compare-and-swap, so a dead prober's right simply expires.
 * Whatever stands in it, by damage too, Redis is tried again within a lease: no word of it is
 * believed further than that.
 */
#ifndef LARDER_REDIS_BREAKER_H
#define LARDER_REDIS_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/segment.h"

enum breaker_position {
    BREAKER_CLOSED,   /* Redis is thought to be well */
    BREAKER_NO_ENTRY, /* a connection or handshake failed: who has a working one may go on */
    BREAKER_OPEN,     /* Redis stopped answering: nobody uses it */
};

enum breaker_position breaker_position(const struct breaker_state *b);

/* What opened it; OK while it is closed. */
enum error breaker_reason(const struct breaker_state *b);

/* A connection attempt failed for `reason`. Opens it, or keeps it open, and sets the next probe
 * 100 to 250 ms ahead. */
void breaker_connect_failed(struct breaker_state *b, enum error reason, int64_t now);

/* A command's deadline passed. Opens it if it is the second one within a second. */
void breaker_timed_out(struct breaker_state *b, int64_t now);

/* A handshake succeeded. */
void breaker_close(struct breaker_state *b);

/* A connection that was there all along answered, at `now`, what it was asked at `asked`. Closes
 * the breaker if it had been opened before that: who opened it may be gone, and while everybody is
 * connected nobody probes. Not out of NO_ENTRY, which is about new connections. */
void breaker_prove(struct breaker_state *b, int64_t asked, int64_t now);

/* Takes the right to probe for `lease_ns`; false if it isn't time yet or another worker has it. */
bool breaker_take_probe(struct breaker_state *b, int64_t now, int64_t lease_ns);

#endif
