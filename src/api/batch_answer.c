/* The answer to a batch: see batch.h. */
#include "api/batch.h"

#include "api/view.h"
#include "base/jsontext.h"

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
    if (item->op.error == OK && item->op.kind == OP_READ && body->n > BATCH_ANSWER_BYTES) {
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

enum step batch_answer(struct request *r, struct batch *batch) {
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
