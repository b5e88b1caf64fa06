/*
 * DELETE /cache: everything, what begins with a prefix, or what carries a tag. A prefix is gone
 * through in steps, each a bounded piece of work for Redis, between which everybody else is served.
 * A tag is one command: entries are alive by its nonce, and no two nonces are ever the same.
 */
#include "api/handlers.h"
#include "api/single.h"
#include "api/view.h"
#include "base/jsontext.h"
#include "cache/keyscan.h"
#include "http/fields.h"
#include "http/problem.h"
#include "http/query.h"

enum {
    UNLINK_NAMES = 128, /* in one command */
};

/* What r->job points to. */
struct sweep {
    struct keyscan scan;
    struct slice tag;
    uint64_t deleted;
    const struct reply *names; /* the array that the last SCAN found; NULL: none yet */
    unsigned unlinks;          /* commands of the present round, before its SCAN */
    bool whole;                /* everything: the answer is another one */
    bool scans;                /* the present round has a SCAN */
    bool begun;
};

static enum step answer(struct request *r, const struct sweep *sweep) {
    struct buf *body = &r->response.body;
    stats_add(&r->service->row->counter[STAT_clears], sweep->whole ? 1 : 0);
    if (single_answer_minimal(r))
        return STEP_ANSWER;
    response_json(&r->response, 200);
    if (sweep->whole) {
        buf_put_slice(body, SLICE("{\"cleared\":true"));
    } else if (sweep->tag.n > 0) {
        buf_put_slice(body, SLICE("{\"invalidated\":true,\"tag\":"));
        jsontext_put_string(body, sweep->tag);
    } else {
        buf_put_slice(body, SLICE("{\"deleted\":"));
        buf_put_uint(body, sweep->deleted);
    }
    view_put_timestamp(body);
    return STEP_ANSWER;
}

static enum step ask(struct request *r, const struct slice *args, size_t n) {
    if (single_begin(r) != OK)
        return STEP_ANSWER;
    store_append(r->service->store, &r->call, args, n);
    return single_commit(r);
}

/* --- tags ------------------------------------------------------------------------------------ */

static enum step ask_tag(struct request *r, struct sweep *sweep, struct slice tag) {
    if (!entry_tag_is_valid(tag))
        return problem(r, tag.n == 0 ? E_INVALID_PARAMETER : E_INVALID_TAG,
                       "tag is 1 to 128 bytes of UTF-8 without control characters; nothing was "
                       "deleted.");
    struct slice name = op_tag_name(&r->arena, r->service->config, tag);
    if (name.n == 0)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    sweep->tag = tag;
    return ask(r, (struct slice[]){SLICE("UNLINK"), name}, 2);
}

static enum step finish_tag(struct request *r, const struct sweep *sweep) {
    const struct reply *unlinked = replies_get(&r->call.replies, 0);
    if (unlinked->type != REPLY_INTEGER || unlinked->integer < 0 || unlinked->integer > 1)
        return problem_reply(r, unlinked);
    enum step step = answer(r, sweep);
    if (fields_is_string(sweep->tag)) {
        buf_put_slice(&r->response.fields, SLICE("Cache-Group-Invalidation: "));
        fields_put_string(&r->response.fields, sweep->tag);
        buf_put_slice(&r->response.fields, SLICE("\r\n"));
    }
    return step;
}

/* --- prefixes -------------------------------------------------------------------------------- */

/* What the steps before have deleted is deleted. `sent`: the present one may have reached Redis. */
static enum step fail(struct request *r, const struct sweep *sweep, enum error e, bool sent) {
    return problem_outcome(r, e, sweep->deleted > 0 || (sent && sweep->unlinks > 0));
}

static enum step fail_reply(struct request *r, const struct sweep *sweep,
                            const struct reply *reply) {
    bool senseless;
    enum error e = reply_refusal(&r->call.replies, reply, &senseless);
    /* The first UNLINK did nothing if Redis says so, but there may be others. */
    bool unlinked = sweep->unlinks > (e == E_BACKEND_ERROR ? 0 : 1);
    if (senseless)
        store_distrust(r->service->store, r->service->now);
    return problem_outcome(r, e, sweep->deleted > 0 || unlinked);
}

/* UNLINKs the names that the last SCAN found; they are in the call's previous replies. */
static void append_unlinks(struct request *r, struct sweep *sweep) {
    struct slice args[1 + UNLINK_NAMES] = {SLICE("UNLINK")};
    size_t n = 1;
    for (int64_t i = 1; i <= sweep->names->integer; i++) {
        args[n++] = replies_bytes(&r->call.previous, &sweep->names[i]);
        if (n < 1 + UNLINK_NAMES && i < sweep->names->integer)
            continue;
        store_append(r->service->store, &r->call, args, n);
        sweep->unlinks++;
        n = 1;
    }
}

