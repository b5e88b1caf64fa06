/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef LARDER_BASE_UTF8_H
#define LARDER_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Decodes the sequence at p, of which n >= 1 bytes are there. Gives its length, 1 to 4, and the
 * code point; 0 if the bytes are not a well-formed sequence. `code` may be NULL. */
size_t utf8_decode(const char *p, size_t n, uint32_t *code);

/* The whole text is well-formed. Fast on ASCII. The empty text is. */
bool utf8_valid(struct slice text);

#endif
