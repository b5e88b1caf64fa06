/*
 * Telling the service manager how the service is: the protocol of sd_notify(3), a datagram to the
 * Unix socket that NOTIFY_SOCKET names, and the watchdog of sd_watchdog_enabled(3). Without such a
 * manager every function does nothing. For the master only.
 */
#ifndef LARDER_PROCESS_NOTIFY_H
#define LARDER_PROCESS_NOTIFY_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"

enum { NOTIFY_BYTES = 512 }; /* of a message */

struct notify {
    int fd; /* -1: nobody to tell */
    struct sockaddr_un to;
    socklen_t to_length;
    int64_t watchdog_every; /* nanoseconds; 0: nobody watches */
    int64_t watchdog_next;
    char owed[NOTIFY_BYTES]; /* the state that the manager could not be told yet */
    size_t owed_bytes;       /* 0: none */
    int64_t owed_next;       /* when it is tried again */
};

/* Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment, so that no child
 * speaks for the service. An address that cannot be used is named in the log. */
void notify_open(struct notify *n);

/* Takes them out of the environment and tells nobody: whoever set them means another process. */
void notify_decline(struct notify *n);

void notify_close(struct notify *n);

/* The service is up, or a reload has ended, well or not. `format` is the line that `systemctl
 * status` shows, here and below. */
void notify_ready(struct notify *n, const char *format, ...) LARDER_PRINTF(2, 3);

/* A reload was asked for. */
void notify_reloading(struct notify *n);

/* The end has begun and takes `milliseconds` at most. */
void notify_stopping(struct notify *n, int64_t milliseconds);

/* A sign of life, and what the manager could not be told before, if they are due. */
void notify_alive(struct notify *n, int64_t now);

/* When the next one is due; INT64_MAX if nobody watches. */
int64_t notify_next_deadline(const struct notify *n);

#endif
