/* Problem documents: valid JSON, the table's words, and what they say about a write's outcome. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "base/jsontext.h"
#include "base/utf8.h"
#include "http/problem.h"
#include "rig.h"
#include "support.h"

enum { MEMBERS_MAX = 12 };

static struct rig rig;
static struct request *const r = &rig.request;
static struct jsontext_member members[MEMBERS_MAX];
static size_t count;

static void setup(void) {
    rig_setup(&rig);
    r->method = METHOD_GET;
}

static void teardown(void) {
    rig_teardown(&rig);
}

static void use_key(const char *key) {
    r->key.n = strlen(key);
    memcpy(r->key.bytes, key, r->key.n);
}

/* Reads the document. */
static void read_document(enum step step) {
    ck_assert_int_eq(step, STEP_ANSWER);
    struct slice body = buf_slice(&r->response.body);
    ck_assert(slice_eq(r->response.content_type, SLICE("application/problem+json")));
    ck_assert_uint_eq(r->response.splice.n, 0);
    ck_assert_msg(jsontext_members(body, members, MEMBERS_MAX, &count, NULL) == OK, "%.*s",
                  (int)body.n, body.p);
    ck_assert_uint_le(count, MEMBERS_MAX);
}

/* The text of a member's value; the empty slice if it is absent. */
static struct slice member(const char *name) {
    struct slice found = {0};
    for (size_t i = 0; i < count; i++)
        if (jsontext_string_is(members[i].name, slice_of(name))) {
            ck_assert_uint_eq(found.n, 0);
            found = members[i].value;
        }
    return found;
}

static bool member_is(const char *name, const char *text) {
    struct slice value = member(name);
    if (value.n < 2 || value.p[0] != '"')
        return false;
    return jsontext_string_is((struct slice){value.p + 1, value.n - 2}, slice_of(text));
}

static bool member_is_number(const char *name, int v) {
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", v);
    return slice_eq(member(name), slice_of(text));
}

/* Whether the head has this text. */
static bool head_has(const char *text) {
    struct buf head = {0};
    response_put_head(&r->response, &head);
    bool has = memmem(head.p, head.n, text, strlen(text)) != NULL;
    buf_fini(&head);
    return has;
}

static bool has_field(const char *name, const char *value) {
    char line[128];
    (void)snprintf(line, sizeof(line), "\r\n%s: %s\r\n", name, value);
    return head_has(line);
}

/* Nothing, "not-applied" or "unknown". */
static void check_outcome(const char *outcome) {
    if (outcome == NULL)
        ck_assert_uint_eq(member("outcome").n, 0);
    else
        ck_assert_msg(member_is("outcome", outcome), "outcome %.*s instead of %s",
                      (int)member("outcome").n, member("outcome").p, outcome);
}

/* --- the table ------------------------------------------------------------------------------- */

START_TEST(every_error_of_the_table_makes_a_document) {
    enum error e = (enum error)_i;
    const struct error_info *info = error_info(e);
    char seconds[16];
    char type[64];
    read_document(problem(r, e, NULL));
    ck_assert_int_eq(r->response.status, info->status);
    (void)snprintf(type, sizeof(type), "/errors/%s", info->slug);
    ck_assert(member_is("type", type));
    ck_assert(member_is("title", info->title));
    if (e == E_VALUE_TOO_LARGE)
        ck_assert(member_is("detail", "The value is larger than max_value, 0 bytes."));
    else
        ck_assert(member_is("detail", info->detail));
    ck_assert(member_is_number("status", info->status));
    ck_assert(has_field("Cache-Control", "no-store"));
    ck_assert_uint_eq(member("key").n, 0);
    check_outcome(NULL);
    (void)snprintf(seconds, sizeof(seconds), "%d", info->retry_after);
    if (info->retry_after > 0) {
        ck_assert(has_field("Retry-After", seconds));
        ck_assert(member_is_number("retry_after", info->retry_after));
    } else {
        ck_assert_uint_eq(member("retry_after").n, 0);
        ck_assert(!head_has("Retry-After"));
    }
    ck_assert(info->status != 503 || info->retry_after > 0);
}
END_TEST

START_TEST(problem_replaces_what_was_there) {
    response_json(&r->response, 200);
    response_field(&r->response, "X-Field", SLICE("x"));
    buf_puts(&r->response.body, "{\"half");
    response_splice(&r->response, SLICE("value"));
    r->response.lookup = LOOKUP_HIT;
    read_document(problem(r, E_NOT_FOUND, NULL));
    ck_assert_int_eq(r->response.lookup, LOOKUP_NONE);
    ck_assert(!head_has("X-Field"));
    /* Also itself. */
    read_document(problem(r, E_KEY_NOT_FOUND, NULL));
    ck_assert(member_is("type", "/errors/key-not-found"));
}
END_TEST

