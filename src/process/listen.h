/*
 * The listening socket, in this order: a descriptor from systemd (LISTEN_FDS, sd_listen_fds(3));
 * descriptor 0 if it is a listening socket (the FastCGI convention of lighttpd's bin-path and
 * spawn-fcgi); else a Unix socket bound here. It is never unlinked or bound again while the service
 * runs: one refused connection makes a web server give the backend up for a second.
 */
#ifndef LARDER_PROCESS_LISTEN_H
#define LARDER_PROCESS_LISTEN_H

#include <stdbool.h>

#include "base/config.h"
#include "base/error.h"

struct listener {
    int fd;         /* listening, non-blocking, close-on-exec */
    bool bound;     /* by us: remove the file at the end */
    bool inherited; /* from whoever started us: stay in the foreground */
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

void listen_close(struct listener *listener, const struct config *config);

#endif
