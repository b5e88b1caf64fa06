/* Going into the background: the starting process waits until the pool is up, and says so by its
 * exit code. */
#ifndef LARDER_PROCESS_DAEMON_H
#define LARDER_PROCESS_DAEMON_H

#include "base/error.h"

/* Forks; the child goes on in a new session with `*ready_fd` to write a byte to, the parent exits:
 * 0 once that byte came, 1 if the child ended without it. E_SYSTEM with errno. */
LARDER_MUST_CHECK enum error daemon_detach(int *ready_fd);

#endif