/* --- details and keys ------------------------------------------------------------------------ */

START_TEST(detail_can_be_given) {
    read_document(problem(r, E_INVALID_TTL, "say \"so\" \\ \n\t and \xc3\xa9"));
    ck_assert(member_is("detail", "say \"so\" \\ \n\t and \xc3\xa9"));
    ck_assert(member_is("title", error_info(E_INVALID_TTL)->title));
}
END_TEST

START_TEST(member_can_be_added) {
    read_document(problem(r, E_BACKEND_UNAVAILABLE, NULL));
    size_t before = count;
    problem_add(r, "redis", "unavailable");
    problem_add(r, "breaker", "open");
    read_document(STEP_ANSWER);
    ck_assert_uint_eq(count, before + 2);
    ck_assert(member_is("redis", "unavailable"));
    ck_assert(member_is("breaker", "open"));
}
END_TEST

START_TEST(member_is_not_added_to_a_document_that_failed) {
    (void)problem(r, E_BACKEND_UNAVAILABLE, NULL);
    r->response.body.failed = true;
    size_t before = r->response.body.n;
    problem_add(r, "redis", "unavailable");
    ck_assert(buf_failed(&r->response.body));
    ck_assert_uint_eq(r->response.body.n, before);
}
END_TEST

START_TEST(key_is_shown_as_a_json_string) {
    static const char *const keys[] = {
        "a",
        "a/b c",
        "{json}\"\\",
        "<script>alert(1)</script>",
        "%s%n",
        "\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87",
        "\xe2\x80\xa8",
    };
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        use_key(keys[i]);
        read_document(problem(r, E_KEY_NOT_FOUND, NULL));
        ck_assert(member_is("key", keys[i]));
        ck_assert(utf8_valid(buf_slice(&r->response.body)));
        read_document(problem(r, E_INVALID_TTL, "x"));
        ck_assert(member_is("key", keys[i]));
    }
}
END_TEST

START_TEST(longest_key_is_shown_whole) {
    memset(r->key.bytes, '"', KEY_MAX);
    r->key.n = KEY_MAX;
    read_document(problem(r, E_KEY_NOT_FOUND, NULL));
    ck_assert_uint_eq(member("key").n, 2 + 2 * KEY_MAX);
}
END_TEST

/* --- the outcome of a write ------------------------------------------------------------------ */

static const enum method methods[] = {METHOD_GET,   METHOD_HEAD, METHOD_PUT,     METHOD_DELETE,
                                      METHOD_PATCH, METHOD_POST, METHOD_OPTIONS, METHOD_OTHER};

static bool changes_something(enum method method) {
    return method != METHOD_GET && method != METHOD_HEAD && method != METHOD_OPTIONS &&
           method != METHOD_OTHER;
}

/* What is refused before a command was sent was not done. */
START_TEST(refused_write_was_not_applied) {
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        for (enum error e = 1; e < ERROR_COUNT; e++) {
            bool outcome = changes_something(methods[i]) && error_info(e)->status >= 503;
            r->method = methods[i];
            read_document(problem(r, e, NULL));
            check_outcome(outcome ? "not-applied" : NULL);
        }
}
END_TEST

START_TEST(refusal_is_counted) {
    r->method = METHOD_PUT;
    read_document(problem_refused(r, E_BACKEND_TIMEOUT));
    ck_assert(member_is("type", "/errors/backend-timeout"));
    check_outcome("not-applied");
    ck_assert_uint_eq(stats_read(&rig.service.row->counter[STAT_redis_refusals]), 1);
    (void)problem(r, E_BACKEND_TIMEOUT, NULL);
    ck_assert_uint_eq(stats_read(&rig.service.row->counter[STAT_redis_refusals]), 1);
}
END_TEST

START_TEST(failed_call_says_what_is_known) {
    static const enum error errors[] = {E_BACKEND_UNAVAILABLE, E_BACKEND_TIMEOUT,
                                        E_BACKEND_READONLY, E_OUT_OF_MEMORY};
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        for (size_t k = 0; k < COUNT_OF(errors); k++)
            for (int known = 0; known < 2; known++) {
                r->method = methods[i];
                r->call.error = errors[k];
                r->call.outcome_known = known != 0;
                read_document(problem_call_failed(r));
                ck_assert_int_eq(r->response.status, 503);
                ck_assert(member_is("detail", error_info(errors[k])->detail));
                ck_assert(has_field("Retry-After", "1"));
                if (!changes_something(methods[i]))
                    check_outcome(NULL);
                else
                    check_outcome(known != 0 ? "not-applied" : "unknown");
            }
}
END_TEST

