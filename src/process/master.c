/* The master: see master.h. */
#include "process/master.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "process/children.h"
#include "process/resolver.h"
#include "process/rundir.h"
#include "process/worker.h"

enum {
    SPARE_ROWS = 8,
    RELOAD_MS = 3000, /* for a new generation to get ready */
    BACKOFF_FIRST_MS = 50,
    BACKOFF_LAST_MS = 5000,
    IDLE_MS = 1000,
    RESOLVE_EVERY_MS = 1000,
    RESOLVER_WAIT_MS = 50, /* at the start, so that the first request finds an address */
};

struct master {
    struct config config;
    struct config fresh; /* a reload's, until it is committed */
    const struct master_setup *setup;
    struct rundir rundir;
    struct segment *segment;
    struct listener listener;
    struct pass pass;
    int *bells;
    struct children children;
    int signals;
    int wake;
    int ready_fd;
    pid_t pid;

    uint32_t generation;      /* that serves */
    uint32_t last_generation; /* that was started last */
    bool reloading;           /* last_generation is starting */
    bool reload_wanted;
    int64_t reload_deadline;
    bool stopping;
    int64_t backoff_ms;
    int64_t backoff_until;
    pid_t resolver;
    int64_t resolve_after;
};

/* --- small things
 * ---------------------------------------------------------------------------------- */

static struct stats_row *own_row(struct master *m) {
    return &m->segment->rows[SEGMENT_MASTER_ROW];
}

static uint32_t worker_target(const struct config *config) {
    cpu_set_t set;
    if (config->workers > 0)
        return (uint32_t)config->workers;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int cores = CPU_COUNT(&set);
    return cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* Whoever waits for --daemon to come up may go. */
static void tell_ready(struct master *m) {
    if (m->ready_fd < 0)
        return;
    if (write(m->ready_fd, "", 1) != 1)
        log_warning("nobody waits for the pool to come up");
    close_fd(&m->ready_fd);
}

/* --- forking
 * --------------------------------------------------------------------------------------- */

/* In the child: what is the master's alone. The listener, the segment and the pair stay. */
static void drop_masters_things(struct master *m) {
    close_fd(&m->signals);
    close_fd(&m->ready_fd);
    rundir_forget(&m->rundir);
}

_Noreturn static void run_worker(struct master *m, const struct config *config, uint32_t generation,
                                 uint32_t slot) {
    char role[32];
    struct inherit inherit = {
        .config = config,
        .routes = m->setup->routes,
        .segment = m->segment,
        .listener = m->listener.fd,
        .wake_master = m->wake,
        .pass = m->pass,
        .bells = m->bells,
        .master = m->pid,
        .generation = generation,
        .row = slot,
    };
    (void)snprintf(role, sizeof(role), "worker %u", slot);
    log_set_role(role);
    drop_masters_things(m);
    int status = worker_run(&inherit);
    children_fini(&m->children);
    free(m->bells);
    exit(status);
}

static void note_backoff(struct master *m, int64_t now) {
    m->backoff_ms = m->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * m->backoff_ms;
    if (m->backoff_ms > BACKOFF_LAST_MS)
        m->backoff_ms = BACKOFF_LAST_MS;
    m->backoff_until = now + m->backoff_ms * NS_PER_MS;
}

static bool spawn_worker(struct master *m, const struct config *config, uint32_t generation,
                         int64_t now) {
    uint32_t slot = children_free_slot(&m->children);
    if (slot == 0) {
        note_backoff(m, now);
        return false;
    }
    struct stats_row *row = &m->segment->rows[slot];
    atomic_store_explicit(&row->served, 0, memory_order_relaxed);
    atomic_store_explicit(&row->leaving, 0, memory_order_relaxed);
    atomic_store_explicit(&row->state, WORKER_STARTING, memory_order_relaxed);
    pid_t pid = fork();
    if (pid == 0)
        run_worker(m, config, generation, slot);
    if (pid < 0) {
        log_error("cannot fork a worker: %m; trying again");
        atomic_store_explicit(&row->state, WORKER_NONE, memory_order_relaxed);
        note_backoff(m, now);
        return false;
    }
    children_enter(&m->children, slot, pid, generation, now);
    stats_add(&own_row(m)->counter[STAT_worker_starts], 1);
    return true;
}

static void start_resolver(struct master *m, const struct config *config, int64_t now) {
    m->resolve_after = now + RESOLVE_EVERY_MS * NS_PER_MS;
    m->resolver = fork();
    if (m->resolver == 0) {
        log_set_role("resolver");
        drop_masters_things(m);
        int status = resolver_run(config, m->segment);
        children_fini(&m->children);
        free(m->bells);
        exit(status);
    }
    if (m->resolver < 0) {
        log_error("cannot fork the resolver: %m; trying again");
        m->resolver = 0;
    }
}

/* Whether the configuration needs a name looked up that nobody has looked up for it yet. */
static bool address_is_missing(const struct master *m, const struct config *config) {
    char address[SEGMENT_ADDRESS_MAX];
    return config->redis_socket[0] == '\0' &&
           !segment_read_address(m->segment, config->redis_host, address);
}

/* Looks the name up again whenever a worker could not connect; during a reload the new generation's
 * name is the one that matters. */
static void resolve(struct master *m, int64_t now) {
    const struct config *config = m->reloading ? &m->fresh : &m->config;
    bool wanted = atomic_load_explicit(&m->segment->resolve_wanted, memory_order_relaxed) != 0 ||
                  address_is_missing(m, config);
    if (!wanted || m->resolver != 0 || now < m->resolve_after)
        return;
    atomic_store_explicit(&m->segment->resolve_wanted, 0, memory_order_relaxed);
    if (!resolver_try_numeric(config, m->segment))
        start_resolver(m, config, now);
}

/* --- signals and deaths
 * ---------------------------------------------------------------------------- */

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
        stats_add(&own_row(m)->counter[STAT_worker_deaths], 1);
        if (early)
            note_backoff(m, now);
        else
            m->backoff_ms = 0;
    }
}

