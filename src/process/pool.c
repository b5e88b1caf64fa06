/* Keeping the pool at its size: forking workers and the resolver. See master_state.h. */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "process/master_state.h"
#include "process/resolver.h"
#include "process/worker.h"

enum {
    WORKERS_MOST = 64,
    BACKOFF_FIRST_MS = 10,
    BACKOFF_LAST_MS = 5000,
    BACKOFF_SAID_MS = 1000,
    FORGIVE_MS = 5000, /* a pool that has been whole for so long starts with a clean slate */
    RESOLVE_EVERY_MS = 1000,
    RESOLVER_WAIT_MS = 50,
};

uint32_t pool_target(const struct config *config) {
    cpu_set_t set;
    if (config->workers > 0)
        return (uint32_t)config->workers;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int cores = CPU_COUNT(&set);
    return cores < 1 ? 1 : cores > WORKERS_MOST ? WORKERS_MOST : (uint32_t)cores;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

enum error pool_open_bells(struct master *m) {
    uint32_t n = m->rows;
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

void pool_close_bells(struct master *m) {
    for (uint32_t i = 0; m->bells != NULL && i < m->rows; i++)
        close_fd(&m->bells[i]);
    free(m->bells);
    m->bells = NULL;
}

/* --- forking --------------------------------------------------------------------------------- */

/* In the child: what is the master's alone. The listener, the mapped segment and the pair stay. */
static void drop_masters_things(struct master *m) {
    close_fd(&m->signals);
    close_fd(&m->ready_fd);
    close_fd(&m->segment_fd);
    notify_close(&m->notify);
    rundir_forget(&m->rundir);
}

/* A child ends: it gives back what it had from the master, so that whatever is open or allocated
 * then was forgotten. */
_Noreturn static void end_child(struct master *m, int status) {
    children_fini(&m->children);
    pool_close_bells(m);
    pass_close(&m->pass);
    close_fd(&m->listener.fd);
    close_fd(&m->wake);
    log_close();
    exit(status);
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
        .peers = &m->peers,
        .bells = m->bells,
        .rows = m->rows,
        .started = m->started,
        .started_real = m->started_real,
        .master = m->pid,
        .generation = generation,
        .row = slot,
    };
    (void)snprintf(role, sizeof(role), "worker %u", slot);
    log_set_role(role);
    /* The master's own is still the old one while a reload is under way. */
    log_change(config->log_file, (enum log_level)config->log_level);
    drop_masters_things(m);
    end_child(m, worker_run(&inherit));
}

/* Of several deaths at once one counts: they have one cause. */
static void note_backoff(struct master *m, int64_t now) {
    if (now < m->backoff_until)
        return;
    m->backoff_ms = m->backoff_ms == 0 ? BACKOFF_FIRST_MS : 2 * m->backoff_ms;
    if (m->backoff_ms > BACKOFF_LAST_MS)
        m->backoff_ms = BACKOFF_LAST_MS;
    m->backoff_until = now + m->backoff_ms * NS_PER_MS;
    /* Below, the lines that say why are enough. */
    if (m->backoff_ms >= BACKOFF_SAID_MS)
        log_warning("workers die before they serve or cannot be started, see above: the next one "
                    "is started in %.1f s",
                    (double)m->backoff_ms / 1000);
}

bool pool_spawn(struct master *m, const struct config *config, uint32_t generation, int64_t now) {
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
    stats_add(&master_row(m)->counter[STAT_worker_starts], 1);
    return true;
}

static void start_resolver(struct master *m, const struct config *config, int64_t now) {
    m->resolve_after = now + RESOLVE_EVERY_MS * NS_PER_MS;
    m->resolver = fork();
    if (m->resolver == 0) {
        log_set_role("resolver");
        drop_masters_things(m);
        end_child(m, resolver_run(config, m->segment));
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
void pool_resolve(struct master *m, int64_t now) {
    const struct config *config = m->reloading ? &m->fresh : &m->config;
    bool wanted = atomic_load_explicit(&m->segment->resolve_wanted, memory_order_relaxed) != 0 ||
                  address_is_missing(m, config);
    if (!wanted || m->resolver != 0 || now < m->resolve_after)
        return;
    atomic_store_explicit(&m->segment->resolve_wanted, 0, memory_order_relaxed);
    if (!resolver_try_numeric(config, m->segment))
        start_resolver(m, config, now);
}

void pool_resolve_first(struct master *m) {
    if (resolver_try_numeric(&m->config, m->segment))
        return;
    start_resolver(m, &m->config, clock_monotonic());
    for (int i = 0; i < RESOLVER_WAIT_MS && address_is_missing(m, &m->config); i++)
        (void)poll(NULL, 0, 1);
}

/* Whether a worker that was started after the last wait has served: so they can. */
static bool successor_serves(const struct master *m) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++) {
        const struct child *child = &m->children.slots[i];
        if (child->state == CHILD_LIVE && child->started >= m->backoff_until &&
            atomic_load_explicit(&m->segment->rows[i].served, memory_order_relaxed) != 0)
            return true;
    }
    return false;
}

void pool_note_death(struct master *m, bool early, int64_t now) {
    if (!early || successor_serves(m))
        m->backoff_ms = 0;
    if (early)
        note_backoff(m, now);
}

/* --- the pool's size ------------------------------------------------------------------------- */

/* Whoever waits for the service to come up, the service manager or --daemon, may go on. */
static void tell_ready(struct master *m) {
    if (m->up)
        return;
    m->up = true;
    notify_ready(&m->notify, MASTER_STATUS, pool_target(&m->config), m->generation);
    if (m->ready_fd < 0)
        return;
    if (write(m->ready_fd, "", 1) != 1)
        log_warning("nobody waits for the pool to come up");
    close_fd(&m->ready_fd);
}

/* A live worker that has served its max_requests; 0 if none. */
static uint32_t wants_to_leave(const struct master *m) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++)
        if (m->children.slots[i].state == CHILD_LIVE &&
            m->children.slots[i].generation == m->generation &&
            atomic_load_explicit(&m->segment->rows[i].leaving, memory_order_relaxed) ==
                m->children.slots[i].pid)
            return i;
    return 0;
}