/* --- Redis's replies ------------------------------------------------------------------------- */

static const struct reply *put_reply(enum reply_type type, const char *text) {
    struct replies *list = &r->call.replies;
    struct reply node = {type, 0, list->bytes.n, strlen(text)};
    buf_puts(&list->bytes, text);
    buf_put(&list->nodes, &node, sizeof(node));
    return replies_get(list, list->nodes.n / sizeof(node) - 1);
}

static const struct {
    const char *text;
    enum error e;
} errors[] = {
    {"LOADING Redis is loading the dataset in memory", E_BACKEND_LOADING},
    {"READONLY You can't write against a read only replica.", E_BACKEND_READONLY},
    {"OOM command not allowed when used memory > 'maxmemory'.", E_BACKEND_FULL},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", E_WRONG_TYPE},
    {"BUSY Redis is busy running a script.", E_BACKEND_BUSY},
    {"NOAUTH Authentication required.", E_BACKEND_REFUSED},
    {"ERR something secret", E_BACKEND_ERROR},
    {"", E_BACKEND_ERROR},
};

START_TEST(error_reply_is_answered_by_the_table_and_not_shown) {
    const char *text = errors[_i].text;
    const struct error_info *info = error_info(errors[_i].e);
    r->method = METHOD_PUT;
    read_document(problem_reply(r, put_reply(REPLY_ERROR, text)));
    ck_assert_int_eq(r->response.status, info->status);
    ck_assert(member_is("detail", info->detail));
    const char *done = errors[_i].e == E_BACKEND_ERROR ? "unknown" : "not-applied";
    check_outcome(info->status >= 503 ? done : NULL);
    ck_assert(text[0] == '\0' ||
              memmem(r->response.body.p, r->response.body.n, text, strlen(text)) == NULL);
    r->method = METHOD_GET;
    read_document(problem_reply(r, put_reply(REPLY_ERROR, text)));
    check_outcome(NULL);
}
END_TEST

START_TEST(reply_of_a_surprising_type_is_an_error_of_redis) {
    static const enum reply_type types[] = {REPLY_STRING, REPLY_STATUS, REPLY_INTEGER, REPLY_NIL,
                                            REPLY_ARRAY};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        read_document(problem_reply(r, put_reply(types[i], "secret")));
        ck_assert(member_is("type", "/errors/backend-error"));
        ck_assert_int_eq(r->response.status, 503);
        ck_assert_ptr_null(memmem(r->response.body.p, r->response.body.n, "secret", 6));
    }
}
END_TEST

/* Whether SET was carried out, a reply that SET never gives does not say. */
START_TEST(surprising_reply_to_a_write_leaves_its_outcome_unknown) {
    r->method = METHOD_PUT;
    read_document(problem_reply(r, put_reply(REPLY_INTEGER, "")));
    check_outcome("unknown");
}
END_TEST

/* Nor does it say whose reply it was: the connection is not trusted any more. */
START_TEST(surprising_reply_ends_the_connection) {
    rig_connect(&rig);
    (void)problem_reply(r, put_reply(REPLY_ERROR, "WRONGTYPE x"));
    ck_assert(store_get_status(rig.service.store).ready);
    (void)problem_reply(r, put_reply(REPLY_INTEGER, ""));
    ck_assert(!store_get_status(rig.service.store).ready);
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_problem(void) {
    Suite *s = suite_create("problem");
    TCase *t = add_case(s, "table");
    tcase_add_loop_test(t, every_error_of_the_table_makes_a_document, OK + 1, ERROR_COUNT);
    tcase_add_test(t, problem_replaces_what_was_there);
    t = add_case(s, "texts");
    tcase_add_test(t, detail_can_be_given);
    tcase_add_test(t, member_can_be_added);
    tcase_add_test(t, member_is_not_added_to_a_document_that_failed);
    tcase_add_test(t, key_is_shown_as_a_json_string);
    tcase_add_test(t, longest_key_is_shown_whole);
    t = add_case(s, "outcome");
    tcase_add_test(t, refused_write_was_not_applied);
    tcase_add_test(t, refusal_is_counted);
    tcase_add_test(t, failed_call_says_what_is_known);
    t = add_case(s, "replies");
    tcase_add_loop_test(t, error_reply_is_answered_by_the_table_and_not_shown, 0, COUNT_OF(errors));
    tcase_add_test(t, reply_of_a_surprising_type_is_an_error_of_redis);
    tcase_add_test(t, surprising_reply_to_a_write_leaves_its_outcome_unknown);
    tcase_add_test(t, surprising_reply_ends_the_connection);
    return s;
}
