/* libfcgi as decoder and encoder: what a web server puts in comes out, and the answer's records say
 * what the response does. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "http/fcgi.h"
#include "http/framer.h"
#include "records.h"
#include "support.h"

enum { MIB = 1 << 20, BODY_MAX = 2 * MIB };

static struct fcgi *fcgi;
static struct buf stream;
static struct buf body;
static struct buf out;
static struct response response;
static struct request_params params;

static void setup(void) {
    ck_assert_int_eq(fcgi_setup(), OK);
    fcgi = fcgi_open();
    ck_assert_ptr_nonnull(fcgi);
}

static void teardown(void) {
    fcgi_close(&fcgi);
    ck_assert_ptr_null(fcgi);
    buf_fini(&stream);
    buf_fini(&body);
    buf_fini(&out);
    response_fini(&response);
}

/* Frames the request and decodes it, from memory that ends where the request does. */
static void decode(const struct web_request *request) {
    struct framer f;
    buf_reset(&stream, SIZE_MAX);
    buf_reset(&body, SIZE_MAX);
    records_put_request(&stream, request);
    framer_reset(&f);
    ck_assert_int_eq(framer_walk(&f, &stream, BODY_MAX), OK);
    ck_assert_uint_eq(f.at, stream.n);
    char *records = exact_copy(buf_slice(&stream));
    ck_assert_int_eq(
        fcgi_decode(fcgi, (struct slice){records, f.at}, f.stdin_bytes, &params, &body), OK);
    free(records);
}

/* Encodes the response and reads the answer back. */
static struct web_answer encode(unsigned id, bool with_body) {
    struct web_answer answer;
    buf_reset(&out, SIZE_MAX);
    ck_assert_int_eq(fcgi_encode(fcgi, &response, with_body, &out), OK);
    ck_assert(records_read_answer(buf_slice(&out), id, &answer));
    ck_assert_uint_eq(answer.bytes, out.n);
    return answer;
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

static const char *const known[] = {"REQUEST_METHOD", "REQUEST_URI",       "CONTENT_TYPE",
                                    "CONTENT_LENGTH", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_ENCODING"};

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
            response_reset(&response);
            response_json(&response, 200);
            buf_put_slice(&response.body, request.body);
            struct web_answer answer = encode(request.id, true);
            ck_assert(slice_eq(answer.body, request.body));
            records_free_answer(&answer);
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
    ck_assert_int_eq(fcgi_decode(fcgi, buf_slice(&stream), 4, &params, &body), OK);
    ck_assert(slice_eq(buf_slice(&body), SLICE("somebody")));
}
END_TEST

START_TEST(body_that_is_shorter_than_told_is_an_error) {
    records_put_request(
        &stream, &(struct web_request){.method = "PUT", .target = "/", .body = SLICE_INIT("body")});
    ck_assert_int_eq(fcgi_decode(fcgi, buf_slice(&stream), 5, &params, &body), E_PROTOCOL);
}
END_TEST

/* The framer never lets one through; should it ever, nothing is read that is not there, and nobody
 * waits for it. */
START_TEST(request_that_is_cut_off_harms_nobody) {
    records_put_request(&stream, &(struct web_request){
                                     .method = "PUT", .target = "/a", .body = SLICE_INIT("body")});
    for (size_t n = 0; n < stream.n - RECORD_HEADER; n++) {
        char *records = exact_copy((struct slice){stream.p, n});
        enum error e = fcgi_decode(fcgi, (struct slice){records, n}, 4, &params, &body);
        ck_assert_int_eq(e, E_PROTOCOL);
        free(records);
    }
    decode(&(struct web_request){.method = "GET", .target = "/cache/a"});
    ck_assert_slice(params.method, "GET");
}
END_TEST

START_TEST(open_request_can_be_abandoned) {
    decode(&(struct web_request){.method = "PUT", .target = "/", .body = SLICE_INIT("body")});
    fcgi_close(&fcgi);
    fcgi_close(&fcgi);
}
END_TEST

START_TEST(requests_of_two_connections_are_kept_apart) {
    struct fcgi *first = fcgi;
    struct fcgi *second = fcgi_open();
    struct request_params of_first;
    decode(&(struct web_request){.id = 1, .method = "GET", .target = "/first"});
    of_first = params;
    fcgi = second;
    decode(&(struct web_request){.id = 2, .method = "PUT", .target = "/second"});
    ck_assert_slice(of_first.method, "GET");
    ck_assert_slice(of_first.target, "/first");
    ck_assert_slice(params.target, "/second");
    fcgi = first;
    response_json(&response, 200);
    struct web_answer answer = encode(1, true);
    records_free_answer(&answer);
    fcgi = second;
    answer = encode(2, true);
    records_free_answer(&answer);
    fcgi_close(&second);
    fcgi = first;
}
END_TEST

/* --- encoding -------------------------------------------------------------------------------- */

static void decode_any(void) {
    decode(&(struct web_request){.id = 7, .method = "GET", .target = "/"});
}

START_TEST(answer_has_head_and_body) {
    decode_any();
    response_json(&response, 404);
    response_field(&response, "X-Field", SLICE("its value"));
    buf_puts(&response.body, "{\"a\":1}");
    struct web_answer answer = encode(7, true);
    ck_assert_int_eq(answer.status, 404);
    ck_assert_slice(records_field(&answer, "Content-Type"), "application/json");
    ck_assert_slice(records_field(&answer, "Content-Length"), "7");
    ck_assert_slice(records_field(&answer, "X-Field"), "its value");
    ck_assert_slice(answer.body, "{\"a\":1}");
    records_free_answer(&answer);
}
END_TEST

START_TEST(head_tells_the_length_and_sends_no_body) {
    decode_any();
    response_json(&response, 200);
    buf_puts(&response.body, "0123456789");
    response_splice(&response, SLICE("spliced"));
    struct web_answer with = encode(7, true);
    decode_any();
    struct web_answer without = encode(7, false);
    ck_assert(slice_eq(with.head, without.head));
    ck_assert_slice(records_field(&without, "Content-Length"), "17");
    ck_assert_uint_eq(without.body.n, 0);
    records_free_answer(&with);
    records_free_answer(&without);
}
END_TEST

START_TEST(value_is_spliced_in_where_it_was_put) {
    static const char *const around[][2] = {{"", ""}, {"before", ""}, {"", "after"}, {"be", "af"}};
    static const struct slice values[] = {SLICE_INIT(""), SLICE_INIT("\0value\0"),
                                          SLICE_INIT("\r\n\r\n")};
    for (size_t i = 0; i < COUNT_OF(around); i++)
        for (size_t k = 0; k < COUNT_OF(values); k++) {
            struct buf expected = {0};
            buf_puts(&expected, around[i][0]);
            buf_put_slice(&expected, values[k]);
            buf_puts(&expected, around[i][1]);
            decode_any();
            response_reset(&response);
            response_json(&response, 200);
            buf_puts(&response.body, around[i][0]);
            response_splice(&response, values[k]);
            buf_puts(&response.body, around[i][1]);
            struct web_answer answer = encode(7, true);
            ck_assert(slice_eq(answer.body, buf_slice(&expected)));
            records_free_answer(&answer);
            buf_fini(&expected);
        }
}
END_TEST

START_TEST(large_answers_are_whole) {
    static const size_t lengths[] = {8000, 8192, 8200, 65535, 65536, 200000, MIB, MIB + 12345};
    struct buf value = {0};
    fill(&value, MIB + 12345, 3);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct slice spliced = {value.p, lengths[i]};
        decode_any();
        response_reset(&response);
        response_json(&response, 200);
        buf_puts(&response.body, "{\"value\":");
        response_splice(&response, spliced);
        buf_puts(&response.body, "}");
        struct web_answer answer = encode(7, true);
        ck_assert_uint_eq(answer.body.n, spliced.n + 10);
        ck_assert(slice_eq((struct slice){answer.body.p + 9, spliced.n}, spliced));
        ck_assert_int_eq(answer.body.p[answer.body.n - 1], '}');
        records_free_answer(&answer);
    }
    buf_fini(&value);
}
END_TEST

