/* Time to live: see ttl.h. A number is read as the decimal text it is, so nothing is rounded. */
#include "cache/ttl.h"

#include <stdbool.h>
#include <sys/random.h>

#include "base/clock.h"

#include "base/ascii.h"
#include "base/scan.h"

/* A JSON number taken apart: digits, of which the first `point` stand before the decimal point
 * once the exponent has moved it. `point` may be below 0 or beyond the digits. */
struct decimal {
    struct slice integer;
    struct slice fraction;
    int64_t point;
    bool negative;
};

/* What follows the "e". Stops growing far above the length of any text, so that it can be added
 * to one, and a zero whose exponent it is stays a zero. */
static int64_t take_exponent(struct slice *text) {
    const int64_t enough = INT64_MAX / 32;
    bool negative = scan_char(text, '-');
    if (!negative)
        (void)scan_char(text, '+');
    int64_t value = 0;
    struct slice digits = scan_while(text, ascii_is_digit);
    for (size_t i = 0; i < digits.n && value < enough; i++)
        value = value * 10 + (digits.p[i] - '0');
    return negative ? -value : value;
}

static struct decimal decimal_of(struct slice number) {
    struct decimal d = {0};
    d.negative = scan_char(&number, '-');
    d.integer = scan_while(&number, ascii_is_digit);
    if (scan_char(&number, '.'))
        d.fraction = scan_while(&number, ascii_is_digit);
    d.point = (int64_t)d.integer.n;
    if (scan_char(&number, 'e') || scan_char(&number, 'E'))
        d.point += take_exponent(&number);
    return d;
}

/* Digit i of the number as if it went on with zeros for ever. */
static int digit_at(const struct decimal *d, size_t i) {
    if (i < d->integer.n)
        return d->integer.p[i] - '0';
    i -= d->integer.n;
    return i < d->fraction.n ? d->fraction.p[i] - '0' : 0;
}

static size_t digit_count(const struct decimal *d) {
    return d->integer.n + d->fraction.n;
}

static bool is_whole(const struct decimal *d) {
    size_t first = d->point > 0 ? (size_t)d->point : 0;
    for (size_t i = first; i < digit_count(d); i++)
        if (digit_at(d, i) != 0)
            return false;
    return true;
}

/* The digits before the point as a number, of which `is_whole` holds; false if it is above `max`.
 * A value other than zero grows with every digit, so only zeros can make this loop long, and of
 * those only the ones that are there are counted. */
static bool whole_value(const struct decimal *d, int64_t max, int64_t *value) {
    int64_t v = 0;
    for (size_t i = 0; (int64_t)i < d->point && (v > 0 || i < digit_count(d)); i++) {
        int digit = digit_at(d, i);
        if (v > max / 10 || v * 10 > max - digit)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

/* A string counts as the number in it if it is spelled as Redis or a shell would: digits only. */
static bool string_is_plain(struct slice inner) {
    struct slice rest = inner;
    struct slice digits = scan_while(&rest, ascii_is_digit);
    return digits.n > 0 && rest.n == 0 && (digits.n == 1 || digits.p[0] != '0');
}

static enum error refuse(const char **reason, const char *why) {
    *reason = why;
    return E_INVALID_TTL;
}

enum error ttl_parse(struct slice text, int64_t max, int64_t *seconds, const char **reason) {
    if (text.n >= 2 && text.p[0] == '"') {
        text = (struct slice){text.p + 1, text.n - 2};
        if (!string_is_plain(text))
            return refuse(reason, "a string of something else than plain digits");
    } else if (text.n == 0 || (text.p[0] != '-' && !ascii_is_digit(text.p[0]))) {
        return refuse(reason, "neither a number nor a string of digits");
    }
    struct decimal d = decimal_of(text);
    int64_t value = 0;
    if (!is_whole(&d))
        return refuse(reason, "not a whole number");
    if (!whole_value(&d, max, &value))
        return refuse(reason, d.negative ? "less than 1" : "more than the maximum");
    if (d.negative || value < 1)
        return refuse(reason, "less than 1");
    *seconds = value;
    return OK;
}

/* SplitMix64: quality enough to spread expiries, and nobody's secret. */
static uint64_t random_word(void) {
    static uint64_t state;
    if (state == 0 && getrandom(&state, sizeof(state), 0) != (ssize_t)sizeof(state))
        state = (uint64_t)clock_monotonic();
    uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

int64_t ttl_expiry(int64_t seconds, int64_t jitter) {
    int64_t expiry = seconds * 1000;
    int64_t most = expiry / 100 * jitter;
    if (most <= 0)
        return expiry;
    int64_t less = (int64_t)(random_word() % ((uint64_t)most + 1));
    return expiry - less > 1000 ? expiry - less : 1000;
}

int64_t ttl_seconds_left(int64_t pttl) {
    return pttl == 0 ? 1 : pttl / 1000 + (pttl % 1000 > 0);
}
