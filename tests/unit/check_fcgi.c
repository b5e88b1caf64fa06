/* libfcgi as decoder: what a web server puts in comes out. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "http/fcgi.h"
#include "http/framer.h"
#include "records.h"
#include "support.h"

enum { MIB = 1 << 20, BODY_MAX = 2 * MIB };

static struct buf stream;
static struct buf body;
static struct buf strings;
static struct request_params params;

static void setup(void) {
    ck_assert_int_eq(fcgi_setup(), OK);
}

static void teardown(void) {
    buf_fini(&stream);
    buf_fini(&strings);
    buf_fini(&body);
}

/* Frames the request and decodes it, from memory that ends where the request does. */
static void decode(const struct web_request *request) {
    struct framer f;
    buf_reset(&stream, SIZE_MAX);
    buf_reset(&strings, SIZE_MAX);
    buf_reset(&body, SIZE_MAX);
    records_put_request(&stream, request);
    framer_reset(&f);
    ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), OK);
    ck_assert_uint_eq(f.at, stream.n);
    char *records = exact_copy(buf_slice(&stream));
    params = (struct request_params){0};
    enum error e =
        fcgi_decode((struct slice){records, f.at}, f.stdin_bytes, &params, &strings, &body);
    ck_assert_int_eq(e, OK);
    free(records);
}

#define ck_assert_slice(slice, text)                                                               \
    ck_assert_msg(slice_eq((slice), slice_of(text)), "%.*s is not %s", (int)(slice).n, (slice).p,  \
                  (text))

static void fill(struct buf *b, size_t n, uint64_t seed) {
    ck_assert(buf_reserve(b, n));
    for (size_t i = 0; i < n; i++)
        b->p[b->n + i] = (char)random_next(&seed);
    b->n += n;
}

/* --- decoding -------------------------------------------------------------------------------- */

START_TEST(parameters_are_found) {
    struct buf pairs = {0};
    records_put_pair(&pairs, "HTTP_X", SLICE("REQUEST_METHOD=POST"));
    records_put_pair(&pairs, "CONTENT_TYPE", SLICE("application/json; charset=utf-8"));
    records_put_pair(&pairs, "HTTP_CONTENT_ENCODING", SLICE("gzip"));
    records_put_pair(&pairs, "HTTP_CONTENT_TYPE", SLICE("application/json"));
    struct web_request request = {.method = "PUT",
                                  .target = "/cache/a?b=c%20d=e",
                                  .body = SLICE_INIT("{}"),
                                  .params = buf_slice(&pairs)};
    decode(&request);
    ck_assert_slice(params.method, "PUT");
    ck_assert_slice(params.target, "/cache/a?b=c%20d=e");
    ck_assert_slice(params.content_length, "2");
    ck_assert_slice(params.content_type, "application/json; charset=utf-8");
    ck_assert_slice(params.content_encoding, "gzip");
    ck_assert_int_eq(params.error, OK);
    ck_assert(slice_eq(buf_slice(&body), SLICE("{}")));
    buf_fini(&pairs);
}
END_TEST

START_TEST(parameters_that_are_absent_or_empty_are_empty) {
    struct buf pairs = {0};
    records_put_pair(&pairs, "CONTENT_TYPE", SLICE(""));
    decode(&(struct web_request){
        .method = "", .target = "/", .length = "", .params = buf_slice(&pairs)});
    ck_assert_uint_eq(params.method.n, 0);
    ck_assert_slice(params.target, "/");
    ck_assert_uint_eq(params.content_length.n, 0);
    ck_assert_uint_eq(params.content_type.n, 0);
    ck_assert_uint_eq(params.content_encoding.n, 0);
    ck_assert_int_eq(params.error, OK);
    buf_fini(&pairs);
}
END_TEST

static const char *const known[] = {"REQUEST_METHOD",    "REQUEST_URI",       "CONTENT_TYPE",
                                    "CONTENT_LENGTH",    "HTTP_CONTENT_TYPE", "HTTP_IF_MATCH",
                                    "HTTP_IF_NONE_MATCH"};

