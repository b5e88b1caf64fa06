/*
 * The census: how many keys there are below key_prefix, where others use the database too and its
 * size says nothing. One worker at a time counts, in small steps between its requests, and only
 * while somebody asks (/stats, /metrics). Without a key_prefix it does nothing.
 */
#ifndef LARDER_PROCESS_CENSUS_H
#define LARDER_PROCESS_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "cache/keyscan.h"
#include "http/request.h"

struct census {
    struct service *service;
    struct call call;
    struct arena arena;
    struct keyscan scan;
    bool counting;
    bool asking;    /* the call is out */
    unsigned steps; /* of the present tick */
    int64_t keys;   /* so far */
};

void census_init(struct census *c, struct service *service);
void census_fini(struct census *c);

/* Begins a count, or goes on with one. A few times a second. */
void census_tick(struct census *c);

/* False: the call is not the census's. Else it takes what came back. */
bool census_take(struct census *c, struct call *done);

#endif
