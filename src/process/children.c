/* The master's children: see children.h. */
#include "process/children.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

/* Who lived for so long is no part of a storm of deaths, whether or not anybody asked it anything.
 */
enum { EARLY_S = 5, WORK_BYTES = 192 };

enum error children_init(struct children *c, struct segment *segment, uint32_t rows,
                         const struct route_table *routes) {
    *c = (struct children){.count = rows, .segment = segment, .routes = routes};
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

static int64_t load_heartbeat(const struct children *c, uint32_t slot) {
    return atomic_load_explicit(&c->segment->rows[slot].heartbeat, memory_order_relaxed);
}

void children_enter(struct children *c, uint32_t slot, pid_t pid, uint32_t generation,
                    int64_t now) {
    c->slots[slot] = (struct child){
        .pid = pid,
        .state = CHILD_STARTING,
        .generation = generation,
        .started = now,
        .moved = now - c->stood_still,
        .heartbeat = load_heartbeat(c, slot),
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

/* --- what it was doing ----------------------------------------------------------------------- */

/* What the rows say was written by the children: it may be anything. */
static void describe_work(const struct children *c, uint32_t slot, char out[WORK_BYTES]) {
    static const char *const phases[WORKER_PHASES] = {
        [WORKER_WAITS] = "waiting for events",  [WORKER_READS] = "reading what came",
        [WORKER_STARTS] = "starting a request", [WORKER_FINISHES] = "finishing a request",
        [WORKER_SENDS] = "sending to Redis",
    };
    const struct stats_row *row = &c->segment->rows[slot];
    uint32_t phase = atomic_load_explicit(&row->phase, memory_order_relaxed);
    uint32_t route = atomic_load_explicit(&row->route, memory_order_relaxed);
    const char *doing = phase < WORKER_PHASES ? phases[phase] : "doing nothing known";
    int n;
    if (route < c->routes->count) {
        struct slice method = method_name(c->routes->rows[route].method);
        n = snprintf(out, WORK_BYTES, "it was %s, its last request was %.*s %s (%s)", doing,
                     (int)method.n, method.p, c->routes->rows[route].path,
                     c->routes->rows[route].name);
    } else {
        n = snprintf(out, WORK_BYTES, "it was %s, its last request was nothing known", doing);
    }
    if (n < 0)
        out[0] = '\0';
}

/* --- the watchdog ---------------------------------------------------------------------------- */

static void kill_child(struct child *child, uint32_t slot, const char *why) {
    log_warning("killing worker %u (pid %d): %s", slot, (int)child->pid, why);
    child->killed = true;
    (void)kill(child->pid, SIGKILL);
}

static void kill_stuck(struct children *c, uint32_t slot, int64_t silence) {
    char work[WORK_BYTES];
    char why[WORK_BYTES + 64];
    describe_work(c, slot, work);
    (void)snprintf(why, sizeof(why), "it has shown no sign of life for %.1f s; %s",
                   (double)silence / (double)NS_PER_S, work);
    kill_child(&c->slots[slot], slot, why);
}

void children_excuse(struct children *c, int64_t ns) {
    c->stood_still += ns;
}

void children_kill_overdue(struct children *c, int64_t now, int64_t watchdog_ns) {
    int64_t awake = now - c->stood_still;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++) {
        struct child *child = &c->slots[i];
        if (child->state == CHILD_NONE || child->killed)
            continue;
        int64_t heartbeat = load_heartbeat(c, i);
        if (heartbeat != child->heartbeat)
            child->moved = awake;
        child->heartbeat = heartbeat;
        if (child->state == CHILD_LEAVING && now >= child->leave_by)
            kill_child(child, i, "it did not leave in time");
        else if (child->state != CHILD_LEAVING && awake - child->moved >= watchdog_ns)
            kill_stuck(c, i, awake - child->moved);
    }
}

/* --- obituaries ------------------------------------------------------------------------------ */

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
    char work[WORK_BYTES];
    describe_end(wait_status, end, sizeof(end));
    describe_work(c, slot, work);
    bool asked = child.state == CHILD_LEAVING && wait_status == 0;
    *early = child.state == CHILD_STARTING ||
             (now - child.started < EARLY_S * NS_PER_S &&
              atomic_load_explicit(&row->served, memory_order_relaxed) == 0);
    if (asked)
        log_info("worker %u (pid %d) has left after %.1f s", slot, (int)child.pid, age);
    else
        log_warning("worker %u (pid %d, generation %u) died of %s after %.1f s; %s, %u were in "
                    "flight on %u connections",
                    slot, (int)child.pid, child.generation, end, age, work,
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

int64_t children_next_deadline(const struct children *c, int64_t watchdog_ns) {
    int64_t next = INT64_MAX;
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < c->count; i++) {
        const struct child *child = &c->slots[i];
        if (child->state == CHILD_NONE || child->killed)
            continue;
        int64_t by = child->leave_by;
        if (child->state != CHILD_LEAVING)
            by = child->moved + c->stood_still + watchdog_ns;
        if (by < next)
            next = by;
    }
    return next;
}
