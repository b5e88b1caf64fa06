/* What happened when: see timeline.h. */
#include "timeline.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

void timeline_init(struct timeline *t, int64_t now) {
    *t = (struct timeline){.begun = now - now % (TIMELINE_MS * NS_PER_MS)};
}

void timeline_fini(struct timeline *t) {
    free(t->buckets);
    *t = (struct timeline){0};
}

static bool grow(struct timeline *t, size_t needed) {
    size_t count = t->count > 0 ? t->count : 1024;
    while (count < needed)
        count *= 2;
    struct bucket *buckets = realloc(t->buckets, count * sizeof(buckets[0]));
    if (buckets == NULL)
        return false;
    memset(buckets + t->count, 0, (count - t->count) * sizeof(buckets[0]));
    t->buckets = buckets;
    t->count = count;
    return true;
}

bool timeline_note(struct timeline *t, int64_t now, bool ok, int64_t taken_ns) {
    size_t at = (size_t)((now - t->begun) / (TIMELINE_MS * NS_PER_MS));
    uint32_t us = (uint32_t)(taken_ns / NS_PER_US);
    if (at >= t->count && !grow(t, at + 1))
        return false;
    struct bucket *b = &t->buckets[at];
    b->ok += ok ? 1 : 0;
    b->failed += ok ? 0 : 1;
    if (us > b->slowest_us)
        b->slowest_us = us;
    return true;
}
