/* The JSON view of an entry: see view.h. */
#include "api/view.h"

#include "base/clock.h"
#include "base/jsontext.h"
#include "base/utf8.h"
#include "cache/ttl.h"

void view_put_key(struct buf *body, struct slice key) {
    buf_put_slice(body, SLICE("\"key\":"));
    jsontext_put_string(body, key);
}

static void put_text(struct buf *body, struct response *response, struct slice text) {
    if (response != NULL)
        response_splice(response, text);
    else
        buf_put_slice(body, text);
}

/* Bytes are a string: text as it is, anything else as base64. */
static const char *put_bytes(struct buf *body, struct slice bytes) {
    if (utf8_valid(bytes)) {
        jsontext_put_string(body, bytes);
        return "utf-8";
    }
    jsontext_put_base64(body, bytes);
    return "base64";
}

static void put_member(struct buf *body, const char *name, struct slice text) {
    buf_puts(body, name);
    jsontext_put_string(body, text);
}

static void put_raw(struct buf *body, const struct entry *entry) {
    const char *encoding = put_bytes(body, entry->body);
    put_member(body, ",\"content_type\":", entry->type);
    if (entry->coding.n > 0)
        put_member(body, ",\"content_encoding\":", entry->coding);
    put_member(body, ",\"encoding\":", slice_of(encoding));
}

/* What another program wrote to Redis need not be JSON: then it is bytes without a type. */
static void put_value(struct buf *body, struct response *response, const struct entry *entry) {
    struct slice value;
    buf_put_slice(body, SLICE(",\"value\":"));
    if (entry->raw)
        put_raw(body, entry);
    else if (entry->is_json)
        put_text(body, response, entry->body);
    else if (jsontext_check(entry->body, &value, NULL) == OK)
        put_text(body, response, value);
    else if (put_bytes(body, entry->body)[0] == 'b')
        put_member(body, ",\"encoding\":", SLICE("base64"));
}

static void put_tags(struct buf *body, const struct entry *entry) {
    for (size_t i = 0; i < entry->tag_count; i++) {
        buf_put_slice(body, i == 0 ? SLICE(",\"tags\":[") : SLICE(","));
        jsontext_put_string(body, entry->tags[i].name);
    }
    if (entry->tag_count > 0)
        buf_put_char(body, ']');
}

void view_put_lifetime(struct buf *body, const struct op *op) {
    buf_put_slice(body, SLICE(",\"ttl\":"));
    if (op->left < 0)
        buf_put_slice(body, SLICE("null"));
    else
        buf_put_int(body, ttl_seconds_left(op->left));
    if (op->found.idle > 0) {
        buf_put_slice(body, SLICE(",\"idle\":"));
        buf_put_int(body, op->found.idle);
    }
    put_tags(body, &op->found);
}

void view_put_entry(struct buf *body, struct response *response, const struct op *op) {
    put_value(body, response, &op->found);
    view_put_lifetime(body, op);
}

void view_put_timestamp(struct buf *body) {
    char text[CLOCK_TIMESTAMP_BYTES];
    clock_format(clock_realtime(), text);
    buf_put_slice(body, SLICE(",\"timestamp\":\""));
    buf_put(body, text, sizeof(text));
    buf_put(body, "\"}", 2);
}
