/* CLOCK_MONOTONIC, which is Python's time.monotonic() too: what a scenario does and what is seen
 * here are on one axis. */
#ifndef VERIFY_CLOCK_H
#define VERIFY_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

static inline int64_t clock_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

#endif
