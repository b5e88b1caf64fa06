/* From parameters to a routed request, with routes of the test's own: what is refused before any
 * handler runs, and what a handler gets to see. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "http/request.h"
#include "support.h"

enum { THING_GET, THING_PUT, THING_DELETE, CLEAR, ROOT, ROWS };

/* What the last handler was called with. */
static struct {
    int plans;
    int finishes;
    const struct route *route;
    struct key key;
    struct slice query;
    bool has_query;
} seen;

static enum step plan(struct request *r) {
    seen.plans++;
    seen.route = r->route;
    seen.key = r->key;
    seen.query = r->query;
    seen.has_query = r->has_query;
    r->response.status = 200;
    return STEP_WAIT;
}

static enum step finish(struct request *r) {
    seen.finishes++;
    r->response.status = 200;
    return STEP_ANSWER;
}

static const struct route rows[ROWS] = {
    [THING_GET] = {"get", METHOD_GET, "/thing/{key}", SLICE_INIT("/thing/"), true, plan, finish, "",
                   false},
    [THING_PUT] = {"put", METHOD_PUT, "/thing/{key}", SLICE_INIT("/thing/"), true, plan, finish, "",
                   false},
    [THING_DELETE] = {"delete", METHOD_DELETE, "/thing/{key}", SLICE_INIT("/thing/"), true, plan,
                      finish, "", false},
    [CLEAR] = {"clear", METHOD_DELETE, "/thing", SLICE_INIT("/thing"), false, plan, finish, "",
               false},
    [ROOT] = {"root", METHOD_GET, "/", SLICE_INIT("/"), false, plan, NULL, "", false},
};

static const struct route_table table = {rows, ROWS};
static struct service service;
static struct stats_row own;
static struct request r;

static void setup(void) {
    memset(&seen, 0, sizeof(seen));
    memset(&own, 0, sizeof(own));
    service = (struct service){.routes = &table, .row = &own, .now = 5 * NS_PER_S};
    r = (struct request){.service = &service};
}

static void teardown(void) {
    request_fini(&r);
}

static enum step start_with_body(const char *method, const char *target, const char *length,
                                 struct slice body, bool too_large) {
    struct request_params params = {
        .method = slice_of(method),
        .target = slice_of(target),
        .content_length = slice_of(length),
    };
    request_reset(&r);
    memset(&seen, 0, sizeof(seen));
    return request_start(&r, &params, body, too_large);
}

static enum step start(const char *method, const char *target) {
    return start_with_body(method, target, "", (struct slice){0}, false);
}

/* The handler of this row ran, with this key. */
static void check_ran(int row, const char *key) {
    ck_assert_int_eq(seen.plans, 1);
    ck_assert_ptr_eq(seen.route, &rows[row]);
    ck_assert_ptr_eq(r.route, &rows[row]);
    ck_assert_msg(slice_eq(key_slice(&seen.key), slice_of(key)), "key %.*s", (int)seen.key.n,
                  seen.key.bytes);
}

/* No handler ran; the answer is a problem of this type. */
static void check_refused(enum step step, enum error e) {
    ck_assert_int_eq(step, STEP_ANSWER);
    ck_assert_int_eq(seen.plans, 0);
    ck_assert_int_eq(r.response.status, error_info(e)->status);
    ck_assert(slice_eq(r.response.content_type, SLICE("application/problem+json")));
    struct buf type = {0};
    buf_printf(&type, "\"type\":\"/errors/%s\"", error_info(e)->slug);
    ck_assert_msg(memmem(r.response.body.p, r.response.body.n, type.p, type.n) != NULL,
                  "%s is not %.*s", error_info(e)->slug, (int)r.response.body.n, r.response.body.p);
    buf_fini(&type);
}

static bool has_field(const char *line) {
    struct buf needle = {0};
    buf_printf(&needle, "%s\r\n", line);
    const struct buf *fields = &r.response.fields;
    bool has = memmem(fields->p, fields->n, needle.p, needle.n) != NULL;
    buf_fini(&needle);
    return has;
}

/* --- the target ------------------------------------------------------------------------------ */

