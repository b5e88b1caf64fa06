/*
 * Memory that is out, at every place where a request needs any: from the connection to the last
 * byte of the answer, each allocation fails once. The client gets the right answer, an error that
 * says so, or a connection that is closed; never half an answer, another one, or none. What the
 * worker does for others is not disturbed. (What libraries allocate among themselves doesn't fail
 * here.) That nothing is lost is for valgrind and AddressSanitizer to see.
 */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "api/routes.h"
#include "base/clock.h"
#include "http/fcgi.h"
#include "process/round.h"
#include "rig.h"
#include "scarce.h"
#include "support.h"
#include "web_peer.h"

enum {
    EVENTS_MAX = 16,
    TURNS_MAX = 40,
    ALLOCATIONS_MAX = 500,
    ANSWER_MAX = 1 << 17,
    TOLD_MAX = 8192
};

#define NONCE    "11111111111111111111111111111111"
#define JSON     "application/json"
#define HEADER   "\0larder1 {\"tags\":{\"a\":\"" NONCE "\"}}\n"
#define VALUE_1  SLICE_INIT("$1\r\n1\r\n")
#define OBJECT   SLICE_INIT("$7\r\n{\"a\":1}\r\n")
#define TAGGED_1 SLICE_INIT("$60\r\n" HEADER "1\r\n")
#define NOTHING  SLICE_INIT("$0\r\n\r\n")

/* A request, and the entry that Redis has under every name. */
static const struct scene {
    const char *method;
    const char *target;
    const char *body;
    const char *type;
    struct slice stored;
    int status; /* with memory */
} scenes[] = {
    {"GET", "/cache/k", NULL, NULL, VALUE_1, 200},
    {"GET", "/cache/k", NULL, NULL, TAGGED_1, 200},
    {"GET", "/cache/k", NULL, NULL, NOTHING, 200},
    {"PUT", "/cache/k", "{\"value\":{\"a\":1},\"ttl\":60}", JSON, NOTHING, 200},
    {"PUT", "/cache/k", "{\"value\":1,\"tags\":[\"a\"],\"idle\":60}", JSON, NOTHING, 200},
    {"PUT", "/cache/k", "{\"value\":\"\xff\"}", JSON, NOTHING, 400},
    {"PATCH", "/cache/k", "{\"value\":{\"b\":2}}", "application/merge-patch+json", OBJECT, 200},
    {"DELETE", "/cache/k", NULL, NULL, VALUE_1, 200},
    {"GET", "/raw/k", NULL, NULL, TAGGED_1, 200},
    {"PUT", "/raw/k?ttl=60", "bytes", "text/plain", NOTHING, 200},
    {"POST", "/counters/n", "{\"by\":2,\"ttl\":60}", JSON, NOTHING, 200},
    {"POST", "/batch",
     "{\"operations\":[{\"method\":\"GET\",\"key\":\"k\"},"
     "{\"method\":\"PUT\",\"key\":\"k\",\"value\":[1],\"tags\":[\"a\"]},"
     "{\"method\":\"DELETE\",\"key\":\"k\"},{\"method\":\"GET\",\"key\":\"\"}]}",
     JSON, VALUE_1, 200},
    {"GET", "/keys?limit=5", NULL, NULL, NOTHING, 200},
    {"DELETE", "/cache", NULL, NULL, NOTHING, 200},
    {"DELETE", "/cache?prefix=k", NULL, NULL, NOTHING, 200},
    {"DELETE", "/cache?tag=a", NULL, NULL, NOTHING, 200},
    {"GET", "/stats", NULL, NULL, NOTHING, 200},
    {"GET", "/metrics", NULL, NULL, NOTHING, 200},
    {"GET", "/health", NULL, NULL, NOTHING, 200},
    {"GET", "/health/ready", NULL, NULL, NOTHING, 200},
    {"GET", "/openapi.json", NULL, NULL, NOTHING, 200},
    {"GET", "/docs", NULL, NULL, NOTHING, 200},
    {"GET", "/", NULL, NULL, NOTHING, 200},
    {"GET", "/nowhere", NULL, NULL, NOTHING, 404},
};

static struct rig rig;
static struct round r;
static struct web_peer peer;

