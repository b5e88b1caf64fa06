/* Query parameters: see query.h. */
#include "http/query.h"

#include <stdio.h>
#include <string.h>

#include "base/scan.h"
#include "base/uri.h"

struct reader {
    const struct query_wanted *wanted;
    size_t count;
    bool strict;
    struct buf *decoded; /* has room for all of the query, so that values stay where they are */
    struct query_fault *fault;
};

static void say(const struct reader *r, const char *what, struct slice name, const char *why) {
    (void)snprintf(r->fault->detail, sizeof(r->fault->detail), "%s%.*s%s%s.", what, (int)name.n,
                   name.p, why, r->strict ? "; nothing was changed" : "");
}

/* Says which ones there are: "ttl and idle". */
static enum error refuse_unknown(const struct reader *r) {
    char names[64] = "";
    size_t n = 0;
    for (size_t i = 0; i < r->count && n < sizeof(names); i++) {
        struct slice name = r->wanted[i].name;
        const char *mark = i == 0 ? " but " : i + 1 < r->count ? ", " : " and ";
        n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%.*s", mark, (int)name.n, name.p);
    }
    say(r, "This request takes no query parameter", slice_of(names), "");
    return E_UNKNOWN_PARAMETER;
}

static enum error refuse(const struct reader *r, const char *what, struct slice name,
                         const char *why) {
    say(r, what, name, why);
    return E_INVALID_PARAMETER;
}

/* Takes what stands before the first `mark`, and the mark, off `rest`; all of it if there is none.
 */
static struct slice scan_part(struct slice *rest, char mark) {
    const char *end = rest->n > 0 ? memchr(rest->p, mark, rest->n) : NULL;
    struct slice part = scan_bytes(rest, end != NULL ? (size_t)(end - rest->p) : rest->n);
    (void)scan_char(rest, mark);
    return part;
}

/* RFC 3986, 3.4; whether an escape is whole, decode finds out. */
static bool may_stand_raw(char c) {
    return uri_is_pchar(c) || c == '/' || c == '?' || c == '%';
}

/* Appends what `raw` stands for; false at a broken escape. */
static bool decode(struct slice raw, struct buf *out) {
    while (raw.n > 0) {
        char c;
        if (scan_char(&raw, '+'))
            c = ' ';
        else if (raw.p[0] != '%')
            c = *scan_bytes(&raw, 1).p;
        else if (!uri_scan_escape(&raw, &c))
            return false;
        buf_put_char(out, c);
    }
    return true;
}

static const struct query_wanted *find(const struct reader *r, struct slice name) {
    for (size_t i = 0; i < r->count; i++)
        if (slice_eq(r->wanted[i].name, name))
            return &r->wanted[i];
    return NULL;
}

static enum error read_pair(const struct reader *r, struct slice pair) {
    struct buf *out = r->decoded;
    const size_t start = out->n;
    struct slice name = scan_part(&pair, '=');
    struct slice value = pair;
    if (!decode(name, out))
        return refuse(r, "The name of a query parameter", SLICE(""), " has a broken percent sign");
    const struct query_wanted *row = find(r, (struct slice){out->p + start, out->n - start});
    out->n = start;
    if (row == NULL)
        return r->strict ? refuse_unknown(r) : OK;
    if (row->value->p != NULL)
        return refuse(r, "The query parameter ", row->name, " is there twice");
    struct slice odd = value;
    (void)scan_while(&odd, may_stand_raw);
    if (odd.n > 0 || !decode(value, out))
        return refuse(r, "The query parameter ", row->name,
                      " has a broken percent sign, or a character that must be percent-encoded");
    *row->value = (struct slice){out->p + start, out->n - start};
    return OK;
}

static void forget_values(const struct query_wanted *wanted, size_t count) {
    for (size_t i = 0; i < count; i++)
        *wanted[i].value = (struct slice){0};
}

enum error query_read(struct slice query, bool strict, const struct query_wanted *wanted,
                      size_t count, struct buf *decoded, struct query_fault *fault) {
    const struct reader reader = {wanted, count, strict, decoded, fault};
    const size_t start = decoded->n;
    fault->detail[0] = '\0';
    forget_values(wanted, count);
    if (query.n == 0)
        return OK;
    if (!buf_reserve(decoded, query.n))
        return E_OUT_OF_MEMORY;
    enum error e = OK;
    while (query.n > 0 && e == OK) {
        struct slice pair = scan_part(&query, '&');
        if (pair.n > 0)
            e = read_pair(&reader, pair);
    }
    if (e != OK) {
        forget_values(wanted, count);
        decoded->n = start;
    }
    return e;
}
