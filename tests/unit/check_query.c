/* Query parameters: what is read, what is refused, and what is none of our business. */
#include "units.h"

#include <stdio.h>

#include "base/clock.h"
#include "http/query.h"
#include "require.h"
#include "support.h"

/* What each test wants. */
enum { TTL, TAG, PREFIX, WANTED };

struct values {
    struct slice of[WANTED];
    struct buf decoded;
};

static void release(struct values *v) {
    buf_fini(&v->decoded);
}

/* With something in the buffer already, which stays. */
static enum error read_query(struct slice query, bool strict, struct values *v) {
    const struct query_wanted wanted[] = {
        {SLICE_INIT("ttl"), &v->of[TTL]},
        {SLICE_INIT("tag"), &v->of[TAG]},
        {SLICE_INIT("prefix"), &v->of[PREFIX]},
    };
    const struct slice before = SLICE("before");
    char *copy = exact_copy(query);
    for (size_t i = 0; i < WANTED; i++)
        v->of[i] = SLICE("old");
    buf_reset(&v->decoded, SIZE_MAX);
    buf_put_slice(&v->decoded, before);
    struct query_fault fault = {"old"};
    enum error e = query_read((struct slice){copy, query.n}, strict, wanted, COUNT_OF(wanted),
                              &v->decoded, &fault);
    free(copy);
    require(v->decoded.n >= before.n && memcmp(v->decoded.p, before.p, before.n) == 0);
    require(e == OK || e == E_INVALID_PARAMETER || e == E_UNKNOWN_PARAMETER);
    require((e == OK) == (fault.detail[0] == '\0'));
    size_t used = before.n;
    for (size_t i = 0; i < WANTED; i++) {
        require(e == OK || v->of[i].p == NULL);
        require(v->of[i].p != NULL || v->of[i].n == 0);
        used += v->of[i].n;
    }
    require(v->decoded.n == used);
    return e;
}

/* NULL: absent. */
struct expected {
    const char *ttl, *tag, *prefix;
};

static bool is(struct slice value, const char *text) {
    return text == NULL ? value.p == NULL : value.p != NULL && slice_eq(value, slice_of(text));
}

static const struct {
    struct slice query;
    struct expected values;
} good[] = {
    {SLICE_INIT(""), {0}},
    {SLICE_INIT("&"), {0}},
    {SLICE_INIT("&&&&"), {0}},
    {SLICE_INIT("ttl=5"), {.ttl = "5"}},
    {SLICE_INIT("ttl"), {.ttl = ""}},
    {SLICE_INIT("ttl="), {.ttl = ""}},
    {SLICE_INIT("ttl&tag="), {.ttl = "", .tag = ""}},
    {SLICE_INIT("&ttl=5&&tag=a&"), {.ttl = "5", .tag = "a"}},
    {SLICE_INIT("tag=a&prefix=user:&ttl=60"), {.ttl = "60", .tag = "a", .prefix = "user:"}},
    {SLICE_INIT("%74tl=5"), {.ttl = "5"}},
    {SLICE_INIT("%74%74%6C"), {.ttl = ""}},
    {SLICE_INIT("%74%74%6c=%35"), {.ttl = "5"}},
    {SLICE_INIT("prefix=a=b=="), {.prefix = "a=b=="}},
    {SLICE_INIT("prefix=="), {.prefix = "="}},
    {SLICE_INIT("prefix=a+b%20c%2Bd"), {.prefix = "a b c+d"}},
    {SLICE_INIT("prefix=+"), {.prefix = " "}},
    {SLICE_INIT("prefix=%2574"), {.prefix = "%74"}},
    {SLICE_INIT("prefix=%25"), {.prefix = "%"}},
    {SLICE_INIT("prefix=a%26b%3Dc%3F%23"), {.prefix = "a&b=c?#"}},
    {SLICE_INIT("prefix=/?:@-._~!$'()*,;"), {.prefix = "/?:@-._~!$'()*,;"}},
    {SLICE_INIT("prefix=%D0%BA%d0%bb"), {.prefix = "\xd0\xba\xd0\xbb"}},
    {SLICE_INIT("prefix=%FF%0A"), {.prefix = "\xff\n"}},
    {SLICE_INIT("ttl=5;tag=a"), {.ttl = "5;tag=a"}},
};

