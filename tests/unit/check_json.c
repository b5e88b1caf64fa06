/* Documents of ours: the exact text, and the sticky error. */
#include "units.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/jsontext.h"
#include "support.h"

/* Writes and ends the document; its text is exactly `want`, and JSON. */
static void assert_written(struct json_doc *doc, const char *want) {
    struct buf out = {0};
    ck_assert_int_eq(json_write(doc, &out), OK);
    ck_assert_int_eq(jsontext_check(buf_slice(&out), NULL, NULL), OK);
    buf_put_char(&out, '\0');
    ck_assert_str_eq(out.p, want);
    buf_fini(&out);
    json_fini(doc);
}

/* Ends the document, which has failed and writes nothing. */
static void assert_failed(struct json_doc *doc) {
    struct buf out = {0};
    buf_puts(&out, "before");
    ck_assert_int_eq(json_write(doc, &out), E_OUT_OF_MEMORY);
    ck_assert_uint_eq(out.n, 6);
    buf_fini(&out);
    json_fini(doc);
}

START_TEST(an_empty_document_is_an_empty_object) {
    struct json_doc doc;
    json_init(&doc);
    ck_assert_ptr_nonnull(json_root(&doc));
    assert_written(&doc, "{}");
    ck_assert_ptr_null(doc.root);
}
END_TEST

START_TEST(members_keep_their_order_and_kind) {
    struct json_doc doc;
    json_init(&doc);
    struct json *root = json_root(&doc);
    json_add_string(&doc, root, "z", SLICE("last first"));
    json_add_int(&doc, root, "i", -5);
    json_add_bool(&doc, root, "t", true);
    json_add_bool(&doc, root, "f", false);
    json_add_null(&doc, root, "n");
    struct json *list = json_add_array(&doc, root, "list");
    json_add_uint(&doc, list, NULL, 1);
    json_add_null(&doc, list, NULL);
    json_add_bool(&doc, list, NULL, true);
    json_add_string(&doc, list, NULL, SLICE(""));
    struct json *inner = json_add_object(&doc, list, NULL);
    json_add_fixed(&doc, inner, "ratio", 99.5, 2);
    json_add_array(&doc, json_add_object(&doc, root, "deep"), "empty");
    json_add_int(&doc, root, "a", 0);
    assert_written(&doc, "{\"z\":\"last first\",\"i\":-5,\"t\":true,\"f\":false,\"n\":null,"
                         "\"list\":[1,null,true,\"\",{\"ratio\":99.50}],"
                         "\"deep\":{\"empty\":[]},\"a\":0}");
}
END_TEST

START_TEST(integers_are_exact_to_the_last_one) {
    struct json_doc doc;
    json_init(&doc);
    struct json *list = json_add_array(&doc, json_root(&doc), "l");
    json_add_int(&doc, list, NULL, INT64_MIN);
    json_add_int(&doc, list, NULL, INT64_MAX);
    json_add_uint(&doc, list, NULL, UINT64_MAX);
    json_add_uint(&doc, list, NULL, 0);
    assert_written(&doc,
                   "{\"l\":[-9223372036854775808,9223372036854775807,18446744073709551615,0]}");
}
END_TEST

START_TEST(fixed_point_has_exactly_its_digits) {
    static const struct {
        double v;
        int digits;
        const char *text;
    } rows[] = {
        {0, 0, "0"},
        {0, 2, "0.00"},
        {100, 2, "100.00"},
        {66.666666666, 2, "66.67"},
        {0.125, 2, "0.12"},
        {0.1, 9, "0.100000000"},
        {1e-10, 9, "0.000000000"},
        {-1.5, 1, "-1.5"},
        {1e6, 0, "1000000"},
        {1e15, 3, "1000000000000000.000"},
        {1e22, 1, "10000000000000000000000.0"},
        {123456789.987654321, 6, "123456789.987654"},
        {2, 1, "2.0"},
        {NAN, 2, "null"},
        {INFINITY, 2, "null"},
        {-INFINITY, 0, "null"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_doc doc;
        char want[64];
        json_init(&doc);
        json_add_fixed(&doc, json_root(&doc), "v", rows[i].v, rows[i].digits);
        (void)snprintf(want, sizeof(want), "{\"v\":%s}", rows[i].text);
        assert_written(&doc, want);
    }
}
END_TEST

START_TEST(the_largest_doubles_fit) {
    struct json_doc doc;
    struct buf out = {0};
    json_init(&doc);
    json_add_fixed(&doc, json_root(&doc), "v", -DBL_MAX, 9);
    ck_assert_int_eq(json_write(&doc, &out), OK);
    ck_assert_uint_eq(out.n, strlen("{\"v\":-}") + 309 + 1 + 9);
    ck_assert_mem_eq(out.p + out.n - 11, ".000000000}", 11);
    buf_fini(&out);
    json_fini(&doc);
}
END_TEST

START_TEST(strings_are_escaped_and_slashes_are_not) {
    struct json_doc doc;
    json_init(&doc);
    struct json *list = json_add_array(&doc, json_root(&doc), "a/b");
    json_add_string(&doc, list, NULL, SLICE("/errors/x"));
    json_add_string(&doc, list, NULL, SLICE("\"\\\b\f\n\r\t\x1f"));
    json_add_string(&doc, list, NULL, SLICE("a\0b"));
    json_add_string(&doc, list, NULL, SLICE("\xd0\xba\xf0\x9f\x8d\x8e\x7f"));
    json_add_string(&doc, list, NULL, (struct slice){NULL, 0});
    assert_written(&doc, "{\"a/b\":[\"/errors/x\",\"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\",\"a\\u0000b\","
                         "\"\xd0\xba\xf0\x9f\x8d\x8e\x7f\",\"\"]}");
}
END_TEST

START_TEST(strings_are_copied_by_their_length) {
    struct json_doc doc;
    char text[] = "abcdef";
    json_init(&doc);
    json_add_string(&doc, json_root(&doc), "v", (struct slice){text, 3});
    memset(text, 'x', sizeof(text));
    assert_written(&doc, "{\"v\":\"abc\"}");
}
END_TEST

START_TEST(large_documents_are_whole) {
    enum { MEMBERS = 5000 };
    struct json_doc doc;
    struct buf want = {0};
    json_init(&doc);
    buf_put_char(&want, '{');
    for (int i = 0; i < MEMBERS; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "member %d", i);
        json_add_int(&doc, json_root(&doc), name, i);
        buf_printf(&want, "%s\"%s\":%d", i > 0 ? "," : "", name, i);
    }
    buf_put(&want, "}", 2);
    assert_written(&doc, want.p);
    buf_fini(&want);
}
END_TEST

