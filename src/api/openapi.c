/*
 * GET /openapi.json and GET /docs: texts that are part of the program (openapi.json, docs.*). They
 * change only with it, so who has one asks again with its entity tag and gets a 304.
 */
#include "api/handlers.h"
#include "base/base64.h"
#include "base/digest.h"
#include "cache/condition.h"
#include "http/problem.h"

#include "api/openapi.inc"

static const struct slice description = SLICE_INIT(openapi_json);
static const struct slice page = SLICE_INIT(docs_html);
static const struct slice style = SLICE_INIT(docs_css);
static const struct slice script = SLICE_INIT(docs_js);

/* --- preconditions --------------------------------------------------------------------------- */

/* What the preconditions make of a text that has this entity tag. */
static enum error judge(const struct request *r, struct slice etag, bool *not_modified) {
    struct condition match = {0};
    struct condition none_match = {0};
    enum error e = condition_read(r->fields.if_match, &match);
    if (e == OK)
        e = condition_read(r->fields.if_none_match, &none_match);
    if (e != OK)
        return e;
    if (match.kind != CONDITION_NONE && !condition_matches(&match, etag, false))
        return E_PRECONDITION_FAILED;
    *not_modified = condition_matches(&none_match, etag, true);
    return OK;
}

/* --- answers --------------------------------------------------------------------------------- */

/* Makes the answer of the text that the response's body holds. */
static enum step answer(struct request *r, struct slice type) {
    char etag[DIGEST_XXH128_HEX];
    bool not_modified = false;
    struct response *response = &r->response;
    if (buf_failed(&response->body))
        return problem(r, E_OUT_OF_MEMORY, NULL);
    digest_xxh128_hex(buf_slice(&response->body), 0, etag);
    enum error e = judge(r, (struct slice){etag, sizeof(etag)}, &not_modified);
    if (e != OK)
        return problem(r, e, e == E_PRECONDITION_FAILED ? "If-Match names another version." : NULL);
    response->status = 200;
    response->content_type = type;
    if (not_modified) {
        response_reset(response);
        response->status = 304;
    }
    buf_put_slice(&response->fields, SLICE("Cache-Control: no-cache\r\nETag: \""));
    buf_put(&response->fields, etag, sizeof(etag));
    buf_put_slice(&response->fields, SLICE("\"\r\n"));
    return STEP_ANSWER;
}

enum step openapi_plan(struct request *r) {
    buf_put_slice(&r->response.body, description);
    return answer(r, SLICE("application/json"));
}

/* Appends the page up to the mark, and `text` in place of the mark. Gives what is left. */
static struct slice put_part(struct buf *body, struct slice rest, struct slice mark,
                             struct slice text) {
    const char *at = memmem(rest.p, rest.n, mark.p, mark.n);
    if (at == NULL)
        return rest;
    size_t before = (size_t)(at - rest.p);
    buf_put(body, rest.p, before);
    buf_put_slice(body, text);
    return (struct slice){at + mark.n, rest.n - before - mark.n};
}

/* A source that is the text of an element (CSP 3, 2.3.1): nothing else of its kind runs. */
static void put_source(struct buf *fields, const char *directive, struct slice text) {
    char digest[DIGEST_SHA256_BYTES];
    digest_sha256(text, digest);
    buf_puts(fields, directive);
    buf_put_slice(fields, SLICE(" 'sha256-"));
    base64_encode(fields, (struct slice){digest, sizeof(digest)});
    buf_put_slice(fields, SLICE("'; "));
}

/* The page shows what is stored here to whoever tries a request: it may load nothing and talk to
 * nobody but this service. */
static void put_policy(struct buf *fields) {
    buf_put_slice(fields, SLICE("Content-Security-Policy: default-src 'none'; "));
    put_source(fields, "style-src", style);
    put_source(fields, "script-src", script);
    buf_put_slice(fields, SLICE("connect-src 'self'; img-src data:; base-uri 'none'; "
                                "form-action 'none'; frame-ancestors 'none'\r\n"
                                "Referrer-Policy: no-referrer\r\n"));
}

enum step docs_plan(struct request *r) {
    struct buf *body = &r->response.body;
    struct slice rest = page;
    rest = put_part(body, rest, SLICE("/*docs.css*/"), style);
    rest = put_part(body, rest, SLICE("/*docs.js*/"), script);
    buf_put_slice(body, rest);
    enum step step = answer(r, SLICE("text/html; charset=utf-8"));
    if (r->response.status == 200)
        put_policy(&r->response.fields);
    return step;
}
