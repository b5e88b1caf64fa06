/* Calls into the kernel that fail when a test says so, for the code that is linked into the tests.
 * Makefile.am has the linker lead its calls here. */
#ifndef LARDER_TESTS_REFUSE_H
#define LARDER_TESTS_REFUSE_H

#include <stdbool.h>
#include <stddef.h>

enum refused {
#define REFUSE(name, type, failure, parameters, arguments) REFUSE_##name,
#include "refuse.def"
#undef REFUSE
    REFUSE_COUNT
};

/* From here on the call after `before` others of its kind fails, with this errno; only that one. */
void refuse_begin(enum refused call, size_t before, int error);

/* Whether it came to that. */
bool refuse_end(void);

#endif
