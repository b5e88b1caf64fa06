/*
 * Death at each instruction: a process is single-stepped (ptrace(2)) through an act, and after each
 * instruction a survivor gets the segment as it is then, in a copy: what a kill at that very moment
 * would leave.
 */
#ifndef LARDER_DEATHS_STEP_H
#define LARDER_DEATHS_STEP_H

#include <stdbool.h>

#include "act.h"
#include "tally.h"

/* `scratch` is a ground like `ground`, for the survivors. False: this machine lets nobody be
 * traced, and errno says why. */
bool step_through(enum act act, const struct ground *ground, const struct ground *scratch,
                  struct tally *tally);

#endif
