/*
 * The scanner against a second opinion: a small recursive validator that follows RFC 8259 rule by
 * rule and shares no code with it. Both judge every prefix of some documents, and what is left of
 * them after random damage.
 */
#include "units.h"

#include <stdbool.h>

#include "base/jsontext.h"
#include "support.h"

/* --- the second opinion ---------------------------------------------------------------------- */

enum { DEPTH = 128, MEMBERS = 16 };

/* A cut in the text; what the parse functions below give when there is none. */
#define NOT_HERE ((const char *)NULL)

struct opinion {
    const char *end;
    bool too_deep;
    struct slice value;
    size_t count; /* members of the object that the text is */
    struct jsontext_member members[MEMBERS];
};

static const char *parse_value(struct opinion *o, const char *p, int depth);

static bool one_of(const char *p, const char *end, const char *set) {
    return p < end && *p != '\0' && strchr(set, *p) != NULL;
}

/* ws = *( %x20 / %x09 / %x0A / %x0D ) */
static const char *parse_space(const struct opinion *o, const char *p) {
    while (one_of(p, o->end, " \t\n\r"))
        p++;
    return p;
}

static const char *parse_digits(const struct opinion *o, const char *p) {
    const char *first = p;
    while (one_of(p, o->end, "0123456789"))
        p++;
    return p > first ? p : NOT_HERE;
}

/* number = [ minus ] int [ frac ] [ exp ] */
static const char *parse_number(const struct opinion *o, const char *p) {
    p += one_of(p, o->end, "-");
    if (one_of(p, o->end, "0"))
        p++;
    else if ((p = parse_digits(o, p)) == NOT_HERE)
        return NOT_HERE;
    if (one_of(p, o->end, ".") && (p = parse_digits(o, p + 1)) == NOT_HERE)
        return NOT_HERE;
    if (one_of(p, o->end, "eE")) {
        p++;
        p += one_of(p, o->end, "+-");
        return parse_digits(o, p);
    }
    return p;
}

/* The 16 bits of 4HEXDIG, or -1. */
static int parse_unit(const struct opinion *o, const char *p) {
    char digits[5] = {0};
    if (o->end - p < 4)
        return -1;
    memcpy(digits, p, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return -1;
    return (int)strtol(digits, NULL, 16);
}

static const char *parse_escape(const struct opinion *o, const char *p) {
    if (one_of(p, o->end, "\"\\/bfnrt"))
        return p + 1;
    if (!one_of(p, o->end, "u"))
        return NOT_HERE;
    int unit = parse_unit(o, p + 1);
    p += 5;
    if (unit < 0 || unit >> 10 == 0xDC00 >> 10)
        return NOT_HERE;
    if (unit >> 10 != 0xD800 >> 10)
        return p;
    if (o->end - p < 6 || memcmp(p, "\\u", 2) != 0 || parse_unit(o, p + 2) >> 10 != 0xDC00 >> 10)
        return NOT_HERE;
    return p + 6;
}

/* RFC 3629's grammar, UTF8-2 to UTF8-4. */
static const char *parse_utf8(const struct opinion *o, const char *text) {
    const unsigned char *p = (const unsigned char *)text;
    size_t n = (size_t)(o->end - text);
    unsigned char least = 0x80;
    unsigned char most = 0xBF;
    size_t length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] < 0xC2 || p[0] > 0xF4 || n < length)
        return NOT_HERE;
    least = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : least;
    most = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : most;
    if (p[1] < least || p[1] > most)
        return NOT_HERE;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xBF)
            return NOT_HERE;
    return text + length;
}

/* string = quotation-mark *char quotation-mark */
static const char *parse_string(const struct opinion *o, const char *p) {
    if (!one_of(p, o->end, "\""))
        return NOT_HERE;
    for (p++; p != NOT_HERE && p < o->end;) {
        unsigned char c = (unsigned char)*p;
        if (c == '"')
            return p + 1;
        if (c == '\\')
            p = parse_escape(o, p + 1);
        else if (c >= 0x80)
            p = parse_utf8(o, p);
        else if (c >= 0x20)
            p++;
        else
            return NOT_HERE;
    }
    return NOT_HERE;
}

static const char *parse_literal(const struct opinion *o, const char *p, const char *literal) {
    size_t n = strlen(literal);
    return (size_t)(o->end - p) >= n && memcmp(p, literal, n) == 0 ? p + n : NOT_HERE;
}

static void note_member(struct opinion *o, struct slice name, struct slice value) {
    if (o->count < MEMBERS)
        o->members[o->count] = (struct jsontext_member){name, value};
    o->count++;
}

