/* The documents that clients send: bodies and what is made of them. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/envelope.h"
#include "base/jsontext.h"
#include "base/utf8.h"
#include "support.h"

enum { DEFAULT_TTL = 3600, MAX_TTL = 31536000, MAX_VALUE = 64 };

static struct config config;
static struct service service;
static struct request r;
static struct op op;
static struct envelope_fault fault;

static void setup(void) {
    config =
        (struct config){.default_ttl = DEFAULT_TTL, .max_ttl = MAX_TTL, .max_value = MAX_VALUE};
    service = (struct service){.config = &config};
    r = (struct request){.service = &service, .method = METHOD_PUT};
    r.key.n = 3;
    memcpy(r.key.bytes, "a/b", 3);
}

static void teardown(void) {
    request_fini(&r);
}

/* What a PUT does with its document. */
static enum error read_put(void) {
    struct envelope envelope;
    op = (struct op){.kind = OP_WRITE};
    enum error e = envelope_check_headers(&r, &envelope_put, &fault);
    if (e == OK)
        e = envelope_read(r.body, &envelope_put, &envelope, &fault);
    if (e == OK && envelope.text[ENVELOPE_VALUE].n > 0)
        e = envelope_check_key(&envelope, key_slice(&r.key));
    return e == OK ? envelope_get_entry(&envelope, &config, &r.arena, &op, &fault) : e;
}

static enum error read_body(struct slice body) {
    request_reset(&r);
    r.key.n = 3;
    r.body = body;
    enum error e = read_put();
    /* Whatever is said goes into a JSON document. */
    ck_assert_uint_lt(strlen(fault.detail), sizeof(fault.detail) - 1);
    ck_assert(utf8_valid(slice_of(fault.detail)));
    ck_assert(e != OK || fault.detail[0] == '\0');
    return e;
}

/* --- good ones ------------------------------------------------------------------------------- */

static const struct {
    const char *body;
    const char *value;
    int64_t ttl;
} good[] = {
    {"{\"value\":1}", "1", DEFAULT_TTL},
    {" \t\r\n{ \"value\" : \"a b\" , \"ttl\" : 60 } \n", "\"a b\"", 60},
    {"{\"ttl\":60,\"value\":null}", "null", 60},
    {"{\"value\":1,\"ttl\":null}", "1", DEFAULT_TTL},
    {"{\"value\":1,\"ttl\":1}", "1", 1},
    {"{\"value\":1,\"ttl\":31536000}", "1", MAX_TTL},
    {"{\"value\":1,\"ttl\":10.0}", "1", 10},
    {"{\"value\":1,\"ttl\":1e1}", "1", 10},
    {"{\"value\":1,\"ttl\":\"10\"}", "1", 10},
    /* The value's text is kept as it is. */
    {"{\"value\":1e400}", "1e400", DEFAULT_TTL},
    {"{\"value\":18446744073709551616}", "18446744073709551616", DEFAULT_TTL},
    {"{\"value\":-0}", "-0", DEFAULT_TTL},
    {"{\"value\":1E5}", "1E5", DEFAULT_TTL},
    {"{\"value\":\"\\u0000\\/\"}", "\"\\u0000\\/\"", DEFAULT_TTL},
    {"{\"value\":{\"a\":1,\"a\":2}}", "{\"a\":1,\"a\":2}", DEFAULT_TTL},
    {"{\"value\": [ 1, 2 ] }", "[ 1, 2 ]", DEFAULT_TTL},
    {"{\"value\":{\"value\":1,\"ttl\":\"x\"}}", "{\"value\":1,\"ttl\":\"x\"}", DEFAULT_TTL},
    {"{\"value\":true}", "true", DEFAULT_TTL},
    {"{\"value\":\"\"}", "\"\"", DEFAULT_TTL},
    {"{\"v\\u0061lue\":1,\"\\u0074tl\":5}", "1", 5},
    /* What a GET answered can be put back. */
    {"{\"key\":\"a/b\",\"value\":7,\"ttl\":12,\"timestamp\":\"2026-01-31T23:59:59.123456Z\"}", "7",
     12},
    {"{\"key\":\"a\\/b\",\"value\":7,\"ttl\":null,\"timestamp\":0}", "7", DEFAULT_TTL},
    {"{\"timestamp\":{},\"key\":\"\\u0061/b\",\"value\":7}", "7", DEFAULT_TTL},
    {"{\"value\":\"/wA=\",\"encoding\":\"base64\",\"ttl\":3}", NULL, 3},
    {"{\"value\":\"/wA=\",\"encoding\":\"\\u0062ase64\"}", NULL, DEFAULT_TTL},
    /* What says nothing. */
    {"{\"value\":\"YQ==\",\"encoding\":\"utf-8\"}", "\"YQ==\"", DEFAULT_TTL},
    {"{\"value\":7,\"encoding\":null,\"content_type\":null,\"content_encoding\":null,"
     "\"idle\":null,\"tags\":null}",
     "7", DEFAULT_TTL},
    {"{\"value\":7,\"tags\":[]}", "7", DEFAULT_TTL},
};

