/* The calls that wait for Redis, in the order of their commands: see store_impl.h. */
#include "base/clock.h"
#include "redis/store_impl.h"

enum {
    UNSENT_MAX = 4 << 20,     /* bytes of commands that Redis has not taken yet */
    EXPECTED_MAX = 16 << 20,  /* bytes of replies, as they are thought to become */
    REPLY_FEARED = 512 << 10, /* what a reply is thought to have after some never came */
};

/* --- beginning and end ----------------------------------------------------------------------- */

void calls_push(struct store *s, struct call *call, int64_t now) {
    int64_t size_ms = (int64_t)((call->to - call->from) / DEADLINE_BYTES_PER_MS);
    call->deadline = now + (s->config->redis_timeout + size_ms) * NS_PER_MS;
    call->committed = now;
    call->received = s->received;
    call_queue_push(&s->waiting, call);
    s->expected += call->wanted;
}

struct call *store_next_done(struct store *s) {
    return call_queue_pop(&s->done);
}

static void fail_first(struct store *s, enum error e) {
    struct call *call = calls_pop(s);
    call->error = e;
    call->outcome_known = s->sent <= call->from;
    calls_done(s, call);
}

void calls_fail_all(struct store *s, enum error e) {
    while (s->waiting.first != NULL)
        fail_first(s, e);
    outqueue_reset(&s->out);
    s->appended = s->sent = 0;
}

void calls_fail_sent(struct store *s, enum error e) {
    while (s->waiting.first != NULL && s->waiting.first->from < s->sent)
        fail_first(s, e);
    if (s->waiting.first == NULL) {
        calls_fail_all(s, e);
        return;
    }
    /* The rest of a command that had left in part. */
    outqueue_skip(&s->out, (size_t)(s->waiting.first->from - s->sent));
    s->sent = s->waiting.first->from;
}

bool calls_are_split(const struct store *s) {
    const struct call *call = s->waiting.first;
    while (call != NULL && call->to <= s->sent)
        call = call->next;
    return call != NULL && call->from < s->sent;
}

/* --- how much -------------------------------------------------------------------------------- */

void calls_fear_size(struct store *s) {
    if (s->reply_bytes < REPLY_FEARED)
        s->reply_bytes = REPLY_FEARED;
}

bool store_is_full(const struct store *s) {
    return s->out.unsent >= UNSENT_MAX || s->expected * s->reply_bytes >= EXPECTED_MAX;
}

size_t store_unsent_bytes(const struct store *s) {
    return s->out.unsent;
}
