/* The strict scanner: the suite's cases, where faults are said to be, depth, members; cursors. What
 * it does with texts nobody wrote is in check_jsontext_random.c. */
#include "units.h"

#include <stdio.h>

#include "base/jsontext.h"
#include "support.h"

static enum error check(struct slice text, struct slice *value, struct jsontext_fault *fault) {
    char *copy = exact_copy(text);
    enum error e = jsontext_check((struct slice){copy, text.n}, value, fault);
    if (e == OK && value != NULL)
        value->p = text.p + (value->p - copy);
    free(copy);
    return e;
}

/* --- the suite ------------------------------------------------------------------------------- */

static const struct suite_row {
    const char *name;
    struct slice text;
    bool taken;
} suite_rows[] = {
#define Y(name, text)       {"y_" name, SLICE_INIT(text), true},
#define N(name, text)       {"n_" name, SLICE_INIT(text), false},
#define TAKEN(name, text)   {"i_" name, SLICE_INIT(text), true},
#define REFUSED(name, text) {"i_" name, SLICE_INIT(text), false},
#include "jsonsuite.def"
#undef Y
#undef N
#undef TAKEN
#undef REFUSED
};

START_TEST(suite_cases) {
    for (size_t i = 0; i < COUNT_OF(suite_rows); i++) {
        const struct suite_row *row = &suite_rows[i];
        struct jsontext_fault fault = {0};
        enum error e = check(row->text, NULL, &fault);
        ck_assert_msg(e == (row->taken ? OK : E_INVALID_JSON), "%s: %s", row->name,
                      e == OK ? "accepted" : fault.reason);
    }
}
END_TEST

START_TEST(suite_cases_as_members) {
    for (size_t i = 0; i < COUNT_OF(suite_rows); i++) {
        const struct suite_row *row = &suite_rows[i];
        struct jsontext_member members[2];
        struct buf b = {0};
        size_t count;
        buf_puts(&b, "{\"value\":");
        buf_put_slice(&b, row->text);
        buf_puts(&b, "}");
        char *copy = exact_copy(buf_slice(&b));
        enum error e = jsontext_members((struct slice){copy, b.n}, members, 2, &count, NULL);
        ck_assert_msg(e == (row->taken ? OK : E_INVALID_JSON), "%s", row->name);
        free(copy);
        buf_fini(&b);
    }
}
END_TEST

/* --- values and faults ----------------------------------------------------------------------- */

START_TEST(the_value_is_the_text_without_outer_space) {
    static const char *const values[] = {"1", "\" \"", "[ ]", "{ \"a\" : 1 }", "null", "-0.0e+0"};
    static const char *const spaces[] = {"", " ", "\t\r\n ", "\n\n\n\n\n\n\n\n\n\n"};
    for (size_t i = 0; i < COUNT_OF(values); i++)
        for (size_t before = 0; before < COUNT_OF(spaces); before++)
            for (size_t behind = 0; behind < COUNT_OF(spaces); behind++) {
                struct buf b = {0};
                struct slice value;
                buf_puts(&b, spaces[before]);
                buf_puts(&b, values[i]);
                buf_puts(&b, spaces[behind]);
                ck_assert_int_eq(check(buf_slice(&b), &value, NULL), OK);
                ck_assert_ptr_eq(value.p, b.p + strlen(spaces[before]));
                ck_assert_uint_eq(value.n, strlen(values[i]));
                buf_fini(&b);
            }
}
END_TEST

START_TEST(a_refused_text_gives_no_value) {
    struct slice value = SLICE("untouched");
    ck_assert_int_eq(check(SLICE("[1] x"), &value, NULL), E_INVALID_JSON);
    ck_assert_int_eq(check(SLICE("[1"), &value, NULL), E_INVALID_JSON);
    ck_assert(slice_eq(value, SLICE("untouched")));
}
END_TEST

