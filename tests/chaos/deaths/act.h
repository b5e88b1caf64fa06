/*
 * What processes do to the shared segment, each act by the service's own functions, and a ledger of
 * what was counted, which is not part of the segment.
 */
#ifndef LARDER_DEATHS_ACT_H
#define LARDER_DEATHS_ACT_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/segment.h"

enum { ROWS = 6, FIRST_ROW = SEGMENT_FIRST_WORKER_ROW };

enum act {
    ACT_COUNT,   /* a request and its lookup */
    ACT_REFUSED, /* opens the breaker */
    ACT_TIMEOUT, /* ... and opens it further */
    ACT_PROVE,
    ACT_CLOSE,
    ACT_PROBE,   /* the right to try Redis */
    ACT_CLAIM,   /* the right to count keys */
    ACT_READ,    /* of Redis's address */
    ACT_PUBLISH, /* of Redis's address: one process at a time */
    ACTS
};

extern const char *const act_names[ACTS];

#define ACT_HOST "redis.example"
extern const char *const act_addresses[2];

/* How long rights are taken for, and may be taken for. */
extern const int64_t ACT_LEASE_NS;
extern const int64_t ACT_LEASE_MOST_NS;

enum { ACT_LATENCY_US = 5 };

struct ground {
    struct segment *segment;
    _Atomic uint64_t *done; /* shared, one for each row: requests counted to their end */
    uint32_t row;           /* whose writer this process is */
};

void act_do(enum act act, const struct ground *ground);

#endif
