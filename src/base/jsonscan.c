/* Strings, numbers and literals of strict RFC 8259: see jsonscan.h. */
#include "base/jsonscan.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "base/hex.h"
#include "base/slice.h"
#include "base/utf8.h"

bool jsonscan_fail(struct jsonscan *s, const char *reason) {
    s->error = E_INVALID_JSON;
    s->reason = s->at < s->end ? reason : "it ends too early";
    return false;
}

/* --- strings --------------------------------------------------------------------------------- */

static bool is_plain(unsigned char c) {
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/*
 * The bytes of a word that are not plain have their top bit set in the result. The bit of the
 * first such byte is exact; those above it may be set wrongly, because the subtractions borrow.
 */
static uint64_t not_plain(uint64_t word) {
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t quote = (word ^ each * '"') - each;
    uint64_t backslash = (word ^ each * '\\') - each;
    uint64_t control = word - each * ' ';
    return (quote | backslash | control | word) & each * 0x80;
}

/* Compared as signed bytes, those above ASCII are less than a space, too. */
typedef signed char block __attribute__((vector_size(16)));

static bool all_plain(const char *p) {
    block c;
    uint64_t halves[2];
    memcpy(&c, p, sizeof(c));
    block stops = (c < ' ') | (c == '"') | (c == '\\');
    memcpy(halves, &stops, sizeof(halves));
    return (halves[0] | halves[1]) == 0;
}

static const char *skip_plain(const char *p, const char *end) {
    uint64_t word;
    while ((size_t)(end - p) >= sizeof(block) && all_plain(p))
        p += sizeof(block);
    while ((size_t)(end - p) >= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        uint64_t stops = not_plain(le64toh(word));
        if (stops != 0)
            return p + __builtin_ctzll(stops) / 8;
        p += sizeof(word);
    }
    while (p < end && is_plain((unsigned char)*p))
        p++;
    return p;
}

static bool scan_non_ascii(struct jsonscan *s) {
    do {
        size_t n = utf8_decode(s->at, (size_t)(s->end - s->at), NULL);
        if (n == 0)
            return jsonscan_fail(s, "a string is not valid UTF-8");
        s->at += n;
    } while (jsonscan_peek(s) >= 0x80);
    return true;
}

static bool is_low_surrogate(int32_t unit) {
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

/* The UTF-16 unit of a whole \uXXXX escape at `at`, or -1. */
static int32_t unit_here(const struct jsonscan *s) {
    if (s->end - s->at < 6 || s->at[0] != '\\' || s->at[1] != 'u')
        return -1;
    return hex_value4(s->at + 2);
}

static bool scan_unicode_escape(struct jsonscan *s) {
    int32_t unit = unit_here(s);
    if (unit < 0)
        return jsonscan_fail(s, "a Unicode escape has not four hexadecimal digits");
    if (is_low_surrogate(unit))
        return jsonscan_fail(s, "an escaped surrogate stands alone");
    s->at += 6;
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (!is_low_surrogate(unit_here(s)))
        return jsonscan_fail(s, "an escaped surrogate stands alone");
    s->at += 6;
    return true;
}

static bool scan_escape(struct jsonscan *s) {
    if (s->end - s->at < 2) {
        s->at = s->end;
        return jsonscan_fail(s, NULL);
    }
    switch (s->at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->at += 2;
        return true;
    case 'u':
        return scan_unicode_escape(s);
    default:
        return jsonscan_fail(s, "JSON has no such escape");
    }
}

bool jsonscan_string(struct jsonscan *s) {
    s->at++;
    for (;;) {
        s->at = skip_plain(s->at, s->end);
        int c = jsonscan_peek(s);
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c < ' ')
            return jsonscan_fail(s, "a control character in a string is not escaped");
        if (!(c == '\\' ? scan_escape(s) : scan_non_ascii(s)))
            return false;
    }
}

/* --- other scalars --------------------------------------------------------------------------- */

static bool scan_digits(struct jsonscan *s) {
    const char *p = s->at;
    while (p < s->end && *p >= '0' && *p <= '9')
        p++;
    bool any = p > s->at;
    s->at = p;
    return any || jsonscan_fail(s, "a number lacks a digit");
}

/* What may not follow, as a second digit after a leading zero, is refused as what follows. */
static bool scan_number(struct jsonscan *s) {
    if (jsonscan_peek(s) == '-')
        s->at++;
    if (jsonscan_peek(s) == '0')
        s->at++;
    else if (!scan_digits(s))
        return false;
    if (jsonscan_peek(s) == '.') {
        s->at++;
        if (!scan_digits(s))
            return false;
    }
    if (jsonscan_peek(s) == 'e' || jsonscan_peek(s) == 'E') {
        s->at++;
        if (jsonscan_peek(s) == '+' || jsonscan_peek(s) == '-')
            s->at++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_literal(struct jsonscan *s, struct slice literal) {
    if ((size_t)(s->end - s->at) < literal.n || memcmp(s->at, literal.p, literal.n) != 0)
        return jsonscan_fail(s, "no JSON value starts like this");
    s->at += literal.n;
    return true;
}

bool jsonscan_scalar(struct jsonscan *s) {
    int c = jsonscan_peek(s);
    switch (c) {
    case '"':
        return jsonscan_string(s);
    case 't':
        return scan_literal(s, SLICE("true"));
    case 'f':
        return scan_literal(s, SLICE("false"));
    case 'n':
        return scan_literal(s, SLICE("null"));
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return scan_number(s);
        return jsonscan_fail(s, "no JSON value starts like this");
    }
}
