/*
 * A Redis at the other end of a Unix socket (or of TCP on the loopback), played by the test itself
 * in the same process: it takes one connection, shows the commands that came and sends the bytes
 * that it is told to. It never waits.
 */
#ifndef LARDER_TESTS_FAKE_REDIS_H
#define LARDER_TESTS_FAKE_REDIS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"
#include "temp_dir.h"

struct fake_redis {
    struct temp_dir directory;
    char path[TEMP_DIR_PATH_MAX + 8]; /* its socket */
    int listener;                     /* -1: nobody listens */
    int peer;                         /* -1: nobody is connected */
    struct buf got;                   /* what came and was not looked at yet */
};

/* Nobody listens at first. */
void fake_redis_setup(struct fake_redis *f);
void fake_redis_teardown(struct fake_redis *f);

void fake_redis_listen(struct fake_redis *f);

/* On 127.0.0.1; gives the port. */
int fake_redis_listen_tcp(struct fake_redis *f);

/* No new connections; the one that is there stays. */
void fake_redis_stop_listening(struct fake_redis *f);

/* Takes the connection that waits; false if there is none. */
bool fake_redis_accept(struct fake_redis *f);

void fake_redis_hang_up(struct fake_redis *f);

/* The other end has hung up, and nothing is left to read. */
bool fake_redis_was_left(struct fake_redis *f);

/* All of it, at once. */
void fake_redis_send(struct fake_redis *f, struct slice bytes);

/* Reads at most `most` bytes more into `got`; false if none came. */
bool fake_redis_receive(struct fake_redis *f, size_t most);

/* The whole commands that came since the last time, as commands_take shows them. */
const char *fake_redis_commands(struct fake_redis *f);

#endif
