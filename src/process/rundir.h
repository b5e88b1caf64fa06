/*
 * The run directory: one larderd per directory, by a lock on the directory itself, which needs no
 * file and dies with the process. And the pid file.
 */
#ifndef LARDER_PROCESS_RUNDIR_H
#define LARDER_PROCESS_RUNDIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"

struct rundir {
    int lock; /* descriptor of the directory */
    bool pid_written;
};

/* As root: makes it for somebody else if it is missing. What is there stays as it is. E_SYSTEM: the
 * reason is in the log. */
LARDER_MUST_CHECK enum error rundir_make_for(const char *path, uid_t uid, gid_t gid);

/* Makes run_dir if it is missing, locks it, writes pid_file. E_SYSTEM: the reason is in the log. */
LARDER_MUST_CHECK enum error rundir_open(struct rundir *r, const struct config *config);

/* Removes the pid file and unlocks. */
void rundir_close(struct rundir *r, const struct config *config);

/* In a child, or before rundir_open: owns nothing. The child's copy of the lock is closed, so that
 * the lock is the master's alone. */
void rundir_forget(struct rundir *r);

#endif
