/* A response before it is encoded: status, type, extra fields and a body with one spliced part. */
#ifndef LARDER_HTTP_RESPONSE_H
#define LARDER_HTTP_RESPONSE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

enum lookup { LOOKUP_NONE, LOOKUP_HIT, LOOKUP_MISS };

struct response {
    int status;                /* HTTP status code; 0: not filled in yet */
    struct slice content_type; /* lives as long as the request; empty: no body */
    bool no_store;             /* Cache-Control: no-store */
    int retry_after;           /* seconds; 0: none */
    struct buf fields;         /* further header lines, each ending in CRLF */
    struct buf body;
    /* A value is not copied into the body: it is written from where it lies, at this offset. It
     * must live as long as the request's replies, body or arena do. */
    struct slice splice;
    size_t splice_at;
    enum lookup lookup; /* counted immediately before the answer's first byte is written */
};

/* Frees its memory. */
void response_fini(struct response *r);

/* Empties it for the next request. */
void response_reset(struct response *r);

/* Starts a JSON answer: the body is then appended to r->body. */
void response_json(struct response *r, int status);

/* Puts `value` here in the body without copying it; once per response. */
void response_splice(struct response *r, struct slice value);

/* Length of the whole body in bytes. */
size_t response_length(const struct response *r);

/* Appends a header line. Name and value are ours: no control bytes. */
void response_field(struct response *r, const char *name, struct slice value);

/* Appends the CGI header (RFC 3875, 6.3) with its empty line: Status, type, length, fields. */
void response_put_head(const struct response *r, struct buf *out);

/* Makes it a 503 that needs no memory: for a response whose buffers failed. */
void response_out_of_memory(struct response *r);

#endif
