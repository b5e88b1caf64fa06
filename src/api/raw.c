/* /raw/{key}: an entry as its bare bytes, of any media type. DELETE and everything that is said of
 * entries is /cache/{key}'s: they are the same entries. */
#include "api/handlers.h"
#include "api/single.h"
#include "api/view.h"
#include "base/jsontext.h"
#include "base/utf8.h"
#include "cache/integer.h"
#include "cache/ttl.h"
#include "http/fields.h"
#include "http/media.h"
#include "http/problem.h"
#include "http/query.h"

/* --- GET ------------------------------------------------------------------------------------- */

/* What another program stored has no type, but text and JSON are easily told. */
static struct slice type_of(const struct entry *entry) {
    if (entry->raw)
        return entry->type;
    if (entry->is_json || jsontext_check(entry->body, NULL, NULL) == OK)
        return SLICE("application/json");
    return utf8_valid(entry->body) ? SLICE("text/plain; charset=utf-8")
                                   : SLICE("application/octet-stream");
}

enum step raw_get_plan(struct request *r) {
    (void)single_prepare(r, OP_READ);
    return single_start(r);
}

enum step raw_get_finish(struct request *r) {
    enum step step;
    if (!single_done(r, &step))
        return step;
    const struct entry *entry = &r->op.found;
    r->response.lookup = LOOKUP_HIT;
    if (single_answer_not_modified(r))
        return STEP_ANSWER;
    r->response.status = 200;
    r->response.content_type = type_of(entry);
    single_put_read_fields(r);
    if (entry->coding.n > 0)
        response_field(&r->response, "Content-Encoding", entry->coding);
    /* Somebody's page must not act in the name of the host that the cache is on. */
    response_field(&r->response, "Content-Security-Policy", SLICE("sandbox"));
    response_splice(&r->response, entry->body);
    return STEP_ANSWER;
}

/* --- PUT ------------------------------------------------------------------------------------- */

/* A ttl in a query is plain digits. */
static enum error read_seconds(struct slice text, int64_t max, int64_t *seconds,
                               const char **reason) {
    int64_t number;
    *reason = "not a whole number in plain digits";
    if (integer_parse(text, &number) != OK)
        return E_INVALID_TTL;
    return ttl_parse(text, max, seconds, reason);
}

static enum step refuse_seconds(struct request *r, enum error e, const char *name,
                                const char *reason) {
    struct buf detail = {0};
    buf_printf(&detail, "%s: %s; it is a whole number of seconds from 1 to %lld.", name, reason,
               (long long)r->service->config->max_ttl);
    buf_put_char(&detail, '\0');
    enum step step = problem(r, e, buf_failed(&detail) ? NULL : detail.p);
    buf_fini(&detail);
    return step;
}

static enum error read_groups(struct request *r, struct entry *entry) {
    struct fields_strings strings;
    struct buf decoded = {0};
    if (r->fields.cache_groups.p == NULL)
        return OK;
    enum error e = fields_read_strings(r->fields.cache_groups, &decoded, &strings);
    if (e == OK && !arena_adopt(&r->arena, &decoded))
        e = E_OUT_OF_MEMORY;
    buf_fini(&decoded);
    struct entry_tag *tags = e == OK ? arena_take(&r->arena, strings.n * sizeof(*tags)) : NULL;
    if (tags == NULL)
        return e == OK ? E_OUT_OF_MEMORY : e;
    for (size_t i = 0; i < strings.n; i++)
        if (!entry_has_tag(tags, entry->tag_count, strings.string[i]))
            tags[entry->tag_count++] = (struct entry_tag){.name = strings.string[i]};
    entry->tags = tags;
    return OK;
}

static const char bad_type[] =
    "Content-Type is a media type, such as text/html; charset=utf-8, of at most 255 bytes.";
static const char bad_coding[] =
    "Content-Encoding is a list of codings, such as gzip, of at most 64 bytes.";
static const char bad_groups[] =
    "Cache-Groups is a list of strings in double quotes, such as \"a\", \"b\".";
static const char bad_tags[] = "Cache-Groups has at most 32 strings, each of 1 to 128 bytes.";

/* STEP_WAIT: nothing is wrong. */
static enum step read_headers(struct request *r, struct entry *entry) {
    entry->raw = true;
    entry->body = r->body;
    if (r->body_too_large || r->body.n > (size_t)r->service->config->max_value)
        return problem(r, E_VALUE_TOO_LARGE, NULL);
    entry->type = r->content_type.n > 0 ? r->content_type : SLICE("application/octet-stream");
    if (fields_check_media_type(entry->type) != OK)
        return problem(r, E_INVALID_FIELD, bad_type);
    if (!media_coding_is_identity(r->content_encoding)) {
        entry->coding = r->content_encoding;
        if (fields_check_coding(entry->coding) != OK)
            return problem(r, E_INVALID_FIELD, bad_coding);
    }
    enum error e = read_groups(r, entry);
    if (e == E_INVALID_FIELD)
        return problem(r, e, bad_groups);
    if (e != OK)
        return problem(r, e, e == E_INVALID_TAG ? bad_tags : NULL);
    return STEP_WAIT;
}

/* Of the query: ttl and idle. STEP_WAIT: nothing is wrong. */
static enum step read_query(struct request *r, struct op *op) {
    const struct config *config = r->service->config;
    const char *reason;
    struct slice ttl;
    struct slice idle;
    struct buf decoded = {0};
    struct query_fault fault;
    const struct query_wanted wanted[] = {{SLICE("ttl"), &ttl}, {SLICE("idle"), &idle}};
    op->ttl = config->default_ttl;
    enum error e = query_read(r->query, true, wanted, 2, &decoded, &fault);
    enum step step = STEP_WAIT;
    if (e != OK)
        step = problem_say(r, e, fault.detail);
    else if (ttl.p != NULL && read_seconds(ttl, config->max_ttl, &op->ttl, &reason) != OK)
        step = refuse_seconds(r, E_INVALID_TTL, "ttl", reason);
    else if (idle.p != NULL && read_seconds(idle, config->max_ttl, &op->entry.idle, &reason) != OK)
        step = refuse_seconds(r, E_INVALID_IDLE, "idle", reason);
    buf_fini(&decoded);
    return step;
}

enum step raw_put_plan(struct request *r) {
    struct op *op = single_prepare(r, OP_WRITE);
    enum step step = read_headers(r, &op->entry);
    if (step == STEP_WAIT)
        step = read_query(r, op);
    return step == STEP_WAIT ? single_start(r) : step;
}

/* The bytes are not sent back: their sender has them. */
enum step raw_put_finish(struct request *r) {
    enum step step;
    struct buf *body = &r->response.body;
    if (!single_done(r, &step))
        return step;
    stats_add(&r->service->row->counter[STAT_stores], 1);
    single_put_etag(r);
    if (single_answer_minimal(r))
        return STEP_ANSWER;
    response_json(&r->response, 200);
    buf_put_char(body, '{');
    view_put_key(body, key_slice(&r->key));
    buf_put_slice(body, SLICE(",\"content_type\":"));
    jsontext_put_string(body, r->op.found.type);
    buf_put_slice(body, SLICE(",\"size\":"));
    buf_put_uint(body, r->op.found.body.n);
    view_put_lifetime(body, &r->op);
    view_put_timestamp(body);
    return STEP_ANSWER;
}
