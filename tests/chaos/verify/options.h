/* The command line. */
#ifndef VERIFY_OPTIONS_H
#define VERIFY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum target { TARGET_CACHE, TARGET_RAW, TARGET_MIXED };
enum sizes { SIZES_SMALL, SIZES_MIXED, SIZES_LARGE };

enum { OPTIONS_RATE_MAX = 1000000 };

struct options {
    uint32_t port;
    uint32_t connections;
    uint32_t keys;
    uint32_t writes;     /* percent of requests that are PUTs */
    uint32_t deletes;    /* percent that are DELETEs */
    uint32_t rate;       /* requests a second in all; 0: as fast as answers come */
    uint32_t seconds;    /* 0: until told to stop */
    uint64_t gets;       /* verified GETs to stop after; 0: until told to stop */
    uint32_t timeout_ms; /* for a request */
    uint32_t pause_ms;   /* of a connection after a request that failed */
    uint64_t seed;
    enum target target;
    enum sizes sizes;
    bool may_vanish;
    bool late_writes;
    char tag[41];
};

/* False if the command line can't be used; what to do about it has been said on stderr. */
bool options_parse(struct options *o, int argc, char **argv);

#endif
