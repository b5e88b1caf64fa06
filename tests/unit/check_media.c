/* Media types: what counts as JSON, what as no coding. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "http/media.h"
#include "support.h"

static const struct {
    const char *value;
    bool json;
} types[] = {
    {"", true},
    {" \t ", true},
    {"application/json", true},
    {"  application/json\t", true},
    {"Application/JSON ;x=y", true},
    {"application/json;", true},
    {"application/json ; ; ;", true},
    {"application/json; charset=UTF-8", true},
    {"application/json;CHARSET=utf-8", true},
    {"application/json; charset=utf8", true},
    {"application/json; charset=\"Utf-8\"", true},
    {"application/json; version=1; charset=utf-8; x", true},
    {"application/json; x=\"; charset=utf-16\"", true},
    {"application/json; x=\"\\\"; charset=utf-16\"", true},
    {"application/json; charsets=utf-16", true},
    {"application/json; xcharset=utf-16", true},
    {"application/vnd.api+json", true},
    {"Application/Vnd.Api+JSON; charset=utf-8", true},
    {"application/a+b+json", true},

    {"application/jsonx", false},
    {"application/jso", false},
    {"json", false},
    {"/", false},
    {";", false},
    {"; charset=utf-8", false},
    {"text/html", false},
    {"text/json", false},
    {"application/x-www-form-urlencoded", false},
    {"application/+json", false},
    {"application/merge-patch+json", false},
    {"application/json-patch+json", false},
    {"application/a b+json", false},
    {"application/a/b+json", false},
    {"application/vnd.api+jsonx", false},
    {"application/vnd.api+json; charset=utf-16", false},
    {"text/vnd.api+json", false},
    {"application/json, text/html", false},
    {"application/json text/html", false},
    {"application / json", false},
    {"\"application/json\"", false},
    {"application/json; charset=utf-16", false},
    {"application/json; charset=", false},
    {"application/json; charset=\"\"", false},
    {"application/json; charset=\"", false},
    {"application/json; charset=\"utf-8", false},
    {"application/json; charset=latin1; charset=utf-8", false},
    {"application/json; charset=utf-8; charset=latin1", false},
    {"application/json; x=\"y\"; Charset=utf-16", false},
    {"application/json; x=\"\\\\\"; charset=utf-16", false},
};

START_TEST(json_is_told_from_other_types) {
    char *value = exact_copy(slice_of(types[_i].value));
    bool json = media_is_json((struct slice){value, strlen(types[_i].value)});
    ck_assert_msg(json == types[_i].json, "%s", types[_i].value);
    free(value);
}
END_TEST

START_TEST(no_type_at_all_is_json) {
    ck_assert(media_is_json((struct slice){0}));
}
END_TEST

/* Whatever it is, reading it ends and stays inside: AddressSanitizer looks on. */
START_TEST(cut_off_types_are_read_no_further) {
    static const char text[] = "application/json; x=\"\\\"; y\"; charset=\"utf-8\"";
    const size_t charset = (size_t)(strstr(text, "charset=") - text) + strlen("charset=");
    for (size_t n = 0; n < sizeof(text); n++) {
        char *value = exact_copy((struct slice){text, n});
        bool json = media_is_json((struct slice){value, n});
        /* A charset that is cut off is another one. */
        bool good =
            n == 0 || (n >= strlen("application/json") && n < charset) || n == sizeof(text) - 1;
        ck_assert_msg(json == good, "%.*s", (int)n, text);
        free(value);
    }
}
END_TEST

static const struct {
    const char *value;
    bool identity;
} codings[] = {
    {"", true},           {" \t", true},
    {"identity", true},   {"\tIdentity ", true},
    {"gzip", false},      {"identity, gzip", false},
    {"identit", false},   {"identityy", false},
    {"identity;", false}, {"br", false},
};

START_TEST(codings_that_change_nothing_are_told) {
    char *value = exact_copy(slice_of(codings[_i].value));
    ck_assert_int_eq(media_coding_is_identity((struct slice){value, strlen(codings[_i].value)}),
                     codings[_i].identity);
    free(value);
    ck_assert(media_coding_is_identity((struct slice){0}));
}
END_TEST

Suite *suite_media(void) {
    Suite *s = suite_create("media");
    TCase *t = tcase_create("types");
    tcase_add_loop_test(t, json_is_told_from_other_types, 0, COUNT_OF(types));
    tcase_add_test(t, no_type_at_all_is_json);
    tcase_add_test(t, cut_off_types_are_read_no_further);
    suite_add_tcase(s, t);
    t = tcase_create("codings");
    tcase_add_loop_test(t, codings_that_change_nothing_are_told, 0, COUNT_OF(codings));
    suite_add_tcase(s, t);
    return s;
}
