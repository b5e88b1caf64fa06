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

#include "require.h"

enum { COMMANDS_MAX = 65536 };

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

/* Takes "<type><number>\r\n" off; false if it is not all there. */
static bool take_number(struct slice *bytes, char type, size_t *number) {
    const char *end = bytes->n > 0 ? memmem(bytes->p, bytes->n, "\r\n", 2) : NULL;
    if (end == NULL)
        return false;
    require(bytes->p[0] == type);
    *number = 0;
    for (const char *c = bytes->p + 1; c < end; c++) {
        require(*c >= '0' && *c <= '9');
        *number = *number * 10 + (size_t)(*c - '0');
    }
    *bytes = (struct slice){end + 2, bytes->n - (size_t)(end + 2 - bytes->p)};
    return true;
}

/* Takes one command off and writes it to `line`; false if it is not all there. */
static bool take_command(struct slice *bytes, char *line, size_t room, size_t *n) {
    size_t args;
    size_t length;
    *n = 0;
    if (!take_number(bytes, '*', &args))
        return false;
    for (; args > 0; args--) {
        if (!take_number(bytes, '$', &length) || bytes->n < length + 2)
            return false;
        require(*n + length + 1 < room);
        memcpy(line + *n, bytes->p, length);
        require(memcmp(bytes->p + length, "\r\n", 2) == 0);
        *n += length;
        line[(*n)++] = args > 1 ? ' ' : '\n';
        *bytes = (struct slice){bytes->p + length + 2, bytes->n - length - 2};
    }
    return true;
}

const char *fake_redis_commands(struct fake_redis *f) {
    static char text[COMMANDS_MAX];
    size_t at = 0;
    size_t n;
    while (fake_redis_receive(f, 65536))
        ;
    struct slice bytes = buf_slice(&f->got);
    size_t taken = 0;
    while (take_command(&bytes, text + at, sizeof(text) - 1 - at, &n)) {
        at += n;
        taken = f->got.n - bytes.n;
    }
    text[at] = '\0';
    buf_consume(&f->got, taken);
    return text;
}
