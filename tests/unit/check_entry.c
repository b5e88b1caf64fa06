/* Entries as Redis keeps them: what is written is read back, and what is not of our making is
 * nobody's header. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "cache/entry.h"
#include "support.h"

#define MARK  "\0larder1 "
#define NONCE "0123456789abcdef0123456789abcdef"
#define OTHER "ffffffffffffffffffffffffffffffff"

static struct arena arena;

static void setup(void) {
    arena = (struct arena){0};
}

static void teardown(void) {
    arena_fini(&arena);
}

static struct entry parsed(struct slice stored) {
    struct entry entry;
    memset(&entry, 'x', sizeof(entry));
    ck_assert_int_eq(entry_parse(stored, &arena, &entry), OK);
    return entry;
}

static struct slice formatted(const struct entry *entry) {
    struct slice stored;
    ck_assert_int_eq(entry_format(entry, &arena, &stored), OK);
    return stored;
}

/* --- written and read ------------------------------------------------------------------------ */

static const struct slice bodies[] = {
    SLICE_INIT("{\"a\": 1.10}"), SLICE_INIT(""),          SLICE_INIT("\n"),
    SLICE_INIT("\0\xff\r\n}\n"), SLICE_INIT(MARK "{}\n"),
};

static const struct slice types[] = {
    {NULL, 0}, /* not raw */
    SLICE_INIT("text/plain"),
    SLICE_INIT("text/html; charset=\"utf-8\"; x=\"\\\\\""),
};

static const struct slice codings[] = {{NULL, 0}, SLICE_INIT("gzip"), SLICE_INIT("gzip, br")};

static const size_t tag_counts[] = {0, 1, 2, ENTRY_TAGS_MAX};

static const struct {
    int64_t idle, end;
} idles[] = {{0, 0}, {1, 0}, {60, INT64_C(1764115200000)}, {ENTRY_IDLE_MAX, 1}};

/* As long as they may be, all different, and full of what JSON escapes. */
static void fill_tags(struct entry_tag tags[ENTRY_TAGS_MAX],
                      char names[ENTRY_TAGS_MAX][ENTRY_TAG_BYTES_MAX]) {
    for (size_t i = 0; i < ENTRY_TAGS_MAX; i++) {
        memset(names[i], i % 2 == 0 ? '"' : '\\', ENTRY_TAG_BYTES_MAX);
        names[i][0] = (char)('A' + i);
        tags[i].name = (struct slice){names[i], ENTRY_TAG_BYTES_MAX};
        tags[i].nonce = i % 2 == 0 ? SLICE(NONCE) : SLICE(OTHER);
    }
}

static void check_same(const struct entry *a, const struct entry *b) {
    ck_assert(slice_eq(a->body, b->body));
    ck_assert_int_eq(a->raw, b->raw);
    ck_assert(slice_eq(a->type, b->type));
    ck_assert(slice_eq(a->coding, b->coding));
    ck_assert_uint_eq(a->tag_count, b->tag_count);
    for (size_t i = 0; i < a->tag_count; i++) {
        ck_assert(slice_eq(a->tags[i].name, b->tags[i].name));
        ck_assert(slice_eq(a->tags[i].nonce, b->tags[i].nonce));
    }
    ck_assert_int_eq(a->idle, b->idle);
    ck_assert_int_eq(a->end, b->end);
    ck_assert(slice_eq(a->id, b->id));
}

/* The bytes are read where AddressSanitizer sees their end. */
static void check_round_trip(const struct entry *entry) {
    struct slice stored = formatted(entry);
    bool headed = entry->raw || entry->tag_count > 0 || entry->idle > 0;
    char *copy = exact_copy(stored);
    struct entry again = parsed((struct slice){copy, stored.n});
    check_same(entry, &again);
    ck_assert_int_eq(again.header.n > 0, headed);
    ck_assert_uint_eq(again.header.n + again.body.n, stored.n);
    ck_assert_uint_le(again.header.n, ENTRY_HEADER_MAX);
    ck_assert(headed || stored.p == entry->body.p);
    ck_assert(!headed || again.header.p == copy);
    free(copy);
    arena_reset(&arena);
}

