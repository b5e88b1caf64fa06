/*
 * Turns among one worker's operations that want to change the same entry. Each reads the entry,
 * works out what to write, and writes only if nobody has written since: of many, all but one have
 * to start over, again and again. So whoever has failed takes a turn before it reads once more, and
 * the others wait for theirs. A turn is no lock: it keeps nobody in other workers out, and whoever
 * has none is merely more likely to fail.
 */
#ifndef LARDER_CACHE_TURNS_H
#define LARDER_CACHE_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    TURNS_SEATS = 64,     /* names that share a seat wait for each other */
    TURNS_LEASE_MS = 100, /* a turn that was not given back is over then */
};

/* Zeroed, nobody has a turn. */
struct turns {
    uint64_t returned; /* a bit for each seat whose turn was given back; whoever looks clears it */
    struct {
        const void *who; /* only ever compared: it may be gone */
        int64_t until;   /* clock_monotonic */
    } seat[TURNS_SEATS];
};

/* Whether it is the turn of `who` to change the entry of this name; who has it keeps it. */
bool turns_take(struct turns *turns, struct slice name, const void *who, int64_t now);

/* Where a name sits. */
size_t turns_seat(struct slice name);

/* The turn is the next one's, if it was that of `who`. */
void turns_give_back(struct turns *turns, struct slice name, const void *who);

#endif
