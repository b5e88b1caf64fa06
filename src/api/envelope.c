/* The JSON envelope of a PUT: see envelope.h. */
#include "api/envelope.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/jsontext.h"
#include "cache/ttl.h"
#include "http/media.h"

enum member { MEMBER_VALUE, MEMBER_TTL, MEMBER_KEY, MEMBER_ENCODING, MEMBER_TIMESTAMP, MEMBERS };

static const struct slice member_names[MEMBERS] = {
    [MEMBER_VALUE] = SLICE_INIT("value"),
    [MEMBER_TTL] = SLICE_INIT("ttl"),
    [MEMBER_KEY] = SLICE_INIT("key"),
    [MEMBER_ENCODING] = SLICE_INIT("encoding"),
    [MEMBER_TIMESTAMP] = SLICE_INIT("timestamp"),
};

/* One more than there are names: a document with that many has a duplicate or a stranger among
 * the first ones, so the rest need not be listed. */
enum { MEMBERS_READ = MEMBERS + 1 };

#define SAY(fault, ...) ((void)snprintf((fault)->detail, sizeof((fault)->detail), __VA_ARGS__))

static enum error check_headers(const struct request *r, struct envelope_fault *fault) {
    if (!media_coding_is_identity(r->content_encoding))
        return E_UNSUPPORTED_CODING;
    if (!media_is_json(r->content_type))
        return E_UNSUPPORTED_MEDIA_TYPE;
    if (r->body_too_large) {
        SAY(fault, "The value is larger than max_value, %lld bytes.",
            (long long)r->service->config->max_value);
        return E_VALUE_TOO_LARGE;
    }
    return r->body.n == 0 ? E_BODY_REQUIRED : OK;
}

static enum member member_find(struct slice raw_name) {
    enum member m = 0;
    while (m < MEMBERS && !jsontext_string_is(raw_name, member_names[m]))
        m++;
    return m;
}

static enum error refuse_unknown(struct slice raw_name, struct envelope_fault *fault) {
    enum { SHOWN = 64 }; /* a cut could fall into the middle of a character */
    if (raw_name.n <= SHOWN)
        SAY(fault, "This service does not know the member \"%.*s\"; it takes value and ttl.",
            (int)raw_name.n, raw_name.p);
    return E_UNKNOWN_FIELD;
}

static enum error read_members(struct slice body, struct slice values[MEMBERS],
                               struct envelope_fault *fault) {
    struct jsontext_member members[MEMBERS_READ];
    struct jsontext_fault where = {0};
    size_t count = 0;
    enum error e = jsontext_members(body, members, MEMBERS_READ, &count, &where);
    if (e == E_INVALID_JSON)
        SAY(fault, "The body is not JSON (RFC 8259): %s, at byte %zu.", where.reason, where.offset);
    if (e != OK)
        return e;
    for (size_t i = 0; i < count && i < MEMBERS_READ; i++) {
        enum member m = member_find(members[i].name);
        if (m == MEMBERS)
            return refuse_unknown(members[i].name, fault);
        if (values[m].n > 0) {
            SAY(fault, "The member \"%s\" is there twice.", member_names[m].p);
            return E_DUPLICATE_FIELD;
        }
        values[m] = members[i].value;
    }
    return OK;
}

static bool names_this_key(const struct request *r, struct slice text) {
    if (text.n < 2 || text.p[0] != '"')
        return false;
    return jsontext_string_is((struct slice){text.p + 1, text.n - 2}, key_slice(&r->key));
}

static enum error read_ttl(struct request *r, struct slice text, struct envelope_fault *fault) {
    const struct config *config = r->service->config;
    const char *reason = NULL;
    if (text.n == 0 || slice_eq(text, SLICE("null"))) {
        r->ttl = config->default_ttl;
        return OK;
    }
    enum error e = ttl_parse(text, config->max_ttl, &r->ttl, &reason);
    if (e != OK)
        SAY(fault, "ttl: %s; it is a whole number of seconds from 1 to %lld.", reason,
            (long long)config->max_ttl);
    return e;
}

/* The JSON string may be escaped: many a printer writes a slash as "\\/". */
static bool decode_base64_text(struct request *r, struct slice text) {
    struct buf plain = {0};
    if (text.n < 2 || text.p[0] != '"')
        return false;
    jsontext_decode(&plain, (struct slice){text.p + 1, text.n - 2});
    bool decoded = base64_decode(&r->decoded, buf_slice(&plain));
    if (buf_failed(&plain))
        r->decoded.failed = true;
    buf_fini(&plain);
    return decoded;
}

/* A GET shows bytes that are no text (another program wrote them) as base64; put back, they are
 * those bytes again, not their base64. */
static enum error read_value(struct request *r, struct slice text, struct slice encoding,
                             struct envelope_fault *fault) {
    r->value = text;
    if (encoding.n == 0)
        return OK;
    bool is_base64 = slice_eq(encoding, SLICE("\"base64\"")) && decode_base64_text(r, text);
    if (buf_failed(&r->decoded))
        return E_OUT_OF_MEMORY;
    if (!is_base64) {
        SAY(fault, "With the member \"encoding\", which is \"base64\" or absent, the value is a "
                   "string of base64.");
        return E_SCHEMA_VIOLATION;
    }
    r->value = buf_slice(&r->decoded);
    r->value_is_bytes = true;
    return OK;
}

enum error envelope_read(struct request *r, struct envelope_fault *fault) {
    struct slice values[MEMBERS] = {{0}};
    fault->detail[0] = '\0';
    enum error e = check_headers(r, fault);
    if (e != OK)
        return e;
    e = read_members(r->body, values, fault);
    if (e != OK)
        return e;
    if (values[MEMBER_VALUE].n == 0) {
        SAY(fault, "The member \"value\" is missing.");
        return E_SCHEMA_VIOLATION;
    }
    if (values[MEMBER_KEY].n > 0 && !names_this_key(r, values[MEMBER_KEY]))
        return E_KEY_MISMATCH;
    e = read_ttl(r, values[MEMBER_TTL], fault);
    if (e != OK)
        return e;
    e = read_value(r, values[MEMBER_VALUE], values[MEMBER_ENCODING], fault);
    if (e != OK)
        return e;
    if (r->value.n > (size_t)r->service->config->max_value) {
        SAY(fault, "The value has %zu bytes; max_value is %lld.", r->value.n,
            (long long)r->service->config->max_value);
        return E_VALUE_TOO_LARGE;
    }
    return OK;
}
