/* Values of header fields: lists of strings, Prefer, and what is sent back as it came. */
#include "units.h"

#include "http/fields.h"
#include "require.h"
#include "support.h"

/* --- lists of strings --- */

/* With something in the buffer already, which stays. */
static enum error read_strings(struct slice field, struct buf *decoded,
                               struct fields_strings *strings) {
    const struct slice before = SLICE("before");
    char *copy = exact_copy(field);
    strings->n = 77;
    buf_reset(decoded, SIZE_MAX);
    buf_put_slice(decoded, before);
    enum error e = fields_read_strings((struct slice){copy, field.n}, decoded, strings);
    free(copy);
    require(e == OK || e == E_INVALID_FIELD || e == E_INVALID_TAG);
    require(decoded->n >= before.n && memcmp(decoded->p, before.p, before.n) == 0);
    require(e == OK || strings->n == 0);
    size_t used = before.n;
    for (size_t i = 0; i < strings->n; i++) {
        require(strings->string[i].p == decoded->p + used);
        used += strings->string[i].n;
    }
    require(decoded->n == used);
    return e;
}

static enum error judge_strings(struct slice field) {
    struct buf decoded = {0};
    struct fields_strings strings;
    enum error e = read_strings(field, &decoded, &strings);
    buf_fini(&decoded);
    return e;
}

static const struct {
    const char *field;
    const char *strings[5]; /* up to the first NULL */
} lists[] = {
    {"", {0}},
    {"   ", {0}},
    {"\"a\"", {"a"}},
    {"  \"a\"  ", {"a"}},
    {"\"a\", \"b\"", {"a", "b"}},
    {"\"a\",\"b\"", {"a", "b"}},
    {"\"a\" \t,\t \"b\"\t", {"a", "b"}},
    {"\"a\",\"a\"", {"a", "a"}},
    {"\"a,b\", \"c;d=e\"", {"a,b", "c;d=e"}},
    {"\" \"", {" "}},
    {"\"\\\"\"", {"\""}},
    {"\"\\\\\"", {"\\"}},
    {"\"a\\\"b\\\\c\", \"d\"", {"a\"b\\c", "d"}},
    {"\"\\\\\\\"\"", {"\\\""}},
    {"\" !#$%&'()*+,-./:;<=>?@[]^_`{|}~\"", {" !#$%&'()*+,-./:;<=>?@[]^_`{|}~"}},
    {"\"%41\"", {"%41"}},
    /* parameters of every kind */
    {"\"a\";x", {"a"}},
    {"\"a\";x;y, \"b\";z", {"a", "b"}},
    {"\"a\";  x", {"a"}},
    {"\"a\";*", {"a"}},
    {"\"a\";*a.b-c_d9*=1", {"a"}},
    {"\"a\";x=1;x=2", {"a"}},
    {"\"a\";x=0", {"a"}},
    {"\"a\";x=-0", {"a"}},
    {"\"a\";x=-999999999999999", {"a"}},
    {"\"a\";x=000000000000000", {"a"}},
    {"\"a\";x=1.0", {"a"}},
    {"\"a\";x=-123456789012.123", {"a"}},
    {"\"a\";x=\"b, \\\"c\\\\\" , \"d\"", {"a", "d"}},
    {"\"a\";x=\"\"", {"a"}},
    {"\"a\";x=token", {"a"}},
    {"\"a\";x=*", {"a"}},
    {"\"a\";x=A/b:c!#$%&'*+-.^_`|~9", {"a"}},
    {"\"a\";x=::", {"a"}},
    {"\"a\";x=:aGk=:;y", {"a"}},
    {"\"a\";x=:aGk+/09AZ:", {"a"}},
    {"\"a\";x=?0;y=?1", {"a"}},
    {"\"a\";x=@0", {"a"}},
    {"\"a\";x=@-1659578233;y", {"a"}},
    {"\"a\";x=%\"\"", {"a"}},
    {"\"a\";x=%\"f%c3%bc r, \\ 100%25\" , \"b\"", {"a", "b"}},
};

START_TEST(strings_are_read) {
    struct buf decoded = {0};
    struct fields_strings strings;
    size_t n = 0;
    ck_assert_msg(read_strings(slice_of(lists[_i].field), &decoded, &strings) == OK, "%s",
                  lists[_i].field);
    for (; lists[_i].strings[n] != NULL; n++)
        ck_assert(n < strings.n && slice_eq(strings.string[n], slice_of(lists[_i].strings[n])));
    ck_assert_uint_eq(strings.n, n);
    buf_fini(&decoded);
}
END_TEST

