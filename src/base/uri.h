/* Characters and percent escapes of URIs (RFC 3986). */
#ifndef LARDER_BASE_URI_H
#define LARDER_BASE_URI_H

#include <stdbool.h>
#include <string.h>

#include "base/ascii.h"
#include "base/hex.h"
#include "base/scan.h"

/* 3.3: pchar, without the percent sign. */
static inline bool uri_is_pchar(char c) {
    static const char marks[] = "-._~!$&'()*+,;=:@";
    return ascii_is_letter(c) || ascii_is_digit(c) || memchr(marks, c, sizeof(marks) - 1) != NULL;
}

/* Takes off an escape, "%41". False, with nothing taken off, if `rest` doesn't begin with one. */
static inline bool uri_scan_escape(struct slice *rest, char *byte) {
    if (rest->n < 3 || rest->p[0] != '%')
        return false;
    int high = hex_value(rest->p[1]);
    int low = hex_value(rest->p[2]);
    if (high < 0 || low < 0)
        return false;
    *byte = (char)(high << 4 | low);
    (void)scan_bytes(rest, 3);
    return true;
}

#endif
