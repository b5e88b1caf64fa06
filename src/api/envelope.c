/* The JSON documents that clients send: see envelope.h. */
#include "api/envelope.h"

#include <stdio.h>

#include "base/base64.h"
#include "base/jsontext.h"
#include "cache/integer.h"
#include "cache/ttl.h"
#include "http/fields.h"
#include "http/media.h"

static const struct slice member_names[ENVELOPE_MEMBERS] = {
    [ENVELOPE_VALUE] = SLICE_INIT("value"),
    [ENVELOPE_TTL] = SLICE_INIT("ttl"),
    [ENVELOPE_KEY] = SLICE_INIT("key"),
    [ENVELOPE_TIMESTAMP] = SLICE_INIT("timestamp"),
    [ENVELOPE_ENCODING] = SLICE_INIT("encoding"),
    [ENVELOPE_CONTENT_TYPE] = SLICE_INIT("content_type"),
    [ENVELOPE_CONTENT_ENCODING] = SLICE_INIT("content_encoding"),
    [ENVELOPE_IDLE] = SLICE_INIT("idle"),
    [ENVELOPE_TAGS] = SLICE_INIT("tags"),
    [ENVELOPE_BY] = SLICE_INIT("by"),
    [ENVELOPE_INITIAL] = SLICE_INIT("initial"),
    [ENVELOPE_OPERATIONS] = SLICE_INIT("operations"),
    [ENVELOPE_METHOD] = SLICE_INIT("method"),
    [ENVELOPE_IF_MATCH] = SLICE_INIT("if_match"),
    [ENVELOPE_IF_NONE_MATCH] = SLICE_INIT("if_none_match"),
};

#define BIT(member) (1U << ENVELOPE_##member)
#define ENTRY_MEMBERS                                                                              \
    (BIT(VALUE) | BIT(TTL) | BIT(KEY) | BIT(TIMESTAMP) | BIT(ENCODING) | BIT(CONTENT_TYPE) |       \
     BIT(CONTENT_ENCODING) | BIT(IDLE) | BIT(TAGS))

const struct envelope_kind envelope_put = {
    .members = ENTRY_MEMBERS,
    .takes = "value, ttl, idle and tags",
    .needs = "a JSON object such as {\"value\": 1, \"ttl\": 60}",
};
const struct envelope_kind envelope_patch = {
    .members = BIT(VALUE) | BIT(TTL),
    .takes = "value and ttl",
    .needs = "a JSON object such as {\"ttl\": 60} or {\"value\": {\"name\": \"Ada\"}}",
};
const struct envelope_kind envelope_count = {
    .members = BIT(BY) | BIT(INITIAL) | BIT(TTL),
    .takes = "by, initial and ttl",
    .needs = "a JSON object such as {\"by\": 1}",
    .may_be_empty = true,
};
const struct envelope_kind envelope_batch = {
    .members = BIT(OPERATIONS),
    .takes = "operations",
    .needs = "a JSON object such as {\"operations\": [{\"method\": \"GET\", \"key\": \"a\"}]}",
};
const struct envelope_kind envelope_operation = {
    .members = ENTRY_MEMBERS | BIT(METHOD) | BIT(IF_MATCH) | BIT(IF_NONE_MATCH),
    .takes = "method, key, value, ttl, idle, tags, if_match and if_none_match",
    .needs = "objects with the members \"method\" and \"key\"",
};

/* One more than there are names: a document with that many has a duplicate or a stranger among
 * the first ones, so the rest need not be listed. */
enum { MEMBERS_READ = ENVELOPE_MEMBERS + 1 };

#define SAY(fault, ...) ((void)snprintf((fault)->detail, sizeof((fault)->detail), __VA_ARGS__))

/* --- documents ------------------------------------------------------------------------------- */

