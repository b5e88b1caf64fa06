/* The listening socket: see listen.h. */
#include "process/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "process/ids.h"

enum { SYSTEMD_FIRST_FD = 3 };

static bool is_listening(int fd) {
    int listening = 0;
    socklen_t length = sizeof(listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) == 0 && listening != 0;
}

static bool set_flags(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool env_number_is(const char *name, long expected_min, long expected_max) {
    const char *text = getenv(name);
    char *end;
    if (text == NULL || *text == '\0')
        return false;
    errno = 0;
    long v = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' && v >= expected_min && v <= expected_max;
}

static int take_systemd(void) {
    bool ours = env_number_is("LISTEN_PID", getpid(), getpid()) &&
                env_number_is("LISTEN_FDS", 1, 1024) && is_listening(SYSTEMD_FIRST_FD);
    (void)unsetenv("LISTEN_PID");
    (void)unsetenv("LISTEN_FDS");
    (void)unsetenv("LISTEN_FDNAMES");
    return ours ? SYSTEMD_FIRST_FD : -1;
}

/* Standard input must stay a descriptor of nothing, or the next open() would become it. */
static int take_standard_input(void) {
    if (!is_listening(STDIN_FILENO))
        return -1;
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, SYSTEMD_FIRST_FD);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0) {
        log_error("cannot take the listening socket from standard input: %m");
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
    if (null > STDERR_FILENO)
        (void)close(null);
    return fd;
}

enum error listen_inherit(struct listener *listener) {
    *listener = (struct listener){.fd = take_systemd()};
    if (listener->fd < 0)
        listener->fd = take_standard_input();
    if (listener->fd < 0)
        return OK;
    listener->inherited = true;
    if (set_flags(listener->fd))
        return OK;
    log_error("cannot use the listening socket that was passed: %m");
    return E_SYSTEM;
}

static void fill_address(struct sockaddr_un *address, const char *path) {
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    /* The options table has checked that it fits. */
    memcpy(address->sun_path, path, strnlen(path, sizeof(address->sun_path) - 1));
}

/* Whether somebody listens at the path. */
static bool is_alive(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true;
    int status = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    bool dead = status != 0 && errno == ECONNREFUSED;
    (void)close(fd);
    return !dead;
}

static enum error make_room(const struct sockaddr_un *address) {
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return OK;
        log_error("listen = %s: %m", path);
        return E_SYSTEM;
    }
    if (!S_ISSOCK(st.st_mode)) {
        log_error(
            "listen = %s: there is a file that is no socket; remove it or choose another path",
            path);
        return E_SYSTEM;
    }
    if (is_alive(address)) {
        log_error("listen = %s: another process is listening there; stop it or choose another path",
                  path);
        return E_SYSTEM;
    }
    log_info("removing the socket %s, which a process that is gone left behind", path);
    if (unlink(path) == 0)
        return OK;
    log_error("cannot remove %s: %m", path);
    return E_SYSTEM;
}

static bool bind_with_mode(int fd, const struct sockaddr_un *address, gid_t group, mode_t mode) {
    /* Nobody may connect before the mode is set. */
    mode_t before = umask(0177);
    int status = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    (void)umask(before);
    return status == 0 && (group == (gid_t)-1 || chown(address->sun_path, (uid_t)-1, group) == 0) &&
           chmod(address->sun_path, mode) == 0;
}

enum error listen_bind(struct listener *listener, const struct config *config) {
    struct sockaddr_un address;
    gid_t group = (gid_t)-1;
    if (config->listen_group[0] != '\0' &&
        ids_group("listen_group", config->listen_group, &group) != OK)
        return E_SYSTEM;
    fill_address(&address, config->listen);
    enum error e = make_room(&address);
    if (e != OK)
        return e;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind_with_mode(fd, &address, group, (mode_t)config->listen_mode) &&
        listen(fd, (int)config->listen_backlog) == 0) {
        *listener = (struct listener){.fd = fd, .bound = true};
        return OK;
    }
    log_error("cannot listen on %s: %m", config->listen);
    if (fd >= 0)
        (void)close(fd);
    return E_SYSTEM;
}

void listen_end(const struct listener *listener) {
    if (listener->bound)
        (void)shutdown(listener->fd, SHUT_RD);
}

void listen_close(struct listener *listener, const struct config *config) {
    if (listener->bound)
        (void)unlink(config->listen);
    if (listener->fd >= 0)
        (void)close(listener->fd);
    *listener = (struct listener){.fd = -1};
}