static const struct slice no_lists[] = {
    /* commas and blanks */
    SLICE_INIT(","),
    SLICE_INIT("\"a\","),
    SLICE_INIT("\"a\" , "),
    SLICE_INIT(",\"a\""),
    SLICE_INIT("\"a\",,\"b\""),
    SLICE_INIT("\"a\" \"b\""),
    SLICE_INIT("\"a\"\"b\""),
    SLICE_INIT("\"a\";\"b\""),
    SLICE_INIT("\t\"a\""),
    SLICE_INIT("\"a\"\n"),
    SLICE_INIT("\"a\",\n\"b\""),
    SLICE_INIT("\"a\"\0"),
    /* other kinds of members */
    SLICE_INIT("a"),
    SLICE_INIT("*"),
    SLICE_INIT("1"),
    SLICE_INIT("-1.5"),
    SLICE_INIT("?1"),
    SLICE_INIT(":aGk=:"),
    SLICE_INIT("@1"),
    SLICE_INIT("%\"a\""),
    SLICE_INIT("'a'"),
    SLICE_INIT("()"),
    SLICE_INIT("(\"a\" \"b\")"),
    SLICE_INIT("\"a\", (\"b\")"),
    SLICE_INIT("\"a\", b"),
    SLICE_INIT("\"a\", 1"),
    SLICE_INIT("a=\"b\""),
    SLICE_INIT("W/\"a\""),
    /* strings */
    SLICE_INIT("\""),
    SLICE_INIT("\"a"),
    SLICE_INIT("\"a, b"),
    SLICE_INIT("a\""),
    SLICE_INIT("\"\\"),
    SLICE_INIT("\"a\\\""),
    SLICE_INIT("\"\\a\""),
    SLICE_INIT("\"\\n\""),
    SLICE_INIT("\"\\ \""),
    SLICE_INIT("\"a\tb\""),
    SLICE_INIT("\"a\nb\""),
    SLICE_INIT("\"a\0b\""),
    SLICE_INIT("\"\x7f\""),
    SLICE_INIT("\"\xc3\xa9\""),
    SLICE_INIT("\"\xff\""),
    SLICE_INIT("\"a\\\x00\""),
    /* parameters */
    SLICE_INIT("\"a\";"),
    SLICE_INIT("\"a\"; "),
    SLICE_INIT("\"a\";;x"),
    SLICE_INIT("\"a\";\tx"),
    SLICE_INIT("\"a\" ;x"),
    SLICE_INIT("\"a\";X"),
    SLICE_INIT("\"a\";xY"),
    SLICE_INIT("\"a\";1"),
    SLICE_INIT("\"a\";-"),
    SLICE_INIT("\"a\";x="),
    SLICE_INIT("\"a\";x=;y"),
    SLICE_INIT("\"a\";x= 1"),
    SLICE_INIT("\"a\";x =1"),
    SLICE_INIT("\"a\";x=,"),
    SLICE_INIT("\"a\";x=(1)"),
    SLICE_INIT("\"a\";x=-"),
    SLICE_INIT("\"a\";x=-a"),
    SLICE_INIT("\"a\";x=--1"),
    SLICE_INIT("\"a\";x=+1"),
    SLICE_INIT("\"a\";x=1."),
    SLICE_INIT("\"a\";x=.1"),
    SLICE_INIT("\"a\";x=-.1"),
    SLICE_INIT("\"a\";x=1.2345"),
    SLICE_INIT("\"a\";x=1.2.3"),
    SLICE_INIT("\"a\";x=1e5"),
    SLICE_INIT("\"a\";x=1234567890123456"),
    SLICE_INIT("\"a\";x=1234567890123.1"),
    SLICE_INIT("\"a\";x=\""),
    SLICE_INIT("\"a\";x=\"b"),
    SLICE_INIT("\"a\";x=\"\\b\""),
    SLICE_INIT("\"a\";x=\"\xc3\xa9\""),
    SLICE_INIT("\"a\";x=!a"),
    SLICE_INIT("\"a\";x=a b"),
    SLICE_INIT("\"a\";x=a\"b\""),
    SLICE_INIT("\"a\";x=:"),
    SLICE_INIT("\"a\";x=:aGk="),
    SLICE_INIT("\"a\";x=:a-b_:"),
    SLICE_INIT("\"a\";x=:a b:"),
    SLICE_INIT("\"a\";x=?"),
    SLICE_INIT("\"a\";x=?2"),
    SLICE_INIT("\"a\";x=?01"),
    SLICE_INIT("\"a\";x=@"),
    SLICE_INIT("\"a\";x=@-"),
    SLICE_INIT("\"a\";x=@a"),
    SLICE_INIT("\"a\";x=@1.5"),
    SLICE_INIT("\"a\";x=@1234567890123456"),
    SLICE_INIT("\"a\";x=%"),
    SLICE_INIT("\"a\";x=%a"),
    SLICE_INIT("\"a\";x=%\""),
    SLICE_INIT("\"a\";x=%\"a"),
    SLICE_INIT("\"a\";x=%\"%"),
    SLICE_INIT("\"a\";x=%\"%c"),
    SLICE_INIT("\"a\";x=%\"%c3"),
    SLICE_INIT("\"a\";x=%\"%C3%bc\""),
    SLICE_INIT("\"a\";x=%\"%c3%bC\""),
    SLICE_INIT("\"a\";x=%\"%zz\""),
    SLICE_INIT("\"a\";x=%\"%c3\""),
    SLICE_INIT("\"a\";x=%\"%ff\""),
    SLICE_INIT("\"a\";x=%\"\xc3\xbc\""),
    SLICE_INIT("\"a\";x=%\"\t\""),
};

