/* Death at any moment: processes that do everything at once, one of which is killed again and
 * again. */
#ifndef LARDER_DEATHS_CROWD_H
#define LARDER_DEATHS_CROWD_H

#include <stdbool.h>

#include "act.h"
#include "tally.h"

/* So many deaths. False, and errno: a process could not be made. */
bool crowd_run(uint64_t deaths, unsigned seed, struct ground *ground, struct tally *tally);

#endif
