/*
 * The one file that knows libfcgi.
 *
 * The library's system layer (fcgios.h) is called through the dynamic linker, so the functions
 * below, exported from the executable, take its place: OS_Read reads the request that is being
 * decoded, OS_Write appends to the answer that is being encoded, and nothing is ever accepted,
 * waited for or closed. libfcgi's own layer would block in read() for one silent peer, linger for
 * seconds in close(), and install signal handlers in OS_LibInit.
 */
#include "http/fcgi.h"

#include <errno.h>
#include <fcgi_config.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <limits.h>
#include <stdlib.h>

#include "base/log.h"

/* Not a descriptor: should libfcgi's own layer ever get it, it fails at once. */
enum { NO_DESCRIPTOR = INT_MAX };

struct fcgi {
    FCGX_Request request;
    struct slice input; /* what OS_Read has not given out yet */
    struct buf head;
};

/* The connection that libfcgi is working for. The worker has one thread, and libfcgi returns before
 * anything else runs. */
static struct {
    struct slice *input;
    struct buf *output;
    unsigned reads, writes;
} current;

/* --- libfcgi's system layer ------------------------------------------------------------------ */

int OS_LibInit(int stdioFds[3]) {
    (void)stdioFds;
    return 0;
}

int OS_Read(int fd, char *buffer, size_t length) {
    (void)fd;
    current.reads++;
    if (current.input == NULL)
        return 0;
    size_t n = current.input->n < length ? current.input->n : length;
    memcpy(buffer, current.input->p, n);
    current.input->p += n;
    current.input->n -= n;
    return (int)n;
}

int OS_Write(int fd, char *buffer, size_t length) {
    (void)fd;
    current.writes++;
    if (current.output != NULL)
        buf_put(current.output, buffer, length);
    return (int)length;
}

int OS_Close(int fd, int shutdown) {
    (void)fd;
    (void)shutdown;
    return 0;
}

int OS_IpcClose(int fd, int shutdown) {
    (void)fd;
    (void)shutdown;
    return 0;
}

int OS_Accept(int socket, int fail_on_intr, const char *addresses) {
    (void)socket;
    (void)fail_on_intr;
    (void)addresses;
    errno = ECONNABORTED;
    return -1;
}

/* --- decoding -------------------------------------------------------------------------------- */

struct fcgi *fcgi_open(void) {
    struct fcgi *f = calloc(1, sizeof(*f));
    if (f != NULL)
        (void)FCGX_InitRequest(&f->request, -1, 0);
    return f;
}

void fcgi_close(struct fcgi **fp) {
    struct fcgi *f = *fp;
    if (f == NULL)
        return;
    FCGX_Free(&f->request, 0);
    buf_fini(&f->head);
    free(f);
    *fp = NULL;
}

/* Which parameters the service reads, and where they go. */
static const struct {
    const char *name;
    size_t length;
    size_t offset;
} wanted[] = {
#define PARAM(name, member)                                                                        \
    { name "=", sizeof(name), offsetof(struct request_params, member) }
    PARAM("REQUEST_METHOD", method),
    PARAM("REQUEST_URI", target),
    PARAM("CONTENT_TYPE", content_type),
    PARAM("CONTENT_LENGTH", content_length),
    /* nginx passes the first of two fields as CONTENT_TYPE, and both as this. */
    PARAM("HTTP_CONTENT_TYPE", content_type_field),
    PARAM("HTTP_CONTENT_ENCODING", content_encoding),
#undef PARAM
};

enum { WANTED = sizeof(wanted) / sizeof(wanted[0]) };

/* One pass over the environment; which copy of a parameter counts must not depend on who reads it,
 * so a second one is an error. */
static void index_params(char **environment, struct request_params *params) {
    bool seen[WANTED] = {false};
    for (char **entry = environment; *entry != NULL; entry++) {
        char initial = (*entry)[0];
        if (initial != 'R' && initial != 'C' && initial != 'H')
            continue;
        for (size_t i = 0; i < WANTED; i++) {
            if (strncmp(*entry, wanted[i].name, wanted[i].length) != 0)
                continue;
            if (seen[i])
                params->error = E_DUPLICATE_FIELD;
            seen[i] = true;
            struct slice *value = (struct slice *)(void *)((char *)params + wanted[i].offset);
            *value = slice_of(*entry + wanted[i].length);
            break;
        }
    }
}