START_TEST(target_is_routed_and_its_key_decoded) {
    ck_assert_int_eq(start("GET", "/thing/a%2Fb%20%C3%A9"), STEP_WAIT);
    check_ran(THING_GET, "a/b \xc3\xa9");
    ck_assert_int_eq(r.method, METHOD_GET);
    ck_assert_int_eq(start("PUT", "/thing/%252e"), STEP_WAIT);
    check_ran(THING_PUT, "%2e");
    ck_assert_int_eq(r.method, METHOD_PUT);
    ck_assert_int_eq(start("DELETE", "/thing"), STEP_WAIT);
    check_ran(CLEAR, "");
    ck_assert_int_eq(start("GET", "/"), STEP_WAIT);
    check_ran(ROOT, "");
}
END_TEST

START_TEST(head_runs_gets_handler_and_stays_head) {
    ck_assert_int_eq(start("HEAD", "/thing/a"), STEP_WAIT);
    check_ran(THING_GET, "a");
    ck_assert_int_eq(r.method, METHOD_HEAD);
}
END_TEST

START_TEST(absolute_form_is_reduced_to_its_path) {
    static const struct {
        const char *target;
        int row;
        const char *key;
    } cases[] = {
        {"http://h/thing/a", THING_GET, "a"},
        {"https://h:443/thing/a/b", THING_GET, "a/b"},
        {"http://user@[::1]:80/thing/http://x/y", -1, ""}, /* an empty segment in the key */
        {"http:///thing/a", THING_GET, "a"},
        {"http://h/", ROOT, ""},
        {"http://h", ROOT, ""},
        {"https://", ROOT, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum step step = start("GET", cases[i].target);
        if (cases[i].row < 0) {
            check_refused(step, E_MALFORMED_PATH);
            continue;
        }
        ck_assert_int_eq(step, STEP_WAIT);
        check_ran(cases[i].row, cases[i].key);
    }
}
END_TEST

/* RFC 9112, 3.2.2 and RFC 3986, 3.2: the authority ends at the first "/", "?" or "#". */
START_TEST(query_of_an_absolute_form_is_no_path) {
    ck_assert_int_eq(start("GET", "http://h?x=/thing/a"), STEP_WAIT);
    check_ran(ROOT, "");
    ck_assert(slice_eq(seen.query, SLICE("x=/thing/a")));
    check_refused(start("DELETE", "http://h?/thing/a"), E_METHOD_NOT_ALLOWED);
}
END_TEST

START_TEST(other_forms_are_not_found) {
    static const char *const targets[] = {"*",  "ftp://h/thing/a", "http:/thing/a", "h:80",
                                          "//", "thing/a",         " /thing/a"};
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        check_refused(start("GET", targets[i]), E_NOT_FOUND);
}
END_TEST

START_TEST(keys_that_are_none_are_refused) {
    static const struct {
        const char *target;
        enum error e;
    } cases[] = {
        {"/thing/", E_INVALID_KEY},        {"/thing/%00", E_INVALID_KEY},
        {"/thing/%ff", E_INVALID_KEY},     {"/thing/%zz", E_MALFORMED_PATH},
        {"/thing/a//b", E_MALFORMED_PATH}, {"/thing/..", E_MALFORMED_PATH},
        {"/thing/a#b", E_MALFORMED_PATH},  {"/thing/a b", E_MALFORMED_PATH},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        check_refused(start("DELETE", cases[i].target), cases[i].e);
        ck_assert_uint_eq(r.key.n, 0);
        ck_assert_ptr_null(memmem(r.response.body.p, r.response.body.n, "\"key\"", 5));
    }
}
END_TEST

START_TEST(key_of_one_byte_too_many_is_refused) {
    char target[sizeof("/thing/") + KEY_MAX + 1] = "/thing/";
    size_t prefix = strlen(target);
    memset(target + prefix, 'k', KEY_MAX);
    ck_assert_int_eq(start("GET", target), STEP_WAIT);
    ck_assert_uint_eq(seen.key.n, KEY_MAX);
    target[prefix + KEY_MAX] = 'k';
    check_refused(start("GET", target), E_KEY_TOO_LONG);
    ck_assert_uint_eq(r.key.n, 0);
}
END_TEST

/* --- the query ------------------------------------------------------------------------------- */

START_TEST(query_does_not_turn_a_change_into_another) {
    static const struct {
        const char *method;
        const char *target;
        bool refused;
    } cases[] = {
        {"GET", "/thing/a?b=c", false},
        {"HEAD", "/thing/a?b=c", false},
        {"GET", "/?x", false},
        {"PUT", "/thing/a", false},
        {"PUT", "/thing/a?", false},
        {"PUT", "/thing/a?ttl=5", true},
        {"PUT", "/thing/a??", true},
        {"DELETE", "/thing/a?x", true},
        {"DELETE", "/thing?key=a", true},
        {"DELETE", "/thing?", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum step step = start(cases[i].method, cases[i].target);
        if (cases[i].refused)
            check_refused(step, E_UNKNOWN_PARAMETER);
        else
            ck_assert_int_eq(step, STEP_WAIT);
    }
}
END_TEST

START_TEST(query_is_handed_on_raw) {
    ck_assert_int_eq(start("GET", "/thing/a?b=%20?c"), STEP_WAIT);
    check_ran(THING_GET, "a");
    ck_assert(seen.has_query);
    ck_assert(slice_eq(seen.query, SLICE("b=%20?c")));
    ck_assert_int_eq(start("GET", "/thing/a?"), STEP_WAIT);
    ck_assert(seen.has_query);
    ck_assert_uint_eq(seen.query.n, 0);
    ck_assert_int_eq(start("GET", "/thing/a%3Fb"), STEP_WAIT);
    check_ran(THING_GET, "a?b");
    ck_assert(!seen.has_query);
}
END_TEST

/* --- the body -------------------------------------------------------------------------------- */

START_TEST(length_agrees_with_what_came) {
    static const struct {
        const char *length;
        size_t came;
        bool good;
    } cases[] = {
        {"", 0, true},
        {"0", 0, true},
        {"000", 0, true},
        {"5", 5, true},
        {"05", 5, true},
        {"000000000000000005", 5, true},
        {"", 5, false},
        {"0", 5, false},
        {"4", 5, false},
        {"6", 5, false},
        {"5", 0, false},
        {"+5", 5, false},
        {"-5", 5, false},
        {" 5", 5, false},
        {"5 ", 5, false},
        {"5,5", 5, false},
        {"0x5", 5, false},
        {"5a", 5, false},
        {"5.0", 5, false},
        {"abc", 5, false},
        {"1000000000", 5, false},
        {"18446744073709551621", 5, false}, /* 2^64 + 5 */
        {"99999999999999999999", 5, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct slice body = {"12345", cases[i].came};
        enum step step = start_with_body("PUT", "/thing/a", cases[i].length, body, false);
        if (cases[i].good)
            ck_assert_int_eq(step, STEP_WAIT);
        else
            check_refused(step, E_INCOMPLETE_BODY);
    }
}
END_TEST

START_TEST(length_of_a_body_thrown_away_is_believed) {
    ck_assert_int_eq(start_with_body("PUT", "/thing/a", "99", (struct slice){0}, true), STEP_WAIT);
    ck_assert(r.body_too_large);
    check_refused(start_with_body("PUT", "/thing/a", "", (struct slice){0}, true),
                  E_INCOMPLETE_BODY);
    check_refused(start_with_body("PUT", "/thing/a", "x", (struct slice){0}, true),
                  E_INCOMPLETE_BODY);
}
END_TEST

START_TEST(any_method_may_bring_a_body) {
    static const char *const methods[] = {"GET", "HEAD", "DELETE"};
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        ck_assert_int_eq(start_with_body(methods[i], "/thing/a", "4", SLICE("body"), false),
                         STEP_WAIT);
        ck_assert(slice_eq(r.body, SLICE("body")));
    }
}
END_TEST

START_TEST(handler_sees_body_type_coding_and_time) {
    struct request_params params = {
        .method = SLICE("PUT"),
        .target = SLICE("/thing/a"),
        .content_type = SLICE("text/x"),
        .content_encoding = SLICE("gzip"),
        .content_length = SLICE("4"),
    };
    ck_assert_int_eq(request_start(&r, &params, SLICE("body"), false), STEP_WAIT);
    ck_assert(slice_eq(r.body, SLICE("body")));
    ck_assert(slice_eq(r.content_type, SLICE("text/x")));
    ck_assert(slice_eq(r.content_encoding, SLICE("gzip")));
    ck_assert_int_eq(r.taken, service.now);
    ck_assert(!r.body_too_large);
}
END_TEST

/* --- methods --------------------------------------------------------------------------------- */

START_TEST(options_are_answered_for_every_path_there_is) {
    ck_assert_int_eq(start("OPTIONS", "/thing/a"), STEP_ANSWER);
    ck_assert_int_eq(r.response.status, 204);
    ck_assert(has_field("Allow: GET, HEAD, PUT, DELETE, OPTIONS"));
    ck_assert_uint_eq(r.response.content_type.n, 0);
    ck_assert_uint_eq(response_length(&r.response), 0);
    ck_assert_int_eq(start("OPTIONS", "/thing?x=y"), STEP_ANSWER);
    ck_assert_int_eq(r.response.status, 204);
    ck_assert(has_field("Allow: DELETE, OPTIONS"));
    ck_assert_int_eq(seen.plans, 0);
    check_refused(start("OPTIONS", "/nothing"), E_NOT_FOUND);
    check_refused(start("OPTIONS", "*"), E_NOT_FOUND);
}
END_TEST

START_TEST(other_methods_are_told_what_is_allowed) {
    char long_method[1001];
    memset(long_method, 'A', sizeof(long_method) - 1);
    long_method[sizeof(long_method) - 1] = '\0';
    const struct {
        const char *name;
        enum method method;
    } methods[] = {
        {"POST", METHOD_POST},  {"PATCH", METHOD_PATCH},   {"TRACE", METHOD_OTHER},
        {"get", METHOD_OTHER},  {"CONNECT", METHOD_OTHER}, {"GET ", METHOD_OTHER},
        {"post", METHOD_OTHER}, {"PATC", METHOD_OTHER},    {long_method, METHOD_OTHER},
    };
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        check_refused(start(methods[i].name, "/thing/a"), E_METHOD_NOT_ALLOWED);
        ck_assert(has_field("Allow: GET, HEAD, PUT, DELETE, OPTIONS"));
        ck_assert_int_eq(r.method, methods[i].method);
        check_refused(start(methods[i].name, "/nothing"), E_NOT_FOUND);
    }
    check_refused(start("PUT", "/"), E_METHOD_NOT_ALLOWED);
    ck_assert(has_field("Allow: GET, HEAD, OPTIONS"));
    check_refused(start("GET", "/thing"), E_METHOD_NOT_ALLOWED);
    ck_assert(has_field("Allow: DELETE, OPTIONS"));
}
END_TEST

/* --- what the decoder says ------------------------------------------------------------------- */

START_TEST(faults_of_the_decoder_come_first) {
    struct request_params params = {
        .method = SLICE("GET"), .target = SLICE("/thing/a"), .error = E_DUPLICATE_FIELD};
    check_refused(request_start(&r, &params, (struct slice){0}, false), E_DUPLICATE_FIELD);
    ck_assert_ptr_null(r.route);
    params.error = E_MALFORMED_REQUEST;
    check_refused(request_start(&r, &params, (struct slice){0}, false), E_MALFORMED_REQUEST);
}
END_TEST

START_TEST(request_without_method_or_target_is_malformed) {
    check_refused(start("", "/thing/a"), E_MALFORMED_REQUEST);
    check_refused(start("GET", ""), E_MALFORMED_REQUEST);
    struct request_params nothing = {0};
    check_refused(request_start(&r, &nothing, (struct slice){0}, false), E_MALFORMED_REQUEST);
}
END_TEST

/* --- from one request to the next ------------------------------------------------------------ */

START_TEST(call_comes_back_to_the_same_route) {
    ck_assert_int_eq(start("DELETE", "/thing/a"), STEP_WAIT);
    uint32_t index = (uint32_t)(r.route - rows);
    ck_assert_uint_eq(atomic_load(&own.phase), WORKER_STARTS);
    ck_assert_uint_eq(atomic_load(&own.route), index);
    atomic_store(&own.route, 0);
    ck_assert_int_eq(request_continue(&r), STEP_ANSWER);
    /* What the master names if this is the last that it hears of the worker. */
    ck_assert_uint_eq(atomic_load(&own.phase), WORKER_FINISHES);
    ck_assert_uint_eq(atomic_load(&own.route), index);
    ck_assert_int_eq(seen.finishes, 1);
}
END_TEST

START_TEST(reset_leaves_nothing_of_the_request_before) {
    struct request_params params = {
        .method = SLICE("PUT"),
        .target = SLICE("/thing/secret?"),
        .content_length = SLICE("4"),
        .fields = {SLICE("*"), SLICE("*"), SLICE("return=minimal"), SLICE("\"a\"")},
    };
    (void)request_start(&r, &params, SLICE("body"), false);
    ck_assert(slice_eq(r.fields.if_match, SLICE("*")));
    r.peer_gone = true;
    r.job = arena_take(&r.arena, 1);
    r.arena.failed = true;
    for (int i = 0; i < 2; i++) {
        struct reply node = {.type = REPLY_STRING, .n = 5};
        buf_puts(&r.call.replies.bytes, "reply");
        buf_put(&r.call.replies.nodes, &node, sizeof(node));
        call_keep_previous(&r.call);
    }
    r.response.lookup = LOOKUP_HIT;
    request_reset(&r);
    ck_assert_ptr_null(r.route);
    ck_assert_uint_eq(r.path.n + r.query.n + r.body.n + r.key.n, 0);
    ck_assert_uint_eq(r.content_type.n + r.content_encoding.n, 0);
    ck_assert(!r.has_query && !r.body_too_large && !r.peer_gone);
    ck_assert_ptr_null(r.job);
    ck_assert(!arena_failed(&r.arena));
    ck_assert_uint_eq(r.call.replies.bytes.n + r.call.previous.bytes.n, 0);
    ck_assert_uint_eq(r.call.replies.nodes.n + r.call.previous.nodes.n, 0);
    ck_assert_int_eq(r.response.status, 0);
    ck_assert_int_eq(r.response.lookup, LOOKUP_NONE);
    /* No problem of the next request shows this one's key. */
    check_refused(start("GET", "/nothing"), E_NOT_FOUND);
    ck_assert_ptr_null(r.fields.if_match.p);
    ck_assert_ptr_null(r.fields.if_none_match.p);
    ck_assert_ptr_null(r.fields.prefer.p);
    ck_assert_ptr_null(r.fields.cache_groups.p);
    ck_assert_ptr_null(memmem(r.response.body.p, r.response.body.n, "secret", 6));
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_request(void) {
    Suite *s = suite_create("request");
    TCase *t = add_case(s, "target");
    tcase_add_test(t, target_is_routed_and_its_key_decoded);
    tcase_add_test(t, head_runs_gets_handler_and_stays_head);
    tcase_add_test(t, absolute_form_is_reduced_to_its_path);
    tcase_add_test(t, query_of_an_absolute_form_is_no_path);
    tcase_add_test(t, other_forms_are_not_found);
    tcase_add_test(t, keys_that_are_none_are_refused);
    tcase_add_test(t, key_of_one_byte_too_many_is_refused);
    t = add_case(s, "query");
    tcase_add_test(t, query_does_not_turn_a_change_into_another);
    tcase_add_test(t, query_is_handed_on_raw);
    t = add_case(s, "body");
    tcase_add_test(t, length_agrees_with_what_came);
    tcase_add_test(t, length_of_a_body_thrown_away_is_believed);
    tcase_add_test(t, any_method_may_bring_a_body);
    tcase_add_test(t, handler_sees_body_type_coding_and_time);
    t = add_case(s, "methods");
    tcase_add_test(t, options_are_answered_for_every_path_there_is);
    tcase_add_test(t, other_methods_are_told_what_is_allowed);
    t = add_case(s, "decoder");
    tcase_add_test(t, faults_of_the_decoder_come_first);
    tcase_add_test(t, request_without_method_or_target_is_malformed);
    t = add_case(s, "lives");
    tcase_add_test(t, call_comes_back_to_the_same_route);
    tcase_add_test(t, reset_leaves_nothing_of_the_request_before);
    return s;
}
