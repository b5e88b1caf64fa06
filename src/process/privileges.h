/*
 * Root's part, where root starts larderd and the option `user` says who is to run it. Root does two
 * things only: it makes run_dir if that is missing, and lends the membership of listen_group for
 * the moment in which the socket is given to it. Everything else, every path that is opened, made
 * or removed, is done as that user from the start: nothing that he can rearrange is followed by
 * root.
 *
 *     privileges_lower    the user, for the time being; with listen_group
 *     privileges_drop     for good, and proved; without it
 */
#ifndef LARDER_PROCESS_PRIVILEGES_H
#define LARDER_PROCESS_PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"

enum { PRIVILEGES_GROUPS_MAX = 256 };

struct privileges {
    bool lowered; /* there is something to give up */
    uid_t uid;
    gid_t gid;
    int count;
    gid_t groups[PRIVILEGES_GROUPS_MAX + 1]; /* the user's; then room for listen_group */
};

/* Becomes the user that the configuration names, if root starts it; whoever is that user already
 * stays it. E_SYSTEM: the reason is in the log. */
LARDER_MUST_CHECK enum error privileges_lower(struct privileges *p, const struct config *config);

/* Gives up for good what privileges_lower left, and tries to get it back, which must fail. Without
 * that too: no program that is ever started from here gets more rights than it has
 * (PR_SET_NO_NEW_PRIVS). E_SYSTEM: the reason is in the log; the process must end. */
LARDER_MUST_CHECK enum error privileges_drop(const struct privileges *p);

/* A line in the log if root is to run it and nobody said so. */
void privileges_warn(const struct config *config);

#endif
