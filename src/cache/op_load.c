/* Operations on entries, the part that reads: see op_phase.h. */
#include "cache/op_phase.h"

#include "base/decimal.h"

/*
 * The value is asked for as GETRANGE: it costs Redis what GET does, and what another program may
 * have stored under the key, up to 512 MiB, never comes in whole. GETRANGE says "" for no key too:
 * PTTL tells the two apart, but as another command at another moment, so where it says that there
 * is a key, GET has the last word.
 */
enum { BODY_MAX = 8 << 20, NO_EXPIRY = -1, NO_KEY = -2 /* PTTL's special answers */ };
#define READ_LAST  "8404992" /* index of the last byte: one more than body and header can have */
#define PROBE_LAST "16383"
_Static_assert(BODY_MAX + ENTRY_HEADER_MAX == 8404992 && OP_PROBE_BYTES == 16384, "indexes");

static void append_pttl(struct op *op, struct op_context *context) {
    store_append(context->store, context->call, (struct slice[]){SLICE("PTTL"), op->name}, 2);
}

void op_append_load(struct op *op, struct op_context *context) {
    struct slice range[] = {SLICE("GETRANGE"), op->name, SLICE("0"),
                            op->probes ? SLICE(PROBE_LAST) : SLICE(READ_LAST)};
    store_append(context->store, context->call, range, 4);
    append_pttl(op, context);
}

void op_append_reload(struct op *op, struct op_context *context) {
    store_append(context->store, context->call, (struct slice[]){SLICE("GET"), op->name}, 2);
    append_pttl(op, context);
}

static bool found_nothing(struct op *op, struct op_context *context) {
    op->exists = op->alive = false;
    op->left = op->fresh = -1;
    op->found = (struct entry){0};
    return op_loaded(op, context);
}

/* For the next round. What replaces or removes the entry needs its header only, however often it
 * has to start over; else the replies' memory is kept as it is. */
static bool keep_found(struct op *op, struct op_context *context) {
    if (op->kind != OP_WRITE && op->kind != OP_REMOVE) {
        context->keep_replies = true;
        return true;
    }
    struct slice header = arena_copy(context->arena, op->found.header);
    return entry_parse(header, context->arena, &op->found) == OK && !arena_failed(context->arena);
}

/* What is there is taken apart, and judged at once if it says nothing of tags or an idle time. */
static bool found_bytes(struct op *op, struct op_context *context, struct slice stored) {
    if (entry_parse(stored, context->arena, &op->found) != OK)
        return op_done(op, E_OUT_OF_MEMORY);
    if (op->found.body.n > BODY_MAX)
        return op_done(op, E_ENTRY_TOO_LARGE);
    op->exists = true;
    entry_etag(&op->found, op->etag);
    if (op->kind != OP_READ)
        digest_sha1_hex(stored, op->digest);
    if (op->found.tag_count == 0 && op->found.idle == 0) {
        op->alive = true;
        return op_loaded(op, context);
    }
    return keep_found(op, context) ? op_next(op, OP_CHECK) : op_done(op, E_OUT_OF_MEMORY);
}

bool op_take_load(struct op *op, struct op_context *context, const struct reply *first) {
    const struct replies *replies = &context->call->replies;
    const struct reply *pttl = replies_next(replies, first);
    /* GETRANGE has no nil: one would be somebody else's reply. */
    if (first->type == REPLY_NIL && op->phase == OP_RELOAD)
        return found_nothing(op, context);
    if (first->type != REPLY_STRING)
        return op_refused(op, context, first);
    if (pttl->type != REPLY_INTEGER || pttl->integer < NO_KEY)
        return op_refused(op, context, pttl);
    if (pttl->integer == NO_KEY)
        return found_nothing(op, context);
    if (first->n == 0 && op->phase == OP_LOAD)
        return op_next(op, OP_RELOAD);
    if (op->probes && first->n == OP_PROBE_BYTES) {
        op->probes = false;
        return op_next(op, OP_LOAD);
    }
    op->left = op->fresh = pttl->integer == NO_EXPIRY ? -1 : pttl->integer;
    return found_bytes(op, context, replies_bytes(replies, first));
}

/* --- tags and idle time ---------------------------------------------------------------------- */

struct slice op_tag_name(struct arena *arena, const struct config *config, struct slice tag) {
    const struct slice mark = SLICE("\xff"
                                    "tag:");
    struct slice prefix = slice_of(config->key_prefix);
    size_t n = prefix.n + mark.n + tag.n;
    char *name = arena_take(arena, n);
    if (name == NULL)
        return (struct slice){0};
    memcpy(name, prefix.p, prefix.n);
    memcpy(name + prefix.n, mark.p, mark.n);
    memcpy(name + prefix.n + mark.n, tag.p, tag.n);
    return (struct slice){name, n};
}

void op_add_tag_keys(struct script_call *script, const struct op_context *context,
                     const struct entry_tag *tags, size_t n) {
    for (size_t i = 0; i < n; i++)
        script_key(script, op_tag_name(context->arena, context->config, tags[i].name));
}

void op_add_nonces(struct script_call *script, const struct entry_tag *tags, size_t n) {
    for (size_t i = 0; i < n; i++)
        script_arg(script, tags[i].nonce);
}

static void append_mget(struct op *op, struct op_context *context) {
    struct slice args[1 + ENTRY_TAGS_MAX] = {SLICE("MGET")};
    for (size_t i = 0; i < op->found.tag_count; i++)
        args[1 + i] = op_tag_name(context->arena, context->config, op->found.tags[i].name);
    store_append(context->store, context->call, args, 1 + op->found.tag_count);
}

void op_append_check(struct op *op, struct op_context *context) {
    struct script_call script;
    char idle[DECIMAL_MAX];
    char end[DECIMAL_MAX];
    if (op->found.idle == 0) {
        append_mget(op, context);
        return;
    }
    /* A write looks first, too, and may then change nothing. */
    int64_t renewal = op->kind == OP_READ ? op->found.idle * 1000 : 0;
    script_begin(&script, SCRIPT_check, op->whole_scripts);
    script_key(&script, op->name);
    op_add_tag_keys(&script, context, op->found.tags, op->found.tag_count);
    script_arg(&script, op->found.header);
    script_arg(&script, (struct slice){idle, decimal_put(idle, (uint64_t)renewal)});
    script_arg(&script, (struct slice){end, decimal_put(end, (uint64_t)op->found.end)});
    op_add_nonces(&script, op->found.tags, op->found.tag_count);
    script_send(&script, context->store, context->call);
}

/* Whether an MGET of its tags gave the nonces that the entry carries. */
static bool nonces_match(const struct op *op, const struct replies *replies,
                         const struct reply *array) {
    const struct reply *nonce = array + 1; /* elements follow their array */
    for (size_t i = 0; i < op->found.tag_count; i++, nonce++)
        if (nonce->type != REPLY_STRING ||
            !slice_eq(replies_bytes(replies, nonce), op->found.tags[i].nonce))
            return false;
    return true;
}

/* Dead was what was read at one moment and judged at a later one. Between the two it may have been
 * replaced, and then at no moment was there nothing. Who goes on to write learns it from the guard.
 */
static bool checked(struct op *op, struct op_context *context) {
    bool writes = op->kind == OP_WRITE || op->kind == OP_COUNT;
    if (op->alive || (writes && op->if_match.kind == CONDITION_NONE))
        return op_loaded(op, context);
    return op_next(op, OP_CONFIRM);
}

static bool is_array_of(const struct reply *reply, size_t n) {
    return reply->type == REPLY_ARRAY && reply->integer == (int64_t)n;
}

static bool take_mget(struct op *op, struct op_context *context, const struct reply *array) {
    if (!is_array_of(array, op->found.tag_count))
        return op_refused(op, context, array);
    op->alive = nonces_match(op, &context->call->replies, array);
    return checked(op, context);
}

/* The entry may be dead by its end alone; the round trip to here took longer then than it had. */
bool op_take_check(struct op *op, struct op_context *context, const struct reply *first) {
    if (op->found.idle == 0)
        return take_mget(op, context, first);
    op->alive = is_array_of(first, 3) && first[1].type == REPLY_INTEGER &&
                first[2].type == REPLY_INTEGER && first[3].type == REPLY_INTEGER;
    if (!op->alive && (first->type != REPLY_INTEGER || first->integer != 0))
        return op_refused(op, context, first);
    if (op->alive) {
        op->left = first[1].integer;
        if (first[2].integer >= 0)
            op->fresh = first[2].integer;
        op->redis_now = first[3].integer;
    }
    return checked(op, context);
}

void op_append_confirm(struct op *op, struct op_context *context) {
    char last[DECIMAL_MAX];
    struct slice range[] = {
        SLICE("GETRANGE"), op->name, SLICE("0"), {last, decimal_put(last, op->found.header.n - 1)}};
    store_append(context->store, context->call, range, 4);
}

/* What has the same header is as dead: no nonce ever comes back, and no end is put off without a
 * new id. */
bool op_take_confirm(struct op *op, struct op_context *context, const struct reply *first) {
    if (first->type != REPLY_STRING)
        return op_refused(op, context, first);
    if (slice_eq(replies_bytes(&context->call->replies, first), op->found.header) ||
        ++op->tries == OP_TRIES_MAX)
        return op_loaded(op, context);
    context->starts_over = true;
    return op_next(op, OP_LOAD);
}

/* --- removing without a look ----------------------------------------------------------------- */

void op_append_unlink(struct op *op, struct op_context *context) {
    struct script_call script;
    script_begin(&script, SCRIPT_remove, op->whole_scripts);
    script_key(&script, op->name);
    script_send(&script, context->store, context->call);
}

/* The script is all there was of the entry: from here on it is a matter of what to say. */
bool op_take_unlink(struct op *op, struct op_context *context, const struct reply *first) {
    const struct replies *replies = &context->call->replies;
    if (first->type == REPLY_INTEGER && (first->integer == 0 || first->integer == 1))
        return op_done(op, first->integer > 0 ? OK : E_KEY_NOT_FOUND);
    /* Nothing but a header is ever given. */
    if (first->type != REPLY_STRING || !entry_begins_like_header(replies_bytes(replies, first)))
        return op_refused(op, context, first);
    if (entry_parse(replies_bytes(replies, first), context->arena, &op->found) != OK) {
        op->outcome_unknown = true;
        return op_done(op, E_OUT_OF_MEMORY);
    }
    if (op->found.tag_count == 0)
        return op_done(op, OK);
    context->keep_replies = true;
    return op_next(op, OP_UNLINKED);
}

void op_append_unlinked(struct op *op, struct op_context *context) {
    append_mget(op, context);
}

bool op_take_unlinked(struct op *op, struct op_context *context, const struct reply *first) {
    if (!is_array_of(first, op->found.tag_count))
        return op_refused(op, context, first);
    bool alive = nonces_match(op, &context->call->replies, first);
    return op_done(op, alive ? OK : E_KEY_NOT_FOUND);
}
