/* The framer: whatever the bytes and however they are cut, it says what a second, simple reader of
 * FastCGI 1.0 says that sees all of them at once. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/framer.h"
#include "records.h"
#include "require.h"
#include "support.h"

enum { BODY_MAX = 100 };

/* --- the second reader ----------------------------------------------------------------------- */

/* What became of a stream: every request in it, written down, and what came last. */
struct account {
    struct buf text;
    enum error last;
};

/* The padding is left out: where libfcgi loses track of it, it has to be cut away. */
static void put_unpadded(struct buf *out, struct slice records) {
    while (records.n > 0) {
        const unsigned char *h = (const unsigned char *)records.p;
        require(records.n >= RECORD_HEADER);
        size_t n = RECORD_HEADER + ((size_t)h[4] << 8 | h[5]);
        require(records.n >= n + h[6]);
        buf_put(out, records.p, n);
        out->p[out->n - n + 6] = 0;
        records = (struct slice){records.p + n + h[6], records.n - n - h[6]};
    }
}

static void write_down(struct account *a, unsigned id, bool keep, bool nul, bool too_large,
                       size_t body, struct slice records) {
    buf_printf(&a->text, "request %u, keep %d, nul %d, too large %d, body %zu:", id, keep, nul,
               too_large, body);
    put_unpadded(&a->text, records);
}

static void account_fini(struct account *a) {
    buf_fini(&a->text);
}

/* A length of part 3.4; false if it is cut off. */
static bool read_length(struct slice *pairs, size_t *length) {
    const unsigned char *p = (const unsigned char *)pairs->p;
    size_t bytes = pairs->n > 0 && p[0] >= 128 ? 4 : 1;
    if (pairs->n < bytes)
        return false;
    *length = bytes == 1
                  ? p[0]
                  : (size_t)(p[0] & 127) << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    *pairs = (struct slice){pairs->p + bytes, pairs->n - bytes};
    return true;
}

static bool pairs_are_good(struct slice pairs, bool *nul) {
    for (unsigned count = 0; pairs.n > 0; count++) {
        size_t name;
        size_t value;
        if (count == 256)
            return true; /* nobody looks at the rest */
        if (!read_length(&pairs, &name) || !read_length(&pairs, &value) || name + value > pairs.n)
            return false;
        *nul = *nul || (name + value > 0 && memchr(pairs.p, 0, name + value) != NULL);
        pairs = (struct slice){pairs.p + name + value, pairs.n - name - value};
    }
    return true;
}

struct reader {
    struct slice left;
    struct buf pairs;
    struct buf kept; /* the records that libfcgi is to see */
    size_t kept_before_body;
    size_t body;
    bool too_large;
    unsigned id;
};

/* The next record, which must be of this type and request (0: any); its content. */
static enum error next_record(struct reader *r, unsigned type, unsigned id, struct slice *content) {
    const unsigned char *h = (const unsigned char *)r->left.p;
    if (r->left.n < RECORD_HEADER)
        return E_AGAIN;
    r->id = (unsigned)h[2] << 8 | h[3];
    if (h[0] != 1 || h[1] != type || (id != 0 && r->id != id))
        return E_PROTOCOL;
    *content = (struct slice){r->left.p + RECORD_HEADER, (size_t)h[4] << 8 | h[5]};
    size_t whole = RECORD_HEADER + content->n + h[6];
    if (r->left.n < whole)
        return E_AGAIN;
    buf_put(&r->kept, r->left.p, whole);
    r->left = (struct slice){r->left.p + whole, r->left.n - whole};
    return OK;
}

static enum error read_params(struct reader *r, unsigned id) {
    struct slice content;
    for (;;) {
        enum error e = next_record(r, RECORD_PARAMS, id, &content);
        if (e != OK || content.n == 0)
            return e;
        buf_put_slice(&r->pairs, content);
        if (r->pairs.n > 65536)
            return E_PROTOCOL;
    }
}

