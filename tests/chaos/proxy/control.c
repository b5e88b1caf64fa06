/* The proxy's commands: see proxy.h. */
#include "proxy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 1024 };

static void say(const struct proxy *proxy, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One line to who commands. Who doesn't read it has gone, or will have. */
static void say(const struct proxy *proxy, const char *format, ...) {
    char line[ANSWER_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line) - 1, format, args);
    va_end(args);
    if (n > (int)sizeof(line) - 2)
        n = (int)sizeof(line) - 2;
    line[n++] = '\n';
    (void)!send(proxy->controller, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_stats(const struct proxy *proxy) {
    unsigned open = 0;
    for (const struct link *link = proxy->links; link != NULL; link = link->next)
        open++;
    say(proxy,
        "{\"mode\":\"%s\",\"requests_mode\":\"%s\",\"connections\":%" PRIu64 ",\"open\":%u,"
        "\"refused\":%" PRIu64 ",\"reply_bytes\":%" PRIu64 ",\"request_bytes\":%" PRIu64
        ",\"replies\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"faults\":%" PRIu64 "}",
        proxy->setting[REPLIES].mode->name, proxy->setting[REQUESTS].mode->name,
        proxy->stats.connections, open, proxy->stats.refused, proxy->stats.bytes[REPLIES],
        proxy->stats.bytes[REQUESTS], proxy->stats.values[REPLIES], proxy->stats.values[REQUESTS],
        proxy->stats.faults);
}

/* Cuts the first word off. */
static char *take_word(char **rest) {
    char *word = *rest + strspn(*rest, " ");
    char *end = word + strcspn(word, " ");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static bool read_number(const char *word, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(word, &end, 10);
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && errno == 0;
}

/* The mode's arguments; false if they aren't what it takes. */
static bool read_arguments(struct setting *setting, char *rest) {
    const struct mode *mode = setting->mode;
    for (unsigned i = 0; i < mode->most; i++) {
        const char *word = take_word(&rest);
        if (*word == '\0' && i >= mode->least)
            return true;
        if (!read_number(word, &setting->number[i]))
            return false;
    }
    if (!mode->takes_text)
        return *take_word(&rest) == '\0';
    (void)snprintf(setting->text, sizeof(setting->text), "%s", rest);
    return rest[0] != '\0';
}

static void set_mode(struct proxy *proxy, enum direction direction, const char *name, char *rest) {
    struct setting wanted = {.mode = mode_find(name)};
    struct setting *setting = &proxy->setting[direction];
    if (wanted.mode == NULL) {
        say(proxy, "error: there is no mode %s; larder-faults --help lists them", name);
        return;
    }
    if (!read_arguments(&wanted, rest)) {
        say(proxy, "error: say %s %s", name, wanted.mode->arguments);
        return;
    }
    if (direction == REQUESTS && wanted.mode->listening != LISTENING) {
        say(proxy, "error: %s is not about a direction: leave out requests", name);
        return;
    }
    bool listens_anew = wanted.mode->listening != setting->mode->listening;
    *setting = wanted;
    if (listens_anew || wanted.mode->listening != LISTENING)
        listen_as(proxy, wanted.mode->listening);
    links_changed(proxy, direction);
    say(proxy, "ok");
}

static void obey(struct proxy *proxy, char *line) {
    char *rest = line;
    char *word = take_word(&rest);
    enum direction direction = strcmp(word, "requests") == 0 ? REQUESTS : REPLIES;
    if (strcmp(word, "requests") == 0 || strcmp(word, "replies") == 0)
        word = take_word(&rest);
    if (strcmp(word, "stats") == 0) {
        say_stats(proxy);
    } else if (strcmp(word, "cut") == 0) {
        links_cut(proxy);
        say(proxy, "ok");
    } else {
        set_mode(proxy, direction, word, rest);
    }
}

void control_accept(struct proxy *proxy) {
    struct epoll_event event = {EPOLLIN, {.ptr = &proxy->controller}};
    int fd = accept4(proxy->control_listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (proxy->controller >= 0)
        close(proxy->controller);
    proxy->controller = fd;
    if (epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        proxy_die("epoll_ctl");
}

/* A command is one line, and comes in one piece: it is shorter than a socket's buffer. */
void control_read(struct proxy *proxy) {
    char lines[TEXT_MAX + 128];
    ssize_t n = recv(proxy->controller, lines, sizeof(lines) - 1, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close(proxy->controller);
        proxy->controller = -1;
        return;
    }
    lines[n] = '\0';
    for (char *save = NULL, *line = strtok_r(lines, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save))
        obey(proxy, line);
}
