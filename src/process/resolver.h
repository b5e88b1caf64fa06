/*
 * Redis's host name, looked up where blocking harms nobody: getaddrinfo may take seconds, so
 * neither a worker nor the master calls it. A short-lived child does, and publishes the numeric
 * address in the segment.
 */
#ifndef LARDER_PROCESS_RESOLVER_H
#define LARDER_PROCESS_RESOLVER_H

#include <stdbool.h>

#include "base/config.h"
#include "base/segment.h"

/* Publishes a host that is a numeric address already; true if so, or if a Unix socket is used and
 * there is nothing to look up. */
bool resolver_try_numeric(const struct config *config, struct segment *segment);

/* Looks redis_host up and publishes its first address. Runs in a child; gives its exit code. */
int resolver_run(const struct config *config, struct segment *segment);

#endif
