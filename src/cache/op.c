/* Operations on entries: see op.h. Which step comes when, and reading and removing. */
#include "cache/op.h"

#include "cache/op_phase.h"
#include "cache/ttl.h"

static const struct {
    op_append_step *append;
    op_take_step *take;
    unsigned replies;
    enum {
        READS,
        WRITES, /* it may have changed something even if its replies never come */
        WROTE,  /* the step before it has */
    } effect;
    bool script; /* its digest may be unknown to Redis */
} phases[OP_PHASES] = {
    [OP_LOAD] = {op_append_load, op_take_load, 2, READS, false},
    [OP_RELOAD] = {op_append_reload, op_take_load, 2, READS, false},
    [OP_WAIT] = {op_append_wait, op_take_wait, 1, READS, false},
    [OP_CHECK] = {op_append_check, op_take_check, 1, READS, true},
    [OP_CONFIRM] = {op_append_confirm, op_take_confirm, 1, READS, false},
    [OP_PREPARE] = {op_append_prepare, op_take_prepare, 1, READS, true},
    [OP_SET] = {op_append_set, op_take_set, 1, WRITES, false},
    [OP_CREATE] = {op_append_create, op_take_create, 1, WRITES, false},
    [OP_GUARD] = {op_append_guard, op_take_guard, 1, WRITES, true},
    [OP_UNLINK] = {op_append_unlink, op_take_unlink, 1, WRITES, true},
    [OP_UNLINKED] = {op_append_unlinked, op_take_unlinked, 1, WROTE, false},
    [OP_ADD] = {op_append_add, op_take_add, 1, WRITES, true},
};

bool op_done(struct op *op, enum error e) {
    op->error = e;
    return true;
}

bool op_next(struct op *op, enum op_phase phase) {
    op->phase = phase;
    return false;
}

bool op_refused(struct op *op, const struct op_context *context, const struct reply *reply) {
    bool missing = script_is_missing(&context->call->replies, reply);
    if (missing && phases[op->phase].script && !op->whole_scripts) {
        op->whole_scripts = true;
        return false;
    }
    enum error e = reply_refusal(&context->call->replies, reply, &op->distrust);
    /* An error that is in the table says that its command did nothing. */
    op->outcome_unknown = op_may_have_written(op, e == E_BACKEND_ERROR);
    return op_done(op, e);
}

static bool is_conditional(const struct op *op) {
    return op->if_match.kind != CONDITION_NONE || op->if_none_match.kind != CONDITION_NONE;
}

/* How an entry whose bytes are known is written. */
enum op_phase op_write_phase(const struct op *op) {
    if (!is_conditional(op))
        return OP_SET;
    bool create = op->if_match.kind == CONDITION_NONE && op->if_none_match.kind == CONDITION_ANY;
    return create ? OP_CREATE : OP_LOAD;
}

static bool start_write(struct op *op, struct op_context *context) {
    op->expiry = ttl_expiry(op->ttl, context->config->ttl_jitter);
    if (op->entry.tag_count > 0 || op->entry.idle > 0)
        return op_next(op, OP_PREPARE);
    if (entry_format(&op->entry, context->arena, &op->stored) != OK)
        return op_done(op, E_OUT_OF_MEMORY);
    return op_next(op, op_write_phase(op));
}

bool op_start(struct op *op, struct op_context *context) {
    op->left = op->fresh = -1;
    switch (op->kind) {
    case OP_WRITE:
        return start_write(op, context);
    case OP_REMOVE:
        return op_next(op, is_conditional(op) ? OP_LOAD : OP_UNLINK);
    case OP_COUNT:
        op->expiry = ttl_expiry(op->ttl, context->config->ttl_jitter);
        return op_next(op, is_conditional(op) ? OP_LOAD : OP_ADD);
    case OP_PATCH:
        op->expiry = op->sets_ttl ? ttl_expiry(op->ttl, context->config->ttl_jitter) : 0;
        break;
    case OP_READ:
        break;
    }
    return op_next(op, OP_LOAD);
}

void op_append(struct op *op, struct op_context *context) {
    phases[op->phase].append(op, context);
}

bool op_take(struct op *op, struct op_context *context, const struct reply *first,
             const struct reply **next) {
    if (next != NULL) {
        *next = first;
        for (unsigned i = 0; i < phases[op->phase].replies; i++)
            *next = replies_next(&context->call->replies, *next);
    }
    bool done = phases[op->phase].take(op, context, first);
    if (done && op->tries > 0)
        turns_give_back(context->turns, op->name, op);
    return done;
}

void op_keep_replies(struct op_context *context) {
    if (context->keep_replies)
        (void)arena_adopt(context->arena, &context->call->replies.bytes);
    context->keep_replies = false;
}

bool op_may_have_written(const struct op *op, bool sent) {
    return phases[op->phase].effect == WROTE || (sent && phases[op->phase].effect == WRITES);
}

bool op_holds_up(const struct op *op, const struct op *later) {
    /* Any step may be followed by another: a probe by the rest of the value, a script by its text.
     * Only SET is the end of it whatever Redis says. */
    if (op->kind == OP_READ)
        return later->kind != OP_READ;
    return op->phase != OP_SET;
}

bool op_asks_for_entry(const struct op *op) {
    return op->phase == OP_LOAD || op->phase == OP_RELOAD;
}

/* --- what was read is judged ----------------------------------------------------------------- */

/* RFC 9110, 13.2.2: If-Match first. */
static bool conditions_hold(const struct op *op) {
    struct slice etag = {op->etag, sizeof(op->etag)};
    if (op->if_match.kind != CONDITION_NONE &&
        !(op->alive && condition_matches(&op->if_match, etag, false)))
        return false;
    return !(op->if_none_match.kind != CONDITION_NONE && op->alive &&
             condition_matches(&op->if_none_match, etag, true));
}

static bool loaded_read(struct op *op) {
    struct slice etag = {op->etag, sizeof(op->etag)};
    if (!op->alive)
        return op_done(op, E_KEY_NOT_FOUND);
    if (op->if_match.kind != CONDITION_NONE && !condition_matches(&op->if_match, etag, false))
        return op_done(op, E_PRECONDITION_FAILED);
    op->not_modified = op->if_none_match.kind != CONDITION_NONE &&
                       condition_matches(&op->if_none_match, etag, true);
    return op_done(op, OK);
}

bool op_loaded(struct op *op, struct op_context *context) {
    op->has_etag = op->alive;
    if (op->kind == OP_READ)
        return loaded_read(op);
    if (!conditions_hold(op))
        return op_done(op, E_PRECONDITION_FAILED);
    bool needs_entry = op->kind == OP_REMOVE || op->kind == OP_PATCH;
    if (!op->alive && needs_entry)
        return op_done(op, E_KEY_NOT_FOUND);
    return op_change(op, context);
}

bool op_failed_by_weakness(const struct op *op) {
    const struct slice etag = {op->etag, sizeof(op->etag)};
    return op->error == E_PRECONDITION_FAILED && op->has_etag &&
           op->if_match.kind == CONDITION_LIST && !condition_matches(&op->if_match, etag, false) &&
           condition_matches(&op->if_match, etag, true);
}