START_TEST(bodies_with_a_value_are_taken) {
    char *body = exact_copy(slice_of(good[_i].body));
    enum error e = read_body((struct slice){body, strlen(good[_i].body)});
    ck_assert_msg(e == OK, "%s: %s", good[_i].body, error_info(e)->slug);
    ck_assert_int_eq(op.ttl, good[_i].ttl);
    ck_assert_int_eq(op.entry.idle, 0);
    ck_assert_uint_eq(op.entry.tag_count, 0);
    if (good[_i].value != NULL) {
        struct slice value = op.entry.body;
        ck_assert_msg(slice_eq(value, slice_of(good[_i].value)), "%.*s", (int)value.n, value.p);
        ck_assert(value.p > body && value.p < body + strlen(good[_i].body));
        ck_assert(op.entry.is_json && !op.entry.raw);
    }
    free(body);
}
END_TEST

/* --- bad ones -------------------------------------------------------------------------------- */

static const struct {
    struct slice body;
    enum error e;
} bad[] = {
    {SLICE_INIT(""), E_BODY_REQUIRED},
    {SLICE_INIT(" "), E_INVALID_JSON},
    {SLICE_INIT("{"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1}x"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1}{}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1}\0x"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1}\0"), E_INVALID_JSON},
    {SLICE_INIT("\xef\xbb\xbf{\"value\":1}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1,}"), E_INVALID_JSON},
    {SLICE_INIT("{'value':1}"), E_INVALID_JSON},
    {SLICE_INIT("{value:1}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1/**/}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":NaN}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":-Infinity}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":01}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":-01}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":1.}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":+1}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":\"\n\"}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":\"\xff\"}"), E_INVALID_JSON},
    {SLICE_INIT("{\"value\":\"\\ud800\"}"), E_INVALID_JSON},
    {SLICE_INIT("{\"unknown\":01}"), E_INVALID_JSON},

    {SLICE_INIT("[]"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("\"value\""), E_SCHEMA_VIOLATION},
    {SLICE_INIT("1"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("null"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("true"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"ttl\":1}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"key\":\"a/b\"}"), E_SCHEMA_VIOLATION},

    {SLICE_INIT("{\"value\":1,\"value\":1}"), E_DUPLICATE_FIELD},
    {SLICE_INIT("{\"value\":1,\"ttl\":1,\"ttl\":9}"), E_DUPLICATE_FIELD},
    {SLICE_INIT("{\"value\":1,\"ttl\":1,\"\\u0074tl\":9}"), E_DUPLICATE_FIELD},
    {SLICE_INIT("{\"ttl\":null,\"ttl\":null,\"value\":1}"), E_DUPLICATE_FIELD},
    {SLICE_INIT("{\"timestamp\":1,\"value\":1,\"timestamp\":1}"), E_DUPLICATE_FIELD},
    /* More members than there are names. */
    {SLICE_INIT("{\"value\":1,\"ttl\":1,\"key\":\"a/b\",\"timestamp\":1,\"encoding\":1,"
                "\"value\":1,\"ttl\":1,\"x\":1}"),
     E_DUPLICATE_FIELD},

    {SLICE_INIT("{\"value\":1,\"x\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"TTL\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"tt\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"ttls\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"ttl\\u0000\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"Value\":1}"), E_UNKNOWN_FIELD},
    {SLICE_INIT("{\"value\":1,\"ttl\":1,\"key\":\"a/b\",\"timestamp\":1,\"encoding\":1,\"x\":1}"),
     E_UNKNOWN_FIELD},

    {SLICE_INIT("{\"value\":1,\"ttl\":0}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":-1}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":1.5}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":\"1x\"}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":\"\"}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":true}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":[]}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":{}}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":31536001}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":4294967297}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":18446744073709551617}"), E_INVALID_TTL},
    {SLICE_INIT("{\"value\":1,\"ttl\":1e30}"), E_INVALID_TTL},

    {SLICE_INIT("{\"value\":1,\"key\":\"b\"}"), E_KEY_MISMATCH},
    {SLICE_INIT("{\"value\":1,\"key\":\"a/b/\"}"), E_KEY_MISMATCH},
    {SLICE_INIT("{\"value\":1,\"key\":\"\"}"), E_KEY_MISMATCH},
    {SLICE_INIT("{\"value\":1,\"key\":null}"), E_KEY_MISMATCH},
    {SLICE_INIT("{\"value\":1,\"key\":1}"), E_KEY_MISMATCH},
    {SLICE_INIT("{\"value\":1,\"key\":[\"a/b\"]}"), E_KEY_MISMATCH},

    {SLICE_INIT("{\"value\":1,\"encoding\":\"base64\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":[\"YQ==\"],\"encoding\":\"base64\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"YQ==\",\"encoding\":\"latin1\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"YQ==\",\"encoding\":\"BASE64\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"YQ==\",\"encoding\":\"\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"YQ==\",\"encoding\":64}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"YQ=\",\"encoding\":\"base64\"}"), E_SCHEMA_VIOLATION},
    {SLICE_INIT("{\"value\":\"Y-==\",\"encoding\":\"base64\"}"), E_SCHEMA_VIOLATION},
};

