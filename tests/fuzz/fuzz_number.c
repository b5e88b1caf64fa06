/* Numbers: ttls as JSON spells them, against long hand; counters and cursors against the C library.
 */
#include <errno.h>

#include "base/buf.h"
#include "base/decimal.h"
#include "cache/integer.h"
#include "cache/keyscan.h"
#include "cache/ttl.h"
#include "fuzz.h"
#include "reference.h"

enum { TEXT_MAX = 4096 };

/* --- ttls --------------------------------------------------------------------------------------
 */

struct number {
    char digits[TEXT_MAX]; /* of the mantissa, without zeros at its ends */
    long n;
    long exponent; /* of ten, that the digits are to be multiplied by */
    bool negative;
};

static long read_exponent(const char *text) {
    const long far = 100000;
    bool negative = *text == '-';
    long v = 0;
    for (text += strspn(text, "+-"); *text != '\0'; text++)
        v = v < far ? v * 10 + (*text - '0') : v;
    return negative ? -v : v;
}

static void take_apart(const char *text, struct number *number) {
    bool fraction = false;
    *number = (struct number){.negative = *text == '-'};
    for (text += number->negative; *text != '\0' && *text != 'e' && *text != 'E'; text++) {
        if (*text == '.') {
            fraction = true;
            continue;
        }
        number->exponent -= fraction;
        if (number->n > 0 || *text != '0')
            number->digits[number->n++] = *text;
    }
    if (*text != '\0')
        number->exponent += read_exponent(text + 1);
    while (number->n > 0 && number->digits[number->n - 1] == '0') {
        number->n--;
        number->exponent++;
    }
}

/* The value, if it is whole and from 1 to `max`; else 0. */
static int64_t whole(const struct number *number, int64_t max) {
    __extension__ unsigned __int128 v = 0;
    if (number->n == 0 || number->negative || number->exponent < 0 ||
        number->n + number->exponent > 25)
        return 0;
    for (long i = 0; i < number->n + number->exponent; i++)
        v = v * 10 + (unsigned)(i < number->n ? number->digits[i] - '0' : 0);
    return v <= (uint64_t)max ? (int64_t)v : 0;
}

static bool is_all(const char *text, const char *characters) {
    return *text != '\0' && text[strspn(text, characters)] == '\0';
}

static int64_t expect_ttl(struct slice value, int64_t max) {
    static struct number number;
    static char text[TEXT_MAX];
    bool quoted = value.p[0] == '"';
    size_t quotes = quoted ? 2 : 0;
    memcpy(text, value.p + quotes / 2, value.n - quotes);
    text[value.n - quotes] = '\0';
    if (quoted && (!is_all(text, "0123456789") || (text[0] == '0' && text[1] != '\0') ||
                   strlen(text) != value.n - 2))
        return 0;
    if (!quoted && !reference_is_one_of(text[0], "-0123456789"))
        return 0;
    take_apart(text, &number);
    return whole(&number, max);
}

static void check_ttl(struct slice value) {
    static const int64_t limits[] = {1, 60, 31536000, INT64_C(10000000000), INT64_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        int64_t seconds = -7;
        const char *reason = NULL;
        int64_t wanted = expect_ttl(value, limits[i]);
        enum error e = ttl_parse(value, limits[i], &seconds, &reason);
        need(e == (wanted > 0 ? OK : E_INVALID_TTL));
        need(seconds == (wanted > 0 ? wanted : -7));
        need(e == OK || reason != NULL);
    }
}

static void check_times(struct slice rest) {
    int64_t seconds = (int64_t)(fuzz_word(&rest) % 10000000001U);
    int64_t jitter = fuzz_below(&rest, 91);
    int64_t expiry = ttl_expiry(seconds, jitter);
    need(expiry <= seconds * 1000 && expiry >= (seconds == 0 ? 0 : 1000));
    need(expiry >= seconds * 1000 - seconds * 10 * jitter - 1 || expiry == 1000);
    int64_t left = ttl_seconds_left(expiry);
    need(left >= 1 && left * 1000 >= expiry && (left - 1) * 1000 <= expiry);
}

/* --- counters and cursors ----------------------------------------------------------------------
 */

static void check_integer(struct slice text, const char *string) {
    char spelled[32];
    int64_t v = -7;
    errno = 0;
    long long wanted = strtoll(string, NULL, 10);
    (void)snprintf(spelled, sizeof(spelled), "%lld", wanted);
    bool is_one = errno == 0 && slice_eq(slice_of(spelled), text);
    need(integer_parse(text, &v) == (is_one ? OK : E_NOT_AN_INTEGER));
    need(v == (is_one ? wanted : -7));
    if (is_one) {
        char again[INTEGER_TEXT_MAX];
        need(slice_eq((struct slice){again, integer_put(again, v)}, text));
    }
}

static void check_cursor(struct slice text, const char *string) {
    char spelled[32];
    struct keyscan scan = {0};
    errno = 0;
    unsigned long long wanted = strtoull(string, NULL, 10);
    (void)snprintf(spelled, sizeof(spelled), "%llu", wanted);
    bool is_one = text.n == 0 || (errno == 0 && slice_eq(slice_of(spelled), text));
    need(keyscan_begin(&scan, text) == (is_one ? OK : E_INVALID_PARAMETER));
    if (is_one)
        need(slice_eq(keyscan_cursor(&scan), text.n == 0 ? SLICE("0") : text));
}

static void check_digits(struct slice rest) {
    char digits[DECIMAL_MAX];
    char wanted[32];
    uint64_t v = fuzz_word(&rest) >> fuzz_below(&rest, 64);
    (void)snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)v);
    need(slice_eq((struct slice){digits, decimal_put(digits, v)}, slice_of(wanted)));
}

void fuzz_number(struct slice input) {
    static char string[TEXT_MAX];
    if (input.n >= sizeof(string))
        return;
    if (input.n == 0)
        input = SLICE("");
    memcpy(string, input.p, input.n);
    string[input.n] = '\0';
    check_integer(input, string);
    check_cursor(input, string);
    check_digits(input);
    check_times(input);
    /* It is given JSON texts only. */
    bool outer_space = input.n > 0 && (reference_is_one_of(input.p[0], " \t\r\n") ||
                                       reference_is_one_of(input.p[input.n - 1], " \t\r\n"));
    if (!outer_space && reference_json(input, 8) == JSON_VALID)
        check_ttl(input);
}
