/* Going into the background: see daemon.h. */
#include "process/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

_Noreturn static void wait_for_child(int fd) {
    char byte;
    ssize_t n;
    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    (void)close(fd);
    log_close();
    /* Not exit(): what is buffered belongs to the child. */
    _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

enum error daemon_detach(bool keep_stderr, int *ready_fd) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return E_SYSTEM;
    pid_t pid = fork();
    if (pid > 0) {
        (void)close(pipes[1]);
        wait_for_child(pipes[0]);
    }
    (void)close(pipes[0]);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    /* The working directory stays: a reload opens a relative --config again. */
    if (pid < 0 || setsid() < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || (!keep_stderr && dup2(null, STDERR_FILENO) < 0)) {
        if (null >= 0)
            (void)close(null);
        (void)close(pipes[1]);
        return E_SYSTEM;
    }
    if (null > STDERR_FILENO)
        (void)close(null);
    *ready_fd = pipes[1];
    return OK;
}
