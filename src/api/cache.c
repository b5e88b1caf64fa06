/* /cache and /cache/{key}: get, put, delete, clear. The value is text all the way: what the client
 * wrote between the colon and the comma is what Redis keeps and what the next GET gives back. */

#include "api/envelope.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/jsontext.h"
#include "base/utf8.h"
#include "cache/ttl.h"
#include "http/media.h"
#include "http/problem.h"

/* --- writing the envelope -------------------------------------------------------------------- */

static void put_timestamp(struct buf *body) {
    char text[CLOCK_TIMESTAMP_BYTES];
    clock_format(clock_realtime(), text);
    buf_puts(body, ",\"timestamp\":\"");
    buf_put(body, text, sizeof(text));
    buf_puts(body, "\"}");
}

static void begin_document(struct request *r) {
    response_json(&r->response, 200);
    buf_puts(&r->response.body, "{\"key\":");
    jsontext_put_string(&r->response.body, key_slice(&r->key));
}

/* `pttl` is in milliseconds; negative: the entry does not expire. */
static void end_envelope(struct request *r, int64_t pttl) {
    struct buf *body = &r->response.body;
    buf_puts(body, ",\"ttl\":");
    if (pttl < 0)
        buf_puts(body, "null");
    else
        buf_put_int(body, ttl_seconds_left(pttl));
    put_timestamp(body);
}

/* What another program wrote to Redis need not be JSON: text becomes a JSON string, anything else
 * base64 and a member that says so. */
static void put_value(struct request *r, struct slice stored) {
    struct buf *body = &r->response.body;
    struct slice value;
    buf_puts(body, ",\"value\":");
    if (jsontext_check(stored, &value, NULL) == OK) {
        response_splice(&r->response, value);
    } else if (utf8_valid(stored)) {
        jsontext_put_string(body, stored);
    } else {
        jsontext_put_base64(body, stored);
        buf_puts(body, ",\"encoding\":\"base64\"");
    }
}

/* --- GET ------------------------------------------------------------------------------------- */

/*
 * The value is asked for as GETRANGE: it costs Redis what GET does, and what another program may
 * have stored under the key, up to 512 MiB, never comes in whole. GETRANGE says "" for no key too:
 * PTTL tells the two apart, but as another command at another moment, so where it says that there
 * is a key, GET has the last word.
 */
enum { READ_MAX = 8 << 20, NO_EXPIRY = -1, NO_KEY = -2 /* PTTL's special answers */ };
#define READ_LAST "8388608" /* index of the last byte: one more than READ_MAX can come */

static enum step ask(struct request *r, const struct slice *command, size_t n) {
    struct store *store = r->service->store;
    enum error e = store_begin(store, &r->call, r->service->now);
    if (e != OK)
        return problem_refused(r, e);
    store_append(store, &r->call, command, n);
    store_append(store, &r->call, (struct slice[]){SLICE("PTTL"), key_slice(&r->key)}, 2);
    store_commit(store, &r->call, r->service->now);
    return STEP_WAIT;
}

enum step cache_get_plan(struct request *r) {
    return ask(
        r, (struct slice[]){SLICE("GETRANGE"), key_slice(&r->key), SLICE("0"), SLICE(READ_LAST)},
        4);
}

static enum step ask_again(struct request *r) {
    r->asked_again = true;
    return ask(r, (struct slice[]){SLICE("GET"), key_slice(&r->key)}, 2);
}

static enum step answer_miss(struct request *r) {
    enum step step = problem(r, E_KEY_NOT_FOUND, NULL);
    r->response.lookup = LOOKUP_MISS;
    return step;
}

static enum step answer_hit(struct request *r, struct slice stored, int64_t pttl) {
    begin_document(r);
    put_value(r, stored);
    end_envelope(r, pttl);
    response_field(&r->response, "Cache-Control", SLICE("private, no-cache"));
    r->response.lookup = LOOKUP_HIT;
    return STEP_ANSWER;
}

