/* Characters and percent escapes of URIs (RFC 3986). */
#ifndef LARDER_BASE_URI_H
#define LARDER_BASE_URI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hex.h"
#include "base/scan.h"

/* 3.3: pchar, without the percent sign: letters, digits and -._~!$&'()*+,;=:@ as a set of bits. */
static inline bool uri_is_pchar(char c) {
    static const uint64_t set[2] = {UINT64_C(0x2FFF7FD200000000), UINT64_C(0x47FFFFFE87FFFFFF)};
    unsigned char code = (unsigned char)c;
    return code < 128 && (set[code / 64] >> code % 64 & 1) != 0;
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