START_TEST(everything_else_is_no_list_of_strings) {
    ck_assert_msg(judge_strings(no_lists[_i]) == E_INVALID_FIELD, "%.*s", (int)no_lists[_i].n,
                  no_lists[_i].p);
}
END_TEST

START_TEST(no_text_at_all_is_the_empty_list) {
    struct buf decoded = {0};
    struct fields_strings strings = {.n = 77};
    ck_assert_int_eq(fields_read_strings((struct slice){0}, &decoded, &strings), OK);
    ck_assert_uint_eq(strings.n, 0);
    buf_fini(&decoded);
}
END_TEST

START_TEST(a_failed_buffer_is_out_of_memory) {
    struct buf decoded = {.failed = true};
    struct fields_strings strings = {.n = 77};
    ck_assert_int_eq(fields_read_strings(SLICE("\"a\""), &decoded, &strings), E_OUT_OF_MEMORY);
    ck_assert_uint_eq(strings.n, 0);
}
END_TEST

static void put_list(struct buf *b, size_t strings, size_t bytes, const char *spelling) {
    buf_reset(b, SIZE_MAX);
    for (size_t i = 0; i < strings; i++) {
        buf_puts(b, i > 0 ? ", \"" : "\"");
        for (size_t k = 0; k < bytes; k++)
            buf_puts(b, spelling);
        buf_put_char(b, '"');
    }
}

START_TEST(strings_are_bounded_in_number_and_length) {
    static const struct {
        size_t strings, bytes;
        enum error e;
    } rows[] = {
        {FIELDS_STRINGS_MAX, 1, OK},
        {FIELDS_STRINGS_MAX, FIELDS_STRING_MAX, OK},
        {FIELDS_STRINGS_MAX + 1, 1, E_INVALID_TAG},
        {1000, 1, E_INVALID_TAG},
        {1, 0, E_INVALID_TAG},
        {1, FIELDS_STRING_MAX + 1, E_INVALID_TAG},
        {2, 0, E_INVALID_TAG},
        {1, 8000, E_INVALID_TAG},
    };
    static const char *const spellings[] = {"a", "\\\"", "\\\\"};
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t k = 0; k < COUNT_OF(spellings); k++) {
            put_list(&b, rows[i].strings, rows[i].bytes, spellings[k]);
            ck_assert_int_eq(judge_strings(buf_slice(&b)), rows[i].e);
        }
    ck_assert_int_eq(judge_strings(SLICE("\"a\", \"\"")), E_INVALID_TAG);
    ck_assert_int_eq(judge_strings(SLICE("\"\", b")), E_INVALID_TAG);
    ck_assert_int_eq(judge_strings(SLICE("b, \"\"")), E_INVALID_FIELD);
    ck_assert_int_eq(judge_strings(SLICE("\"\";X")), E_INVALID_FIELD);
    buf_fini(&b);
}
END_TEST