START_TEST(writing_appends_and_can_be_repeated) {
    struct json_doc doc;
    struct buf out = {0};
    json_init(&doc);
    json_add_int(&doc, json_root(&doc), "a", 1);
    buf_puts(&out, "# ");
    ck_assert_int_eq(json_write(&doc, &out), OK);
    json_add_int(&doc, json_root(&doc), "b", 2);
    ck_assert_int_eq(json_write(&doc, &out), OK);
    buf_put_char(&out, '\0');
    ck_assert_str_eq(out.p, "# {\"a\":1}{\"a\":1,\"b\":2}");
    buf_fini(&out);
    json_fini(&doc);
}
END_TEST

START_TEST(a_member_twice_is_a_failure) {
    struct json_doc doc;
    json_init(&doc);
    json_add_null(&doc, json_root(&doc), "a");
    json_add_int(&doc, json_root(&doc), "a", 2);
    assert_failed(&doc);
    json_init(&doc);
    json_add_int(&doc, json_root(&doc), "a", 1);
    ck_assert_ptr_null(json_add_object(&doc, json_root(&doc), "a"));
    assert_failed(&doc);
}
END_TEST

START_TEST(a_failure_is_passed_over_and_remembered) {
    struct json_doc doc;
    json_init(&doc);
    json_add_int(&doc, json_root(&doc), "a", 1);
    struct json *none = json_add_array(&doc, json_root(&doc), "a");
    ck_assert_ptr_null(none);
    json_add_int(&doc, none, NULL, 1);
    json_add_string(&doc, json_add_object(&doc, none, NULL), "x", SLICE("y"));
    json_add_fixed(&doc, none, NULL, 1.0, 1);
    json_add_null(&doc, none, NULL);
    ck_assert_ptr_null(json_add_object(&doc, json_root(&doc), "b"));
    assert_failed(&doc);
}
END_TEST

START_TEST(what_does_not_fit_its_parent_is_a_failure) {
    struct json_doc doc;
    json_init(&doc);
    json_add_int(&doc, json_root(&doc), NULL, 1);
    assert_failed(&doc);
    json_init(&doc);
    json_add_int(&doc, json_add_array(&doc, json_root(&doc), "l"), "name", 1);
    assert_failed(&doc);
    json_init(&doc);
    json_add_null(&doc, NULL, "name");
    assert_failed(&doc);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_a_failure) {
    static const struct slice rows[] = {SLICE_INIT("\xff"), SLICE_INIT("a\xc0\xaf"),
                                        SLICE_INIT("\xed\xa0\x80"), SLICE_INIT("\xe2\x82")};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_doc doc;
        json_init(&doc);
        json_add_string(&doc, json_root(&doc), "v", rows[i]);
        assert_failed(&doc);
    }
}
END_TEST

START_TEST(a_failed_buffer_is_reported) {
    struct json_doc doc;
    struct buf out = {0};
    json_init(&doc);
    ck_assert(!buf_reserve(&out, SIZE_MAX));
    ck_assert_int_eq(json_write(&doc, &out), E_OUT_OF_MEMORY);
    buf_fini(&out);
    json_fini(&doc);
}
END_TEST

Suite *suite_json(void) {
    Suite *s = suite_create("json");
    TCase *t = tcase_create("text");
    tcase_add_test(t, an_empty_document_is_an_empty_object);
    tcase_add_test(t, members_keep_their_order_and_kind);
    tcase_add_test(t, integers_are_exact_to_the_last_one);
    tcase_add_test(t, fixed_point_has_exactly_its_digits);
    tcase_add_test(t, the_largest_doubles_fit);
    tcase_add_test(t, strings_are_escaped_and_slashes_are_not);
    tcase_add_test(t, strings_are_copied_by_their_length);
    tcase_add_test(t, large_documents_are_whole);
    tcase_add_test(t, writing_appends_and_can_be_repeated);
    suite_add_tcase(s, t);
    t = tcase_create("failure");
    tcase_add_test(t, a_member_twice_is_a_failure);
    tcase_add_test(t, a_failure_is_passed_over_and_remembered);
    tcase_add_test(t, what_does_not_fit_its_parent_is_a_failure);
    tcase_add_test(t, text_that_is_not_utf8_is_a_failure);
    tcase_add_test(t, a_failed_buffer_is_reported);
    suite_add_tcase(s, t);
    return s;
}