static enum error read_stdin(struct reader *r, unsigned id, size_t body_max) {
    struct slice content;
    r->kept_before_body = r->kept.n;
    for (;;) {
        size_t before = r->kept.n;
        enum error e = next_record(r, RECORD_STDIN, id, &content);
        if (e != OK)
            return e;
        if (content.n == 0) {
            if (r->too_large) {
                memmove(r->kept.p + r->kept_before_body, r->kept.p + before, r->kept.n - before);
                r->kept.n = r->kept_before_body + r->kept.n - before;
            }
            return OK;
        }
        r->body += content.n;
        r->too_large = r->too_large || r->body > body_max;
    }
}

static enum error read_request(struct reader *r, size_t body_max, struct account *a) {
    struct slice content;
    bool nul = false;
    r->pairs.n = r->kept.n = r->body = 0;
    r->too_large = false;
    enum error e = next_record(r, RECORD_BEGIN, 0, &content);
    if (e != OK)
        return e;
    unsigned id = r->id;
    if (id == 0 || content.n != 8 || content.p[0] != 0 || content.p[1] != ROLE_RESPONDER)
        return E_PROTOCOL;
    bool keep = (content.p[2] & FLAG_KEEP) != 0;
    e = read_params(r, id);
    if (e != OK)
        return e;
    if (!pairs_are_good(buf_slice(&r->pairs), &nul))
        return E_PROTOCOL;
    e = read_stdin(r, id, body_max);
    if (e == OK)
        write_down(a, id, keep, nul, r->too_large, r->too_large ? 0 : r->body, buf_slice(&r->kept));
    return e;
}

static struct account expect(struct slice bytes, size_t body_max) {
    struct account a = {0};
    struct reader r = {.left = bytes};
    do {
        a.last = read_request(&r, body_max, &a);
    } while (a.last == OK);
    buf_fini(&r.pairs);
    buf_fini(&r.kept);
    return a;
}

/* --- the framer, fed ------------------------------------------------------------------------- */

struct feeder {
    struct framer framer;
    struct buf input; /* never a byte larger than what it holds */
    size_t body_max;
    struct account account;
};

static void feeder_init(struct feeder *f, size_t body_max) {
    *f = (struct feeder){.body_max = body_max, .account.last = E_AGAIN};
    framer_reset(&f->framer);
}

static void feeder_fini(struct feeder *f) {
    account_fini(&f->account);
    free(f->input.p);
}

static void grow_exactly(struct buf *b, struct slice more) {
    char *p = malloc(b->n + more.n);
    require(p != NULL);
    if (b->n > 0)
        memcpy(p, b->p, b->n);
    if (more.n > 0)
        memcpy(p + b->n, more.p, more.n);
    free(b->p);
    *b = (struct buf){.p = p, .n = b->n + more.n, .cap = b->n + more.n};
}

static void take_request(struct feeder *f) {
    struct framer *framer = &f->framer;
    require(framer->at <= f->input.n);
    write_down(&f->account, framer->id, framer->keep, framer->nul_in_params, framer->body_too_large,
               framer->stdin_bytes, (struct slice){f->input.p, framer->at});
    buf_consume(&f->input, framer->at);
    framer_reset(framer);
}

/* Once refused, a connection is closed: what follows is never read. */
static void feed(struct feeder *f, struct slice piece) {
    if (f->account.last != E_AGAIN || piece.n == 0)
        return;
    grow_exactly(&f->input, piece);
    do {
        f->account.last = framer_walk(&f->framer, &f->input, f->body_max);
        if (f->account.last == OK)
            take_request(f);
    } while (f->account.last == OK);
    /* What is thrown away must not be kept either: no more than the parameters, the body and a
     * record may be there. */
    if (f->account.last == E_AGAIN && f->framer.body_too_large)
        require(f->input.n < f->framer.stdin_start + RECORD_HEADER + 256);
}

static bool same(const struct account *a, const struct account *b) {
    return a->last == b->last && slice_eq(buf_slice(&a->text), buf_slice(&b->text));
}

/* Gives whether the framer agrees with `expected` when the bytes come in pieces of these sizes, in
 * turn; the last piece is what is left. */
static bool agrees(const struct account *expected, struct slice bytes, size_t body_max,
                   const size_t *pieces, size_t n) {
    struct feeder f;
    feeder_init(&f, body_max);
    for (size_t i = 0; i < n && bytes.n > 0; i++) {
        size_t piece = pieces[i] < bytes.n ? pieces[i] : bytes.n;
        feed(&f, (struct slice){bytes.p, piece});
        bytes = (struct slice){bytes.p + piece, bytes.n - piece};
    }
    feed(&f, bytes);
    bool agreed = same(&f.account, expected);
    feeder_fini(&f);
    return agreed;
}