/* For /health. */
static void note_size(struct master *m, bool whole, int64_t now) {
    _Atomic int64_t *since = &m->segment->short_since;
    if (whole)
        atomic_store_explicit(since, 0, memory_order_relaxed);
    else if (atomic_load_explicit(since, memory_order_relaxed) == 0)
        atomic_store_explicit(since, now, memory_order_relaxed);
}

/* The successor is ready before anyone leaves, so the pool never has fewer than its size. */
void pool_step(struct master *m, int64_t now) {
    uint32_t target = pool_target(&m->config);
    uint32_t live = children_count(&m->children, CHILD_LIVE, m->generation);
    uint32_t starting = children_count(&m->children, CHILD_STARTING, m->generation);
    uint32_t leaver = wants_to_leave(m);
    note_size(m, live >= target, now);
    if (leaver != 0 && live > target) {
        children_dismiss(&m->children, leaver, WORKER_SIGNAL_RETIRE, master_drain_deadline(m, now));
        return;
    }
    if (leaver != 0)
        target++;
    while (live + starting < target && now >= m->backoff_until) {
        /* Where the last ones died at once, one goes ahead. */
        if (m->backoff_ms > 0 && starting > 0)
            return;
        if (!pool_spawn(m, &m->config, m->generation, now))
            return;
        starting++;
    }
    if (live < pool_target(&m->config))
        return;
    tell_ready(m);
    if (now - m->backoff_until >= FORGIVE_MS * NS_PER_MS)
        m->backoff_ms = 0;
}
