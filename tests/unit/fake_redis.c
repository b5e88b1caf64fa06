/* A Redis played by the test: see fake_redis.h. */
#include "fake_redis.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "commands.h"
#include "require.h"

void fake_redis_setup(struct fake_redis *f) {
    *f = (struct fake_redis){.listener = -1, .peer = -1};
    temp_dir_setup(&f->directory);
    temp_dir_join(&f->directory, "redis", f->path, sizeof(f->path));
}

void fake_redis_teardown(struct fake_redis *f) {
    if (f->listener >= 0)
        close(f->listener);
    if (f->peer >= 0)
        close(f->peer);
    buf_fini(&f->got);
    temp_dir_teardown(&f->directory);
}

static void listen_at(struct fake_redis *f, int family, const struct sockaddr *address,
                      socklen_t n) {
    f->listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ck_assert_int_ge(f->listener, 0);
    ck_assert_int_eq(bind(f->listener, address, n), 0);
    ck_assert_int_eq(listen(f->listener, 8), 0);
}

void fake_redis_listen(struct fake_redis *f) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, f->path, strlen(f->path));
    listen_at(f, AF_UNIX, (const struct sockaddr *)&address, sizeof(address));
}

int fake_redis_listen_tcp(struct fake_redis *f) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t n = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listen_at(f, AF_INET, (const struct sockaddr *)&address, n);
    ck_assert_int_eq(getsockname(f->listener, (struct sockaddr *)&address, &n), 0);
    return ntohs(address.sin_port);
}

void fake_redis_stop_listening(struct fake_redis *f) {
    close(f->listener);
    f->listener = -1;
    unlink(f->path);
}

bool fake_redis_accept(struct fake_redis *f) {
    if (f->peer >= 0)
        close(f->peer);
    f->got.n = 0;
    f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return f->peer >= 0;
}

void fake_redis_hang_up(struct fake_redis *f) {
    close(f->peer);
    f->peer = -1;
}

bool fake_redis_was_left(struct fake_redis *f) {
    char byte;
    while (fake_redis_receive(f, 65536))
        ;
    ssize_t n = recv(f->peer, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

void fake_redis_send(struct fake_redis *f, struct slice bytes) {
    if (bytes.n > 0)
        require(send(f->peer, bytes.p, bytes.n, MSG_NOSIGNAL) == (ssize_t)bytes.n);
}

bool fake_redis_receive(struct fake_redis *f, size_t most) {
    require(buf_reserve(&f->got, most));
    ssize_t n = recv(f->peer, f->got.p + f->got.n, most, MSG_DONTWAIT);
    if (n > 0)
        f->got.n += (size_t)n;
    return n > 0;
}

const char *fake_redis_commands(struct fake_redis *f) {
    while (fake_redis_receive(f, 65536))
        ;
    struct slice rest = buf_slice(&f->got);
    const char *text = commands_take(&rest);
    buf_consume(&f->got, f->got.n - rest.n);
    return text;
}
