/*
 * The master: owns the listening socket, the shared segment and the configuration, keeps the pool
 * at its size, and serves nothing itself. Signals are facts read in its loop.
 *
 *     TERM, INT  stop: workers finish what they have, then everything is removed
 *     HUP        reload: a new generation of workers with the new configuration, then the old
 *                one retires
 *     USR1       reopen the log
 */
#ifndef LARDER_PROCESS_MASTER_H
#define LARDER_PROCESS_MASTER_H

#include "base/config.h"
#include "http/route.h"
#include "process/listen.h"
#include "process/notify.h"
#include "process/privileges.h"

struct master_setup {
    const struct config *config;
    struct listener listener;     /* as listen_inherit left it */
    struct notify notify;         /* as notify_open or notify_decline left it */
    struct privileges privileges; /* as privileges_lower left them */
    const struct route_table *routes;
    int argc; /* for reloads */
    char *const *argv;
    int ready_fd; /* a byte is written when the pool is up, then it is closed; -1: nobody waits */
};

/* Runs the service until it is told to stop. Gives the exit code: 0 after a graceful stop. In a
 * forked worker it does not return. */
int master_run(const struct master_setup *setup);

#endif