START_TEST(answer_is_appended) {
    struct web_answer answer;
    decode_any();
    response_json(&response, 200);
    buf_puts(&out, "earlier");
    ck_assert_int_eq(fcgi_encode(fcgi, &response, true, &out), OK);
    ck_assert_mem_eq(out.p, "earlier", 7);
    ck_assert(records_read_answer((struct slice){out.p + 7, out.n - 7}, 7, &answer));
    records_free_answer(&answer);
}
END_TEST

START_TEST(response_whose_buffers_failed_is_a_503) {
    decode_any();
    response_json(&response, 200);
    response_field(&response, "X-Field", SLICE("x"));
    buf_puts(&response.body, "{\"half");
    response_splice(&response, SLICE("value"));
    (_i == 0 ? &response.body : &response.fields)->failed = true;
    struct web_answer answer = encode(7, true);
    ck_assert_int_eq(answer.status, 503);
    ck_assert_slice(records_field(&answer, "Content-Type"), "application/problem+json");
    ck_assert_uint_eq(records_field(&answer, "X-Field").n, 0);
    ck_assert_ptr_nonnull(memmem(answer.body.p, answer.body.n, "/errors/out-of-memory", 21));
    records_free_answer(&answer);
}
END_TEST

START_TEST(output_that_failed_is_told) {
    decode_any();
    response_json(&response, 200);
    out.failed = true;
    ck_assert_int_eq(fcgi_encode(fcgi, &response, true, &out), E_OUT_OF_MEMORY);
    /* The request is over all the same: the next one is read as such. */
    decode_any();
    struct web_answer answer = encode(7, true);
    records_free_answer(&answer);
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
    tcase_add_test(t, other_parameters_may_come_twice_and_look_alike);
    tcase_add_test(t, records_of_every_size_and_padding_are_decoded);
    tcase_add_test(t, bodies_of_any_length_are_decoded);
    tcase_add_test(t, body_goes_behind_what_the_buffer_has);
    tcase_add_test(t, body_that_is_shorter_than_told_is_an_error);
    tcase_add_test(t, request_that_is_cut_off_harms_nobody);
    tcase_add_test(t, open_request_can_be_abandoned);
    tcase_add_test(t, requests_of_two_connections_are_kept_apart);
    t = add_case(s, "encoding");
    tcase_add_test(t, answer_has_head_and_body);
    tcase_add_test(t, head_tells_the_length_and_sends_no_body);
    tcase_add_test(t, value_is_spliced_in_where_it_was_put);
    tcase_add_test(t, large_answers_are_whole);
    tcase_add_test(t, answer_is_appended);
    tcase_add_loop_test(t, response_whose_buffers_failed_is_a_503, 0, 2);
    tcase_add_test(t, output_that_failed_is_told);
    return s;
}
