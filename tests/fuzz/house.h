/*
 * A worker's surroundings for targets that need a Redis: a service with its segment, and a store
 * whose Redis is the target itself, at the other end of a Unix socket. Made once and kept; a
 * connection that an input broke is made anew for the next one. Nothing waits, and time stands
 * still unless the target moves it.
 */
#ifndef LARDER_TESTS_FUZZ_HOUSE_H
#define LARDER_TESTS_FUZZ_HOUSE_H

#include "http/request.h"

enum { HOUSE_WORKERS = 3, HOUSE_ROWS = SEGMENT_FIRST_WORKER_ROW + HOUSE_WORKERS };

struct house {
    struct config config;
    struct service service;
    int epoll;
    int listener;
    int peer;        /* Redis's end of the store's connection; -1: none */
    struct buf said; /* what the store sent, and nobody took yet */
};

/* The one there is; made at the first call. `prefix` is its key_prefix. */
struct house *house_open(const char *prefix);

/* The segment and the clock as they were at first, and a store that has never connected. */
void house_renew(struct house *house);

/* Sees to it that the store is connected, with its handshake over. */
void house_connect(struct house *house);

/* Takes the connection that the store has just made, if it has, and answers its handshake. */
bool house_welcome(struct house *house);

/* Answers the handshake, whatever has come of it; false if the store has hung up. */
bool house_greet(struct house *house);

/* Redis's end of a connection that the store has just made, if it has. */
bool house_accept(struct house *house);
void house_hang_up(struct house *house);

/* Lets the store write, and reads it; and reads what it has written before. */
void house_listen(struct house *house);
void house_read(struct house *house);

/* Redis says this, and the store reads it; false if the store has hung up. */
bool house_say(struct house *house, struct slice bytes);

/* Takes one command off the front of what was said: its words. 0: there is none, whole. What the
 * store sends is always RESP2. */
size_t house_command(struct house *house, struct slice *words, size_t max);

#endif
