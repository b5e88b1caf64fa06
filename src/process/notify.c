/* Telling the service manager: see notify.h. */
#include "process/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SEND_WAIT_MS = 100, /* for a manager whose queue is full; the master has no more time for it */
    AGAIN_MS = 500,     /* until what did not get through is said again */
    STOP_SPARE_MS = 3000, /* for what comes after the workers' time to finish */
};

#define NS_PER_US INT64_C(1000)
#define US_PER_MS INT64_C(1000)

/* A whole number from 1 on; 0 if it is none. */
static int64_t env_number(const char *name) {
    const char *text = getenv(name);
    char *end;
    if (text == NULL || *text < '0' || *text > '9')
        return 0;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && v > 0 ? v : 0;
}

/* Half of the time that the manager allows. */
static int64_t watchdog_interval(void) {
    const char *pid = getenv("WATCHDOG_PID");
    int64_t allowed = env_number("WATCHDOG_USEC");
    bool ours = pid == NULL || env_number("WATCHDOG_PID") == getpid();
    return ours && allowed <= INT64_MAX / NS_PER_US ? allowed * NS_PER_US / 2 : 0;
}

static void forget_environment(void) {
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
}

/* A path, or an abstract name, whose first byte is written as @. */
static bool parse_address(struct notify *n, const char *text) {
    size_t length = strlen(text);
    if ((text[0] != '/' && text[0] != '@') || length < 2 || length >= sizeof(n->to.sun_path))
        return false;
    n->to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(n->to.sun_path, text, length);
    if (text[0] == '@')
        n->to.sun_path[0] = '\0';
    n->to_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

static int open_socket(void) {
    const struct timeval wait = {.tv_usec = SEND_WAIT_MS * US_PER_MS};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

void notify_open(struct notify *n) {
    *n = (struct notify){.fd = -1};
    const char *text = getenv("NOTIFY_SOCKET");
    if (text == NULL || *text == '\0') {
        forget_environment();
        return;
    }
    if (!parse_address(n, text))
        log_warning("NOTIFY_SOCKET=%s is neither an absolute path nor @ and a name, of at most %zu "
                    "bytes: the service manager is told nothing",
                    text, sizeof(n->to.sun_path) - 1);
    else if ((n->fd = open_socket()) < 0)
        log_warning("cannot make a socket to the service manager: %m");
    else
        n->watchdog_every = watchdog_interval();
    forget_environment();
}

void notify_decline(struct notify *n) {
    *n = (struct notify){.fd = -1};
    forget_environment();
}

void notify_close(struct notify *n) {
    if (n->fd >= 0)
        (void)close(n->fd);
    *n = (struct notify){.fd = -1};
}

/* --- messages -------------------------------------------------------------------------------- */

/* False, and errno, if it did not get through. */
static bool send_text(struct notify *n, const char *message, size_t length) {
    ssize_t sent;
    do
        sent = sendto(n->fd, message, length, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
                      n->to_length);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return true;
    int error = errno;
    log_warning("cannot tell the service manager \"%.*s\": %m", (int)strcspn(message, "\n"),
                message);
    errno = error;
    return false;
}

/* A manager that is gone will not come back; one whose queue is full will read on. */
static bool was_busy(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS;
}

/* A state that does not get through is owed: the manager would wait for it until its time is over,
 * and then end a service that works. A later state takes the place of an earlier one. */
LARDER_PRINTF(3, 4)
static void tell_state(struct notify *n, int64_t now, const char *format, ...) {
    va_list args;
    if (n->fd < 0)
        return;
    va_start(args, format);
    int length = vsnprintf(n->owed, sizeof(n->owed), format, args);
    va_end(args);
    if (length < 0)
        return;
    n->owed_bytes = (size_t)length < sizeof(n->owed) ? (size_t)length : sizeof(n->owed) - 1;
    n->owed_next = now + AGAIN_MS * NS_PER_MS;
    if (send_text(n, n->owed, n->owed_bytes) || !was_busy())
        n->owed_bytes = 0;
}

void notify_ready(struct notify *n, const char *format, ...) {
    char status[NOTIFY_BYTES / 2];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(status, sizeof(status), format, args);
    va_end(args);
    if (length >= 0)
        tell_state(n, clock_monotonic(), "READY=1\nSTATUS=%s", status);
}

/* The time stamp tells a manager with Type=notify-reload which request this answers. It is taken
 * here, not at the turn's start: the manager asked after that, and takes no older one. */
void notify_reloading(struct notify *n) {
    int64_t now = clock_monotonic();
    tell_state(n, now, "RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\nSTATUS=reloading",
               now / NS_PER_US);
}

/* The manager's own limit is counted from when it asked for the stop; this one is the
 * configuration's, which the manager cannot know. */
void notify_stopping(struct notify *n, int64_t milliseconds) {
    tell_state(n, clock_monotonic(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\nSTATUS=stopping",
               (milliseconds + STOP_SPARE_MS) * US_PER_MS);
}

void notify_alive(struct notify *n, int64_t now) {
    static const char alive[] = "WATCHDOG=1";
    if (n->owed_bytes > 0 && now >= n->owed_next) {
        n->owed_next = now + AGAIN_MS * NS_PER_MS;
        if (send_text(n, n->owed, n->owed_bytes) || !was_busy())
            n->owed_bytes = 0;
    }
    if (n->watchdog_every == 0 || now < n->watchdog_next)
        return;
    /* One that is lost is said again soon, or the manager's time would be over. */
    bool told = send_text(n, alive, sizeof(alive) - 1);
    n->watchdog_next = now + (told ? n->watchdog_every : n->watchdog_every / 8);
}

int64_t notify_next_deadline(const struct notify *n) {
    int64_t next = n->watchdog_every == 0 ? INT64_MAX : n->watchdog_next;
    return n->owed_bytes > 0 && n->owed_next < next ? n->owed_next : next;
}