enum error envelope_check_headers(const struct request *r, const struct envelope_kind *kind,
                                  struct envelope_fault *fault) {
    fault->detail[0] = '\0';
    /* Clients give a type to a body even if it is none (curl -d ''). */
    if (kind->may_be_empty && r->body.n == 0 && !r->body_too_large)
        return OK;
    if (!media_coding_is_identity(r->content_encoding))
        return E_UNSUPPORTED_CODING;
    if (!media_is_json(r->content_type))
        return E_UNSUPPORTED_MEDIA_TYPE;
    if (r->body_too_large)
        return E_VALUE_TOO_LARGE;
    if (r->body.n > 0)
        return OK;
    SAY(fault, "Send %s.", kind->needs);
    return E_BODY_REQUIRED;
}

static enum envelope_member member_find(struct slice raw_name, const struct envelope_kind *kind) {
    enum envelope_member m = 0;
    while (m < ENVELOPE_MEMBERS &&
           ((kind->members >> m & 1) == 0 || !jsontext_string_is(raw_name, member_names[m])))
        m++;
    return m;
}

static enum error refuse_unknown(struct slice raw_name, const struct envelope_kind *kind,
                                 struct envelope_fault *fault) {
    enum { SHOWN = 64 }; /* a cut could fall into the middle of a character */
    if (raw_name.n <= SHOWN)
        SAY(fault, "The member \"%.*s\" is not taken here; these are: %s.", (int)raw_name.n,
            raw_name.p, kind->takes);
    else
        SAY(fault, "There is a member that is not taken here; these are: %s.", kind->takes);
    return E_UNKNOWN_FIELD;
}

enum error envelope_read(struct slice text, const struct envelope_kind *kind,
                         struct envelope *envelope, struct envelope_fault *fault) {
    struct jsontext_member members[MEMBERS_READ];
    struct jsontext_fault where = {0};
    size_t count = 0;
    fault->detail[0] = '\0';
    *envelope = (struct envelope){0};
    enum error e = jsontext_members(text, members, MEMBERS_READ, &count, &where);
    if (e == E_INVALID_JSON)
        SAY(fault, "The body is not JSON (RFC 8259): %s, at byte %zu.", where.reason, where.offset);
    if (e == E_SCHEMA_VIOLATION)
        SAY(fault, "Send %s.", kind->needs);
    if (e != OK)
        return e;
    for (size_t i = 0; i < count && i < MEMBERS_READ; i++) {
        enum envelope_member m = member_find(members[i].name, kind);
        if (m == ENVELOPE_MEMBERS)
            return refuse_unknown(members[i].name, kind, fault);
        if (envelope->text[m].n > 0) {
            SAY(fault, "The member \"%s\" is there twice.", member_names[m].p);
            return E_DUPLICATE_FIELD;
        }
        envelope->text[m] = members[i].value;
    }
    return OK;
}

static struct slice unquoted(struct slice text) {
    return (struct slice){text.p + 1, text.n - 2};
}

static bool is_string(struct slice text) {
    return text.n >= 2 && text.p[0] == '"';
}

static bool is_given(struct slice text) {
    return text.n > 0 && !slice_eq(text, SLICE("null"));
}

static struct slice plain_string(struct slice text, struct arena *arena, bool *valid) {
    if (!is_string(text)) {
        *valid = false;
        return (struct slice){0};
    }
    struct slice raw = unquoted(text);
    if (raw.n == 0 || memchr(raw.p, '\\', raw.n) == NULL)
        return raw;
    struct buf plain = {0};
    jsontext_decode(&plain, raw);
    struct slice copy = buf_slice(&plain);
    if (buf_failed(&plain) || !arena_adopt(arena, &plain))
        arena->failed = true;
    buf_fini(&plain);
    return copy;
}

struct slice envelope_get_string(const struct envelope *envelope, enum envelope_member member,
                                 struct arena *arena, bool *valid) {
    return plain_string(envelope->text[member], arena, valid);
}

bool envelope_string_is(const struct envelope *envelope, enum envelope_member member,
                        struct slice plain) {
    struct slice text = envelope->text[member];
    return is_string(text) && jsontext_string_is(unquoted(text), plain);
}

enum error envelope_check_key(const struct envelope *envelope, struct slice key) {
    if (envelope->text[ENVELOPE_KEY].n == 0)
        return OK;
    return envelope_string_is(envelope, ENVELOPE_KEY, key) ? OK : E_KEY_MISMATCH;
}

