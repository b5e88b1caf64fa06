/* A web server's end of a connection: see web_peer.h. */
#include "web_peer.h"

#include <check.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "require.h"

int web_peer_setup(struct web_peer *p) {
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    *p = (struct web_peer){.fd = pair[0]};
    return pair[1];
}

void web_peer_teardown(struct web_peer *p) {
    if (p->fd >= 0)
        close(p->fd);
    buf_fini(&p->got);
    *p = (struct web_peer){.fd = -1};
}

void web_peer_send(struct web_peer *p, struct slice bytes) {
    if (bytes.n > 0)
        require(send(p->fd, bytes.p, bytes.n, MSG_NOSIGNAL) == (ssize_t)bytes.n);
}

void web_peer_request(struct web_peer *p, const struct web_request *request) {
    struct buf records = {0};
    records_put_request(&records, request);
    web_peer_send(p, buf_slice(&records));
    buf_fini(&records);
}

/* Reads all that is there; gives what recv gave last. */
static ssize_t receive(struct web_peer *p) {
    ssize_t n;
    do {
        require(buf_reserve(&p->got, 65536));
        n = recv(p->fd, p->got.p + p->got.n, 65536, MSG_DONTWAIT);
        p->got.n += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    return n;
}

bool web_peer_answer(struct web_peer *p, unsigned id, struct web_answer *answer) {
    (void)receive(p);
    if (!records_read_answer(buf_slice(&p->got), id, answer))
        return false;
    buf_consume(&p->got, answer->bytes);
    return true;
}

bool web_peer_is_quiet(struct web_peer *p) {
    return receive(p) < 0 && p->got.n == 0;
}

bool web_peer_was_left(struct web_peer *p) {
    ssize_t n = receive(p);
    return p->got.n == 0 && (n == 0 || errno == ECONNRESET);
}

void web_peer_hang_up(struct web_peer *p) {
    close(p->fd);
    p->fd = -1;
}
