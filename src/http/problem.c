/* Error answers: see problem.h. */
#include "http/problem.h"

#include "base/jsontext.h"
#include "base/log.h"

enum outcome { OUTCOME_NONE, OUTCOME_NOT_APPLIED, OUTCOME_UNKNOWN };

static const char *const outcome_names[] = {
    [OUTCOME_NOT_APPLIED] = "not-applied",
    [OUTCOME_UNKNOWN] = "unknown",
};

static void put_member(struct buf *out, const char *name, struct slice text) {
    buf_puts(out, name);
    jsontext_put_string(out, text);
}

/* Where the table's text lacks a figure, it has one here. */
static void put_detail(struct request *r, enum error e, const char *detail) {
    struct buf *body = &r->response.body;
    if (detail == NULL && e == E_VALUE_TOO_LARGE)
        buf_printf(body, ",\"detail\":\"The value is larger than max_value, %lld bytes.\"",
                   (long long)r->service->config->max_value);
    else
        put_member(body, ",\"detail\":", slice_of(detail != NULL ? detail : error_info(e)->detail));
}

static enum step write_problem(struct request *r, enum error e, const char *detail,
                               enum outcome outcome) {
    const struct error_info *info = error_info(e);
    struct response *response = &r->response;
    response_reset(response);
    response->status = info->status;
    response->content_type = SLICE("application/problem+json");
    response->no_store = true;
    response->retry_after = info->retry_after;

    struct buf *body = &response->body;
    buf_puts(body, "{\"type\":\"/errors/");
    buf_puts(body, info->slug);
    put_member(body, "\",\"title\":", slice_of(info->title));
    buf_puts(body, ",\"status\":");
    buf_put_int(body, info->status);
    put_detail(r, e, detail);
    if (r->key.n > 0)
        put_member(body, ",\"key\":", key_slice(&r->key));
    if (outcome != OUTCOME_NONE)
        put_member(body, ",\"outcome\":", slice_of(outcome_names[outcome]));
    if (info->retry_after > 0) {
        buf_puts(body, ",\"retry_after\":");
        buf_put_int(body, info->retry_after);
    }
    buf_put_char(body, '}');
    return STEP_ANSWER;
}

enum step problem(struct request *r, enum error e, const char *detail) {
    /* What is refused before or instead of a command to Redis was not done. */
    bool refused_write = method_writes(r->method) && error_info(e)->status >= 503;
    return write_problem(r, e, detail, refused_write ? OUTCOME_NOT_APPLIED : OUTCOME_NONE);
}

enum step problem_say(struct request *r, enum error e, const char *detail) {
    return problem(r, e, detail[0] != '\0' ? detail : NULL);
}

enum step problem_refused(struct request *r, enum error e) {
    stats_add(&r->service->row->counter[STAT_redis_refusals], 1);
    return problem(r, e, NULL);
}

void problem_add(struct request *r, const char *name, const char *text) {
    struct buf *body = &r->response.body;
    if (buf_failed(body))
        return;
    body->n--; /* the closing brace */
    buf_printf(body, ",\"%s\":\"%s\"}", name, text);
}

enum step problem_call_failed(struct request *r) {
    enum outcome outcome = OUTCOME_NONE;
    if (method_writes(r->method))
        outcome = r->call.outcome_known ? OUTCOME_NOT_APPLIED : OUTCOME_UNKNOWN;
    return write_problem(r, r->call.error, NULL, outcome);
}

enum step problem_outcome(struct request *r, enum error e, bool maybe_written) {
    enum outcome outcome = OUTCOME_NONE;
    if (method_writes(r->method) && error_info(e)->status >= 503)
        outcome = maybe_written ? OUTCOME_UNKNOWN : OUTCOME_NOT_APPLIED;
    return write_problem(r, e, NULL, outcome);
}

enum step problem_reply(struct request *r, const struct reply *reply) {
    bool senseless;
    enum error e = reply_refusal(&r->call.replies, reply, &senseless);
    if (e != E_BACKEND_ERROR)
        return problem(r, e, NULL);
    /* An error that is not in the table, or a reply that the command never gives: nobody knows what
     * happened. */
    if (senseless)
        store_distrust(r->service->store, r->service->now);
    return write_problem(r, E_BACKEND_ERROR, NULL,
                         method_writes(r->method) ? OUTCOME_UNKNOWN : OUTCOME_NONE);
}
