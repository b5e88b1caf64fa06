/*
 * Who may connect: the users that the option listen_users names, as the kernel knows them
 * (SO_PEERCRED, unix(7)), whatever the socket's mode and group let in.
 */
#ifndef LARDER_PROCESS_PEERS_H
#define LARDER_PROCESS_PEERS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

enum { PEERS_MAX = 16 };

struct peers {
    unsigned count; /* 0: anybody */
    uid_t uids[PEERS_MAX];
};

/* Reads `list`, names or numbers between commas or blanks; none is anybody. E_SYSTEM: the reason is
 * in the log. */
LARDER_MUST_CHECK enum error peers_load(struct peers *peers, const char *list);

/* Whether the peer of the connection may stay; `*uid` is who it is, as far as that is known. */
bool peers_admit(const struct peers *peers, int fd, uid_t *uid);

#endif