START_TEST(no_text_at_all_is_invalid) {
    struct jsontext_fault fault;
    ck_assert_int_eq(jsontext_check((struct slice){NULL, 0}, NULL, &fault), E_INVALID_JSON);
    ck_assert_uint_eq(fault.offset, 0);
    ck_assert_ptr_nonnull(strstr(fault.reason, "ends"));
}
END_TEST

START_TEST(faults_are_where_the_text_goes_wrong) {
    static const struct {
        struct slice text;
        size_t offset;
        const char *says; /* a word of the reason */
    } rows[] = {
        {SLICE_INIT(""), 0, "ends"},
        {SLICE_INIT("  "), 2, "ends"},
        {SLICE_INIT("[1, 2"), 5, "ends"},
        {SLICE_INIT("\"abc"), 4, "ends"},
        {SLICE_INIT("\"abc\\"), 5, "ends"},
        {SLICE_INIT("{\"a\""), 4, "ends"},
        {SLICE_INIT("-"), 1, "ends"},
        {SLICE_INIT("1e+"), 3, "ends"},
        {SLICE_INIT("\xef\xbb\xbf{}"), 0, "starts"},
        {SLICE_INIT("[NaN]"), 1, "starts"},
        {SLICE_INIT(" tru "), 1, "starts"},
        {SLICE_INIT("[1,]"), 3, "starts"},
        {SLICE_INIT("[1 2]"), 3, "bracket"},
        {SLICE_INIT("[1}"), 2, "bracket"},
        {SLICE_INIT("[01]"), 2, "bracket"},
        {SLICE_INIT("{\"a\":1 2}"), 7, "brace"},
        {SLICE_INIT("{\"a\":1]"), 6, "brace"},
        {SLICE_INIT("{\"a\" 1}"), 5, "colon"},
        {SLICE_INIT("{a:1}"), 1, "name"},
        {SLICE_INIT("{\"a\":1,}"), 7, "name"},
        {SLICE_INIT("01"), 1, "follows"},
        {SLICE_INIT("{} x"), 3, "follows"},
        {SLICE_INIT("{}\0"), 2, "follows"},
        {SLICE_INIT("1. "), 2, "digit"},
        {SLICE_INIT("-x"), 1, "digit"},
        {SLICE_INIT("1e "), 2, "digit"},
        {SLICE_INIT("\"a\nb\""), 2, "control"},
        {SLICE_INIT("\"\0\""), 1, "control"},
        {SLICE_INIT("\"12345678\x1f\""), 9, "control"},
        {SLICE_INIT("\"a\\x\""), 2, "escape"},
        {SLICE_INIT("\"a\\u12g4\""), 2, "hexadecimal"},
        {SLICE_INIT("\"\\udc00\""), 1, "surrogate"},
        {SLICE_INIT("\"\\ud800\""), 7, "surrogate"},
        {SLICE_INIT("\"\xd0\xba\xff\""), 3, "UTF-8"},
        {SLICE_INIT("\"\xe2\x82\""), 1, "UTF-8"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct jsontext_fault fault = {.offset = 999};
        ck_assert_int_eq(check(rows[i].text, NULL, &fault), E_INVALID_JSON);
        ck_assert_msg(fault.offset == rows[i].offset, "row %zu, \"%s\": at %zu", i, rows[i].text.p,
                      fault.offset);
        ck_assert_msg(strstr(fault.reason, rows[i].says) != NULL, "row %zu, \"%s\": %s", i,
                      rows[i].text.p, fault.reason);
    }
}
END_TEST

/* A stop at each place of a string of each length up to three words, in a block of that size. */
START_TEST(strings_stop_where_they_must_at_every_alignment) {
    static const char stops[] = {'"', '\\', '\0', '\n', 0x1f, (char)0x80, (char)0xff};
    for (size_t n = 2; n < 28; n++)
        for (size_t at = 1; at < n - 1; at++)
            for (size_t i = 0; i < COUNT_OF(stops); i++) {
                char text[32];
                struct jsontext_fault fault = {0};
                memset(text, 'x', n);
                text[0] = text[n - 1] = '"';
                ck_assert_int_eq(check((struct slice){text, n}, NULL, NULL), OK);
                text[at] = stops[i];
                ck_assert_int_eq(check((struct slice){text, n}, NULL, &fault), E_INVALID_JSON);
                /* after a quote something follows; the last backslash takes the closing quote */
                size_t want = stops[i] == '"' ? at + 1 : stops[i] == '\\' && at == n - 2 ? n : at;
                ck_assert_uint_eq(fault.offset, want);
            }
}
END_TEST

START_TEST(every_byte_may_or_may_not_stand_in_a_string) {
    for (int byte = 0; byte < 256; byte++) {
        char raw[] = {'"', (char)byte, '"'};
        char escaped[] = {'"', '\\', (char)byte, '"'};
        bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
        bool escape = byte != 0 && byte != 'u' && strchr("\"\\/bfnrt", byte) != NULL;
        ck_assert_msg((check((struct slice){raw, 3}, NULL, NULL) == OK) == plain, "%02x", byte);
        ck_assert_msg((check((struct slice){escaped, 4}, NULL, NULL) == OK) == escape, "\\%02x",
                      byte);
    }
}
END_TEST

START_TEST(every_unicode_escape_is_a_character_or_half_of_one) {
    for (unsigned unit = 0; unit < 0x10000; unit++) {
        char text[20];
        bool high = unit >= 0xD800 && unit < 0xDC00;
        bool low = unit >= 0xDC00 && unit < 0xE000;
        size_t n = (size_t)sprintf(text, unit % 2 ? "\"\\u%04x\"" : "\"\\u%04X\"", unit);
        if ((jsontext_check((struct slice){text, n}, NULL, NULL) == OK) != (!high && !low))
            ck_abort_msg("%s", text);
        n = (size_t)sprintf(text, "\"\\uDABC\\u%04X\"", unit);
        if ((jsontext_check((struct slice){text, n}, NULL, NULL) == OK) != low)
            ck_abort_msg("%s", text);
        n = (size_t)sprintf(text, "\"\\u%04X\\uDDEF\"", unit);
        if ((jsontext_check((struct slice){text, n}, NULL, NULL) == OK) != high)
            ck_abort_msg("%s", text);
    }
}
END_TEST

/* --- depth ----------------------------------------------------------------------------------- */

/* Brackets of `levels` containers, objects where the bit of the level is set, around `core`. */
static void put_nest(struct buf *b, size_t levels, const uint64_t objects[4], const char *core) {
    for (size_t i = 0; i < levels; i++)
        buf_puts(b, objects[i / 64] >> i % 64 & 1 ? "{\"k\":" : "[");
    buf_puts(b, core);
    for (size_t i = levels; i-- > 0;)
        buf_puts(b, objects[i / 64] >> i % 64 & 1 ? "}" : "]");
}

START_TEST(depth_ends_after_128_levels) {
    static const uint64_t arrays[4] = {0};
    static const uint64_t objects[4] = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
    for (size_t levels = 1; levels < 200; levels++) {
        struct buf b = {0};
        struct jsontext_fault fault = {0};
        enum error want = levels <= 128 ? OK : E_TOO_DEEP;
        put_nest(&b, levels, arrays, "");
        ck_assert_int_eq(check(buf_slice(&b), NULL, &fault), want);
        ck_assert_uint_eq(fault.offset, want == OK ? 0 : 128);
        buf_reset(&b, SIZE_MAX);
        put_nest(&b, levels, objects, "1");
        ck_assert_int_eq(check(buf_slice(&b), NULL, &fault), want);
        ck_assert_uint_eq(fault.offset, want == OK ? 0 : (sizeof("{\"k\":") - 1) * 128);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(closed_containers_do_not_count) {
    uint64_t seed = 128;
    for (size_t levels = 127; levels <= 128; levels++) {
        struct buf b = {0};
        buf_puts(&b, "[0");
        for (int i = 0; i < 300; i++) {
            uint64_t shape[4] = {random_next(&seed), random_next(&seed)};
            buf_puts(&b, ",");
            put_nest(&b, levels, shape, "1");
        }
        buf_puts(&b, "]");
        ck_assert_int_eq(check(buf_slice(&b), NULL, NULL), levels == 127 ? OK : E_TOO_DEEP);
        buf_fini(&b);
    }
}
END_TEST

START_TEST(every_level_remembers_its_bracket) {
    uint64_t seed = 64;
    for (int round = 0; round < 20; round++) {
        struct buf b = {0};
        uint64_t shape[4] = {random_next(&seed), random_next(&seed)};
        put_nest(&b, 128, shape, "1");
        ck_assert_int_eq(check(buf_slice(&b), NULL, NULL), OK);
        for (size_t level = 1; level <= 128; level++) {
            char *closing = &b.p[b.n - level];
            struct jsontext_fault fault;
            *closing ^= ']' ^ '}';
            ck_assert_int_eq(check(buf_slice(&b), NULL, &fault), E_INVALID_JSON);
            ck_assert_uint_eq(fault.offset, b.n - level);
            *closing ^= ']' ^ '}';
        }
        buf_fini(&b);
    }
}
END_TEST

START_TEST(a_hundred_thousand_brackets_are_too_deep) {
    struct buf b = {0};
    struct jsontext_fault fault = {0};
    for (int i = 0; i < 100000; i++)
        buf_put_char(&b, '[');
    ck_assert_int_eq(check(buf_slice(&b), NULL, &fault), E_TOO_DEEP);
    ck_assert_uint_eq(fault.offset, 128);
    buf_reset(&b, SIZE_MAX);
    for (int i = 0; i < 50000; i++)
        buf_puts(&b, "[{\"\":");
    ck_assert_int_eq(check(buf_slice(&b), NULL, &fault), E_TOO_DEEP);
    ck_assert_uint_eq(fault.offset, 320); /* 64 times five bytes */
    ck_assert_ptr_nonnull(strstr(fault.reason, "deep"));
    buf_fini(&b);
}
END_TEST

/* --- members --------------------------------------------------------------------------------- */

START_TEST(members_are_listed_in_order_with_their_exact_text) {
    static const struct slice text = SLICE_INIT(
        " { \"value\" : { \"value\":[1, {\"ttl\":2}] } ,\"ttl\":10.0,\n\"\":null, \"a\\\"\\u0062\""
        ":\" x \" ,\"value\" :\t-0e1 } ");
    static const struct slice want[][2] = {
        {SLICE_INIT("value"), SLICE_INIT("{ \"value\":[1, {\"ttl\":2}] }")},
        {SLICE_INIT("ttl"), SLICE_INIT("10.0")},
        {SLICE_INIT(""), SLICE_INIT("null")},
        {SLICE_INIT("a\\\"\\u0062"), SLICE_INIT("\" x \"")},
        {SLICE_INIT("value"), SLICE_INIT("-0e1")},
    };
    struct jsontext_member members[8];
    size_t count = 0;
    ck_assert_int_eq(jsontext_members(text, members, 8, &count, NULL), OK);
    ck_assert_uint_eq(count, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        ck_assert(slice_eq(members[i].name, want[i][0]));
        ck_assert(slice_eq(members[i].value, want[i][1]));
    }
}
END_TEST

START_TEST(no_more_members_are_listed_than_asked_for) {
    static const struct slice text = SLICE_INIT("{\"a\":1,\"b\":2,\"c\":3}");
    for (size_t max = 0; max < 5; max++) {
        struct jsontext_member *members = calloc(max + 1, sizeof(*members));
        size_t count = 99;
        members[max].name = SLICE("guard");
        ck_assert_int_eq(jsontext_members(text, members, max, &count, NULL), OK);
        ck_assert_uint_eq(count, 3);
        for (size_t i = 0; i < max && i < count; i++) {
            ck_assert_int_eq(members[i].name.p[0], (int)('a' + i));
            ck_assert_int_eq(members[i].value.p[0], (int)('1' + i));
        }
        ck_assert(slice_eq(members[max].name, SLICE("guard")));
        free(members);
    }
    size_t count = 99;
    ck_assert_int_eq(jsontext_members(text, NULL, 0, &count, NULL), OK);
    ck_assert_uint_eq(count, 3);
}
END_TEST

START_TEST(what_follows_the_listed_members_is_checked_too) {
    struct jsontext_member member;
    size_t count;
    struct jsontext_fault fault;
    ck_assert_int_eq(jsontext_members(SLICE("{\"a\":1,\"b\":\"\\x\"}"), &member, 1, &count, &fault),
                     E_INVALID_JSON);
    ck_assert_uint_eq(fault.offset, 12);
    ck_assert_int_eq(jsontext_members(SLICE("{\"a\":1} {}"), &member, 1, &count, &fault),
                     E_INVALID_JSON);
    ck_assert_uint_eq(fault.offset, 8);
    ck_assert_int_eq(jsontext_members(SLICE("{\"a\":1 \"b\":2}"), &member, 1, &count, &fault),
                     E_INVALID_JSON);
    ck_assert_uint_eq(fault.offset, 7);
    ck_assert_int_eq(jsontext_members(SLICE("{\"a\":1,}"), &member, 1, &count, &fault),
                     E_INVALID_JSON);
    ck_assert_uint_eq(fault.offset, 7);
}
END_TEST

START_TEST(an_empty_object_has_no_members) {
    size_t count = 99;
    ck_assert_int_eq(jsontext_members(SLICE("{}"), NULL, 0, &count, NULL), OK);
    ck_assert_uint_eq(count, 0);
    count = 99;
    ck_assert_int_eq(jsontext_members(SLICE("\t{ \n} "), NULL, 0, &count, NULL), OK);
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(other_values_have_no_members_and_bad_text_is_bad_text) {
    static const struct slice others[] = {SLICE_INIT("1"),    SLICE_INIT(" [{\"a\":1}] "),
                                          SLICE_INIT("null"), SLICE_INIT("\"{}\""),
                                          SLICE_INIT("true"), SLICE_INIT("[]")};
    static const struct slice bad[] = {SLICE_INIT(""),      SLICE_INIT(" "),   SLICE_INIT("[1"),
                                       SLICE_INIT("nul"),   SLICE_INIT("1 2"), SLICE_INIT("{"),
                                       SLICE_INIT("{} {}"), SLICE_INIT("}")};
    size_t count;
    for (size_t i = 0; i < COUNT_OF(others); i++)
        ck_assert_int_eq(jsontext_members(others[i], NULL, 0, &count, NULL), E_SCHEMA_VIOLATION);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct jsontext_fault fault = {0};
        ck_assert_int_eq(jsontext_members(bad[i], NULL, 0, &count, &fault), E_INVALID_JSON);
        ck_assert_ptr_nonnull(fault.reason);
    }
    ck_assert_int_eq(jsontext_members((struct slice){NULL, 0}, NULL, 0, &count, NULL),
                     E_INVALID_JSON);
}
END_TEST

START_TEST(the_object_is_the_first_level) {
    static const uint64_t arrays[4] = {0};
    for (size_t levels = 127; levels <= 128; levels++) {
        struct buf b = {0};
        struct jsontext_fault fault = {0};
        size_t count;
        buf_puts(&b, "{\"v\":");
        put_nest(&b, levels, arrays, "");
        buf_puts(&b, "}");
        ck_assert_int_eq(jsontext_members(buf_slice(&b), NULL, 0, &count, &fault),
                         levels == 127 ? OK : E_TOO_DEEP);
        ck_assert_uint_eq(fault.offset, levels == 127 ? 0 : 5 + 127);
        buf_fini(&b);
    }
}
END_TEST

/* --- cursors --------------------------------------------------------------------------------- */

START_TEST(members_come_one_after_the_other) {
    static const struct slice text =
        SLICE_INIT("{ \"value\" : { \"value\":[1, {\"ttl\":\"}\"}] } ,\"ttl\":10.0,\n\"\":null, "
                   "\"a\\\"\\u0062\":\" x \" ,\"value\" :\t-0e1 } , behind");
    static const struct slice want[][2] = {
        {SLICE_INIT("value"), SLICE_INIT("{ \"value\":[1, {\"ttl\":\"}\"}] }")},
        {SLICE_INIT("ttl"), SLICE_INIT("10.0")},
        {SLICE_INIT(""), SLICE_INIT("null")},
        {SLICE_INIT("a\\\"\\u0062"), SLICE_INIT("\" x \"")},
        {SLICE_INIT("value"), SLICE_INIT("-0e1")},
    };
    struct slice rest = text;
    struct jsontext_member member;
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        ck_assert(jsontext_next_member(&rest, &member));
        ck_assert(slice_eq(member.name, want[i][0]));
        ck_assert(slice_eq(member.value, want[i][1]));
    }
    ck_assert(!jsontext_next_member(&rest, &member));
    ck_assert(slice_eq(rest, SLICE(" , behind")));
}
END_TEST

START_TEST(elements_come_one_after_the_other) {
    static const struct slice text = SLICE_INIT("[ [ ] ,\"]\",\n{\"a\":[1,2]}\t,null , -1.50]]");
    static const struct slice want[] = {SLICE_INIT("[ ]"), SLICE_INIT("\"]\""),
                                        SLICE_INIT("{\"a\":[1,2]}"), SLICE_INIT("null"),
                                        SLICE_INIT("-1.50")};
    struct slice rest = text;
    struct slice value;
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        ck_assert(jsontext_next_element(&rest, &value));
        ck_assert(slice_eq(value, want[i]));
    }
    ck_assert(!jsontext_next_element(&rest, &value));
    ck_assert(slice_eq(rest, SLICE("]")));
}
END_TEST

START_TEST(nothing_comes_from_what_is_empty_or_at_its_end) {
    static const struct slice objects[] = {SLICE_INIT("{}"), SLICE_INIT("{ \n}"), SLICE_INIT("")};
    static const struct slice arrays[] = {SLICE_INIT("[]"), SLICE_INIT("[\t ]"), SLICE_INIT("")};
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        char *object = exact_copy(objects[i]);
        char *array = exact_copy(arrays[i]);
        struct slice members = {object, objects[i].n};
        struct slice elements = {array, arrays[i].n};
        struct jsontext_member member;
        struct slice value;
        for (int again = 0; again < 3; again++) {
            ck_assert(!jsontext_next_member(&members, &member));
            ck_assert(!jsontext_next_element(&elements, &value));
            ck_assert_uint_eq(members.n, 0);
            ck_assert_uint_eq(elements.n, 0);
        }
        free(object);
        free(array);
    }
}
END_TEST

