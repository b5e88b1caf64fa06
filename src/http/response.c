/* A response before it is encoded: see response.h. */
#include "http/response.h"

enum { KEEP_FIELDS = 1024, KEEP_BODY = 16384 };

void response_fini(struct response *r) {
    buf_fini(&r->fields);
    buf_fini(&r->body);
    *r = (struct response){0};
}

void response_reset(struct response *r) {
    buf_reset(&r->fields, KEEP_FIELDS);
    buf_reset(&r->body, KEEP_BODY);
    r->status = 0;
    r->content_type = (struct slice){0};
    r->no_store = false;
    r->retry_after = 0;
    r->splice = (struct slice){0};
    r->splice_at = 0;
    r->lookup = LOOKUP_NONE;
}

void response_json(struct response *r, int status) {
    r->status = status;
    r->content_type = SLICE("application/json");
}

void response_splice(struct response *r, struct slice value) {
    r->splice = value;
    r->splice_at = r->body.n;
}

size_t response_length(const struct response *r) {
    return r->body.n + r->splice.n;
}

void response_field(struct response *r, const char *name, struct slice value) {
    buf_puts(&r->fields, name);
    buf_put(&r->fields, ": ", 2);
    buf_put_slice(&r->fields, value);
    buf_put(&r->fields, "\r\n", 2);
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
    {507, "Insufficient Storage"},
};

static const char *reason_of(int status) {
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unassigned";
}

void response_put_head(const struct response *r, struct buf *out) {
    buf_puts(out, "Status: ");
    buf_put_int(out, r->status);
    buf_put_char(out, ' ');
    buf_puts(out, reason_of(r->status));
    if (r->content_type.n > 0) {
        buf_puts(out, "\r\nContent-Type: ");
        buf_put_slice(out, r->content_type);
        buf_puts(out, "\r\nContent-Length: ");
        buf_put_uint(out, response_length(r));
        buf_puts(out, "\r\nX-Content-Type-Options: nosniff");
    }
    buf_put(out, "\r\n", 2);
    if (r->no_store)
        buf_puts(out, "Cache-Control: no-store\r\n");
    if (r->retry_after > 0) {
        buf_puts(out, "Retry-After: ");
        buf_put_int(out, r->retry_after);
        buf_put(out, "\r\n", 2);
    }
    buf_put_slice(out, buf_slice(&r->fields));
    buf_put(out, "\r\n", 2);
}

void response_out_of_memory(struct response *r) {
    static const struct slice document = SLICE_INIT(
        "{\"type\":\"/errors/out-of-memory\",\"title\":\"Service Unavailable\",\"status\":503,"
        "\"detail\":\"The service is out of memory.\",\"retry_after\":1}");
    response_fini(r);
    r->status = 503;
    r->content_type = SLICE("application/problem+json");
    r->no_store = true;
    r->retry_after = 1;
    r->splice = document;
}
