/* POST /counters/{key}: adds to an entry that is a whole number, in Redis, and so exactly. */
#include "api/envelope.h"
#include "api/handlers.h"
#include "api/single.h"
#include "api/view.h"
#include "http/problem.h"

static enum error read_document(struct request *r, struct op *op, struct envelope_fault *fault) {
    const struct config *config = r->service->config;
    struct envelope envelope = {0};
    enum error e = envelope_check_headers(r, &envelope_count, fault);
    if (e == OK && r->body.n > 0)
        e = envelope_read(r->body, &envelope_count, &envelope, fault);
    if (e == OK)
        e = envelope_get_integer(&envelope, ENVELOPE_BY, 1, &op->by, fault);
    if (e == OK)
        e = envelope_get_integer(&envelope, ENVELOPE_INITIAL, 0, &op->initial, fault);
    if (e == OK)
        e = envelope_get_ttl(&envelope, config, config->default_ttl, &op->ttl, fault);
    return e;
}

enum step counter_plan(struct request *r) {
    struct envelope_fault fault;
    struct op *op = single_prepare(r, OP_COUNT);
    enum error e = read_document(r, op, &fault);
    if (e != OK)
        return problem_say(r, e, fault.detail);
    return single_start(r);
}

enum step counter_finish(struct request *r) {
    enum step step;
    struct buf *body = &r->response.body;
    if (!single_done(r, &step))
        return step;
    stats_add(&r->service->row->counter[STAT_stores], 1);
    single_put_etag(r);
    if (single_answer_minimal(r))
        return STEP_ANSWER;
    response_json(&r->response, 200);
    r->response.no_store = true;
    buf_put_char(body, '{');
    view_put_key(body, key_slice(&r->key));
    view_put_entry(body, &r->response, &r->op);
    buf_put_char(body, '}');
    return STEP_ANSWER;
}