START_TEST(what_is_written_is_read_back) {
    struct entry_tag tags[ENTRY_TAGS_MAX];
    char names[ENTRY_TAGS_MAX][ENTRY_TAG_BYTES_MAX];
    size_t trips = 0;
    fill_tags(tags, names);
    for (size_t i = 0; i < COUNT_OF(bodies) * COUNT_OF(types) * COUNT_OF(codings) *
                               COUNT_OF(tag_counts) * COUNT_OF(idles);
         i++) {
        size_t at = i;
        struct entry entry = {.body = bodies[at % COUNT_OF(bodies)], .tags = tags};
        at /= COUNT_OF(bodies);
        entry.type = types[at % COUNT_OF(types)];
        entry.raw = entry.type.n > 0;
        at /= COUNT_OF(types);
        entry.coding = codings[at % COUNT_OF(codings)];
        at /= COUNT_OF(codings);
        entry.tag_count = tag_counts[at % COUNT_OF(tag_counts)];
        at /= COUNT_OF(tag_counts);
        entry.idle = idles[at].idle;
        entry.end = idles[at].end;
        if (entry.idle > 0)
            entry.id = SLICE(NONCE);
        bool has_header = entry.raw || entry.tag_count > 0 || entry.idle > 0;
        /* A coding is a type's, and such bytes have a header of their own. */
        if ((!entry.raw && entry.coding.n > 0) ||
            (!has_header && entry_begins_like_header(entry.body)))
            continue;
        check_round_trip(&entry);
        trips++;
    }
    ck_assert_uint_eq(trips, 5 * 4 * 4 * (1 + 2 * 3) - 1);
}
END_TEST

START_TEST(header_is_one_line_of_json) {
    static const struct entry_tag tags[] = {{SLICE_INIT("a"), SLICE_INIT(NONCE)},
                                            {SLICE_INIT("\xc3\xa9\""), SLICE_INIT(OTHER)}};
    struct entry entry = {
        .body = SLICE("body"),
        .raw = true,
        .type = SLICE("image/png"),
        .coding = SLICE("gzip"),
        .tags = tags,
        .tag_count = 2,
        .idle = 60,
        .end = 1234,
        .id = SLICE(OTHER),
    };
    struct slice stored = formatted(&entry);
    ck_assert(slice_eq(stored, SLICE(MARK "{\"type\":\"image/png\",\"coding\":\"gzip\",\"tags\":{"
                                          "\"a\":\"" NONCE "\",\"\xc3\xa9\\\"\":\"" OTHER "\"},"
                                          "\"idle\":60,\"end\":1234,\"id\":\"" OTHER "\"}\nbody")));
    ck_assert(entry_begins_like_header(stored));
}
END_TEST

/* The longest header that can be asked for is shorter than the longest that is read. */
START_TEST(longest_header_is_within_the_limit) {
    struct entry_tag tags[ENTRY_TAGS_MAX];
    char names[ENTRY_TAGS_MAX][ENTRY_TAG_BYTES_MAX];
    char type[ENTRY_TYPE_BYTES_MAX];
    char coding[ENTRY_CODING_BYTES_MAX];
    fill_tags(tags, names);
    memset(type, '"', sizeof(type));
    memset(coding, '"', sizeof(coding));
    struct entry entry = {
        .raw = true,
        .type = {type, sizeof(type)},
        .coding = {coding, sizeof(coding)},
        .tags = tags,
        .tag_count = ENTRY_TAGS_MAX,
        .idle = ENTRY_IDLE_MAX,
        .end = INT64_C(99999999999999),
        .id = SLICE(NONCE),
    };
    check_round_trip(&entry);
}
END_TEST

/* --- what is foreign ------------------------------------------------------------------------- */

static void check_foreign(struct slice stored, const char *what) {
    char *copy = exact_copy(stored);
    struct slice bytes = {copy, stored.n};
    struct entry entry = parsed(bytes);
    bool whole = entry.header.n == 0 && entry.body.p == bytes.p && entry.body.n == bytes.n;
    ck_assert_msg(whole, "%s: %zu bytes of header", what, entry.header.n);
    ck_assert(!entry.raw && !entry.is_json);
    ck_assert_uint_eq(entry.tag_count + entry.type.n + entry.coding.n + entry.id.n, 0);
    ck_assert_int_eq(entry.idle + entry.end, 0);
    free(copy);
}

static void check_foreign_line(const char *line) {
    struct buf stored = {0};
    buf_put_slice(&stored, SLICE(MARK));
    buf_puts(&stored, line);
    buf_puts(&stored, "\nbody");
    check_foreign(buf_slice(&stored), line);
    buf_fini(&stored);
}

