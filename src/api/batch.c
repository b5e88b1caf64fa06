/*
 * POST /batch: many operations, each with the answer it would have had alone. The commands of all
 * of them go to Redis together, so most batches are one round trip. What needs another round gets
 * it, and what is asked of a key that an operation before it is not done with waits for that:
 * operations on one key happen in the order they were sent in.
 */
#include "api/envelope.h"
#include "api/handlers.h"
#include "api/single.h"
#include "api/view.h"
#include "base/jsontext.h"
#include "http/problem.h"

enum {
    ROUND_ITEMS = 1024,      /* under way at once: each may bring OP_PROBE_BYTES */
    ROUND_LARGE = 4,         /* ... of which so many may bring an entry of any size */
    RESULT_BYTES = 32 << 20, /* values in one answer */
    /* The answer itself: with keys, tags, and what bytes take as a string, up to six for one. */
    ANSWER_BYTES = RESULT_BYTES + RESULT_BYTES / 4,
    /* In memory besides the document: reads alone hardly bring more, with a probe for each value,
     * and with a probe and a header taken apart for those under way. */
    KEPT_BYTES = 2 * RESULT_BYTES + ROUND_ITEMS * (OP_PROBE_BYTES + ENTRY_HEADER_MAX),
};

enum item_state { ITEM_WAITING, ITEM_RUNNING, ITEM_DONE };

struct item {
    struct op op;
    struct item
        *same_key;      /* the one before it that has the same key and may not be done, or NULL */
    struct slice key;   /* as clients know it */
    const char *detail; /* of op.error, if the table's is not precise enough; or NULL */
    enum item_state state;
    bool asked; /* its commands are in the present round */
};

/* What r->job points to. */
struct batch {
    struct item *items;
    size_t count;
    size_t first;   /* those before it are done */
    size_t started; /* those from here on have not begun */
    size_t done;
    size_t results; /* bytes of the values that were read */
    bool full;      /* one more did not fit */
    size_t bytes;   /* that the arena held before anything was asked */
};

/* --- the document ---------------------------------------------------------------------------- */

static struct slice item_name(struct request *r, struct slice key) {
    size_t prefix = r->key.prefix;
    char *name = arena_take(&r->arena, prefix + key.n);
    if (name == NULL)
        return (struct slice){0};
    memcpy(name, r->key.bytes, prefix);
    memcpy(name + prefix, key.p, key.n);
    return (struct slice){name, prefix + key.n};
}

static enum error read_key(struct request *r, const struct envelope *envelope, struct item *item,
                           struct envelope_fault *fault) {
    bool valid = true;
    struct slice key = envelope_get_string(envelope, ENVELOPE_KEY, &r->arena, &valid);
    if (!valid) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "Every operation has a member \"key\", a string.");
        return E_SCHEMA_VIOLATION;
    }
    enum error e = key_check(key);
    if (e != OK)
        return e;
    item->key = key;
    item->op.name = item_name(r, key);
    return OK;
}

static enum error read_condition(struct request *r, const struct envelope *envelope,
                                 enum envelope_member member, struct condition *condition) {
    bool valid = true;
    if (envelope->text[member].n == 0)
        return OK;
    struct slice text = envelope_get_string(envelope, member, &r->arena, &valid);
    return valid ? condition_parse(text, condition) : E_INVALID_PRECONDITION;
}

static enum error read_method(const struct envelope *envelope, struct item *item,
                              struct envelope_fault *fault) {
    struct slice method = envelope->text[ENVELOPE_METHOD];
    if (slice_eq(method, SLICE("\"GET\""))) {
        item->op.kind = OP_READ;
    } else if (slice_eq(method, SLICE("\"PUT\""))) {
        item->op.kind = OP_WRITE;
    } else if (slice_eq(method, SLICE("\"DELETE\""))) {
        item->op.kind = OP_REMOVE;
    } else {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "An operation's method is \"GET\", \"PUT\" or \"DELETE\".");
        return E_SCHEMA_VIOLATION;
    }
    return OK;
}

