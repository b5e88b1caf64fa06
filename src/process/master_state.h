/*
 * The master's state, and the steps its loop is made of. For master.c, pool.c and reload.c only.
 */
#ifndef LARDER_PROCESS_MASTER_STATE_H
#define LARDER_PROCESS_MASTER_STATE_H

#include "base/clock.h"
#include "process/children.h"
#include "process/master.h"
#include "process/pass.h"
#include "process/peers.h"
#include "process/rundir.h"

struct master {
    struct config config;
    struct config fresh; /* a reload's, until it is committed */
    const struct master_setup *setup;
    struct rundir rundir;
    struct segment *segment;
    int segment_fd;
    struct listener listener;
    struct notify notify;
    struct pass pass;
    struct peers peers;
    int *bells;
    /* Of the segment; its own copies of these are not trusted. */
    uint32_t rows;
    int64_t started;
    int64_t started_real;
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
    int64_t due; /* when the wait before this step was to end; 0: there was none */
    bool up;     /* the pool has been whole, and whoever waited for that knows it */
    bool stopping;
    uint64_t lines_dropped; /* of the log, as counted so far */
    int64_t backoff_ms;
    int64_t backoff_until;
    pid_t resolver;
    int64_t resolve_after;
};

static inline struct stats_row *master_row(struct master *m) {
    return &m->segment->rows[SEGMENT_MASTER_ROW];
}

/* What `systemctl status` shows of a service that is up. */
#define MASTER_STATUS "%u workers, generation %u"

/* Until when a worker that is told to leave now may take. */
static inline int64_t master_drain_deadline(const struct master *m, int64_t now) {
    return now + m->config.drain_timeout * NS_PER_MS;
}

/* --- pool.c: keeping the pool at its size ---------------------------------------------------- */

/* How many workers a configuration asks for. */
uint32_t pool_target(const struct config *config);

/* The bells: an eventfd for each row. */
LARDER_MUST_CHECK enum error pool_open_bells(struct master *m);
void pool_close_bells(struct master *m);

/* Forks a worker with `config`; false if that is not possible now. */
bool pool_spawn(struct master *m, const struct config *config, uint32_t generation, int64_t now);

/* A worker died `early`, before it was ready or had served a request: the next one waits, each time
 * twice as long. Any other death resets that, and so does a successor that has served: whatever
 * kills workers then (the system for want of memory, say) is nothing that waiting helps against. */
void pool_note_death(struct master *m, bool early, int64_t now);

/* Replaces what is missing; lets go who has served enough, once the successor is ready. */
void pool_step(struct master *m, int64_t now);

/* Looks Redis's name up at the start, waiting the millisecond that a name like localhost takes. */
void pool_resolve_first(struct master *m);

/* Looks it up (again) if a worker could not connect or nobody has looked it up yet. */
void pool_resolve(struct master *m, int64_t now);

/* --- reload.c -------------------------------------------------------------------------------- */

/* One step of a reload that is wanted or under way. */
void reload_step(struct master *m, int64_t now);

/* Whether a reload could read what root has read at the start; the log says why not. */
void reload_rehearse(struct master *m);

#endif