static void check_byte_by_byte(const struct account *expected, struct slice bytes,
                               size_t body_max) {
    struct feeder f;
    feeder_init(&f, body_max);
    for (size_t i = 0; i < bytes.n; i++)
        feed(&f, (struct slice){bytes.p + i, 1});
    ck_assert(same(&f.account, expected));
    feeder_fini(&f);
}

/* Cuts the stream in two everywhere, and into single bytes. */
static void check_every_split(struct slice bytes, size_t body_max, unsigned requests,
                              enum error last) {
    struct account expected = expect(bytes, body_max);
    unsigned seen = 0;
    for (size_t at = 0; at + 8 <= expected.text.n; at++)
        seen += memcmp(expected.text.p + at, "request ", 8) == 0;
    ck_assert_uint_eq(seen, requests);
    ck_assert_int_eq(expected.last, last);
    for (size_t cut = 0; cut <= bytes.n; cut++)
        if (!agrees(&expected, bytes, body_max, &cut, 1))
            ck_abort_msg("cut at byte %zu", cut);
    check_byte_by_byte(&expected, bytes, body_max);
    account_fini(&expected);
}

/* --- streams --------------------------------------------------------------------------------- */

static struct buf stream;

static void setup(void) {
    stream = (struct buf){0};
}

static void teardown(void) {
    buf_fini(&stream);
}

static const struct web_request get = {.method = "GET", .target = "/cache/a"};
static const struct web_request put = {
    .id = 258,
    .close = true,
    .method = "PUT",
    .target = "/cache/b",
    .body = SLICE_INIT("{\"value\": 1}"),
    .params_step = 20,
    .body_step = 5,
    .padding = 3,
};

START_TEST(requests_are_found_at_every_split) {
    records_put_request(&stream, &get);
    check_every_split(buf_slice(&stream), BODY_MAX, 1, E_AGAIN);
}
END_TEST

START_TEST(requests_back_to_back_are_told_apart_at_every_split) {
    records_put_request(&stream, &get);
    records_put_request(&stream, &put);
    records_put_request(&stream, &get);
    check_every_split(buf_slice(&stream), BODY_MAX, 3, E_AGAIN);
}
END_TEST

START_TEST(padding_of_any_length_is_passed_over) {
    for (unsigned padding = 0; padding < 256; padding += 51) {
        struct web_request request = put;
        request.padding = padding;
        buf_reset(&stream, SIZE_MAX);
        records_put_request(&stream, &request);
        check_every_split(buf_slice(&stream), BODY_MAX, 1, E_AGAIN);
    }
}
END_TEST

START_TEST(flags_other_than_keep_are_ignored) {
    static const struct {
        unsigned flags;
        bool keep;
    } cases[] = {{0, false}, {1, true}, {2, false}, {254, false}, {255, true}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct feeder f;
        buf_reset(&stream, SIZE_MAX);
        feeder_init(&f, BODY_MAX);
        records_put_begin(&stream, 1, ROLE_RESPONDER, cases[i].flags, 0);
        feed(&f, buf_slice(&stream));
        ck_assert_int_eq(f.account.last, E_AGAIN);
        ck_assert_int_eq(f.framer.keep, cases[i].keep);
        feeder_fini(&f);
    }
}
END_TEST

/* --- bodies ---------------------------------------------------------------------------------- */

static char filler[BODY_MAX + 200];

static void put_body_of(size_t n, size_t step, unsigned padding) {
    struct web_request request = put;
    request.body = (struct slice){filler, n};
    request.body_step = step;
    request.padding = padding;
    buf_reset(&stream, SIZE_MAX);
    records_put_request(&stream, &request);
}

