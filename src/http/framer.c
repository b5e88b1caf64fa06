/* The framer: see framer.h. */
#include "http/framer.h"

#include <string.h>

#include "http/record.h"

struct record {
    unsigned type;
    unsigned id;
    size_t content; /* bytes */
    size_t whole;   /* header, content and padding */
};

void framer_reset(struct framer *f) {
    *f = (struct framer){.state = FRAMER_BEGIN};
}

static bool read_header(const struct buf *input, size_t at, struct record *record) {
    if (input->n - at < RECORD_HEADER_BYTES)
        return false;
    const unsigned char *h = (const unsigned char *)input->p + at;
    record->type = h[1];
    record->id = (unsigned)h[2] << 8 | h[3];
    record->content = (size_t)h[4] << 8 | h[5];
    record->whole = RECORD_HEADER_BYTES + record->content + h[6];
    return true;
}

/* --- the parameters: lengths are checked before libfcgi allocates by them -------------------- */

/* The contents of the PARAMS records as one run of bytes. */
struct cursor {
    const struct buf *input;
    size_t record; /* the next record's header */
    size_t end;    /* where the records end */
    const unsigned char *p;
    size_t n;    /* bytes left of the record's content */
    size_t left; /* bytes left in all */
};

/* False at the end, which callers that heed `left` never see. */
static bool cursor_refill(struct cursor *c) {
    struct record record;
    while (c->n == 0 && c->record < c->end && read_header(c->input, c->record, &record)) {
        c->p = (const unsigned char *)c->input->p + c->record + RECORD_HEADER_BYTES;
        c->n = record.content;
        c->record += record.whole;
    }
    return c->n > 0;
}

static inline bool cursor_fill(struct cursor *c) {
    return c->n > 0 || cursor_refill(c);
}

static unsigned cursor_byte(struct cursor *c) {
    if (!cursor_fill(c))
        return 0;
    c->n--;
    c->left--;
    return *c->p++;
}

/* A length takes one byte, or four with the top bit set (part 3.4). */
static bool cursor_length(struct cursor *c, size_t *length) {
    if (c->left < 1)
        return false;
    unsigned first = cursor_byte(c);
    if (first < 0x80) {
        *length = first;
        return true;
    }
    if (c->left < 3)
        return false;
    size_t n = first & 0x7f;
    for (int i = 0; i < 3; i++)
        n = n << 8 | cursor_byte(c);
    *length = n;
    return true;
}

/* Passes over n bytes; says whether one of them is NUL. */
static bool cursor_skip_has_nul(struct cursor *c, size_t n) {
    bool nul = false;
    while (n > 0 && cursor_fill(c)) {
        size_t step = n < c->n ? n : c->n;
        nul = nul || memchr(c->p, 0, step) != NULL;
        c->p += step;
        c->n -= step;
        c->left -= step;
        n -= step;
    }
    return nul;
}

static enum error check_params(struct framer *f, const struct buf *input) {
    struct cursor c = {
        .input = input, .record = f->params_start, .end = f->at, .left = f->params_bytes};
    for (size_t count = 0; c.left > 0; count++) {
        size_t name;
        size_t value;
        /* Any client can send so many header fields: no reason to hang up on its web server. */
        if (count == FRAMER_PARAM_COUNT_MAX) {
            f->too_many_params = true;
            return OK;
        }
        if (!cursor_length(&c, &name) || !cursor_length(&c, &value) || name > c.left ||
            value > c.left - name)
            return E_PROTOCOL;
        if (cursor_skip_has_nul(&c, name + value))
            f->nul_in_params = true;
    }
    return OK;
}

/* --- a body over the limit is thrown away as it comes ---------------------------------------- */

static void remove_bytes(struct buf *input, size_t at, size_t n) {
    memmove(input->p + at, input->p + at + n, input->n - at - n);
    input->n -= n;
}

static enum error discard(struct framer *f, struct buf *input, size_t n) {
    size_t here = input->n - f->at < n ? input->n - f->at : n;
    remove_bytes(input, f->at, here);
    f->skip = n - here;
    f->discarded += n;
    return f->discarded > FRAMER_DISCARD_MAX ? E_PROTOCOL : OK;
}

static void start_discarding(struct framer *f, struct buf *input) {
    remove_bytes(input, f->stdin_start, f->at - f->stdin_start);
    f->at = f->stdin_start;
    f->stdin_bytes = 0;
    f->body_too_large = true;
}

/* --- one record ------------------------------------------------------------------------------ */

/* libfcgi forgets the padding of the record after which it turns to another stream (SetReaderType),
 * and would read it as a header. */
