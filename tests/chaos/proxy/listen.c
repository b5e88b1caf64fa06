/* The proxy's socket in front: see proxy.h. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 511, FILLERS = sizeof(((struct proxy *)0)->fillers) / sizeof(int) };

union address {
    struct sockaddr any;
    struct sockaddr_un path;
    struct sockaddr_in inet;
};

bool address_is_path(const char *address) {
    return strchr(address, '/') != NULL || strchr(address, ':') == NULL;
}

/* Gives the length. */
static socklen_t address_read(const char *text, union address *address) {
    memset(address, 0, sizeof(*address));
    if (address_is_path(text)) {
        address->path.sun_family = AF_UNIX;
        memcpy(address->path.sun_path, text, strlen(text) + 1);
        return sizeof(address->path);
    }
    char host[ADDRESS_MAX] = {0};
    const char *colon = strrchr(text, ':');
    memcpy(host, text, (size_t)(colon - text));
    long port = strtol(colon + 1, NULL, 10);
    address->inet.sin_family = AF_INET;
    address->inet.sin_port = htons((uint16_t)port);
    errno = 0;
    if (port < 1 || port > 65535 || inet_pton(AF_INET, host, &address->inet.sin_addr) != 1)
        proxy_die("%s is neither a path nor NUMERIC-HOST:PORT", text);
    return sizeof(address->inet);
}

int listen_open(const char *text, int backlog) {
    union address address;
    const int on = 1;
    socklen_t n = address_read(text, &address);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        proxy_die("socket");
    if (address_is_path(text))
        (void)unlink(text);
    else if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        proxy_die("SO_REUSEADDR");
    if (bind(fd, &address.any, n) != 0 || listen(fd, backlog) != 0)
        proxy_die("cannot listen at %s", text);
    return fd;
}

static void close_all(struct proxy *proxy) {
    if (proxy->listener >= 0)
        close(proxy->listener);
    proxy->listener = -1;
    for (int i = 0; i < FILLERS; i++) {
        if (proxy->fillers[i] >= 0)
            close(proxy->fillers[i]);
        proxy->fillers[i] = -1;
    }
}

/* Connects to ourselves until no more have room. */
static void fill_backlog(struct proxy *proxy) {
    union address address;
    socklen_t n = address_read(proxy->listen, &address);
    for (int i = 0; i < FILLERS; i++) {
        proxy->fillers[i] =
            socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (proxy->fillers[i] < 0)
            proxy_die("socket");
        if (connect(proxy->fillers[i], &address.any, n) != 0 && errno == EAGAIN)
            return;
    }
}

void listen_as(struct proxy *proxy, enum listening how) {
    struct epoll_event event = {EPOLLIN, {.ptr = &proxy->listener}};
    close_all(proxy);
    if (how != LISTENING)
        links_cut(proxy);
    if (how == NOT_LISTENING)
        return;
    proxy->listener = listen_open(proxy->listen, how == NOT_ACCEPTING ? 0 : BACKLOG);
    if (how == NOT_ACCEPTING)
        fill_backlog(proxy);
    else if (epoll_ctl(proxy->epoll, EPOLL_CTL_ADD, proxy->listener, &event) != 0)
        proxy_die("epoll_ctl");
}

void listen_accept(struct proxy *proxy) {
    for (;;) {
        int fd = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            return;
        if (proxy->setting[REPLIES].mode->listening == HANGING_UP) {
            proxy->stats.refused++;
            close(fd);
            continue;
        }
        link_open(proxy, fd);
    }
}