/* Down through two objects and an array with one cursor, and out again. */
START_TEST(a_cursor_goes_into_values_and_comes_out_behind_them) {
    struct slice rest = SLICE("{ \"a\" : { \"b\" : [ 1 , 2 ] , \"c\" : true } , \"d\" : \"e\" }");
    struct slice name;
    struct slice value;
    ck_assert(jsontext_next_name(&rest, &name));
    ck_assert(slice_eq(name, SLICE("a")));
    ck_assert_int_eq(rest.p[0], '{');
    ck_assert(jsontext_next_name(&rest, &name));
    ck_assert(slice_eq(name, SLICE("b")));
    ck_assert_int_eq(rest.p[0], '[');
    ck_assert(jsontext_next_element(&rest, &value));
    ck_assert(jsontext_next_element(&rest, &value));
    ck_assert(slice_eq(value, SLICE("2")));
    ck_assert(!jsontext_next_element(&rest, &value));
    ck_assert(jsontext_next_name(&rest, &name));
    ck_assert(slice_eq(name, SLICE("c")));
    ck_assert(slice_eq(jsontext_take_value(&rest), SLICE("true")));
    ck_assert(!jsontext_next_name(&rest, &name));
    ck_assert(jsontext_next_name(&rest, &name));
    ck_assert(slice_eq(name, SLICE("d")));
    ck_assert(slice_eq(jsontext_take_value(&rest), SLICE("\"e\"")));
    ck_assert(!jsontext_next_name(&rest, &name));
    ck_assert_uint_eq(rest.n, 0);
}
END_TEST