START_TEST(bodies_without_are_refused) {
    char *body = exact_copy(bad[_i].body);
    enum error e = read_body((struct slice){body, bad[_i].body.n});
    ck_assert_msg(e == bad[_i].e, "%.*s: %s instead of %s", (int)bad[_i].body.n, bad[_i].body.p,
                  e == OK ? "ok" : error_info(e)->slug, error_info(bad[_i].e)->slug);
    free(body);
}
END_TEST

START_TEST(every_cut_of_a_good_body_is_refused) {
    static const char text[] = "{\"value\":{\"a\":[1,\"\\u00e9\"]},\"ttl\":60}";
    for (size_t n = 1; n < sizeof(text) - 1; n++) {
        char *body = exact_copy((struct slice){text, n});
        ck_assert_int_eq(read_body((struct slice){body, n}), E_INVALID_JSON);
        ck_assert_ptr_nonnull(strstr(fault.detail, "at byte "));
        free(body);
    }
}
END_TEST

START_TEST(nesting_beyond_the_limit_is_refused) {
    struct buf body = {0};
    config.max_value = 1 << 20;
    /* The envelope is a level of its own. */
    for (int depth = JSONTEXT_DEPTH_MAX - 2; depth <= JSONTEXT_DEPTH_MAX; depth++) {
        buf_reset(&body, SIZE_MAX);
        buf_puts(&body, "{\"value\":");
        for (int i = 0; i < depth; i++)
            buf_put_char(&body, '[');
        for (int i = 0; i < depth; i++)
            buf_put_char(&body, ']');
        buf_put_char(&body, '}');
        ck_assert_int_eq(read_body(buf_slice(&body)), depth < JSONTEXT_DEPTH_MAX ? OK : E_TOO_DEEP);
    }
    buf_fini(&body);
}
END_TEST

/* --- what is said ---------------------------------------------------------------------------- */

