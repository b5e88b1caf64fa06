/* Escaping for log lines and messages: see printable.h. */
#include "base/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

enum { SHOWN_MAX = 256, ESCAPE_BYTES = 4 };

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
}

size_t printable_copy(char *out, size_t cap, struct slice text, size_t *taken) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    size_t at = 0;
    while (at < text.n) {
        const char *p = text.p + at;
        uint32_t code = 0;
        size_t length = utf8_decode(p, text.n - at, &code);
        if (length > 0 && !is_control(code)) {
            if (cap - n < length)
                break;
            memcpy(out + n, p, length);
            n += length;
            at += length;
            continue;
        }
        if (cap - n < ESCAPE_BYTES)
            break;
        /* One byte at a time: what follows the first byte of a sequence is no sequence. */
        unsigned char byte = (unsigned char)*p;
        memcpy(out + n, (char[]){'\\', 'x', hex[byte >> 4], hex[byte & 15]}, ESCAPE_BYTES);
        n += ESCAPE_BYTES;
        at++;
    }
    *taken = at;
    return n;
}

void printable_put(struct buf *out, struct slice text) {
    char shown[SHOWN_MAX];
    size_t taken = 0;
    size_t n = printable_copy(shown, sizeof(shown), text, &taken);
    buf_put(out, shown, n);
    if (taken < text.n)
        buf_puts(out, "...");
}