START_TEST(a_value_at_the_end_of_the_text_is_taken_whole) {
    static const struct slice values[] = {SLICE_INIT("0"),    SLICE_INIT("-1.5e3"),
                                          SLICE_INIT("null"), SLICE_INIT("\"\\\"\""),
                                          SLICE_INIT("[[]]"), SLICE_INIT("{\"a\":{}}")};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        char *copy = exact_copy(values[i]);
        struct slice rest = {copy, values[i].n};
        ck_assert(slice_eq(jsontext_take_value(&rest), values[i]));
        ck_assert_uint_eq(rest.n, 0);
        free(copy);
    }
}
END_TEST

Suite *suite_jsontext(void) {
    Suite *s = suite_create("jsontext");
    TCase *t = tcase_create("suite");
    tcase_add_test(t, suite_cases);
    tcase_add_test(t, suite_cases_as_members);
    suite_add_tcase(s, t);
    t = tcase_create("faults");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, the_value_is_the_text_without_outer_space);
    tcase_add_test(t, a_refused_text_gives_no_value);
    tcase_add_test(t, no_text_at_all_is_invalid);
    tcase_add_test(t, faults_are_where_the_text_goes_wrong);
    tcase_add_test(t, strings_stop_where_they_must_at_every_alignment);
    tcase_add_test(t, every_byte_may_or_may_not_stand_in_a_string);
    tcase_add_test(t, every_unicode_escape_is_a_character_or_half_of_one);
    suite_add_tcase(s, t);
    t = tcase_create("depth");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, depth_ends_after_128_levels);
    tcase_add_test(t, closed_containers_do_not_count);
    tcase_add_test(t, every_level_remembers_its_bracket);
    tcase_add_test(t, a_hundred_thousand_brackets_are_too_deep);
    suite_add_tcase(s, t);
    t = tcase_create("members");
    tcase_add_test(t, members_are_listed_in_order_with_their_exact_text);
    tcase_add_test(t, no_more_members_are_listed_than_asked_for);
    tcase_add_test(t, what_follows_the_listed_members_is_checked_too);
    tcase_add_test(t, an_empty_object_has_no_members);
    tcase_add_test(t, other_values_have_no_members_and_bad_text_is_bad_text);
    tcase_add_test(t, the_object_is_the_first_level);
    suite_add_tcase(s, t);
    t = tcase_create("cursors");
    tcase_add_test(t, members_come_one_after_the_other);
    tcase_add_test(t, elements_come_one_after_the_other);
    tcase_add_test(t, nothing_comes_from_what_is_empty_or_at_its_end);
    tcase_add_test(t, a_cursor_goes_into_values_and_comes_out_behind_them);
    tcase_add_test(t, a_value_at_the_end_of_the_text_is_taken_whole);
    suite_add_tcase(s, t);
    return s;
}