START_TEST(bodies_are_judged_at_the_byte) {
    static const struct {
        size_t bytes;
        bool too_large;
    } cases[] = {{0, false}, {BODY_MAX - 1, false}, {BODY_MAX, false}, {BODY_MAX + 1, true}};
    static const size_t steps[] = {0, 1, 7, BODY_MAX - 1, BODY_MAX, BODY_MAX + 1};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t k = 0; k < COUNT_OF(steps); k++) {
            struct framer f;
            put_body_of(cases[i].bytes, steps[k], 0);
            framer_reset(&f);
            ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), OK);
            ck_assert_int_eq(f.body_too_large, cases[i].too_large);
            ck_assert_uint_eq(f.stdin_bytes, cases[i].too_large ? 0 : cases[i].bytes);
            ck_assert_uint_eq(f.at, stream.n);
        }
}
END_TEST

START_TEST(body_over_the_limit_is_thrown_away_at_every_split) {
    static const size_t steps[] = {0, 9, BODY_MAX};
    for (size_t k = 0; k < COUNT_OF(steps); k++) {
        put_body_of(BODY_MAX + 50, steps[k], 5);
        /* What follows must still be found. */
        records_put_request(&stream, &get);
        check_every_split(buf_slice(&stream), BODY_MAX, 2, E_AGAIN);
    }
}
END_TEST

START_TEST(limit_of_nothing_takes_requests_without_a_body) {
    records_put_request(&stream, &get);
    records_put_request(&stream, &put);
    records_put_request(&stream, &get);
    check_every_split(buf_slice(&stream), 0, 3, E_AGAIN);
}
END_TEST

/* The record over the limit is judged by its header: memory is not filled to find out. */
START_TEST(surplus_is_thrown_away_before_it_is_whole) {
    struct feeder f;
    char header[RECORD_HEADER] = {1, RECORD_STDIN, 0, 1, (char)0xff, (char)0xff};
    records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
    records_put(&stream, RECORD_PARAMS, 1, (struct slice){0}, 0);
    size_t before = stream.n;
    buf_put(&stream, header, sizeof(header));
    buf_put(&stream, filler, 10);
    feeder_init(&f, BODY_MAX);
    feed(&f, buf_slice(&stream));
    ck_assert_int_eq(f.account.last, E_AGAIN);
    ck_assert(f.framer.body_too_large);
    ck_assert_uint_eq(f.input.n, before);
    for (int i = 0; i < 1000; i++)
        feed(&f, (struct slice){filler, 50});
    ck_assert_uint_eq(f.input.n, before);
    /* Each byte counts once, however they come. */
    ck_assert_uint_eq(f.framer.discarded, RECORD_HEADER + RECORD_CONTENT_MAX);
    feeder_fini(&f);
}
END_TEST

START_TEST(surplus_record_of_any_size_is_thrown_away) {
    static const char content[RECORD_CONTENT_MAX];
    static const size_t limits[] = {0, 1, BODY_MAX, 10000};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        struct framer f;
        buf_reset(&stream, SIZE_MAX);
        records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
        records_put(&stream, RECORD_PARAMS, 1, (struct slice){0}, 0);
        records_put(&stream, RECORD_STDIN, 1, (struct slice){content, sizeof(content)}, 255);
        records_put(&stream, RECORD_STDIN, 1, (struct slice){0}, 0);
        framer_reset(&f);
        ck_assert_int_eq(framer_walk(&f, &stream, limits[i]), OK);
        ck_assert(f.body_too_large);
    }
}
END_TEST

/* Memory is filled by headers and padding too: a byte of content may come as a record of 264. */
START_TEST(padding_without_end_is_refused) {
    enum { PADDED = RECORD_HEADER + 1 + 255 };
    struct framer f;
    enum error e = E_AGAIN;
    static const unsigned types[] = {RECORD_PARAMS, RECORD_STDIN};
    framer_reset(&f);
    records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
    if (_i == 1)
        records_put(&stream, RECORD_PARAMS, 1, (struct slice){0}, 0);
    ck_assert_int_eq(framer_walk(&f, &stream, 10000), E_AGAIN);
    for (int i = 0; i < 10000 && e == E_AGAIN; i++) {
        records_put(&stream, types[_i], 1, SLICE("x"), 255);
        e = framer_walk(&f, &stream, 10000);
    }
    ck_assert_int_eq(e, E_PROTOCOL);
    size_t content = _i == 0 ? FRAMER_PARAMS_MAX : 10000;
    ck_assert_uint_gt(stream.n, 2 * content + PADDED);
    ck_assert_uint_lt(stream.n, 4 * content + 100000);
}
END_TEST