static enum error read_item(struct request *r, struct slice text, struct item *item,
                            struct envelope_fault *fault) {
    struct envelope envelope;
    enum error e = envelope_read(text, &envelope_operation, &envelope, fault);
    if (e == OK)
        e = read_method(&envelope, item, fault);
    if (e == OK)
        e = read_key(r, &envelope, item, fault);
    if (e == OK)
        e = read_condition(r, &envelope, ENVELOPE_IF_MATCH, &item->op.if_match);
    if (e == OK)
        e = read_condition(r, &envelope, ENVELOPE_IF_NONE_MATCH, &item->op.if_none_match);
    if (e == OK && item->op.kind == OP_WRITE)
        e = envelope_get_entry(&envelope, r->service->config, &r->arena, &item->op, fault);
    return e;
}

static void finish_item(struct batch *batch, struct item *item, enum error e) {
    item->op.error = e;
    if (item->detail == NULL)
        item->detail = single_detail(&item->op);
    item->state = ITEM_DONE;
    batch->done++;
}

static void read_items(struct request *r, struct slice array, struct batch *batch) {
    struct envelope_fault fault;
    struct slice text;
    for (size_t i = 0; i < batch->count && jsontext_next_element(&array, &text); i++) {
        struct item *item = &batch->items[i];
        *item = (struct item){.op.probes = true};
        enum error e = read_item(r, text, item, &fault);
        if (e == OK)
            continue;
        if (fault.detail[0] != '\0')
            item->detail =
                arena_copy(&r->arena, (struct slice){fault.detail, strlen(fault.detail) + 1}).p;
        finish_item(batch, item, e);
    }
}

/* Tells each item which one before it has its key. A hash table, since batches are long. */
static void link_items(struct request *r, struct batch *batch) {
    size_t slots = 16;
    while (slots < 2 * batch->count)
        slots *= 2;
    struct item **table = arena_take(&r->arena, slots * sizeof(struct item *));
    if (table == NULL)
        return;
    memset(table, 0, slots * sizeof(struct item *));
    /* Where memory lies is nobody's to know, so keys can't be chosen to collide. */
    uint64_t seed = (uint64_t)(uintptr_t)table;
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        size_t slot = digest_xxh64(item->key, seed) & (slots - 1);
        while (table[slot] != NULL && !slice_eq(table[slot]->key, item->key))
            slot = (slot + 1) & (slots - 1);
        item->same_key = table[slot];
        table[slot] = item;
    }
}

static size_t count_elements(struct slice array) {
    struct slice element;
    size_t n = 0;
    while (jsontext_next_element(&array, &element))
        n++;
    return n;
}

static enum error refuse(struct envelope_fault *fault, enum error e, long long most) {
    if (e == E_BATCH_TOO_LARGE)
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "A batch has at most %lld operations (batch_max).", most);
    else
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "\"operations\" is an array of at least one operation.");
    return e;
}

static enum error read_batch(struct request *r, struct batch *batch, struct envelope_fault *fault) {
    struct envelope envelope;
    long long most = (long long)r->service->config->batch_max;
    enum error e = envelope_check_headers(r, &envelope_batch, fault);
    if (e == E_VALUE_TOO_LARGE) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "A batch has at most max_value bytes, %lld, and a little more.",
                       (long long)r->service->config->max_value);
        e = E_BATCH_TOO_LARGE;
    }
    if (e == OK)
        e = envelope_read(r->body, &envelope_batch, &envelope, fault);
    if (e != OK)
        return e;
    struct slice array = envelope.text[ENVELOPE_OPERATIONS];
    if (array.n == 0 || array.p[0] != '[')
        return refuse(fault, E_SCHEMA_VIOLATION, most);
    batch->count = count_elements(array);
    if (batch->count == 0)
        return refuse(fault, E_SCHEMA_VIOLATION, most);
    if (batch->count > (size_t)most)
        return refuse(fault, E_BATCH_TOO_LARGE, most);
    batch->items = arena_take(&r->arena, batch->count * sizeof(*batch->items));
    if (batch->items == NULL)
        return E_OUT_OF_MEMORY;
    read_items(r, array, batch);
    link_items(r, batch);
    batch->bytes = r->arena.bytes;
    return arena_failed(&r->arena) ? E_OUT_OF_MEMORY : OK;
}

/* --- the answer ------------------------------------------------------------------------------ */

static void put_etag(struct buf *body, const struct op *op) {
    if (!op->has_etag)
        return;
    buf_put_slice(body, SLICE(",\"etag\":\"\\\""));
    buf_put(body, op->etag, sizeof(op->etag));
    buf_put_slice(body, SLICE("\\\"\""));
}

