/*
 * The listening socket, in this order: a descriptor from systemd (LISTEN_FDS, sd_listen_fds(3));
 * descriptor 0 if it is a listening socket (the FastCGI convention of lighttpd's bin-path and
 * spawn-fcgi); else a Unix socket bound here. It is never unlinked or bound again while the service
 * runs: one refused connection makes a web server give the backend up for a second.
 */
#ifndef LARDER_PROCESS_LISTEN_H
#define LARDER_PROCESS_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/error.h"

struct listener {
    int fd;         /* listening, non-blocking, close-on-exec */
    bool bound;     /* by us: remove the file at the end */
    bool inherited; /* from whoever started us: stay in the foreground */

    /* The file as it was made, if bound: whoever has put another one there keeps it. */
    dev_t device;
    ino_t inode;
    mode_t mode;
    gid_t group;
    enum listener_fault {
        LISTENER_WELL,
        LISTENER_REMOVED,
        LISTENER_REPLACED,
        LISTENER_SHUT, /* other permissions, or another group */
    } fault;           /* as the log last said */
};

/* Takes a passed descriptor if there is one; `fd` is -1 if there is none. Before anything else
 * opens descriptors. E_SYSTEM: the reason is in the log. */
LARDER_MUST_CHECK enum error listen_inherit(struct listener *listener);

/* Binds config->listen. A file that a dead process left there is replaced; one with a living
 * listener is refused. E_SYSTEM: the reason is in the log. */
LARDER_MUST_CHECK enum error listen_bind(struct listener *listener, const struct config *config);

/* Nobody can connect any more (ECONNREFUSED), but whoever has can still be accepted. A socket that
 * was passed on is its owner's: nothing happens. */
void listen_end(const struct listener *listener);

/* Looks whether the file of a bound one is still there as it was made, and logs what has changed
 * since the last look: the service goes on, but nobody new can reach it, and nobody else knows why.
 * A few times a minute is enough. */
void listen_look(struct listener *listener, const struct config *config);

/* Closes it, and removes the file if it is still the one that was made. */
void listen_close(struct listener *listener, const struct config *config);

#endif