/* --- numbers --------------------------------------------------------------------------------- */

enum error envelope_get_ttl(const struct envelope *envelope, const struct config *config,
                            int64_t fallback, int64_t *ttl, struct envelope_fault *fault) {
    struct slice text = envelope->text[ENVELOPE_TTL];
    const char *reason = NULL;
    if (!is_given(text)) {
        *ttl = fallback;
        return OK;
    }
    enum error e = ttl_parse(text, config->max_ttl, ttl, &reason);
    if (e != OK)
        SAY(fault, "ttl: %s; it is a whole number of seconds from 1 to %lld.", reason,
            (long long)config->max_ttl);
    return e;
}

static enum error get_idle(const struct envelope *envelope, const struct config *config,
                           int64_t *idle, struct envelope_fault *fault) {
    struct slice text = envelope->text[ENVELOPE_IDLE];
    const char *reason = NULL;
    if (!is_given(text) || ttl_parse(text, config->max_ttl, idle, &reason) == OK)
        return OK;
    SAY(fault, "idle: %s; it is a whole number of seconds from 1 to %lld.", reason,
        (long long)config->max_ttl);
    return E_INVALID_IDLE;
}

enum error envelope_get_integer(const struct envelope *envelope, enum envelope_member member,
                                int64_t fallback, int64_t *value, struct envelope_fault *fault) {
    struct slice text = envelope->text[member];
    *value = fallback;
    if (!is_given(text) || integer_parse(text, value) == OK)
        return OK;
    SAY(fault, "%s is a whole number of 64 bits.", member_names[member].p);
    return E_SCHEMA_VIOLATION;
}

/* --- entries --------------------------------------------------------------------------------- */

/* One of the tags is what the element says, which then need not be decoded: a document has room for
 * a hundred thousand. */
static bool is_listed(const struct entry_tag *tags, size_t count, struct slice element) {
    if (!is_string(element))
        return false;
    for (size_t i = 0; i < count; i++)
        if (jsontext_string_is(unquoted(element), tags[i].name))
            return true;
    return false;
}

static enum error get_tags(struct slice text, struct arena *arena, struct entry *entry,
                           struct envelope_fault *fault) {
    bool valid = true;
    struct slice element;
    if (!is_given(text))
        return OK;
    struct entry_tag *tags = arena_take(arena, ENTRY_TAGS_MAX * sizeof(*tags));
    if (tags == NULL)
        return E_OUT_OF_MEMORY;
    size_t count = 0;
    valid = text.p[0] == '[';
    while (valid && jsontext_next_element(&text, &element)) {
        if (is_listed(tags, count, element))
            continue;
        struct slice name = plain_string(element, arena, &valid);
        valid = valid && entry_tag_is_valid(name) && count < ENTRY_TAGS_MAX;
        if (valid)
            tags[count++] = (struct entry_tag){.name = name};
    }
    if (!valid) {
        SAY(fault,
            "tags is an array of at most %d strings, each 1 to %d bytes without control "
            "characters.",
            ENTRY_TAGS_MAX, ENTRY_TAG_BYTES_MAX);
        return E_INVALID_TAG;
    }
    entry->tags = tags;
    entry->tag_count = count;
    return OK;
}

/* A GET shows bytes that are no text as base64; put back, they are those bytes again. */
static struct slice decode_base64(struct slice text, struct arena *arena, bool *valid) {
    struct buf bytes = {0};
    struct slice plain = plain_string(text, arena, valid);
    *valid = *valid && base64_decode(&bytes, plain);
    struct slice decoded = buf_slice(&bytes);
    if (buf_failed(&bytes) || !arena_adopt(arena, &bytes))
        arena->failed = true;
    buf_fini(&bytes);
    return decoded;
}

static enum error refuse_bytes(struct envelope_fault *fault) {
    SAY(fault,
        "With \"encoding\" or \"content_type\" the value is a string: of base64 if the encoding "
        "is \"base64\", else (\"utf-8\") of the text itself.");
    return E_SCHEMA_VIOLATION;
}