START_TEST(cut_off_lists_are_read_no_further) {
    static const char text[] = "\"a\\\"b\" , \"c\";x=1.5;y";
    static const size_t strings_in[sizeof(text)] = {
        [6] = 1, [7] = 1, [12] = 2, [14] = 2, [16] = 2, [18] = 2, [20] = 2,
    };
    struct buf decoded = {0};
    struct fields_strings strings;
    for (size_t n = 0; n < sizeof(text); n++) {
        enum error e = read_strings((struct slice){text, n}, &decoded, &strings);
        ck_assert_int_eq(e, strings_in[n] > 0 || n == 0 ? OK : E_INVALID_FIELD);
        ck_assert_uint_eq(strings.n, strings_in[n]);
    }
    buf_fini(&decoded);
}
END_TEST

static const char *const parameters[] = {
    "", ";x", ";x=1", ";y=-1.5;z", "; a=\"\\\"b, \\\\\"", ";a=%\"%e2%82%ac\"", ";*=:aGk=:;b=?1",
};

START_TEST(every_cut_of_every_parameter_is_survived) {
    struct buf b = {0};
    for (size_t i = 0; i < COUNT_OF(parameters); i++) {
        buf_reset(&b, SIZE_MAX);
        buf_puts(&b, "\"a\"");
        buf_puts(&b, parameters[i]);
        ck_assert_int_eq(judge_strings(buf_slice(&b)), OK);
        for (size_t n = 0; n < b.n; n++)
            (void)judge_strings((struct slice){b.p, n});
    }
    buf_fini(&b);
}
END_TEST

START_TEST(every_byte_in_a_string) {
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "\"a.b\"";
        text[2] = (char)byte;
        bool stands = byte >= 0x20 && byte <= 0x7E;
        bool special = byte == '"' || byte == '\\';
        struct slice alone = {text + 2, 1};
        require((judge_strings((struct slice){text, 5}) == OK) == (stands && !special));
        require(fields_is_string(alone) == stands);
    }
}
END_TEST