/* member = string name-separator value */
static const char *parse_member(struct opinion *o, const char *p, int depth) {
    const char *name_end = parse_string(o, p);
    if (name_end == NOT_HERE)
        return NOT_HERE;
    const char *colon = parse_space(o, name_end);
    if (!one_of(colon, o->end, ":"))
        return NOT_HERE;
    const char *value = parse_space(o, colon + 1);
    const char *value_end = parse_value(o, value, depth);
    if (value_end != NOT_HERE && depth == 1)
        note_member(o, (struct slice){p + 1, (size_t)(name_end - p) - 2},
                    (struct slice){value, (size_t)(value_end - value)});
    return value_end;
}

/* object and array; p is behind the opening bracket, depth counts it */
static const char *parse_container(struct opinion *o, const char *p, int depth, char close) {
    const char closing[] = {close, '\0'};
    o->too_deep = o->too_deep || depth > DEPTH;
    if (o->too_deep)
        return NOT_HERE;
    p = parse_space(o, p);
    if (one_of(p, o->end, closing))
        return p + 1;
    for (;;) {
        p = close == '}' ? parse_member(o, p, depth) : parse_value(o, p, depth);
        if (p == NOT_HERE)
            return NOT_HERE;
        p = parse_space(o, p);
        if (one_of(p, o->end, closing))
            return p + 1;
        if (!one_of(p, o->end, ","))
            return NOT_HERE;
        p = parse_space(o, p + 1);
    }
}

static const char *parse_value(struct opinion *o, const char *p, int depth) {
    if (p == o->end)
        return NOT_HERE;
    switch (*p) {
    case '{':
        return parse_container(o, p + 1, depth + 1, '}');
    case '[':
        return parse_container(o, p + 1, depth + 1, ']');
    case '"':
        return parse_string(o, p);
    case 't':
        return parse_literal(o, p, "true");
    case 'f':
        return parse_literal(o, p, "false");
    case 'n':
        return parse_literal(o, p, "null");
    default:
        return parse_number(o, p);
    }
}

/* JSON-text = ws value ws */
static enum error second_opinion(struct slice text, struct opinion *o) {
    *o = (struct opinion){.end = text.p + text.n};
    const char *first = parse_space(o, text.p);
    const char *last = parse_value(o, first, 0);
    if (last == NOT_HERE || parse_space(o, last) != o->end)
        return o->too_deep ? E_TOO_DEEP : E_INVALID_JSON;
    o->value = (struct slice){first, (size_t)(last - first)};
    return OK;
}

/* --- comparing ------------------------------------------------------------------------------- */

static bool same_place(struct slice a, struct slice b) {
    return a.p == b.p && a.n == b.n;
}

static void compare_members(struct slice text, const struct opinion *o, enum error verdict) {
    struct jsontext_member members[MEMBERS];
    size_t count;
    bool object = verdict == OK && o->value.p[0] == '{';
    enum error want = verdict == OK && !object ? E_SCHEMA_VIOLATION : verdict;
    if (jsontext_members(text, members, MEMBERS, &count, NULL) != want)
        ck_abort_msg("members of: %.*s", (int)text.n, text.p);
    if (!object)
        return;
    if (count != o->count)
        ck_abort_msg("%zu members, not %zu: %.*s", count, o->count, (int)text.n, text.p);
    for (size_t i = 0; i < count && i < MEMBERS; i++)
        if (!same_place(members[i].name, o->members[i].name) ||
            !same_place(members[i].value, o->members[i].value))
            ck_abort_msg("member %zu: %.*s", i, (int)text.n, text.p);
}

static enum error compare(struct slice text) {
    struct slice copy = {exact_copy(text), text.n};
    struct slice value = {0};
    struct jsontext_fault fault = {.offset = SIZE_MAX};
    struct opinion o;
    enum error want = second_opinion(copy, &o);
    enum error have = jsontext_check(copy, &value, &fault);
    if (have != want)
        ck_abort_msg("%s, wanted %s: %.*s", error_info(have)->slug, error_info(want)->slug,
                     (int)text.n, text.p);
    if (have == OK ? !same_place(value, o.value) : fault.offset > text.n || fault.reason == NULL)
        ck_abort_msg("value or fault: %.*s", (int)text.n, text.p);
    compare_members(copy, &o, want);
    free((char *)copy.p);
    return have;
}