START_TEST(body_without_end_is_hung_up_on) {
    static char content[RECORD_CONTENT_MAX];
    struct framer f;
    enum error e = E_AGAIN;
    size_t records = 0;
    records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
    records_put(&stream, RECORD_PARAMS, 1, (struct slice){0}, 0);
    framer_reset(&f);
    for (; e == E_AGAIN && records < 5000; records++) {
        records_put(&stream, RECORD_STDIN, 1, (struct slice){content, sizeof(content)}, 0);
        e = framer_walk(&f, &stream, BODY_MAX);
        require(stream.n <= 64);
    }
    ck_assert_int_eq(e, E_PROTOCOL);
    ck_assert_uint_eq(records, FRAMER_DISCARD_MAX / (RECORD_HEADER + sizeof(content)) + 1);
}
END_TEST

/* --- what is refused ------------------------------------------------------------------------- */

/* A header alone is enough to refuse it: the peer cannot make us wait for the rest of nonsense. */
static void check_refused_header(struct slice before, unsigned version, unsigned type,
                                 unsigned id) {
    char header[RECORD_HEADER] = {(char)version, (char)type, (char)(id >> 8), (char)id, 1, 0};
    buf_reset(&stream, SIZE_MAX);
    buf_put_slice(&stream, before);
    buf_put(&stream, header, sizeof(header));
    check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
}

START_TEST(only_the_record_that_is_due_is_taken) {
    struct buf before = {0};
    static const unsigned due[] = {RECORD_BEGIN, RECORD_PARAMS, RECORD_STDIN};
    for (size_t phase = 0; phase < COUNT_OF(due); phase++) {
        for (unsigned type = 0; type < 256; type += type < 16 ? 1 : 16)
            if (type != due[phase])
                check_refused_header(buf_slice(&before), 1, type, 1);
        static const unsigned versions[] = {0, 2, 129, 255};
        for (size_t i = 0; i < COUNT_OF(versions); i++)
            check_refused_header(buf_slice(&before), versions[i], due[phase], 1);
        static const unsigned others[] = {0, 2, 257, 65535};
        for (size_t i = 0; phase > 0 && i < COUNT_OF(others); i++)
            check_refused_header(buf_slice(&before), 1, due[phase], others[i]);
        if (phase == 0)
            records_put_begin(&before, 1, ROLE_RESPONDER, 0, 0);
        else
            records_put(&before, RECORD_PARAMS, 1, (struct slice){0}, 0);
    }
    buf_fini(&before);
}
END_TEST

START_TEST(begin_in_the_middle_of_a_request_is_refused) {
    struct web_request request = put;
    request.body_step = 0;
    struct buf whole = {0};
    records_put_request(&whole, &request);
    /* Instead of the last record, and instead of the whole body. */
    static const size_t cut[] = {RECORD_HEADER + 3,
                                 2 * (size_t)(RECORD_HEADER + 3) + sizeof("{\"value\": 1}") - 1};
    for (size_t i = 0; i < COUNT_OF(cut); i++) {
        buf_reset(&stream, SIZE_MAX);
        buf_put(&stream, whole.p, whole.n - cut[i]);
        records_put_request(&stream, &get);
        check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
    }
    buf_fini(&whole);
}
END_TEST

START_TEST(begin_must_be_a_responders) {
    static const unsigned roles[] = {0, 2, 3, 9, 256, 257, 0xff01};
    for (size_t i = 0; i < COUNT_OF(roles); i++) {
        buf_reset(&stream, SIZE_MAX);
        records_put_begin(&stream, 1, roles[i], FLAG_KEEP, 0);
        check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
    }
    buf_reset(&stream, SIZE_MAX);
    records_put_begin(&stream, 0, ROLE_RESPONDER, FLAG_KEEP, 0);
    check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
}
END_TEST

START_TEST(begin_has_eight_bytes) {
    static const char content[300] = {0, ROLE_RESPONDER};
    static const size_t lengths[] = {0, 1, 7, 9, 16, 264};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        buf_reset(&stream, SIZE_MAX);
        records_put(&stream, RECORD_BEGIN, 1, (struct slice){content, lengths[i]}, 0);
        check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
    }
}
END_TEST

/* --- parameters ------------------------------------------------------------------------------ */