static enum error get_type(const struct envelope *envelope, struct arena *arena,
                           struct entry *entry, struct envelope_fault *fault) {
    bool valid = true;
    struct slice coding = {0};
    entry->raw = true;
    entry->type = envelope_get_string(envelope, ENVELOPE_CONTENT_TYPE, arena, &valid);
    if (is_given(envelope->text[ENVELOPE_CONTENT_ENCODING]))
        coding = envelope_get_string(envelope, ENVELOPE_CONTENT_ENCODING, arena, &valid);
    if (!media_coding_is_identity(coding))
        entry->coding = coding;
    if (valid && fields_check_media_type(entry->type) == OK &&
        (entry->coding.n == 0 || fields_check_coding(entry->coding) == OK))
        return OK;
    SAY(fault, "content_type is a media type, and content_encoding a list of codings, as their "
               "header fields have them.");
    return E_SCHEMA_VIOLATION;
}

/* A value that is not itself: bytes, with a media type or, as other programs store them, without.
 */
static enum error get_bytes(const struct envelope *envelope, struct arena *arena,
                            struct entry *entry, struct envelope_fault *fault) {
    struct slice text = envelope->text[ENVELOPE_VALUE];
    bool typed = is_given(envelope->text[ENVELOPE_CONTENT_TYPE]);
    bool base64 = envelope_string_is(envelope, ENVELOPE_ENCODING, SLICE("base64"));
    bool valid = base64 || !is_given(envelope->text[ENVELOPE_ENCODING]) ||
                 envelope_string_is(envelope, ENVELOPE_ENCODING, SLICE("utf-8"));
    if (!typed && is_given(envelope->text[ENVELOPE_CONTENT_ENCODING])) {
        SAY(fault, "content_encoding goes with content_type: without one the value is not kept as "
                   "bytes that have a coding.");
        return E_SCHEMA_VIOLATION;
    }
    entry->is_json = false;
    if (base64)
        entry->body = decode_base64(text, arena, &valid);
    else if (typed)
        entry->body = plain_string(text, arena, &valid);
    else
        entry->is_json = true; /* "utf-8" alone says nothing of a JSON value */
    if (!valid)
        return refuse_bytes(fault);
    /* Bytes that would be taken for a header of ours get one. */
    if (!typed && entry_begins_like_header(entry->body)) {
        entry->raw = true;
        entry->type = SLICE("application/octet-stream");
    }
    return typed ? get_type(envelope, arena, entry, fault) : OK;
}

static bool is_of_bytes(const struct envelope *envelope) {
    return is_given(envelope->text[ENVELOPE_ENCODING]) ||
           is_given(envelope->text[ENVELOPE_CONTENT_TYPE]) ||
           is_given(envelope->text[ENVELOPE_CONTENT_ENCODING]);
}

enum error envelope_get_entry(const struct envelope *envelope, const struct config *config,
                              struct arena *arena, struct op *op, struct envelope_fault *fault) {
    struct slice value = envelope->text[ENVELOPE_VALUE];
    fault->detail[0] = '\0';
    if (value.n == 0) {
        SAY(fault, "The member \"value\" is missing.");
        return E_SCHEMA_VIOLATION;
    }
    op->entry = (struct entry){.body = value, .is_json = true};
    enum error e = envelope_get_ttl(envelope, config, config->default_ttl, &op->ttl, fault);
    if (e == OK)
        e = get_idle(envelope, config, &op->entry.idle, fault);
    if (e == OK)
        e = get_tags(envelope->text[ENVELOPE_TAGS], arena, &op->entry, fault);
    if (e == OK && is_of_bytes(envelope))
        e = get_bytes(envelope, arena, &op->entry, fault);
    if (e == OK && arena_failed(arena))
        e = E_OUT_OF_MEMORY;
    if (e == OK && op->entry.body.n > (size_t)config->max_value) {
        SAY(fault, "The value has %zu bytes; max_value is %lld.", op->entry.body.n,
            (long long)config->max_value);
        e = E_VALUE_TOO_LARGE;
    }
    return e;
}
