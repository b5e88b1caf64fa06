/* Memory that is out when a test says so, for the code that is linked into the tests (not for what
 * libraries do among themselves). Makefile.am has the linker lead its calls here. */
#ifndef LARDER_TESTS_SCARCE_H
#define LARDER_TESTS_SCARCE_H

#include <stdbool.h>
#include <stddef.h>

/* From here on, one allocation fails: the one after `before` others. Only one: code that passes
 * over a failure must not be saved by the next. Not for more than one thread. */
void scarce_begin(size_t before);

/* Gives how many of the blocks allocated since scarce_begin are still in use; `*refused`: it came
 * to the allocation that fails. */
size_t scarce_end(bool *refused);

/* What a test does for itself in between neither fails nor counts. */
void scarce_pause(void);
void scarce_resume(void);

#endif
