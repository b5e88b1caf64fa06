/*
 * What the parts of config_load share: the configuration under construction, where each of its
 * values came from, and the faults found so far.
 */
#ifndef LARDER_BASE_CONFIG_LOADER_H
#define LARDER_BASE_CONFIG_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/config_option.h"
#include "base/slice.h"

/* Where a value comes from, weakest first. What is given besides a URL wins over the URL, so the
 * parts of a URL stand just below the level on which it was given. */
enum rank {
    RANK_DEFAULT,
    RANK_FILE_URL,
    RANK_FILE,
    RANK_ENVIRONMENT_URL,
    RANK_ENVIRONMENT,
    RANK_ARGUMENT_URL,
    RANK_ARGUMENT
};

struct origin {
    enum rank rank;
    unsigned line; /* with RANK_FILE */
};

struct loader {
    struct config *config;
    struct buf *why;  /* the faults, a line each */
    const char *file; /* that the origins' lines belong to */
    size_t faults;
    struct origin origins[OPTION_COUNT];
    bool faulty[OPTION_COUNT]; /* a value was refused, so checks across options must not judge it */
};

/* Parses and stores a value; a fault if it is refused. */
void loader_take(struct loader *l, enum option_id id, struct slice text, struct origin origin);

/* A fault's line: these begin it by naming where the value was given, and the value; the caller
 * may write on to l->why; loader_end_fault appends `reason` and ends and counts it. */
void loader_put_given(struct loader *l, enum option_id id, struct origin origin,
                      struct slice value);
void loader_put_line(struct loader *l, unsigned line);
void loader_end_fault(struct loader *l, struct slice reason);

/* A whole line about the value that the option has in the end. */
void loader_fault(struct loader *l, enum option_id id, struct slice reason);

/* Works out how to reach Redis, after all levels were taken: redis_url's parts, socket or host,
 * the password's file, and whether the user has a password. */
void loader_settle_redis(struct loader *l);

static inline bool loader_is_none(const struct loader *l, enum option_id id) {
    return option_is_none(&option_table[id], l->config);
}

static inline enum rank loader_rank(const struct loader *l, enum option_id id) {
    return l->origins[id].rank;
}

#endif
