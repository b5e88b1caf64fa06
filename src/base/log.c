/* The log: see log.h. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/printable.h"

/* Half of PIPE_BUF: poll calls a pipe writable when it has one page free, and two processes that
 * both saw that page must both fit into it without waiting. */
enum { LINE_BYTES = 2048, ROLE_BYTES = 32, LOG_MODE = 0640, SAME_LINE_S = 60 };

const char *const log_level_words[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_DEBUG + 1] = NULL,
};

/* Where lines go. */
struct place {
    int fd;
    bool regular; /* a file on a disk: always writable as far as poll knows */
    bool socket;
    bool journal; /* systemd's: it knows the time, and wants the level as a number */
};

static struct {
    struct place place;
    bool torn; /* the last write ended inside a line */
    enum log_level level;
    uint64_t dropped;
    uint64_t unsaid; /* dropped, and no line in the log says so yet */
    char role[ROLE_BYTES];
    char path[PATH_MAX]; /* empty: standard error */
} sink = {.place = {.fd = STDERR_FILENO}, .level = LOG_LEVEL_INFO, .role = "larderd"};

/* JOURNAL_STREAM is "device:inode" of the stream that systemd made for the output of a service. */
static bool is_journal(const struct stat *st) {
    const char *text = getenv("JOURNAL_STREAM");
    char expected[64];
    int n = snprintf(expected, sizeof(expected), "%ju:%ju", (uintmax_t)st->st_dev,
                     (uintmax_t)st->st_ino);
    return text != NULL && n > 0 && strcmp(text, expected) == 0;
}

/* A pipe that others write to as well may be full by the time that poll has said it is not, and
 * they may want to wait for its reader. An open file of our own does not, and leaves theirs alone.
 */
static void open_own_end(struct place *place) {
    int fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        place->fd = fd;
}

static enum error open_sink(const char *path, struct place *place) {
    *place = (struct place){.fd = STDERR_FILENO};
    if (*path != '\0') {
        /* O_NONBLOCK: a FIFO that nobody reads is an error, and never waited for. */
        int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        place->fd = open(path, flags, LOG_MODE);
        if (place->fd < 0)
            return E_SYSTEM;
    }
    struct stat st;
    bool known = fstat(place->fd, &st) == 0;
    place->regular = known && S_ISREG(st.st_mode);
    place->socket = known && S_ISSOCK(st.st_mode);
    place->journal = known && place->fd == STDERR_FILENO && is_journal(&st);
    if (known && S_ISFIFO(st.st_mode) && place->fd == STDERR_FILENO)
        open_own_end(place);
    return OK;
}

static void use_sink(struct place place) {
    if (sink.place.fd != STDERR_FILENO)
        close(sink.place.fd);
    sink.place = place;
    sink.torn = false;
}

enum error log_open(const char *path, enum log_level level) {
    size_t length = strlen(path);
    if (length >= sizeof(sink.path)) {
        errno = ENAMETOOLONG;
        return E_SYSTEM;
    }
    struct place place;
    enum error e = open_sink(path, &place);
    if (e != OK)
        return e;
    use_sink(place);
    sink.level = level;
    memmove(sink.path, path, length + 1);
    return OK;
}

void log_change(const char *path, enum log_level level) {
    if (*path == '\0' && sink.path[0] == '\0')
        sink.level = level;
    else if (log_open(path, level) != OK)
        log_error("cannot open log_file %s: %m; the old log stays", path);
}

void log_reopen(void) {
    struct place place;
    if (sink.path[0] == '\0')
        return;
    if (open_sink(sink.path, &place) != OK)
        log_error("cannot open the log file %s again, so the old one stays: %m", sink.path);
    else
        use_sink(place);
}

void log_close(void) {
    use_sink((struct place){.fd = STDERR_FILENO});
    sink.path[0] = '\0';
}

void log_set_role(const char *role) {
    size_t length = strnlen(role, sizeof(sink.role) - 1);
    memcpy(sink.role, role, length);
    sink.role[length] = '\0';
    sink.dropped = 0;
    sink.unsaid = 0;
    sink.torn = false;
}

bool log_is_due(int64_t *said, int64_t now) {
    if (*said != 0 && now - *said < SAME_LINE_S * NS_PER_S)
        return false;
    *said = now;
    return true;
}

