/* RESP2's boundaries: see resp.h. */
#include "resp.h"

#include <string.h>

static void begin_line(struct resp *r, char type) {
    bool counted = type == '$' || type == '*';
    r->type = type;
    r->at = counted ? RESP_NUMBER : RESP_LINE;
    r->number = 0;
    r->negative = false;
}

/* A digit, the sign, or a byte that says nothing. */
static void read_digit(struct resp *r, char c) {
    if (c == '-')
        r->negative = true;
    else if (c >= '0' && c <= '9')
        r->number = r->number * 10 + (uint64_t)(c - '0');
}

/* A value is over; true if it was the whole one. */
static bool end_value(struct resp *r) {
    r->at = RESP_TYPE;
    if (r->pending == 0)
        return true;
    r->pending--;
    return false;
}

/* The line of a length or a count is over; true if the whole value is. */
static bool end_number(struct resp *r) {
    if (r->negative)
        return end_value(r);
    if (r->type == '$') {
        r->at = RESP_BODY;
        r->skip = r->number + 2;
        return false;
    }
    r->pending += r->number;
    return end_value(r);
}

/* Takes what it can of `n` bytes, at least one; gives how many. */
static size_t take(struct resp *r, const char *p, size_t n, bool *whole) {
    const char *end;
    size_t taken;
    switch (r->at) {
    case RESP_TYPE:
        begin_line(r, *p);
        return 1;
    case RESP_LINE:
        end = memchr(p, '\n', n);
        *whole = end != NULL && end_value(r);
        return end != NULL ? (size_t)(end - p) + 1 : n;
    case RESP_NUMBER:
        read_digit(r, *p);
        *whole = *p == '\n' && end_number(r);
        return 1;
    case RESP_BODY:
        break;
    }
    taken = n < r->skip ? n : (size_t)r->skip;
    r->skip -= taken;
    *whole = r->skip == 0 && end_value(r);
    return taken;
}

size_t resp_scan(struct resp *r, const char *p, size_t n, bool *whole) {
    size_t used = 0;
    *whole = false;
    while (used < n && !*whole)
        used += take(r, p + used, n - used, whole);
    return used;
}

bool resp_is_inside(const struct resp *r) {
    return r->at != RESP_TYPE || r->pending > 0;
}
