/* Preconditions: what is a list of entity tags, and which tag names an entry. */
#include "units.h"

#include "base/buf.h"
#include "cache/condition.h"
#include "require.h"
#include "support.h"

/* Parses a copy, which the condition then points into; the caller frees it. */
static char *parse(struct slice field, struct condition *c, enum error *e) {
    char *copy = exact_copy(field);
    struct condition before = *c;
    *e = condition_parse((struct slice){copy, field.n}, c);
    require(*e == OK || *e == E_INVALID_PRECONDITION);
    require((*e == OK) == (c->kind != before.kind));
    return copy;
}

static enum condition_kind kind_of(struct slice field) {
    struct condition c = {0};
    enum error e;
    free(parse(field, &c, &e));
    return c.kind;
}

static bool matches(struct slice field, struct slice etag, bool weak) {
    struct condition c = {0};
    enum error e;
    char *copy = parse(field, &c, &e);
    char *tag = exact_copy(etag);
    require(e == OK);
    bool match = condition_matches(&c, (struct slice){tag, etag.n}, weak);
    free(tag);
    free(copy);
    return match;
}

static const struct slice lists[] = {
    SLICE_INIT("\"\""),
    SLICE_INIT("\"a\""),
    SLICE_INIT("W/\"a\""),
    SLICE_INIT("W/\"\""),
    SLICE_INIT("\"*\""),
    SLICE_INIT("\"!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\""),
    SLICE_INIT("\"a\\\""),
    SLICE_INIT("\"\x80\xff\xc3\xa9\""),
    SLICE_INIT(" \t\"a\"\t "),
    SLICE_INIT("\"a\",\"b\""),
    SLICE_INIT("\"a\" , \t W/\"b\" ,\"c\""),
    SLICE_INIT("\"a,b\",\"c\""),
    SLICE_INIT(", \"a\""),
    SLICE_INIT(",,\t,\"a\",, ,\"b\",,"),
    SLICE_INIT("\"a\","),
    SLICE_INIT("\"W/\""),
};

START_TEST(lists_are_lists) {
    ck_assert_msg(kind_of(lists[_i]) == CONDITION_LIST, "%.*s", (int)lists[_i].n, lists[_i].p);
}
END_TEST

START_TEST(an_asterisk_alone_is_any) {
    ck_assert_int_eq(kind_of(SLICE("*")), CONDITION_ANY);
    ck_assert_int_eq(kind_of(SLICE(" \t*\t ")), CONDITION_ANY);
}
END_TEST

static const struct slice faults[] = {
    SLICE_INIT(""),
    SLICE_INIT(" \t "),
    SLICE_INIT(","),
    SLICE_INIT(", ,\t,"),
    SLICE_INIT("**"),
    SLICE_INIT("*,"),
    SLICE_INIT(",*"),
    SLICE_INIT("*, *"),
    SLICE_INIT("*, \"a\""),
    SLICE_INIT("\"a\", *"),
    SLICE_INIT("W/*"),
    SLICE_INIT("W\"a\""),
    SLICE_INIT("a"),
    SLICE_INIT("a\""),
    SLICE_INIT("\"a"),
    SLICE_INIT("\""),
    SLICE_INIT("'a'"),
    SLICE_INIT("W"),
    SLICE_INIT("W/"),
    SLICE_INIT("W/a"),
    SLICE_INIT("W/\""),
    SLICE_INIT("w/\"a\""),
    SLICE_INIT("W \"a\""),
    SLICE_INIT("W/ \"a\""),
    SLICE_INIT("W/W/\"a\""),
    SLICE_INIT("\"a\"W/\"b\""),
    SLICE_INIT("\"a\" \"b\""),
    SLICE_INIT("\"a\"\"b\""),
    SLICE_INIT("\"a\";\"b\""),
    SLICE_INIT("\"a\"x"),
    SLICE_INIT("\"a\", b"),
    SLICE_INIT("\"a\", \"b"),
    SLICE_INIT("\"a b\""),
    SLICE_INIT("\"a\tb\""),
    SLICE_INIT("\"a\nb\""),
    SLICE_INIT("\"a\x7f\""),
    SLICE_INIT("\"a\0\""),
    SLICE_INIT("\"a\"\0"),
    SLICE_INIT("\0\"a\""),
    SLICE_INIT("\"a\\\"b\""),
    SLICE_INIT("\"a\",\r\n\"b\""),
};

START_TEST(everything_else_is_refused_and_sets_nothing) {
    struct condition c = {.list = SLICE("before")};
    enum error e;
    free(parse(faults[_i], &c, &e));
    ck_assert_msg(e == E_INVALID_PRECONDITION, "%.*s", (int)faults[_i].n, faults[_i].p);
    ck_assert(c.kind == CONDITION_NONE && slice_eq(c.list, SLICE("before")));
}
END_TEST

START_TEST(no_text_at_all_is_refused) {
    struct condition c = {0};
    ck_assert_int_eq(condition_parse((struct slice){0}, &c), E_INVALID_PRECONDITION);
}
END_TEST

