/* The round: see round.h. */
#include "process/round.h"

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { RELEASE_BYTES = 1 << 20 };

/* --- queues ----------------------------------------------------------------------------------- */

static void push(struct round *r, struct conn_queue *queue, struct conn *c) {
    if (c->queue != NULL)
        return;
    r->waiting += queue != &r->ready;
    c->queue = queue;
    c->next_queued = NULL;
    if (queue->first == NULL)
        queue->first = c;
    else
        queue->last->next_queued = c;
    queue->last = c;
}

static struct conn *pop(struct round *r, struct conn_queue *queue) {
    struct conn *c = queue->first;
    r->waiting -= queue != &r->ready;
    queue->first = c->next_queued;
    c->queue = NULL;
    return c;
}

static void dequeue(struct round *r, struct conn *c) {
    struct conn_queue *queue = c->queue;
    struct conn *before = NULL;
    if (queue == NULL)
        return;
    r->waiting -= queue != &r->ready;
    for (struct conn *at = queue->first; at != c; at = at->next_queued)
        before = at;
    if (before == NULL)
        queue->first = c->next_queued;
    else
        before->next_queued = c->next_queued;
    if (queue->last == c)
        queue->last = before;
    c->queue = NULL;
}

static void unlink_conn(struct round *r, struct conn *c) {
    dequeue(r, c);
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        r->conns = c->next;
    if (c->next != NULL)
        c->next->previous = c->previous;
    c->previous = NULL;
    r->connections--;
}

/* The clock that peers are held to. */
static int64_t peers_now(const struct round *r) {
    return r->service.now - r->stood_still;
}

static struct conn *conn_of_call(struct call *call) {
    char *request = (char *)call - offsetof(struct request, call);
    return (struct conn *)(void *)(request - offsetof(struct conn, request));
}

/* --- connections ----------------------------------------------------------------------------- */

void round_init(struct round *r, struct service service, int epoll) {
    *r = (struct round){.service = service, .epoll = epoll};
    r->body_max = (size_t)service.config->max_value + ROUND_BODY_SLACK;
}

static struct conn *add_conn(struct round *r, int fd) {
    struct conn *c = conn_open(fd, &r->service);
    if (c == NULL)
        return NULL;
    c->next = r->conns;
    if (r->conns != NULL)
        r->conns->previous = c;
    r->conns = c;
    r->connections++;
    /* A web server connects when it has a request: try to read before asking epoll. */
    push(r, &r->ready, c);
    return c;
}

void round_add(struct round *r, int fd) {
    struct conn *c = add_conn(r, fd);
    if (c != NULL)
        c->partial_since = peers_now(r);
}

void round_adopt(struct round *r, int fd) {
    (void)add_conn(r, fd);
}

static void count_unsent(struct round *r, struct conn *c, size_t bytes) {
    r->unsent = r->unsent - c->unsent + bytes;
    c->unsent = bytes;
}

/* Takes the connection out and frees it when the turn ends. Its call must not be queued. */
static void close_conn(struct round *r, struct conn *c) {
    unlink_conn(r, c);
    count_unsent(r, c, 0);
    (void)close(c->fd);
    c->fd = -1;
    c->next = r->closed;
    r->closed = c;
}

static void count_protocol_error(struct round *r, enum error e) {
    if (e == E_PROTOCOL)
        stats_add(&r->service.row->counter[STAT_protocol_errors], 1);
}

static void watch_or_close(struct round *r, struct conn *c, enum watch wanted) {
    if (!watch_set(r->epoll, c->fd, c, &c->watch, wanted))
        close_conn(r, c);
}

/* --- scatter --------------------------------------------------------------------------------- */

static void count_answer(struct round *r, const struct request *request) {
    struct stats_row *row = r->service.row;
    size_t route = STATS_ROUTES - 1;
    if (request->route != NULL)
        route = (size_t)(request->route - r->service.routes->rows);
    if (request->response.lookup == LOOKUP_HIT)
        stats_add(&row->counter[STAT_hits], 1);
    else if (request->response.lookup == LOOKUP_MISS)
        stats_add(&row->counter[STAT_misses], 1);
    stats_count_request(row, route, request->response.status, clock_monotonic() - request->taken);
    if (r->answered++ == 0)
        atomic_store_explicit(&row->served, 1, memory_order_relaxed);
}

/* The answer is sent: the connection goes, or takes its next request. */
static void answer_sent(struct round *r, struct conn *c) {
    bool keep = c->framer.keep && !r->last_answers;
    count_unsent(r, c, 0);
    conn_next(c);
    if (!keep || c->hung_up) {
        close_conn(r, c);
        return;
    }
    if (!watch_set(r->epoll, c->fd, c, &c->watch, WATCH_READ))
        close_conn(r, c);
    else if (c->readable || c->in.n > 0)
        push(r, &r->ready, c);
}

