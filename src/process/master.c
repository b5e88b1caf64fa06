/* The master: see master.h. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "process/master_state.h"
#include "process/worker.h"

enum { SPARE_ROWS = 8, IDLE_MS = 500 /* how often the heartbeats are looked at */ };

static int64_t watchdog_ns(const struct master *m) {
    return m->config.watchdog_timeout * NS_PER_MS;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* --- signals and deaths ---------------------------------------------------------------------- */

static void reap(struct master *m, int64_t now) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == m->resolver) {
            m->resolver = 0;
            continue;
        }
        uint32_t slot = children_find(&m->children, pid);
        bool early = false;
        if (slot == 0 || !children_bury(&m->children, slot, status, now, &early))
            continue;
        stats_add(&master_row(m)->counter[STAT_worker_deaths], 1);
        pool_note_death(m, early, now);
    }
}

static void forward_to_workers(struct master *m, int signal) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state != CHILD_NONE)
            (void)kill(m->children.slots[i].pid, signal);
}

static void begin_stop(struct master *m, int64_t now) {
    if (m->stopping)
        return;
    log_info("stopping");
    notify_stopping(&m->notify, m->config.drain_timeout);
    m->stopping = true;
    m->reloading = false;
    listen_end(&m->listener);
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state != CHILD_NONE)
            children_dismiss(&m->children, i, WORKER_SIGNAL_STOP, master_drain_deadline(m, now));
}

static void act_on(struct master *m, uint32_t signal, int64_t now) {
    switch (signal) {
    case SIGTERM:
    case SIGINT:
        begin_stop(m, now);
        break;
    case SIGHUP:
        m->reload_wanted = true;
        if (m->up && !m->stopping)
            notify_reloading(&m->notify);
        break;
    case SIGUSR1:
        log_reopen();
        log_info("the log was reopened");
        forward_to_workers(m, WORKER_SIGNAL_REOPEN);
        break;
    default: /* SIGCHLD: reap looks anyway, signals of one kind merge */
        break;
    }
}

