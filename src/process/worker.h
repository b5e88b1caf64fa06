/* A worker: one process that repeats the round (gather, exchange, scatter) until it is told to go.
 */
#ifndef LARDER_PROCESS_WORKER_H
#define LARDER_PROCESS_WORKER_H

#include <signal.h>

#include "process/inherit.h"

/* Signals a worker understands; all are blocked in it and read as facts. */
enum {
    WORKER_SIGNAL_STOP = SIGTERM,   /* finish what was taken, close the rest, exit */
    WORKER_SIGNAL_RETIRE = SIGQUIT, /* finish what was taken, pass the rest on, exit */
    WORKER_SIGNAL_REOPEN = SIGUSR1, /* reopen the log */
};

/* Runs in the forked child; gives the exit code. */
int worker_run(const struct inherit *inherit);

#endif