static void setup(void) {
    rig_setup(&rig);
    rig.config.default_ttl = 3600;
    rig.config.max_ttl = 31536000;
    rig.config.max_value = 1 << 20;
    rig.config.batch_max = 100;
    rig_connect(&rig);
    ck_assert_int_eq(fcgi_setup(), OK);
    round_init(&r, rig.service, rig.epoll);
    peer.fd = -1;
}

static void teardown(void) {
    round_fini(&r);
    web_peer_teardown(&peer);
    rig_teardown(&rig);
}

/* --- Redis ----------------------------------------------------------------------------------- */

static struct slice reply_to(const char *command, const struct scene *scene) {
    static const struct {
        const char *command;
        struct slice reply;
    } replies[] = {
        {"PTTL", SLICE_INIT(":-1\r\n")},
        {"MGET", SLICE_INIT("*1\r\n$32\r\n" NONCE "\r\n")},
        {"SET", SLICE_INIT("+OK\r\n")},
        {"FLUSHDB", SLICE_INIT("+OK\r\n")},
        {"UNLINK", SLICE_INIT(":1\r\n")},
        {"DBSIZE", SLICE_INIT(":1\r\n")},
        {"INFO", SLICE_INIT("$16\r\nused_memory:100\n\r\n")},
        {"PING", SLICE_INIT("+PONG\r\n")},
        {"SCAN", SLICE_INIT("*2\r\n$1\r\n0\r\n*1\r\n$1\r\nk\r\n")},
        {"EVALSHA tags", SLICE_INIT("*2\r\n:50000\r\n$32\r\n" NONCE "\r\n")},
        {"EVALSHA count", SLICE_INIT("*2\r\n$1\r\n5\r\n:-1\r\n")},
        {"EVALSHA", SLICE_INIT(":1\r\n")},
    };
    if (strncmp(command, "GET", 3) == 0)
        return scene->stored;
    for (size_t i = 0; i < COUNT_OF(replies); i++)
        if (strncmp(command, replies[i].command, strlen(replies[i].command)) == 0)
            return replies[i].reply;
    ck_abort_msg("what would Redis say to %s", command);
}

/* The commands of a request, a line each; # stands for a nonce, an identifier or a digest. */
static char told[TOLD_MAX];

static void note_command(const char *line) {
    static const char digits[] = "0123456789abcdef";
    size_t at = strlen(told);
    while (*line != '\n') {
        size_t run = strspn(line, digits);
        ck_assert_uint_lt(at + run, TOLD_MAX - 2);
        size_t n = run > 0 ? run : 1;
        if (run >= 32)
            told[at++] = '#';
        else
            memcpy(told + at, line, n);
        at += run >= 32 ? 0 : n;
        line += n;
    }
    told[at++] = '\n';
    told[at] = '\0';
}

/* Every line of `some` is one of `all`, too. */
static bool are_among(const char *some, const char *all) {
    char line[TOLD_MAX + 2];
    for (; *some != '\0'; some = strchr(some, '\n') + 1) {
        size_t n = strcspn(some, "\n") + 1;
        memcpy(line, some, n);
        line[n] = '\0';
        const char *found = strstr(all, line);
        while (found != NULL && found != all && found[-1] != '\n')
            found = strstr(found + 1, line);
        if (found == NULL)
            return false;
    }
    return true;
}

/* Says what Redis says to the commands that came; false if there were none. */
static bool redis_answers(const struct scene *scene) {
    const char *line = rig_commands(&rig);
    bool any = *line != '\0';
    for (; *line != '\0'; line = strchr(line, '\n') + 1) {
        struct slice reply = reply_to(line, scene);
        note_command(line);
        ck_assert_int_eq(send(rig.peer, reply.p, reply.n, MSG_NOSIGNAL), (ssize_t)reply.n);
    }
    return any;
}

/* --- the worker ------------------------------------------------------------------------------ */

static void turn(void) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(rig.epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr == &rig)
            store_on_event(rig.service.store, events[i].events, rig.service.now);
        else
            round_on_event(&r, events[i].data.ptr, events[i].events);
    }
    round_scatter(&r);
    round_gather(&r);
    store_tick(rig.service.store, rig.service.now);
    store_flush(rig.service.store, rig.service.now);
    round_scatter(&r);
    round_end_turn(&r);
}

/* What becomes of a request: 0 for a connection that was closed, else the status; the body in
 * `body`, without the time in it. The allocation after `before` others fails; `*refused`: there was
 * one. */
