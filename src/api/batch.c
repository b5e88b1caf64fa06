/*
 * POST /batch: many operations, each with the answer it would have had alone. The commands of all
 * of them go to Redis together, so most batches are one round trip. What needs another round gets
 * it, and what is asked of a key that an operation before it is not done with waits for that:
 * operations on one key happen in the order they were sent in.
 */
#include "api/batch.h"
#include "api/handlers.h"
#include "api/single.h"
#include "http/problem.h"

enum {
    ROUND_ITEMS = 1024, /* under way at once: each may bring OP_PROBE_BYTES */
    ROUND_LARGE = 4,    /* ... of which so many may bring an entry of any size */
    /* In memory besides the document: reads alone hardly bring more, with a probe for each value,
     * and with a probe and a header taken apart for those under way. */
    KEPT_BYTES = 2 * BATCH_RESULT_BYTES + ROUND_ITEMS * (OP_PROBE_BYTES + ENTRY_HEADER_MAX),
};

void batch_finish_item(struct batch *batch, struct item *item, enum error e) {
    item->op.error = e;
    if (item->detail == NULL)
        item->detail = single_detail(&item->op);
    item->state = ITEM_DONE;
    batch->done++;
}

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
            batch_finish_item(batch, item, item->op.error);
            continue;
        }
        item->state = ITEM_RUNNING;
        running++;
    }
}

/* Entries come no more than one answer, or memory, may hold, and large ones a few at a time. */
static bool may_ask(struct request *r, struct batch *batch, struct item *item, size_t *large) {
    if (!op_asks_for_entry(&item->op))
        return true;
    bool too_much = r->arena.bytes - batch->bytes > KEPT_BYTES;
    if (too_much || (batch->full && item->op.kind == OP_READ)) {
        batch_finish_item(batch, item, item->op.tries > 0 ? E_CONTENTION : E_BATCH_TOO_LARGE);
        return false;
    }
    if (item->op.probes)
        return true;
    if (!request_claim(r, SHARE_LARGE)) {
        batch->blocked = true;
        return false;
    }
    return (*large)++ < ROUND_LARGE;
}

static size_t count_running(struct batch *batch) {
    size_t running = 0;
    while (batch->first < batch->started && batch->items[batch->first].state == ITEM_DONE)
        batch->first++;
    for (size_t i = batch->first; i < batch->started; i++)
        running += batch->items[i].state == ITEM_RUNNING;
    return running;
}

static size_t append_items(struct request *r, struct batch *batch, struct op_context *context) {
    size_t large = 0;
    size_t asked = 0;
    batch->blocked = false;
    for (size_t i = batch->first; i < batch->started; i++) {
        struct item *item = &batch->items[i];
        item->asked = item->state == ITEM_RUNNING && may_ask(r, batch, item, &large);
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
        batch_finish_item(batch, item, e);
    }
    return any_done ? batch_answer(r, batch) : problem_outcome(r, e, maybe_written);
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
            return batch_answer(r, batch);
        enum error e = single_begin(r);
        if (e != OK)
            return fail_rest(r, batch, e, true);
        asked = append_items(r, batch, &context);
        if (asked == 0 && batch->blocked)
            return STEP_HOLD;
    }
    return single_commit(r);
}

/* Whether the answer has room for the value that a read has brought, if it has. */
static bool fits(struct batch *batch, const struct op *op) {
    if (op->kind != OP_READ || op->error != OK || op->not_modified)
        return true;
    if (batch->results + op->found.body.n > BATCH_RESULT_BYTES) {
        batch->full = true;
        return false;
    }
    batch->results += op->found.body.n;
    return true;
}

/* The reply to item `at` made no sense. What came in the same round, before it or after it, may be
 * anybody's: none of it is believed. */
static void doubt_round(struct request *r, struct batch *batch, size_t at) {
    store_distrust(r->service->store, r->service->now);
    for (size_t i = batch->first; i < batch->started; i++) {
        struct item *item = &batch->items[i];
        if (!item->asked)
            continue;
        /* Before it, those that are not done are about to take another step. */
        bool sent = i >= at || item->state == ITEM_DONE;
        item->op.outcome_unknown = op_may_have_written(&item->op, sent);
        item->op.error = E_BACKEND_ERROR;
        item->detail = NULL;
        if (item->state != ITEM_DONE)
            batch_finish_item(batch, item, E_BACKEND_ERROR);
    }
}

static void take_items(struct request *r, struct batch *batch, struct op_context *context) {
    const struct reply *next = replies_get(&r->call.replies, 0);
    for (size_t i = batch->first; i < batch->started; i++) {
        struct item *item = &batch->items[i];
        if (!item->asked || !op_take(&item->op, context, next, &next))
            continue;
        if (item->op.distrust) {
            doubt_round(r, batch, i);
            return;
        }
        /* Values that are found stay where they are until the answer is written. */
        if (item->op.kind == OP_READ && item->op.error == OK)
            context->keep_replies = true;
        batch_finish_item(batch, item, fits(batch, &item->op) ? item->op.error : E_BATCH_TOO_LARGE);
    }
}

/* --- the route ------------------------------------------------------------------------------- */

enum step batch_plan(struct request *r) {
    struct envelope_fault fault;
    if (!request_claim(r, SHARE_BATCH))
        return STEP_HOLD;
    struct batch *batch = arena_take(&r->arena, sizeof(*batch));
    if (batch == NULL)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    *batch = (struct batch){0};
    r->job = batch;
    enum error e = batch_read(r, batch, &fault);
    if (e != OK)
        return problem_say(r, e, fault.detail);
    return ask(r, batch);
}

enum step batch_finish(struct request *r) {
    struct batch *batch = r->job;
    if (batch == NULL)
        return batch_plan(r);
    struct op_context context = single_context(r);
    if (batch->blocked) {
        batch->blocked = false;
        return ask(r, batch);
    }
    if (r->call.error != OK)
        return fail_rest(r, batch, r->call.error, r->call.outcome_known);
    if (arena_failed(&r->arena))
        return fail_rest(r, batch, E_OUT_OF_MEMORY, false);
    take_items(r, batch, &context);
    if (batch->done == batch->count)
        return batch_answer(r, batch);
    op_keep_replies(&context);
    return ask(r, batch);
}