/* A request with these bytes for its parameters, in records of `step`, and no body. */
static void put_params(struct slice pairs, size_t step) {
    buf_reset(&stream, SIZE_MAX);
    records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
    records_put_stream(&stream, RECORD_PARAMS, 1, pairs, step, 2);
    records_put(&stream, RECORD_STDIN, 1, (struct slice){0}, 0);
}

START_TEST(lengths_that_lie_are_refused) {
    static const struct slice cases[] = {
        SLICE_INIT("\1"),
        SLICE_INIT("\1\0"),
        SLICE_INIT("\0\1"),
        SLICE_INIT("\2\0a"),
        SLICE_INIT("\1\2ab"),
        SLICE_INIT("\0\0\1"),
        SLICE_INIT("\1\1ab\1\1a"),
        SLICE_INIT("\x80"),
        SLICE_INIT("\x80\0\0"),
        SLICE_INIT("\x80\0\0\1"),
        SLICE_INIT("\x80\0\0\1\0"),
        SLICE_INIT("\0\x80\0\0"),
        SLICE_INIT("\x80\0\0\2\1ab"),
        SLICE_INIT("\1\x80"),
        SLICE_INIT("\1\x80\0\0"),
        SLICE_INIT("\1\x80\0\0\2ab"),
        SLICE_INIT("\x7f\x7f"
                   "abc"),
        /* A decoder that allocates by them asks for 2 GiB, or for nothing by overflow. */
        SLICE_INIT("\xff\xff\xff\xff\1a"),
        SLICE_INIT("\1\xff\xff\xff\xff"
                   "a"),
        SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff"
                   "ab"),
        SLICE_INIT("\xc0\0\0\0\xc0\0\0\0"),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 0; step <= cases[i].n; step++) {
            put_params(cases[i], step);
            check_every_split(buf_slice(&stream), BODY_MAX, 0, E_PROTOCOL);
        }
}
END_TEST

START_TEST(lengths_in_long_form_are_read) {
    static const struct slice cases[] = {
        SLICE_INIT(""),
        SLICE_INIT("\0\0"),
        SLICE_INIT("\1\1ab"),
        SLICE_INIT("\0\1a"),
        SLICE_INIT("\x80\0\0\1\1ab"),
        SLICE_INIT("\1\x80\0\0\1ab"),
        SLICE_INIT("\1\0a\0\0"),
        SLICE_INIT("\x80\0\0\0\x80\0\0\0"),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 0; step <= cases[i].n; step++) {
            put_params(cases[i], step);
            check_every_split(buf_slice(&stream), BODY_MAX, 1, E_AGAIN);
        }
}
END_TEST

START_TEST(parameters_may_be_split_over_records_at_every_byte) {
    struct buf pairs = {0};
    char value[200];
    memset(value, 'v', sizeof(value));
    records_put_pair(&pairs, "REQUEST_METHOD", SLICE("PUT"));
    records_put_pair(&pairs, "LONG", (struct slice){value, sizeof(value)});
    records_put_pair(&pairs, "", SLICE(""));
    records_put_pair(&pairs, "REQUEST_URI", SLICE("/cache/a"));
    for (size_t cut = 1; cut < pairs.n; cut++) {
        buf_reset(&stream, SIZE_MAX);
        records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
        records_put(&stream, RECORD_PARAMS, 1, (struct slice){pairs.p, cut}, 1);
        records_put_stream(&stream, RECORD_PARAMS, 1, (struct slice){pairs.p + cut, pairs.n - cut},
                           0, 0);
        records_put(&stream, RECORD_STDIN, 1, (struct slice){0}, 0);
        struct account expected = expect(buf_slice(&stream), BODY_MAX);
        ck_assert_uint_gt(expected.text.n, 0);
        ck_assert_msg(agrees(&expected, buf_slice(&stream), BODY_MAX, NULL, 0), "at byte %zu", cut);
        account_fini(&expected);
    }
    put_params(buf_slice(&pairs), 1);
    struct account expected = expect(buf_slice(&stream), BODY_MAX);
    check_byte_by_byte(&expected, buf_slice(&stream), BODY_MAX);
    account_fini(&expected);
    buf_fini(&pairs);
}
END_TEST

static struct framer walked;