static const struct slice documents[] = {
    SLICE_INIT(
        "{\"value\": {\"id\": 12, \"name\": \"Ada\", \"tags\": [\"a\", \"b\"]}, \"ttl\": 60}"),
    SLICE_INIT("{\"a\":1,\"b\":[true,false,null],\"c\":{},\"d\":[],\"\":\"\"}"),
    SLICE_INIT("[0,-0,1.5,-2.25e+10,3E-7,12345678901234567890,0.0e0]"),
    SLICE_INIT("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\u0041\\uD83D\\uDE00\\uFFFF\",\"\\u0000\"]"),
    SLICE_INIT("{\"\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87\":\"\xe2\x82\xac\xf0\x9f\x8d\x8e\xed\x9f\xbf\","
               "\"\xf4\x8f\xbf\xbf\":\"\xef\xbf\xbf\"}"),
    SLICE_INIT(" \t\r\n[ [ ] , { } , [ [ 1 ] ] ] \n"),
    SLICE_INIT("\"a string of some words, longer than a few machine words\""),
    SLICE_INIT("-123.456e-78"),
    SLICE_INIT("[[[[[[[[[[{\"k\":[{\"k\":[{\"k\":\"deep\"}]}]}]]]]]]]]]]"),
    SLICE_INIT(
        "{\"value\":\"x\",\"value\":\"y\",\"ttl\":null,\"key\":\"k\",\"timestamp\":\"2026\"}"),
    SLICE_INIT("true"),
    SLICE_INIT("[\"12345678\",\"1234567\",\"123456789012345\",\"1234567890123456\"]"),
};

/* As many brackets as a text may have, and one that can be damaged into more. */
static struct slice deep_document(char text[512]) {
    size_t n = 0;
    for (int i = 0; i < DEPTH; i++)
        text[n++] = '[';
    text[n++] = '7';
    for (int i = 0; i < DEPTH; i++)
        text[n++] = ']';
    return (struct slice){text, n};
}

START_TEST(prefixes_are_refused) {
    for (size_t i = 0; i < COUNT_OF(documents); i++) {
        struct slice prefix = documents[i];
        struct slice whole;
        ck_assert_int_eq(compare(prefix), OK);
        ck_assert_int_eq(jsontext_check(prefix, &whole, NULL), OK);
        const char *value_end = whole.p + whole.n;
        bool closed = strchr("]}\"e", value_end[-1]) != NULL;
        while (prefix.n-- > 0) {
            enum error e = compare(prefix);
            if (closed && prefix.p + prefix.n < value_end)
                ck_assert_int_eq(e, E_INVALID_JSON);
        }
    }
}
END_TEST

static size_t damage(uint64_t *seed, char *text, size_t n) {
    static const char telling[] = "{}[]\",:\\/ \t\n0123456789+-.eEutfnalsrDdC\x1f\x7f\x80\xbf\xc3"
                                  "\xed\xf0\xff";
    size_t at = random_below(seed, n + 1);
    char byte = telling[random_below(seed, sizeof(telling))];
    if (random_below(seed, 8) == 0)
        byte = (char)random_next(seed);
    size_t rest = n - at;
    size_t span = rest > 0 ? 1 + random_below(seed, rest < 6 ? rest : 6) : 0;
    switch (random_below(seed, 4)) {
    case 0: /* another byte */
        if (rest > 0)
            text[at] = byte;
        return n;
    case 1: /* one more */
        memmove(text + at + 1, text + at, rest);
        text[at] = byte;
        return n + 1;
    case 2: /* some fewer */
        memmove(text + at, text + at + span, rest - span);
        return n - span;
    default: /* some twice */
        memmove(text + at + span, text + at, rest);
        return n + span;
    }
}

START_TEST(damaged_documents_are_judged_alike) {
    uint64_t seed = 8259;
    size_t verdicts[ERROR_COUNT] = {0};
    char deep[512];
    const struct slice deepest = deep_document(deep);
    for (int i = 0; i < 200000; i++) {
        char text[600];
        size_t pick = random_below(&seed, COUNT_OF(documents) + 1);
        struct slice from = pick < COUNT_OF(documents) ? documents[pick] : deepest;
        size_t n = from.n;
        memcpy(text, from.p, n);
        for (size_t wounds = 1 + random_below(&seed, 3); wounds > 0; wounds--)
            n = damage(&seed, text, n);
        verdicts[compare((struct slice){text, n})]++;
    }
    ck_assert_uint_gt(verdicts[OK], 20000);
    ck_assert_uint_gt(verdicts[E_INVALID_JSON], 20000);
    ck_assert_uint_gt(verdicts[E_TOO_DEEP], 1000);
}
END_TEST

Suite *suite_jsontext_random(void) {
    Suite *s = suite_create("jsontext_random");
    TCase *t = tcase_create("second opinion");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, prefixes_are_refused);
    tcase_add_test(t, damaged_documents_are_judged_alike);
    suite_add_tcase(s, t);
    return s;
}