START_TEST(second_copy_of_a_parameter_we_read_is_an_error) {
    struct buf pairs = {0};
    bool always_there = _i < 2 || _i == 3;
    records_put_pair(&pairs, known[_i], SLICE("x"));
    if (!always_there)
        records_put_pair(&pairs, known[_i], SLICE("x"));
    decode(&(struct web_request){.method = "GET", .target = "/", .params = buf_slice(&pairs)});
    ck_assert_int_eq(params.error, E_DUPLICATE_FIELD);
    /* It does not stick. */
    decode(&(struct web_request){.method = "GET", .target = "/"});
    ck_assert_int_eq(params.error, OK);
    buf_fini(&pairs);
}
END_TEST

static const struct {
    const char *lines[4];
    const char *list;
} lists[] = {
    {{"a"}, "a"},
    {{""}, ""},
    {{"a", "b"}, "a, b"},
    {{"a", "", "b"}, "a, b"},
    {{"", "a"}, "a"},
    {{"", ""}, ""},
    {{"a", "a", "a", "b=\"c, d\""}, "a, a, a, b=\"c, d\""},
};

START_TEST(lines_of_a_list_are_one) {
    struct buf pairs = {0};
    for (size_t i = 0; i < COUNT_OF(lists[_i].lines) && lists[_i].lines[i] != NULL; i++) {
        records_put_pair(&pairs, "HTTP_PREFER", slice_of(lists[_i].lines[i]));
        records_put_pair(&pairs, "HTTP_CACHE_GROUPS", slice_of(lists[_i].lines[i]));
        records_put_pair(&pairs, "HTTP_CONTENT_ENCODING", slice_of(lists[_i].lines[i]));
    }
    decode(&(struct web_request){.method = "GET", .target = "/", .params = buf_slice(&pairs)});
    ck_assert_int_eq(params.error, OK);
    ck_assert_slice(params.fields.prefer, lists[_i].list);
    ck_assert_slice(params.fields.cache_groups, lists[_i].list);
    ck_assert_slice(params.content_encoding, lists[_i].list);
    ck_assert_slice(params.method, "GET");
    ck_assert_slice(params.target, "/");
    buf_fini(&pairs);
}
END_TEST

START_TEST(other_parameters_may_come_twice_and_look_alike) {
    static const char *const names[] = {
        "REQUEST_METHODS",
        "REQUEST_METHO",
        "request_method",
        "REDIRECT_URI",
        "CONTENT_TYPE_",
        "HTTP_CONTENT_TYP",
        "HTTP_CONTENT_ENCODING_2",
        "HTTP_CONTENT_LENGTH",
        "REQUEST",
        "C",
        "",
    };
    struct buf pairs = {0};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        records_put_pair(&pairs, names[i], SLICE("evil"));
        records_put_pair(&pairs, names[i], SLICE("eviller"));
    }
    decode(&(struct web_request){.method = "GET", .target = "/a", .params = buf_slice(&pairs)});
    ck_assert_int_eq(params.error, OK);
    ck_assert_slice(params.method, "GET");
    ck_assert_slice(params.target, "/a");
    ck_assert_uint_eq(params.content_type.n, 0);
    ck_assert_uint_eq(params.content_encoding.n, 0);
    buf_fini(&pairs);
}
END_TEST

/* However the web server cuts it, the request is the same; and the connection can take another. */
START_TEST(records_of_every_size_and_padding_are_decoded) {
    struct buf content = {0};
    struct buf pairs = {0};
    fill(&content, 300, 1);
    records_put_pair(&pairs, "HTTP_COOKIE", buf_slice(&content));
    records_put_pair(&pairs, "CONTENT_TYPE", SLICE("text/x"));
    /* No NUL in a parameter. */
    for (size_t i = 0; i < pairs.n; i++)
        if (pairs.p[i] == 0 && i > 20 && i < 300)
            pairs.p[i] = 1;
    for (size_t step = 0; step < 40; step++)
        for (unsigned padding = 0; padding < 256; padding += 85) {
            struct web_request request = {
                .id = 1 + (unsigned)step * 1000,
                .close = step % 2 == 0,
                .method = "PUT",
                .target = "/cache/a",
                .params = buf_slice(&pairs),
                .body = {content.p, step == 0 ? 0 : content.n - step},
                .params_step = step,
                .body_step = 40 - step,
                .padding = padding,
            };
            decode(&request);
            ck_assert_slice(params.method, "PUT");
            ck_assert_slice(params.target, "/cache/a");
            ck_assert_slice(params.content_type, "text/x");
            ck_assert(slice_eq(buf_slice(&body), request.body));
        }
    buf_fini(&content);
    buf_fini(&pairs);
}
END_TEST

