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

/* Status and reason as one text: every answer has one. */
static const struct {
    int status;
    struct slice line;
} lines[] = {
#define LINE(status, reason)                                                                       \
    { status, SLICE_INIT("Status: " #status " " reason) }
    LINE(200, "OK"),
    LINE(404, "Not Found"),
    LINE(304, "Not Modified"),
    LINE(204, "No Content"),
    LINE(400, "Bad Request"),
    LINE(405, "Method Not Allowed"),
    LINE(409, "Conflict"),
    LINE(412, "Precondition Failed"),
    LINE(413, "Content Too Large"),
    LINE(415, "Unsupported Media Type"),
    LINE(422, "Unprocessable Content"),
    LINE(500, "Internal Server Error"),
    LINE(503, "Service Unavailable"),
    LINE(507, "Insufficient Storage"),
#undef LINE
};

static void put_status(struct buf *out, int status) {
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (lines[i].status == status) {
            buf_put_slice(out, lines[i].line);
            return;
        }
    buf_put_slice(out, SLICE("Status: "));
    buf_put_int(out, status);
    buf_put_slice(out, SLICE(" Unassigned"));
}

void response_put_head(const struct response *r, struct buf *out) {
    put_status(out, r->status);
    if (r->content_type.n > 0) {
        buf_put_slice(out, SLICE("\r\nContent-Type: "));
        buf_put_slice(out, r->content_type);
        buf_put_slice(out, SLICE("\r\nContent-Length: "));
        buf_put_uint(out, response_length(r));
        buf_put_slice(out, SLICE("\r\nX-Content-Type-Options: nosniff\r\n"));
    } else {
        buf_put(out, "\r\n", 2);
    }
    if (r->no_store)
        buf_put_slice(out, SLICE("Cache-Control: no-store\r\n"));
    if (r->retry_after > 0) {
        buf_put_slice(out, SLICE("Retry-After: "));
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
