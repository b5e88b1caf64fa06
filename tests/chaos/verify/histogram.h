/* Latencies, to within 3 %: 32 steps for each power of two. */
#ifndef VERIFY_HISTOGRAM_H
#define VERIFY_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_SLOTS = HISTOGRAM_STEPS * 40 };

struct histogram {
    uint64_t slots[HISTOGRAM_SLOTS];
    uint64_t count;
    uint64_t most;
};

void histogram_note(struct histogram *h, uint64_t us);

/* The value that `share` (0 to 1) of all are not above; 0 if there is none. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif
