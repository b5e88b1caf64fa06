/* Operations on entries, the part that writes: see op_phase.h. */
#include "cache/op_phase.h"

#include "base/decimal.h"
#include "base/jsonmerge.h"
#include "base/jsontext.h"
#include "cache/integer.h"

/* A tag's nonce outlives the entries that carry it by this much, so that clocks and the time
 * between two round trips never let it go first. */
enum { TAG_SLACK_MS = 60000 };

struct number {
    char digits[DECIMAL_MAX];
};

static struct slice number_put(struct number *n, int64_t v) {
    return (struct slice){n->digits, decimal_put(n->digits, (uint64_t)v)};
}

/* Milliseconds until the entry expires if nobody reads it; 0: it does not. */
static int64_t first_expiry(const struct entry *entry, int64_t expiry) {
    int64_t idle = entry->idle * 1000;
    if (idle == 0 || (expiry > 0 && expiry < idle))
        return expiry;
    return idle;
}

/* The same, of an entry whose end stays `left` milliseconds away (-1: it has none): a change is a
 * use, and renews an idle time. */
static int64_t kept_expiry(const struct entry *entry, int64_t left) {
    return first_expiry(entry, left > 0 ? left : 0);
}

static void note_expiry(struct op *op) {
    int64_t first = first_expiry(&op->found, op->expiry);
    op->left = op->expiry > 0 ? op->expiry : -1;
    op->fresh = first > 0 ? first : -1;
}

/* It is as it was asked for. */
static bool written(struct op *op) {
    op->found = op->entry;
    note_expiry(op);
    entry_etag(&op->found, op->etag);
    op->has_etag = true;
    return op_done(op, OK);
}

/* --- tags and Redis's time ------------------------------------------------------------------- */

void op_append_prepare(struct op *op, struct op_context *context) {
    struct script_call script;
    struct number life;
    char nonces[ENTRY_TAGS_MAX][ENTRY_NONCE_BYTES];
    script_begin(&script, SCRIPT_tags, op->whole_scripts);
    op_add_tag_keys(&script, context, op->entry.tags, op->entry.tag_count);
    script_arg(&script,
               op->expiry > 0 ? number_put(&life, op->expiry + TAG_SLACK_MS) : (struct slice){0});
    for (size_t i = 0; i < op->entry.tag_count; i++) {
        if (entry_make_nonce(nonces[i]) != OK)
            context->arena->failed = true; /* ends the operation when the replies come */
        script_arg(&script, (struct slice){nonces[i], ENTRY_NONCE_BYTES});
    }
    script_send(&script, context->store, context->call);
}

/* Copies: the replies go before the entry is written. */
static bool take_nonces(struct op *op, struct op_context *context, const struct reply *nonce) {
    struct entry_tag *tags = arena_take(context->arena, op->entry.tag_count * sizeof(*tags));
    if (tags == NULL)
        return false;
    for (size_t i = 0; i < op->entry.tag_count; i++, nonce++) {
        tags[i].name = op->entry.tags[i].name;
        tags[i].nonce = arena_copy(context->arena, replies_bytes(&context->call->replies, nonce));
    }
    op->entry.tags = tags;
    return true;
}

static bool set_id(struct entry *entry, struct arena *arena) {
    char *id = arena_take(arena, ENTRY_NONCE_BYTES);
    if (id == NULL || entry_make_nonce(id) != OK)
        return false;
    entry->id = (struct slice){id, ENTRY_NONCE_BYTES};
    return true;
}

bool op_take_prepare(struct op *op, struct op_context *context, const struct reply *first) {
    if (first->type != REPLY_ARRAY || first->integer != 1 + (int64_t)op->entry.tag_count ||
        first[1].type != REPLY_INTEGER)
        return op_refused(op, context, first);
    for (size_t i = 0; i < op->entry.tag_count; i++) {
        if (first[2 + i].type != REPLY_STRING)
            return op_refused(op, context, &first[2 + i]);
        /* Another program's: in a header it would be taken for one, and so would the header. */
        if (!entry_is_nonce(replies_bytes(&context->call->replies, &first[2 + i])))
            return op_done(op, E_WRONG_TYPE);
    }
    bool fine = op->entry.tag_count == 0 || take_nonces(op, context, first + 2);
    if (op->entry.idle > 0) {
        op->entry.end = op->expiry > 0 ? first[1].integer + op->expiry : 0;
        fine = fine && set_id(&op->entry, context->arena);
    }
    if (!fine || arena_failed(context->arena) ||
        entry_format(&op->entry, context->arena, &op->stored) != OK)
        return op_done(op, E_OUT_OF_MEMORY);
    return op_next(op, op_write_phase(op));
}

/* --- writing without a look ------------------------------------------------------------------ */

static void append_set(struct op *op, struct op_context *context, bool create) {
    struct number expiry;
    int64_t first = first_expiry(&op->entry, op->expiry);
    struct slice set[6] = {SLICE("SET"), op->name, op->stored};
    size_t n = 3;
    if (first > 0) {
        /* Whole seconds as such: the shorter command. */
        bool seconds = first % 1000 == 0;
        set[n++] = seconds ? SLICE("EX") : SLICE("PX");
        set[n++] = number_put(&expiry, seconds ? first / 1000 : first);
    }
    if (create)
        set[n++] = SLICE("NX");
    store_append(context->store, context->call, set, n);
}

