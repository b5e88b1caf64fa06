/*
 * The one file that knows libfcgi.
 *
 * The library's system layer (fcgios.h) is called through the dynamic linker, so the functions
 * below, exported from the executable, take its place: OS_Read reads the request that is being
 * decoded, OS_Write swallows what libfcgi would send, and nothing is ever accepted, waited for or
 * closed. libfcgi's own layer would block in read() for one silent peer, linger for
 * seconds in close(), and install signal handlers in OS_LibInit.
 */
#include "http/fcgi.h"

#include <errno.h>
#include <fcgi_config.h>
#include <fcgiapp.h>
#include <fcgios.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "base/log.h"

/* Not a descriptor: should libfcgi's own layer ever get it, it fails at once. */
enum { NO_DESCRIPTOR = INT_MAX };

/* The request that libfcgi is working on. The worker has one thread, and libfcgi returns before
 * anything else runs. */
static FCGX_Request request;
static struct slice input; /* what OS_Read has not given out yet */
static unsigned reads, writes;

/* --- libfcgi's system layer ------------------------------------------------------------------ */

int OS_LibInit(int stdioFds[3]) {
    (void)stdioFds;
    return 0;
}

int OS_Read(int fd, char *buffer, size_t length) {
    (void)fd;
    reads++;
    size_t n = input.n < length ? input.n : length;
    if (n == 0)
        return 0;
    memcpy(buffer, input.p, n);
    input.p += n;
    input.n -= n;
    return (int)n;
}

