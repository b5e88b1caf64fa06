/* A worker: see worker.h. */
#include "process/worker.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "http/fcgi.h"
#include "process/acceptor.h"
#include "process/round.h"

enum {
    EVENTS = 128,
    TICK_MS = 100,
    STANDSTILL_MS = 250, /* longer than a tick by what a busy machine takes */
    LATE_MS = 1000,
    OFFER_AGAIN_MS = 5,
    RECYCLE_JITTER = 10 /* percent */
};

enum mode {
    SERVING,
    RETIRING, /* finish, pass idle connections on */
    STOPPING, /* finish, close idle connections */
};

struct worker {
    const struct inherit *inherit;
    struct stats_row *row;
    int epoll;
    int signals;
    enum mode mode;
    enum worker_state state;
    int64_t started;
    bool leaving; /* has served max_requests and waits for its successor */
    struct round round;
    struct census census;
    struct acceptor acceptor;
    struct store *store;
    int64_t next_tick;
    uint64_t lines_dropped;            /* as counted so far */
    int64_t late_until;                /* after a standstill */
    uint64_t recycle_at;               /* requests; 0: never */
    struct epoll_event events[EVENTS]; /* here: on the stack they would be zeroed each turn */
};

/* What an event's data points to when it is not a connection. */
static char listener_tag, pass_tag, signal_tag, store_tag, bell_tag;

/* --- its row --------------------------------------------------------------------------------- */

/* Who the row belongs to. Said again and again: whatever damages it, others see it right again
 * soon. Its connections, requests and heartbeat are written each turn. */
static void publish(const struct worker *w) {
    struct stats_row *row = w->row;
    bool redis_ready = w->store != NULL && store_get_status(w->store).ready;
    int32_t pid = (int32_t)getpid();
    atomic_store_explicit(&row->pid, pid, memory_order_relaxed);
    atomic_store_explicit(&row->generation, w->inherit->generation, memory_order_relaxed);
    atomic_store_explicit(&row->started, w->started, memory_order_relaxed);
    atomic_store_explicit(&row->redis_ready, redis_ready ? 1 : 0, memory_order_relaxed);
    atomic_store_explicit(&row->listening, w->acceptor.listening ? 1 : 0, memory_order_relaxed);
    atomic_store_explicit(&row->leaving, w->leaving ? pid : 0, memory_order_relaxed);
    atomic_store_explicit(&row->state, w->state, memory_order_release);
}

static void claim_row(struct worker *w) {
    w->started = clock_monotonic();
    w->state = WORKER_STARTING;
    atomic_store_explicit(&w->row->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&w->row->in_flight, 0, memory_order_relaxed);
    atomic_store_explicit(&w->row->heartbeat, w->started, memory_order_relaxed);
    publish(w);
}

/* --- signals --------------------------------------------------------------------------------- */

static void set_mode(struct worker *w, enum mode mode) {
    /* Stop beats retire: after it no other worker is left to pass a connection to. */
    if (mode <= w->mode)
        return;
    w->mode = mode;
    w->round.last_answers = mode == STOPPING;
    if (mode == STOPPING)
        acceptor_take_rest(&w->acceptor, &w->round);
    acceptor_stop(&w->acceptor);
    w->state = WORKER_RETIRING;
    publish(w);
}

static void read_signals(struct worker *w) {
    struct signalfd_siginfo info;
    while (read(w->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == WORKER_SIGNAL_STOP)
            set_mode(w, STOPPING);
        else if (info.ssi_signo == WORKER_SIGNAL_RETIRE)
            set_mode(w, RETIRING);
        else if (info.ssi_signo == WORKER_SIGNAL_REOPEN)
            log_reopen();
    }
}

static int open_signals(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, WORKER_SIGNAL_STOP);
    (void)sigaddset(&set, WORKER_SIGNAL_RETIRE);
    (void)sigaddset(&set, WORKER_SIGNAL_REOPEN);
    /* Everything else stays blocked, as the master had it: what the terminal sends to the whole
     * process group is the master's to act on. */
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* --- setting up ------------------------------------------------------------------------------ */