START_TEST(strings_are_written) {
    static const char *const rows[][2] = {
        {"", "\"\""},
        {"a", "\"a\""},
        {"a b", "\"a b\""},
        {"\"", "\"\\\"\""},
        {"\\", "\"\\\\\""},
        {"a\"b\\c,;", "\"a\\\"b\\\\c,;\""},
        {"\\\"", "\"\\\\\\\"\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b = {0};
        ck_assert(fields_is_string(slice_of(rows[i][0])));
        fields_put_string(&b, slice_of(rows[i][0]));
        ck_assert(slice_eq(buf_slice(&b), slice_of(rows[i][1])));
        buf_fini(&b);
    }
    ck_assert(fields_is_string((struct slice){0}));
    ck_assert(!fields_is_string(SLICE("a\n")));
    ck_assert(!fields_is_string(SLICE("\xc3\xa9")));
    ck_assert(!fields_is_string(SLICE("a\0")));
}
END_TEST

/* All that a string may hold, with what is escaped in it first. */
static void fill_printable(char chars[95]) {
    size_t n = 0;
    chars[n++] = '"';
    chars[n++] = '\\';
    for (int c = ' '; c <= '~'; c++)
        if (c != '"' && c != '\\')
            chars[n++] = (char)c;
}

START_TEST(random_strings_come_back_as_they_were_written) {
    static const char *const gaps[] = {",", ", ", " ,\t", "\t , "};
    static const char *const spoilers[] = {",", "x", "\"", "\"a\" \"b\"", "(\"a\")", "\"a\";X"};
    char chars[95];
    uint64_t seed = 9651;
    struct buf b = {0};
    struct buf decoded = {0};
    struct fields_strings strings;
    fill_printable(chars);
    for (int i = 0; i < 20000; i++) {
        char text[8][10];
        size_t length[8];
        size_t n = 1 + random_below(&seed, COUNT_OF(text));
        size_t spoiled = random_below(&seed, 3) == 0 ? random_below(&seed, n) : n;
        buf_reset(&b, SIZE_MAX);
        for (size_t k = 0; k < n; k++) {
            length[k] = 1 + random_below(&seed, sizeof(text[k]));
            for (size_t at = 0; at < length[k]; at++)
                text[k][at] = chars[random_below(&seed, random_below(&seed, 4) == 0 ? 2 : 95)];
            if (k > 0)
                buf_puts(&b, gaps[random_below(&seed, COUNT_OF(gaps))]);
            if (k == spoiled)
                buf_puts(&b, spoilers[random_below(&seed, COUNT_OF(spoilers))]);
            fields_put_string(&b, (struct slice){text[k], length[k]});
            buf_puts(&b, parameters[random_below(&seed, COUNT_OF(parameters))]);
        }
        enum error e = read_strings(buf_slice(&b), &decoded, &strings);
        require((e == OK) == (spoiled == n));
        require(strings.n == (e == OK ? n : 0));
        for (size_t k = 0; k < strings.n; k++)
            require(slice_eq(strings.string[k], (struct slice){text[k], length[k]}));
    }
    buf_fini(&b);
    buf_fini(&decoded);
}
END_TEST

/* Of a buffer that grew on the way, the first strings would lie in freed memory. */
START_TEST(strings_stay_where_they_are) {
    struct buf b = {0};
    struct buf decoded = {0};
    struct fields_strings strings;
    put_list(&b, FIELDS_STRINGS_MAX, FIELDS_STRING_MAX, "a");
    ck_assert_int_eq(fields_read_strings(buf_slice(&b), &decoded, &strings), OK);
    for (size_t i = 0; i < strings.n; i++)
        ck_assert(strings.string[i].p == decoded.p + i * FIELDS_STRING_MAX);
    buf_fini(&b);
    buf_fini(&decoded);
}
END_TEST

/* --- Prefer --- */

static const struct {
    struct slice value;
    bool minimal;
} preferences[] = {
    {SLICE_INIT("return=minimal"), true},
    {SLICE_INIT("Return=minimal"), true},
    {SLICE_INIT("RETURN=MINIMAL"), true},
    {SLICE_INIT("return=\"minimal\""), true},
    {SLICE_INIT("return=\"min\\imal\""), true},
    {SLICE_INIT("return = minimal"), true},
    {SLICE_INIT("return\t=\t\"minimal\""), true},
    {SLICE_INIT(" return=minimal "), true},
    {SLICE_INIT("return=minimal;"), true},
    {SLICE_INIT("return=minimal ; ; x"), true},
    {SLICE_INIT("return=minimal; a=b; c=\"d, e\""), true},
    {SLICE_INIT("return=minimal;a = b;c"), true},
    {SLICE_INIT("return=minimal; return=representation"), true},
    {SLICE_INIT("respond-async, wait=10, return=minimal"), true},
    {SLICE_INIT("return=minimal, respond-async"), true},
    {SLICE_INIT(", ,return=minimal,,"), true},
    {SLICE_INIT("return=minimal,"), true},
    {SLICE_INIT("foo=\"return=representation, \\\"\", return=minimal"), true},
    {SLICE_INIT("foo=\"\xc3\xa9\", return=minimal"), true},
    {SLICE_INIT("foo=\"\t\", return=minimal"), true},
    {SLICE_INIT("foo; return=representation, return=minimal"), true},
    {SLICE_INIT("return=minimal, return=representation"), true},
    {SLICE_INIT("return=minimal, return=minimal"), true},

    {SLICE_INIT(""), false},
    {SLICE_INIT(" \t,"), false},
    {SLICE_INIT("return"), false},
    {SLICE_INIT("return=\"\""), false},
    {SLICE_INIT("return=representation"), false},
    {SLICE_INIT("minimal"), false},
    {SLICE_INIT("minimal=return"), false},
    {SLICE_INIT("return=minima"), false},
    {SLICE_INIT("return=minimall"), false},
    {SLICE_INIT("return=\" minimal\""), false},
    {SLICE_INIT("return=\"minimal \""), false},
    {SLICE_INIT("returns=minimal"), false},
    {SLICE_INIT("retur=minimal"), false},
    {SLICE_INIT("x-return=minimal"), false},
    {SLICE_INIT("return=representation, return=minimal"), false},
    {SLICE_INIT("return, return=minimal"), false},
    {SLICE_INIT("foo; return=minimal"), false},
    {SLICE_INIT("foo=\"return=minimal\""), false},
    {SLICE_INIT("foo=\", return=minimal\""), false},
    /* malformed */
    {SLICE_INIT("return="), false},
    {SLICE_INIT("=minimal"), false},
    {SLICE_INIT("return==minimal"), false},
    {SLICE_INIT("return:minimal"), false},
    {SLICE_INIT("return minimal"), false},
    {SLICE_INIT("return=minimal x"), false},
    {SLICE_INIT("return=minimal=x"), false},
    {SLICE_INIT("return=\"minimal"), false},
    {SLICE_INIT("return=minimal\""), false},
    {SLICE_INIT("return=\"minimal\\\""), false},
    {SLICE_INIT("return=\"minimal\"x"), false},
    {SLICE_INIT("return='minimal'"), false},
    {SLICE_INIT("return=minimal; ="), false},
    {SLICE_INIT("return=minimal; x="), false},
    {SLICE_INIT("return=minimal; x=y z"), false},
    {SLICE_INIT("return=minimal, foo="), false},
    {SLICE_INIT("return=minimal, \"foo\""), false},
    {SLICE_INIT("return=minimal, foo=\"\n\""), false},
    {SLICE_INIT("return=minimal, foo=\"\x7f\""), false},
    {SLICE_INIT("return=minimal, foo=\"\\\n\""), false},
    {SLICE_INIT("return=minimal, foo=\"\\"), false},
    {SLICE_INIT("return=minimal, \xc3\xa9"), false},
    {SLICE_INIT("return=minimal\0"), false},
    {SLICE_INIT("return=minimal;;;;\n"), false},
    {SLICE_INIT("foo=, return=minimal"), false},
};

static bool prefers_minimal(struct slice value) {
    char *copy = exact_copy(value);
    bool minimal = fields_prefers_minimal((struct slice){copy, value.n});
    free(copy);
    return minimal;
}

START_TEST(return_minimal_is_told) {
    ck_assert_msg(prefers_minimal(preferences[_i].value) == preferences[_i].minimal, "%.*s",
                  (int)preferences[_i].value.n, preferences[_i].value.p);
}
END_TEST

START_TEST(cut_off_preferences_are_read_no_further) {
    static const char text[] = "return=minimal; a=\"\\\"b\", c";
    for (size_t n = 0; n < sizeof(text); n++) {
        /* Not within the parameter's value. */
        bool good = n >= strlen("return=minimal") && (n <= strlen("return=minimal; a") ||
                                                      n >= strlen("return=minimal; a=\"\\\"b\""));
        ck_assert_int_eq(prefers_minimal((struct slice){text, n}), good);
    }
    ck_assert(!fields_prefers_minimal((struct slice){0}));
}
END_TEST

/* --- what is sent back as it came --- */

static enum error check_media_type(struct slice value) {
    char *copy = exact_copy(value);
    enum error e = fields_check_media_type((struct slice){copy, value.n});
    free(copy);
    return e;
}

static enum error check_coding(struct slice value) {
    char *copy = exact_copy(value);
    enum error e = fields_check_coding((struct slice){copy, value.n});
    free(copy);
    return e;
}

static const char *const media_types[] = {
    "text/plain",
    "TEXT/HTML",
    "a/b",
    "application/vnd.api+json",
    "image/svg+xml",
    "!#$%&'*+-.^_`|~09azAZ/!#$%&'*+-.^_`|~09azAZ",
    "*/*",
    "text/plain;charset=utf-8",
    "text/plain; charset=utf-8",
    "text/plain ; charset=\"utf-8\"",
    "text/plain;charset=\"\"",
    "text/plain; x=\" ;,\\\"\\\\\"; y=z",
    "text/plain;",
    "text/plain; ; ;a=b;",
    "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
};

START_TEST(media_types_pass) {
    ck_assert_msg(check_media_type(slice_of(media_types[_i])) == OK, "%s", media_types[_i]);
}
END_TEST

static const struct slice no_media_types[] = {
    SLICE_INIT(""),
    SLICE_INIT(" "),
    SLICE_INIT("text"),
    SLICE_INIT("/"),
    SLICE_INIT("text/"),
    SLICE_INIT("/plain"),
    SLICE_INIT("text/plain/x"),
    SLICE_INIT("text//plain"),
    SLICE_INIT("text /plain"),
    SLICE_INIT("text/ plain"),
    SLICE_INIT("text/plain x"),
    SLICE_INIT("text/plain, text/html"),
    SLICE_INIT("\"text/plain\""),
    SLICE_INIT("te(xt/plain"),
    SLICE_INIT("text/pl@in"),
    SLICE_INIT(" text/plain"),
    SLICE_INIT("text/plain "),
    SLICE_INIT("text/plain; "),
    SLICE_INIT("\ttext/plain"),
    SLICE_INIT("text/plain\t;a=b"),
    SLICE_INIT("text/plain;\ta=b"),
    SLICE_INIT("text/plain;a=\"\t\""),
    SLICE_INIT(";a=b"),
    SLICE_INIT("text/plain;a"),
    SLICE_INIT("text/plain;a="),
    SLICE_INIT("text/plain;=b"),
    SLICE_INIT("text/plain;a =b"),
    SLICE_INIT("text/plain;a= b"),
    SLICE_INIT("text/plain;a=b c=d"),
    SLICE_INIT("text/plain;a=b,c=d"),
    SLICE_INIT("text/plain;a=b/c"),
    SLICE_INIT("text/plain;a='b c'"),
    SLICE_INIT("text/plain;a=\"b"),
    SLICE_INIT("text/plain;a=\"b\\\""),
    SLICE_INIT("text/plain;a=\"b\"c"),
    SLICE_INIT("text/plain;a=\"b\"\""),
    SLICE_INIT("text/plain\r\nSet-Cookie: a=b"),
    SLICE_INIT("text/plain;a=\"\r\nSet-Cookie: a=b\""),
    SLICE_INIT("text/plain\n"),
    SLICE_INIT("text/plain\0"),
    SLICE_INIT("text/plain;a=\"\0\""),
    SLICE_INIT("text/plain;a=\"\\\0\""),
    SLICE_INIT("text/plain;a=\"\x7f\""),
    SLICE_INIT("text/plain;a=\"\xc3\xa9\""),
    SLICE_INIT("text/\xff"),
};

START_TEST(everything_else_is_no_media_type) {
    ck_assert_msg(check_media_type(no_media_types[_i]) == E_INVALID_FIELD, "%.*s",
                  (int)no_media_types[_i].n, no_media_types[_i].p);
}
END_TEST

static const char *const codings[] = {
    "gzip", "br", "x-gzip", "identity", "GZIP", "gzip,br", "gzip, br", "gzip , br ,zstd", "a!",
};

START_TEST(codings_pass) {
    ck_assert_msg(check_coding(slice_of(codings[_i])) == OK, "%s", codings[_i]);
}
END_TEST

static const struct slice no_codings[] = {
    SLICE_INIT(""),
    SLICE_INIT(" "),
    SLICE_INIT(","),
    SLICE_INIT("gzip,"),
    SLICE_INIT(",gzip"),
    SLICE_INIT("gzip,,br"),
    SLICE_INIT("gzip, "),
    SLICE_INIT("gzip, ,br"),
    SLICE_INIT("gzip br"),
    SLICE_INIT("gzip;q=1"),
    SLICE_INIT("\"gzip\""),
    SLICE_INIT("gzip/1"),
    SLICE_INIT(" gzip"),
    SLICE_INIT("gzip "),
    SLICE_INIT("gzip,\tbr"),
    SLICE_INIT("gzip\n"),
    SLICE_INIT("gzip\r\nA: b"),
    SLICE_INIT("gzip\0"),
    SLICE_INIT("gzip\x7f"),
    SLICE_INIT("\xc3\xa9"),
};

START_TEST(everything_else_is_no_coding) {
    ck_assert_msg(check_coding(no_codings[_i]) == E_INVALID_FIELD, "%.*s", (int)no_codings[_i].n,
                  no_codings[_i].p);
}
END_TEST

START_TEST(no_text_at_all_is_neither) {
    ck_assert_int_eq(fields_check_media_type((struct slice){0}), E_INVALID_FIELD);
    ck_assert_int_eq(fields_check_coding((struct slice){0}), E_INVALID_FIELD);
}
END_TEST

START_TEST(what_is_sent_back_is_bounded) {
    struct buf b = {0};
    buf_puts(&b, "a/");
    while (b.n < FIELDS_MEDIA_TYPE_MAX)
        buf_put_char(&b, 'a');
    ck_assert_int_eq(check_media_type(buf_slice(&b)), OK);
    buf_put_char(&b, 'a');
    ck_assert_int_eq(check_media_type(buf_slice(&b)), E_INVALID_FIELD);
    buf_reset(&b, SIZE_MAX);
    while (b.n < FIELDS_CODING_MAX)
        buf_put_char(&b, 'a');
    ck_assert_int_eq(check_coding(buf_slice(&b)), OK);
    buf_put_char(&b, 'a');
    ck_assert_int_eq(check_coding(buf_slice(&b)), E_INVALID_FIELD);
    buf_fini(&b);
}
END_TEST

START_TEST(every_byte_in_a_token) {
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int byte = 0; byte < 256; byte++) {
        char type[] = "a/b.c";
        char coding[] = "a.c";
        type[3] = coding[1] = (char)byte;
        bool belongs = memchr(token, byte, sizeof(token) - 1) != NULL;
        require((check_media_type((struct slice){type, 5}) == OK) == belongs);
        require((check_coding((struct slice){coding, 3}) == OK) == (belongs || byte == ','));
    }
}
END_TEST