static enum error walk_params(const struct buf *pairs) {
    put_params(buf_slice(pairs), 0);
    framer_reset(&walked);
    return framer_walk(&walked, &stream, BODY_MAX);
}

START_TEST(parameters_are_counted) {
    struct buf pairs = {0};
    for (int i = 0; i < FRAMER_PARAM_COUNT_MAX; i++)
        records_put_pair(&pairs, "N", SLICE("v"));
    ck_assert_int_eq(walk_params(&pairs), OK);
    ck_assert(!walked.too_many_params);
    records_put_pair(&pairs, "N", SLICE("v"));
    ck_assert_int_eq(walk_params(&pairs), OK);
    ck_assert(walked.too_many_params);
    buf_fini(&pairs);
}
END_TEST

START_TEST(bytes_of_parameters_are_limited) {
    static char value[FRAMER_PARAMS_MAX];
    static const size_t head = 4 + 4; /* a short name's length, a long value's, "NAME" less one */
    memset(value, 'v', sizeof(value));
    for (size_t surplus = 0; surplus < 3; surplus++) {
        struct buf pairs = {0};
        records_put_pair(&pairs, "NAM",
                         (struct slice){value, FRAMER_PARAMS_MAX - head - 1 + surplus});
        ck_assert_uint_eq(pairs.n, FRAMER_PARAMS_MAX - 1 + surplus);
        ck_assert_int_eq(walk_params(&pairs), surplus < 2 ? OK : E_PROTOCOL);
        buf_fini(&pairs);
    }
}
END_TEST

/* However many records and whatever their padding: the limit holds before the stream's end. */
START_TEST(parameters_without_end_are_refused) {
    static char value[60000];
    struct framer f;
    framer_reset(&f);
    records_put_begin(&stream, 1, ROLE_RESPONDER, 0, 0);
    records_put(&stream, RECORD_PARAMS, 1, (struct slice){value, sizeof(value)}, 255);
    ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), E_AGAIN);
    records_put(&stream, RECORD_PARAMS, 1, (struct slice){value, sizeof(value)}, 255);
    ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), E_PROTOCOL);
}
END_TEST

START_TEST(nul_in_a_name_or_value_is_told) {
    static const struct {
        struct slice pairs;
        bool nul;
    } cases[] = {
        {SLICE_INIT("\1\1ab"), false},
        /* These zeros are lengths. */
        {SLICE_INIT("\1\0a"), false},
        {SLICE_INIT("\x80\0\0\1\x80\0\0\0a"), false},
        {SLICE_INIT("\1\1\0b"), true},
        {SLICE_INIT("\1\1a\0"), true},
        {SLICE_INIT("\1\2abc\0\3a\0b\1\1cd"), true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 0; step <= cases[i].pairs.n; step++) {
            struct framer f;
            put_params(cases[i].pairs, step);
            framer_reset(&f);
            ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), OK);
            ck_assert_int_eq(f.nul_in_params, cases[i].nul);
            framer_reset(&f);
            ck_assert(!f.nul_in_params);
        }
}
END_TEST

/* --- random ---------------------------------------------------------------------------------- */

enum { MUTANTS = 12000, PIECES = 6 };

static void put_seed_stream(uint64_t *seed) {
    size_t requests = 1 + random_below(seed, 3);
    buf_reset(&stream, SIZE_MAX);
    for (size_t i = 0; i < requests; i++) {
        struct web_request request = random_below(seed, 2) == 0 ? get : put;
        request.body = (struct slice){filler, random_below(seed, sizeof(filler))};
        request.params_step = random_below(seed, 30);
        request.body_step = random_below(seed, 120);
        request.padding = (unsigned)random_below(seed, 4);
        records_put_request(&stream, &request);
    }
}

/* A byte of some record's header, or any byte. */
static size_t choose_byte(uint64_t *seed) {
    size_t at = 0;
    if (random_below(seed, 4) == 0)
        return random_below(seed, stream.n);
    while (random_below(seed, 6) != 0) {
        const unsigned char *h = (const unsigned char *)stream.p + at;
        if (stream.n - at < RECORD_HEADER)
            return random_below(seed, stream.n);
        size_t next = at + RECORD_HEADER + ((size_t)h[4] << 8 | h[5]) + h[6];
        if (next >= stream.n)
            break;
        at = next;
    }
    at += random_below(seed, RECORD_HEADER + 4);
    return at < stream.n ? at : stream.n - 1;
}

