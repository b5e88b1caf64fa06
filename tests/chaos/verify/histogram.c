/* Latencies: see histogram.h. */
#include "histogram.h"

/* Below HISTOGRAM_STEPS each value has a slot of its own. */
static unsigned slot_of(uint64_t us) {
    unsigned shift = 0;
    while (us >= UINT64_C(2) * HISTOGRAM_STEPS) {
        us >>= 1;
        shift++;
    }
    unsigned slot = shift * HISTOGRAM_STEPS + (unsigned)us;
    return slot < HISTOGRAM_SLOTS ? slot : HISTOGRAM_SLOTS - 1;
}

/* The largest value of a slot. */
static uint64_t top_of(unsigned slot) {
    if (slot < 2 * HISTOGRAM_STEPS)
        return slot;
    unsigned shift = slot / HISTOGRAM_STEPS - 1;
    uint64_t base = slot - shift * HISTOGRAM_STEPS;
    return ((base + 1) << shift) - 1;
}

void histogram_note(struct histogram *h, uint64_t us) {
    h->slots[slot_of(us)]++;
    h->count++;
    if (us > h->most)
        h->most = us;
}

uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->count * share);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += h->slots[i];
        if (h->slots[i] > 0 && (seen > wanted || seen == h->count))
            return top_of(i) < h->most ? top_of(i) : h->most;
    }
    return 0;
}
