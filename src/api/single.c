/* Requests that are one operation on one entry: see single.h. */
#include "api/single.h"

#include "cache/ttl.h"
#include "http/fields.h"
#include "http/problem.h"

/* --- the operation --------------------------------------------------------------------------- */

struct op *single_prepare(struct request *r, enum op_kind kind) {
    r->op = (struct op){.kind = kind, .name = key_name(&r->key)};
    return &r->op;
}

struct op_context single_context(struct request *r) {
    return (struct op_context){
        .store = r->service->store,
        .call = &r->call,
        .arena = &r->arena,
        .config = r->service->config,
        .turns = &r->service->turns,
        .now = r->service->now,
    };
}

enum error single_begin(struct request *r) {
    enum error e = store_begin(r->service->store, &r->call, r->service->now);
    if (e != OK)
        (void)problem_refused(r, e);
    return e;
}

enum step single_commit(struct request *r) {
    store_commit(r->service->store, &r->call, r->service->now);
    return STEP_WAIT;
}

/* What the operation keeps may be lacking now: neither commands nor replies mean what they say. */
static bool lacks_memory(struct request *r, bool sent, enum step *step) {
    if (arena_failed(&r->arena))
        *step = problem_outcome(r, E_OUT_OF_MEMORY, op_may_have_written(&r->op, sent));
    return arena_failed(&r->arena);
}

static enum step ask(struct request *r, struct op_context *context) {
    enum step step;
    if (lacks_memory(r, false, &step))
        return step;
    if (!op_has_turn(&r->op, context)) {
        r->awaits = SHARE_TURN;
        return STEP_HOLD;
    }
    enum error e = single_begin(r);
    if (e != OK)
        return problem_outcome(r, e, op_may_have_written(&r->op, false));
    op_append(&r->op, context);
    return single_commit(r);
}

const char *single_detail(const struct op *op) {
    return op_failed_by_weakness(op)
               ? "If-Match names the entry by a weak entity tag (W/), as a web server makes it "
                 "that "
                 "compresses, and a weak one never matches there: read with Accept-Encoding: "
                 "identity, and send the tag that comes; nothing was changed."
               : NULL;
}

static enum step answer_failure(struct request *r) {
    const struct op *op = &r->op;
    if (op->distrust)
        store_distrust(r->service->store, r->service->now);
    const char *detail = single_detail(op);
    enum step step = detail != NULL ? problem(r, op->error, detail)
                                    : problem_outcome(r, op->error, op->outcome_unknown);
    if (op->error == E_KEY_NOT_FOUND && op->kind == OP_READ)
        r->response.lookup = LOOKUP_MISS;
    if (op->error == E_PRECONDITION_FAILED)
        single_put_etag(r);
    return step;
}

enum step single_start(struct request *r) {
    struct op_context context = single_context(r);
    enum error e = condition_read(r->fields.if_match, &r->op.if_match);
    if (e == OK)
        e = condition_read(r->fields.if_none_match, &r->op.if_none_match);
    if (e == OK && arena_failed(&r->arena))
        e = E_OUT_OF_MEMORY;
    if (e != OK)
        return problem(r, e, NULL);
    if (op_start(&r->op, &context))
        return answer_failure(r);
    return ask(r, &context);
}

/* Between two tries all that the arena has is what was found, and made of it, unless there is an
 * entry to write. Else many requests for one large entry would hold a copy for every time that they
 * had to start over. */
static bool keeps_nothing(const struct op *op) {
    return op->kind != OP_WRITE;
}

bool single_done(struct request *r, enum step *step) {
    struct op_context context = single_context(r);
    if (r->op.phase == OP_WAIT) {
        *step = ask(r, &context);
        return false;
    }
    *step = STEP_ANSWER;
    if (r->call.error != OK) {
        bool maybe_written = op_may_have_written(&r->op, !r->call.outcome_known);
        *step = problem_outcome(r, r->call.error, maybe_written);
        return false;
    }
    if (lacks_memory(r, true, step))
        return false;
    if (!op_take(&r->op, &context, replies_get(&r->call.replies, 0), NULL)) {
        if (context.starts_over && keeps_nothing(&r->op))
            arena_reset(&r->arena);
        op_keep_replies(&context);
        *step = ask(r, &context);
        return false;
    }
    if (r->op.error != OK)
        *step = answer_failure(r);
    return r->op.error == OK;
}

/* --- answers --------------------------------------------------------------------------------- */

void single_put_etag(struct request *r) {
    struct buf *fields = &r->response.fields;
    if (!r->op.has_etag)
        return;
    buf_put_slice(fields, SLICE("ETag: \""));
    buf_put(fields, r->op.etag, sizeof(r->op.etag));
    buf_put_slice(fields, SLICE("\"\r\n"));
}

bool single_answer_minimal(struct request *r) {
    if (r->fields.prefer.p == NULL || !fields_prefers_minimal(r->fields.prefer))
        return false;
    r->response.status = 204;
    response_field(&r->response, "Preference-Applied", SLICE("return=minimal"));
    return true;
}

static void put_groups(struct buf *fields, const struct entry *entry) {
    bool first = true;
    for (size_t i = 0; i < entry->tag_count; i++) {
        /* A tag that is no ASCII has no spelling there. */
        if (!fields_is_string(entry->tags[i].name))
            continue;
        buf_put_slice(fields, first ? SLICE("Cache-Groups: ") : SLICE(", "));
        fields_put_string(fields, entry->tags[i].name);
        first = false;
    }
    if (!first)
        buf_put(fields, "\r\n", 2);
}

void single_put_read_fields(struct request *r) {
    enum { FOR_EVER_S = 31536000 }; /* a year: what never expires may still be replaced */
    struct buf *fields = &r->response.fields;
    const struct op *op = &r->op;
    int64_t left = op->fresh >= 0 ? ttl_seconds_left(op->fresh) : FOR_EVER_S;
    buf_put_slice(fields, SLICE("Cache-Control: private, "));
    if (r->service->config->client_caching) {
        buf_put_slice(fields, SLICE("max-age="));
        buf_put_int(fields, left);
    } else {
        buf_put_slice(fields, SLICE("no-cache"));
    }
    if (op->fresh >= 0) {
        buf_put_slice(fields, SLICE("\r\nCache-Status: larder; hit; ttl="));
        buf_put_int(fields, left);
        buf_put(fields, "\r\n", 2);
    } else {
        buf_put_slice(fields, SLICE("\r\nCache-Status: larder; hit\r\n"));
    }
    single_put_etag(r);
    if (op->found.tag_count > 0)
        put_groups(fields, &op->found);
}

bool single_answer_not_modified(struct request *r) {
    if (!r->op.not_modified)
        return false;
    r->response.status = 304;
    single_put_read_fields(r);
    return true;
}
