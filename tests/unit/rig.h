/*
 * A worker's surroundings without a worker, for tests of handlers: a service with a segment in
 * memory, one request, and a store whose Redis is the test itself, at the other end of a Unix
 * socket. Time stands still unless the test moves service.now.
 */
#ifndef LARDER_TESTS_RIG_H
#define LARDER_TESTS_RIG_H

#include <limits.h>
#include <stdbool.h>

#include "http/request.h"

enum { RIG_WORKERS = 3 };

struct rig {
    struct config config;
    struct service service;
    struct request request;
    int epoll;
    int listener; /* where a Redis would listen; -1: nobody does */
    int peer;     /* Redis's end of the store's connection; -1: none */
    char directory[PATH_MAX];
};

/* Nobody listens at first, and the store has not tried. The service has run for 100 s; the rows are
 * empty and the service's own is the first worker's. */
void rig_setup(struct rig *rig);
void rig_teardown(struct rig *rig);

/* Lets the store connect and answers its handshake: its status is ready after this. */
void rig_connect(struct rig *rig);

/* Closes Redis's end and lets the store see that. */
void rig_hang_up(struct rig *rig);

/* The commands that the store has written since the last time, as commands_take shows them. */
const char *rig_commands(struct rig *rig);

/* Redis says these bytes, and the store reads them. */
void rig_say(struct rig *rig, struct slice bytes);

/* Sends Redis's reply. The request's call must be complete by it. */
void rig_reply(struct rig *rig, const char *bytes);

/* The request's call comes back as if Redis had answered: append the replies in order. */
void rig_put_integer(struct rig *rig, int64_t v);
void rig_put_string(struct rig *rig, const char *text);
void rig_put_error(struct rig *rig, const char *text);

/* The response's body as a string; it must not have failed. */
const char *rig_body(const struct rig *rig);

/* The same without spliced parts, and it must be one JSON document. */
const char *rig_json(const struct rig *rig);

/* The response's header as a string. */
const char *rig_head(const struct rig *rig);

#endif
