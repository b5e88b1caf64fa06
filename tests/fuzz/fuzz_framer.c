/*
 * FastCGI: however a web server's bytes are cut into pieces, http/framer.c finds the same request
 * in them, and libfcgi (http/fcgi.c) reads from it what a reader of the whole stream reads.
 *
 * The input is a number that says how it is cut, and the bytes.
 */
#include "fuzz.h"
#include "http/fcgi.h"
#include "http/framer.h"

enum { BODY_LIMIT = 64, PAIRS_MAX = 8192 };

/* --- the whole stream, read by the specification -----------------------------------------------
 */

struct seen {
    struct buf params; /* the contents of its records */
    struct buf body;
    bool whole;
};

static size_t take_record(struct slice *rest, unsigned type, unsigned id, struct slice *content) {
    const unsigned char *h = (const unsigned char *)rest->p;
    if (rest->n < 8 || h[0] != 1 || h[1] != type || (id != 0 && (h[2] << 8 | h[3]) != (int)id))
        return 0;
    size_t n = (size_t)(h[4] << 8 | h[5]);
    if (rest->n < 8 + n + h[6])
        return 0;
    *content = (struct slice){rest->p + 8, n};
    unsigned got = (unsigned)(h[2] << 8 | h[3]);
    *rest = (struct slice){rest->p + 8 + n + h[6], rest->n - 8 - n - h[6]};
    return got;
}

static bool take_stream(struct slice *rest, unsigned type, unsigned id, struct buf *out) {
    struct slice content;
    while (take_record(rest, type, id, &content) != 0) {
        if (content.n == 0)
            return true;
        buf_put_slice(out, content);
    }
    return false;
}

static void see(struct slice bytes, struct seen *seen) {
    struct slice begin;
    seen->params.n = seen->body.n = 0;
    unsigned id = (unsigned)take_record(&bytes, 1, 0, &begin);
    seen->whole = id != 0 && begin.n == 8 && begin.p[0] == 0 && begin.p[1] == 1 &&
                  take_stream(&bytes, 4, id, &seen->params) &&
                  take_stream(&bytes, 5, id, &seen->body);
}

struct pair {
    struct slice name, value;
};

static bool take_length(struct slice *rest, size_t *n) {
    if (rest->n == 0 || ((unsigned char)rest->p[0] >= 128 && rest->n < 4))
        return false;
    *n = fuzz_byte(rest);
    if (*n >= 128)
        for (int i = 0; i < 3; i++)
            *n = (*n << 8 | fuzz_byte(rest)) & 0x7FFFFFFF;
    return true;
}

/* -1: lengths that lie. */
static long take_pairs(struct slice rest, struct pair *pairs) {
    long count = 0;
    while (rest.n > 0) {
        size_t name;
        size_t value;
        if (!take_length(&rest, &name) || !take_length(&rest, &value) || name > rest.n ||
            value > rest.n - name)
            return -1;
        pairs[count++] = (struct pair){{rest.p, name}, {rest.p + name, value}};
        rest = (struct slice){rest.p + name + value, rest.n - name - value};
    }
    return count;
}

/* A parameter as libfcgi keeps it is one string, NAME=value, which may have its "=" in the name. */
static bool is_named(const struct pair *pair, const char *name, struct buf *value) {
    struct buf both = {0};
    size_t n = strlen(name);
    buf_put_slice(&both, pair->name);
    buf_put_char(&both, '=');
    buf_put_slice(&both, pair->value);
    bool is_it = both.n > n && memcmp(both.p, name, n) == 0 && both.p[n] == '=';
    value->n = 0;
    if (is_it)
        buf_put(value, both.p + n + 1, both.n - n - 1);
    buf_fini(&both);
    return is_it;
}

/* The parameter's value; what stands in several is one list if it is one. Gives how many. */
static unsigned find(const struct pair *pairs, long count, const char *name, bool list,
                     struct buf *out) {
    static struct buf value;
    unsigned found = 0;
    out->n = 0;
    for (long i = 0; i < count; i++) {
        if (!is_named(&pairs[i], name, &value))
            continue;
        if (found++ > 0 && !list)
            continue;
        if (out->n > 0 && value.n > 0)
            buf_puts(out, ", ");
        buf_put_slice(out, buf_slice(&value));
    }
    return found;
}