START_TEST(every_byte_in_a_tag) {
    for (int byte = 0; byte < 256; byte++) {
        char field[] = "\"a.b\"";
        field[2] = (char)byte;
        bool allowed = byte == 0x21 || (byte >= 0x23 && byte != 0x7F);
        require((kind_of((struct slice){field, 5}) == CONDITION_LIST) == allowed);
        if (allowed)
            require(matches((struct slice){field, 5}, (struct slice){field + 1, 3}, false));
    }
}
END_TEST

static void put_tags(struct buf *b, size_t n) {
    buf_reset(b, SIZE_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(b, "%s\"%zu\"", i > 0 ? ", " : "", i);
}

START_TEST(at_most_64_tags) {
    struct buf b = {0};
    put_tags(&b, CONDITION_TAGS_MAX);
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_LIST);
    ck_assert(matches(buf_slice(&b), SLICE("0"), false));
    ck_assert(matches(buf_slice(&b), SLICE("63"), false));
    put_tags(&b, CONDITION_TAGS_MAX + 1);
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_NONE);
    put_tags(&b, 500);
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_NONE);
    buf_fini(&b);
}
END_TEST

START_TEST(at_most_4096_bytes) {
    struct buf b = {0};
    buf_put_char(&b, '"');
    while (b.n < CONDITION_FIELD_MAX - 1)
        buf_put_char(&b, 'a');
    buf_put_char(&b, '"');
    ck_assert_uint_eq(b.n, CONDITION_FIELD_MAX);
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_LIST);
    b.p[b.n - 1] = 'a';
    buf_put_char(&b, '"');
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_NONE);
    buf_reset(&b, SIZE_MAX);
    while (b.n < CONDITION_FIELD_MAX)
        buf_put_char(&b, ',');
    buf_puts(&b, "\"a\"");
    ck_assert_int_eq(kind_of(buf_slice(&b)), CONDITION_NONE);
    buf_fini(&b);
}
END_TEST

static const struct {
    const char *field;
    const char *etag;
    bool strong, weak;
} comparisons[] = {
    /* RFC 9110, 8.8.3.2: the table. Ours is always strong, so its rows are these. */
    {"W/\"1\"", "1", false, true},
    {"W/\"2\"", "1", false, false},
    {"\"1\"", "1", true, true},
    {"\"2\"", "1", false, false},

    {"*", "1", true, true},
    {"\"a\", \"b\", \"c\"", "a", true, true},
    {"\"a\", \"b\", \"c\"", "c", true, true},
    {",\"a\",, \"b\",", "b", true, true},
    {"W/\"a\", \"b\"", "a", false, true},
    {"W/\"a\", \"a\"", "a", true, true},
    {"\"a\", W/\"b\"", "b", false, true},
    {"\"A\"", "a", false, false},
    {"\"ab\"", "a", false, false},
    {"\"a\"", "ab", false, false},
    {"\"a\"", "abcdefgh", false, false},
    {"\"\"", "a", false, false},
    {"\"a,b\"", "a", false, false},
    {"\"a,b\"", "b", false, false},
    {"\"a\\\"", "a\\", true, true},
    {"\"*\"", "a", false, false},
    {"\"*\"", "*", true, true},

    {"\"abc-gzip\"", "abc", true, true},
    {"\"abc-br\"", "abc", true, true},
    {"\"abc-deflate\"", "abc", true, true},
    {"\"abc-zstd\"", "abc", true, true},
    {"\"abc-bzip2\"", "abc", true, true},
    {"\"abc-x-gzip\"", "abc", true, true},
    {"\"abc-x-bzip2\"", "abc", true, true},
    {"\"abc;gzip\"", "abc", true, true},
    {"W/\"abc-gzip\"", "abc", false, true},
    {"\"x\", \"abc-gzip\"", "abc", true, true},
    {"\"abc-gzip\"", "abc-gzip", true, true},
    {"\"abc-gzip-gzip\"", "abc-gzip", true, true},
    {"\"abc-gzip-gzip\"", "abc", false, false},
    {"\"abc-GZIP\"", "abc", false, false},
    {"\"abc-gzi\"", "abc", false, false},
    {"\"abc-gzipp\"", "abc", false, false},
    {"\"abcgzip\"", "abc", false, false},
    {"\"abc-\"", "abc", false, false},
    {"\"abc;br\"", "abc", false, false},
    {"\"abc-identity\"", "abc", false, false},
    {"\"ab-gzip\"", "abc", false, false},
    {"\"abcd-gzip\"", "abc", false, false},
    {"\"abc\"", "abc-gzip", false, false},
    {"\"-gzip\"", "abc", false, false},
};

START_TEST(tags_are_compared) {
    struct slice field = slice_of(comparisons[_i].field);
    struct slice etag = slice_of(comparisons[_i].etag);
    ck_assert_int_eq(matches(field, etag, false), comparisons[_i].strong);
    ck_assert_int_eq(matches(field, etag, true), comparisons[_i].weak);
}
END_TEST