static void mutate(uint64_t *seed) {
    size_t at = choose_byte(seed);
    size_t n = random_below(seed, stream.n - at < 20 ? stream.n - at : 20);
    struct buf copy = {0};
    switch (random_below(seed, 6)) {
    case 0:
        stream.p[at] = (char)random_next(seed);
        break;
    case 1:
        stream.p[at] = (char)(stream.p[at] + (random_below(seed, 2) == 0 ? 1 : -1));
        break;
    case 2:
        stream.p[at] = (char)(stream.p[at] ^ 1 << random_below(seed, 8));
        break;
    case 3:
        memmove(stream.p + at, stream.p + at + n, stream.n - at - n);
        stream.n -= n;
        break;
    case 4: /* n bytes twice */
        buf_put(&copy, stream.p + at, stream.n - at);
        stream.n = at + n;
        buf_put_slice(&stream, buf_slice(&copy));
        break;
    default:
        stream.n = at + 1;
        break;
    }
    buf_fini(&copy);
}

START_TEST(mutants_are_judged_as_the_second_reader_does) {
    uint64_t seed = 20;
    unsigned refused = 0;
    for (size_t i = 0; i < sizeof(filler); i++)
        filler[i] = (char)random_next(&seed);
    for (int i = 0; i < MUTANTS; i++) {
        size_t pieces[PIECES];
        uint64_t start = seed;
        put_seed_stream(&seed);
        for (size_t n = random_below(&seed, 4); n > 0; n--)
            mutate(&seed);
        for (size_t k = 0; k < PIECES; k++)
            pieces[k] = random_below(&seed, stream.n / 2 + 2);
        struct account expected = expect(buf_slice(&stream), BODY_MAX);
        if (!agrees(&expected, buf_slice(&stream), BODY_MAX, pieces, PIECES))
            ck_abort_msg("seed %llu", (unsigned long long)start);
        refused += expected.last == E_PROTOCOL;
        account_fini(&expected);
    }
    /* The mutations are of use: some streams are still good, some are not. */
    ck_assert_uint_gt(refused, MUTANTS / 10);
    ck_assert_uint_lt(refused, MUTANTS * 9 / 10);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_framer(void) {
    Suite *s = suite_create("framer");
    TCase *t = add_case(s, "requests");
    tcase_add_test(t, requests_are_found_at_every_split);
    tcase_add_test(t, requests_back_to_back_are_told_apart_at_every_split);
    tcase_add_test(t, padding_of_any_length_is_passed_over);
    tcase_add_test(t, flags_other_than_keep_are_ignored);
    t = add_case(s, "bodies");
    tcase_add_test(t, bodies_are_judged_at_the_byte);
    tcase_add_test(t, body_over_the_limit_is_thrown_away_at_every_split);
    tcase_add_test(t, limit_of_nothing_takes_requests_without_a_body);
    tcase_add_test(t, surplus_is_thrown_away_before_it_is_whole);
    tcase_add_test(t, surplus_record_of_any_size_is_thrown_away);
    tcase_add_loop_test(t, padding_without_end_is_refused, 0, 2);
    tcase_add_test(t, body_without_end_is_hung_up_on);
    t = add_case(s, "refused");
    tcase_add_test(t, only_the_record_that_is_due_is_taken);
    tcase_add_test(t, begin_in_the_middle_of_a_request_is_refused);
    tcase_add_test(t, begin_must_be_a_responders);
    tcase_add_test(t, begin_has_eight_bytes);
    t = add_case(s, "parameters");
    tcase_add_test(t, lengths_that_lie_are_refused);
    tcase_add_test(t, lengths_in_long_form_are_read);
    tcase_add_test(t, parameters_may_be_split_over_records_at_every_byte);
    tcase_add_test(t, parameters_are_counted);
    tcase_add_test(t, bytes_of_parameters_are_limited);
    tcase_add_test(t, parameters_without_end_are_refused);
    tcase_add_test(t, nul_in_a_name_or_value_is_told);
    t = add_case(s, "random");
    tcase_add_test(t, mutants_are_judged_as_the_second_reader_does);
    return s;
}