START_TEST(parameters_are_read_strict_or_not) {
    struct values v = {0};
    for (int strict = 0; strict < 2; strict++) {
        ck_assert_int_eq(read_query(good[_i].query, strict == 1, &v), OK);
        ck_assert(is(v.of[TTL], good[_i].values.ttl));
        ck_assert(is(v.of[TAG], good[_i].values.tag));
        ck_assert(is(v.of[PREFIX], good[_i].values.prefix));
    }
    release(&v);
}
END_TEST

static const struct {
    struct slice query;
    struct expected values;
} unknown[] = {
    {SLICE_INIT("key=a"), {0}},
    {SLICE_INIT("key"), {0}},
    {SLICE_INIT("="), {0}},
    {SLICE_INIT("=5"), {0}},
    {SLICE_INIT("TTL=5"), {0}},
    {SLICE_INIT("tt=5"), {0}},
    {SLICE_INIT("ttl2=5"), {0}},
    {SLICE_INIT("ttl%00=5"), {0}},
    {SLICE_INIT("ttl\0=5"), {0}},
    {SLICE_INIT("%2574tl=5"), {0}},
    {SLICE_INIT("ttl+=5"), {0}},
    {SLICE_INIT("+ttl=5"), {0}},
    {SLICE_INIT(";ttl=5"), {0}},
    {SLICE_INIT("?ttl=5"), {0}},
    {SLICE_INIT("ttl%3D5"), {0}},
    {SLICE_INIT("ttl[]=5"), {0}},
    {SLICE_INIT("\xff=5"), {0}},
    {SLICE_INIT("a b=c d"), {0}},
    {SLICE_INIT("ttl%26tag"), {0}},
    {SLICE_INIT("ttl=5&key=%zz"), {.ttl = "5"}},
    {SLICE_INIT("key=%&ttl=5"), {.ttl = "5"}},
    {SLICE_INIT("ttl=5&key=\"<>\\^`{|}#\x7f\x01\xff"), {.ttl = "5"}},
    {SLICE_INIT("key=a&key=b&ttl=5"), {.ttl = "5"}},
    {SLICE_INIT("ttl=5&_=1700000000"), {.ttl = "5"}},
};

START_TEST(unknown_parameters_are_ignored_or_refused) {
    struct values v = {0};
    ck_assert_int_eq(read_query(unknown[_i].query, false, &v), OK);
    ck_assert(is(v.of[TTL], unknown[_i].values.ttl));
    ck_assert(is(v.of[TAG], unknown[_i].values.tag));
    ck_assert(is(v.of[PREFIX], unknown[_i].values.prefix));
    ck_assert_int_eq(read_query(unknown[_i].query, true, &v), E_UNKNOWN_PARAMETER);
    release(&v);
}
END_TEST

static const struct slice invalid[] = {
    /* twice */
    SLICE_INIT("ttl=1&ttl=2"),
    SLICE_INIT("ttl=1&ttl=1"),
    SLICE_INIT("ttl&ttl"),
    SLICE_INIT("ttl=&ttl=5"),
    SLICE_INIT("ttl=5&ttl"),
    SLICE_INIT("ttl=5&tag=a&%74tl=5"),
    /* broken escapes */
    SLICE_INIT("%"),
    SLICE_INIT("%7"),
    SLICE_INIT("%zz=5"),
    SLICE_INIT("%u0074tl=5"),
    SLICE_INIT("tt%=5"),
    SLICE_INIT("tt%6=5"),
    SLICE_INIT("tt%6&=5"),
    SLICE_INIT("ttl=%"),
    SLICE_INIT("ttl=5%"),
    SLICE_INIT("ttl=%3"),
    SLICE_INIT("ttl=%3&tag=5"),
    SLICE_INIT("ttl=%+5"),
    SLICE_INIT("ttl=%-5"),
    SLICE_INIT("ttl=%0x"),
    SLICE_INIT("ttl=%%35"),
    SLICE_INIT("ttl=%3\0"),
    /* bytes that don't stand raw in a query */
    SLICE_INIT("ttl=5#"),
    SLICE_INIT("ttl=5 "),
    SLICE_INIT("ttl=\"5\""),
    SLICE_INIT("prefix=<>"),
    SLICE_INIT("prefix=[a]"),
    SLICE_INIT("prefix={a}"),
    SLICE_INIT("prefix=a|b"),
    SLICE_INIT("prefix=a\\b"),
    SLICE_INIT("prefix=a^b"),
    SLICE_INIT("prefix=a`b"),
    SLICE_INIT("prefix=\xd0\xba"),
    SLICE_INIT("prefix=a\0b"),
    SLICE_INIT("prefix=\x7f"),
    SLICE_INIT("prefix=\n"),
    /* the first fault counts */
    SLICE_INIT("ttl=1&ttl=2&key=a"),
};