static enum step sweep_on(struct request *r, struct sweep *sweep) {
    if (!request_claim(r, SHARE_SWEEP))
        return STEP_HOLD;
    sweep->begun = true;
    call_keep_previous(&r->call);
    sweep->unlinks = 0;
    enum error e = single_begin(r);
    if (e != OK)
        return fail(r, sweep, e, false);
    if (sweep->names != NULL)
        append_unlinks(r, sweep);
    sweep->scans = sweep->names == NULL || !keyscan_is_over(&sweep->scan);
    if (sweep->scans)
        keyscan_append(&sweep->scan, r->service->store, &r->call, KEYSCAN_STEP, false);
    return single_commit(r);
}

static enum step ask_prefix(struct request *r, struct sweep *sweep, struct slice prefix) {
    bool whole = sweep->whole;
    if (!whole && (prefix.n == 0 || prefix.n > KEY_MAX || !key_text_is_valid(prefix)))
        return problem(r, E_INVALID_PARAMETER,
                       "prefix is 1 to 512 bytes of UTF-8 without control characters; nothing was "
                       "deleted.");
    sweep->scan.pattern =
        keyscan_pattern(&r->arena, slice_of(r->service->config->key_prefix), prefix);
    if (sweep->scan.pattern.n == 0 || keyscan_begin(&sweep->scan, (struct slice){0}) != OK)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    return sweep_on(r, sweep);
}

static enum step finish_step(struct request *r, struct sweep *sweep) {
    const struct reply *reply = replies_get(&r->call.replies, 0);
    for (unsigned i = 0; i < sweep->unlinks; i++) {
        if (reply->type != REPLY_INTEGER || reply->integer < 0 || reply->integer > UNLINK_NAMES)
            return fail_reply(r, sweep, reply);
        sweep->deleted += (uint64_t)reply->integer;
        stats_add(&r->service->row->counter[STAT_deletes], (uint64_t)reply->integer);
        reply = replies_next(&r->call.replies, reply);
    }
    if (!sweep->scans || r->peer_gone)
        return answer(r, sweep);
    if (!keyscan_take(&sweep->scan, &r->call.replies, reply, &sweep->names))
        return fail_reply(r, sweep, reply);
    if (sweep->names->integer == 0 && keyscan_is_over(&sweep->scan))
        return answer(r, sweep);
    return sweep_on(r, sweep);
}

/* --- all of it ------------------------------------------------------------------------------- */

static enum step finish_flush(struct request *r, const struct sweep *sweep) {
    const struct reply *flushed = replies_get(&r->call.replies, 0);
    bool done = reply_is_status(&r->call.replies, flushed, SLICE("OK"));
    return done ? answer(r, sweep) : problem_reply(r, flushed);
}

enum step cache_clear_plan(struct request *r) {
    struct slice prefix;
    struct slice tag;
    struct buf decoded = {0};
    struct query_fault fault;
    const struct query_wanted wanted[] = {{SLICE("prefix"), &prefix}, {SLICE("tag"), &tag}};
    struct sweep *sweep = arena_take(&r->arena, sizeof(*sweep));
    if (sweep == NULL)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    *sweep = (struct sweep){0};
    r->job = sweep;
    enum error e = query_read(r->query, true, wanted, 2, &decoded, &fault);
    if (e == OK && !arena_adopt(&r->arena, &decoded))
        e = E_OUT_OF_MEMORY;
    buf_fini(&decoded);
    if (e != OK)
        return problem_say(r, e, fault.detail);
    if (prefix.p != NULL && tag.p != NULL)
        return problem(r, E_INVALID_PARAMETER,
                       "Give a prefix or a tag, not both; nothing was deleted.");
    if (tag.p != NULL)
        return ask_tag(r, sweep, tag);
    /* As when what should stand there was never set. */
    if (prefix.p == NULL && r->has_query)
        return problem(r, E_INVALID_PARAMETER, "The query is empty; nothing was deleted.");
    sweep->whole = prefix.p == NULL;
    if (!sweep->whole || r->service->config->key_prefix[0] != '\0')
        return ask_prefix(r, sweep, prefix);
    /* ASYNC: freeing a million entries must not hold up everybody else's commands. */
    return ask(r, (struct slice[]){SLICE("FLUSHDB"), SLICE("ASYNC")}, 2);
}

enum step cache_clear_finish(struct request *r) {
    struct sweep *sweep = r->job;
    bool in_steps = sweep->scan.pattern.n > 0;
    if (in_steps && !sweep->begun)
        return sweep_on(r, sweep);
    if (r->call.error != OK && in_steps)
        return fail(r, sweep, r->call.error, !r->call.outcome_known);
    if (r->call.error != OK)
        return problem_call_failed(r);
    if (in_steps)
        return finish_step(r, sweep);
    if (sweep->tag.n > 0)
        return finish_tag(r, sweep);
    return finish_flush(r, sweep);
}