static void write_answer(struct round *r, struct conn *c) {
    /* After the last answer nothing more is served: whoever sends on learns it with nothing sent.
     */
    if (r->last_answers)
        (void)shutdown(c->fd, SHUT_RD);
    enum error e = conn_write(c, peers_now(r));
    if (e == OK) {
        answer_sent(r, c);
    } else if (e == E_AGAIN) {
        c->state = CONN_WRITING;
        count_unsent(r, c, c->out.n - c->out_sent);
        watch_or_close(r, c, WATCH_WRITE);
    } else {
        close_conn(r, c);
    }
}

static void answer(struct round *r, struct conn *c) {
    c->unsent_since = peers_now(r);
    /* Before it is counted: for want of memory it may become another answer. */
    enum error e = conn_encode(c);
    if (e != OK)
        response_out_of_memory(&c->request.response);
    count_answer(r, &c->request);
    /* As large as the answer, or several times that; and it may be long on its way. */
    if (c->out.n > RELEASE_BYTES)
        request_release(&c->request);
    if (c->hung_up || e != OK)
        close_conn(r, c);
    else
        write_answer(r, c);
}

/* A connection whose first request came at once is not watched yet. A request that takes more than
 * one round may be a long one: from now on it is seen when nobody waits for it any more. */
static void watch_peer(struct round *r, struct conn *c) {
    bool watched = watch_set(r->epoll, c->fd, c, &c->watch, WATCH_READ);
    (void)watched; /* otherwise it is done to its end, which asks again */
}

/* What its handler left of a request. Who is held doesn't count as in flight, and so keeps nobody
 * from Redis: the wait for a share may be long. */
static void after_step(struct round *r, struct conn *c, enum step step) {
    if (step == STEP_ANSWER) {
        answer(r, c);
        return;
    }
    c->state = CONN_RUNNING;
    if (step == STEP_HOLD && c->request.awaits == SHARE_TURN) {
        push(r, &r->turns[turns_seat(c->request.op.name)], c);
        return;
    }
    r->in_flight += step == STEP_WAIT;
    if (step == STEP_HOLD)
        push(r, &r->held[c->request.awaits], c);
}

void round_scatter(struct round *r) {
    struct call *call;
    while ((call = store_next_done(r->service.store)) != NULL) {
        if (r->census != NULL && census_take(r->census, call))
            continue;
        struct conn *c = conn_of_call(call);
        c->request.peer_gone = c->hung_up;
        enum step step = request_continue(&c->request);
        if (step != STEP_ANSWER)
            watch_peer(r, c);
        r->in_flight--;
        after_step(r, c, step);
    }
}

/* --- gather ---------------------------------------------------------------------------------- */

/* Whether what needs Redis may go on. */
static bool is_busy(const struct round *r) {
    return r->in_flight >= ROUND_IN_FLIGHT_MAX || r->unsent >= ROUND_UNSENT_MAX ||
           store_is_full(r->service.store);
}

static void take(struct round *r, struct conn *c) {
    enum step step;
    enum error e = conn_start(c, &step);
    if (e != OK) {
        count_protocol_error(r, e);
        close_conn(r, c);
        return;
    }
    r->one_shot_at = c->framer.keep ? 0 : r->service.now;
    r->writes |= method_writes(c->request.method);
    if (step == STEP_HOLD)
        watch_peer(r, c);
    after_step(r, c, step);
}

static void read_and_take(struct round *r, struct conn *c) {
    atomic_store_explicit(&r->service.row->phase, WORKER_READS, memory_order_relaxed);
    bool busy = r->service.busy;
    int64_t now = peers_now(r);
    enum error e = busy ? conn_peek(c, r->body_max, now) : conn_read(c, r->body_max, now);
    if (e == OK && c->hung_up) {
        /* See conn_start. */
        close_conn(r, c);
    } else if (e == OK) {
        take(r, c);
    } else if (e == E_AGAIN && c->readable) {
        push(r, busy ? &r->held[SHARE_REDIS] : &r->ready, c);
    } else if (e == E_AGAIN) {
        watch_or_close(r, c, WATCH_READ);
    } else {
        count_protocol_error(r, e);
        close_conn(r, c);
    }
}

/* What it waited for is there. Nothing is done any more for who has gone: false. */
static bool go_on(struct round *r, struct conn *c) {
    if (c->hung_up)
        close_conn(r, c);
    else
        after_step(r, c, request_continue(&c->request));
    return c->fd >= 0;
}

/* Its turn has come. */
static void resume(struct round *r, struct conn *c) {
    if (c->state == CONN_READING) {
        /* It has waited for us: its second begins anew. */
        c->partial_since = peers_now(r);
        read_and_take(r, c);
        return;
    }
    (void)go_on(r, c);
}

