/* Base64 (RFC 4648, part 4: the standard alphabet, with padding). */
#ifndef LARDER_BASE_BASE64_H
#define LARDER_BASE_BASE64_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends the bytes' base64. */
void base64_encode(struct buf *out, struct slice bytes);

/* Appends what the text stands for. False if it is not canonical base64: a length that is no
 * multiple of four, a character outside the alphabet, padding elsewhere than at the end, bits set
 * behind the last byte. What was appended until then is to be thrown away. */
bool base64_decode(struct buf *out, struct slice text);

#endif
