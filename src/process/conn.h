/*
 * A FastCGI connection: its socket, its buffers and the one request it carries at a time. It reads
 * until a request is whole, and writes what it can; when to do either is the worker's business.
 *
 * Sockets are registered edge-triggered: readiness is remembered here, so nothing spins on
 * a peer that hung up, and epoll_ctl is called again only for an answer that cannot be sent at
 * once.
 */
#ifndef LARDER_PROCESS_CONN_H
#define LARDER_PROCESS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/stats.h"
#include "base/watch.h"
#include "http/framer.h"
#include "http/request.h"

enum conn_state {
    CONN_READING, /* between requests, or inside one that is not whole yet */
    CONN_RUNNING, /* its request waits for Redis, or for a share */
    CONN_WRITING, /* its answer is not all sent */
};

struct conn_queue {
    struct conn *first, *last;
};

struct conn {
    struct conn *next, *previous; /* all of the worker's connections */
    struct conn *next_queued;
    struct conn_queue *queue; /* that it is in; NULL: none */

    int fd;
    enum conn_state state;
    enum watch watch; /* what the epoll set reports */
    bool readable;    /* bytes or EOF may be there to read */
    bool closing;     /* the peer sends no more: the end comes with no further edge */
    bool hung_up;     /* the peer is gone: nobody will read the answer */

    struct buf in;
    struct framer framer;
    struct buf params; /* the parameters' bytes */
    struct buf body;
    struct buf out;
    size_t out_sent;
    size_t unsent;         /* of the answer, as the round has counted it */
    int64_t partial_since; /* a request began; 0: between requests */
    int64_t unsent_since;  /* the answer last moved */
    struct request request;
};

/* Takes over `fd` (non-blocking); NULL when memory is out, the descriptor is then closed. */
struct conn *conn_open(int fd, struct service *service);

/* Closes the descriptor and frees everything. Its call must not be queued. */
void conn_close(struct conn **c);

/* Reads what is there, up to a bound a turn. OK: a whole request is in the buffer. E_AGAIN: not
 * yet; `readable` says whether that was because of the bound. E_CLOSED: the peer closed, between
 * two requests or inside one. E_PROTOCOL. E_OUT_OF_MEMORY. */
LARDER_MUST_CHECK enum error conn_read(struct conn *c, size_t body_max, int64_t now);

/* The same with the first bytes of a request only: enough for one that brings nothing. */
LARDER_MUST_CHECK enum error conn_peek(struct conn *c, size_t body_max, int64_t now);

/* Decodes the whole request and starts it. E_PROTOCOL: hang up. E_CLOSED: the peer has left, and
 * what it wanted written is not written: whoever asked has been told that it failed, and may have
 * written something newer since. Else `*step` is what its plan left. */
LARDER_MUST_CHECK enum error conn_start(struct conn *c, enum step *step);

/* Encodes the request's response into the output. */
LARDER_MUST_CHECK enum error conn_encode(struct conn *c);

/* Sends. OK: all of it is sent. E_AGAIN: wait for the socket. E_CLOSED. */
LARDER_MUST_CHECK enum error conn_write(struct conn *c, int64_t now);

/* Ready for the next request on the same connection. */
void conn_next(struct conn *c);

/* Nothing of a request has been read: it can go to another process. */
bool conn_is_idle(const struct conn *c);

#endif
