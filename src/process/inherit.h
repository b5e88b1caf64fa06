/* What a worker inherits from the master through fork: all of it, in one struct. */
#ifndef LARDER_PROCESS_INHERIT_H
#define LARDER_PROCESS_INHERIT_H

#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/segment.h"
#include "http/route.h"
#include "process/pass.h"
#include "process/peers.h"

struct inherit {
    const struct config *config;
    const struct route_table *routes;
    struct segment *segment;
    int listener;    /* listening socket, non-blocking */
    int wake_master; /* eventfd: written when the worker is ready or wants to be replaced */
    struct pass pass;
    const struct peers *peers; /* who may connect */
    const int *bells;          /* an eventfd per row: wakes that row's worker */
    pid_t master;
    uint32_t generation;
    uint32_t row; /* index of its statistics row */
    /* Of the segment: not read from there, where any worker could overwrite it. */
    uint32_t rows;
    int64_t started;      /* clock_monotonic */
    int64_t started_real; /* clock_realtime */
};

#endif
