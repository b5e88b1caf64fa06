/*
 * Text from outside made fit for a line of a log or an error message: it can neither end the line
 * nor speak to the terminal.
 */
#ifndef LARDER_BASE_PRINTABLE_H
#define LARDER_BASE_PRINTABLE_H

#include <stddef.h>

#include "base/buf.h"
#include "base/slice.h"

/* Copies `text` to `out`: control characters (C0, DEL, C1, U+2028, U+2029) and bytes that are not
 * UTF-8 become \xNN, everything else stays. Stops before the first character for which `cap` bytes
 * are too few. Returns how many bytes are in `out`; `*taken` is how many of the text's they stand
 * for. Writes no NUL. */
size_t printable_copy(char *out, size_t cap, struct slice text, size_t *taken);

/* Appends the same to a buffer; what is longer than 256 bytes then ends in "...". */
void printable_put(struct buf *out, struct slice text);

#endif
