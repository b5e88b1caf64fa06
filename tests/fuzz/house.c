/* A worker's surroundings for targets: see house.h. */
#include "house.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/routes.h"
#include "base/clock.h"
#include "fuzz.h"
#include "redis/script.h"

enum { SEND_BUFFER = 1 << 20, READ_BYTES = 65536 };

static struct house the_house;
static char directory[] = "/tmp/larder-fuzz.XXXXXX";

static void remove_directory(void) {
    (void)unlink(the_house.config.redis_socket);
    (void)rmdir(directory);
}

/* With the values of options.def where a handler reads them. */
static void set_options(struct config *config, const char *prefix) {
    config->redis_timeout = 500;
    config->redis_connect_timeout = 200;
    config->default_ttl = 3600;
    config->max_ttl = 31536000;
    config->max_value = 4096;
    config->batch_max = 20;
    config->client_caching = true;
    config->workers = HOUSE_WORKERS;
    (void)snprintf(config->key_prefix, sizeof(config->key_prefix), "%s", prefix);
}

static void listen_as_redis(struct house *house) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    need(mkdtemp(directory) != NULL);
    (void)snprintf(house->config.redis_socket, sizeof(house->config.redis_socket), "%s/redis",
                   directory);
    memcpy(address.sun_path, house->config.redis_socket, strlen(house->config.redis_socket));
    house->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    need(house->listener >= 0);
    need(bind(house->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    need(listen(house->listener, 8) == 0);
    need(atexit(remove_directory) == 0);
}

struct house *house_open(const char *prefix) {
    struct house *house = &the_house;
    if (house->service.segment != NULL)
        return house;
    house->peer = -1;
    set_options(&house->config, prefix);
    listen_as_redis(house);
    house->epoll = epoll_create1(EPOLL_CLOEXEC);
    need(house->epoll >= 0);
    size_t bytes = sizeof(struct segment) + HOUSE_ROWS * sizeof(struct stats_row);
    house->service.segment = aligned_alloc(64, bytes);
    need(house->service.segment != NULL);
    house->service.config = &house->config;
    house->service.routes = &api_routes;
    house_renew(house);
    return house;
}

void house_renew(struct house *house) {
    struct service *service = &house->service;
    struct segment *segment = service->segment;
    size_t bytes = sizeof(struct segment) + HOUSE_ROWS * sizeof(struct stats_row);
    house_hang_up(house);
    store_close(&service->store);
    memset(segment, 0, bytes);
    segment->row_count = HOUSE_ROWS;
    segment->bytes = bytes;
    service->now = 1000 * NS_PER_S;
    segment->started = service->now - 100 * NS_PER_S;
    segment->started_real = INT64_C(1700000000) * NS_PER_S;
    service->rows = HOUSE_ROWS;
    service->row = &segment->rows[SEGMENT_FIRST_WORKER_ROW];
    service->store =
        store_open(&house->config, segment, service->row, house->epoll, &house->listener);
    need(service->store != NULL);
    /* Connections that were made and never taken. */
    int fd;
    while ((fd = accept(house->listener, NULL, NULL)) >= 0)
        (void)close(fd);
}

bool house_accept(struct house *house) {
    int fd = accept4(house->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    house_hang_up(house);
    house->peer = fd;
    return true;
}

void house_hang_up(struct house *house) {
    if (house->peer >= 0)
        (void)close(house->peer);
    house->peer = -1;
    house->said.n = 0;
}

void house_listen(struct house *house) {
    store_flush(house->service.store, house->service.now);
    house_read(house);
}

void house_read(struct house *house) {
    ssize_t n = 1;
    while (house->peer >= 0 && n > 0) {
        need(buf_reserve(&house->said, READ_BYTES));
        n = recv(house->peer, house->said.p + house->said.n, READ_BYTES, MSG_DONTWAIT);
        house->said.n += n > 0 ? (size_t)n : 0;
    }
}

bool house_say(struct house *house, struct slice bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(house->peer, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        store_on_event(house->service.store, EPOLLIN, house->service.now);
        bytes = (struct slice){bytes.p + n, bytes.n - (size_t)n};
    }
    return true;
}

bool house_greet(struct house *house) {
    const char *policy = house->config.key_prefix[0] == '\0' ? "+OK\r\n" : "";
    bool heard = house_say(house, SLICE("$21\r\nredis_version:7.0.15\n\r\n+OK\r\n")) &&
                 house_say(house, slice_of(policy));
    for (int i = 0; i < SCRIPT_COUNT; i++)
        heard =
            heard && house_say(house, SLICE("$40\r\n0123456789abcdef0123456789abcdef01234567\r\n"));
    return heard;
}

bool house_welcome(struct house *house) {
    if (!house_accept(house))
        return false;
    house_listen(house);
    house->said.n = 0;
    need(house_greet(house));
    need(store_get_status(house->service.store).ready);
    return true;
}

void house_connect(struct house *house) {
    if (house->peer >= 0 && store_get_status(house->service.store).ready)
        return;
    house_renew(house);
    store_tick(house->service.store, house->service.now);
    need(house_welcome(house));
}

/* "<type><number>\r\n"; false if it is not whole. */
static bool take_number(struct slice *bytes, char type, size_t *number) {
    const char *end = bytes->n > 0 ? memmem(bytes->p, bytes->n, "\r\n", 2) : NULL;
    if (end == NULL)
        return false;
    need(bytes->p[0] == type && end > bytes->p + 1);
    *number = 0;
    for (const char *c = bytes->p + 1; c < end; c++) {
        need(*c >= '0' && *c <= '9');
        *number = *number * 10 + (size_t)(*c - '0');
    }
    *bytes = (struct slice){end + 2, bytes->n - (size_t)(end + 2 - bytes->p)};
    return true;
}

size_t house_command(struct house *house, struct slice *words, size_t max) {
    static struct buf taken; /* what the last command lay in */
    struct slice rest = buf_slice(&house->said);
    size_t count = 0;
    if (!take_number(&rest, '*', &count))
        return 0;
    need(count > 0 && count <= max);
    for (size_t i = 0; i < count; i++) {
        size_t n;
        if (!take_number(&rest, '$', &n) || rest.n < n + 2)
            return 0;
        need(memcmp(rest.p + n, "\r\n", 2) == 0);
        words[i] = (struct slice){rest.p, n};
        rest = (struct slice){rest.p + n + 2, rest.n - n - 2};
    }
    size_t used = house->said.n - rest.n;
    taken.n = 0;
    buf_put(&taken, house->said.p, used);
    for (size_t i = 0; i < count; i++)
        words[i].p = taken.p + (words[i].p - house->said.p);
    buf_consume(&house->said, used);
    return count;
}
