/* A right that expires by itself: see lease.h. */
#include "base/lease.h"

bool lease_take(_Atomic int64_t *until, int64_t now, int64_t duration, int64_t longest) {
    int64_t taken = atomic_load_explicit(until, memory_order_relaxed);
    if (taken > now && taken - now <= longest)
        return false;
    return atomic_compare_exchange_strong_explicit(until, &taken, now + duration,
                                                   memory_order_acq_rel, memory_order_relaxed);
}