int OS_Write(int fd, char *buffer, size_t length) {
    (void)fd;
    (void)buffer;
    writes++;
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

/* Which parameters the service reads, what to say if one comes twice, and where they go; by the
 * length of their names, which tells most of them apart. A field that is a list may come in several
 * lines, which are one list (RFC 9110, 5.3). */
static const struct wanted {
    const char *name;
    size_t length;
    const char *twice;
    size_t offset;
    bool is_list;
} wanted[] = {
#define PARAM(name, called, member, is_list)                                                       \
    {                                                                                              \
        name, sizeof(name) - 1, called " is there twice, and may be there once.",                  \
            offsetof(struct request_params, member), is_list                                       \
    }
    PARAM("REQUEST_URI", "REQUEST_URI", target, false),
    PARAM("HTTP_PREFER", "Prefer", fields.prefer, true),
    PARAM("CONTENT_TYPE", "Content-Type", content_type, false),
    PARAM("HTTP_IF_MATCH", "If-Match", fields.if_match, false),
    PARAM("REQUEST_METHOD", "REQUEST_METHOD", method, false),
    PARAM("CONTENT_LENGTH", "Content-Length", content_length, false),
    /* nginx passes the first of two fields as CONTENT_TYPE, and both as this. */
    PARAM("HTTP_CONTENT_TYPE", "Content-Type", content_type_field, false),
    PARAM("HTTP_CACHE_GROUPS", "Cache-Groups", fields.cache_groups, true),
    PARAM("HTTP_IF_NONE_MATCH", "If-None-Match", fields.if_none_match, false),
    PARAM("HTTP_CONTENT_ENCODING", "Content-Encoding", content_encoding, true),
#undef PARAM
};

enum { WANTED = sizeof(wanted) / sizeof(wanted[0]), LENGTHS = 22 };

/* The first row with a name of so many bytes; WANTED: there is none. */
static unsigned char first_of_length[LENGTHS];

static void index_wanted(void) {
    memset(first_of_length, WANTED, sizeof(first_of_length));
    for (size_t i = WANTED; i-- > 0;)
        first_of_length[wanted[i].length] = (unsigned char)i;
}

/* The row of a parameter, or WANTED. */
static size_t find_wanted(const char *name, size_t length) {
    size_t i = length < LENGTHS ? first_of_length[length] : WANTED;
    for (; i < WANTED && wanted[i].length == length; i++)
        if (memcmp(name, wanted[i].name, length) == 0)
            return i;
    return WANTED;
}

/* What the environment has of the rows; `seen` and `again` have a bit for each. */
struct found {
    struct slice first[WANTED];
    size_t bytes;   /* room for all of it */
    unsigned seen;  /* there is one */
    unsigned again; /* there are more */
};

/* One pass; which copy of a parameter counts must not depend on who reads it, so a second one is an
 * error, unless both count. */
static void index_params(char **environment, struct found *found) {
    for (char **entry = environment; *entry != NULL; entry++) {
        const char *sign = strchr(*entry, '=');
        size_t i = sign != NULL ? find_wanted(*entry, (size_t)(sign - *entry)) : WANTED;
        if (i == WANTED)
            continue;
        struct slice value = slice_of(sign + 1);
        found->bytes += value.n;
        if ((found->seen >> i & 1) != 0) {
            found->bytes += 2;
            found->again |= 1U << i;
        } else {
            found->seen |= 1U << i;
            found->first[i] = value;
        }
    }
}

/* Appends the lines of a list behind the first; what is empty adds nothing. */
static void put_others(char **environment, const struct wanted *row, struct slice first,
                       struct buf *list) {
    const size_t start = list->n - first.n;
    for (char **entry = environment; *entry != NULL; entry++) {
        if (strncmp(*entry, row->name, row->length) != 0 || (*entry)[row->length] != '=')
            continue;
        const char *value = *entry + row->length + 1;
        if (value == first.p || *value == '\0')
            continue;
        if (list->n > start)
            buf_put_slice(list, SLICE(", "));
        buf_puts(list, value);
    }
}

static void read_again(struct request_params *params, const struct wanted *row, struct slice first,
                       struct buf *strings) {
    if (row->is_list) {
        put_others(request.envp, row, first, strings);
        return;
    }
    params->error = E_DUPLICATE_FIELD;
    params->detail = row->twice;
}

/* Copies them: libfcgi's own end with the request. */
static enum error read_params(struct request_params *params, struct buf *strings) {
    struct found found;
    found.bytes = found.seen = found.again = 0;
    index_params(request.envp, &found);
    /* One more: a buffer that has nothing has no address. */
    if (!buf_reserve(strings, found.bytes + 1))
        return E_OUT_OF_MEMORY;
    for (unsigned left = found.seen; left != 0; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        const size_t start = strings->n;
        buf_put_slice(strings, found.first[i]);
        if ((found.again >> i & 1) != 0)
            read_again(params, &wanted[i], found.first[i], strings);
        struct slice *value = (struct slice *)(void *)((char *)params + wanted[i].offset);
        *value = (struct slice){strings->p + start, strings->n - start};
    }
    return OK;
}

static enum error read_body(size_t n, struct buf *body) {
    if (n == 0)
        return OK;
    if (n > INT_MAX || !buf_reserve(body, n))
        return E_OUT_OF_MEMORY;
    int got = FCGX_GetStr(body->p + body->n, (int)n, request.in);
    if (got < 0 || (size_t)got != n)
        return E_PROTOCOL;
    body->n += n;
    return OK;
}

/* False when libfcgi finds the records broken. */
static bool accept_records(struct slice records) {
    input = records;
    request.ipcFd = NO_DESCRIPTOR;
    request.keepConnection = 1;
    return FCGX_Accept_r(&request) == 0;
}

enum error fcgi_decode(struct slice records, size_t body_bytes, struct request_params *params,
                       struct buf *strings, struct buf *body) {
    enum error e = E_PROTOCOL;
    if (accept_records(records)) {
        e = read_params(params, strings);
        if (e == OK)
            e = read_body(body_bytes, body);
    }
    /* At once, so that its buffers, more than 16 KB a request, serve the next one: requests in
     * flight hold none. */
    FCGX_Free(&request, 0);
    input = (struct slice){0};
    return e;
}

/* --- the proof ------------------------------------------------------------------------------- */

/* A BEGIN record, one parameter, a body of two bytes. */
static const char canned[] = "\1\1\0\1\0\10\0\0\0\1\1\0\0\0\0\0"
                             "\1\4\0\1\0\25\0\0\16\5REQUEST_METHODPROBE"
                             "\1\4\0\1\0\0\0\0"
                             "\1\5\0\1\0\2\0\0ok\1\5\0\1\0\0\0\0";

/* It writes nothing for us, but may want to answer a peer by itself: that must not reach a socket
 * either. */
static bool self_test(struct buf *strings, struct buf *body) {
    const struct slice records = {canned, sizeof(canned) - 1};
    struct request_params params = {0};
    if (fcgi_decode(records, 2, &params, strings, body) != OK || !accept_records(records))
        return false;
    bool put = FCGX_PutStr("x", 1, request.out) == 1;
    FCGX_Finish_r(&request);
    return put && slice_eq(params.method, SLICE("PROBE")) &&
           slice_eq(buf_slice(body), SLICE("ok")) && reads > 0 && writes > 0;
}

enum error fcgi_setup(void) {
    struct buf strings = {0};
    struct buf body = {0};
    reads = writes = 0;
    index_wanted();
    bool proven =
        FCGX_Init() == 0 && FCGX_InitRequest(&request, -1, 0) == 0 && self_test(&strings, &body);
    if (!proven)
        log_error("libfcgi does not use this program's system layer, or is not the version it was "
                  "built for; link libfcgi dynamically (libfcgi0ldbl 2.4.2)");
    buf_fini(&strings);
    buf_fini(&body);
    return proven ? OK : E_SYSTEM;
}
