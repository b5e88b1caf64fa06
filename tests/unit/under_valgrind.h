/* Whether valgrind runs the test. It keeps resource limits to itself, so the kernel never hears of
 * them; and it makes everything slow. */
#ifndef LARDER_TESTS_UNDER_VALGRIND_H
#define LARDER_TESTS_UNDER_VALGRIND_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool under_valgrind(void) {
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

#endif
