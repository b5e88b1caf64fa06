/* Query parameters: http/query.c against a reader that first writes down all pairs. */
#include "fuzz.h"
#include "http/query.h"
#include "reference.h"

enum { WANTED = 3, PAIRS_MAX = 600, TEXT_MAX = 4096 };

static const struct slice names[WANTED] = {SLICE_INIT("ttl"), SLICE_INIT("tag"), SLICE_INIT("a b")};

struct pair {
    struct slice name, value; /* raw */
};

static size_t split(struct slice query, struct pair *pairs) {
    size_t n = 0;
    while (query.n > 0) {
        struct slice both = fuzz_part(&query, '&');
        if (both.n == 0)
            continue;
        pairs[n].name = fuzz_part(&both, '=');
        pairs[n++].value = both;
    }
    return n;
}

/* Form decoding; false at a broken escape. */
static bool decode(struct slice raw, char *out, struct slice *text) {
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i] == '+' ? ' ' : raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? reference_hex(raw.p[i + 1]) : -1;
            int low = i + 2 < raw.n ? reference_hex(raw.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    *text = (struct slice){out, n};
    return true;
}

/* RFC 3986, 3.4. */
static bool may_stand_raw(struct slice value) {
    for (size_t i = 0; i < value.n; i++)
        if (!reference_is_one_of(value.p[i], "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                             "0123456789-._~!$&'()*+,;=:@/?%"))
            return false;
    return true;
}

static enum error expect(struct slice query, bool strict, struct slice values[WANTED], char *room) {
    static struct pair pairs[PAIRS_MAX];
    static char scratch[TEXT_MAX];
    size_t count = split(query, pairs);
    for (size_t i = 0; i < count; i++) {
        struct slice name;
        if (!decode(pairs[i].name, scratch, &name))
            return E_INVALID_PARAMETER;
        size_t row = 0;
        while (row < WANTED && !slice_eq(names[row], name))
            row++;
        if (row == WANTED) {
            if (strict)
                return E_UNKNOWN_PARAMETER;
            continue;
        }
        if (values[row].p != NULL || !may_stand_raw(pairs[i].value) ||
            !decode(pairs[i].value, room, &values[row]))
            return E_INVALID_PARAMETER;
        room += values[row].n;
    }
    return OK;
}

void fuzz_query(struct slice input) {
    static struct buf decoded;
    static char room[TEXT_MAX];
    struct slice got[WANTED];
    struct slice wanted[WANTED] = {{0}};
    struct query_wanted rows[WANTED];
    struct query_fault fault;
    bool strict = (fuzz_byte(&input) & 1) != 0;
    if (input.n > PAIRS_MAX)
        return;
    for (size_t i = 0; i < WANTED; i++)
        rows[i] = (struct query_wanted){names[i], &got[i]};
    enum error expected = expect(input, strict, wanted, room);
    decoded.n = 0;
    buf_puts(&decoded, "kept");
    enum error e = query_read(input, strict, rows, WANTED, &decoded, &fault);
    need(e == expected);
    need((e == OK) == (fault.detail[0] == '\0'));
    need(reference_is_clean(slice_of(fault.detail)));
    need(memcmp(decoded.p, "kept", 4) == 0 && (e == OK || decoded.n == 4));
    for (size_t i = 0; i < WANTED; i++) {
        struct slice value = e == OK ? wanted[i] : (struct slice){0};
        need((got[i].p == NULL) == (value.p == NULL));
        need(slice_eq(got[i], value));
    }
}
