/* Classes of characters as protocols mean them: ctype.h's depend on the locale, and are undefined
 * for the negative chars that bytes above 0x7F are. */
#ifndef LARDER_BASE_ASCII_H
#define LARDER_BASE_ASCII_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

static inline bool ascii_is_digit(char c) {
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static inline bool ascii_is_printable(char c) {
    return c >= ' ' && c <= '~';
}

/* The text is only printable ASCII. The empty one is. */
static inline bool ascii_text_is_printable(struct slice text) {
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_printable(text.p[i]))
            return false;
    return true;
}

#endif