static void read_signals(struct master *m, int64_t now) {
    struct signalfd_siginfo info;
    while (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        act_on(m, info.ssi_signo, now);
}

static void read_wake(struct master *m) {
    uint64_t count;
    while (read(m->wake, &count, sizeof(count)) == (ssize_t)sizeof(count))
        continue;
}

/* --- the loop -------------------------------------------------------------------------------- */

static int wait_ms(const struct master *m, int64_t now) {
    int64_t next = now + IDLE_MS * NS_PER_MS;
    int64_t deadline = children_next_deadline(&m->children, watchdog_ns(m));
    if (deadline < next)
        next = deadline;
    int64_t sign_of_life = notify_next_deadline(&m->notify);
    if (sign_of_life < next)
        next = sign_of_life;
    if (m->backoff_until > now && m->backoff_until < next)
        next = m->backoff_until;
    if (m->reloading && m->reload_deadline < next)
        next = m->reload_deadline;
    return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static bool is_empty(const struct master *m) {
    return children_count(&m->children, CHILD_NONE, 0) == m->children.count - 1;
}

static void count_dropped_lines(struct master *m) {
    uint64_t dropped = log_dropped();
    stats_add(&master_row(m)->counter[STAT_log_lines_dropped], dropped - m->lines_dropped);
    m->lines_dropped = dropped;
}

static void step(struct master *m, int64_t now) {
    atomic_store_explicit(&master_row(m)->heartbeat, now, memory_order_relaxed);
    if (m->due != 0 && now > m->due)
        children_excuse(&m->children, now - m->due);
    notify_alive(&m->notify, now);
    read_signals(m, now);
    read_wake(m);
    reap(m, now);
    count_dropped_lines(m);
    children_promote(&m->children);
    children_kill_overdue(&m->children, now, watchdog_ns(m));
    if (m->stopping)
        return;
    reload_step(m, now);
    pool_step(m, now);
    pool_resolve(m, now);
}

static int serve(struct master *m) {
    struct pollfd fds[] = {{.fd = m->signals, .events = POLLIN}, {.fd = m->wake, .events = POLLIN}};
    for (;;) {
        int64_t now = clock_monotonic();
        step(m, now);
        if (m->stopping && is_empty(m))
            return EXIT_SUCCESS;
        int wait = wait_ms(m, now);
        m->due = now + wait * NS_PER_MS;
        if (poll(fds, 2, wait) < 0 && errno != EINTR) {
            log_error("poll: %m");
            return EXIT_FAILURE;
        }
    }
}

/* --- beginning and end ----------------------------------------------------------------------- */

/* Everything is blocked but what says that the program itself is broken, and what stops a job at a
 * terminal: no stray signal ends the service, and none that a worker should read is lost between
 * the fork and its signalfd. */
static bool block_signals(void) {
    static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGTSTP};
    sigset_t set;
    (void)sigfillset(&set);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        (void)sigdelset(&set, open[i]);
    return sigprocmask(SIG_SETMASK, &set, NULL) == 0;
}

static int open_signals(void) {
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        (void)sigaddset(&set, handled[i]);
    return block_signals() ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
}

static enum error set_up(struct master *m) {
    enum error e = rundir_open(&m->rundir, &m->config);
    if (e != OK)
        return e;
    m->signals = open_signals();
    m->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->signals < 0 || m->wake < 0 || pass_open(&m->pass) != OK) {
        log_error("cannot set up the master: %m");
        return E_SYSTEM;
    }
    m->rows = 2 * pool_target(&m->config) + SPARE_ROWS + SEGMENT_FIRST_WORKER_ROW;
    e = segment_create(&m->segment, &m->segment_fd, m->rows);
    if (e != OK)
        return e;
    m->started = m->segment->started;
    m->started_real = m->segment->started_real;
    e = pool_open_bells(m);
    if (e == OK)
        e = children_init(&m->children, m->segment, m->rows, m->setup->routes);
    if (e == OK)
        e = peers_load(&m->peers, m->config.listen_users);
    if (e == OK && m->listener.fd < 0)
        e = listen_bind(&m->listener, &m->config);
    if (e == OK)
        e = privileges_drop(&m->setup->privileges);
    return e;
}

static void tear_down(struct master *m) {
    listen_close(&m->listener, &m->config);
    if (m->resolver > 0) {
        (void)kill(m->resolver, SIGKILL);
        (void)waitpid(m->resolver, NULL, 0);
    }
    children_fini(&m->children);
    pool_close_bells(m);
    segment_destroy(&m->segment, &m->segment_fd, m->rows);
    pass_close(&m->pass);
    close_fd(&m->signals);
    close_fd(&m->wake);
    close_fd(&m->ready_fd);
    notify_close(&m->notify);
    rundir_close(&m->rundir, &m->config);
}

static const char *where_redis_is(const struct config *config) {
    return config->redis_socket[0] != '\0' ? config->redis_socket : config->redis_host;
}

int master_run(const struct master_setup *setup) {
    struct master m = {
        .config = *setup->config,
        .setup = setup,
        .listener = setup->listener,
        .notify = setup->notify,
        .pass = {-1, -1},
        .segment_fd = -1,
        .signals = -1,
        .wake = -1,
        .ready_fd = setup->ready_fd,
        .pid = getpid(),
        .generation = 1,
        .last_generation = 1,
    };
    rundir_forget(&m.rundir);
    int status = EXIT_FAILURE;
    if (set_up(&m) == OK) {
        privileges_warn(&m.config);
        if (setup->privileges.lowered)
            reload_rehearse(&m);
        pool_resolve_first(&m);
        log_info("larderd %s: %u workers, Redis at %s, listening on %s", PACKAGE_VERSION,
                 pool_target(&m.config), where_redis_is(&m.config),
                 m.listener.bound ? m.config.listen : "a socket that was passed on");
        status = serve(&m);
        log_info("stopped");
    }
    tear_down(&m);
    return status;
}
