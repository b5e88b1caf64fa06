/* Fair accept: see acceptor.h. */
#include "process/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    STALE_HEARTBEAT_MS = 250,
    PAUSE_MS = 100,
    LOOKED_AT = 1024,
    SPARE_DESCRIPTORS = 8, /* Redis, the log when it is reopened, a connection passed on */
    /* A connection that stays is taken alone, so that they are spread. Those that end with their
     * request are requests: taken together, they share a turn and a write to Redis. */
    ACCEPT_ONE_SHOTS = 8,
    ONE_SHOT_MS = 10,
};

/* How many of the first descriptors are open: at its start a process has no others. */
static rlim_t count_open(rlim_t limit) {
    struct pollfd fds[LOOKED_AT];
    rlim_t n = limit < LOOKED_AT ? limit : LOOKED_AT;
    rlim_t open = 0;
    for (rlim_t i = 0; i < n; i++)
        fds[i] = (struct pollfd){.fd = (int)i};
    if (poll(fds, n, 0) < 0)
        return n;
    for (rlim_t i = 0; i < n; i++)
        open += (fds[i].revents & POLLNVAL) == 0;
    return open;
}

void acceptor_limit(struct acceptor *a) {
    struct rlimit limit;
    a->most = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= UINT32_MAX)
        return;
    rlim_t taken = count_open(limit.rlim_cur) + SPARE_DESCRIPTORS;
    a->most = limit.rlim_cur > taken ? (uint32_t)(limit.rlim_cur - taken) : 1;
}

static bool is_full(const struct acceptor *a, const struct round *round) {
    return a->most != 0 && round->connections >= a->most;
}

static void say_full(struct acceptor *a, const struct round *round, int64_t now) {
    if (log_is_due(&a->said_full, now))
        log_warning("%u connections are open, as many as the limit of descriptors allows; others "
                    "wait, raise it (ulimit -n, LimitNOFILE)",
                    round->connections);
}

/* A heartbeat that is far ahead is as bad as an old one: nobody lives there, or damage would have
 * everybody wait for a worker that isn't there. */
static bool counts(const struct stats_row *row, int64_t now) {
    int64_t heartbeat = atomic_load_explicit(&row->heartbeat, memory_order_relaxed);
    return atomic_load_explicit(&row->state, memory_order_relaxed) == WORKER_READY &&
           clock_is_near(now, heartbeat, STALE_HEARTBEAT_MS * NS_PER_MS);
}

/* The live worker with the fewest connections, if that is at least two fewer than `mine`; else this
 * one's own row. */
static uint32_t whose_turn(const struct acceptor *a, uint32_t mine, int64_t now) {
    const struct segment *segment = a->inherit->segment;
    uint32_t lowest = a->inherit->row;
    uint32_t fewest = mine > 0 ? mine - 1 : 0;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < a->inherit->rows; i++) {
        const struct stats_row *row = &segment->rows[i];
        uint32_t connections = atomic_load_explicit(&row->connections, memory_order_relaxed);
        if (connections < fewest && i != a->inherit->row && counts(row, now)) {
            fewest = connections;
            lowest = i;
        }
    }
    return lowest;
}

static void set_listening(struct acceptor *a, bool listening) {
    struct stats_row *row = &a->inherit->segment->rows[a->inherit->row];
    a->listening = listening;
    /* Ordered against the reading in hand_over: of two that go out, one sees the other. */
    atomic_store_explicit(&row->listening, listening ? 1 : 0, memory_order_seq_cst);
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
    set_listening(a, true);
}

void acceptor_stop(struct acceptor *a) {
    if (!a->listening)
        return;
    (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->inherit->listener, NULL);
    (void)epoll_ctl(a->epoll, EPOLL_CTL_DEL, a->inherit->pass.take, NULL);
    set_listening(a, false);
}

static void hand_over(struct acceptor *a, uint32_t to) {
    const uint64_t one = 1;
    const struct stats_row *row = &a->inherit->segment->rows[to];
    acceptor_stop(a);
    if (atomic_load_explicit(&row->listening, memory_order_seq_cst) == 0 &&
        write(a->inherit->bells[to], &one, sizeof(one)) < 0)
        log_debug("cannot ring worker %u: %m", to);
}

void acceptor_balance(struct acceptor *a, const struct round *round, int64_t now) {
    bool full = is_full(a, round);
    if (full)
        say_full(a, round, now);
    if (full || now < a->pause_until) {
        acceptor_stop(a);
        return;
    }
    uint32_t turn = whose_turn(a, round->connections, now);
    if (turn == a->inherit->row) {
        if (!a->listening)
            listen_on(a);
    } else if (a->listening) {
        hand_over(a, turn);
    }
}

/* Who isn't named learns no more than that the connection ends. */
static void turn_away(struct acceptor *a, struct round *round, int fd, uid_t uid) {
    int64_t now = round->service.now;
    stats_add(&round->service.row->counter[STAT_connections_refused], 1);
    (void)close(fd);
    if (log_is_due(&a->said_away, now))
        log_warning("closed a connection of user %ld, whom listen_users doesn't name", (long)uid);
}

/* False, and errno, if nobody waits to be accepted or it can't be done. */
static bool take_one(struct acceptor *a, struct round *round) {
    uid_t uid;
    int fd = accept4(a->inherit->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    if (!peers_admit(a->inherit->peers, fd, &uid)) {
        turn_away(a, round, fd, uid);
        return true;
    }
    stats_add(&round->service.row->counter[STAT_connections_accepted], 1);
    round_add(round, fd);
    return true;
}

static bool accept_one(struct acceptor *a, struct round *round, int64_t now) {
    if (take_one(a, round))
        return true;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        if (log_is_due(&a->said_full, now))
            log_warning("cannot accept a connection: %m; waiting for others to close");
        a->pause_until = now + PAUSE_MS * NS_PER_MS;
    }
    return false;
}

void acceptor_accept(struct acceptor *a, struct round *round, int64_t now) {
    /* Under load they come each turn; a health check now and then says nothing of what comes next.
     */
    bool one_shots = round->one_shot_at != 0 && now - round->one_shot_at < ONE_SHOT_MS * NS_PER_MS;
    int n = one_shots ? ACCEPT_ONE_SHOTS : 1;
    while (n > 0 && !is_full(a, round) && accept_one(a, round, now))
        n--;
}

void acceptor_take_rest(struct acceptor *a, struct round *round) {
    int fd;
    while (take_one(a, round))
        continue;
    while (pass_take(&a->inherit->pass, &fd) == OK)
        round_adopt(round, fd);
}

void acceptor_adopt(struct acceptor *a, struct round *round) {
    int fd;
    if (pass_take(&a->inherit->pass, &fd) != OK)
        return;
    stats_add(&round->service.row->counter[STAT_connections_adopted], 1);
    round_adopt(round, fd);
}
