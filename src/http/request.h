/*
 * A request, as a handler sees it: decoded fields, its call to Redis and its response. One lives in
 * each FastCGI connection and is reused, so its buffers stay warm.
 */
#ifndef LARDER_HTTP_REQUEST_H
#define LARDER_HTTP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/segment.h"
#include "base/slice.h"
#include "cache/key.h"
#include "cache/op.h"
#include "http/response.h"
#include "http/route.h"
#include "redis/store.h"

/* What only so many of a worker's requests may have at a time, lest a few giants take its memory
 * and everybody's time. The others wait for it, first come, first served. */
enum share {
    SHARE_NONE,
    SHARE_REDIS, /* Redis has enough to do: whatever needs it waits, before it is planned */
    SHARE_BATCH, /* many operations, each with a value of some KB while it is under way */
    SHARE_LARGE, /* the values of a batch that are large: up to 32 MiB, and the answer made of them
                  */
    SHARE_SWEEP, /* a walk through all names in Redis */
    SHARE_LIST,  /* a part of such a walk */
    SHARES,
    SHARE_TURN = SHARES /* no share of anything: its turn to change an entry (cache/turns.h) */
};

/* What every handler of a worker may look at. */
struct service {
    const struct config *config;
    struct segment *segment;
    struct stats_row *row; /* this worker's */
    /* What the segment said when it was made. Everybody can write there: these can't change. */
    uint32_t rows;
    int64_t started;      /* clock_monotonic */
    int64_t started_real; /* clock_realtime */
    struct store *store;
    const struct route_table *routes;
    struct turns turns;     /* among this worker's operations */
    int64_t now;            /* clock_monotonic, read once a turn */
    bool busy;              /* nobody has SHARE_REDIS to give just now */
    bool late;              /* this process stood still: what comes may have waited long for it */
    uint8_t shares[SHARES]; /* how many have it */
};

/* Header fields that only some handlers look at; p is NULL if absent. */
struct request_fields {
    struct slice if_match;
    struct slice if_none_match;
    struct slice prefer;
    struct slice cache_groups;
};

struct request {
    struct service *service;
    const struct route *route; /* NULL until routed */
    enum method method;

    /* Slices into the connection's memory, valid until the answer is written. */
    struct slice path;  /* raw, before '?' */
    struct slice query; /* raw, after '?' */
    bool has_query;
    struct slice content_type;     /* empty if absent */
    struct slice content_encoding; /* empty if absent */
    struct request_fields fields;
    struct slice body;
    bool body_too_large; /* it was read to its end and thrown away */
    bool peer_gone;      /* nobody will read the answer: long work may stop */
    bool planned;        /* its plan has run */
    uint8_t shares;      /* what it has, until the answer is sent: a bit each */
    enum share awaits;   /* with STEP_HOLD: what it waits for */

    struct key key;     /* when route->takes_key */
    struct op op;       /* what is done to that entry */
    void *job;          /* a handler's own, in the arena, from its plan to its answer */
    struct arena arena; /* what lives until the answer is written */
    int64_t taken;      /* clock_monotonic, for the latency */

    struct call call;
    struct response response;
};

/* The parameters a web server passes, as the decoder found them; a missing one is an empty slice.
 */
struct request_params {
    struct slice method;
    struct slice target; /* REQUEST_URI: the raw request target */
    struct slice content_type;
    struct slice content_length;
    struct slice content_encoding;
    struct slice content_type_field; /* the same as content_type; seen only to be seen twice */
    struct request_fields fields;
    enum error error;   /* E_DUPLICATE_FIELD: one of them came twice */
    const char *detail; /* for people; NULL: the error table's */
};

/* Of a zeroed request. */
void request_init(struct request *r, struct service *service);
void request_fini(struct request *r);

/* Empties it; buffers stay, up to a bound. */
void request_reset(struct request *r);

/* Gives back what the answer was made of, once it is encoded. */
void request_release(struct request *r);

/* Fills `r` from the parameters and body, routes it and runs its plan. STEP_ANSWER: the response is
 * filled, an error answer included. */
enum step request_start(struct request *r, const struct request_params *params, struct slice body,
                        bool body_too_large);

/* Runs its finish after the call came back, or what comes next after a STEP_HOLD. */
enum step request_continue(struct request *r);

/* Whether the request now has the share, or had it already: it keeps it until its answer is sent.
 * False: to return STEP_HOLD for it, or to go on without. */
bool request_claim(struct request *r, enum share share);

static inline bool request_has(const struct request *r, enum share share) {
    return (r->shares & 1U << share) != 0;
}

/* Whether request_claim would give it. */
bool request_may_claim(const struct service *service, enum share share);

#endif
