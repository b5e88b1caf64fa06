/*
 * Passing a kept connection to another worker: a descriptor over a SEQPACKET pair that all workers
 * share (unix(7), SCM_RIGHTS). Between two requests a connection has no state, so the descriptor is
 * all there is to pass.
 */
#ifndef LARDER_PROCESS_PASS_H
#define LARDER_PROCESS_PASS_H

#include "base/error.h"

struct pass {
    int give; /* the end that retiring workers send on */
    int take; /* the end that live workers have in their epoll sets */
};

/* Made by the master before it forks. E_SYSTEM with errno. */
LARDER_MUST_CHECK enum error pass_open(struct pass *pass);
void pass_close(struct pass *pass);

/* Sends a copy of `fd`, which stays the caller's to close. E_AGAIN: the queue is full, try later.
 * E_SYSTEM. */
LARDER_MUST_CHECK enum error pass_give(const struct pass *pass, int fd);

/* Receives one descriptor, which becomes the caller's. E_AGAIN: none is there. E_SYSTEM. */
LARDER_MUST_CHECK enum error pass_take(const struct pass *pass, int *fd);

#endif