static int play(const struct scene *scene, size_t before, bool *refused, char *body) {
    struct buf pairs = {0};
    struct web_answer got;
    int fd = web_peer_setup(&peer);
    if (scene->type != NULL)
        records_put_pair(&pairs, "CONTENT_TYPE", slice_of(scene->type));
    web_peer_request(
        &peer, &(struct web_request){.method = scene->method,
                                     .target = scene->target,
                                     .params = buf_slice(&pairs),
                                     .body = slice_of(scene->body != NULL ? scene->body : "")});
    buf_fini(&pairs);
    int status = -1;
    told[0] = '\0';
    scarce_begin(before);
    round_add(&r, fd);
    for (int i = 0; i < TURNS_MAX && status < 0; i++) {
        turn();
        scarce_pause();
        bool asked = rig.peer >= 0 && redis_answers(scene);
        if (!asked && web_peer_answer(&peer, 1, &got)) {
            status = got.status;
            ck_assert_uint_lt(got.body.n, ANSWER_MAX);
            (void)snprintf(body, ANSWER_MAX, "%.*s", (int)got.body.n, got.body.p);
            records_free_answer(&got);
        } else if (!asked && web_peer_was_left(&peer)) {
            status = 0;
        } else if (!asked && i > 5) {
            /* The deadlines of a request, of the connection to Redis, of a probe. */
            rig.service.now += 100 * NS_PER_MS;
            r.service.now = rig.service.now;
        }
        scarce_resume();
    }
    (void)scarce_end(refused);
    ck_assert_msg(status >= 0, "%s %s: no answer without allocation %zu", scene->method,
                  scene->target, before);
    web_peer_teardown(&peer);
    turn();
    ck_assert_uint_eq(r.connections, 0);
    ck_assert_uint_eq(r.in_flight, 0);
    return status;
}

/* Times and counters are of their moment. */
static bool is_alike(const char *a, const char *b) {
    const char *end_a = strstr(a, "\"timestamp\"");
    const char *end_b = strstr(b, "\"timestamp\"");
    if (end_a == NULL || end_b == NULL)
        return strcmp(a, b) == 0;
    return end_a - a == end_b - b && memcmp(a, b, (size_t)(end_a - a)) == 0;
}

/* In a batch, an operation fails by itself. */
static bool is_honest(int status, const char *body) {
    return status == 0 || status >= 500 || strstr(body, "{\"status\":503,\"type\":") != NULL;
}

static bool is_of_its_moment(const struct scene *scene) {
    return strcmp(scene->target, "/stats") == 0 || strcmp(scene->target, "/metrics") == 0 ||
           strcmp(scene->target, "/health") == 0;
}

START_TEST(a_request_without_memory_fails_honestly) {
    static char right[ANSWER_MAX];
    static char body[ANSWER_MAX];
    static char right_commands[TOLD_MAX];
    static const struct scene simple = {.method = "GET", .target = "/health/live"};
    const struct scene *scene = &scenes[_i];
    bool refused;
    int expected = play(scene, SIZE_MAX, &refused, right);
    size_t failed = 0;
    size_t n = 0;
    ck_assert_msg(expected == scene->status, "%d %s", expected, right);
    memcpy(right_commands, told, sizeof(told));
    for (refused = true; refused; n++) {
        ck_assert_uint_lt(n, ALLOCATIONS_MAX);
        teardown();
        setup();
        int status = play(scene, n, &refused, body);
        ck_assert_msg(are_among(told, right_commands), "Redis was told\n%s", told);
        if (status == expected && (is_of_its_moment(scene) || is_alike(body, right)))
            continue;
        ck_assert_msg(refused && is_honest(status, body), "%s %s, allocation %zu: %d %s",
                      scene->method, scene->target, n, status, body);
        failed++;
        ck_assert_int_eq(play(&simple, SIZE_MAX, &refused, body), 200);
        refused = true;
    }
    ck_assert_uint_gt(failed, 3);
}
END_TEST

Suite *suite_memory(void) {
    Suite *s = suite_create("memory");
    TCase *t = tcase_create("requests");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, a_request_without_memory_fails_honestly, 0, COUNT_OF(scenes));
    suite_add_tcase(s, t);
    return s;
}
