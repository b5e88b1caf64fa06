/* A client: see client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IN_FIRST = 16384, IN_MAX = 4 << 20 };

void client_init(struct client *c, uint32_t number, int epoll, uint32_t port) {
    *c = (struct client){.fd = -1, .epoll = epoll, .port = port, .number = number};
}

/* With a reset: a failed connection leaves no port waiting (TIME_WAIT) behind. */
static void drop(struct client *c) {
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (c->fd < 0)
        return;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    (void)close(c->fd);
    c->fd = -1;
    c->kept = false;
    c->wants_out = false;
}

void client_fini(struct client *c) {
    drop(c);
    request_fini(&c->request);
    bytes_fini(&c->in);
}

enum client_result client_give_up(struct client *c, enum failure failure) {
    drop(c);
    c->state = CLIENT_IDLE;
    c->failure = failure;
    return CLIENT_FAILED;
}

static bool watch(struct client *c, bool out, int operation) {
    struct epoll_event event = {EPOLLIN | (out ? EPOLLOUT : 0U), {.ptr = c}};
    c->wants_out = out;
    return epoll_ctl(c->epoll, operation, c->fd, &event) == 0;
}

/* The answer ends, or doesn't begin, although it should. */
static enum client_result broken(struct client *c) {
    if (c->in.n > 0)
        return client_give_up(c, FAILURE_SHORT);
    return client_give_up(c, c->kept ? FAILURE_CLOSED_KEPT : FAILURE_CLOSED);
}

static enum client_result receive(struct client *c) {
    for (;;) {
        if (c->in.n == c->in.room &&
            (c->in.room >= IN_MAX ||
             !bytes_reserve(&c->in, c->in.room > 0 ? 2 * c->in.room : IN_FIRST)))
            return client_give_up(c, FAILURE_MALFORMED);
        size_t room = c->in.room - c->in.n;
        ssize_t n = recv(c->fd, c->in.p + c->in.n, room, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return CLIENT_BUSY;
        if (n <= 0)
            return broken(c);
        c->in.n += (size_t)n;
        switch (answer_parse(&c->answer, c->in.p, c->in.n)) {
        case ANSWER_MALFORMED:
            return client_give_up(c, FAILURE_MALFORMED);
        case ANSWER_WHOLE:
            return CLIENT_ANSWERED;
        default:
            if ((size_t)n < room)
                return CLIENT_BUSY;
        }
    }
}

static enum client_result transmit(struct client *c) {
    const struct request *r = &c->request;
    c->state = CLIENT_SENDING;
    while (c->sent < r->text.n) {
        ssize_t n = send(c->fd, r->text.p + r->from + c->sent, r->text.n - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!c->wants_out && !watch(c, true, EPOLL_CTL_MOD))
                return broken(c);
            return CLIENT_BUSY;
        }
        /* The web server may have answered before it closed. */
        if (n < 0)
            return receive(c);
        c->sent += (size_t)n;
    }
    c->state = CLIENT_WAITING;
    if (c->wants_out && !watch(c, false, EPOLL_CTL_MOD))
        return broken(c);
    return CLIENT_BUSY;
}

static enum client_result start_connecting(struct client *c) {
    const int on = 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)c->port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    c->kept = false;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return client_give_up(c, FAILURE_REFUSED);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
        return client_give_up(c, FAILURE_REFUSED);
    c->state = CLIENT_CONNECTING;
    if (!watch(c, true, EPOLL_CTL_ADD))
        return client_give_up(c, FAILURE_REFUSED);
    return CLIENT_BUSY;
}

enum client_result client_start(struct client *c, int64_t now) {
    c->begun = now;
    c->sent = 0;
    c->in.n = 0;
    memset(&c->answer, 0, sizeof(c->answer));
    return c->fd < 0 ? start_connecting(c) : transmit(c);
}

static enum client_result connected(struct client *c) {
    int error = 0;
    socklen_t n = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0)
        return client_give_up(c, FAILURE_REFUSED);
    return transmit(c);
}

/* An idle connection may be closed by the web server, but nothing may come on it. */
static enum client_result look_while_idle(struct client *c) {
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, 0);
    if (n >= 0 || errno != EAGAIN)
        drop(c);
    return n > 0 ? CLIENT_SURPLUS : CLIENT_BUSY;
}

enum client_result client_on_event(struct client *c, uint32_t events) {
    enum client_result result = CLIENT_BUSY;
    if (c->fd < 0)
        return CLIENT_BUSY;
    if (c->state == CLIENT_IDLE)
        return look_while_idle(c);
    if (c->state == CLIENT_CONNECTING)
        return connected(c);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        result = receive(c);
    if (result == CLIENT_BUSY && c->state == CLIENT_SENDING && (events & EPOLLOUT) != 0)
        result = transmit(c);
    return result;
}

bool client_rest(struct client *c) {
    bool surplus = c->in.n > c->answer.head_n + c->answer.body_n;
    /* Answered before all of it was sent: what is left can't be taken for a request. */
    bool whole = c->state == CLIENT_WAITING;
    c->state = CLIENT_IDLE;
    c->kept = true;
    if (!c->answer.keep || !whole || surplus)
        drop(c);
    return !surplus;
}
