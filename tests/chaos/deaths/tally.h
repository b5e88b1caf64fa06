/* What was found out. */
#ifndef LARDER_DEATHS_TALLY_H
#define LARDER_DEATHS_TALLY_H

#include <stdint.h>

#include "act.h"

struct tally {
    uint64_t stepped;            /* instructions after which a process was stopped */
    uint64_t at_random;          /* processes killed at some moment */
    uint64_t instructions[ACTS]; /* of each act */
    uint64_t wrong_sums;         /* a counter is off by more than the event that died */
    uint64_t events_open;        /* counters that have an event which was not counted to its end */
    uint64_t torn;               /* an address that nobody published, or a breaker out of range */
    uint64_t stuck;              /* something could not be done after a death */
    int64_t longest_ns;          /* of processor time that a survivor took for everything */
};

#endif
