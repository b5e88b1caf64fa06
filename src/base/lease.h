/*
 * A right that one process has at a time and that expires by itself: a time in shared memory, moved
 * by compare-and-swap. Who dies with it leaves nothing to clean up.
 */
#ifndef LARDER_BASE_LEASE_H
#define LARDER_BASE_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Takes the right for `duration` nanoseconds from `now` (clock_monotonic) on; false if it is
 * somebody's. Nobody takes it for longer than `longest`: what is further ahead is damage, and
 * nobody's. That should leave some room for who was held up between its look at the clock and this.
 */
bool lease_take(_Atomic int64_t *until, int64_t now, int64_t duration, int64_t longest);

#endif
