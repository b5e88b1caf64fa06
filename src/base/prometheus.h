/*
 * Prometheus text, exposition format 0.0.4, written into a buf. A family is opened once, and its
 * samples follow it at once: they carry the name that was opened, so none can stray.
 */
#ifndef LARDER_BASE_PROMETHEUS_H
#define LARDER_BASE_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

enum { PROMETHEUS_NAME_BYTES = 96 }; /* of a family's name, with its NUL */

enum prometheus_type { PROMETHEUS_COUNTER, PROMETHEUS_GAUGE, PROMETHEUS_HISTOGRAM };

/* One text in the making. `out` is the caller's and has the sticky error. */
struct prometheus {
    struct buf *out;
    char name[PROMETHEUS_NAME_BYTES]; /* of the family that is open */
};

/* Values are any UTF-8 text; what the format cannot take raw is escaped. */
struct prometheus_label {
    const char *name;
    const char *value;
};

/* Opens the next family, which nobody opened before. Its name is printf'd and has at most
 * PROMETHEUS_NAME_BYTES - 1 bytes of [a-z_]; a longer one fails the buf. */
void prometheus_family(struct prometheus *p, enum prometheus_type type, const char *help,
                       const char *name, ...) LARDER_PRINTF(4, 5);

/* A sample of the open family, with n labels (NULL when n is 0). */
void prometheus_uint(struct prometheus *p, const struct prometheus_label *labels, size_t n,
                     uint64_t v);

/* A sample without labels that is given in microseconds and shown in seconds, the unit that
 * Prometheus wants. */
void prometheus_seconds(struct prometheus *p, uint64_t microseconds);

struct prometheus_bucket {
    double bound_us; /* upper bound in microseconds */
    uint64_t count;  /* observations up to it: cumulative */
};

/* All samples of the open family, a histogram of durations: `n` buckets by rising bound, then the
 * infinite one, which is `count`, and the sum. Shown in seconds. */
void prometheus_histogram(struct prometheus *p, const struct prometheus_bucket *buckets, size_t n,
                          uint64_t count, uint64_t sum_us);

#endif
