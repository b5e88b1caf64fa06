/* Whether Redis lives, and its replies are those that were asked for: see store_impl.h. */
#include "base/clock.h"
#include "base/decimal.h"
#include "redis/breaker.h"
#include "redis/store_impl.h"

enum {
    IDLE_PING_MS = 500, /* how soon a Redis that hangs is noticed without a request */
    BUSY_PING_MS = 100, /* how soon it is noticed that replies are not those that were asked for, */
    BUSY_PING_COMMANDS = 128, /* ... and after how many */
};

/* An idle Redis is asked whether it is alive; with the breaker open, when nobody else will ask it
 * anything, at once. A busy one is asked something that has one answer only: while there is always
 * something under way, one reply too many or too few would never show. */
static bool ping_is_due(const struct store *s, int64_t now) {
    if (s->pinging)
        return false;
    if (s->waiting.first != NULL)
        return s->unproved >= BUSY_PING_COMMANDS || now - s->pinged >= BUSY_PING_MS * NS_PER_MS;
    return now - s->last_reply >= IDLE_PING_MS * NS_PER_MS ||
           breaker_position(&s->segment->breaker) == BREAKER_OPEN;
}

static void put_ping(struct store *s, int64_t now) {
    char digits[DECIMAL_MAX];
    struct slice number = {digits, decimal_put(digits, ++s->ping_number)};
    call_reset(&s->ping);
    s->ping.from = s->ping.to = s->appended;
    s->mark = outqueue_mark(&s->out);
    store_append(s, &s->ping, (struct slice[]){SLICE("PING"), number}, 2);
    s->pinging = true;
    s->pinged = now;
    s->unproved = 0;
    store_commit(s, &s->ping, now);
}

void ping_if_due(struct store *s, int64_t now) {
    if (ping_is_due(s, now))
        put_ping(s, now);
}

/* A reply that is another command's, early or late by however many, is not this number. */
bool ping_is_answered(const struct store *s) {
    char digits[DECIMAL_MAX];
    const struct reply *r = replies_get(&s->ping.replies, 0);
    struct slice number = {digits, decimal_put(digits, s->ping_number)};
    return r->type == REPLY_ERROR ||
           (r->type == REPLY_STRING && slice_eq(replies_bytes(&s->ping.replies, r), number));
}
