/* FastCGI as a web server speaks it: see records.h. */
#include "records.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "require.h"

static void put_byte(struct buf *out, size_t byte) {
    buf_put_char(out, (char)(unsigned char)byte);
}

void records_put(struct buf *out, unsigned type, unsigned id, struct slice content,
                 unsigned padding) {
    static const char pad[255];
    require(content.n <= RECORD_CONTENT_MAX);
    require(padding <= sizeof(pad));
    put_byte(out, 1);
    put_byte(out, type);
    put_byte(out, id >> 8);
    put_byte(out, id & 255);
    put_byte(out, content.n >> 8);
    put_byte(out, content.n & 255);
    put_byte(out, padding);
    put_byte(out, 0);
    buf_put_slice(out, content);
    buf_put(out, pad, padding);
}

void records_put_begin(struct buf *out, unsigned id, unsigned role, unsigned flags,
                       unsigned padding) {
    char body[8] = {(char)(role >> 8), (char)role, (char)flags};
    records_put(out, RECORD_BEGIN, id, (struct slice){body, sizeof(body)}, padding);
}

static void put_length(struct buf *pairs, size_t n) {
    if (n < 128) {
        put_byte(pairs, n);
        return;
    }
    put_byte(pairs, 128 | n >> 24);
    put_byte(pairs, n >> 16 & 255);
    put_byte(pairs, n >> 8 & 255);
    put_byte(pairs, n & 255);
}

void records_put_pair(struct buf *pairs, const char *name, struct slice value) {
    put_length(pairs, strlen(name));
    put_length(pairs, value.n);
    buf_puts(pairs, name);
    buf_put_slice(pairs, value);
}

void records_put_stream(struct buf *out, unsigned type, unsigned id, struct slice content,
                        size_t step, unsigned padding) {
    if (step == 0)
        step = RECORD_CONTENT_MAX;
    while (content.n > 0) {
        size_t n = content.n < step ? content.n : step;
        records_put(out, type, id, (struct slice){content.p, n}, padding);
        content = (struct slice){content.p + n, content.n - n};
    }
    records_put(out, type, id, (struct slice){0}, padding);
}

void records_put_request(struct buf *out, const struct web_request *request) {
    unsigned id = request->id != 0 ? request->id : 1;
    char length[24];
    struct buf pairs = {0};
    (void)snprintf(length, sizeof(length), "%zu", request->body.n);
    records_put_pair(&pairs, "CONTENT_LENGTH",
                     slice_of(request->length != NULL ? request->length : length));
    records_put_pair(&pairs, "REQUEST_METHOD", slice_of(request->method));
    records_put_pair(&pairs, "REQUEST_URI", slice_of(request->target));
    buf_put_slice(&pairs, request->params);

    records_put_begin(out, id, ROLE_RESPONDER, request->close ? 0 : FLAG_KEEP, request->padding);
    records_put_stream(out, RECORD_PARAMS, id, buf_slice(&pairs), request->params_step,
                       request->padding);
    records_put_stream(out, RECORD_STDIN, id, request->body, request->body_step, request->padding);
    buf_fini(&pairs);
    require(!buf_failed(out));
}

/* --- answers --------------------------------------------------------------------------------- */

static void split_answer(struct web_answer *answer) {
    struct slice text = buf_slice(&answer->text);
    const char *end = memmem(text.p, text.n, "\r\n\r\n", 4);
    ck_assert_msg(end != NULL, "a header without its end: %.*s", (int)text.n, text.p);
    answer->head = (struct slice){text.p, (size_t)(end - text.p) + 2};
    answer->body = (struct slice){end + 4, text.n - answer->head.n - 2};
    struct slice status = records_field(answer, "Status");
    ck_assert_uint_ge(status.n, 3);
    answer->status = (int)strtol(status.p, NULL, 10);
}

/* FastCGI 1.0, 5.5: eight bytes, application status 0, protocol status FCGI_REQUEST_COMPLETE. */
static void check_end(struct slice content) {
    static const char complete[8] = {0};
    ck_assert_uint_eq(content.n, sizeof(complete));
    ck_assert_mem_eq(content.p, complete, 5);
}

bool records_read_answer(struct slice bytes, unsigned id, struct web_answer *answer) {
    const struct slice all = bytes;
    bool closed = false; /* the empty STDOUT record has come */
    *answer = (struct web_answer){0};
    while (bytes.n >= RECORD_HEADER) {
        const unsigned char *h = (const unsigned char *)bytes.p;
        struct slice content = {bytes.p + RECORD_HEADER, (size_t)h[4] << 8 | h[5]};
        size_t whole = RECORD_HEADER + content.n + h[6];
        if (bytes.n < whole)
            break;
        require(h[0] == 1);
        require(((unsigned)h[2] << 8 | h[3]) == id);
        bytes = (struct slice){bytes.p + whole, bytes.n - whole};
        if (h[1] == RECORD_END) {
            check_end(content);
            answer->bytes = all.n - bytes.n;
            split_answer(answer);
            return true;
        }
        /* Nothing writes to STDERR, though its stream may be closed. */
        if (h[1] == RECORD_STDERR) {
            require(content.n == 0);
            continue;
        }
        require(h[1] == RECORD_STDOUT);
        require(!closed);
        closed = content.n == 0;
        buf_put_slice(&answer->text, content);
    }
    records_free_answer(answer);
    return false;
}

void records_free_answer(struct web_answer *answer) {
    buf_fini(&answer->text);
    *answer = (struct web_answer){0};
}

struct slice records_field(const struct web_answer *answer, const char *name) {
    size_t n = strlen(name);
    const char *end = answer->head.p + answer->head.n;
    for (const char *line = answer->head.p; line < end;) {
        const char *cr = memmem(line, (size_t)(end - line), "\r\n", 2);
        require(cr != NULL);
        if ((size_t)(cr - line) > n + 2 && memcmp(line, name, n) == 0 &&
            memcmp(line + n, ": ", 2) == 0)
            return (struct slice){line + n + 2, (size_t)(cr - line) - n - 2};
        line = cr + 2;
    }
    return (struct slice){0};
}
