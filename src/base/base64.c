/* Base64: see base64.h. */
#include "base/base64.h"

/* The last one stands for a byte that isn't there. */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
enum { PADDING = 64 };

/* One to three bytes as four characters. */
static void encode_group(char out[4], const unsigned char *bytes, size_t n) {
    uint32_t group = (uint32_t)bytes[0] << 16;
    group |= n > 1 ? (uint32_t)bytes[1] << 8 : 0;
    group |= n > 2 ? bytes[2] : 0;
    out[0] = digits[group >> 18];
    out[1] = digits[group >> 12 & 63];
    out[2] = digits[n > 1 ? group >> 6 & 63 : PADDING];
    out[3] = digits[n > 2 ? group & 63 : PADDING];
}

void base64_encode(struct buf *out, struct slice bytes) {
    if (!buf_reserve(out, (bytes.n + 2) / 3 * 4))
        return;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        encode_group(out->p + out->n, (const unsigned char *)bytes.p + i, left < 3 ? left : 3);
        out->n += 4;
    }
}

/* The six bits of a character, or -1. */
static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Four characters, the last `padding` of them '='. */
static bool decode_group(struct buf *out, const char *text, size_t padding) {
    uint32_t group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? digit_value(text[i]) : 0;
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
    }
    uint32_t behind = padding == 0 ? 0 : padding == 1 ? 0xff : 0xffff;
    if ((group & behind) != 0)
        return false;
    const unsigned char bytes[3] = {(unsigned char)(group >> 16), (unsigned char)(group >> 8),
                                    (unsigned char)group};
    buf_put(out, bytes, 3 - padding);
    return true;
}

bool base64_decode(struct buf *out, struct slice text) {
    if (text.n % 4 != 0)
        return false;
    for (size_t i = 0; i < text.n; i += 4) {
        size_t padding = 0;
        if (i + 4 == text.n && text.p[i + 3] == '=')
            padding = text.p[i + 2] == '=' ? 2 : 1;
        if (!decode_group(out, text.p + i, padding))
            return false;
    }
    return true;
}
