/* Counters' numbers: see integer.h. */
#include "cache/integer.h"

#include "base/ascii.h"
#include "base/decimal.h"
#include "base/scan.h"

enum error integer_parse(struct slice text, int64_t *value) {
    bool negative = scan_char(&text, '-');
    struct slice digits = scan_while(&text, ascii_is_digit);
    if (digits.n == 0 || text.n > 0)
        return E_NOT_AN_INTEGER;
    if (digits.p[0] == '0' && (digits.n > 1 || negative))
        return E_NOT_AN_INTEGER;
    int64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int digit = digits.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return E_NOT_AN_INTEGER;
    }
    *value = v;
    return OK;
}

enum error integer_add(int64_t a, int64_t b, int64_t *sum) {
    int64_t s;
    if (__builtin_add_overflow(a, b, &s))
        return E_COUNTER_OVERFLOW;
    *sum = s;
    return OK;
}

size_t integer_put(char *to, int64_t v) {
    if (v >= 0)
        return decimal_put(to, (uint64_t)v);
    to[0] = '-';
    return 1 + decimal_put(to + 1, 0 - (uint64_t)v);
}
