/* /cache/{key}: get, put, patch, delete. The value is text all the way: what the client wrote
 * between the colon and the comma is what Redis keeps and what the next GET gives back. */
#include <stdio.h>

#include "api/envelope.h"
#include "api/handlers.h"
#include "api/single.h"
#include "api/view.h"
#include "http/media.h"
#include "http/problem.h"

static enum step answer_entry(struct request *r) {
    struct buf *body = &r->response.body;
    response_json(&r->response, 200);
    buf_put_char(body, '{');
    view_put_key(body, key_slice(&r->key));
    view_put_entry(body, &r->response, &r->op);
    view_put_timestamp(body);
    return STEP_ANSWER;
}

/* --- GET ------------------------------------------------------------------------------------- */

enum step cache_get_plan(struct request *r) {
    (void)single_prepare(r, OP_READ);
    return single_start(r);
}

enum step cache_get_finish(struct request *r) {
    enum step step;
    if (!single_done(r, &step))
        return step;
    r->response.lookup = LOOKUP_HIT;
    if (single_answer_not_modified(r))
        return STEP_ANSWER;
    single_put_read_fields(r);
    return answer_entry(r);
}

/* --- PUT and PATCH --------------------------------------------------------------------------- */

enum step cache_put_plan(struct request *r) {
    struct envelope_fault fault;
    struct envelope envelope;
    struct op *op = single_prepare(r, OP_WRITE);
    enum error e = envelope_check_headers(r, &envelope_put, &fault);
    if (e == OK)
        e = envelope_read(r->body, &envelope_put, &envelope, &fault);
    if (e == OK && envelope.text[ENVELOPE_VALUE].n > 0)
        e = envelope_check_key(&envelope, key_slice(&r->key));
    if (e == OK)
        e = envelope_get_entry(&envelope, r->service->config, &r->arena, op, &fault);
    return e == OK ? single_start(r) : problem_say(r, e, fault.detail);
}

static enum step answer_written(struct request *r) {
    single_put_etag(r);
    return single_answer_minimal(r) ? STEP_ANSWER : answer_entry(r);
}

enum step cache_put_finish(struct request *r) {
    enum step step;
    if (!single_done(r, &step))
        return step;
    stats_add(&r->service->row->counter[STAT_stores], 1);
    return answer_written(r);
}

/* application/json is taken, too: the resource has no other way to be patched. */
static enum error check_patch_headers(struct request *r, struct envelope_fault *fault) {
    bool is_patch = media_is_merge_patch(r->content_type);
    if (is_patch)
        r->content_type = (struct slice){0};
    enum error e = envelope_check_headers(r, &envelope_patch, fault);
    if (e == E_UNSUPPORTED_MEDIA_TYPE)
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "Send the patch with Content-Type: application/merge-patch+json.");
    return e;
}

/* RFC 7396 on the envelope: null removes, and the one member that can go is ttl. */
static enum error read_patch(struct request *r, struct op *op, struct envelope_fault *fault) {
    struct envelope envelope;
    enum error e = envelope_read(r->body, &envelope_patch, &envelope, fault);
    if (e != OK)
        return e;
    op->patch = envelope.text[ENVELOPE_VALUE];
    op->sets_ttl = envelope.text[ENVELOPE_TTL].n > 0;
    if (slice_eq(op->patch, SLICE("null"))) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "A patch cannot take the value away; DELETE does.");
        return E_SCHEMA_VIOLATION;
    }
    return envelope_get_ttl(&envelope, r->service->config, 0, &op->ttl, fault);
}

enum step cache_patch_plan(struct request *r) {
    struct envelope_fault fault;
    struct op *op = single_prepare(r, OP_PATCH);
    enum error e = check_patch_headers(r, &fault);
    if (e == OK)
        e = read_patch(r, op, &fault);
    if (e == OK)
        return single_start(r);
    enum step step = problem_say(r, e, fault.detail);
    if (e == E_UNSUPPORTED_MEDIA_TYPE)
        response_field(&r->response, "Accept-Patch", SLICE("application/merge-patch+json"));
    return step;
}

enum step cache_patch_finish(struct request *r) {
    enum step step;
    if (!single_done(r, &step))
        return step;
    stats_add(&r->service->row->counter[STAT_stores], 1);
    return answer_written(r);
}

/* --- DELETE ---------------------------------------------------------------------------------- */

enum step cache_delete_plan(struct request *r) {
    (void)single_prepare(r, OP_REMOVE);
    return single_start(r);
}

enum step cache_delete_finish(struct request *r) {
    enum step step;
    struct buf *body = &r->response.body;
    if (!single_done(r, &step))
        return step;
    stats_add(&r->service->row->counter[STAT_deletes], 1);
    if (single_answer_minimal(r))
        return STEP_ANSWER;
    response_json(&r->response, 200);
    buf_put_char(body, '{');
    view_put_key(body, key_slice(&r->key));
    buf_put_slice(body, SLICE(",\"deleted\":true"));
    view_put_timestamp(body);
    return STEP_ANSWER;
}
