/*
 * larder-verify: keeps a web server in front of larder busy, knows what every answer may be, and
 * says which were not. `larder-verify --help` has the options.
 *
 *     value     what is written, so that whoever reads it can tell whether it is right
 *     ledger    what may be read
 *     request   one request, its answer, and what that proves
 *     answer    HTTP
 *     client    a connection
 *     load      all clients: who asks what and when
 *     tally, histogram, timeline, report: what is counted, and said at the end
 *
 * One thread, one epoll set. Standard input has commands, a line each; its end is one, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "load.h"
#include "report.h"

enum { EVENTS = 256, COMMAND_BYTES = 256, EXIT_USAGE = 2 };

struct control {
    struct load *load;
    int signals;
    char line[COMMAND_BYTES];
    size_t n;
};

/* What an event's data points to when it is not a client. */
static char stdin_tag, signal_tag;

/* "rate N"; the same limits as --rate has. */
static bool take_rate(const char *line, uint32_t *rate) {
    static const char word[] = "rate ";
    char *end;
    if (strncmp(line, word, sizeof(word) - 1) != 0)
        return false;
    const char *digits = line + sizeof(word) - 1;
    unsigned long n = strtoul(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0' || n > OPTIONS_RATE_MAX)
        return false;
    *rate = (uint32_t)n;
    return true;
}

static void obey(struct control *c, const char *line) {
    uint32_t rate;
    if (strcmp(line, "stop") == 0)
        load_stop(c->load);
    else if (strcmp(line, "progress") == 0)
        (void)report_progress(c->load);
    else if (take_rate(line, &rate))
        load_set_rate(c->load, rate);
    else
        (void)fprintf(stderr, "larder-verify: '%s' is none of progress, rate N, stop\n", line);
}

/* False at the end of it. */
static bool read_commands(struct control *c) {
    ssize_t n = read(STDIN_FILENO, c->line + c->n, sizeof(c->line) - 1 - c->n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n <= 0)
        return false;
    c->n += (size_t)n;
    char *at = c->line;
    char *newline;
    while ((newline = memchr(at, '\n', (size_t)(c->line + c->n - at))) != NULL) {
        *newline = '\0';
        obey(c, at);
        at = newline + 1;
    }
    c->n = (size_t)(c->line + c->n - at);
    memmove(c->line, at, c->n);
    /* A line without an end that fills all of it is no command. */
    if (c->n == sizeof(c->line) - 1)
        c->n = 0;
    return true;
}

static bool add(const struct load *l, int fd, char *tag) {
    struct epoll_event event = {EPOLLIN, {.ptr = tag}};
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Standard input that epoll doesn't take, a file or /dev/null, has no commands: then `seconds` or
 * `gets`, or SIGTERM, end it. */
static bool set_up(struct control *c) {
    sigset_t set;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return false;
    c->signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (c->signals < 0 || !add(c->load, c->signals, &signal_tag))
        return false;
    return add(c->load, STDIN_FILENO, &stdin_tag) || errno == EPERM;
}

static void dispatch(struct control *c, const struct epoll_event *event) {
    if (event->data.ptr == &signal_tag) {
        (void)epoll_ctl(c->load->epoll, EPOLL_CTL_DEL, c->signals, NULL);
        load_stop(c->load);
    } else if (event->data.ptr != &stdin_tag) {
        load_on_event(c->load, event->data.ptr, event->events);
    } else if (!read_commands(c)) {
        (void)epoll_ctl(c->load->epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        load_stop(c->load);
    }
}

static int run(struct control *c) {
    struct epoll_event events[EVENTS];
    while (!load_is_over(c->load)) {
        int n = epoll_wait(c->load->epoll, events, EVENTS, load_step(c->load));
        if (n < 0 && errno != EINTR) {
            perror("larder-verify: epoll_wait");
            return EXIT_FAILURE;
        }
        for (int i = 0; i < n; i++)
            dispatch(c, &events[i]);
    }
    if (c->load->short_of_memory) {
        (void)fputs("larder-verify: out of memory\n", stderr);
        return EXIT_FAILURE;
    }
    if (report_end(c->load))
        return EXIT_SUCCESS;
    perror("larder-verify: standard output");
    return EXIT_FAILURE;
}

int main(int argc, char **argv) {
    static struct load load; /* its tally is large */
    struct options options;
    if (!options_parse(&options, argc, argv))
        return EXIT_USAGE;
    value_setup();
    struct control control = {.load = &load, .signals = -1};
    int status = EXIT_FAILURE;
    if (load_init(&load, &options) && set_up(&control))
        status = run(&control);
    else
        perror("larder-verify: cannot begin");
    load_fini(&load);
    if (control.signals >= 0)
        (void)close(control.signals);
    return status;
}
