/*
 * What a fresh connection to Redis says before it may serve: who we are, which database, the
 * eviction policy and our scripts, so that a Redis that was restarted gets them again.
 */
#ifndef LARDER_REDIS_HANDSHAKE_H
#define LARDER_REDIS_HANDSHAKE_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"
#include "redis/outqueue.h"
#include "redis/reply.h"

struct handshake_result {
    bool policy_refused;     /* CONFIG SET was refused: the service runs, Redis keeps its own */
    char version[32];        /* "7.0.15"; empty if INFO is not allowed */
    char fault[256];         /* for the log: what failed, with Redis's words; no secret */
    char scripts_fault[128]; /* why it takes no scripts, in its words; empty: it does */
};

/* Appends the commands and gives how many replies they will have. */
unsigned handshake_put(const struct config *config, struct outqueue *q);

/* Reads the replies that are there. E_AGAIN: nothing speaks against it so far, but they are not all
 * there. E_BACKEND_REFUSED (authentication, database, a Redis older than 6.2) or
 * another E_BACKEND_*: the connection cannot be used, `result->fault` says why. */
LARDER_MUST_CHECK enum error handshake_check(const struct config *config,
                                             const struct replies *replies,
                                             struct handshake_result *result);

#endif