START_TEST(unknown_member_is_named_if_it_is_short) {
    struct buf body = {0};
    for (size_t n = 1; n < 80; n++) {
        buf_reset(&body, SIZE_MAX);
        buf_puts(&body, "{\"value\":1,\"");
        /* Two bytes a character, so that a cut would show. */
        for (size_t i = 0; i < n; i++)
            buf_puts(&body, "\xc3\xa9");
        buf_puts(&body, "\":1}");
        ck_assert_int_eq(read_body(buf_slice(&body)), E_UNKNOWN_FIELD);
        ck_assert_int_eq(strstr(fault.detail, "\xc3\xa9\"") != NULL, 2 * n <= 64);
        ck_assert_ptr_nonnull(strstr(fault.detail, "value, ttl, idle and tags"));
    }
    buf_fini(&body);
}
END_TEST

START_TEST(limits_are_named) {
    ck_assert_int_eq(read_body(SLICE("{\"value\":1,\"ttl\":0}")), E_INVALID_TTL);
    ck_assert_ptr_nonnull(strstr(fault.detail, "1 to 31536000"));
}
END_TEST

/* --- limits ---------------------------------------------------------------------------------- */

START_TEST(ttl_defaults_to_none_if_so_configured) {
    config.default_ttl = 0;
    ck_assert_int_eq(read_body(SLICE("{\"value\":1}")), OK);
    ck_assert_int_eq(op.ttl, 0);
    ck_assert_int_eq(read_body(SLICE("{\"value\":1,\"ttl\":null}")), OK);
    ck_assert_int_eq(op.ttl, 0);
    ck_assert_int_eq(read_body(SLICE("{\"value\":1,\"ttl\":5}")), OK);
    ck_assert_int_eq(op.ttl, 5);
}
END_TEST

START_TEST(value_is_measured_to_the_byte) {
    struct buf body = {0};
    for (size_t n = MAX_VALUE - 1; n <= MAX_VALUE + 1; n++) {
        buf_reset(&body, SIZE_MAX);
        buf_printf(&body, "{\"value\":   \"%0*d\"   }", (int)n - 2, 0);
        ck_assert_int_eq(read_body(buf_slice(&body)), n <= MAX_VALUE ? OK : E_VALUE_TOO_LARGE);
        if (n <= MAX_VALUE)
            ck_assert_uint_eq(op.entry.body.n, n);
    }
    buf_fini(&body);
}
END_TEST

/* --- bytes ----------------------------------------------------------------------------------- */