static void put_failure(struct buf *body, const struct item *item) {
    const struct error_info *info = error_info(item->op.error);
    buf_put_slice(body, SLICE("{\"status\":"));
    buf_put_int(body, info->status);
    buf_put_slice(body, SLICE(",\"type\":\"/errors/"));
    buf_puts(body, info->slug);
    buf_put_slice(body, SLICE("\",\"title\":"));
    jsontext_put_string(body, slice_of(info->title));
    buf_put_slice(body, SLICE(",\"detail\":"));
    jsontext_put_string(body, slice_of(item->detail != NULL ? item->detail : info->detail));
    if (item->key.n > 0) {
        buf_put_char(body, ',');
        view_put_key(body, item->key);
    }
    if (item->op.kind != OP_READ && info->status >= 503)
        buf_put_slice(body, item->op.outcome_unknown ? SLICE(",\"outcome\":\"unknown\"")
                                                     : SLICE(",\"outcome\":\"not-applied\""));
    if (info->retry_after > 0) {
        buf_put_slice(body, SLICE(",\"retry_after\":"));
        buf_put_int(body, info->retry_after);
    }
    if (item->op.error == E_PRECONDITION_FAILED)
        put_etag(body, &item->op);
    buf_put_char(body, '}');
}

static void put_success(struct buf *body, const struct item *item) {
    const struct op *op = &item->op;
    buf_put_slice(body, op->not_modified ? SLICE("{\"status\":304,") : SLICE("{\"status\":200,"));
    view_put_key(body, item->key);
    if (op->kind == OP_REMOVE)
        buf_put_slice(body, SLICE(",\"deleted\":true"));
    else if (!op->not_modified)
        view_put_entry(body, NULL, op);
    if (op->kind != OP_REMOVE)
        put_etag(body, op);
    buf_put_char(body, '}');
}

/* A read that makes the answer too large is taken back. */
static void put_result(struct buf *body, struct item *item) {
    size_t before = body->n;
    if (item->op.error == OK)
        put_success(body, item);
    if (item->op.error == OK && item->op.kind == OP_READ && body->n > ANSWER_BYTES) {
        body->n = before;
        item->op.error = E_BATCH_TOO_LARGE;
    }
    if (item->op.error != OK)
        put_failure(body, item);
}

static void count_item(struct stats_row *row, const struct op *op) {
    if (op->kind == OP_READ && op->error == OK)
        stats_add(&row->counter[STAT_hits], 1);
    else if (op->kind == OP_READ && op->error == E_KEY_NOT_FOUND)
        stats_add(&row->counter[STAT_misses], 1);
    else if (op->kind == OP_WRITE && op->error == OK)
        stats_add(&row->counter[STAT_stores], 1);
    else if (op->kind == OP_REMOVE && op->error == OK)
        stats_add(&row->counter[STAT_deletes], 1);
}

static enum step answer(struct request *r, struct batch *batch) {
    struct buf *body = &r->response.body;
    response_reset(&r->response);
    response_json(&r->response, 200);
    r->response.no_store = true;
    buf_put_slice(body, SLICE("{\"results\":["));
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        if (i > 0)
            buf_put_char(body, ',');
        put_result(body, item);
        count_item(r->service->row, &item->op);
    }
    buf_put_slice(body, SLICE("]}"));
    return STEP_ANSWER;
}

/* --- running --------------------------------------------------------------------------------- */

/* An operation before it on the same entry is under way, and has to come first. The nearest one
 * speaks for those before it: it has begun, so none of them holds it up. Those that are done are
 * passed once, and forgotten: many operations may have one key. */
static bool must_wait(struct item *item) {
    while (item->same_key != NULL && item->same_key->state == ITEM_DONE)
        item->same_key = item->same_key->same_key;
    return item->same_key != NULL && op_holds_up(&item->same_key->op, &item->op);
}

static void start_items(struct batch *batch, struct op_context *context, size_t running) {
    for (; batch->started < batch->count && running < ROUND_ITEMS; batch->started++) {
        struct item *item = &batch->items[batch->started];
        if (item->state == ITEM_DONE)
            continue;
        if (must_wait(item))
            return;
        if (op_start(&item->op, context)) {
            finish_item(batch, item, item->op.error);
            continue;
        }
        item->state = ITEM_RUNNING;
        running++;
    }
}