static void cut_padding(struct buf *input, size_t at, const struct record *record) {
    size_t padding = record->whole - RECORD_HEADER_BYTES - record->content;
    remove_bytes(input, at + RECORD_HEADER_BYTES + record->content, padding);
    input->p[at + 6] = 0;
}

static enum error take_begin(struct framer *f, struct buf *input, const struct record *record) {
    const unsigned char *body = (const unsigned char *)input->p + f->at + RECORD_HEADER_BYTES;
    if (record->type != RECORD_BEGIN_REQUEST || record->content != BEGIN_BODY_BYTES ||
        record->id == 0)
        return E_PROTOCOL;
    if (((unsigned)body[0] << 8 | body[1]) != BEGIN_ROLE_RESPONDER)
        return E_PROTOCOL;
    f->id = record->id;
    f->keep = (body[2] & BEGIN_KEEP_CONN) != 0;
    cut_padding(input, f->at, record);
    f->at += RECORD_HEADER_BYTES + BEGIN_BODY_BYTES;
    f->params_start = f->at;
    f->state = FRAMER_PARAMS;
    return OK;
}

/* Headers and padding count too: one byte of content may come as a record of 264. */
static size_t wire_max(size_t content_max) {
    return 2 * content_max + 65536;
}

static enum error take_params(struct framer *f, struct buf *input, const struct record *record) {
    if (record->type != RECORD_PARAMS || record->id != f->id)
        return E_PROTOCOL;
    f->params_bytes += record->content;
    if (f->params_bytes > FRAMER_PARAMS_MAX ||
        f->at - f->params_start + record->whole > wire_max(FRAMER_PARAMS_MAX))
        return E_PROTOCOL;
    if (record->content == 0)
        cut_padding(input, f->at, record);
    f->at += record->content == 0 ? RECORD_HEADER_BYTES : record->whole;
    if (record->content > 0)
        return OK;
    f->state = FRAMER_STDIN;
    f->stdin_start = f->at;
    return check_params(f, input);
}

static enum error take_stdin(struct framer *f, struct buf *input, const struct record *record,
                             size_t body_max) {
    if (record->content == 0) {
        f->at += record->whole;
        f->state = FRAMER_COMPLETE;
        return OK;
    }
    if (!f->body_too_large && record->content > body_max - f->stdin_bytes)
        start_discarding(f, input);
    if (f->body_too_large)
        return discard(f, input, record->whole);
    if (f->at - f->stdin_start + record->whole > wire_max(body_max))
        return E_PROTOCOL;
    f->stdin_bytes += record->content;
    f->at += record->whole;
    return OK;
}

/* How much of a record must be there before it is taken: a record that will be thrown away need not
 * be whole, nor one of a body, whose limit is judged by its header. */
static bool enough_of(const struct framer *f, const struct buf *input, const struct record *record,
                      size_t body_max) {
    bool surplus = f->state == FRAMER_STDIN && record->content > 0 &&
                   (f->body_too_large || record->content > body_max - f->stdin_bytes);
    return surplus || input->n - f->at >= record->whole;
}

/* Refused by its header alone, so that a peer cannot make us wait for the rest of nonsense. */
static bool wrong_header(const struct framer *f, const struct buf *input,
                         const struct record *record) {
    static const unsigned type_of[] = {
        [FRAMER_BEGIN] = RECORD_BEGIN_REQUEST,
        [FRAMER_PARAMS] = RECORD_PARAMS,
        [FRAMER_STDIN] = RECORD_STDIN,
    };
    unsigned version = (unsigned char)input->p[f->at];
    return version != RECORD_VERSION || record->type != type_of[f->state] ||
           (f->state != FRAMER_BEGIN && record->id != f->id);
}

enum error framer_walk(struct framer *f, struct buf *input, size_t body_max) {
    struct record record;
    if (f->skip > 0) {
        size_t n = f->skip;
        f->discarded -= n; /* it was counted when its record began */
        enum error e = discard(f, input, n);
        if (e != OK)
            return e;
    }
    while (f->state != FRAMER_COMPLETE) {
        if (f->skip > 0 || !read_header(input, f->at, &record))
            return E_AGAIN;
        if (wrong_header(f, input, &record))
            return E_PROTOCOL;
        if (!enough_of(f, input, &record, body_max))
            return E_AGAIN;
        enum error e;
        if (f->state == FRAMER_BEGIN)
            e = take_begin(f, input, &record);
        else if (f->state == FRAMER_PARAMS)
            e = take_params(f, input, &record);
        else
            e = take_stdin(f, input, &record, body_max);
        if (e != OK)
            return e;
    }
    return OK;
}