START_TEST(faults_are_refused_strict_or_not) {
    struct values v = {0};
    for (int strict = 0; strict < 2; strict++)
        ck_assert_msg(read_query(invalid[_i], strict == 1, &v) == E_INVALID_PARAMETER, "%.*s",
                      (int)invalid[_i].n, invalid[_i].p);
    release(&v);
}
END_TEST

START_TEST(a_fault_behind_an_unknown_parameter) {
    struct values v = {0};
    ck_assert_int_eq(read_query(SLICE("key=a&ttl=%"), true, &v), E_UNKNOWN_PARAMETER);
    ck_assert_int_eq(read_query(SLICE("key=a&ttl=%"), false, &v), E_INVALID_PARAMETER);
    release(&v);
}
END_TEST

START_TEST(values_may_hold_nul) {
    struct values v = {0};
    ck_assert_int_eq(read_query(SLICE("tag=a%00b&ttl=%00"), true, &v), OK);
    ck_assert(slice_eq(v.of[TAG], SLICE("a\0b")));
    ck_assert(slice_eq(v.of[TTL], SLICE("\0")));
    release(&v);
}
END_TEST

START_TEST(no_query_and_nothing_wanted) {
    struct query_fault fault;
    struct buf decoded = {0};
    struct slice value = SLICE("old");
    const struct query_wanted wanted = {SLICE_INIT("ttl"), &value};
    ck_assert_int_eq(query_read((struct slice){0}, true, &wanted, 1, &decoded, &fault), OK);
    ck_assert_ptr_null(value.p);
    ck_assert_int_eq(query_read(SLICE("ttl"), true, &wanted, 1, &decoded, &fault), OK);
    ck_assert(value.p != NULL && value.n == 0);
    ck_assert_int_eq(query_read((struct slice){0}, true, NULL, 0, &decoded, &fault), OK);
    ck_assert_int_eq(query_read(SLICE("&&"), true, NULL, 0, &decoded, &fault), OK);
    ck_assert_int_eq(query_read(SLICE("ttl=5"), false, NULL, 0, &decoded, &fault), OK);
    ck_assert_int_eq(query_read(SLICE("ttl=5"), true, NULL, 0, &decoded, &fault),
                     E_UNKNOWN_PARAMETER);
    buf_fini(&decoded);
}
END_TEST

/* What is said of a query when so many of ttl, tag and prefix are wanted. */
static const struct {
    const char *query;
    bool strict;
    size_t wanted;
    const char *detail;
} told[] = {
    {"ttl=1&ttl=1", true, 1, "The query parameter ttl is there twice; nothing was changed."},
    {"tag=%4", false, 3,
     "The query parameter tag has a broken percent sign, or a character that must be "
     "percent-encoded."},
    {"%zz=1", false, 3, "The name of a query parameter has a broken percent sign."},
    {"x", true, 0, "This request takes no query parameter; nothing was changed."},
    {"x", true, 1, "This request takes no query parameter but ttl; nothing was changed."},
    {"x", true, 2, "This request takes no query parameter but ttl and tag; nothing was changed."},
    {"x", true, 3,
     "This request takes no query parameter but ttl, tag and prefix; nothing was changed."},
};

START_TEST(faults_are_told) {
    struct slice value[WANTED];
    struct buf decoded = {0};
    struct query_fault fault;
    const struct query_wanted wanted[] = {
        {SLICE_INIT("ttl"), &value[TTL]},
        {SLICE_INIT("tag"), &value[TAG]},
        {SLICE_INIT("prefix"), &value[PREFIX]},
    };
    ck_assert_int_ne(query_read(slice_of(told[_i].query), told[_i].strict, wanted, told[_i].wanted,
                                &decoded, &fault),
                     OK);
    ck_assert_str_eq(fault.detail, told[_i].detail);
    buf_fini(&decoded);
}
END_TEST

START_TEST(a_failed_buffer_is_out_of_memory) {
    struct query_fault fault;
    struct buf decoded = {.failed = true};
    struct slice value = SLICE("old");
    const struct query_wanted wanted = {SLICE_INIT("ttl"), &value};
    ck_assert_int_eq(query_read(SLICE("ttl=5"), true, &wanted, 1, &decoded, &fault),
                     E_OUT_OF_MEMORY);
    ck_assert_ptr_null(value.p);
}
END_TEST

