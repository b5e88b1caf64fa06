/* Going into the background: the starting process waits until the pool is up, and says so by its
 * exit code. */
#ifndef LARDER_PROCESS_DAEMON_H
#define LARDER_PROCESS_DAEMON_H

#include <stdbool.h>

#include "base/error.h"

/* Forks; the child goes on in a new session with `*ready_fd` to write a byte to, the parent exits:
 * 0 once that byte came, 1 if the child ended without it. Standard error is let go of unless it is
 * the log: who captures the starter's output would wait for its end for ever. E_SYSTEM with errno.
 */
LARDER_MUST_CHECK enum error daemon_detach(bool keep_stderr, int *ready_fd);

#endif
