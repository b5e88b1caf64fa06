/* GET /keys: the keys there are, page by page. A page is a few steps through the names in Redis; as
 * SCAN does, it may show a key twice, and promises only those that are there throughout. */
#include "api/handlers.h"
#include "api/single.h"
#include "base/jsontext.h"
#include "cache/integer.h"
#include "cache/keyscan.h"
#include "http/problem.h"
#include "http/query.h"

enum {
    LIMIT_DEFAULT = 100,
    LIMIT_MAX = 1000,
    STEPS_MAX = 150, /* of a page: few keys in a large Redis make short pages */
};

/* What r->job points to. */
struct listing {
    struct keyscan scan;
    struct slice prefix;
    int64_t limit;
    int64_t found;
    unsigned steps;
};

static enum error read_limit(struct slice text, int64_t *limit) {
    *limit = LIMIT_DEFAULT;
    if (text.p == NULL)
        return OK;
    if (integer_parse(text, limit) != OK || *limit < 1 || *limit > LIMIT_MAX)
        return E_INVALID_PARAMETER;
    return OK;
}

static enum step step_on(struct request *r, struct listing *listing) {
    if (!request_claim(r, SHARE_LIST))
        return STEP_HOLD;
    if (single_begin(r) != OK)
        return STEP_ANSWER;
    listing->steps++;
    keyscan_append(&listing->scan, r->service->store, &r->call, KEYSCAN_STEP, true);
    return single_commit(r);
}

static enum step begin(struct request *r, struct listing *listing, struct slice cursor,
                       struct slice limit) {
    if (read_limit(limit, &listing->limit) != OK)
        return problem(r, E_INVALID_PARAMETER, "limit is a whole number from 1 to 1000.");
    if (keyscan_begin(&listing->scan, cursor) != OK)
        return problem(r, E_INVALID_PARAMETER, "cursor is not one that this service gave.");
    if (listing->prefix.n > KEY_MAX || !key_text_is_valid(listing->prefix))
        return problem(r, E_INVALID_PARAMETER,
                       "prefix is at most 512 bytes of UTF-8 without control characters.");
    listing->scan.pattern =
        keyscan_pattern(&r->arena, slice_of(r->service->config->key_prefix), listing->prefix);
    if (listing->scan.pattern.n == 0)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    response_json(&r->response, 200);
    r->response.no_store = true;
    buf_put_slice(&r->response.body, SLICE("{\"keys\":["));
    return step_on(r, listing);
}

enum step keys_plan(struct request *r) {
    struct slice cursor;
    struct slice limit;
    struct buf decoded = {0};
    struct query_fault fault;
    struct listing *listing = arena_take(&r->arena, sizeof(*listing));
    if (listing == NULL)
        return problem(r, E_OUT_OF_MEMORY, NULL);
    *listing = (struct listing){0};
    r->job = listing;
    const struct query_wanted wanted[] = {
        {SLICE("prefix"), &listing->prefix}, {SLICE("cursor"), &cursor}, {SLICE("limit"), &limit}};
    enum error e = query_read(r->query, false, wanted, 3, &decoded, &fault);
    if (e == OK && !arena_adopt(&r->arena, &decoded))
        e = E_OUT_OF_MEMORY;
    buf_fini(&decoded);
    return e == OK ? begin(r, listing, cursor, limit) : problem_say(r, e, fault.detail);
}

/* A name of Redis's is a key if it has our prefix and is one; the names of tags never are. */
static void put_key(struct request *r, struct listing *listing, struct slice name) {
    size_t prefix = r->key.prefix;
    if (name.n <= prefix || memcmp(name.p, r->key.bytes, prefix) != 0)
        return;
    struct slice key = {name.p + prefix, name.n - prefix};
    if (key_check(key) != OK)
        return;
    if (listing->found++ > 0)
        buf_put_char(&r->response.body, ',');
    jsontext_put_string(&r->response.body, key);
}

static void put_escaped(struct buf *out, struct slice text) {
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/:@";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (memchr(plain, c, sizeof(plain) - 1) != NULL)
            buf_put_char(out, (char)c);
        else
            buf_put(out, (const char[]){'%', digits[c >> 4], digits[c & 15]}, 3);
    }
}

/* RFC 8288. */
static void put_link(struct request *r, const struct listing *listing) {
    struct buf *fields = &r->response.fields;
    buf_put_slice(fields, SLICE("Link: </keys?"));
    if (listing->prefix.n > 0) {
        buf_put_slice(fields, SLICE("prefix="));
        put_escaped(fields, listing->prefix);
        buf_put_char(fields, '&');
    }
    buf_put_slice(fields, SLICE("limit="));
    buf_put_int(fields, listing->limit);
    buf_put_slice(fields, SLICE("&cursor="));
    buf_put_slice(fields, keyscan_cursor(&listing->scan));
    buf_put_slice(fields, SLICE(">; rel=\"next\"\r\n"));
}

static enum step answer(struct request *r, const struct listing *listing) {
    struct buf *body = &r->response.body;
    if (keyscan_is_over(&listing->scan)) {
        buf_put_slice(body, SLICE("],\"cursor\":null}"));
        return STEP_ANSWER;
    }
    buf_put_slice(body, SLICE("],\"cursor\":\""));
    buf_put_slice(body, keyscan_cursor(&listing->scan));
    buf_put_slice(body, SLICE("\"}"));
    put_link(r, listing);
    return STEP_ANSWER;
}

enum step keys_finish(struct request *r) {
    struct listing *listing = r->job;
    const struct reply *names;
    if (listing->steps == 0)
        return step_on(r, listing);
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *reply = replies_get(&r->call.replies, 0);
    if (!keyscan_take(&listing->scan, &r->call.replies, reply, &names))
        return problem_reply(r, reply);
    for (int64_t i = 1; i <= names->integer; i++)
        put_key(r, listing, replies_bytes(&r->call.replies, &names[i]));
    bool enough = listing->found >= listing->limit || listing->steps == STEPS_MAX;
    if (enough || keyscan_is_over(&listing->scan) || r->peer_gone)
        return answer(r, listing);
    return step_on(r, listing);
}