/* Entries come no more than one answer, or memory, may hold, and large ones a few at a time. */
static bool may_ask(struct batch *batch, struct item *item, const struct arena *arena,
                    size_t *large) {
    if (!op_asks_for_entry(&item->op))
        return true;
    bool too_much = arena->bytes - batch->bytes > KEPT_BYTES;
    if (too_much || (batch->full && item->op.kind == OP_READ)) {
        finish_item(batch, item, item->op.tries > 0 ? E_CONTENTION : E_BATCH_TOO_LARGE);
        return false;
    }
    return item->op.probes || (*large)++ < ROUND_LARGE;
}

static size_t count_running(struct batch *batch) {
    size_t running = 0;
    while (batch->first < batch->started && batch->items[batch->first].state == ITEM_DONE)
        batch->first++;
    for (size_t i = batch->first; i < batch->started; i++)
        running += batch->items[i].state == ITEM_RUNNING;
    return running;
}

static size_t append_items(struct batch *batch, struct op_context *context) {
    size_t large = 0;
    size_t asked = 0;
    for (size_t i = batch->first; i < batch->started; i++) {
        struct item *item = &batch->items[i];
        item->asked = item->state == ITEM_RUNNING && may_ask(batch, item, context->arena, &large);
        if (!item->asked)
            continue;
        op_append(&item->op, context);
        asked++;
    }
    return asked;
}

/* What is not done fails; what is done stays done. */
static enum step fail_rest(struct request *r, struct batch *batch, enum error e,
                           bool nothing_left) {
    bool any_done = batch->done > 0;
    bool maybe_written = false;
    for (size_t i = batch->first; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        if (item->state == ITEM_DONE)
            continue;
        item->op.outcome_unknown =
            item->state == ITEM_RUNNING && op_may_have_written(&item->op, !nothing_left);
        maybe_written = maybe_written || item->op.outcome_unknown;
        finish_item(batch, item, e);
    }
    return any_done ? answer(r, batch) : problem_outcome(r, e, maybe_written);
}

static enum step ask(struct request *r, struct batch *batch) {
    struct op_context context = single_context(r);
    size_t asked = 0;
    if (arena_failed(&r->arena))
        return fail_rest(r, batch, E_OUT_OF_MEMORY, true);
    /* Who is refused for size may have held up others. */
    while (asked == 0) {
        start_items(batch, &context, count_running(batch));
        if (batch->done == batch->count)
            return answer(r, batch);
        enum error e = single_begin(r);
        if (e != OK)
            return fail_rest(r, batch, e, true);
        asked = append_items(batch, &context);
    }
    return single_commit(r);
}

/* Whether the answer has room for the value that a read has brought, if it has. */
static bool fits(struct batch *batch, const struct op *op) {
    if (op->kind != OP_READ || op->error != OK || op->not_modified)
        return true;
    if (batch->results + op->found.body.n > RESULT_BYTES) {
        batch->full = true;
        return false;
    }
    batch->results += op->found.body.n;
    return true;
}

static void take_items(struct request *r, struct batch *batch, struct op_context *context) {
    const struct reply *next = replies_get(&r->call.replies, 0);
    for (size_t i = batch->first; i < batch->started; i++) {
        struct item *item = &batch->items[i];
        if (!item->asked || !op_take(&item->op, context, next, &next))
            continue;
        if (item->op.distrust)
            store_distrust(r->service->store, r->service->now);
        /* Values that are found stay where they are until the answer is written. */
        if (item->op.kind == OP_READ && item->op.error == OK)
            context->keep_replies = true;
        finish_item(batch, item, fits(batch, &item->op) ? item->op.error : E_BATCH_TOO_LARGE);
    }
}

/* --- the route ------------------------------------------------------------------------------- */

enum step batch_plan(struct request *r) {
    struct envelope_fault fault;
    struct batch *batch = arena_take(&r->arena, sizeof(*batch));
    if (batch == NULL)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    *batch = (struct batch){0};
    r->job = batch;
    enum error e = read_batch(r, batch, &fault);
    if (e != OK)
        return problem_say(r, e, fault.detail);
    return ask(r, batch);
}

enum step batch_finish(struct request *r) {
    struct batch *batch = r->job;
    struct op_context context = single_context(r);
    if (r->call.error != OK)
        return fail_rest(r, batch, r->call.error, r->call.outcome_known);
    if (arena_failed(&r->arena))
        return fail_rest(r, batch, E_OUT_OF_MEMORY, false);
    take_items(r, batch, &context);
    if (batch->done == batch->count)
        return answer(r, batch);
    op_keep_replies(&context);
    return ask(r, batch);
}
