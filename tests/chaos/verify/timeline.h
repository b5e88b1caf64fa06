/* What happened when: requests that went well and that failed, in buckets of 10 ms. */
#ifndef VERIFY_TIMELINE_H
#define VERIFY_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMELINE_MS = 10 };

struct bucket {
    uint32_t ok;
    uint32_t failed;
    uint32_t slowest_us;
};

struct timeline {
    int64_t begun; /* ns */
    struct bucket *buckets;
    size_t count;
};

void timeline_init(struct timeline *t, int64_t now);
void timeline_fini(struct timeline *t);

/* A request that was answered, or given up, now. False when memory is short. */
bool timeline_note(struct timeline *t, int64_t now, bool ok, int64_t taken_ns);

#endif