/* A buffer that grew under the first value would leave it pointing into freed memory. */
START_TEST(values_stay_where_they_are) {
    struct values v = {0};
    struct buf b = {0};
    buf_puts(&b, "ttl=first&prefix=");
    while (b.n < 8000)
        buf_puts(&b, "%61");
    buf_puts(&b, "&tag=last");
    ck_assert_int_eq(read_query(buf_slice(&b), true, &v), OK);
    for (size_t i = 0; i < WANTED; i++)
        ck_assert(v.of[i].p >= v.decoded.p && v.of[i].p + v.of[i].n <= v.decoded.p + v.decoded.n);
    ck_assert(is(v.of[TTL], "first"));
    ck_assert(is(v.of[TAG], "last"));
    buf_fini(&b);
    release(&v);
}
END_TEST

START_TEST(every_byte_raw_and_escaped) {
    struct values v = {0};
    static const char raw[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-._~!$'()*,;=:@/?";
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "tag=a.b";
        text[5] = (char)byte;
        enum error e = read_query((struct slice){text, 7}, false, &v);
        if (byte == '&' || byte == '+') {
            require(e == OK && is(v.of[TAG], byte == '&' ? "a" : "a b"));
        } else if (memchr(raw, byte, sizeof(raw) - 1) != NULL) {
            require(e == OK && slice_eq(v.of[TAG], (struct slice){text + 4, 3}));
        } else {
            require(e == E_INVALID_PARAMETER);
        }
        char escaped[16];
        (void)snprintf(escaped, sizeof(escaped), "tag=a%%%02xb", (unsigned)byte);
        text[5] = (char)byte;
        require(read_query(slice_of(escaped), true, &v) == OK);
        require(slice_eq(v.of[TAG], (struct slice){text + 4, 3}));
    }
    release(&v);
}
END_TEST

START_TEST(cut_off_queries_are_read_no_further) {
    static const char text[] = "ttl=%31&%74ag=a+%20&prefix";
    static const struct expected ends[] = {
        [3] = {.ttl = ""},
        [4] = {.ttl = ""},
        [7] = {.ttl = "1"},
        [8] = {.ttl = "1"},
        [13] = {.ttl = "1", .tag = ""},
        [14] = {.ttl = "1", .tag = ""},
        [15] = {.ttl = "1", .tag = "a"},
        [16] = {.ttl = "1", .tag = "a "},
        [19] = {.ttl = "1", .tag = "a  "},
        [20] = {.ttl = "1", .tag = "a  "},
        [sizeof(text) - 1] = {.ttl = "1", .tag = "a  ", .prefix = ""},
    };
    struct values v = {0};
    for (size_t n = 0; n < sizeof(text); n++) {
        /* Within an escape, and with half a name. */
        bool broken = n == 5 || n == 6 || n == 9 || n == 10 || n == 17 || n == 18;
        bool half = n == 1 || n == 2 || n == 11 || n == 12 || (n > 20 && n < sizeof(text) - 1);
        enum error e = read_query((struct slice){text, n}, true, &v);
        ck_assert_int_eq(e, broken ? E_INVALID_PARAMETER : half ? E_UNKNOWN_PARAMETER : OK);
        if (e != OK)
            continue;
        ck_assert(is(v.of[TTL], ends[n].ttl));
        ck_assert(is(v.of[TAG], ends[n].tag));
        ck_assert(is(v.of[PREFIX], ends[n].prefix));
    }
    release(&v);
}
END_TEST

static void put_spelled(struct buf *b, struct slice text, uint64_t *seed) {
    for (size_t i = 0; i < text.n; i++) {
        bool plain = (text.p[i] >= 'a' && text.p[i] <= 'z');
        if (text.p[i] == ' ' && random_below(seed, 2) == 0)
            buf_put_char(b, '+');
        else if (plain && random_below(seed, 3) > 0)
            buf_put_char(b, text.p[i]);
        else
            buf_printf(b, random_below(seed, 2) == 0 ? "%%%02x" : "%%%02X",
                       (unsigned)(unsigned char)text.p[i]);
    }
}