static void forward_to_workers(struct master *m, int signal) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state != CHILD_NONE)
            (void)kill(m->children.slots[i].pid, signal);
}

static int64_t drain_deadline(const struct master *m, int64_t now) {
    return now + m->config.drain_timeout * NS_PER_MS;
}

static void begin_stop(struct master *m, int64_t now) {
    if (m->stopping)
        return;
    log_info("stopping");
    m->stopping = true;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state != CHILD_NONE)
            children_dismiss(&m->children, i, WORKER_SIGNAL_STOP, drain_deadline(m, now));
}

static void act_on(struct master *m, uint32_t signal, int64_t now) {
    switch (signal) {
    case SIGTERM:
    case SIGINT:
        begin_stop(m, now);
        break;
    case SIGHUP:
        m->reload_wanted = true;
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

/* --- reload
 * ---------------------------------------------------------------------------------------- */

static void log_lines(const struct buf *text, void (*say)(const char *format, ...)) {
    const char *p = text->p;
    size_t left = text->n;
    while (left > 0) {
        const char *newline = memchr(p, '\n', left);
        size_t n = newline != NULL ? (size_t)(newline - p) : left;
        say("%.*s", (int)n, p);
        size_t used = newline != NULL ? n + 1 : n;
        p += used;
        left -= used;
    }
}

static void refuse_reload(struct master *m, const char *why) {
    stats_add(&own_row(m)->counter[STAT_reloads_refused], 1);
    log_error("reload refused, the configuration stays as it was: %s", why);
}

static bool load_fresh(struct master *m) {
    enum config_action action;
    struct buf text = {0};
    enum error e = config_load(&m->fresh, m->setup->argc, m->setup->argv, &action, &text);
    if (e != OK) {
        log_lines(&text, log_error);
        refuse_reload(m, "it has faults");
        buf_fini(&text);
        return false;
    }
    config_keep_fixed(&m->config, &m->fresh, &text);
    log_lines(&text, log_warning);
    buf_fini(&text);
    if (2 * worker_target(&m->fresh) + SEGMENT_FIRST_WORKER_ROW > m->segment->row_count) {
        refuse_reload(m, "that many workers need a restart");
        return false;
    }
    return true;
}

static void begin_reload(struct master *m, int64_t now) {
    m->reload_wanted = false;
    if (!load_fresh(m))
        return;
    log_info("reloading");
    m->reloading = true;
    m->reload_deadline = now + RELOAD_MS * NS_PER_MS;
    m->last_generation++;
    m->resolve_after = now;
    resolve(m, now);
    for (uint32_t i = 0; i < worker_target(&m->fresh); i++)
        if (!spawn_worker(m, &m->fresh, m->last_generation, now))
            break;
}

static void dismiss_generation(struct master *m, bool current, int signal, int64_t now) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++) {
        const struct child *child = &m->children.slots[i];
        if ((child->state == CHILD_STARTING || child->state == CHILD_LIVE) &&
            (child->generation == m->generation) == current)
            children_dismiss(&m->children, i, signal, drain_deadline(m, now));
    }
}