static void wake_master(const struct worker *w) {
    const uint64_t one = 1;
    /* A full counter means that the master has been woken already. */
    if (write(w->inherit->wake_master, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("cannot wake the master: %m");
}

/* Not all workers at once. */
static uint64_t recycle_limit(const struct inherit *inherit) {
    uint64_t limit = (uint64_t)inherit->config->max_requests;
    uint64_t spread = limit * RECYCLE_JITTER / 100;
    return limit + (spread > 0 ? (uint64_t)inherit->row * 7919U % spread : 0);
}

static bool add_source(struct worker *w, int fd, uint32_t events, void *tag) {
    struct epoll_event event = {events, {.ptr = tag}};
    return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Who wakes a worker, the web server or Redis, is in the middle of its own work. Run as a batch
 * task, the worker doesn't push it aside: it finds more requests and replies at once when its turn
 * comes, and all three switch less often (docs/performance.md). A policy that somebody chose stays.
 */
static void schedule_as_batch(void) {
    const struct sched_param priority = {0};
    if (sched_getscheduler(0) == SCHED_OTHER && sched_setscheduler(0, SCHED_BATCH, &priority) != 0)
        log_debug("batch scheduling is not to be had: %m");
}

static enum error set_up(struct worker *w) {
    const struct inherit *inherit = w->inherit;
    if (inherit->config->batch_scheduling)
        schedule_as_batch();
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->signals = open_signals();
    if (w->epoll < 0 || w->signals < 0 || !add_source(w, w->signals, EPOLLIN, &signal_tag) ||
        /* Edge-triggered: each ring wakes, and the count need not be read. */
        !add_source(w, inherit->bells[inherit->row], EPOLLIN | EPOLLET, &bell_tag)) {
        log_error("cannot set up the event loop: %m");
        return E_SYSTEM;
    }
    enum error e = fcgi_setup();
    if (e != OK)
        return e;
    w->store = store_open(inherit->config, inherit->segment, w->row, w->epoll, &store_tag);
    if (w->store == NULL) {
        log_error("out of memory");
        return E_OUT_OF_MEMORY;
    }
    struct service service = {
        .config = inherit->config,
        .segment = inherit->segment,
        .row = w->row,
        .rows = inherit->rows,
        .started = inherit->started,
        .started_real = inherit->started_real,
        .store = w->store,
        .routes = inherit->routes,
        .now = clock_monotonic(),
    };
    round_init(&w->round, service, w->epoll);
    census_init(&w->census, &w->round.service);
    w->round.census = &w->census;
    w->acceptor = (struct acceptor){
        .inherit = inherit,
        .epoll = w->epoll,
        .listener_tag = &listener_tag,
        .pass_tag = &pass_tag,
    };
    acceptor_limit(&w->acceptor);
    w->recycle_at = recycle_limit(inherit);
    return OK;
}

static void tear_down(struct worker *w) {
    round_fini(&w->round);
    store_close(&w->store);
    census_fini(&w->census);
    if (w->signals >= 0)
        (void)close(w->signals);
    if (w->epoll >= 0)
        (void)close(w->epoll);
}

/* --- leaving --------------------------------------------------------------------------------- */

static enum disposal pass_on(void *context, int fd) {
    const struct worker *w = context;
    return pass_give(&w->inherit->pass, fd) == OK ? DISPOSED : FULL;
}

/* From here on the peer cannot send (it learns so when it tries, with nothing sent), and what had
 * come before is served. */
static enum disposal close_idle(void *context, int fd) {
    char byte;
    (void)context;
    /* A request that has begun may still come to its end. */
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
        return KEPT;
    (void)shutdown(fd, SHUT_RD);
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ? KEPT : DISPOSED;
}

/* Whether nothing is left to do. */
static bool leave(struct worker *w) {
    if (w->mode == STOPPING)
        round_dispose_idle(&w->round, close_idle, NULL);
    else
        round_dispose_idle(&w->round, pass_on, w);
    return w->round.connections == 0;
}

static void ask_for_replacement(struct worker *w) {
    if (w->recycle_at == 0 || w->round.answered < w->recycle_at)
        return;
    w->recycle_at = 0;
    w->leaving = true;
    publish(w);
    wake_master(w);
}

/* --- the loop -------------------------------------------------------------------------------- */

static int wait_ms(const struct worker *w) {
    int64_t now = w->round.service.now;
    if (round_has_work(&w->round))
        return 0;
    int64_t next = store_next_deadline(w->store, now);
    if (w->next_tick < next)
        next = w->next_tick;
    /* Connections that could not be passed on are offered again soon. */
    if (w->mode == RETIRING && next > now + OFFER_AGAIN_MS * NS_PER_MS)
        next = now + OFFER_AGAIN_MS * NS_PER_MS;
    /* Rounded up: waking a moment early would spin. */
    return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void dispatch(struct worker *w, const struct epoll_event *event) {
    void *tag = event->data.ptr;
    int64_t now = w->round.service.now;
    if (tag == &store_tag)
        store_on_event(w->store, event->events, now);
    else if (tag == &listener_tag)
        acceptor_accept(&w->acceptor, &w->round, now);
    else if (tag == &pass_tag)
        acceptor_adopt(&w->acceptor, &w->round);
    else if (tag == &signal_tag)
        read_signals(w);
    else if (tag != &bell_tag) /* the bell only says: look whose turn it is */
        round_on_event(&w->round, tag, event->events);
}

/* The log counts for itself; here it becomes a statistic. */
static void count_dropped_lines(struct worker *w) {
    uint64_t dropped = log_dropped();
    stats_add(&w->row->counter[STAT_log_lines_dropped], dropped - w->lines_dropped);
    w->lines_dropped = dropped;
}

static void tick(struct worker *w, int64_t now) {
    if (now < w->next_tick)
        return;
    w->next_tick = now + TICK_MS * NS_PER_MS;
    publish(w);
    round_tick(&w->round);
    count_dropped_lines(w);
    if (w->mode == SERVING)
        census_tick(&w->census);
}

static void set_phase(const struct worker *w, enum worker_phase phase) {
    atomic_store_explicit(&w->row->phase, (uint32_t)phase, memory_order_relaxed);
}

/* Whether nothing, or one thing only, was done from then to now. If so its peers' clock stops. */
static bool stood_still(struct worker *w, int64_t then, int64_t now) {
    if (now - then < STANDSTILL_MS * NS_PER_MS)
        return false;
    w->round.stood_still += now - then;
    return true;
}

/* Turns follow one another within a tick. If this one didn't, events may be older than they look:
 * the kernel stops a process when it has told of them already. */
static void note_standstill(struct worker *w, int64_t now) {
    if (stood_still(w, w->round.service.now, now))
        w->late_until = now + LATE_MS * NS_PER_MS;
    w->round.service.late = now < w->late_until;
}

/* A worker may stand still in the middle of a turn, too. A write that it has taken, and would send
 * now, is overdue then, once the time is known: another may have taken a newer one meanwhile. Reads
 * don't care, and don't pay for the look at the clock. */
static int64_t look_again(struct worker *w, int64_t then) {
    int64_t now = clock_monotonic();
    w->round.writes = false;
    if (!stood_still(w, then, now))
        return then;
    w->round.service.now = now;
    return now;
}

/* One turn. False when epoll itself is broken. */
static bool turn(struct worker *w) {
    set_phase(w, WORKER_WAITS);
    int n = epoll_wait(w->epoll, w->events, EVENTS, wait_ms(w));
    int64_t now = clock_monotonic();
    note_standstill(w, now);
    w->round.service.now = now;
    atomic_store_explicit(&w->row->heartbeat, now, memory_order_relaxed);
    set_phase(w, WORKER_READS);
    if (n < 0 && errno != EINTR) {
        log_error("epoll_wait: %m");
        return false;
    }
    for (int i = 0; i < n; i++)
        dispatch(w, &w->events[i]);
    round_scatter(&w->round);
    round_gather(&w->round);
    if (w->round.writes)
        now = look_again(w, now);
    store_tick(w->store, now);
    /* A deadline or a refused connection has failed calls: they are answered in this turn. */
    round_scatter(&w->round);
    set_phase(w, WORKER_SENDS);
    store_flush(w->store, now);
    tick(w, now);
    round_end_turn(&w->round);
    return true;
}

static int serve(struct worker *w) {
    while (turn(w)) {
        if (w->mode == SERVING) {
            acceptor_balance(&w->acceptor, &w->round, w->round.service.now);
            ask_for_replacement(w);
        } else if (leave(w)) {
            round_end_turn(&w->round);
            return EXIT_SUCCESS;
        }
    }
    return EXIT_FAILURE;
}

/* A worker without a master has nobody to stop it. */
static bool follow_master(const struct inherit *inherit) {
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == inherit->master;
}

int worker_run(const struct inherit *inherit) {
    struct worker w = {.inherit = inherit, .epoll = -1, .signals = -1};
    w.row = &inherit->segment->rows[inherit->row];
    claim_row(&w);
    int status = EXIT_FAILURE;
    if (set_up(&w) == OK && follow_master(inherit)) {
        store_tick(w.store, w.round.service.now);
        w.state = WORKER_READY;
        publish(&w);
        wake_master(&w);
        acceptor_balance(&w.acceptor, &w.round, w.round.service.now);
        status = serve(&w);
    }
    tear_down(&w);
    return status;
}