static enum error read_body(FCGX_Stream *in, size_t n, struct buf *body) {
    if (n == 0)
        return OK;
    if (n > INT_MAX || !buf_reserve(body, n))
        return E_OUT_OF_MEMORY;
    int got = FCGX_GetStr(body->p + body->n, (int)n, in);
    if (got < 0 || (size_t)got != n)
        return E_PROTOCOL;
    body->n += n;
    return OK;
}

enum error fcgi_decode(struct fcgi *f, struct slice records, size_t body_bytes,
                       struct request_params *params, struct buf *body) {
    *params = (struct request_params){0};
    f->input = records;
    current.input = &f->input;
    f->request.ipcFd = NO_DESCRIPTOR;
    f->request.keepConnection = 1;
    enum error e = E_PROTOCOL;
    if (FCGX_Accept_r(&f->request) == 0) {
        index_params(f->request.envp, params);
        e = read_body(f->request.in, body_bytes, body);
    }
    current.input = NULL;
    return e;
}

/* --- encoding -------------------------------------------------------------------------------- */

static bool put(FCGX_Stream *out, struct slice s) {
    return s.n <= INT_MAX && (s.n == 0 || FCGX_PutStr(s.p, (int)s.n, out) == (int)s.n);
}

static bool put_body(FCGX_Stream *out, const struct response *r) {
    struct slice before = {r->body.p, r->splice_at};
    struct slice after = {NULL, r->body.n - r->splice_at};
    if (after.n > 0)
        after.p = r->body.p + r->splice_at;
    return put(out, before) && put(out, r->splice) && put(out, after);
}

enum error fcgi_encode(struct fcgi *f, struct response *response, bool with_body, struct buf *out) {
    if (buf_failed(&response->body) || buf_failed(&response->fields))
        response_out_of_memory(response);
    buf_reset(&f->head, SIZE_MAX);
    response_put_head(response, &f->head);
    current.output = out;
    bool whole = put(f->request.out, buf_slice(&f->head)) &&
                 (!with_body || put_body(f->request.out, response));
    FCGX_Finish_r(&f->request);
    current.output = NULL;
    return whole && !buf_failed(out) && !buf_failed(&f->head) ? OK : E_OUT_OF_MEMORY;
}

/* --- the proof ------------------------------------------------------------------------------- */

/* A BEGIN record, one parameter, a body of two bytes. */
static const char canned[] = "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
                             "\1\4\0\1\0\25\0\0\16\5REQUEST_METHODPROBE"
                             "\1\4\0\1\0\0\0\0"
                             "\1\5\0\1\0\2\0\0ok\1\5\0\1\0\0\0\0";

static bool self_test(struct fcgi *f, struct buf *body, struct buf *out,
                      struct response *response) {
    struct request_params params;
    response_json(response, 200);
    return fcgi_decode(f, (struct slice){canned, sizeof(canned) - 1}, 2, &params, body) == OK &&
           slice_eq(params.method, SLICE("PROBE")) && slice_eq(buf_slice(body), SLICE("ok")) &&
           fcgi_encode(f, response, true, out) == OK && out->n > 0 && current.reads > 0 &&
           current.writes > 0;
}

enum error fcgi_setup(void) {
    struct buf body = {0};
    struct buf out = {0};
    struct response response = {0};
    current.reads = current.writes = 0;
    struct fcgi *f = FCGX_Init() == 0 ? fcgi_open() : NULL;
    bool proven = f != NULL && self_test(f, &body, &out, &response);
    if (!proven)
        log_error("libfcgi does not use this program's system layer, or is not the version it was "
                  "built for; link libfcgi dynamically (libfcgi0ldbl 2.4.2)");
    fcgi_close(&f);
    buf_fini(&body);
    buf_fini(&out);
    response_fini(&response);
    return proven ? OK : E_SYSTEM;
}
