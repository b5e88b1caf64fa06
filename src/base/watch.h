/*
 * What epoll reports of a descriptor, edge-triggered. That a socket can be written to is asked for
 * only while something waits for it: each time the peer reads, epoll would report it, which wakes
 * this process for nothing, once a request.
 *
 * Includes base/error.h. Used by process/round.c and redis/store.c.
 */
#ifndef LARDER_BASE_WATCH_H
#define LARDER_BASE_WATCH_H

#include <stdbool.h>

#include "base/error.h"

enum watch {
    WATCH_NOT,   /* not in the epoll set */
    WATCH_READ,  /* bytes, the end, an error */
    WATCH_WRITE, /* these, and room for more bytes to send */
};

/* Changes `*is` into `wanted`, which is not WATCH_NOT; `tag` comes back as the event's data.ptr.
 * Readiness that is there already is reported when something changed. False, and errno, when the
 * kernel refuses. */
LARDER_MUST_CHECK bool watch_set(int epoll, int fd, void *tag, enum watch *is, enum watch wanted);

#endif
