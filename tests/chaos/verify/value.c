/* Values that say whose they are: see value.h. */
#include "value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Compiled in, so that nothing needs to be linked. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "random.h"

enum { PATTERN = 1 << 16, CHECKSUM_DIGITS = 16 };

static char pattern[PATTERN];

void value_setup(void) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t dice = 1;
    for (size_t i = 0; i < PATTERN; i++)
        pattern[i] = letters[random_next(&dice) % (sizeof(letters) - 1)];
}

/* Each version of each key has another filler, from another place of the pattern. */
static void fill(char *out, size_t n, const char *key, uint64_t version) {
    size_t at = (size_t)(XXH3_64bits_withSeed(key, strlen(key), version) % PATTERN);
    while (n > 0) {
        size_t some = PATTERN - at < n ? PATTERN - at : n;
        memcpy(out, pattern + at, some);
        out += some;
        n -= some;
        at = 0;
    }
}

/* Of the head before the checksum and of the filler behind it. */
static uint64_t checksum(const char *head, size_t head_n, const char *filler, size_t filler_n) {
    return XXH3_64bits_withSeed(filler, filler_n, XXH3_64bits(head, head_n));
}

size_t value_make(char *out, const char *key, uint64_t version, size_t filler) {
    char head[VALUE_KEY_MAX + 48];
    int n = snprintf(head, sizeof(head), "%s|%" PRIu64 "|%zu|", key, version, filler);
    char *at = out + n + CHECKSUM_DIGITS + 1;
    fill(at, filler, key, version);
    char sum[CHECKSUM_DIGITS + 2];
    (void)snprintf(sum, sizeof(sum), "%016" PRIx64 "|", checksum(head, (size_t)n, at, filler));
    memcpy(out, head, (size_t)n);
    memcpy(out + n, sum, CHECKSUM_DIGITS + 1);
    return (size_t)n + CHECKSUM_DIGITS + 1 + filler;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Takes digits and the bar behind them; false if there is something else. */
static bool take_number(const char **p, const char *end, uint64_t *number) {
    const char *at = *p;
    uint64_t n = 0;
    while (at < end && *at >= '0' && *at <= '9' && n < UINT64_MAX / 100)
        n = n * 10 + (uint64_t)(*at++ - '0');
    if (at == *p || at == end || *at != '|')
        return false;
    *p = at + 1;
    *number = n;
    return true;
}

static bool is_key(const char *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)p[i] <= ' ' || p[i] == '"' || (unsigned char)p[i] > '~')
            return false;
    return n > 0 && n <= VALUE_KEY_MAX;
}

enum value_state value_check(const char *p, size_t n, const char *key, uint64_t *version) {
    const char *end = p + n;
    const char *bar = memchr(p, '|', n);
    uint64_t length;
    if (bar == NULL || !is_key(p, (size_t)(bar - p)))
        return VALUE_UNKNOWN;
    const char *at = bar + 1;
    if (!take_number(&at, end, version) || !take_number(&at, end, &length))
        return VALUE_UNKNOWN;
    size_t head = (size_t)(at - p);
    if (end - at < CHECKSUM_DIGITS + 1 || at[CHECKSUM_DIGITS] != '|')
        return VALUE_DAMAGED;
    const char *filler = at + CHECKSUM_DIGITS + 1;
    char sum[CHECKSUM_DIGITS + 1];
    (void)snprintf(sum, sizeof(sum), "%016" PRIx64,
                   checksum(p, head, filler, (size_t)(end - filler)));
    if ((uint64_t)(end - filler) != length || memcmp(sum, at, CHECKSUM_DIGITS) != 0)
        return VALUE_DAMAGED;
    bool own = (size_t)(bar - p) == strlen(key) && memcmp(p, key, (size_t)(bar - p)) == 0;
    return own ? VALUE_WHOLE : VALUE_FOREIGN;
}