static struct entry parsed_line(const char *line) {
    struct buf stored = {0};
    buf_put_slice(&stored, SLICE(MARK));
    buf_puts(&stored, line);
    buf_puts(&stored, "\nbody");
    struct slice bytes = buf_slice(&stored);
    ck_assert(arena_adopt(&arena, &stored));
    struct entry entry = parsed(bytes);
    ck_assert_msg(entry.header.n == bytes.n - 4, "%s", line);
    ck_assert(slice_eq(entry.body, SLICE("body")));
    return entry;
}

START_TEST(what_has_no_mark_is_a_body) {
    static const struct slice rows[] = {
        {NULL, 0},
        SLICE_INIT(""),
        SLICE_INIT("{\"type\":\"a/b\"}\nbody"),
        SLICE_INIT("larder1 {\"type\":\"a/b\"}\nbody"),
        SLICE_INIT("\0"),
        SLICE_INIT("\0larder2 {\"type\":\"a/b\"}\nbody"),
        SLICE_INIT("\0larder1{\"type\":\"a/b\"}\nbody"),
        SLICE_INIT("\0LARDER1 {\"type\":\"a/b\"}\nbody"),
        SLICE_INIT("x" MARK "{\"type\":\"a/b\"}\nbody"),
        SLICE_INIT(MARK),
        SLICE_INIT(MARK "\n"),
        SLICE_INIT(MARK "{}"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_foreign(rows[i], rows[i].n > 0 ? rows[i].p : "");
}
END_TEST

START_TEST(every_cut_of_a_header_is_foreign) {
    static const char stored[] =
        MARK "{\"type\":\"a/b\",\"coding\":\"gzip\",\"tags\":{\"a\":\"" NONCE
             "\"},\"idle\":1,\"end\":2,\"id\":\"" NONCE "\"}\n";
    size_t whole = sizeof(stored) - 1;
    for (size_t n = 0; n < whole; n++)
        check_foreign((struct slice){stored, n}, "cut");
    struct entry entry = parsed((struct slice){stored, whole});
    ck_assert_uint_eq(entry.header.n, whole);
    ck_assert_uint_eq(entry.body.n, 0);
}
END_TEST

/* Whatever byte is in the way of one, the parser neither fails nor reads beyond. */
START_TEST(every_byte_of_a_header_may_be_any_other) {
    static const char stored[] =
        MARK "{\"type\":\"a/b\",\"tags\":{\"a\":\"" NONCE "\"},\"idle\":1,\"id\":\"" NONCE "\"}\nb";
    for (size_t at = 0; at < sizeof(stored) - 1; at++) {
        char *copy = exact_copy((struct slice){stored, sizeof(stored) - 1});
        for (int byte = 0; byte < 256; byte++) {
            copy[at] = (char)byte;
            struct entry entry = parsed((struct slice){copy, sizeof(stored) - 1});
            size_t bytes = entry.header.n + entry.body.n;
            if (bytes != sizeof(stored) - 1)
                ck_abort_msg("byte %zu as %d: %zu bytes", at, byte, bytes);
            arena_reset(&arena);
        }
        free(copy);
    }
}
END_TEST

START_TEST(lines_that_are_no_header_are_foreign) {
    static const char *const lines[] = {
        "",
        " ",
        "[]",
        "1",
        "\"type\"",
        "{\"type\":\"a/b\"}x",
        "{\"type\":\"a/b\"",
        "{\"type\":\"a/b\",}",
        /* members that nobody knows, or twice */
        "{\"typ\":\"a/b\"}",
        "{\"Type\":\"a/b\"}",
        "{\"\":\"a/b\"}",
        "{\"t\\u0079pe\":\"a/b\"}",
        "{\"type\":\"a/b\",\"x\":1}",
        "{\"type\":\"a/b\",\"type\":\"a/b\"}",
        "{\"idle\":1,\"id\":\"" NONCE "\",\"idle\":1}",
        "{\"tags\":{\"a\":\"" NONCE "\"},\"tags\":{\"a\":\"" NONCE "\"}}",
        /* what goes out as a header field */
        "{\"type\":\"\"}",
        "{\"type\":1}",
        "{\"type\":null}",
        "{\"type\":[\"a/b\"]}",
        "{\"type\":\"a/b\\r\\nSet-Cookie: a=b\"}",
        "{\"type\":\"a/b\\n\"}",
        "{\"type\":\"a/b\\u0000\"}",
        "{\"type\":\"a/b\\u001f\"}",
        "{\"type\":\"a/b\x7f\"}",
        "{\"type\":\"a/b\\t\"}",
        "{\"type\":\"a/\xc3\xa9\"}",
        "{\"type\":\"a/\\u00e9\"}",
        "{\"type\":\"a/b\",\"coding\":\"\"}",
        "{\"type\":\"a/b\",\"coding\":\"gzip\\r\\nX: y\"}",
        "{\"type\":\"a/b\",\"coding\":1}",
        "{\"coding\":\"gzip\"}",
        /* tags */
        "{\"tags\":{}}",
        "{\"tags\":[]}",
        "{\"tags\":\"a\"}",
        "{\"tags\":[\"a\"]}",
        "{\"tags\":{\"\":\"" NONCE "\"}}",
        "{\"tags\":{\"a\\n\":\"" NONCE "\"}}",
        "{\"tags\":{\"\\u0000\":\"" NONCE "\"}}",
        "{\"tags\":{\"a\":1}}",
        "{\"tags\":{\"a\":null}}",
        "{\"tags\":{\"a\":\"\"}}",
        "{\"tags\":{\"a\":\"0123456789abcdef0123456789abcde\"}}",
        "{\"tags\":{\"a\":\"0123456789abcdef0123456789abcdeff\"}}",
        "{\"tags\":{\"a\":\"0123456789ABCDEF0123456789abcdef\"}}",
        "{\"tags\":{\"a\":\"0123456789abcdef0123456789abcdeg\"}}",
        "{\"tags\":{\"a\":\"0123456789abcdef0123456789abcde\\u0000\"}}",
        "{\"tags\":{\"a\":\"" NONCE "\",\"b\":\"x\"}}",
        /* idle, end and id: all of them or none, but for the end */
        "{\"idle\":1}",
        "{\"id\":\"" NONCE "\"}",
        "{\"end\":1}",
        "{\"end\":1,\"id\":\"" NONCE "\"}",
        "{\"type\":\"a/b\",\"end\":1}",
        "{\"idle\":0,\"id\":\"" NONCE "\"}",
        "{\"idle\":-1,\"id\":\"" NONCE "\"}",
        "{\"idle\":1.0,\"id\":\"" NONCE "\"}",
        "{\"idle\":1e1,\"id\":\"" NONCE "\"}",
        "{\"idle\":\"1\",\"id\":\"" NONCE "\"}",
        "{\"idle\":null,\"id\":\"" NONCE "\"}",
        "{\"idle\":true,\"id\":\"" NONCE "\"}",
        "{\"idle\":1,\"end\":0,\"id\":\"" NONCE "\"}",
        "{\"idle\":1,\"end\":-5,\"id\":\"" NONCE "\"}",
        "{\"idle\":1,\"end\":1234567890123456789,\"id\":\"" NONCE "\"}",
        "{\"idle\":1,\"end\":99999999999999999999,\"id\":\"" NONCE "\"}",
        "{\"idle\":1,\"id\":\"abc\"}",
        "{\"idle\":1,\"id\":1}",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        check_foreign_line(lines[i]);
}
END_TEST

/* In milliseconds it must fit into 64 bits, whoever wrote it. */
START_TEST(idle_time_has_a_bound) {
    ck_assert_int_eq(parsed_line("{\"idle\":10000000000,\"id\":\"" NONCE "\"}").idle,
                     ENTRY_IDLE_MAX);
    check_foreign_line("{\"idle\":10000000001,\"id\":\"" NONCE "\"}");
    check_foreign_line("{\"idle\":123456789012345678,\"id\":\"" NONCE "\"}");
}
END_TEST

START_TEST(lines_in_another_spelling_are_headers) {
    struct entry entry = parsed_line(" { \"type\" : \"a\\/\\u0062\" } ");
    ck_assert(entry.raw);
    ck_assert(slice_eq(entry.type, SLICE("a/b")));
    entry =
        parsed_line("{\"id\":\"" NONCE "\",\"idle\":5,\"tags\":{\"\\u00e9\\\"\":\"" OTHER "\"}}");
    ck_assert_int_eq(entry.idle, 5);
    ck_assert_int_eq(entry.end, 0);
    ck_assert(!entry.raw);
    ck_assert_uint_eq(entry.tag_count, 1);
    ck_assert(slice_eq(entry.tags[0].name, SLICE("\xc3\xa9\"")));
    ck_assert(slice_eq(entry.tags[0].nonce, SLICE(OTHER)));
    ck_assert(slice_eq(entry.id, SLICE(NONCE)));
    ck_assert(!parsed_line("{}").raw);
}
END_TEST

static void check_tags(size_t count, bool good) {
    struct buf line = {0};
    buf_puts(&line, "{\"tags\":{");
    for (size_t i = 0; i < count; i++)
        buf_printf(&line, "%s\"t%zu\":\"" NONCE "\"", i > 0 ? "," : "", i);
    buf_puts(&line, "}}");
    buf_put_char(&line, '\0');
    if (good)
        ck_assert_uint_eq(parsed_line(line.p).tag_count, count);
    else
        check_foreign_line(line.p);
    buf_fini(&line);
}

START_TEST(tags_are_counted) {
    check_tags(ENTRY_TAGS_MAX, true);
    check_tags(ENTRY_TAGS_MAX + 1, false);
    check_tags((size_t)10 * ENTRY_TAGS_MAX, false);
}
END_TEST

/* A member of `n` bytes within the line. */
static void check_length(const char *before, size_t n, const char *behind, bool good) {
    struct buf line = {0};
    buf_puts(&line, before);
    for (size_t i = 0; i < n; i++)
        buf_put_char(&line, 'x');
    buf_puts(&line, behind);
    buf_put_char(&line, '\0');
    if (good)
        (void)parsed_line(line.p);
    else
        check_foreign_line(line.p);
    buf_fini(&line);
}

START_TEST(texts_are_measured) {
    static const struct {
        const char *before, *behind;
        size_t max;
    } rows[] = {
        {"{\"type\":\"", "\"}", ENTRY_TYPE_BYTES_MAX},
        {"{\"type\":\"a\",\"coding\":\"", "\"}", ENTRY_CODING_BYTES_MAX},
        {"{\"tags\":{\"", "\":\"" NONCE "\"}}", ENTRY_TAG_BYTES_MAX},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        check_length(rows[i].before, rows[i].max, rows[i].behind, true);
        check_length(rows[i].before, rows[i].max + 1, rows[i].behind, false);
    }
}
END_TEST

START_TEST(header_is_measured_with_its_line_end) {
    struct buf stored = {0};
    for (size_t n = ENTRY_HEADER_MAX - 1; n <= ENTRY_HEADER_MAX + 1; n++) {
        buf_reset(&stored, SIZE_MAX);
        buf_put_slice(&stored, SLICE(MARK "{\"type\":\"a/b\""));
        while (stored.n < n - 2)
            buf_put_char(&stored, ' ');
        buf_put_slice(&stored, SLICE("}\nbody"));
        struct entry entry = parsed(buf_slice(&stored));
        ck_assert_uint_eq(entry.header.n, n <= ENTRY_HEADER_MAX ? n : 0);
        ck_assert_int_eq(entry.raw, n <= ENTRY_HEADER_MAX);
    }
    buf_fini(&stored);
}
END_TEST

/* What it holds would otherwise be taken for less than it is: a dead entry for one alive. */
START_TEST(entry_is_not_read_without_memory) {
    struct entry entry;
    struct slice stored = SLICE(MARK "{\"tags\":{\"a\":\"" NONCE "\"}}\nbody");
    arena.failed = true;
    ck_assert_int_eq(entry_parse(stored, &arena, &entry), E_OUT_OF_MEMORY);
}
END_TEST

/* --- entity tags ----------------------------------------------------------------------------- */

START_TEST(etag_is_of_type_coding_and_body_alone) {
    static const struct entry_tag tags[] = {{SLICE_INIT("a"), SLICE_INIT(NONCE)}};
    const struct entry entries[] = {
        {.body = SLICE("1")},
        {.body = SLICE("2")},
        {.body = SLICE("")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("a/b")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("a/c")},
        {.body = SLICE("2"), .raw = true, .type = SLICE("a/b")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("a/b"), .coding = SLICE("gzip")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("a/b"), .coding = SLICE("br")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("application/json")},
        {.body = SLICE("1"), .raw = true, .type = SLICE("a/bgzip")},
    };
    char etags[COUNT_OF(entries)][ENTRY_ETAG_BYTES];
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entry_etag(&entries[i], etags[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(etags[i], etags[j], ENTRY_ETAG_BYTES);
        /* Nothing else counts, neither when nor how it is kept. */
        char again[ENTRY_ETAG_BYTES];
        struct entry other = entries[i];
        other.tags = tags;
        other.tag_count = 1;
        other.idle = 60;
        other.end = 5;
        other.id = SLICE(NONCE);
        other.is_json = !other.is_json;
        other.header = SLICE("header");
        entry_etag(&other, again);
        ck_assert_mem_eq(etags[i], again, ENTRY_ETAG_BYTES);
    }
    /* It is part of the API: a new version must not change every client's. */
    ck_assert_mem_eq(etags[2], "99aa06d3014798d86001c324468d497f", ENTRY_ETAG_BYTES);
}
END_TEST

/* --- tags and nonces ------------------------------------------------------------------------- */

START_TEST(tags_are_text) {
    char longest[ENTRY_TAG_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    const struct {
        struct slice tag;
        bool valid;
    } rows[] = {
        {SLICE("a"), true},
        {SLICE(" "), true},
        {SLICE("a/../b"), true},
        {SLICE("\xc3\xa9\"\\,"), true},
        {SLICE("\xf0\x9f\x98\x80"), true},
        {{longest, ENTRY_TAG_BYTES_MAX}, true},
        {{longest, ENTRY_TAG_BYTES_MAX + 1}, false},
        {{NULL, 0}, false},
        {SLICE(""), false},
        {SLICE("\0"), false},
        {SLICE("a\nb"), false},
        {SLICE("\x7f"), false},
        {SLICE("\xc2\x85"), false},
        {SLICE("\xff"), false},
        {SLICE("\xc3"), false},
        {SLICE("\xed\xa0\x80"), false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        ck_assert_msg(entry_tag_is_valid(rows[i].tag) == rows[i].valid, "row %zu", i);
}
END_TEST

START_TEST(nonces_are_digits_and_never_the_same) {
    enum { NONCES = 200 };
    static const char digits[] = "0123456789abcdef";
    static char nonces[NONCES][ENTRY_NONCE_BYTES];
    unsigned seen[16] = {0};
    for (size_t i = 0; i < NONCES; i++) {
        ck_assert_int_eq(entry_make_nonce(nonces[i]), OK);
        for (size_t j = 0; j < ENTRY_NONCE_BYTES; j++) {
            const char *digit = memchr(digits, nonces[i][j], sizeof(digits) - 1);
            ck_assert_ptr_nonnull(digit);
            seen[digit - digits]++;
        }
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(nonces[i], nonces[j], ENTRY_NONCE_BYTES);
    }
    for (size_t digit = 0; digit < 16; digit++)
        ck_assert_uint_gt(seen[digit], 200); /* of 6400, 400 each: ten standard deviations off */
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_entry(void) {
    Suite *s = suite_create("entry");
    TCase *t = add_case(s, "round trip");
    tcase_add_test(t, what_is_written_is_read_back);
    tcase_add_test(t, header_is_one_line_of_json);
    tcase_add_test(t, longest_header_is_within_the_limit);
    t = add_case(s, "foreign");
    tcase_add_test(t, what_has_no_mark_is_a_body);
    tcase_add_test(t, every_cut_of_a_header_is_foreign);
    tcase_add_test(t, every_byte_of_a_header_may_be_any_other);
    tcase_add_test(t, lines_that_are_no_header_are_foreign);
    tcase_add_test(t, idle_time_has_a_bound);
    tcase_add_test(t, lines_in_another_spelling_are_headers);
    tcase_add_test(t, tags_are_counted);
    tcase_add_test(t, texts_are_measured);
    tcase_add_test(t, header_is_measured_with_its_line_end);
    tcase_add_test(t, entry_is_not_read_without_memory);
    t = add_case(s, "etag");
    tcase_add_test(t, etag_is_of_type_coding_and_body_alone);
    t = add_case(s, "tags");
    tcase_add_test(t, tags_are_text);
    tcase_add_test(t, nonces_are_digits_and_never_the_same);
    return s;
}
