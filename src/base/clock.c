/* Time: see clock.h. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id) {
    struct timespec ts;
    /* Cannot fail: the id is valid and the pointer is ours. */
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_monotonic(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_realtime(void) {
    return read_clock(CLOCK_REALTIME);
}

static void put_digits(char *out, int digits, int64_t v) {
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void clock_format(int64_t realtime, char out[CLOCK_TIMESTAMP_BYTES]) {
    static char calendar[] = "1970-01-01T00:00:00.000000Z";
    static int64_t second = 0;
    int64_t now = realtime / NS_PER_S;
    if (now != second) {
        time_t t = (time_t)now;
        struct tm tm;
        if (gmtime_r(&t, &tm) != NULL) {
            put_digits(calendar, 4, tm.tm_year + 1900);
            put_digits(calendar + 5, 2, tm.tm_mon + 1);
            put_digits(calendar + 8, 2, tm.tm_mday);
            put_digits(calendar + 11, 2, tm.tm_hour);
            put_digits(calendar + 14, 2, tm.tm_min);
            put_digits(calendar + 17, 2, tm.tm_sec);
            second = now;
        }
    }
    memcpy(out, calendar, CLOCK_TIMESTAMP_BYTES);
    put_digits(out + 20, 6, realtime % NS_PER_S / 1000);
}
