/* A worker's surroundings without a worker: see rig.h. */
#include "rig.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/routes.h"
#include "base/clock.h"
#include "base/jsontext.h"
#include "base/log.h"
#include "commands.h"

enum {
    ROWS = SEGMENT_FIRST_WORKER_ROW + RIG_WORKERS,
    TEXT_MAX = 65536,
    COMMANDS_MAX = 1 << 18,
};

static struct segment *new_segment(void) {
    size_t bytes = sizeof(struct segment) + ROWS * sizeof(struct stats_row);
    struct segment *segment = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(segment);
    memset(segment, 0, bytes);
    return segment;
}

static void use_socket(struct rig *rig) {
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(rig->directory, sizeof(rig->directory), "%s/larder-rig.XXXXXX",
                     tmp != NULL ? tmp : "/tmp");
    ck_assert(n > 0 && n < 80);
    ck_assert_ptr_nonnull(mkdtemp(rig->directory));
    n = snprintf(rig->config.redis_socket, sizeof(rig->config.redis_socket), "%s/redis",
                 rig->directory);
    ck_assert(n > 0 && n < 100);
}

void rig_setup(struct rig *rig) {
    memset(rig, 0, sizeof(*rig));
    rig->peer = rig->listener = -1;
    use_socket(rig);
    rig->config.redis_connect_timeout = 200;
    rig->config.redis_timeout = 500;
    ck_assert_int_eq(log_open("/dev/null", LOG_LEVEL_ERROR), OK);

    rig->epoll = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_ge(rig->epoll, 0);
    struct service *service = &rig->service;
    service->now = 1000 * NS_PER_S;
    service->config = &rig->config;
    service->segment = new_segment();
    service->rows = ROWS;
    service->started = service->now - 100 * NS_PER_S;
    service->row = &service->segment->rows[SEGMENT_FIRST_WORKER_ROW];
    service->routes = &api_routes;
    service->store = store_open(&rig->config, service->segment, service->row, rig->epoll, rig);
    ck_assert_ptr_nonnull(service->store);
    request_init(&rig->request, service);
}

void rig_teardown(struct rig *rig) {
    store_close(&rig->service.store);
    request_fini(&rig->request);
    free(rig->service.segment);
    close(rig->epoll);
    if (rig->peer >= 0)
        close(rig->peer);
    if (rig->listener >= 0)
        close(rig->listener);
    unlink(rig->config.redis_socket);
    rmdir(rig->directory);
    ck_assert_int_eq(log_open("", LOG_LEVEL_INFO), OK);
}

/* --- Redis ----------------------------------------------------------------------------------- */

static void listen_as_redis(struct rig *rig) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, rig->config.redis_socket, strlen(rig->config.redis_socket));
    rig->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(rig->listener, 0);
    ck_assert_int_eq(bind(rig->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(rig->listener, 1), 0);
}

void rig_say(struct rig *rig, struct slice bytes) {
    while (bytes.n > 0) {
        ssize_t n = write(rig->peer, bytes.p, bytes.n);
        ck_assert_int_gt(n, 0);
        store_on_event(rig->service.store, EPOLLIN, rig->service.now);
        bytes = (struct slice){bytes.p + n, bytes.n - (size_t)n};
    }
}

static void send_as_redis(struct rig *rig, const char *bytes) {
    if (*bytes != '\0')
        rig_say(rig, slice_of(bytes));
}

void rig_connect(struct rig *rig) {
    struct store *store = rig->service.store;
    listen_as_redis(rig);
    store_tick(store, rig->service.now);
    rig->peer = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    ck_assert_int_ge(rig->peer, 0);
    store_on_event(store, EPOLLOUT, rig->service.now);
    store_flush(store, rig->service.now);
    const char *policy = rig->config.key_prefix[0] == '\0' ? "+OK\r\n" : "";
    ck_assert_ptr_nonnull(strstr(rig_commands(rig), SCRIPTS_LOAD));
    send_as_redis(rig, "$0\r\n\r\n+OK\r\n"); /* INFO server, SELECT */
    send_as_redis(rig, policy);
    send_as_redis(rig, SCRIPTS_LOADED);
    ck_assert(store_get_status(store).ready);
}

void rig_hang_up(struct rig *rig) {
    close(rig->peer);
    close(rig->listener);
    rig->peer = rig->listener = -1;
    store_on_event(rig->service.store, EPOLLIN | EPOLLRDHUP | EPOLLHUP, rig->service.now);
}

const char *rig_commands(struct rig *rig) {
    static char bytes[COMMANDS_MAX];
    store_flush(rig->service.store, rig->service.now);
    ssize_t n = read(rig->peer, bytes, sizeof(bytes));
    struct slice rest = {bytes, n > 0 ? (size_t)n : 0};
    const char *text = commands_take(&rest);
    ck_assert_uint_eq(rest.n, 0);
    return text;
}

void rig_reply(struct rig *rig, const char *bytes) {
    send_as_redis(rig, bytes);
    ck_assert_ptr_eq(store_next_done(rig->service.store), &rig->request.call);
}

static void put_node(struct rig *rig, enum reply_type type, int64_t integer, const char *text) {
    struct replies *list = &rig->request.call.replies;
    struct reply node = {type, integer, list->bytes.n, strlen(text)};
    buf_puts(&list->bytes, text);
    buf_put(&list->nodes, &node, sizeof(node));
}

void rig_put_integer(struct rig *rig, int64_t v) {
    put_node(rig, REPLY_INTEGER, v, "");
}

void rig_put_string(struct rig *rig, const char *text) {
    put_node(rig, REPLY_STRING, 0, text);
}

void rig_put_error(struct rig *rig, const char *text) {
    put_node(rig, REPLY_ERROR, 0, text);
}

/* --- the response ---------------------------------------------------------------------------- */

static const char *as_string(const struct buf *b) {
    static char text[TEXT_MAX];
    ck_assert(!buf_failed(b));
    ck_assert_uint_lt(b->n, sizeof(text));
    if (b->n > 0)
        memcpy(text, b->p, b->n);
    text[b->n] = '\0';
    return text;
}

const char *rig_body(const struct rig *rig) {
    return as_string(&rig->request.response.body);
}

const char *rig_json(const struct rig *rig) {
    struct slice body = buf_slice(&rig->request.response.body);
    ck_assert_msg(jsontext_check(body, NULL, NULL) == OK, "no JSON: %.*s", (int)body.n, body.p);
    return rig_body(rig);
}

const char *rig_head(const struct rig *rig) {
    struct buf head = {0};
    response_put_head(&rig->request.response, &head);
    const char *text = as_string(&head);
    buf_fini(&head);
    return text;
}