/* One for each turn that was given back. */
static void resume_turns(struct round *r) {
    uint64_t seats = r->service.turns.returned;
    r->service.turns.returned = 0;
    for (; seats != 0; seats &= seats - 1) {
        struct conn_queue *queue = &r->turns[__builtin_ctzll(seats)];
        while (queue->first != NULL && !go_on(r, pop(r, queue)))
            ;
    }
}

/* Those who came first go first. Gives how many. */
static unsigned resume_held(struct round *r) {
    unsigned n = 0;
    for (enum share share = SHARE_REDIS; share < SHARES; share++)
        while (r->held[share].first != NULL && n < ROUND_TAKE_MAX &&
               request_may_claim(&r->service, share)) {
            resume(r, pop(r, &r->held[share]));
            r->service.busy = is_busy(r);
            n++;
        }
    return n;
}

/* Each connection has one go a turn, at most: who sends without end, or has the next request there
 * already, waits for the others. */
void round_gather(struct round *r) {
    unsigned taken = 0;
    if (r->ready.first == NULL && r->waiting == 0)
        return;
    const struct conn *last = r->ready.last;
    bool more = r->ready.first != NULL;
    r->service.busy = is_busy(r);
    if (r->waiting > 0) {
        resume_turns(r);
        taken = resume_held(r);
    }
    for (; more && taken < ROUND_TAKE_MAX; taken++) {
        struct conn *c = pop(r, &r->ready);
        more = c != last && r->ready.first != NULL;
        if (c->state == CONN_READING)
            read_and_take(r, c);
        if (more)
            r->service.busy = is_busy(r);
    }
}

/* --- events and time ------------------------------------------------------------------------- */

void round_on_event(struct round *r, struct conn *c, uint32_t events) {
    if (c->fd < 0)
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        c->readable = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        c->closing = true;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0)
        c->hung_up = true;
    if (c->state == CONN_WRITING && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        write_answer(r, c);
    else if (c->state == CONN_READING && c->readable)
        push(r, &r->ready, c);
}

static bool is_overdue(const struct conn *c, int64_t now) {
    int64_t limit = ROUND_PARTIAL_MS * NS_PER_MS;
    /* In a queue it waits for us, not we for it. */
    if (c->state == CONN_READING)
        return c->partial_since != 0 && now - c->partial_since >= limit && c->queue == NULL;
    return c->state == CONN_WRITING && now - c->unsent_since >= limit;
}

void round_tick(struct round *r) {
    struct conn *next;
    /* Turns end when they are not used: whoever waits for one looks. */
    r->service.turns.returned = UINT64_MAX;
    for (struct conn *c = r->conns; c != NULL; c = next) {
        next = c->next;
        if (!is_overdue(c, peers_now(r)))
            continue;
        stats_add(&r->service.row->counter[STAT_connections_timed_out], 1);
        close_conn(r, c);
    }
}

bool round_has_work(const struct round *r) {
    if (r->ready.first != NULL || r->waiting == 0)
        return r->ready.first != NULL;
    if (r->service.turns.returned != 0 || (!is_busy(r) && r->held[SHARE_REDIS].first != NULL))
        return true;
    for (enum share share = SHARE_REDIS + 1; share < SHARES; share++)
        if (r->held[share].first != NULL && request_may_claim(&r->service, share))
            return true;
    return false;
}

static void free_closed(struct round *r) {
    while (r->closed != NULL) {
        struct conn *c = r->closed;
        r->closed = c->next;
        conn_close(&c);
    }
}

void round_end_turn(struct round *r) {
    free_closed(r);
    atomic_store_explicit(&r->service.row->connections, r->connections, memory_order_relaxed);
    atomic_store_explicit(&r->service.row->in_flight, r->in_flight, memory_order_relaxed);
}

void round_dispose_idle(struct round *r, enum disposal (*dispose)(void *context, int fd),
                        void *context) {
    struct conn *next;
    for (struct conn *c = r->conns; c != NULL; c = next) {
        next = c->next;
        if (!conn_is_idle(c) || c->queue != NULL)
            continue;
        enum disposal disposal = dispose(context, c->fd);
        if (disposal == FULL)
            return;
        if (disposal == KEPT)
            continue;
        /* Another process may have the same open socket by now: it would go on reporting to our
         * epoll set even after our descriptor is closed. */
        if (c->watch != WATCH_NOT)
            (void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, c->fd, NULL);
        close_conn(r, c);
    }
}

void round_fini(struct round *r) {
    free_closed(r);
    while (r->conns != NULL) {
        struct conn *c = r->conns;
        unlink_conn(r, c);
        conn_close(&c);
    }
}
