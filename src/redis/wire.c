/* The one file that knows hiredis: see wire.h. */
#include "redis/wire.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

enum {
    READER_IDLE_BYTES = 1 << 20, /* hiredis frees its buffer when it is empty and larger */
    REPLY_BYTES_MAX = 64 << 20,  /* a reply beyond this is not ours to carry */
};

struct wire {
    redisContext *context;
    struct replies *into; /* where the nodes go that are being parsed */
};

/* --- replies: hiredis parses, and builds our nodes instead of its objects -------------------- */

/* hiredis only asks whether an object is NULL, which it takes for "out of memory". */
static int an_object;

static void *add_node(const redisReadTask *task, enum reply_type type, int64_t integer,
                      const char *bytes, size_t n) {
    const struct wire *w = task->privdata;
    struct replies *list = w->into;
    /* Many small elements cost more here than on the wire. */
    if (list->bytes.n + list->nodes.n > REPLY_BYTES_MAX)
        return NULL;
    struct reply node = {type, integer, list->bytes.n, n};
    buf_put(&list->bytes, bytes, n);
    buf_put(&list->nodes, &node, sizeof(node));
    list->has_error = list->has_error || type == REPLY_ERROR;
    return buf_failed(&list->bytes) || buf_failed(&list->nodes) ? NULL : &an_object;
}

/* A line end follows a bulk string. hiredis 0.14.1 waits for it and doesn't look: with a length
 * that is damaged, what it takes for the next reply lies in the middle of a value, and a value can
 * say anything. */
static bool ends_where_it_says(const redisReadTask *task, const char *bytes, size_t n) {
    return task->type != REDIS_REPLY_STRING || (bytes[n] == '\r' && bytes[n + 1] == '\n');
}

static void *on_string(const redisReadTask *task, char *bytes, size_t n) {
    enum reply_type type = REPLY_STRING;
    if (!ends_where_it_says(task, bytes, n))
        return NULL;
    if (task->type == REDIS_REPLY_STATUS)
        type = REPLY_STATUS;
    else if (task->type == REDIS_REPLY_ERROR)
        type = REPLY_ERROR;
    return add_node(task, type, 0, bytes, n);
}

static void *on_array(const redisReadTask *task, int elements) {
    return add_node(task, REPLY_ARRAY, elements, NULL, 0);
}

static void *on_integer(const redisReadTask *task, long long value) {
    return add_node(task, REPLY_INTEGER, value, NULL, 0);
}

static void *on_nil(const redisReadTask *task) {
    return add_node(task, REPLY_NIL, 0, NULL, 0);
}

static void on_free(void *object) {
    (void)object;
}

static redisReplyObjectFunctions node_functions = {on_string, on_array, on_integer, on_nil,
                                                   on_free};

/* --- opening and closing --------------------------------------------------------------------- */

/* Takes the context over, also a faulty one. */
static struct wire *adopt(redisContext *context) {
    struct wire *w = calloc(1, sizeof(*w));
    redisReader *reader = redisReaderCreateWithFunctions(&node_functions);
    if (context == NULL || w == NULL || reader == NULL) {
        if (context != NULL)
            redisFree(context);
        redisReaderFree(reader);
        free(w);
        return NULL;
    }
    redisReaderFree(context->reader);
    reader->privdata = w;
    reader->maxbuf = READER_IDLE_BYTES;
    context->reader = reader;
    w->context = context;
    return w;
}

struct wire *wire_open_unix(const char *path) {
    return adopt(redisConnectUnixNonBlock(path));
}

struct wire *wire_open_tcp(const char *address, int port) {
    return adopt(redisConnectNonBlock(address, port));
}

void wire_close(struct wire **wp) {
    struct wire *w = *wp;
    if (w == NULL)
        return;
    redisFree(w->context);
    free(w);
    *wp = NULL;
}

const char *wire_fault(const struct wire *w) {
    return w->context->err != 0 ? w->context->errstr : NULL;
}

int wire_fd(const struct wire *w) {
    /* hiredis leaves the descriptor at 0 or -1 when err is set. */
    return w->context->err != 0 ? -1 : w->context->fd;
}

/* --- reading --------------------------------------------------------------------------------- */

enum error wire_feed(struct wire *w, const void *bytes, size_t n) {
    redisReader *reader = w->context->reader;
    if (reader->len - reader->pos + n > REPLY_BYTES_MAX)
        return E_PROTOCOL;
    return redisReaderFeed(reader, bytes, n) == REDIS_OK ? OK : E_OUT_OF_MEMORY;
}

enum error wire_parse(struct wire *w, struct replies *into) {
    void *object = NULL;
    const redisReader *reader = w->context->reader;
    /* Half a reply that nobody asked for would otherwise be completed for whoever asks next. */
    if (into == NULL)
        return reader->pos < reader->len || reader->ridx >= 0 ? E_PROTOCOL : E_AGAIN;
    w->into = into;
    int status = redisReaderGetReply(w->context->reader, &object);
    w->into = NULL;
    if (status != REDIS_OK)
        return E_PROTOCOL;
    return object != NULL ? OK : E_AGAIN;
}
