/* The master's children: see children.h. */
#include "process/children.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

enum error children_init(struct children *c, struct segment *segment,
                         const struct route_table *routes) {
    *c = (struct children){.count = segment->row_count, .segment = segment, .routes = routes};
    c->slots = calloc(c->count, sizeof(c->slots[0]));
    return c->slots != NULL ? OK : E_OUT_OF_MEMORY;
}

void children_fini(struct children *c) {
    free(c->slots);
    *c = (struct children){0};
}

uint32_t children_free_slot(const struct children *c) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++)
        if (c->slots[i].state == CHILD_NONE)
            return i;
    return 0;
}

void children_enter(struct children *c, uint32_t slot, pid_t pid, uint32_t generation,
                    int64_t now) {
    c->slots[slot] = (struct child){
        .pid = pid,
        .state = CHILD_STARTING,
        .generation = generation,
        .started = now,
    };
}

uint32_t children_find(const struct children *c, pid_t pid) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++)
        if (c->slots[i].state != CHILD_NONE && c->slots[i].pid == pid)
            return i;
    return 0;
}

uint32_t children_count(const struct children *c, enum child_state state, uint32_t generation) {
    uint32_t n = 0;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++)
        if (c->slots[i].state == state && (generation == 0 || c->slots[i].generation == generation))
            n++;
    return n;
}

void children_promote(struct children *c) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++)
        if (c->slots[i].state == CHILD_STARTING &&
            atomic_load_explicit(&c->segment->rows[i].state, memory_order_acquire) == WORKER_READY)
            c->slots[i].state = CHILD_LIVE;
}

void children_dismiss(struct children *c, uint32_t slot, int signal, int64_t leave_by) {
    struct child *child = &c->slots[slot];
    if (kill(child->pid, signal) != 0)
        log_warning("cannot signal worker %u (pid %d): %m", slot, (int)child->pid);
    child->state = CHILD_LEAVING;
    child->leave_by = leave_by;
}

static void kill_child(struct child *child, uint32_t slot, const char *why) {
    log_warning("killing worker %u (pid %d): %s", slot, (int)child->pid, why);
    child->killed = true;
    (void)kill(child->pid, SIGKILL);
}

void children_kill_overdue(struct children *c, int64_t now, int64_t watchdog_ns) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++) {
        struct child *child = &c->slots[i];
        if (child->state == CHILD_NONE || child->killed)
            continue;
        int64_t heartbeat =
            atomic_load_explicit(&c->segment->rows[i].heartbeat, memory_order_relaxed);
        /* Of an earlier process, or what no process wrote. */
        if (heartbeat < child->started || clock_age(now, heartbeat) == INT64_MAX)
            heartbeat = child->started;
        if (child->state == CHILD_LEAVING && now >= child->leave_by)
            kill_child(child, i, "it did not leave in time");
        else if (child->state != CHILD_LEAVING && now - heartbeat >= watchdog_ns)
            kill_child(child, i, "it has shown no sign of life for watchdog_timeout");
    }
}

static const char *last_route(const struct children *c, uint32_t slot) {
    uint32_t route = atomic_load_explicit(&c->segment->rows[slot].route, memory_order_relaxed);
    return route < c->routes->count ? c->routes->rows[route].name : "nothing known";
}

static void describe_end(int wait_status, char *out, size_t n) {
    if (WIFSIGNALED(wait_status))
        (void)snprintf(out, n, "signal %d (%s)", WTERMSIG(wait_status),
                       strsignal(WTERMSIG(wait_status)));
    else
        (void)snprintf(out, n, "exit code %d", WEXITSTATUS(wait_status));
}

bool children_bury(struct children *c, uint32_t slot, int wait_status, int64_t now, bool *early) {
    struct child child = c->slots[slot];
    struct stats_row *row = &c->segment->rows[slot];
    double age = (double)(now - child.started) / (double)NS_PER_S;
    char end[96];
    describe_end(wait_status, end, sizeof(end));
    bool asked = child.state == CHILD_LEAVING && wait_status == 0;
    *early = child.state == CHILD_STARTING ||
             atomic_load_explicit(&row->served, memory_order_relaxed) == 0;
    if (asked)
        log_info("worker %u (pid %d) has left after %.1f s", slot, (int)child.pid, age);
    else
        log_warning("worker %u (pid %d, generation %u) died of %s after %.1f s; its last request "
                    "was %s, %u were in flight on %u connections",
                    slot, (int)child.pid, child.generation, end, age, last_route(c, slot),
                    atomic_load_explicit(&row->in_flight, memory_order_relaxed),
                    atomic_load_explicit(&row->connections, memory_order_relaxed));
    atomic_store_explicit(&row->connections, 0, memory_order_relaxed);
    atomic_store_explicit(&row->in_flight, 0, memory_order_relaxed);
    atomic_store_explicit(&row->redis_ready, 0, memory_order_relaxed);
    atomic_store_explicit(&row->listening, 0, memory_order_relaxed);
    atomic_store_explicit(&row->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&row->state, WORKER_NONE, memory_order_release);
    c->slots[slot] = (struct child){0};
    return !asked && child.state != CHILD_LEAVING;
}

int64_t children_next_deadline(const struct children *c) {
    int64_t next = INT64_MAX;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++) {
        const struct child *child = &c->slots[i];
        if (child->state == CHILD_LEAVING && !child->killed && child->leave_by < next)
            next = child->leave_by;
    }
    return next;
}
