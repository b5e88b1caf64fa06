/* Merge patches: RFC 7396's own cases, what keeps its text, names and duplicates, sizes, and random
 * documents against a merge of json-c's objects. In the tables ' stands for ", which JSON text is
 * full of. */
#include "units.h"

#include <json-c/json.h>

#include "base/jsonmerge.h"
#include "base/jsontext.h"
#include "require.h"
#include "scarce.h"
#include "support.h"

/* Merges exact copies, so that a sanitizer sees a read outside. The caller frees `out`. */
static enum error merge(struct slice target, struct slice patch, struct buf *out) {
    char *t = exact_copy(target);
    char *p = exact_copy(patch);
    require(jsontext_check(target, NULL, NULL) == OK);
    require(jsontext_check(patch, NULL, NULL) == OK);
    enum error e = jsonmerge((struct slice){t, target.n}, (struct slice){p, patch.n}, out);
    free(t);
    free(p);
    return e;
}

/* What every merged text is. */
static void require_sound(struct slice target, struct slice patch, struct slice merged) {
    struct slice value;
    require(jsontext_check(merged, &value, NULL) == OK);
    require(value.n == merged.n);
    require(merged.n <= target.n + patch.n);
}

static struct buf unquoted(const char *text) {
    struct buf b = {0};
    for (const char *p = text; *p != '\0'; p++)
        buf_put_char(&b, (char)(*p == '\'' ? '"' : *p));
    return b;
}

struct row {
    const char *target;
    const char *patch;
    const char *merged;
};

static void check_rows(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct buf target = unquoted(rows[i].target);
        struct buf patch = unquoted(rows[i].patch);
        struct buf want = unquoted(rows[i].merged);
        struct buf have = {0};
        ck_assert_int_eq(merge(buf_slice(&target), buf_slice(&patch), &have), OK);
        ck_assert_msg(slice_eq(buf_slice(&have), buf_slice(&want)),
                      "row %zu: %.*s and %.*s make %.*s, not %.*s", i, (int)target.n, target.p,
                      (int)patch.n, patch.p, (int)have.n, have.p, (int)want.n, want.p);
        require_sound(buf_slice(&target), buf_slice(&patch), buf_slice(&have));
        buf_fini(&target);
        buf_fini(&patch);
        buf_fini(&want);
        buf_fini(&have);
    }
}

/* --- tables ---------------------------------------------------------------------------------- */

