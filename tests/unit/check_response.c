/* Responses: the bytes of the CGI header, lengths, the answer that needs no memory. */
#include "units.h"

#include <string.h>

#include "base/jsontext.h"
#include "http/response.h"
#include "support.h"

static struct response r;
static struct buf head;

static void setup(void) {
    r = (struct response){0};
    head = (struct buf){0};
}

static void teardown(void) {
    response_fini(&r);
    buf_fini(&head);
}

static void check_head(const char *expected) {
    buf_reset(&head, SIZE_MAX);
    response_put_head(&r, &head);
    ck_assert_msg(slice_eq(buf_slice(&head), slice_of(expected)), "%.*s", (int)head.n, head.p);
}

START_TEST(head_of_a_json_answer) {
    response_json(&r, 200);
    buf_puts(&r.body, "{\"value\":");
    response_splice(&r, SLICE("[1,2]"));
    buf_puts(&r.body, "}");
    check_head("Status: 200 OK\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: 15\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "\r\n");
}
END_TEST

START_TEST(fields_follow_in_their_order) {
    response_json(&r, 405);
    response_field(&r, "Allow", SLICE("GET, HEAD"));
    response_field(&r, "X-Empty", (struct slice){0});
    check_head("Status: 405 Method Not Allowed\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: 0\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "Allow: GET, HEAD\r\n"
               "X-Empty: \r\n"
               "\r\n");
}
END_TEST

START_TEST(error_says_not_to_store_it_and_when_to_come_back) {
    response_json(&r, 503);
    r.no_store = true;
    r.retry_after = 12;
    check_head("Status: 503 Service Unavailable\r\n"
               "Content-Type: application/json\r\n"
               "Content-Length: 0\r\n"
               "X-Content-Type-Options: nosniff\r\n"
               "Cache-Control: no-store\r\n"
               "Retry-After: 12\r\n"
               "\r\n");
}
END_TEST

START_TEST(answer_without_a_body_has_no_type_and_no_length) {
    r.status = 204;
    response_field(&r, "Allow", SLICE("GET"));
    check_head("Status: 204 No Content\r\nAllow: GET\r\n\r\n");
}
END_TEST

START_TEST(every_status_in_use_has_a_reason) {
    response_json(&r, 200);
    for (enum error e = 1; e < ERROR_COUNT; e++) {
        r.status = error_info(e)->status;
        buf_reset(&head, SIZE_MAX);
        response_put_head(&r, &head);
        ck_assert_mem_eq(head.p, "Status: ", 8);
        const char *end = memchr(head.p, '\r', head.n);
        ck_assert_ptr_nonnull(end);
        ck_assert_msg(memmem(head.p, (size_t)(end - head.p), "Unassigned", 10) == NULL, "%d",
                      r.status);
    }
    r.status = 299;
    response_put_head(&r, &head);
    ck_assert_ptr_nonnull(memmem(head.p, head.n, "Status: 299 Unassigned\r\n", 24));
}
END_TEST

START_TEST(length_counts_what_is_spliced_in) {
    ck_assert_uint_eq(response_length(&r), 0);
    buf_puts(&r.body, "1234");
    ck_assert_uint_eq(response_length(&r), 4);
    response_splice(&r, SLICE("56"));
    ck_assert_uint_eq(r.splice_at, 4);
    ck_assert_uint_eq(response_length(&r), 6);
    buf_puts(&r.body, "789");
    ck_assert_uint_eq(r.splice_at, 4);
    ck_assert_uint_eq(response_length(&r), 9);
}
END_TEST

START_TEST(reset_leaves_nothing_of_the_answer_before) {
    response_json(&r, 200);
    response_field(&r, "A", SLICE("b"));
    buf_puts(&r.body, "body");
    response_splice(&r, SLICE("value"));
    r.lookup = LOOKUP_HIT;
    r.no_store = true;
    r.retry_after = 1;
    r.body.failed = true;
    response_reset(&r);
    ck_assert_int_eq(r.status, 0);
    ck_assert_int_eq(r.lookup, LOOKUP_NONE);
    ck_assert_uint_eq(r.splice_at, 0);
    ck_assert_uint_eq(response_length(&r), 0);
    ck_assert(!buf_failed(&r.body));
    r.status = 204;
    check_head("Status: 204 No Content\r\n\r\n");
}
END_TEST

START_TEST(reset_gives_large_memory_back) {
    static const char large[1 << 20];
    buf_put(&r.body, large, sizeof(large));
    response_reset(&r);
    ck_assert_uint_le(r.body.cap, 65536);
    buf_put(&r.body, large, 100);
    size_t warm = r.body.cap;
    response_reset(&r);
    ck_assert_uint_eq(r.body.cap, warm);
}
END_TEST

START_TEST(answer_for_want_of_memory_is_a_whole_problem) {
    struct jsontext_member members[8];
    size_t count = 0;
    response_json(&r, 200);
    response_field(&r, "X-Field", SLICE("x"));
    buf_puts(&r.body, "{\"half");
    response_splice(&r, SLICE("value"));
    r.body.failed = true;
    response_out_of_memory(&r);
    ck_assert(!buf_failed(&r.body) && !buf_failed(&r.fields));
    ck_assert_uint_eq(r.body.cap + r.fields.cap, 0);
    ck_assert_uint_eq(response_length(&r), r.splice.n);
    ck_assert_int_eq(jsontext_members(r.splice, members, COUNT_OF(members), &count, NULL), OK);
    ck_assert_uint_ge(count, 4);
    /* It says what the error table says. */
    const struct error_info *info = error_info(E_OUT_OF_MEMORY);
    ck_assert_int_eq(r.status, info->status);
    ck_assert(slice_eq(r.content_type, SLICE("application/problem+json")));
    ck_assert_ptr_nonnull(memmem(r.splice.p, r.splice.n, info->slug, strlen(info->slug)));
    ck_assert_ptr_nonnull(memmem(r.splice.p, r.splice.n, info->title, strlen(info->title)));
    ck_assert_ptr_nonnull(memmem(r.splice.p, r.splice.n, info->detail, strlen(info->detail)));
}
END_TEST

/* Every error answer says that it must not be stored, and every 503 when to come back. */
START_TEST(answer_for_want_of_memory_has_the_fields_of_a_problem) {
    response_out_of_memory(&r);
    response_put_head(&r, &head);
    ck_assert_ptr_nonnull(memmem(head.p, head.n, "\r\nCache-Control: no-store\r\n", 27));
    ck_assert_ptr_nonnull(memmem(head.p, head.n, "\r\nRetry-After: 1\r\n", 18));
}
END_TEST

Suite *suite_response(void) {
    Suite *s = suite_create("response");
    TCase *t = tcase_create("head");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, head_of_a_json_answer);
    tcase_add_test(t, fields_follow_in_their_order);
    tcase_add_test(t, error_says_not_to_store_it_and_when_to_come_back);
    tcase_add_test(t, answer_without_a_body_has_no_type_and_no_length);
    tcase_add_test(t, every_status_in_use_has_a_reason);
    suite_add_tcase(s, t);
    t = tcase_create("memory");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, length_counts_what_is_spliced_in);
    tcase_add_test(t, reset_leaves_nothing_of_the_answer_before);
    tcase_add_test(t, reset_gives_large_memory_back);
    tcase_add_test(t, answer_for_want_of_memory_is_a_whole_problem);
    tcase_add_test(t, answer_for_want_of_memory_has_the_fields_of_a_problem);
    suite_add_tcase(s, t);
    return s;
}