uint64_t log_dropped(void) {
    return sink.dropped;
}

/* A write to a pipe or a socket whose reader is gone would raise SIGPIPE: such a one isn't
 * writable either. */
static bool writable(void) {
    if (sink.place.regular)
        return true;
    struct pollfd p = {.fd = sink.place.fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && p.revents == POLLOUT;
}

/* `line` starts with a newline, which is left out unless the last write ended inside a line. */
static bool write_line(const char *line, size_t n) {
    if (!writable())
        return false;
    size_t skip = sink.torn ? 0 : 1;
    ssize_t written;
    do
        written = sink.place.socket
                      ? send(sink.place.fd, line + skip, n - skip, MSG_DONTWAIT | MSG_NOSIGNAL)
                      : write(sink.place.fd, line + skip, n - skip);
    while (written < 0 && errno == EINTR);
    if (written < 0)
        return false;
    sink.torn = (size_t)written < n - skip;
    return !sink.torn;
}

/* What a line begins with: the time, or for the journal the level as sd-daemon(3) has it. */
static size_t put_start(char out[CLOCK_TIMESTAMP_BYTES + 1], enum log_level level) {
    static const char *const priorities[] = {
        [LOG_LEVEL_ERROR] = "<3>",
        [LOG_LEVEL_WARNING] = "<4>",
        [LOG_LEVEL_INFO] = "<6>",
        [LOG_LEVEL_DEBUG] = "<7>",
    };
    if (sink.place.journal) {
        memcpy(out, priorities[level], 3);
        return 3;
    }
    clock_format(clock_realtime(), out);
    out[CLOCK_TIMESTAMP_BYTES] = ' ';
    return CLOCK_TIMESTAMP_BYTES + 1;
}

static bool say(enum log_level level, struct slice message) {
    char line[1 + LINE_BYTES];
    line[0] = '\n';
    size_t n = 1 + put_start(line + 1, level);
    n += (size_t)snprintf(line + n, sizeof(line) - n, "%s[%ld] %s: ", sink.role, (long)getpid(),
                          log_level_words[level]);
    static const struct slice cut = SLICE_INIT("...");
    size_t room = sizeof(line) - n - 1;
    size_t taken;
    size_t copied = printable_copy(line + n, room, message, &taken);
    if (taken < message.n) {
        copied = printable_copy(line + n, room - cut.n, message, &taken);
        memcpy(line + n + copied, cut.p, cut.n);
        copied += cut.n;
    }
    n += copied;
    line[n++] = '\n';
    return write_line(line, n);
}

static bool say_unsaid(void) {
    if (sink.unsaid == 0)
        return true;
    char message[64];
    int n = snprintf(message, sizeof(message), "%ju lines were dropped", (uintmax_t)sink.unsaid);
    if (!say(LOG_LEVEL_WARNING, (struct slice){message, (size_t)n}))
        return false;
    sink.unsaid = 0;
    return true;
}

LARDER_PRINTF(2, 0)
static void put(enum log_level level, const char *format, va_list args) {
    if (level > sink.level)
        return;
    int caller_errno = errno;
    /* Holds more than a line does, so what is cut here is cut, and marked, there. */
    char message[LINE_BYTES + 1];
    int n = vsnprintf(message, sizeof(message), format, args);
    struct slice text = {message, n < LINE_BYTES ? (size_t)n : LINE_BYTES};
    if (n < 0)
        text = slice_of(format);
    if (!say_unsaid() || !say(level, text)) {
        sink.dropped++;
        sink.unsaid++;
    }
    errno = caller_errno;
}

#define DEFINE_LOG(name, level)                                                                    \
    void log_##name(const char *format, ...) {                                                     \
        va_list args;                                                                              \
        va_start(args, format);                                                                    \
        put(level, format, args);                                                                  \
        va_end(args);                                                                              \
    }

DEFINE_LOG(error, LOG_LEVEL_ERROR)
DEFINE_LOG(warning, LOG_LEVEL_WARNING)
DEFINE_LOG(info, LOG_LEVEL_INFO)
DEFINE_LOG(debug, LOG_LEVEL_DEBUG)
