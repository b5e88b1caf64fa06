/* The JSON view of entries: what each kind of value looks like, and what is spliced. */
#include "units.h"

#include <string.h>

#include "api/view.h"
#include "base/jsontext.h"
#include "support.h"

static struct buf body;
static struct response response;

static void setup(void) {
    body = (struct buf){0};
    response = (struct response){0};
}

static void teardown(void) {
    buf_fini(&body);
    response_fini(&response);
}

/* The members as text, in a document that must be JSON. */
static const char *shown(const struct op *op) {
    buf_reset(&body, SIZE_MAX);
    buf_puts(&body, "{\"key\":\"k\"");
    view_put_entry(&body, NULL, op);
    buf_put_char(&body, '}');
    ck_assert_msg(jsontext_check(buf_slice(&body), NULL, NULL) == OK, "%.*s", (int)body.n, body.p);
    buf_put_char(&body, '\0');
    ck_assert(!buf_failed(&body));
    return body.p + strlen("{\"key\":\"k\"");
}

static const struct entry_tag tags[] = {{SLICE_INIT("a"), SLICE_INIT("")},
                                        {SLICE_INIT("\xc3\xa9\"\\"), SLICE_INIT("")}};

static const struct {
    struct op op;
    const char *view;
} rows[] = {
    /* JSON is its text, white space inside it and all. */
    {{.found = {.body = SLICE_INIT("{\"a\": 1.10}"), .is_json = true}, .left = -1},
     ",\"value\":{\"a\": 1.10},\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT("[1 ,2]")}, .left = 1}, ",\"value\":[1 ,2],\"ttl\":1}"},
    {{.found = {.body = SLICE_INIT("null")}, .left = 59001}, ",\"value\":null,\"ttl\":60}"},
    {{.found = {.body = SLICE_INIT(" \n\"x\" ")}, .left = 0}, ",\"value\":\"x\",\"ttl\":1}"},
    /* Another program's need not be any. */
    {{.found = {.body = SLICE_INIT("")}, .left = -1}, ",\"value\":\"\",\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT("hello")}, .left = -1}, ",\"value\":\"hello\",\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT("a\"\n\0")}, .left = -1},
     ",\"value\":\"a\\\"\\n\\u0000\",\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT("01")}, .left = -1}, ",\"value\":\"01\",\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT("\xff\0")}, .left = -1},
     ",\"value\":\"/wA=\",\"encoding\":\"base64\",\"ttl\":null}"},
    /* Bytes of a type are a string even if they are JSON. */
    {{.found = {.body = SLICE_INIT("{}"), .raw = true, .type = SLICE_INIT("application/json")},
      .left = -1},
     ",\"value\":\"{}\",\"content_type\":\"application/"
     "json\",\"encoding\":\"utf-8\",\"ttl\":null}"},
    {{.found = {.body = SLICE_INIT(""), .raw = true, .type = SLICE_INIT("a/b; c=\"d\"")},
      .left = 5000},
     ",\"value\":\"\",\"content_type\":\"a/b; c=\\\"d\\\"\",\"encoding\":\"utf-8\",\"ttl\":5}"},
    {{.found = {.body = SLICE_INIT("\xff"),
                .raw = true,
                .type = SLICE_INIT("a/b"),
                .coding = SLICE_INIT("gzip")},
      .left = -1},
     ",\"value\":\"/w==\",\"content_type\":\"a/b\",\"content_encoding\":\"gzip\","
     "\"encoding\":\"base64\",\"ttl\":null}"},
    /* Lifetimes. */
    {{.found = {.body = SLICE_INIT("1"), .is_json = true, .idle = 20}, .left = -1, .fresh = 20000},
     ",\"value\":1,\"ttl\":null,\"idle\":20}"},
    {{.found = {.body = SLICE_INIT("1"), .is_json = true, .idle = 20},
      .left = 60000,
      .fresh = 20000},
     ",\"value\":1,\"ttl\":60,\"idle\":20}"},
    {{.found = {.body = SLICE_INIT("1"), .is_json = true, .tags = tags, .tag_count = 1},
      .left = -1},
     ",\"value\":1,\"ttl\":null,\"tags\":[\"a\"]}"},
    {{.found = {.body = SLICE_INIT("1"), .is_json = true, .idle = 1, .tags = tags, .tag_count = 2},
      .left = -1},
     ",\"value\":1,\"ttl\":null,\"idle\":1,\"tags\":[\"a\",\"\xc3\xa9\\\"\\\\\"]}"},
};

START_TEST(entries_are_shown_as_what_they_are) {
    ck_assert_str_eq(shown(&rows[_i].op), rows[_i].view);
}
END_TEST

/* Where the value is spliced in, the rest of the document is the same. */
START_TEST(spliced_view_is_the_copied_one) {
    struct op op = rows[_i].op;
    const char *copied = shown(&op);
    view_put_entry(&response.body, &response, &op);
    buf_put_char(&response.body, '}');
    struct buf whole = {0};
    size_t at = response.splice.n > 0 ? response.splice_at : 0;
    buf_put(&whole, response.body.p, at);
    buf_put_slice(&whole, response.splice);
    buf_put(&whole, response.body.p + at, response.body.n - at);
    ck_assert(slice_eq(buf_slice(&whole), slice_of(copied)));
    ck_assert_uint_eq(whole.n, response_length(&response));
    buf_fini(&whole);
}
END_TEST

START_TEST(json_is_spliced_from_where_it_lies) {
    struct op op = {.found = {.body = SLICE("[1]"), .is_json = true}, .left = -1};
    view_put_entry(&response.body, &response, &op);
    ck_assert_ptr_eq(response.splice.p, op.found.body.p);
    ck_assert_uint_eq(response.splice.n, 3);
    ck_assert_uint_eq(response.splice_at, strlen(",\"value\":"));
    ck_assert(slice_eq(buf_slice(&response.body), SLICE(",\"value\":,\"ttl\":null")));
}
END_TEST

START_TEST(keys_are_strings) {
    view_put_key(&body, SLICE("a\"b\\\xc3\xa9/"));
    ck_assert(slice_eq(buf_slice(&body), SLICE("\"key\":\"a\\\"b\\\\\xc3\xa9/\"")));
}
END_TEST

START_TEST(timestamp_ends_the_document) {
    static const char pattern[] = ",\"timestamp\":\"0000-00-00T00:00:00.000000Z\"}";
    view_put_timestamp(&body);
    ck_assert_uint_eq(body.n, sizeof(pattern) - 1);
    for (size_t i = 0; i < body.n; i++)
        ck_assert(pattern[i] == '0' ? body.p[i] >= '0' && body.p[i] <= '9'
                                    : body.p[i] == pattern[i]);
}
END_TEST

Suite *suite_view(void) {
    Suite *s = suite_create("view");
    TCase *t = tcase_create("view");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, entries_are_shown_as_what_they_are, 0, COUNT_OF(rows));
    tcase_add_loop_test(t, spliced_view_is_the_copied_one, 0, COUNT_OF(rows));
    tcase_add_test(t, json_is_spliced_from_where_it_lies);
    tcase_add_test(t, keys_are_strings);
    tcase_add_test(t, timestamp_ends_the_document);
    suite_add_tcase(s, t);
    return s;
}