START_TEST(bodies_of_any_length_are_decoded) {
    static const size_t lengths[] = {0,     1,     8191,  8192,  8193,   16384,   65534,
                                     65535, 65536, 65537, 70000, 131070, MIB - 1, MIB + 8192};
    struct buf content = {0};
    fill(&content, MIB + 8192, 2);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct web_request request = {
            .method = "PUT", .target = "/", .body = {content.p, lengths[i]}};
        decode(&request);
        ck_assert(slice_eq(buf_slice(&body), request.body));
    }
    buf_fini(&content);
}
END_TEST

START_TEST(body_goes_behind_what_the_buffer_has) {
    struct web_request request = {.method = "PUT", .target = "/", .body = SLICE_INIT("body")};
    struct framer f;
    records_put_request(&stream, &request);
    framer_reset(&f);
    ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), OK);
    buf_puts(&body, "some");
    ck_assert_int_eq(fcgi_decode(buf_slice(&stream), 4, &params, &strings, &body), OK);
    ck_assert(slice_eq(buf_slice(&body), SLICE("somebody")));
}
END_TEST

START_TEST(body_that_is_shorter_than_told_is_an_error) {
    records_put_request(
        &stream, &(struct web_request){.method = "PUT", .target = "/", .body = SLICE_INIT("body")});
    ck_assert_int_eq(fcgi_decode(buf_slice(&stream), 5, &params, &strings, &body), E_PROTOCOL);
}
END_TEST

/* The framer never lets one through; should it ever, nothing is read that is not there, and nobody
 * waits for it. */
START_TEST(request_that_is_cut_off_harms_nobody) {
    records_put_request(&stream, &(struct web_request){
                                     .method = "PUT", .target = "/a", .body = SLICE_INIT("body")});
    for (size_t n = 0; n < stream.n - RECORD_HEADER; n++) {
        char *records = exact_copy((struct slice){stream.p, n});
        enum error e = fcgi_decode((struct slice){records, n}, 4, &params, &strings, &body);
        ck_assert_int_eq(e, E_PROTOCOL);
        free(records);
    }
    decode(&(struct web_request){.method = "GET", .target = "/cache/a"});
    ck_assert_slice(params.method, "GET");
}
END_TEST

/* What one request left is not another's: its strings are its own. */
START_TEST(requests_are_kept_apart) {
    struct buf first = {0};
    decode(&(struct web_request){.id = 1, .method = "GET", .target = "/first"});
    struct request_params of_first = params;
    first = strings;
    strings = (struct buf){0};
    decode(&(struct web_request){.id = 2, .method = "PUT", .target = "/second"});
    ck_assert_slice(of_first.method, "GET");
    ck_assert_slice(of_first.target, "/first");
    ck_assert_slice(params.target, "/second");
    buf_fini(&first);
}
END_TEST

START_TEST(strings_that_find_no_memory_are_told) {
    records_put_request(&stream, &(struct web_request){.method = "GET", .target = "/"});
    strings.failed = true;
    ck_assert_int_eq(fcgi_decode(buf_slice(&stream), 0, &params, &strings, &body), E_OUT_OF_MEMORY);
    decode(&(struct web_request){.method = "GET", .target = "/next"});
    ck_assert_slice(params.target, "/next");
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_fcgi(void) {
    Suite *s = suite_create("fcgi");
    TCase *t = add_case(s, "decoding");
    tcase_add_test(t, parameters_are_found);
    tcase_add_test(t, parameters_that_are_absent_or_empty_are_empty);
    tcase_add_loop_test(t, second_copy_of_a_parameter_we_read_is_an_error, 0, COUNT_OF(known));
    tcase_add_loop_test(t, lines_of_a_list_are_one, 0, COUNT_OF(lists));
    tcase_add_test(t, other_parameters_may_come_twice_and_look_alike);
    tcase_add_test(t, records_of_every_size_and_padding_are_decoded);
    tcase_add_test(t, bodies_of_any_length_are_decoded);
    tcase_add_test(t, body_goes_behind_what_the_buffer_has);
    tcase_add_test(t, body_that_is_shorter_than_told_is_an_error);
    tcase_add_test(t, request_that_is_cut_off_harms_nobody);
    tcase_add_test(t, requests_are_kept_apart);
    tcase_add_test(t, strings_that_find_no_memory_are_told);
    return s;
}