static void commit_reload(struct master *m, int64_t now) {
    m->config = m->fresh;
    m->generation = m->last_generation;
    m->reloading = false;
    stats_add(&own_row(m)->counter[STAT_reloads], 1);
    if (log_open(m->config.log_file, (enum log_level)m->config.log_level) != OK)
        log_error("cannot open log_file %s: %m; the old log stays", m->config.log_file);
    dismiss_generation(m, false, WORKER_SIGNAL_RETIRE, now);
    log_info("reloaded: generation %u serves", m->generation);
}

static void abandon_reload(struct master *m, int64_t now) {
    refuse_reload(m, "its workers did not get ready; their lines above say why");
    m->reloading = false;
    dismiss_generation(m, false, WORKER_SIGNAL_STOP, now);
}

static void step_reload(struct master *m, int64_t now) {
    /* One starting and one retiring generation at most: further HUPs wait as one flag. */
    if (!m->reloading) {
        if (m->reload_wanted && children_count(&m->children, CHILD_LEAVING, 0) == 0 &&
            children_count(&m->children, CHILD_STARTING, 0) == 0)
            begin_reload(m, now);
        return;
    }
    uint32_t target = worker_target(&m->fresh);
    uint32_t live = children_count(&m->children, CHILD_LIVE, m->last_generation);
    uint32_t starting = children_count(&m->children, CHILD_STARTING, m->last_generation);
    if (live >= target)
        commit_reload(m, now);
    else if (live + starting < target || now >= m->reload_deadline)
        abandon_reload(m, now);
}

/* --- keeping the pool at its size
 * ------------------------------------------------------------------ */

/* A live worker that has served its max_requests; 0 if none. */
static uint32_t wants_to_leave(const struct master *m) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state == CHILD_LIVE &&
            m->children.slots[i].generation == m->generation &&
            atomic_load_explicit(&m->segment->rows[i].leaving, memory_order_relaxed) != 0)
            return i;
    return 0;
}

/* The successor is ready before anyone leaves, so the pool never has fewer than its size. */
static void step_pool(struct master *m, int64_t now) {
    uint32_t target = worker_target(&m->config);
    uint32_t live = children_count(&m->children, CHILD_LIVE, m->generation);
    uint32_t starting = children_count(&m->children, CHILD_STARTING, m->generation);
    uint32_t leaver = wants_to_leave(m);
    if (leaver != 0 && live > target) {
        children_dismiss(&m->children, leaver, WORKER_SIGNAL_RETIRE, drain_deadline(m, now));
        return;
    }
    if (leaver != 0)
        target++;
    while (live + starting < target && now >= m->backoff_until) {
        if (!spawn_worker(m, &m->config, m->generation, now))
            return;
        starting++;
    }
    if (live >= worker_target(&m->config))
        tell_ready(m);
}

/* --- the loop
 * -------------------------------------------------------------------------------------- */

static int wait_ms(const struct master *m, int64_t now) {
    int64_t next = now + IDLE_MS * NS_PER_MS;
    int64_t deadline = children_next_deadline(&m->children);
    if (deadline < next)
        next = deadline;
    if (m->backoff_until > now && m->backoff_until < next)
        next = m->backoff_until;
    if (m->reloading && m->reload_deadline < next)
        next = m->reload_deadline;
    return next <= now ? 0 : (int)((next - now + NS_PER_MS - 1) / NS_PER_MS);
}