enum step cache_get_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *value = replies_get(&r->call.replies, 0);
    const struct reply *pttl = replies_get(&r->call.replies, 1);
    /* GETRANGE has no nil: one would be somebody else's reply. */
    if (value->type == REPLY_NIL && r->asked_again)
        return answer_miss(r);
    if (value->type != REPLY_STRING)
        return problem_reply(r, value);
    if (pttl->type != REPLY_INTEGER)
        return problem_reply(r, pttl);
    if (pttl->integer == NO_KEY)
        return answer_miss(r);
    if (value->n == 0 && !r->asked_again)
        return ask_again(r);
    if (value->n > READ_MAX)
        return problem(r, E_ENTRY_TOO_LARGE, NULL);
    return answer_hit(r, replies_bytes(&r->call.replies, value),
                      pttl->integer == NO_EXPIRY ? -1 : pttl->integer);
}

/* --- PUT ------------------------------------------------------------------------------------- */

enum step cache_put_plan(struct request *r) {
    struct store *store = r->service->store;
    struct envelope_fault fault;
    enum error e = envelope_read(r, &fault);
    if (e != OK)
        return problem(r, e, fault.detail[0] != '\0' ? fault.detail : NULL);

    e = store_begin(store, &r->call, r->service->now);
    if (e != OK)
        return problem_refused(r, e);
    char seconds[DECIMAL_MAX];
    size_t n = decimal_put(seconds, (uint64_t)r->ttl);
    struct slice set[] = {SLICE("SET"), key_slice(&r->key), r->value, SLICE("EX"), {seconds, n}};
    store_append(store, &r->call, set, r->ttl > 0 ? 5 : 3);
    store_commit(store, &r->call, r->service->now);
    return STEP_WAIT;
}

enum step cache_put_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *set = replies_get(&r->call.replies, 0);
    if (set->type != REPLY_STATUS)
        return problem_reply(r, set);
    stats_add(&r->service->row->counter[STAT_stores], 1);
    begin_document(r);
    if (r->value_is_bytes) {
        put_value(r, r->value);
    } else {
        buf_puts(&r->response.body, ",\"value\":");
        response_splice(&r->response, r->value);
    }
    end_envelope(r, r->ttl > 0 ? r->ttl * 1000 : -1);
    return STEP_ANSWER;
}

/* --- DELETE ---------------------------------------------------------------------------------- */

enum step cache_delete_plan(struct request *r) {
    struct store *store = r->service->store;
    enum error e = store_begin(store, &r->call, r->service->now);
    if (e != OK)
        return problem_refused(r, e);
    store_append(store, &r->call, (struct slice[]){SLICE("UNLINK"), key_slice(&r->key)}, 2);
    store_commit(store, &r->call, r->service->now);
    return STEP_WAIT;
}

enum step cache_delete_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *removed = replies_get(&r->call.replies, 0);
    if (removed->type != REPLY_INTEGER)
        return problem_reply(r, removed);
    if (removed->integer == 0)
        return problem(r, E_KEY_NOT_FOUND, NULL);
    stats_add(&r->service->row->counter[STAT_deletes], 1);
    begin_document(r);
    buf_puts(&r->response.body, ",\"deleted\":true");
    put_timestamp(&r->response.body);
    return STEP_ANSWER;
}

enum step cache_clear_plan(struct request *r) {
    struct store *store = r->service->store;
    enum error e = store_begin(store, &r->call, r->service->now);
    if (e != OK)
        return problem_refused(r, e);
    /* ASYNC: freeing a million entries must not hold up everybody else's commands. */
    store_append(store, &r->call, (struct slice[]){SLICE("FLUSHDB"), SLICE("ASYNC")}, 2);
    store_commit(store, &r->call, r->service->now);
    return STEP_WAIT;
}

enum step cache_clear_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *flushed = replies_get(&r->call.replies, 0);
    if (flushed->type != REPLY_STATUS)
        return problem_reply(r, flushed);
    stats_add(&r->service->row->counter[STAT_clears], 1);
    response_json(&r->response, 200);
    buf_puts(&r->response.body, "{\"cleared\":true");
    put_timestamp(&r->response.body);
    return STEP_ANSWER;
}
