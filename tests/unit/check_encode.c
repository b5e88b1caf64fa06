/* Responses as FastCGI records: the answer says what the response does, whatever its size. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "http/encode.h"
#include "records.h"
#include "support.h"

enum { MIB = 1 << 20 };

static struct buf out;
static struct response response;

static void setup(void) {
}

static void teardown(void) {
    buf_fini(&out);
    response_fini(&response);
}

/* Encodes the response and reads the answer back. */
static struct web_answer encode(unsigned id, bool with_body) {
    struct web_answer answer;
    buf_reset(&out, SIZE_MAX);
    ck_assert_int_eq(encode_answer(id, &response, with_body, &out), OK);
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

START_TEST(answer_has_head_and_body) {
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
    response_json(&response, 200);
    buf_puts(&response.body, "0123456789");
    response_splice(&response, SLICE("spliced"));
    struct web_answer with = encode(7, true);
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
    static const size_t lengths[] = {8000, 8192, 8200, 65536, 200000, MIB, (size_t)8 * MIB};
    struct buf value = {0};
    fill(&value, (size_t)8 * MIB, 3);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct slice spliced = {value.p, lengths[i]};
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
    response_json(&response, 200);
    buf_puts(&out, "earlier");
    ck_assert_int_eq(encode_answer(7, &response, true, &out), OK);
    ck_assert_mem_eq(out.p, "earlier", 7);
    ck_assert(records_read_answer((struct slice){out.p + 7, out.n - 7}, 7, &answer));
    records_free_answer(&answer);
}
END_TEST

START_TEST(response_whose_buffers_failed_is_a_503) {
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
    response_json(&response, 200);
    out.failed = true;
    ck_assert_int_eq(encode_answer(7, &response, true, &out), E_OUT_OF_MEMORY);
}
END_TEST

/* Every length around where a record is full, with the splice on either side of it. */
START_TEST(records_are_full_and_padded) {
    struct buf value = {0};
    fill(&value, 70000, 5);
    for (size_t n = 65200; n < 65600; n++) {
        response_reset(&response);
        response_json(&response, 200);
        buf_put(&response.body, value.p, n % 3 == 0 ? n : 3);
        if (n % 3 != 0)
            response_splice(&response, (struct slice){value.p + 3, n - 3});
        struct web_answer answer = encode(300, true);
        ck_assert_msg(slice_eq(answer.body, (struct slice){value.p, n}), "%zu bytes", n);
        ck_assert_uint_eq(out.n % 8, 0);
        records_free_answer(&answer);
    }
    buf_fini(&value);
}
END_TEST

/* The longest head that fits, with a body behind it, and the first that doesn't. */
START_TEST(head_fills_a_record_at_most) {
    struct buf value = {0};
    bool refused = false;
    ck_assert(buf_reserve(&value, 65536));
    memset(value.p, 'x', 65536);
    for (size_t n = 65300; n < 65536; n++) {
        response_reset(&response);
        buf_reset(&out, SIZE_MAX);
        response_json(&response, 200);
        response_field(&response, "X-Field", (struct slice){value.p, n});
        buf_puts(&response.body, "the body");
        if (encode_answer(7, &response, true, &out) != OK) {
            refused = true;
            continue;
        }
        struct web_answer answer;
        ck_assert(!refused);
        ck_assert(records_read_answer(buf_slice(&out), 7, &answer));
        ck_assert(slice_eq(answer.body, SLICE("the body")));
        records_free_answer(&answer);
    }
    ck_assert(refused);
    buf_fini(&value);
}
END_TEST

/* No field is that long; should one ever be, no record lies about its length. */
START_TEST(head_that_fits_no_record_is_refused) {
    struct buf value = {0};
    ck_assert(buf_reserve(&value, 70000));
    memset(value.p, 'x', 70000);
    response_json(&response, 200);
    response_field(&response, "X-Field", (struct slice){value.p, 70000});
    ck_assert_int_eq(encode_answer(7, &response, true, &out), E_OUT_OF_MEMORY);
    buf_fini(&value);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_encode(void) {
    Suite *s = suite_create("encode");
    TCase *t = add_case(s, "answers");
    tcase_add_test(t, answer_has_head_and_body);
    tcase_add_test(t, head_tells_the_length_and_sends_no_body);
    tcase_add_test(t, value_is_spliced_in_where_it_was_put);
    tcase_add_test(t, large_answers_are_whole);
    tcase_add_test(t, answer_is_appended);
    tcase_add_loop_test(t, response_whose_buffers_failed_is_a_503, 0, 2);
    tcase_add_test(t, output_that_failed_is_told);
    tcase_add_test(t, records_are_full_and_padded);
    tcase_add_test(t, head_fills_a_record_at_most);
    tcase_add_test(t, head_that_fits_no_record_is_refused);
    return s;
}
