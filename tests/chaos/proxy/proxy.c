/* larder-faults: see proxy.h. */
#include "proxy.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, USAGE = 2 };

void proxy_die(const char *format, ...) {
    int error = errno;
    va_list args;
    (void)fputs("larder-faults: ", stderr);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, error != 0 ? ": %s\n" : "\n", strerror(error));
    exit(EXIT_FAILURE);
}

/* xorshift64* (Vigna, 2016): faults that can be had again. */
uint64_t proxy_random(struct proxy *proxy) {
    proxy->seed ^= proxy->seed >> 12;
    proxy->seed ^= proxy->seed << 25;
    proxy->seed ^= proxy->seed >> 27;
    return (proxy->seed * UINT64_C(0x2545F4914F6CDD1D)) >> 32;
}

/* --- options --------------------------------------------------------------------------------- */

static void print_help(FILE *out) {
    (void)fputs(
        "larder-faults --listen PATH|HOST:PORT --connect PATH --control PATH [--seed N]\n"
        "\n"
        "Passes connections on to Redis's Unix socket and does to them what it is told to.\n"
        "Commands are lines at the control socket, each answered by a line: ok, error: ...\n"
        "A mode holds for the replies unless it begins with `requests`.\n"
        "\n",
        out);
    for (int i = 0; i < MODE_COUNT; i++) {
        char usage[64];
        (void)snprintf(usage, sizeof(usage), "%s %s", modes[i].name, modes[i].arguments);
        (void)fprintf(out, "    %-26s %s\n", usage, modes[i].help);
    }
    (void)fprintf(out, "    %-26s %s\n    %-26s %s\n", "cut", "ends the connections there are",
                  "stats", "a JSON object");
}

static void read_address(char *to, const char *name, const char *value) {
    if (strlen(value) >= ADDRESS_MAX) {
        (void)fprintf(stderr, "larder-faults: --%s is longer than the %d bytes of an address\n",
                      name, ADDRESS_MAX - 1);
        exit(USAGE);
    }
    memcpy(to, value, strlen(value) + 1);
}

static void read_options(struct proxy *proxy, int argc, char **argv) {
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},  {"connect", required_argument, NULL, 'c'},
        {"control", required_argument, NULL, 'k'}, {"seed", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'l':
            read_address(proxy->listen, "listen", optarg);
            break;
        case 'c':
            read_address(proxy->connect, "connect", optarg);
            break;
        case 'k':
            read_address(proxy->control, "control", optarg);
            break;
        case 's':
            proxy->seed ^= strtoull(optarg, NULL, 10);
            break;
        case 'h':
            print_help(stdout);
            exit(EXIT_SUCCESS);
        default:
            exit(USAGE);
        }
    }
    if (optind < argc || proxy->listen[0] == '\0' || proxy->connect[0] == '\0' ||
        proxy->control[0] == '\0') {
        print_help(stderr);
        exit(USAGE);
    }
}

/* --- the loop -------------------------------------------------------------------------------- */

static void add(const struct proxy *proxy, int fd, void *tag) {
    struct epoll_event event = {EPOLLIN, {.ptr = tag}};
    if (fd < 0 || epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        proxy_die("cannot set up");
}

static void set_up(struct proxy *proxy) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    proxy->epoll = epoll_create1(EPOLL_CLOEXEC);
    proxy->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    add(proxy, proxy->signals, &proxy->signals);
    for (int i = 0; i < DIRECTIONS; i++)
        proxy->setting[i].mode = mode_find("pass");
    listen_as(proxy, LISTENING);
    /* Last: who reaches it finds everything set up. */
    proxy->control_listener = listen_open(proxy->control, 8);
    add(proxy, proxy->control_listener, &proxy->control_listener);
}

static int64_t read_clock(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int wait_ms(const struct proxy *proxy) {
    int64_t due = links_due(proxy);
    if (due == INT64_MAX)
        return -1;
    int64_t left = due - read_clock();
    return left <= 0 ? 0 : (int)((left + NS_PER_MS - 1) / NS_PER_MS);
}

static void dispatch(struct proxy *proxy, const struct epoll_event *event) {
    void *tag = event->data.ptr;
    if (tag == &proxy->listener)
        listen_accept(proxy);
    else if (tag == &proxy->control_listener)
        control_accept(proxy);
    else if (tag == &proxy->controller)
        control_read(proxy);
    else if (tag == &proxy->signals)
        proxy->stopping = true;
    else
        link_on_event(tag, event->events);
}

int main(int argc, char **argv) {
    static struct proxy proxy = {.listener = -1, .controller = -1, .seed = 88172645463325252U};
    struct epoll_event events[EVENTS];
    memset(proxy.fillers, -1, sizeof(proxy.fillers));
    read_options(&proxy, argc, argv);
    set_up(&proxy);
    while (!proxy.stopping) {
        int n = epoll_wait(proxy.epoll, events, EVENTS, wait_ms(&proxy));
        if (n < 0 && errno != EINTR)
            proxy_die("epoll_wait");
        proxy.now = read_clock();
        for (int i = 0; i < n; i++)
            dispatch(&proxy, &events[i]);
        links_turn(&proxy);
    }
    if (address_is_path(proxy.listen))
        (void)unlink(proxy.listen);
    (void)unlink(proxy.control);
    return EXIT_SUCCESS;
}