START_TEST(cut_off_values_are_read_no_further) {
    static const char type[] = "a/b ;c=\"\\\"\" ;d=e";
    static const bool good_type[sizeof(type)] = {
        [3] = true, [5] = true, [11] = true, [13] = true, [16] = true,
    };
    static const char coding[] = "a ,bc, d";
    static const bool good_coding[sizeof(coding)] = {
        [1] = true,
        [4] = true,
        [5] = true,
        [8] = true,
    };
    for (size_t n = 0; n < sizeof(type); n++)
        ck_assert_int_eq(check_media_type((struct slice){type, n}) == OK, good_type[n]);
    for (size_t n = 0; n < sizeof(coding); n++)
        ck_assert_int_eq(check_coding((struct slice){coding, n}) == OK, good_coding[n]);
}
END_TEST

/* --- all of them --- */

START_TEST(random_bytes_are_survived) {
    static const char *const pieces[] = {
        "\"",   "\"a\"", "\\", "\\\"",   ",", ", ", ";",       ";x",   "=",      "=1",  "=-1.5",
        "=:a=", ":",     "?1", "=%\"%c", "a", "b",  "/",       "@9",   "return", " ",   "\t",
        "*",    "(",     ")",  "%",      "a", "b",  "minimal", "\xff", "\n",     "a/b",
    };
    uint64_t seed = 7240;
    size_t good[3] = {0};
    struct buf b = {0};
    for (int i = 0; i < 100000; i++) {
        buf_reset(&b, SIZE_MAX);
        for (size_t k = random_below(&seed, 8); k > 0; k--)
            buf_puts(&b, pieces[random_below(&seed, COUNT_OF(pieces))]);
        good[0] += judge_strings(buf_slice(&b)) == OK;
        good[1] += check_media_type(buf_slice(&b)) == OK;
        good[2] += check_coding(buf_slice(&b)) == OK;
        (void)prefers_minimal(buf_slice(&b));
    }
    for (size_t i = 0; i < COUNT_OF(good); i++)
        ck_assert_uint_gt(good[i], 100);
    buf_fini(&b);
}
END_TEST

