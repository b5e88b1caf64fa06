/*
 * The master's view of its children: who they are, what was asked of them, and what became of them.
 * What a child writes into its row of the segment is read here, never trusted: it can make a worker
 * look ready, no more.
 */
#ifndef LARDER_PROCESS_CHILDREN_H
#define LARDER_PROCESS_CHILDREN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/segment.h"
#include "http/route.h"

enum child_state {
    CHILD_NONE,     /* the slot and its row are free */
    CHILD_STARTING, /* forked, not ready yet */
    CHILD_LIVE,
    CHILD_LEAVING, /* told to stop or retire; killed at leave_by */
};

struct child {
    pid_t pid;
    enum child_state state;
    uint32_t generation;
    int64_t started;
    int64_t leave_by;
    bool killed;       /* by us, for not leaving or not moving */
    int64_t heartbeat; /* as its row had it when last looked at */
    int64_t moved;     /* when that was seen to change, on the clock of children_kill_overdue */
};

/* One slot per row of the segment; slot 0, the master's own row, stays empty. */
struct children {
    struct child *slots;
    uint32_t count;
    struct segment *segment;
    const struct route_table *routes; /* for the names in obituaries */
    int64_t stood_still;              /* nanoseconds, in all: see children_excuse */
};

/* `segment` has `rows` rows. */
LARDER_MUST_CHECK enum error children_init(struct children *c, struct segment *segment,
                                           uint32_t rows, const struct route_table *routes);
void children_fini(struct children *c);

/* A free slot's index; 0 if there is none. */
uint32_t children_free_slot(const struct children *c);

/* The slot now holds a child that was just forked. */
void children_enter(struct children *c, uint32_t slot, pid_t pid, uint32_t generation, int64_t now);

/* The slot of a process; 0 if it is none of ours. */
uint32_t children_find(const struct children *c, pid_t pid);

/* Children in `state` of `generation` (0: of any). */
uint32_t children_count(const struct children *c, enum child_state state, uint32_t generation);

/* Starting children whose rows say ready become live. */
void children_promote(struct children *c);

/* Sends the signal that makes it leave (WORKER_SIGNAL_*) and notes until when it may take. */
void children_dismiss(struct children *c, uint32_t slot, int signal, int64_t leave_by);

/* The master itself stood still for `ns`: the machine was suspended, or gave it no processor. What
 * its children did not do meanwhile is no sign of anything. */
void children_excuse(struct children *c, int64_t ns);

/* Kills whoever had to be gone by now, and live ones whose heartbeat has not changed for
 * `watchdog_ns`, on a clock that stood still when the master did. When a heartbeat changed is told
 * by looking, so to be called several times in that time; what a child writes is only compared. */
void children_kill_overdue(struct children *c, int64_t now, int64_t watchdog_ns);

/* What waitpid told: writes the obituary and frees the slot. True if the death was not asked for;
 * `*early` then says that it came before it was ready, or soon after, with no request served. */
bool children_bury(struct children *c, uint32_t slot, int wait_status, int64_t now, bool *early);

/* The earliest time by which some child must be gone, or have moved; INT64_MAX if none. */
int64_t children_next_deadline(const struct children *c, int64_t watchdog_ns);

#endif