static void check_params(const struct seen *seen, const struct request_params *params) {
    static struct pair pairs[PAIRS_MAX];
    static struct buf wanted;
    const struct {
        const char *name;
        bool list;
        struct slice got;
    } rows[] = {
        {"REQUEST_METHOD", false, params->method},
        {"REQUEST_URI", false, params->target},
        {"CONTENT_TYPE", false, params->content_type},
        {"CONTENT_LENGTH", false, params->content_length},
        {"HTTP_CONTENT_ENCODING", false, params->content_encoding},
        {"HTTP_CONTENT_TYPE", false, params->content_type_field},
        {"HTTP_IF_MATCH", false, params->fields.if_match},
        {"HTTP_IF_NONE_MATCH", false, params->fields.if_none_match},
        {"HTTP_PREFER", true, params->fields.prefer},
        {"HTTP_CACHE_GROUPS", true, params->fields.cache_groups},
    };
    long count = take_pairs(buf_slice(&seen->params), pairs);
    bool twice = false;
    need(count >= 0 && count <= FRAMER_PARAM_COUNT_MAX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned found = find(pairs, count, rows[i].name, rows[i].list, &wanted);
        need((found == 0) == (rows[i].got.p == NULL));
        need(slice_eq(rows[i].got, buf_slice(&wanted)));
        twice = twice || (found > 1 && !rows[i].list);
    }
    need(params->error == (twice ? E_DUPLICATE_FIELD : OK));
}

/* --- the same in pieces ------------------------------------------------------------------------
 */

static enum error walk(struct slice bytes, uint64_t cuts, struct framer *f, struct buf *in) {
    enum error e = E_AGAIN;
    framer_reset(f);
    in->n = 0;
    while (bytes.n > 0 && e == E_AGAIN) {
        size_t n = cuts == 0 ? bytes.n : 1 + cuts % 61;
        cuts = cuts == 0 ? 0 : cuts * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        cuts |= cuts != 0;
        n = n < bytes.n ? n : bytes.n;
        buf_put(in, bytes.p, n);
        bytes = (struct slice){bytes.p + n, bytes.n - n};
        e = framer_walk(f, in, BODY_LIMIT);
    }
    return e;
}

static void check_same(const struct framer *a, const struct buf *in_a, const struct framer *b,
                       const struct buf *in_b) {
    need(a->state == b->state && a->at == b->at && a->id == b->id && a->keep == b->keep);
    need(a->nul_in_params == b->nul_in_params && a->too_many_params == b->too_many_params);
    need(a->params_bytes == b->params_bytes && a->stdin_bytes == b->stdin_bytes);
    need(a->body_too_large == b->body_too_large && a->discarded == b->discarded);
    need(in_a->n >= a->at && in_b->n >= b->at && memcmp(in_a->p, in_b->p, a->at) == 0);
}

static void decode(const struct seen *seen, const struct framer *f, const struct buf *in) {
    static struct buf strings;
    static struct buf body;
    struct request_params params = {0};
    strings.n = body.n = 0;
    need(fcgi_decode((struct slice){in->p, f->at}, f->body_too_large ? 0 : f->stdin_bytes, &params,
                     &strings, &body) == OK);
    if (!f->nul_in_params)
        check_params(seen, &params);
    need(
        slice_eq(buf_slice(&body), f->body_too_large ? (struct slice){0} : buf_slice(&seen->body)));
}

void fuzz_framer(struct slice input) {
    static struct seen seen;
    static struct framer f;
    static struct framer whole;
    static struct buf in;
    static struct buf whole_in;
    static bool set_up;
    if (!set_up)
        need(fcgi_setup() == OK);
    set_up = true;
    uint64_t cuts = fuzz_byte(&input) << 8 | 1;
    enum error e = walk(input, 0, &whole, &whole_in);
    need(walk(input, cuts, &f, &in) == e);
    if (input.n == 0 || e == E_PROTOCOL)
        return;
    need(e == OK || e == E_AGAIN);
    check_same(&f, &in, &whole, &whole_in);
    see(input, &seen);
    need(seen.whole || e == E_AGAIN);
    if (e != OK)
        return;
    need(whole.body_too_large == (seen.body.n > BODY_LIMIT));
    need(whole.nul_in_params || whole.params_bytes == seen.params.n);
    if (!whole.too_many_params)
        decode(&seen, &f, &in);
}
