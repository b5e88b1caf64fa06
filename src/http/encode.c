/* Responses as FastCGI records: see encode.h. */
#include "http/encode.h"

#include "http/record.h"

/* The most a STDOUT record holds: a multiple of 8, so that full records need no padding. */
enum { CONTENT_MAX = RECORD_CONTENT_MAX / 8 * 8 };

/* A run of STDOUT records, the last of which is open. */
struct stream {
    struct buf *out;
    unsigned id;
    size_t record; /* the open record's header, in the output */
};

static void put_header(struct buf *out, unsigned type, unsigned id) {
    const unsigned char header[RECORD_HEADER_BYTES] = {RECORD_VERSION, (unsigned char)type,
                                                       (unsigned char)(id >> 8), (unsigned char)id};
    buf_put(out, header, sizeof(header));
}

static size_t content(const struct stream *s) {
    return s->out->n - s->record - RECORD_HEADER_BYTES;
}

static void open_record(struct stream *s) {
    s->record = s->out->n;
    put_header(s->out, RECORD_STDOUT, s->id);
}

static void close_record(struct stream *s) {
    static const char zeros[8];
    if (buf_failed(s->out))
        return;
    size_t n = content(s);
    size_t padding = (8 - n % 8) % 8;
    unsigned char *header = (unsigned char *)s->out->p + s->record;
    header[4] = (unsigned char)(n >> 8);
    header[5] = (unsigned char)n;
    header[6] = (unsigned char)padding;
    buf_put(s->out, zeros, padding);
}

static void put(struct stream *s, struct slice bytes) {
    while (bytes.n > 0 && !buf_failed(s->out)) {
        size_t room = CONTENT_MAX - content(s);
        if (room == 0) {
            close_record(s);
            open_record(s);
            continue;
        }
        size_t n = bytes.n < room ? bytes.n : room;
        buf_put(s->out, bytes.p, n);
        bytes.p += n;
        bytes.n -= n;
    }
}

static void put_body(struct stream *s, const struct response *r) {
    struct slice body = buf_slice(&r->body);
    size_t at = r->splice_at;
    put(s, (struct slice){body.p, at});
    put(s, r->splice);
    if (body.n > at)
        put(s, (struct slice){body.p + at, body.n - at});
}

enum error encode_answer(unsigned id, struct response *response, bool with_body, struct buf *out) {
    static const char end_body[END_BODY_BYTES];
    if (buf_failed(&response->body) || buf_failed(&response->fields))
        response_out_of_memory(response);
    struct stream s = {.out = out, .id = id};
    open_record(&s);
    response_put_head(response, out);
    /* It is written in one piece; the fields of a head are few and short. */
    if (buf_failed(out) || content(&s) > CONTENT_MAX)
        return E_OUT_OF_MEMORY;
    if (with_body)
        put_body(&s, response);
    close_record(&s);
    open_record(&s); /* an empty record ends the stream (FastCGI 1.0, 3.3) */
    put_header(out, RECORD_END_REQUEST, id);
    if (buf_failed(out))
        return E_OUT_OF_MEMORY;
    out->p[out->n - 3] = END_BODY_BYTES;
    buf_put(out, end_body, sizeof(end_body));
    return buf_failed(out) ? E_OUT_OF_MEMORY : OK;
}