START_TEST(base64_is_put_back_as_bytes) {
    static const struct {
        const char *body;
        struct slice bytes;
    } cases[] = {
        {"{\"value\":\"/wA=\",\"encoding\":\"base64\"}", SLICE_INIT("\xff\0")},
        {"{\"encoding\":\"base64\",\"value\":\"aGk=\"}", SLICE_INIT("hi")},
        {"{\"value\":\"\",\"encoding\":\"base64\"}", SLICE_INIT("")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ck_assert_int_eq(read_body(slice_of(cases[i].body)), OK);
        ck_assert(!op.entry.is_json && !op.entry.raw);
        ck_assert(slice_eq(op.entry.body, cases[i].bytes));
    }
    ck_assert_int_eq(read_body(SLICE("{\"value\":\"aGk=\"}")), OK);
    ck_assert(op.entry.is_json);
}
END_TEST

/* Many encoders escape the slash; it is the same string (RFC 8259, 7). */
START_TEST(base64_may_have_escaped_slashes) {
    ck_assert_int_eq(read_body(SLICE("{\"value\":\"\\/wA=\",\"encoding\":\"base64\"}")), OK);
    ck_assert(slice_eq(op.entry.body, SLICE("\xff\0")));
}
END_TEST

START_TEST(bytes_are_measured_not_their_base64) {
    struct buf body = {0};
    buf_puts(&body, "{\"value\":\"");
    for (size_t i = 0; i < MAX_VALUE / 3; i++)
        buf_puts(&body, "AAAA");
    buf_puts(&body, "AA==\",\"encoding\":\"base64\"}");
    ck_assert_int_eq(read_body(buf_slice(&body)), OK);
    ck_assert_uint_eq(op.entry.body.n, MAX_VALUE);
    config.max_value = MAX_VALUE - 1;
    ck_assert_int_eq(read_body(buf_slice(&body)), E_VALUE_TOO_LARGE);
    buf_fini(&body);
}
END_TEST

/* What GET shows of bytes with a type can be put back, whatever their encoding was. */
START_TEST(bytes_of_a_type_are_put_back) {
    static const struct {
        const char *body;
        struct slice bytes, type, coding;
    } cases[] = {
        {"{\"value\":\"hi\",\"content_type\":\"text/plain\"}", SLICE_INIT("hi"),
         SLICE_INIT("text/plain"), SLICE_INIT("")},
        {"{\"value\":\"\",\"content_type\":\"text/plain\"}", SLICE_INIT(""),
         SLICE_INIT("text/plain"), SLICE_INIT("")},
        {"{\"value\":\"\\u0000\\n\\u00e9\",\"content_type\":\"text\\/x\",\"encoding\":\"utf-8\"}",
         SLICE_INIT("\0\n\xc3\xa9"), SLICE_INIT("text/x"), SLICE_INIT("")},
        {"{\"value\":\"/wA=\",\"content_type\":\"image/png\",\"encoding\":\"base64\","
         "\"content_encoding\":\"gzip\"}",
         SLICE_INIT("\xff\0"), SLICE_INIT("image/png"), SLICE_INIT("gzip")},
        {"{\"value\":\"a\",\"content_type\":\"text/html; charset=\\\"utf-8\\\"\","
         "\"content_encoding\":\"gzip, br\"}",
         SLICE_INIT("a"), SLICE_INIT("text/html; charset=\"utf-8\""), SLICE_INIT("gzip, br")},
        {"{\"value\":\"a\",\"content_type\":\"a/b\",\"content_encoding\":null,\"encoding\":null}",
         SLICE_INIT("a"), SLICE_INIT("a/b"), SLICE_INIT("")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ck_assert_msg(read_body(slice_of(cases[i].body)) == OK, "%s", cases[i].body);
        ck_assert(op.entry.raw && !op.entry.is_json);
        ck_assert(slice_eq(op.entry.body, cases[i].bytes));
        ck_assert(slice_eq(op.entry.type, cases[i].type));
        ck_assert(slice_eq(op.entry.coding, cases[i].coding));
    }
}
END_TEST

START_TEST(types_and_codings_that_are_none_are_refused) {
    static const char *const cases[] = {
        "{\"value\":1,\"content_type\":\"text/plain\"}",
        "{\"value\":null,\"content_type\":\"text/plain\"}",
        "{\"value\":{},\"content_type\":\"application/json\"}",
        "{\"value\":\"a\",\"content_type\":\"\"}",
        "{\"value\":\"a\",\"content_encoding\":\"gzip\"}",
        "{\"value\":1,\"content_encoding\":\"gzip\",\"content_type\":null}",
        "{\"value\":\"YQ==\",\"encoding\":\"base64\",\"content_encoding\":\"gzip\"}",
        "{\"value\":\"a\",\"content_type\":\"text\"}",
        "{\"value\":\"a\",\"content_type\":\"text/plain\\r\\nSet-Cookie: a=b\"}",
        "{\"value\":\"a\",\"content_type\":\"text/pl\\u00e9in\"}",
        "{\"value\":\"a\",\"content_type\":\"text/plain\\u0000\"}",
        "{\"value\":\"a\",\"content_type\":7}",
        "{\"value\":\"a\",\"content_type\":[\"text/plain\"]}",
        "{\"value\":\"a\",\"content_type\":\"a/b\",\"content_encoding\":\"gz ip\"}",
        "{\"value\":\"a\",\"content_type\":\"a/b\",\"content_encoding\":\"gzip\\n\"}",
        "{\"value\":\"a\",\"content_type\":\"a/b\",\"content_encoding\":1}",
        "{\"value\":\"a=\",\"content_type\":\"a/b\",\"encoding\":\"base64\"}",
        "{\"value\":\"a\",\"content_type\":\"a/b\",\"encoding\":\"utf-16\"}",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ck_assert_msg(read_body(slice_of(cases[i])) == E_SCHEMA_VIOLATION, "%s", cases[i]);
        ck_assert_str_ne(fault.detail, "");
    }
}
END_TEST

/* As another program's would be, they would be taken for an entry with a header. */
START_TEST(bytes_that_begin_as_a_header_does_get_one) {
    ck_assert_int_eq(read_body(SLICE("{\"value\":\"AGxhcmRlcjEge30K\",\"encoding\":\"base64\"}")),
                     OK);
    ck_assert(slice_eq(op.entry.body, SLICE("\0larder1 {}\n")));
    ck_assert(op.entry.raw);
    ck_assert(slice_eq(op.entry.type, SLICE("application/octet-stream")));
}
END_TEST

/* --- idle time and tags ---------------------------------------------------------------------- */

START_TEST(idle_is_read_as_ttl_is) {
    static const struct {
        const char *text;
        int64_t idle; /* 0: refused */
    } cases[] = {
        {"1", 1},      {"31536000", MAX_TTL}, {"\"60\"", 60}, {"6e1", 60}, {"0", 0},  {"-1", 0},
        {"1.5", 0},    {"31536001", 0},       {"\"\"", 0},    {"true", 0}, {"[]", 0}, {"{}", 0},
        {"\"1s\"", 0}, {"1e400", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"value\":1,\"idle\":%s}", cases[i].text);
        enum error e = read_body(slice_of(body));
        ck_assert_msg(e == (cases[i].idle > 0 ? OK : E_INVALID_IDLE), "%s", body);
        ck_assert_int_eq(op.entry.idle, cases[i].idle);
        ck_assert(e == OK || strstr(fault.detail, "idle: ") == fault.detail);
        ck_assert_int_eq(op.ttl, DEFAULT_TTL);
    }
}
END_TEST

/* The i-th of `count` tags of `n` bytes, all different. */
static void put_tag(struct buf *body, size_t i, size_t n) {
    buf_printf(body, "%s\"%0*zu\"", i > 0 ? "," : "", (int)n, i);
}

static enum error read_tags(size_t count, size_t n, const char *behind) {
    struct buf body = {0};
    buf_puts(&body, "{\"value\":1,\"tags\":[");
    for (size_t i = 0; i < count; i++)
        put_tag(&body, i, n);
    buf_printf(&body, "%s]}", behind);
    enum error e = read_body(buf_slice(&body));
    ck_assert_uint_eq(op.entry.tag_count, e == OK ? count : 0);
    if (e == OK && count > 0)
        ck_assert_uint_eq(op.entry.tags[count - 1].name.n, n);
    buf_fini(&body);
    return e;
}

START_TEST(tags_have_their_limits) {
    ck_assert_int_eq(read_tags(1, 1, ""), OK);
    ck_assert_int_eq(read_tags(ENTRY_TAGS_MAX, 1 + 1, ""), OK);
    ck_assert_int_eq(read_tags(ENTRY_TAGS_MAX + 1, 2, ""), E_INVALID_TAG);
    ck_assert_int_eq(read_tags(1, ENTRY_TAG_BYTES_MAX, ""), OK);
    ck_assert_int_eq(read_tags(1, ENTRY_TAG_BYTES_MAX + 1, ""), E_INVALID_TAG);
    ck_assert_ptr_nonnull(strstr(fault.detail, "at most 32 strings, each 1 to 128 bytes"));
    /* What is there already takes no room. */
    ck_assert_int_eq(read_tags(ENTRY_TAGS_MAX, 2, ",\"00\",\"31\",\"\\u0030\\u0030\""), OK);
    ck_assert_int_eq(read_tags(ENTRY_TAGS_MAX, 2, ",\"00\",\"32\""), E_INVALID_TAG);
}
END_TEST

START_TEST(tags_are_what_their_text_means) {
    ck_assert_int_eq(
        read_body(SLICE("{\"value\":1,\"tags\": [ \"a\\/b\" , \"\\u00e9\",\"\xc3\xa9\","
                        "\"\\\"\"] }")),
        OK);
    ck_assert_uint_eq(op.entry.tag_count, 3);
    ck_assert(slice_eq(op.entry.tags[0].name, SLICE("a/b")));
    ck_assert(slice_eq(op.entry.tags[1].name, SLICE("\xc3\xa9")));
    ck_assert(slice_eq(op.entry.tags[2].name, SLICE("\"")));
}
END_TEST

START_TEST(tags_that_are_none_are_refused) {
    static const char *const cases[] = {
        "\"a\"",         "1",
        "true",          "{\"a\":1}",
        "[1]",           "[null]",
        "[[\"a\"]]",     "[{}]",
        "[\"\"]",        "[\"a\",1]",
        "[\"a\\nb\"]",   "[\"\\u0000\"]",
        "[\"\\u007f\"]", "[\"\\u0085\"]",
        "[\"a\",\"\"]",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char body[64];
        (void)snprintf(body, sizeof(body), "{\"value\":1,\"tags\":%s}", cases[i]);
        ck_assert_msg(read_body(slice_of(body)) == E_INVALID_TAG, "%s", body);
        ck_assert_uint_eq(op.entry.tag_count, 0);
    }
}
END_TEST

/* --- other documents ------------------------------------------------------------------------- */

/* Each kind takes its members and no other's. */
START_TEST(documents_take_their_own_members) {
    static const struct {
        const struct envelope_kind *kind;
        const char *body;
        enum error e;
    } cases[] = {
        {&envelope_put, "{\"by\":1}", E_UNKNOWN_FIELD},
        {&envelope_put, "{\"method\":1}", E_UNKNOWN_FIELD},
        {&envelope_put, "{\"if_match\":\"*\"}", E_UNKNOWN_FIELD},
        {&envelope_put, "{\"operations\":[]}", E_UNKNOWN_FIELD},
        {&envelope_patch, "{\"value\":{},\"ttl\":null}", OK},
        {&envelope_patch, "{}", OK},
        {&envelope_patch, "{\"key\":1}", E_UNKNOWN_FIELD},
        {&envelope_patch, "{\"idle\":1}", E_UNKNOWN_FIELD},
        {&envelope_patch, "{\"tags\":[]}", E_UNKNOWN_FIELD},
        {&envelope_count, "{\"by\":1,\"initial\":2,\"ttl\":3}", OK},
        {&envelope_count, "{\"value\":1}", E_UNKNOWN_FIELD},
        {&envelope_count, "[]", E_SCHEMA_VIOLATION},
        {&envelope_batch, "{\"operations\":1}", OK},
        {&envelope_batch, "{\"method\":\"GET\"}", E_UNKNOWN_FIELD},
        {&envelope_operation,
         "{\"method\":1,\"key\":1,\"value\":1,\"ttl\":1,\"idle\":1,\"tags\":1,\"if_match\":1,"
         "\"if_none_match\":1,\"content_type\":1,\"content_encoding\":1,\"encoding\":1,"
         "\"timestamp\":1}",
         OK},
        {&envelope_operation, "{\"by\":1}", E_UNKNOWN_FIELD},
        {&envelope_operation, "{\"operations\":1}", E_UNKNOWN_FIELD},
        {&envelope_operation, "{\"method\":1,\"method\":1}", E_DUPLICATE_FIELD},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct envelope envelope;
        enum error e = envelope_read(slice_of(cases[i].body), cases[i].kind, &envelope, &fault);
        ck_assert_msg(e == cases[i].e, "%s", cases[i].body);
        ck_assert(e != E_UNKNOWN_FIELD || strstr(fault.detail, cases[i].kind->takes) != NULL);
        ck_assert(e != E_SCHEMA_VIOLATION || strstr(fault.detail, cases[i].kind->needs) != NULL);
    }
}
END_TEST

START_TEST(integers_are_read_exactly) {
    static const struct {
        const char *text;
        enum error e;
        int64_t value;
    } cases[] = {
        {"0", OK, 0},
        {"-9223372036854775808", OK, INT64_MIN},
        {"9223372036854775807", OK, INT64_MAX},
        {"null", OK, 42},
        {"9223372036854775808", E_SCHEMA_VIOLATION, 42},
        {"1.0", E_SCHEMA_VIOLATION, 42},
        {"1e3", E_SCHEMA_VIOLATION, 42},
        {"-0", E_SCHEMA_VIOLATION, 42},
        {"\"1\"", E_SCHEMA_VIOLATION, 42},
        {"true", E_SCHEMA_VIOLATION, 42},
        {"[1]", E_SCHEMA_VIOLATION, 42},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct envelope envelope = {.text = {[ENVELOPE_BY] = slice_of(cases[i].text)}};
        int64_t value = 7;
        fault.detail[0] = '\0';
        ck_assert_int_eq(envelope_get_integer(&envelope, ENVELOPE_BY, 42, &value, &fault),
                         cases[i].e);
        ck_assert_int_eq(value, cases[i].value);
        ck_assert_int_eq(fault.detail[0] != '\0', cases[i].e != OK);
        ck_assert_int_eq(envelope_get_integer(&envelope, ENVELOPE_INITIAL, 3, &value, &fault), OK);
        ck_assert_int_eq(value, 3);
    }
}
END_TEST

START_TEST(body_may_be_empty_where_nothing_must_be_said) {
    request_reset(&r);
    ck_assert_int_eq(envelope_check_headers(&r, &envelope_count, &fault), OK);
    ck_assert_int_eq(envelope_check_headers(&r, &envelope_put, &fault), E_BODY_REQUIRED);
}
END_TEST

/* --- header fields --------------------------------------------------------------------------- */

START_TEST(type_and_coding_are_judged_before_the_body) {
    static const struct {
        const char *type;
        const char *coding;
        const char *body;
        bool too_large;
        enum error e;
    } cases[] = {
        {"application/json", "", "{\"value\":1}", false, OK},
        {"", "identity", "{\"value\":1}", false, OK},
        {"text/html", "", "{\"value\":1}", false, E_UNSUPPORTED_MEDIA_TYPE},
        {"text/html", "", "", false, E_UNSUPPORTED_MEDIA_TYPE},
        {"text/html", "", "", true, E_UNSUPPORTED_MEDIA_TYPE},
        {"application/json", "gzip", "\x1f\x8b", false, E_UNSUPPORTED_CODING},
        {"application/json", "gzip", "", true, E_UNSUPPORTED_CODING},
        {"application/json", "", "", true, E_VALUE_TOO_LARGE},
        {"application/json", "", "", false, E_BODY_REQUIRED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        request_reset(&r);
        r.content_type = slice_of(cases[i].type);
        r.content_encoding = slice_of(cases[i].coding);
        r.body_too_large = cases[i].too_large;
        r.body = slice_of(cases[i].body);
        ck_assert_int_eq(read_put(), cases[i].e);
    }
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_envelope(void) {
    Suite *s = suite_create("envelope");
    TCase *t = add_case(s, "bodies");
    tcase_add_loop_test(t, bodies_with_a_value_are_taken, 0, COUNT_OF(good));
    tcase_add_loop_test(t, bodies_without_are_refused, 0, COUNT_OF(bad));
    tcase_add_test(t, every_cut_of_a_good_body_is_refused);
    tcase_add_test(t, nesting_beyond_the_limit_is_refused);
    t = add_case(s, "words");
    tcase_add_test(t, unknown_member_is_named_if_it_is_short);
    tcase_add_test(t, limits_are_named);
    t = add_case(s, "limits");
    tcase_add_test(t, ttl_defaults_to_none_if_so_configured);
    tcase_add_test(t, value_is_measured_to_the_byte);
    t = add_case(s, "bytes");
    tcase_add_test(t, base64_is_put_back_as_bytes);
    tcase_add_test(t, base64_may_have_escaped_slashes);
    tcase_add_test(t, bytes_are_measured_not_their_base64);
    tcase_add_test(t, bytes_of_a_type_are_put_back);
    tcase_add_test(t, types_and_codings_that_are_none_are_refused);
    tcase_add_test(t, bytes_that_begin_as_a_header_does_get_one);
    t = add_case(s, "tags");
    tcase_add_test(t, idle_is_read_as_ttl_is);
    tcase_add_test(t, tags_have_their_limits);
    tcase_add_test(t, tags_are_what_their_text_means);
    tcase_add_test(t, tags_that_are_none_are_refused);
    t = add_case(s, "kinds");
    tcase_add_test(t, documents_take_their_own_members);
    tcase_add_test(t, integers_are_read_exactly);
    tcase_add_test(t, body_may_be_empty_where_nothing_must_be_said);
    t = add_case(s, "fields");
    tcase_add_test(t, type_and_coding_are_judged_before_the_body);
    return s;
}