void op_append_set(struct op *op, struct op_context *context) {
    append_set(op, context, false);
}

bool op_take_set(struct op *op, struct op_context *context, const struct reply *first) {
    bool done = reply_is_status(&context->call->replies, first, SLICE("OK"));
    return done ? written(op) : op_refused(op, context, first);
}

void op_append_create(struct op *op, struct op_context *context) {
    append_set(op, context, true);
}

/* What is there may be dead. */
bool op_take_create(struct op *op, struct op_context *context, const struct reply *first) {
    if (first->type == REPLY_NIL)
        return op_next(op, OP_LOAD);
    return op_take_set(op, context, first);
}

/* --- counting without a look ----------------------------------------------------------------- */

void op_append_add(struct op *op, struct op_context *context) {
    struct script_call script;
    struct number expiry;
    char by[INTEGER_TEXT_MAX];
    char first[INTEGER_TEXT_MAX];
    int64_t sum = 0;
    bool fits = integer_add(op->initial, op->by, &sum) == OK;
    script_begin(&script, SCRIPT_count, op->whole_scripts);
    script_key(&script, op->name);
    script_arg(&script, (struct slice){by, integer_put(by, op->by)});
    script_arg(&script, (struct slice){first, fits ? integer_put(first, sum) : 0});
    script_arg(&script, op->expiry > 0 ? number_put(&expiry, op->expiry) : (struct slice){0});
    script_send(&script, context->store, context->call);
}

bool op_take_add(struct op *op, struct op_context *context, const struct reply *first) {
    if (first->type == REPLY_INTEGER && first->integer == 0)
        return op_next(op, OP_LOAD);
    if (first->type == REPLY_INTEGER && first->integer == 1)
        return op_done(op, E_NOT_AN_INTEGER);
    if (first->type == REPLY_INTEGER && first->integer == 2)
        return op_done(op, E_COUNTER_OVERFLOW);
    if (first->type != REPLY_ARRAY || first->integer != 2 || first[1].type != REPLY_STRING ||
        first[2].type != REPLY_INTEGER)
        return op_refused(op, context, first);
    op->found = (struct entry){.body = replies_bytes(&context->call->replies, &first[1])};
    op->left = op->fresh = first[2].integer;
    entry_etag(&op->found, op->etag);
    op->has_etag = true;
    context->keep_replies = true;
    return op_done(op, OK);
}

/* --- turns ----------------------------------------------------------------------------------- */

static bool next_turn(struct op *op, struct op_context *context) {
    bool mine = turns_take(context->turns, op->name, op, context->now);
    return op_next(op, mine ? OP_LOAD : OP_WAIT);
}

bool op_has_turn(struct op *op, const struct op_context *context) {
    if (op->phase == OP_WAIT && turns_take(context->turns, op->name, op, context->now))
        op->phase = OP_LOAD;
    return op->phase != OP_WAIT;
}

/* Comes back when the commands before it have: the next moment at which something may be new. */
void op_append_wait(struct op *op, struct op_context *context) {
    (void)op;
    store_append(context->store, context->call, (struct slice[]){SLICE("PING")}, 1);
}

bool op_take_wait(struct op *op, struct op_context *context, const struct reply *first) {
    bool back = reply_is_status(&context->call->replies, first, SLICE("PONG"));
    return back ? next_turn(op, context) : op_refused(op, context, first);
}

/* --- writing what was read ------------------------------------------------------------------- */

/* The entry with another body; it is another writing, so that a renewal of the old one fails. */
static bool replace_body(struct op *op, struct op_context *context, struct slice body) {
    op->entry = op->found;
    op->entry.body = body;
    op->entry.is_json = op->patch.n > 0 || op->kind == OP_COUNT;
    return op->found.idle == 0 || set_id(&op->entry, context->arena);
}

static bool guard(struct op *op, struct op_context *context, const char *action) {
    op->action = action;
    if (action[0] == 'S' && entry_format(&op->entry, context->arena, &op->stored) != OK)
        return op_done(op, E_OUT_OF_MEMORY);
    if (arena_failed(context->arena))
        return op_done(op, E_OUT_OF_MEMORY);
    return op_next(op, OP_GUARD);
}

static enum error merge(struct op *op, struct op_context *context, struct slice *merged) {
    struct buf out = {0};
    struct slice target; /* without the white space that another program may have put around it */
    if (op->found.raw || jsontext_check(op->found.body, &target, NULL) != OK)
        return E_NOT_JSON;
    enum error e = jsonmerge(target, op->patch, &out);
    if (e == OK && out.n > (size_t)context->config->max_value)
        e = E_VALUE_TOO_LARGE;
    *merged = buf_slice(&out);
    if (e == OK && !arena_adopt(context->arena, &out))
        e = E_OUT_OF_MEMORY;
    buf_fini(&out);
    return e;
}

