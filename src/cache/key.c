/* Keys in request targets: see key.h. */
#include "cache/key.h"

#include <stdint.h>
#include <string.h>

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

/* Takes one more byte of a key into account; false if a special segment ends with it. */
static bool step_segment(struct segment *segment, char byte) {
    if (byte != '/') {
        segment->bytes++;
        segment->dots += byte == '.';
        return true;
    }
    bool fine = !segment_is_special(*segment);
    *segment = (struct segment){0};
    return fine;
}

/* Decodes all of `raw`, of which the key keeps what has room; key->n counts every byte. */
static enum error decode(struct key *key, struct slice raw) {
    struct segment segment = {0};
    char *to = key->bytes + key->prefix;
    key->n = 0;
    while (raw.n > 0) {
        char byte;
        if (!take_byte(&raw, &byte))
            return E_MALFORMED_PATH;
        if (key->n < KEY_MAX)
            to[key->n] = byte;
        key->n++;
        if (!step_segment(&segment, byte))
            return E_MALFORMED_PATH;
    }
    return segment_is_special(segment) ? E_MALFORMED_PATH : OK;
}

static bool is_control(uint32_t code) {
    return code < 0x20 || (code >= 0x7F && code <= 0x9F);
}

bool key_text_is_valid(struct slice text) {
    for (size_t at = 0; at < text.n;) {
        uint32_t code;
        if (text.p[at] >= ' ' && text.p[at] < 0x7F) {
            at++;
            continue;
        }
        size_t length = utf8_decode(text.p + at, text.n - at, &code);
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
    return key_text_is_valid(key_slice(key)) ? OK : E_INVALID_KEY;
}

enum error key_check(struct slice plain) {
    struct segment segment = {0};
    if (plain.n == 0)
        return E_INVALID_KEY;
    if (plain.n > KEY_MAX)
        return E_KEY_TOO_LONG;
    for (size_t i = 0; i < plain.n; i++)
        if (!step_segment(&segment, plain.p[i]))
            return E_INVALID_KEY;
    return !segment_is_special(segment) && key_text_is_valid(plain) ? OK : E_INVALID_KEY;
}

void key_set_prefix(struct key *key, struct slice prefix) {
    key->prefix = prefix.n <= KEY_PREFIX_MAX ? prefix.n : KEY_PREFIX_MAX;
    if (key->prefix > 0)
        memcpy(key->bytes, prefix.p, key->prefix);
}
