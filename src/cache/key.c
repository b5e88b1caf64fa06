/* Keys in request targets: see key.h. */
#include "cache/key.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/uri.h"
#include "base/utf8.h"

/* What has been seen of the segment that is being decoded. */
struct segment {
    size_t bytes;
    size_t dots;
};

/* Empty, "." or "..": a name that a server on the way may fold away. */
static bool segment_is_special(struct segment s) {
    return s.bytes == s.dots && s.bytes <= 2;
}

/* Takes one byte, raw or escaped, off the front of `raw`; false if it is malformed. */
static bool take_byte(struct slice *raw, char *byte) {
    char c = raw->p[0];
    if (c == '%')
        return uri_scan_escape(raw, byte);
    if (!uri_is_pchar(c) && c != '/')
        return false;
    *byte = c;
    return scan_char(raw, c);
}

/* Decodes all of `raw`, of which key->bytes keeps what has room; key->n counts every byte. */
static enum error decode(struct key *key, struct slice raw) {
    struct segment segment = {0};
    key->n = 0;
    while (raw.n > 0) {
        char byte;
        if (!take_byte(&raw, &byte))
            return E_MALFORMED_PATH;
        if (key->n < KEY_MAX)
            key->bytes[key->n] = byte;
        key->n++;
        if (byte != '/') {
            segment.bytes++;
            segment.dots += byte == '.';
            continue;
        }
        if (segment_is_special(segment))
            return E_MALFORMED_PATH;
        segment = (struct segment){0};
    }
    return segment_is_special(segment) ? E_MALFORMED_PATH : OK;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F);
}

static bool is_text(const struct key *key) {
    for (size_t at = 0; at < key->n;) {
        uint32_t code;
        if (key->bytes[at] >= ' ' && key->bytes[at] < 0x7F) {
            at++;
            continue;
        }
        size_t length = utf8_decode(key->bytes + at, key->n - at, &code);
        if (length == 0 || is_control(code))
            return false;
        at += length;
    }
    return true;
}

enum error key_decode(struct key *key, struct slice raw) {
    if (raw.n == 0)
        return E_INVALID_KEY;
    enum error e = decode(key, raw);
    if (e != OK)
        return e;
    if (key->n > KEY_MAX)
        return E_KEY_TOO_LONG;
    return is_text(key) ? OK : E_INVALID_KEY;
}