START_TEST(without_a_field_nothing_matches) {
    struct condition c = {0};
    ck_assert(!condition_matches(&c, SLICE("a"), false));
    ck_assert(!condition_matches(&c, SLICE(""), true));
}
END_TEST

/* Where a list may end is where another could begin: AddressSanitizer looks on. */
START_TEST(cut_off_lists_are_read_no_further) {
    static const char text[] = "\"a\" ,, W/\"bc\",\"\"";
    static const bool whole[sizeof(text)] = {
        [3] = true, [4] = true,  [5] = true,  [6] = true,
        [7] = true, [13] = true, [14] = true, [16] = true,
    };
    for (size_t n = 0; n < sizeof(text); n++)
        ck_assert_msg((kind_of((struct slice){text, n}) == CONDITION_LIST) == whole[n], "%.*s",
                      (int)n, text);
}
END_TEST

/* A list made of pieces whose tags are known is understood tag by tag; one fault spoils it. */
START_TEST(random_lists_are_understood) {
    static const char *const gaps[] = {",", " ,", ", ", ",,", "\t, ,\t"};
    static const char *const spoilers[] = {"*", "x", "\"", "W/", "\"a\" \"a\"", "\"a b\""};
    uint64_t seed = 9110;
    struct buf b = {0};
    for (int i = 0; i < 20000; i++) {
        bool strong[10] = {0};
        bool weak[10] = {0};
        size_t n = 1 + random_below(&seed, 12);
        size_t spoiled = random_below(&seed, 3) == 0 ? random_below(&seed, n) : n;
        buf_reset(&b, SIZE_MAX);
        for (size_t k = 0; k < n; k++) {
            size_t tag = random_below(&seed, 10);
            bool is_weak = random_below(&seed, 2) == 0;
            (is_weak ? weak : strong)[tag] = true;
            if (k > 0)
                buf_puts(&b, gaps[random_below(&seed, COUNT_OF(gaps))]);
            if (k == spoiled)
                buf_puts(&b, spoilers[random_below(&seed, COUNT_OF(spoilers))]);
            else
                buf_printf(&b, "%s\"%zu%s\"", is_weak ? "W/" : "", tag,
                           random_below(&seed, 4) == 0 ? "-gzip" : "");
        }
        bool any = n == 1 && spoiled == 0 && slice_eq(buf_slice(&b), SLICE("*"));
        require(kind_of(buf_slice(&b)) == (any            ? CONDITION_ANY
                                           : spoiled == n ? CONDITION_LIST
                                                          : CONDITION_NONE));
        for (size_t tag = 0; tag < 10 && spoiled == n; tag++) {
            struct slice etag = {(char[]){(char)('0' + tag)}, 1};
            require(matches(buf_slice(&b), etag, false) == strong[tag]);
            require(matches(buf_slice(&b), etag, true) == (strong[tag] || weak[tag]));
        }
    }
    buf_fini(&b);
}
END_TEST

START_TEST(random_bytes_are_survived) {
    static const char alphabet[] = "\"\",, \tW/*a\x7f\xff";
    uint64_t seed = 412;
    size_t seen[3] = {0};
    for (int i = 0; i < 200000; i++) {
        char text[12];
        size_t n = random_below(&seed, sizeof(text) + 1);
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[random_below(&seed, sizeof(alphabet))];
        struct condition c = {0};
        enum error e;
        char *copy = parse((struct slice){text, n}, &c, &e);
        (void)condition_matches(&c, SLICE("a"), true);
        seen[c.kind]++;
        free(copy);
    }
    for (size_t kind = 0; kind < COUNT_OF(seen); kind++)
        ck_assert_uint_gt(seen[kind], 100);
}
END_TEST

Suite *suite_condition(void) {
    Suite *s = suite_create("condition");
    TCase *t = tcase_create("parse");
    tcase_add_loop_test(t, lists_are_lists, 0, COUNT_OF(lists));
    tcase_add_test(t, an_asterisk_alone_is_any);
    tcase_add_loop_test(t, everything_else_is_refused_and_sets_nothing, 0, COUNT_OF(faults));
    tcase_add_test(t, no_text_at_all_is_refused);
    tcase_add_test(t, every_byte_in_a_tag);
    tcase_add_test(t, at_most_64_tags);
    tcase_add_test(t, at_most_4096_bytes);
    tcase_add_test(t, cut_off_lists_are_read_no_further);
    suite_add_tcase(s, t);
    t = tcase_create("match");
    tcase_add_loop_test(t, tags_are_compared, 0, COUNT_OF(comparisons));
    tcase_add_test(t, without_a_field_nothing_matches);
    suite_add_tcase(s, t);
    t = tcase_create("random");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, random_lists_are_understood);
    tcase_add_test(t, random_bytes_are_survived);
    suite_add_tcase(s, t);
    return s;
}