START_TEST(random_values_come_back_in_every_spelling) {
    static const char *const names[] = {"ttl", "tag", "prefix"};
    uint64_t seed = 3986;
    struct values v = {0};
    struct buf b = {0};
    for (int i = 0; i < 20000; i++) {
        char text[WANTED][12];
        size_t n[WANTED];
        size_t first = random_below(&seed, WANTED);
        buf_reset(&b, SIZE_MAX);
        for (size_t k = 0; k < WANTED; k++) {
            size_t which = (first + k) % WANTED;
            n[which] = random_below(&seed, sizeof(text[which]));
            for (size_t at = 0; at < n[which]; at++)
                text[which][at] = (char)random_below(&seed, 256);
            put_spelled(&b, slice_of(names[which]), &seed);
            buf_put_char(&b, '=');
            put_spelled(&b, (struct slice){text[which], n[which]}, &seed);
            buf_puts(&b, random_below(&seed, 2) == 0 ? "&" : "&&");
        }
        require(read_query(buf_slice(&b), true, &v) == OK);
        for (size_t k = 0; k < WANTED; k++)
            require(v.of[k].p != NULL && slice_eq(v.of[k], (struct slice){text[k], n[k]}));
    }
    buf_fini(&b);
    release(&v);
}
END_TEST

START_TEST(random_bytes_are_survived) {
    static const char *const pieces[] = {"ttl", "tag=", "prefix=", "&", "=",  "%",    "%7",
                                         "%74", "tl",   "+",       "a", "\0", "\xff", "#"};
    uint64_t seed = 400;
    struct values v = {0};
    struct buf b = {0};
    size_t verdicts[ERROR_COUNT] = {0};
    for (int i = 0; i < 100000; i++) {
        buf_reset(&b, SIZE_MAX);
        for (size_t k = random_below(&seed, 8); k > 0; k--) {
            const char *piece = pieces[random_below(&seed, COUNT_OF(pieces))];
            buf_put(&b, piece, piece[0] == '\0' ? 1 : strlen(piece));
        }
        verdicts[read_query(buf_slice(&b), random_below(&seed, 2) == 0, &v)]++;
    }
    ck_assert_uint_gt(verdicts[OK], 1000);
    ck_assert_uint_gt(verdicts[E_INVALID_PARAMETER], 1000);
    ck_assert_uint_gt(verdicts[E_UNKNOWN_PARAMETER], 1000);
    buf_fini(&b);
    release(&v);
}
END_TEST

/* All that fits into the 8 KiB of a target. The bound is fifty times what it takes, for a busy
 * machine. */
START_TEST(thousands_of_parameters_are_quick) {
    enum { ROUNDS = 20, LIMIT_NS = 5000000 };
    struct values v = {0};
    struct buf b = {0};
    while (b.n < 8192)
        buf_puts(&b, "a&");
    int64_t begin = clock_monotonic();
    for (int i = 0; i < ROUNDS; i++)
        ck_assert_int_eq(read_query(buf_slice(&b), false, &v), OK);
    ck_assert_int_lt((clock_monotonic() - begin) / ROUNDS, LIMIT_NS);
    buf_fini(&b);
    release(&v);
}
END_TEST

Suite *suite_query(void) {
    Suite *s = suite_create("query");
    TCase *t = tcase_create("read");
    tcase_add_loop_test(t, parameters_are_read_strict_or_not, 0, COUNT_OF(good));
    tcase_add_loop_test(t, unknown_parameters_are_ignored_or_refused, 0, COUNT_OF(unknown));
    tcase_add_loop_test(t, faults_are_refused_strict_or_not, 0, COUNT_OF(invalid));
    tcase_add_test(t, a_fault_behind_an_unknown_parameter);
    tcase_add_loop_test(t, faults_are_told, 0, COUNT_OF(told));
    tcase_add_test(t, values_may_hold_nul);
    tcase_add_test(t, no_query_and_nothing_wanted);
    tcase_add_test(t, a_failed_buffer_is_out_of_memory);
    tcase_add_test(t, values_stay_where_they_are);
    tcase_add_test(t, every_byte_raw_and_escaped);
    tcase_add_test(t, cut_off_queries_are_read_no_further);
    tcase_add_test(t, thousands_of_parameters_are_quick);
    suite_add_tcase(s, t);
    t = tcase_create("random");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, random_values_come_back_in_every_spelling);
    tcase_add_test(t, random_bytes_are_survived);
    suite_add_tcase(s, t);
    return s;
}
