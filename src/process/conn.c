/* A FastCGI connection: see conn.h. */
#include "process/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/encode.h"
#include "http/fcgi.h"

enum {
    READ_STEP = 4096,       /* a request without a body is about 1 KB */
    READ_STEP_BODY = 65536, /* once it is clear that there is more */
    READS_PER_TURN = 32,
    KEEP_IN = 8192,
    KEEP_PARAMS = 1024,
    KEEP_BODY = 65536,
    KEEP_OUT = 65536,
};

struct conn *conn_open(int fd, struct service *service) {
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        (void)close(fd);
        return NULL;
    }
    c->fd = fd;
    c->readable = true;
    request_init(&c->request, service);
    framer_reset(&c->framer);
    return c;
}

void conn_close(struct conn **cp) {
    struct conn *c = *cp;
    if (c == NULL)
        return;
    if (c->fd >= 0)
        (void)close(c->fd);
    request_fini(&c->request);
    buf_fini(&c->in);
    buf_fini(&c->params);
    buf_fini(&c->body);
    buf_fini(&c->out);
    free(c);
    *cp = NULL;
}

/* One recv. OK: bytes came. */
static enum error receive(struct conn *c) {
    size_t step = c->in.n < READ_STEP ? READ_STEP : READ_STEP_BODY;
    if (!buf_reserve(&c->in, step))
        return E_OUT_OF_MEMORY;
    ssize_t n;
    do {
        n = recv(c->fd, c->in.p + c->in.n, step, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->readable = false;
        return E_AGAIN;
    }
    if (n <= 0)
        return E_CLOSED;
    c->in.n += (size_t)n;
    /* Edge-triggered: a short read has emptied the socket, what comes later is a new edge. */
    if ((size_t)n < step && !c->closing)
        c->readable = false;
    stats_add(&c->request.service->row->counter[STAT_bytes_received], (uint64_t)n);
    return OK;
}

static enum error read_up_to(struct conn *c, int most, size_t body_max, int64_t now) {
    for (int reads = 0;; reads++) {
        if (c->in.n > 0) {
            enum error e = framer_walk(&c->framer, &c->in, body_max);
            if (e != E_AGAIN)
                return e;
        }
        if (!c->readable || reads == most) {
            if (c->partial_since == 0 && c->in.n > 0)
                c->partial_since = now;
            return E_AGAIN;
        }
        enum error e = receive(c);
        if (e != OK && e != E_AGAIN)
            return e;
    }
}

enum error conn_read(struct conn *c, size_t body_max, int64_t now) {
    return read_up_to(c, READS_PER_TURN, body_max, now);
}

enum error conn_peek(struct conn *c, size_t body_max, int64_t now) {
    return read_up_to(c, c->in.n == 0 ? 1 : 0, body_max, now);
}

/* Of a connection that epoll watches, the round knows, unless this process stood still with the
 * event in its hands. One that lighttpd opens for one request is read before it is watched, and may
 * have waited to be accepted for longer than lighttpd did. */
static bool knows_of_peer(const struct conn *c) {
    return c->watch != WATCH_NOT && !c->request.service->late;
}

static bool is_left_by_peer(const struct conn *c) {
    struct pollfd p = {.fd = c->fd};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP) != 0;
}

enum error conn_start(struct conn *c, enum step *step) {
    struct request_params params = {0};
    struct framer *f = &c->framer;
    enum error e = OK;
    if (!f->too_many_params)
        e = fcgi_decode((struct slice){c->in.p, f->at}, f->body_too_large ? 0 : f->stdin_bytes,
                        &params, &c->params, &c->body);
    if (e != OK)
        return e;
    if (!knows_of_peer(c) && method_writes(method_parse(params.method)) && is_left_by_peer(c))
        return E_CLOSED;
    if (f->nul_in_params || f->too_many_params)
        params.error = E_MALFORMED_REQUEST;
    if (f->too_many_params)
        params.detail = "The request has too many header fields: with what the web server adds "
                        "there are more than 256.";
    /* What came early belongs to the next request; it stays in the buffer. */
    buf_consume(&c->in, f->at);
    c->partial_since = 0;
    *step = request_start(&c->request, &params, buf_slice(&c->body), f->body_too_large);
    return OK;
}

enum error conn_encode(struct conn *c) {
    bool with_body = c->request.method != METHOD_HEAD;
    c->out_sent = 0;
    return encode_answer(c->framer.id, &c->request.response, with_body, &c->out);
}

enum error conn_write(struct conn *c, int64_t now) {
    while (c->out_sent < c->out.n) {
        ssize_t n = send(c->fd, c->out.p + c->out_sent, c->out.n - c->out_sent,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? E_AGAIN : E_CLOSED;
        c->out_sent += (size_t)n;
        c->unsent_since = now;
        stats_add(&c->request.service->row->counter[STAT_bytes_sent], (uint64_t)n);
    }
    return OK;
}

void conn_next(struct conn *c) {
    request_reset(&c->request);
    buf_reset(&c->out, KEEP_OUT);
    buf_reset(&c->params, KEEP_PARAMS);
    buf_reset(&c->body, KEEP_BODY);
    if (c->in.n == 0)
        buf_reset(&c->in, KEEP_IN);
    framer_reset(&c->framer);
    c->out_sent = 0;
    c->state = CONN_READING;
}

bool conn_is_idle(const struct conn *c) {
    return c->state == CONN_READING && c->in.n == 0 && c->partial_since == 0;
}