static bool is_empty(const struct master *m) {
    return children_count(&m->children, CHILD_NONE, 0) == m->children.count - 1;
}

static void step(struct master *m) {
    int64_t now = clock_monotonic();
    atomic_store_explicit(&own_row(m)->heartbeat, now, memory_order_relaxed);
    read_signals(m, now);
    read_wake(m);
    reap(m, now);
    children_promote(&m->children);
    children_kill_overdue(&m->children, now, m->config.watchdog_timeout * NS_PER_MS);
    if (m->stopping)
        return;
    step_reload(m, now);
    step_pool(m, now);
    resolve(m, now);
}

static int serve(struct master *m) {
    struct pollfd fds[] = {{.fd = m->signals, .events = POLLIN}, {.fd = m->wake, .events = POLLIN}};
    for (;;) {
        step(m);
        if (m->stopping && is_empty(m))
            return EXIT_SUCCESS;
        if (poll(fds, 2, wait_ms(m, clock_monotonic())) < 0 && errno != EINTR) {
            log_error("poll: %m");
            return EXIT_FAILURE;
        }
    }
}

/* --- beginning and end
 * ----------------------------------------------------------------------------- */

static int open_signals(void) {
    static const int handled[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(handled) / sizeof(handled[0]); i++)
        (void)sigaddset(&set, handled[i]);
    /* Not read here, but a worker's from its first moment: blocked across the fork, none is lost.
     */
    (void)sigaddset(&set, WORKER_SIGNAL_RETIRE);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return -1;
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static enum error open_bells(struct master *m) {
    uint32_t n = m->segment->row_count;
    m->bells = malloc(n * sizeof(m->bells[0]));
    if (m->bells == NULL)
        return E_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < n; i++)
        m->bells[i] = -1;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < n; i++) {
        m->bells[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (m->bells[i] < 0) {
            log_error("cannot make an eventfd: %m");
            return E_SYSTEM;
        }
    }
    return OK;
}

static void close_bells(struct master *m) {
    for (uint32_t i = 0; m->bells != NULL && i < m->segment->row_count; i++)
        close_fd(&m->bells[i]);
    free(m->bells);
    m->bells = NULL;
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
    uint32_t rows = 2 * worker_target(&m->config) + SPARE_ROWS;
    e = segment_create(&m->segment, m->config.run_dir, rows);
    if (e == OK)
        e = open_bells(m);
    if (e == OK)
        e = children_init(&m->children, m->segment, m->setup->routes);
    if (e == OK && m->listener.fd < 0)
        e = listen_bind(&m->listener, &m->config);
    return e;
}

static void tear_down(struct master *m) {
    listen_close(&m->listener, &m->config);
    if (m->resolver > 0) {
        (void)kill(m->resolver, SIGKILL);
        (void)waitpid(m->resolver, NULL, 0);
    }
    children_fini(&m->children);
    close_bells(m);
    segment_destroy(&m->segment, m->config.run_dir);
    pass_close(&m->pass);
    close_fd(&m->signals);
    close_fd(&m->wake);
    close_fd(&m->ready_fd);
    rundir_close(&m->rundir, &m->config);
}

/* A name like localhost is found in a millisecond: waiting that long spares the first requests. */
static void resolve_first(struct master *m) {
    if (resolver_try_numeric(&m->config, m->segment))
        return;
    start_resolver(m, &m->config, clock_monotonic());
    for (int i = 0; i < RESOLVER_WAIT_MS && address_is_missing(m, &m->config); i++)
        (void)poll(NULL, 0, 1);
}

static const char *where_redis_is(const struct config *config) {
    return config->redis_socket[0] != '\0' ? config->redis_socket : config->redis_host;
}

int master_run(const struct master_setup *setup) {
    struct master m = {
        .config = *setup->config,
        .setup = setup,
        .listener = setup->listener,
        .pass = {-1, -1},
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
        resolve_first(&m);
        log_info("larderd %s: %u workers, Redis at %s, listening on %s", PACKAGE_VERSION,
                 worker_target(&m.config), where_redis_is(&m.config),
                 m.listener.bound ? m.config.listen : "a socket that was passed on");
        status = serve(&m);
        log_info("stopped");
    }
    tear_down(&m);
    return status;
}
