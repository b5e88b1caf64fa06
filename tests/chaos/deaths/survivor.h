/* Who goes on after a death: looks whether everything is right, and does what has to be possible.
 */
#ifndef LARDER_DEATHS_SURVIVOR_H
#define LARDER_DEATHS_SURVIVOR_H

#include <stdbool.h>

#include "act.h"
#include "tally.h"

/* The writer of `row` has died; `publisher_died`: nobody else publishes addresses now. */
void survivor_look(const struct ground *ground, uint32_t row, bool publisher_died,
                   struct tally *tally);

/* The row has a new writer: its counters and ledger are right as they are. */
void survivor_note(const struct ground *ground, uint32_t row);

#endif
