/* UTF-8: see utf8.h. */
#include "base/utf8.h"

/* What a lead byte promises: the length in bytes, 0 for a byte that can start nothing. */
static size_t sequence_length(unsigned char lead) {
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2) /* a continuation byte, or an overlong form of ASCII */
        return 0;
    if (lead < 0xE0)
        return 2;
    if (lead < 0xF0)
        return 3;
    return lead < 0xF5 ? 4 : 0;
}

/* The smallest code point that needs as many bytes: anything below is overlong. */
static const uint32_t least_code[] = {0, 0, 0x80, 0x800, 0x10000};

size_t utf8_decode(const char *p, size_t n, uint32_t *code) {
    const unsigned char *bytes = (const unsigned char *)p;
    size_t length = sequence_length(bytes[0]);
    if (length == 0 || length > n)
        return 0;
    uint32_t c = length == 1 ? bytes[0] : bytes[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        c = c << 6 | (bytes[i] & 0x3F);
    }
    bool surrogate = c >= 0xD800 && c <= 0xDFFF;
    if (c < least_code[length] || c > 0x10FFFF || surrogate)
        return 0;
    if (code != NULL)
        *code = c;
    return length;
}

/* Steps over ASCII, eight bytes at a time while there are as many. */
static const char *skip_ascii(const char *p, const char *end) {
    uint64_t word;
    while ((size_t)(end - p) >= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            break;
        p += sizeof(word);
    }
    while (p < end && (unsigned char)*p < 0x80)
        p++;
    return p;
}

bool utf8_valid(struct slice text) {
    if (text.n == 0)
        return true;
    const char *end = text.p + text.n;
    const char *p = skip_ascii(text.p, end);
    while (p < end) {
        size_t length = utf8_decode(p, (size_t)(end - p), NULL);
        if (length == 0)
            return false;
        p += length;
        if (p < end && (unsigned char)*p < 0x80)
            p = skip_ascii(p, end);
    }
    return true;
}
