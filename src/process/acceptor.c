/* Fair accept: see acceptor.h. */
#include "process/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

enum { STALE_HEARTBEAT_MS = 1000, PAUSE_MS = 100 };

static bool counts(const struct stats_row *row, int64_t now) {
    int64_t heartbeat = atomic_load_explicit(&row->heartbeat, memory_order_relaxed);
    return atomic_load_explicit(&row->state, memory_order_relaxed) == WORKER_READY &&
           now - heartbeat < STALE_HEARTBEAT_MS * NS_PER_MS;
}

/* Whether no live worker has two connections fewer. */
static bool is_my_turn(const struct acceptor *a, uint32_t mine, int64_t now) {
    const struct segment *segment = a->inherit->segment;
    if (mine < 2)
        return true;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < segment->row_count; i++) {
        const struct stats_row *row = &segment->rows[i];
        if (i == a->inherit->row || !counts(row, now))
            continue;
        if (atomic_load_explicit(&row->connections, memory_order_relaxed) < mine - 1)
            return false;
    }
    return true;
}

static void listen_on(struct acceptor *a) {
    struct epoll_event listener = {EPOLLIN | EPOLLEXCLUSIVE, {.ptr = a->listener_tag}};
    struct epoll_event pass = {EPOLLIN | EPOLLEXCLUSIVE, {.ptr = a->pass_tag}};
    if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, a->inherit->listener, &listener) != 0)
        return;
    if (epoll_ctl(a->epoll, EPOLL_CTL_ADD, a->inherit->pass.take, &pass) != 0) {
        (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->inherit->listener, NULL);
        return;
    }
    a->listening = true;
}

void acceptor_stop(struct acceptor *a) {
    if (!a->listening)
        return;
    (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->inherit->listener, NULL);
    (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->inherit->pass.take, NULL);
    a->listening = false;
}

void acceptor_balance(struct acceptor *a, const struct round *round, int64_t now) {
    bool wanted = now >= a->pause_until && is_my_turn(a, round->connections, now);
    if (wanted && !a->listening)
        listen_on(a);
    else if (!wanted)
        acceptor_stop(a);
}

void acceptor_accept(struct acceptor *a, struct round *round, int64_t now) {
    int fd = accept4(a->inherit->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        stats_add(&round->service.row->counter[STAT_connections_accepted], 1);
        round_add(round, fd);
        return;
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        log_warning("cannot accept a connection: %m; waiting for others to close");
        a->pause_until = now + PAUSE_MS * NS_PER_MS;
    }
}

void acceptor_adopt(struct acceptor *a, struct round *round) {
    int fd;
    if (pass_take(&a->inherit->pass, &fd) != OK)
        return;
    stats_add(&round->service.row->counter[STAT_connections_adopted], 1);
    round_adopt(round, fd);
}