/* An idle entry has its end in its header; any other, only in Redis. */
static bool change_patch(struct op *op, struct op_context *context) {
    struct slice body = op->found.body;
    context->keep_replies = true; /* the body, or the header's words, of what is written */
    if (op->patch.n == 0 && !op->sets_ttl)
        return op_done(op, OK);
    if (op->patch.n > 0) {
        enum error e = merge(op, context, &body);
        if (e != OK)
            return op_done(op, e);
    }
    if (!replace_body(op, context, body))
        return op_done(op, E_OUT_OF_MEMORY);
    op->keeps_expiry = !op->sets_ttl;
    if (op->sets_ttl && op->entry.idle > 0)
        op->entry.end = op->expiry > 0 ? op->redis_now + op->expiry : 0;
    if (op->patch.n > 0 || op->entry.idle > 0)
        return guard(op, context, "SET");
    return guard(op, context, op->expiry > 0 ? "PEXPIRE" : "PERSIST");
}

static bool change_count(struct op *op, struct op_context *context) {
    int64_t value = 0;
    enum error e = OK;
    op->keeps_expiry = op->alive;
    if (!op->alive) {
        op->entry = (struct entry){0};
        e = integer_add(op->initial, op->by, &value);
    } else if (op->found.raw) {
        e = E_NOT_AN_INTEGER;
    } else {
        e = integer_parse(op->found.body, &value);
        if (e == OK)
            e = integer_add(value, op->by, &value);
    }
    if (e != OK)
        return op_done(op, e);
    char digits[INTEGER_TEXT_MAX];
    struct slice body =
        arena_copy(context->arena, (struct slice){digits, integer_put(digits, value)});
    context->keep_replies = true;
    if (!op->alive)
        op->entry.body = body;
    else if (!replace_body(op, context, body))
        return op_done(op, E_OUT_OF_MEMORY);
    return guard(op, context, "SET");
}

bool op_change(struct op *op, struct op_context *context) {
    switch (op->kind) {
    case OP_PATCH:
        return change_patch(op, context);
    case OP_COUNT:
        return change_count(op, context);
    case OP_REMOVE:
        return guard(op, context, "UNLINK");
    case OP_WRITE:
    case OP_READ:
        break;
    }
    op->action = "SET";
    return op_next(op, OP_GUARD);
}

static struct slice guard_expiry(const struct op *op, struct number *n) {
    if (op->keeps_expiry && op->entry.idle == 0)
        return SLICE("KEEPTTL");
    int64_t first =
        op->keeps_expiry ? kept_expiry(&op->entry, op->left) : first_expiry(&op->entry, op->expiry);
    return first > 0 ? number_put(n, first) : (struct slice){0};
}

/* The tags of an entry that goes on with them must live as long as it does; a new entry's were
 * seen to. */
static struct slice guard_life(const struct op *op, struct number *n) {
    if (op->kind != OP_PATCH || !op->sets_ttl)
        return SLICE("KEEPTTL");
    return op->expiry > 0 ? number_put(n, op->expiry + TAG_SLACK_MS) : (struct slice){0};
}

void op_append_guard(struct op *op, struct op_context *context) {
    struct script_call script;
    struct number expiry;
    struct number life;
    size_t tags = op->alive ? op->found.tag_count : 0;
    script_begin(&script, SCRIPT_guard, op->whole_scripts);
    script_key(&script, op->name);
    op_add_tag_keys(&script, context, op->found.tags, tags);
    script_arg(&script,
               op->exists ? (struct slice){op->digest, sizeof(op->digest)} : (struct slice){0});
    script_arg(&script, slice_of(op->action));
    script_arg(&script, guard_expiry(op, &expiry));
    script_arg(&script, guard_life(op, &life));
    script_arg(&script, op->action[0] == 'S' ? op->stored : (struct slice){0});
    op_add_nonces(&script, op->found.tags, tags);
    script_send(&script, context->store, context->call);
}

/* What was kept of the entry's expiry is what was read of it. */
static bool guarded(struct op *op) {
    if (op->kind == OP_REMOVE)
        return op_done(op, OK);
    int64_t left = op->left;
    int64_t fresh = op->fresh;
    (void)written(op);
    if (op->keeps_expiry) {
        op->left = left;
        op->fresh = op->found.idle > 0 ? kept_expiry(&op->found, left) : fresh;
    }
    return op_done(op, OK);
}

bool op_take_guard(struct op *op, struct op_context *context, const struct reply *first) {
    if (first->type != REPLY_INTEGER || first->integer < 0 || first->integer > 1)
        return op_refused(op, context, first);
    if (first->integer == 1)
        return guarded(op);
    if (++op->tries == OP_TRIES_MAX)
        return op_done(op, E_CONTENTION);
    context->starts_over = true;
    /* The entry is not the one that it named any more: to find that out it needs no turn. */
    if (op->if_match.kind == CONDITION_LIST)
        return op_next(op, OP_LOAD);
    return next_turn(op, context);
}
