/*
 * JSON strings, read and written: the part of jsontext.h below the scanner. What is read here has
 * passed the scanner, so every escape is whole and every surrogate has its other half.
 */
#include "base/jsontext.h"

#include <endian.h>
#include <stdint.h>

#include "base/base64.h"
#include "base/hex.h"

enum { UTF8_MAX = 4 };

/* Gives the length, 1 to UTF8_MAX. */
static size_t utf8_encode(uint32_t code, char out[UTF8_MAX]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = length - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(0xF00 >> length | code);
    return length;
}

/* The code point of the \uXXXX at p, or of the surrogate pair; moves p behind it. */
static uint32_t take_unicode_escape(const char **p) {
    uint32_t unit = (uint32_t)hex_value4(*p + 2);
    *p += 6;
    if (unit < 0xD800 || unit > 0xDFFF)
        return unit;
    uint32_t low = (uint32_t)hex_value4(*p + 2);
    *p += 6;
    return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
}

/* What the escape at p means, as UTF-8; moves p behind it. Gives the length. */
static size_t take_escape(const char **p, char out[UTF8_MAX]) {
    char letter = (*p)[1];
    if (letter == 'u')
        return utf8_encode(take_unicode_escape(p), out);
    static const char letters[] = "bfnrt";
    static const char meanings[] = "\b\f\n\r\t";
    const char *found = memchr(letters, letter, sizeof(letters) - 1);
    out[0] = letter;
    if (found != NULL)
        out[0] = meanings[found - letters];
    *p += 2;
    return 1;
}

/* Where the next escape is, or `end`. */
static const char *find_escape(const char *p, const char *end) {
    const char *backslash = memchr(p, '\\', (size_t)(end - p));
    return backslash != NULL ? backslash : end;
}

/* Takes `n` bytes off the front of `plain` if they are these. */
static bool take_same(struct slice *plain, const char *bytes, size_t n) {
    if (n > plain->n || memcmp(plain->p, bytes, n) != 0)
        return false;
    plain->p += n;
    plain->n -= n;
    return true;
}

bool jsontext_string_is(struct slice raw, struct slice plain) {
    if (raw.n == 0 || plain.n == 0)
        return raw.n == plain.n;
    const char *end = raw.p + raw.n;
    for (const char *p = raw.p; p < end;) {
        const char *run_end = find_escape(p, end);
        if (!take_same(&plain, p, (size_t)(run_end - p)))
            return false;
        p = run_end;
        if (p == end)
            break;
        char meaning[UTF8_MAX];
        size_t n = take_escape(&p, meaning);
        if (!take_same(&plain, meaning, n))
            return false;
    }
    return plain.n == 0;
}

void jsontext_decode(struct buf *out, struct slice raw) {
    if (raw.n == 0)
        return;
    const char *end = raw.p + raw.n;
    for (const char *p = raw.p; p < end;) {
        const char *run_end = find_escape(p, end);
        buf_put(out, p, (size_t)(run_end - p));
        p = run_end;
        if (p == end)
            break;
        char meaning[UTF8_MAX];
        size_t n = take_escape(&p, meaning);
        buf_put(out, meaning, n);
    }
}

static void put_escape(struct buf *out, unsigned char c) {
    static const char meanings[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    static const char hex[] = "0123456789abcdef";
    const char *found = memchr(meanings, c, sizeof(meanings) - 1);
    if (found != NULL)
        buf_put(out, (const char[]){'\\', letters[found - meanings]}, 2);
    else
        buf_put(out, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
}

static bool needs_escape(unsigned char c) {
    return c < ' ' || c == '"' || c == '\\';
}

/* The bytes of a word that need an escape have their top bit set in the result. The bit of the
 * first such byte is exact; those above it may be set wrongly, because the subtractions borrow. */
static uint64_t escapes_in(uint64_t word) {
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t quote = word ^ each * '"';
    uint64_t backslash = word ^ each * '\\';
    uint64_t control = (word - each * ' ') & ~word;
    return (((quote - each) & ~quote) | ((backslash - each) & ~backslash) | control) & each * 0x80;
}

/* How many bytes from `p` on need no escape. */
static size_t plain_length(const char *p, size_t n) {
    size_t i = 0;
    for (uint64_t word; n - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, p + i, sizeof(word));
        uint64_t stops = escapes_in(le64toh(word));
        if (stops != 0)
            return i + (size_t)__builtin_ctzll(stops) / 8;
    }
    while (i < n && !needs_escape((unsigned char)p[i]))
        i++;
    return i;
}

void jsontext_put_string(struct buf *out, struct slice text) {
    buf_put_char(out, '"');
    for (size_t i = 0; i < text.n;) {
        size_t plain = plain_length(text.p + i, text.n - i);
        buf_put(out, text.p + i, plain);
        i += plain;
        if (i < text.n)
            put_escape(out, (unsigned char)text.p[i++]);
    }
    buf_put_char(out, '"');
}

void jsontext_put_base64(struct buf *out, struct slice bytes) {
    buf_put_char(out, '"');
    base64_encode(out, bytes);
    buf_put_char(out, '"');
}