Suite *suite_fields(void) {
    Suite *s = suite_create("fields");
    TCase *t = tcase_create("strings");
    tcase_add_loop_test(t, strings_are_read, 0, COUNT_OF(lists));
    tcase_add_loop_test(t, everything_else_is_no_list_of_strings, 0, COUNT_OF(no_lists));
    tcase_add_test(t, no_text_at_all_is_the_empty_list);
    tcase_add_test(t, a_failed_buffer_is_out_of_memory);
    tcase_add_test(t, strings_are_bounded_in_number_and_length);
    tcase_add_test(t, cut_off_lists_are_read_no_further);
    tcase_add_test(t, every_cut_of_every_parameter_is_survived);
    tcase_add_test(t, every_byte_in_a_string);
    tcase_add_test(t, strings_are_written);
    tcase_add_test(t, strings_stay_where_they_are);
    suite_add_tcase(s, t);
    t = tcase_create("prefer");
    tcase_add_loop_test(t, return_minimal_is_told, 0, COUNT_OF(preferences));
    tcase_add_test(t, cut_off_preferences_are_read_no_further);
    suite_add_tcase(s, t);
    t = tcase_create("sent back");
    tcase_add_loop_test(t, media_types_pass, 0, COUNT_OF(media_types));
    tcase_add_loop_test(t, everything_else_is_no_media_type, 0, COUNT_OF(no_media_types));
    tcase_add_loop_test(t, codings_pass, 0, COUNT_OF(codings));
    tcase_add_loop_test(t, everything_else_is_no_coding, 0, COUNT_OF(no_codings));
    tcase_add_test(t, no_text_at_all_is_neither);
    tcase_add_test(t, what_is_sent_back_is_bounded);
    tcase_add_test(t, every_byte_in_a_token);
    tcase_add_test(t, cut_off_values_are_read_no_further);
    suite_add_tcase(s, t);
    t = tcase_create("random");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, random_strings_come_back_as_they_were_written);
    tcase_add_test(t, random_bytes_are_survived);
    suite_add_tcase(s, t);
    return s;
}