START_TEST(appendix_a_of_the_rfc) {
    static const struct row rows[] = {
        {"{'a':'b'}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}"},
        {"{'a':'b'}", "{'a':null}", "{}"},
        {"{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}"},
        {"{'a':['b']}", "{'a':'c'}", "{'a':'c'}"},
        {"{'a':'c'}", "{'a':['b']}", "{'a':['b']}"},
        {"{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}"},
        {"{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}"},
        {"['a','b']", "['c','d']", "['c','d']"},
        {"{'a':'b'}", "['c']", "['c']"},
        {"{'a':'foo'}", "null", "null"},
        {"{'a':'foo'}", "'bar'", "'bar'"},
        {"{'e':null}", "{'a':1}", "{'e':null,'a':1}"},
        {"[1,2]", "{'a':'b','c':null}", "{'a':'b'}"},
        {"{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(the_example_of_section_3) {
    static const struct row rows[] = {
        {"{\n  'title': 'Goodbye!',\n  'author' : {\n    'givenName' : 'John',\n"
         "    'familyName' : 'Doe'\n  },\n  'tags':[ 'example', 'sample' ],\n"
         "  'content': 'This will be unchanged'\n}",
         "{\n  'title': 'Hello!',\n  'phoneNumber': '+01-123-456-7890',\n"
         "  'author': {\n    'familyName': null\n  },\n  'tags': [ 'example' ]\n}",
         "{\n  'title': 'Hello!',\n  'author' : {\n    'givenName' : 'John'\n  },\n"
         "  'tags':[ 'example' ],\n  'content': 'This will be unchanged',"
         "'phoneNumber': '+01-123-456-7890'\n}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_is_no_object_is_replaced_or_counts_as_an_empty_one) {
    static const struct row rows[] = {
        {"1", "2", "2"},
        {"1", "[ {'a':null , 'a':2} ]", "[ {'a':null , 'a':2} ]"},
        {"{ }", "-0.0e1", "-0.0e1"},
        {"null", "{}", "{}"},
        {"'{'", "{ }", "{ }"},
        {"[{'a':1}]", "{ 'b' : 2.0 }", "{ 'b' : 2.0 }"},
        {"1", "{'a':null}", "{}"},
        {"1", "{'a':null,'b':null, 'c':[null]}", "{'c':[null]}"},
        {"{'a':1}", "{'a':{'b':null}}", "{'a':{}}"},
        {"{'a':[{'b':1}]}", "{'a':{'b':null,'c':{'d':null,'e':5}}}", "{'a':{'c':{'e':5}}}"},
        {"{'a':{'b':{'c':1}}}", "{'a':{'b':{'d':2}}}", "{'a':{'b':{'c':1,'d':2}}}"},
        {"{'a':{'b':1}}", "{'a':7}", "{'a':7}"},
        {"{'a':{'b':1}}", "{'a':null}", "{}"},
        {"{'a':{'b':1}}", "{'b':2}", "{'a':{'b':1},'b':2}"},
        {"{'b':2,'a':{}}", "{'a':{'b':1}}", "{'b':2,'a':{'b':1}}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_the_patch_does_not_name_keeps_its_text) {
    static const struct row rows[] = {
        {"{ 'a' : 1.10 , 'b' :\t[ 1e400 , { } ] , 'c\\u0041\\/' : '\\u0061' }", "{}",
         "{ 'a' : 1.10 , 'b' :\t[ 1e400 , { } ] , 'c\\u0041\\/' : '\\u0061' }"},
        {"{\n \n}", "{ }", "{\n \n}"},
        {"{ 'o' : { 'n' : 1.10, 'm' :{ } } , 'a' :1 }", "{'o':{},'a':{}}",
         "{ 'o' : { 'n' : 1.10, 'm' :{ } } , 'a' :{} }"},
        {"{ 'a' : 1.10 , 'b' : -0 , 'c' : 12345678901234567890 }", "{'b':0.50}",
         "{ 'a' : 1.10 , 'b' : 0.50 , 'c' : 12345678901234567890 }"},
        {"{ 'o' : { 'a' : 1.10 , 'b' : 2 } , 'z' : { 'b' : 2 } }", "{'o':{'b':3}}",
         "{ 'o' : { 'a' : 1.10 , 'b' : 3 } , 'z' : { 'b' : 2 } }"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_goes_leaves_no_comma_behind) {
    static const struct row rows[] = {
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'a':null}", "{ 'b' : 2 , 'c' : 3 }"},
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'b':null}", "{ 'a' : 1 , 'c' : 3 }"},
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'c':null}", "{ 'a' : 1 , 'b' : 2 }"},
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'b':null,'a':null}", "{ 'c' : 3 }"},
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'c':null,'a':null}", "{ 'b' : 2 }"},
        {"{ 'a' : 1 , 'b' : 2 , 'c' : 3 }", "{'c':null,'a':null,'b':null}", "{ }"},
        {"{'a':1}", "{'a':null,'b':2}", "{'b':2}"},
        {"{'a':1,'b':2}", "{'b':null,'c':3}", "{'a':1,'c':3}"},
        {"{'o':{'a':1},'p':2}", "{'o':{'a':null}}", "{'o':{},'p':2}"},
        {"{',':',','b':2}", "{',':null}", "{'b':2}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(what_comes_stands_last_as_the_patch_spells_it) {
    static const struct row rows[] = {
        {"{ }", "{ 'b' : 1.0 , '\\u0061' :2 }", "{'b' : 1.0,'\\u0061' :2 }"},
        {"{ 'z':0 }", "{'y':1,'z':{},'x':[ ]}", "{ 'z':{},'y':1,'x':[ ] }"},
        {"{'z':0}", "{'o':{ 'a' : [ null ] , 'b' : { } }}",
         "{'z':0,'o':{ 'a' : [ null ] , 'b' : { } }}"},
        {"{'z':0}", "{'o':{ 'a' : 1 , 'b' : null , 'c' : { 'd' : 1 } }, 'p' : { 'q' : 1 }}",
         "{'z':0,'o':{'a' : 1,'c' : { 'd' : 1 }},'p' : { 'q' : 1 }}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(names_are_the_same_if_they_mean_the_same) {
    static const struct row rows[] = {
        {"{'\\u0061':1}", "{'a':2}", "{'\\u0061':2}"},
        {"{'a':1}", "{'\\u0061':2}", "{'a':2}"},
        {"{'\\u0061b':1}", "{'a\\u0062':null}", "{}"},
        {"{'/':1,'\\/':2}", "{'\\u002F':3}", "{'\\/':3}"},
        {"{'\\uD83C\\uDF4E':1}", "{'\xf0\x9f\x8d\x8e':2}", "{'\\uD83C\\uDF4E':2}"},
        {"{'\\\"':{'\\\\':1}}", "{'\\u0022':{'\\u005c':2}}", "{'\\\"':{'\\\\':2}}"},
        {"{'\\\\u0061':1}", "{'a':2}", "{'\\\\u0061':1,'a':2}"},
        {"{'':1}", "{'':2}", "{'':2}"},
        {"{'\\u0000':1}", "{'':2}", "{'\\u0000':1,'':2}"},
        {"{'a\\u0000b':1,'a\\u0000':2,'a':3}", "{'a\\u0000':null}", "{'a\\u0000b':1,'a':3}"},
        {"{'12345678':1,'12345678\\u0000':2}", "{'12345678\\u0000':3}",
         "{'12345678':1,'12345678\\u0000':3}"},
        {"{'A':1}", "{'a':2}", "{'A':1,'a':2}"},
        {"{'e\xcc\x81':1}", "{'\xc3\xa9':2}", "{'e\xcc\x81':1,'\xc3\xa9':2}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

START_TEST(the_last_of_several_members_of_one_name_counts) {
    static const struct row rows[] = {
        /* in the target */
        {"{'a':1,'b':2,'a':3}", "{'a':4}", "{'b':2,'a':4}"},
        {"{'a':1,'b':2,'a':3}", "{'a':null}", "{'b':2}"},
        {"{'a':1,'b':2,'a':3}", "{'b':4}", "{'a':1,'b':4,'a':3}"},
        {"{'a':1,'\\u0061':2 , 'a' : 3}", "{'a':4}", "{ 'a' : 4}"},
        {"{'a':1,'a':2,'a':3}", "{'a':null,'c':5}", "{'c':5}"},
        {"{'o':{'x':1,'y':2},'o':{'y':3}}", "{'o':{'x':9}}", "{'o':{'y':3,'x':9}}"},
        {"{'o':{'y':3},'o':{'x':1,'y':2}}", "{'o':{'x':9}}", "{'o':{'x':9,'y':2}}"},
        {"{'o':{'x':1,'x':2},'o':{'x':3,'x':4}}", "{'o':{'x':9}}", "{'o':{'x':9}}"},
        {"{'o':{'x':1},'o':2}", "{'o':{'x':null,'y':5}}", "{'o':{'y':5}}"},
        {"{'o':2,'o':{'x':1,'x':1}}", "{'o':{'y':5}}", "{'o':{'x':1,'x':1,'y':5}}"},
        {"{'o':{'p':{'x':1}},'q':0,'o':{'p':{'z':1}},'q':1}", "{'o':{'p':{'x':2}},'q':3}",
         "{'o':{'p':{'z':1,'x':2}},'q':3}"},
        /* in the patch */
        {"{'a':1}", "{'a':2,'b':3,'a':4}", "{'a':4,'b':3}"},
        {"{}", "{'a':2,'b':3,'a':4}", "{'b':3,'a':4}"},
        {"{'a':1}", "{'a':2,'a':null}", "{}"},
        {"{'a':1}", "{'a':null,'\\u0061':2}", "{'a':2}"},
        {"{'a':{'x':1}}", "{'a':{'x':2},'a':{'y':3}}", "{'a':{'x':1,'y':3}}"},
        {"{'a':{'x':1}}", "{'a':{'y':3},'a':{'x':null}}", "{'a':{}}"},
        {"{'z':0}", "{'a':{'x':1,'y':2,'x':3}}", "{'z':0,'a':{'y':2,'x':3}}"},
        {"{'z':0}", "{'a':{'o':{ 'x' : 1 },'o':{'x':null}}}", "{'z':0,'a':{'o':{}}}"},
        {"{'z':0}", "{'a':{'o':{'x':null},'o':{ 'x' : 1 }}}", "{'z':0,'a':{'o':{ 'x' : 1 }}}"},
        /* in both */
        {"{'a':1,'a':2}", "{'a':3,'a':4}", "{'a':4}"},
        {"{'a':[{'b':1,'b':2}],'c':3}", "{'c':[{'b':1,'b':null}]}",
         "{'a':[{'b':1,'b':2}],'c':[{'b':1,'b':null}]}"},
    };
    check_rows(rows, COUNT_OF(rows));
}
END_TEST

/* --- the buffer ------------------------------------------------------------------------------ */

START_TEST(the_merged_text_is_appended) {
    struct buf out = {0};
    buf_puts(&out, "before");
    ck_assert_int_eq(merge(SLICE("{\"a\":1}"), SLICE("{\"b\":2}"), &out), OK);
    ck_assert(slice_eq(buf_slice(&out), SLICE("before{\"a\":1,\"b\":2}")));
    buf_fini(&out);
}
END_TEST

START_TEST(a_buffer_that_has_failed_takes_nothing) {
    struct buf out = {0};
    buf_puts(&out, "kept");
    ck_assert(!buf_reserve(&out, SIZE_MAX));
    ck_assert_int_eq(merge(SLICE("{}"), SLICE("{\"b\":2}"), &out), E_OUT_OF_MEMORY);
    ck_assert_int_eq(merge(SLICE("1"), SLICE("2"), &out), E_OUT_OF_MEMORY);
    ck_assert(slice_eq(buf_slice(&out), SLICE("kept")));
    buf_fini(&out);
}
END_TEST

/* For a merge that needs memory of every kind, and more than once: many names with escapes. */
static void put_demanding(struct buf *b, char side) {
    buf_put_char(b, '{');
    for (int i = 0; i < 200; i++)
        buf_printf(b, "\"\\u0061 name that is long enough to need more room %d\":%d,", i, i);
    buf_printf(b, "\"o\":{\"%c\":{\"%c\":null}}}", side, side);
}

START_TEST(memory_that_is_out_is_reported_and_none_is_lost) {
    struct buf target = {0};
    struct buf patch = {0};
    size_t allocations = 0;
    bool refused;
    put_demanding(&target, 't');
    put_demanding(&patch, 'p');
    do {
        struct buf out = {0};
        scarce_begin(allocations++);
        enum error e = jsonmerge(buf_slice(&target), buf_slice(&patch), &out);
        size_t used = scarce_end(&refused);
        ck_assert_int_eq(e, refused ? E_OUT_OF_MEMORY : OK);
        ck_assert_int_eq(buf_failed(&out), refused);
        ck_assert_uint_eq(used, out.p != NULL);
        buf_fini(&out);
    } while (refused);
    ck_assert_uint_gt(allocations, 10);
    buf_fini(&target);
    buf_fini(&patch);
}
END_TEST

/* --- depth and size -------------------------------------------------------------------------- */

/* Objects in objects, `levels` of them, around `core`. */
static void put_nest(struct buf *b, size_t levels, const char *core) {
    for (size_t i = 0; i < levels; i++)
        buf_puts(b, "{\"k\":");
    buf_puts(b, core);
    for (size_t i = 0; i < levels; i++)
        buf_put_char(b, '}');
}

static void check_nests(size_t target_levels, const char *target_core, size_t patch_levels,
                        const char *patch_core, size_t levels, const char *core) {
    struct buf target = {0};
    struct buf patch = {0};
    struct buf want = {0};
    struct buf have = {0};
    put_nest(&target, target_levels, target_core);
    put_nest(&patch, patch_levels, patch_core);
    put_nest(&want, levels, core);
    ck_assert_int_eq(merge(buf_slice(&target), buf_slice(&patch), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), buf_slice(&want)));
    buf_fini(&target);
    buf_fini(&patch);
    buf_fini(&want);
    buf_fini(&have);
}

START_TEST(the_deepest_objects_merge) {
    check_nests(128, "1", 128, "2", 128, "2");
    check_nests(127, "{\"a\":1,\"b\":2}", 127, "{\"a\":null,\"c\":3}", 127, "{\"b\":2,\"c\":3}");
    check_nests(0, "1", 127, "{\"a\":null}", 127, "{}");
    check_nests(1, "1", 126, "{\"a\":{},\"b\":null}", 126, "{\"a\":{}}");
    check_nests(128, "1", 1, "2", 1, "2");
    check_nests(126, "{\"k\":{\"a\":1}}", 2, "{}", 126, "{\"k\":{\"a\":1}}");
    check_nests(127, "{}", 126, "[[0]]", 126, "[[0]]");
}
END_TEST

enum { MANY = 100000 };

/* Names of many lengths, some with an escape; the numbers from 0 to MANY - 1 in any order. */
static void put_name(struct buf *b, size_t i) {
    static const char padding[] = "................";
    buf_printf(b, "\"%s%zu%.*s\"", i % 7 == 0 ? "\\u006eame " : "name ", i, (int)(i % 16), padding);
}

/* An object of MANY members, from number `first` on, in steps of `step` round the ring. In their
 * values # stands for the number, and ' as always. */
static void put_many(struct buf *b, size_t first, size_t step, const char *value) {
    for (size_t i = 0; i < MANY; i++) {
        size_t number = first + i * step % MANY;
        buf_put_char(b, i == 0 ? '{' : ',');
        put_name(b, number);
        buf_put_char(b, ':');
        for (const char *p = value; *p != '\0'; p++)
            if (*p == '#')
                buf_put_uint(b, number);
            else
                buf_put_char(b, (char)(*p == '\'' ? '"' : *p));
    }
    buf_put_char(b, '}');
}

/* Merges two such objects, `levels` deep in others, into what a third one is. */
static void check_many(size_t levels, const struct buf *target, const struct buf *patch,
                       const struct buf *want) {
    struct buf t = {0};
    struct buf p = {0};
    struct buf w = {0};
    struct buf have = {0};
    put_nest(&t, levels, target->p);
    put_nest(&p, levels, patch->p);
    put_nest(&w, levels, want->p);
    ck_assert_int_eq(merge(buf_slice(&t), buf_slice(&p), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), buf_slice(&w)));
    buf_fini(&t);
    buf_fini(&p);
    buf_fini(&w);
    buf_fini(&have);
}

/* With a linear search, or one walk for each level, these would take minutes. */
START_TEST(a_hundred_thousand_members_merge) {
    static const struct {
        const char *target;
        const char *patch;
        const char *want;
    } rows[] = {
        {"#.0", "#", "#"},
        {"{'a':#}", "{'a':[#],'b':null}", "{'a':[#]}"},
        {"#", "{'a':{},'b':null,'c':#}", "{'a':{},'c':#}"},
        {"{'a':#}", "{}", "{'a':#}"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf target = {0};
        struct buf patch = {0};
        struct buf want = {0};
        put_many(&target, 0, 1, rows[i].target);
        put_many(&patch, 0, 7919, rows[i].patch);
        put_many(&want, 0, 1, rows[i].want);
        buf_put_char(&target, '\0');
        buf_put_char(&patch, '\0');
        buf_put_char(&want, '\0');
        check_many(0, &target, &patch, &want);
        check_many(127 - 2, &target, &patch, &want);
        buf_fini(&target);
        buf_fini(&patch);
        buf_fini(&want);
    }
}
END_TEST

START_TEST(a_hundred_thousand_members_come_and_go) {
    struct buf some = {0};
    struct buf others = {0};
    struct buf nulls = {0};
    struct buf both = {0};
    struct buf have = {0};
    put_many(&some, 0, 1, "#");
    put_many(&others, MANY, 1, "[#]");
    put_many(&nulls, 0, 7919, "null");
    buf_put(&both, some.p, some.n - 1);
    buf_put_char(&both, ',');
    buf_put(&both, others.p + 1, others.n - 1);
    ck_assert_int_eq(merge(buf_slice(&some), buf_slice(&others), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), buf_slice(&both)));
    buf_reset(&have, SIZE_MAX);
    ck_assert_int_eq(merge(buf_slice(&both), buf_slice(&nulls), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), buf_slice(&others)));
    buf_reset(&have, SIZE_MAX);
    ck_assert_int_eq(merge(SLICE("[]"), buf_slice(&nulls), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), SLICE("{}")));
    buf_fini(&some);
    buf_fini(&others);
    buf_fini(&nulls);
    buf_fini(&both);
    buf_fini(&have);
}
END_TEST

START_TEST(a_hundred_thousand_duplicates_are_one) {
    struct buf same = {0};
    struct buf have = {0};
    buf_put_char(&same, '{');
    for (int i = 0; i < MANY; i++)
        buf_printf(&same, "\"%s\":%d,", i % 2 == 0 ? "a" : "\\u0061", i);
    buf_puts(&same, "\"a\":-1}");
    ck_assert_int_eq(merge(buf_slice(&same), buf_slice(&same), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), SLICE("{\"a\":-1}")));
    buf_reset(&have, SIZE_MAX);
    ck_assert_int_eq(merge(SLICE("0"), buf_slice(&same), &have), OK);
    ck_assert(slice_eq(buf_slice(&have), SLICE("{\"a\":-1}")));
    buf_reset(&have, SIZE_MAX);
    ck_assert_int_eq(merge(buf_slice(&same), SLICE("{\"b\":0}"), &have), OK);
    ck_assert_uint_eq(have.n, same.n + 6);
    ck_assert_mem_eq(have.p, same.p, same.n - 1);
    buf_fini(&same);
    buf_fini(&have);
}
END_TEST

/* --- random documents ------------------------------------------------------------------------ */

static struct json_object *parse(struct slice text) {
    struct json_tokener *tokener = json_tokener_new_ex(200);
    struct json_object *value = json_tokener_parse_ex(tokener, text.p, (int)text.n);
    /* a number goes on until something else comes */
    if (json_tokener_get_error(tokener) == json_tokener_continue)
        value = json_tokener_parse_ex(tokener, "", 1);
    require(json_tokener_get_error(tokener) == json_tokener_success);
    json_tokener_free(tokener);
    return value;
}

/* RFC 7396, 2: the algorithm as it stands there. Gives a reference of its own. */
static struct json_object *merge_objects(struct json_object *target, struct json_object *patch) {
    if (!json_object_is_type(patch, json_type_object))
        return json_object_get(patch);
    struct json_object *merged = json_object_new_object();
    if (json_object_is_type(target, json_type_object)) {
        json_object_object_foreach(target, name, value) {
            json_object_object_add(merged, name, json_object_get(value));
        }
    }
    json_object_object_foreach(patch, name, value) {
        struct json_object *old = NULL;
        json_object_object_get_ex(merged, name, &old);
        if (value == NULL)
            json_object_object_del(merged, name);
        else
            json_object_object_add(merged, name, merge_objects(old, value));
    }
    return merged;
}

struct maker {
    uint64_t seed;
    struct buf text;
    bool duplicates; /* an object may have several members of one name */
};

static bool chance(struct maker *m, size_t one_in) {
    return random_below(&m->seed, one_in) == 0;
}

static void put_some_space(struct maker *m) {
    static const char *const spaces[] = {"", "", "", "", "", " ", "\n  ", "\t\r"};
    buf_puts(&m->text, spaces[random_below(&m->seed, COUNT_OF(spaces))]);
}

/* Each line is one name, spelled in different ways. */
static const char *const spellings[][3] = {
    {"a", "\\u0061", "a"},
    {"b", "\\u0062", "b"},
    {"", "", ""},
    {"a/b", "a\\/b", "\\u0061\\u002fb"},
    {"\xe2\x82\xac", "\\u20AC", "\\u20ac"},
    {"a name longer than eight bytes", "a name longer than eight byte\\u0073",
     "\\u0061 name longer "
     "than eight bytes"},
    {"a name longer than eight bytes, too", "a name longer than eight bytes\\u002c too",
     "a name longer than eight bytes, to\\u006F"},
    {"\\\"", "\\u0022", "\\\""},
};

static void put_random(struct maker *m, size_t depth, bool nulls);

static void put_random_object(struct maker *m, size_t depth, bool nulls) {
    bool taken[COUNT_OF(spellings)] = {false};
    bool any = false;
    buf_put_char(&m->text, '{');
    put_some_space(m);
    for (size_t left = random_below(&m->seed, 7); left > 0; left--) {
        size_t name = random_below(&m->seed, COUNT_OF(spellings));
        if (taken[name] && !m->duplicates)
            continue;
        taken[name] = true;
        if (any)
            buf_put_char(&m->text, ',');
        any = true;
        put_some_space(m);
        buf_printf(&m->text, "\"%s\"", spellings[name][random_below(&m->seed, 3)]);
        put_some_space(m);
        buf_put_char(&m->text, ':');
        put_some_space(m);
        put_random(m, depth, nulls);
        put_some_space(m);
    }
    buf_put_char(&m->text, '}');
}

static void put_random(struct maker *m, size_t depth, bool nulls) {
    static const char *const scalars[] = {
        "true", "\"\"", "1.10", "-0",     "\"a,\\\"}\"",           "\"\\u007b\"",
        "1E5",  "[]",   "{}",   "[null]", "[{\"a\":null,\"b\":1}]"};
    if (nulls && chance(m, 3))
        buf_puts(&m->text, "null");
    else if (depth > 0 && chance(m, 2))
        put_random_object(m, depth - 1, nulls);
    else
        buf_puts(&m->text, scalars[random_below(&m->seed, COUNT_OF(scalars))]);
}

static void check_random(struct slice target, struct slice patch, bool duplicates) {
    struct buf merged = {0};
    struct buf again = {0};
    require(merge(target, patch, &merged) == OK);
    require_sound(target, patch, buf_slice(&merged));
    struct json_object *t = parse(target);
    struct json_object *p = parse(patch);
    struct json_object *want = merge_objects(t, p);
    struct json_object *have = parse(buf_slice(&merged));
    /* json-c keeps a duplicate where its first one was, the merge where its last one was */
    bool same = duplicates ? json_object_equal(have, want) != 0
                           : strcmp(json_object_to_json_string(have),
                                    json_object_to_json_string(want)) == 0;
    if (!same)
        ck_abort_msg("%.*s and %.*s make %.*s", (int)target.n, target.p, (int)patch.n, patch.p,
                     (int)merged.n, merged.p);
    /* what is merged already changes no more */
    require(merge(buf_slice(&merged), patch, &again) == OK);
    if (!slice_eq(buf_slice(&merged), buf_slice(&again)))
        ck_abort_msg("%.*s and %.*s make %.*s, and then %.*s", (int)target.n, target.p,
                     (int)patch.n, patch.p, (int)merged.n, merged.p, (int)again.n, again.p);
    json_object_put(t);
    json_object_put(p);
    json_object_put(want);
    json_object_put(have);
    buf_fini(&merged);
    buf_fini(&again);
}

START_TEST(random_documents_merge_as_objects_do) {
    for (int i = 0; i < 20000; i++) {
        struct maker target = {.seed = (uint64_t)i, .duplicates = i % 2 == 1};
        struct maker patch = {.seed = (uint64_t)i + 7396, .duplicates = i % 2 == 1};
        put_random(&target, 4, false);
        put_random(&patch, 4, true);
        check_random(buf_slice(&target.text), buf_slice(&patch.text), target.duplicates);
        buf_fini(&target.text);
        buf_fini(&patch.text);
    }
}
END_TEST

Suite *suite_jsonmerge(void) {
    Suite *s = suite_create("jsonmerge");
    TCase *t = tcase_create("tables");
    tcase_add_test(t, appendix_a_of_the_rfc);
    tcase_add_test(t, the_example_of_section_3);
    tcase_add_test(t, what_is_no_object_is_replaced_or_counts_as_an_empty_one);
    tcase_add_test(t, what_the_patch_does_not_name_keeps_its_text);
    tcase_add_test(t, what_goes_leaves_no_comma_behind);
    tcase_add_test(t, what_comes_stands_last_as_the_patch_spells_it);
    tcase_add_test(t, names_are_the_same_if_they_mean_the_same);
    tcase_add_test(t, the_last_of_several_members_of_one_name_counts);
    suite_add_tcase(s, t);
    t = tcase_create("buffer");
    tcase_add_test(t, the_merged_text_is_appended);
    tcase_add_test(t, a_buffer_that_has_failed_takes_nothing);
    tcase_add_test(t, memory_that_is_out_is_reported_and_none_is_lost);
    suite_add_tcase(s, t);
    t = tcase_create("sizes");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, the_deepest_objects_merge);
    tcase_add_test(t, a_hundred_thousand_members_merge);
    tcase_add_test(t, a_hundred_thousand_members_come_and_go);
    tcase_add_test(t, a_hundred_thousand_duplicates_are_one);
    suite_add_tcase(s, t);
    t = tcase_create("random");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, random_documents_merge_as_objects_do);
    suite_add_tcase(s, t);
    return s;
}
