/* Batches: the order of their operations, what each is answered, and what becomes of the others
 * when one fails, or all. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "base/jsontext.h"
#include "support.h"
#include "talk.h"

#define N1     "11111111111111111111111111111111"
#define N2     "22222222222222222222222222222222"
#define TAGGED "\\0larder1 {\"tags\":{\"a\":\"" N1 "\"}}\\n"
#define MGET   "MGET \\xfftag:a\n"

#define ETAG_OF_1 "df3ce784d856334d65cd25028f98f158"

#define BATCH(operations) "{\"operations\":[" operations "]}"
#define GET(key)          "{\"method\":\"GET\",\"key\":\"" key "\"}"
#define PUT(key, value)   "{\"method\":\"PUT\",\"key\":\"" key "\",\"value\":" value "}"
#define DELETE(key)       "{\"method\":\"DELETE\",\"key\":\"" key "\"}"
#define CREATE(key, value)                                                                         \
    "{\"method\":\"PUT\",\"key\":\"" key "\",\"value\":" value ",\"if_none_match\":\"*\"}"
#define SWAP(key, value)                                                                           \
    "{\"method\":\"PUT\",\"key\":\"" key "\",\"value\":" value ",\"if_match\":\"*\"}"

#define PROBE(key)  "GETRANGE " key " 0 16383\nPTTL " key "\n"
#define WHOLE(key)  "GETRANGE " key " 0 8404992\nPTTL " key "\n"
#define RELOAD(key) "GET " key "\nPTTL " key "\n"

#define ANSWER(results) "200 {\"results\":[" results "]}"
#define FOUND(key, value)                                                                          \
    "{\"status\":200,\"key\":\"" key "\",\"value\":" value ",\"ttl\":null,\"etag\":\"\\\"#\\\"\"}"
#define STORED(key, value)                                                                         \
    "{\"status\":200,\"key\":\"" key "\",\"value\":" value ",\"ttl\":3600,\"etag\":\"\\\"#\\\"\"}"
#define DELETED(key) "{\"status\":200,\"key\":\"" key "\",\"deleted\":true}"
#define MISSING(key)                                                                               \
    "{\"status\":404,\"type\":\"/errors/key-not-found\",\"title\":\"Not Found\","                  \
    "\"detail\":\"Key not found\",\"key\":\"" key "\"}"
#define FAILED(key)                                                                                \
    "{\"status\":412,\"type\":\"/errors/precondition-failed\",\"title\":\"Precondition Failed\","  \
    "\"detail\":\"The entry is not as If-Match or If-None-Match demands; nothing was changed.\","  \
    "\"key\":\"" key "\",\"etag\":\"\\\"#\\\"\"}"
#define GONE(key, outcome)                                                                         \
    "{\"status\":503,\"type\":\"/errors/backend-unavailable\",\"title\":\"Service Unavailable\","  \
    "\"detail\":\"Redis connection failed\",\"key\":\"" key "\"" outcome ",\"retry_after\":1}"
#define BUSY(key, outcome)                                                                         \
    "{\"status\":503,\"type\":\"/errors/backend-busy\",\"title\":\"Service Unavailable\","         \
    "\"detail\":\"Redis is busy with a long-running script.\",\"key\":\"" key "\"" outcome         \
    ",\"retry_after\":1}"
#define SENSELESS(key, outcome)                                                                    \
    "{\"status\":503,\"type\":\"/errors/backend-error\",\"title\":\"Service Unavailable\","        \
    "\"detail\":\"Redis answered with an error; the service's log has it.\",\"key\":\"" key        \
    "\"" outcome ",\"retry_after\":1}"
#define NOT_APPLIED ",\"outcome\":\"not-applied\""
#define UNKNOWN     ",\"outcome\":\"unknown\""

static struct rig rig;

static void setup(void) {
    rig_setup(&rig);
    rig.config.default_ttl = 3600;
    rig.config.max_ttl = 31536000;
    rig.config.max_value = 1 << 20;
    rig.config.batch_max = 3000;
    rig_connect(&rig);
}

static void teardown(void) {
    rig_teardown(&rig);
}

static enum step start(const char *body) {
    const struct talk talk = {.method = "POST", .target = "/batch", .body = body};
    return talk_start(&rig, &talk);
}

/* The next turn of a batch that goes on. */
static void turn(const char *commands, const char *replies) {
    talk_expect(&rig, commands);
    ck_assert_msg(talk_reply(&rig, replies) == STEP_WAIT, "%s", talk_answer(&rig));
}

static void last_turn(const char *commands, const char *replies, const char *answer) {
    talk_expect(&rig, commands);
    ck_assert_int_eq(talk_reply(&rig, replies), STEP_ANSWER);
    (void)rig_json(&rig);
    talk_check_answer(&rig, answer);
}

static uint64_t counted(enum stat_id id) {
    return stats_read(&rig.service.row->counter[id]);
}

/* --- results --------------------------------------------------------------------------------- */

START_TEST(operations_go_together_and_are_answered_in_order) {
    ck_assert_int_eq(
        start(BATCH(GET("a") "," GET("b") "," PUT("c", "[1 ]") "," DELETE("d") "," DELETE("e"))),
        STEP_WAIT);
    last_turn(PROBE("a") PROBE("b") "SET c [1 ] EX 3600\nEVALSHA remove 1 d\nEVALSHA remove 1 e\n",
              "$1\n:-1\n$\n:-2\n+OK\n:1\n:0",
              ANSWER(FOUND("a", "1") "," MISSING("b") "," STORED("c", "[1 ]") "," DELETED(
                  "d") "," MISSING("e")));
    ck_assert_uint_eq(counted(STAT_hits), 1);
    ck_assert_uint_eq(counted(STAT_misses), 1);
    ck_assert_uint_eq(counted(STAT_stores), 1);
    ck_assert_uint_eq(counted(STAT_deletes), 1);
    ck_assert_ptr_nonnull(strstr(rig_head(&rig), "Cache-Control: no-store\r\n"));
}
END_TEST

START_TEST(operations_take_what_they_take_alone) {
    ck_assert_int_eq(
        start(BATCH(
            "{\"method\":\"\\u0050UT\",\"key\":\"a\",\"value\":\"/wA=\",\"encoding\":\"base64\","
            "\"content_type\":\"a/b\",\"ttl\":5},"
            "{\"method\":\"PUT\",\"key\":\"\\u00e9\\\"\",\"value\":1,\"tags\":[\"a\"]},"
            "{\"method\":\"GET\",\"key\":\"c\",\"if_none_match\":\"\\\"" ETAG_OF_1 "\\\"\"},"
            "{\"method\":\"GET\",\"key\":\"d\",\"if_match\":\"\\\"x\\\"\"}")),
        STEP_WAIT);
    turn("SET a \\0larder1 {\"type\":\"a/b\"}\\n\\xff\\0 EX 5\n"
         "EVALSHA tags 1 \\xfftag:a 3660000 #\n" PROBE("c") PROBE("d"),
         "+OK\n[2\n:50000\n$" N1 "\n$1\n:-1\n$1\n:-1");
    last_turn("SET \xc3\xa9\" " TAGGED "1 EX 3600\n", "+OK",
              ANSWER("{\"status\":200,\"key\":\"a\",\"value\":\"/wA=\",\"content_type\":\"a/b\","
                     "\"encoding\":\"base64\",\"ttl\":5,\"etag\":\"\\\"#\\\"\"},"
                     "{\"status\":200,\"key\":\"\xc3\xa9\\\"\",\"value\":1,\"ttl\":3600,"
                     "\"tags\":[\"a\"],\"etag\":\"\\\"#\\\"\"},"
                     "{\"status\":304,\"key\":\"c\",\"etag\":\"\\\"" ETAG_OF_1
                     "\\\"\"}," FAILED("d")));
}
END_TEST

START_TEST(operations_that_are_none_fail_alone) {
    static const struct {
        const char *operation;
        const char *result; /* begins so */
    } rows[] = {
        {"1", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"[]", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{}", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"GET\"}", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"key\":\"a\"}", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"get\",\"key\":\"a\"}",
         "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"PATCH\",\"key\":\"a\"}",
         "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"GET\",\"key\":1}", "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"GET\",\"key\":null}",
         "{\"status\":422,\"type\":\"/errors/schema-violation\""},
        {"{\"method\":\"GET\",\"key\":\"\"}", "{\"status\":400,\"type\":\"/errors/invalid-key\""},
        {"{\"method\":\"GET\",\"key\":\"a//b\"}",
         "{\"status\":400,\"type\":\"/errors/invalid-key\""},
        {"{\"method\":\"GET\",\"key\":\"\\n\"}",
         "{\"status\":400,\"type\":\"/errors/invalid-key\""},
        {"{\"method\":\"GET\",\"key\":\"a\",\"x\":1}",
         "{\"status\":422,\"type\":\"/errors/unknown-field\""},
        {"{\"method\":\"GET\",\"method\":\"GET\",\"key\":\"a\"}",
         "{\"status\":400,\"type\":\"/errors/duplicate-field\""},
        {"{\"method\":\"PUT\",\"key\":\"a\"}",
         "{\"status\":422,\"type\":\"/errors/schema-violation\",\"title\":\"Unprocessable "
         "Content\",\"detail\":\"The member \\\"value\\\" is missing.\",\"key\":\"a\"}"},
        {"{\"method\":\"PUT\",\"key\":\"a\",\"value\":1,\"ttl\":0}",
         "{\"status\":422,\"type\":\"/errors/invalid-ttl\""},
        {"{\"method\":\"PUT\",\"key\":\"a\",\"value\":1,\"tags\":[\"\"]}",
         "{\"status\":422,\"type\":\"/errors/invalid-tag\""},
        {"{\"method\":\"GET\",\"key\":\"a\",\"if_match\":\"x\"}",
         "{\"status\":400,\"type\":\"/errors/invalid-precondition\""},
        {"{\"method\":\"GET\",\"key\":\"a\",\"if_none_match\":1}",
         "{\"status\":400,\"type\":\"/errors/invalid-precondition\""},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf body = {0};
        struct slice results = {0};
        struct slice result = {0};
        buf_printf(&body, "{\"operations\":[%s,%s]}", rows[i].operation, GET("b"));
        buf_put_char(&body, '\0');
        ck_assert_int_eq(start(body.p), STEP_WAIT);
        talk_expect(&rig, PROBE("b"));
        ck_assert_int_eq(talk_reply(&rig, "$1\n:-1"), STEP_ANSWER);
        results = slice_of(strchr(rig_json(&rig), '['));
        ck_assert(jsontext_next_element(&results, &result));
        ck_assert_msg(strncmp(result.p, rows[i].result, strlen(rows[i].result)) == 0, "%s: %.*s",
                      rows[i].operation, (int)result.n, result.p);
        ck_assert(jsontext_next_element(&results, &result));
        ck_assert_int_eq(strncmp(result.p, "{\"status\":200,\"key\":\"b\"", 23), 0);
        buf_fini(&body);
    }
}
END_TEST

START_TEST(batch_of_nothing_but_faults_asks_nothing) {
    ck_assert_int_eq(start(BATCH("1,2")), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 200);
    (void)rig_json(&rig);
    ck_assert_str_eq(rig_commands(&rig), "");
}
END_TEST

/* --- documents ------------------------------------------------------------------------------- */

START_TEST(documents_that_are_no_batch_are_refused) {
    static const struct {
        const char *body;
        enum error e;
    } rows[] = {
        {"", E_BODY_REQUIRED},
        {"[]", E_SCHEMA_VIOLATION},
        {"{}", E_SCHEMA_VIOLATION},
        {"{\"operations\":{}}", E_SCHEMA_VIOLATION},
        {"{\"operations\":\"x\"}", E_SCHEMA_VIOLATION},
        {"{\"operations\":null}", E_SCHEMA_VIOLATION},
        {"{\"operations\":[]}", E_SCHEMA_VIOLATION},
        {"{\"operations\":[1,]}", E_INVALID_JSON},
        {"{\"operations\":[1],\"operations\":[1]}", E_DUPLICATE_FIELD},
        {"{\"operations\":[1],\"x\":1}", E_UNKNOWN_FIELD},
        {"{\"operations\":[1,1,1,1]}", E_BATCH_TOO_LARGE},
    };
    rig.config.batch_max = 3;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char type[64];
        ck_assert_int_eq(start(rows[i].body), STEP_ANSWER);
        (void)snprintf(type, sizeof(type), "{\"type\":\"/errors/%s\",",
                       error_info(rows[i].e)->slug);
        ck_assert_msg(strncmp(rig_json(&rig), type, strlen(type)) == 0, "%s: %s", rows[i].body,
                      rig_body(&rig));
    }
    ck_assert_int_eq(start(BATCH("1,1,1")), STEP_ANSWER);
    ck_assert_int_eq(rig.request.response.status, 200);
}
END_TEST

/* --- order ----------------------------------------------------------------------------------- */

/* Two operations on one entry: which of them wait. */
static const struct {
    const char *body;
    struct talk_turn turns[4];
    const char *answer;
} orders[] = {
    /* Reads never wait for each other, and nothing waits for a plain write. */
    {BATCH(GET("k") "," GET("k")),
     {{PROBE("k") PROBE("k"), "$1\n:-1\n$1\n:-1"}},
     ANSWER(FOUND("k", "1") "," FOUND("k", "1"))},
    {BATCH(PUT("k", "1") "," GET("k") "," GET("x")),
     {{"SET k 1 EX 3600\n" PROBE("k") PROBE("x"), "+OK\n$1\n:-1\n$\n:-2"}},
     ANSWER(STORED("k", "1") "," FOUND("k", "1") "," MISSING("x"))},
    {BATCH(PUT("k", "1") "," PUT("k", "2") "," DELETE("k")),
     {{"SET k 1 EX 3600\nSET k 2 EX 3600\nEVALSHA remove 1 k\n", "+OK\n+OK\n:1"}},
     ANSWER(STORED("k", "1") "," STORED("k", "2") "," DELETED("k"))},
    /* What has still to change it is waited for. */
    {BATCH(SWAP("k", "2") "," GET("k")),
     {{PROBE("k"), "$1\n:-1"},
      {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":1"},
      {PROBE("k"), "$2\n:-1"}},
     ANSWER(STORED("k", "2") "," FOUND("k", "2"))},
    {BATCH(CREATE("k", "1") "," PUT("k", "2")),
     {{"SET k 1 EX 3600 NX\n", "+OK"}, {"SET k 2 EX 3600\n", "+OK"}},
     ANSWER(STORED("k", "1") "," STORED("k", "2"))},
    {BATCH("{\"method\":\"PUT\",\"key\":\"k\",\"value\":1,\"tags\":[\"a\"]}," GET("k")),
     {{"EVALSHA tags 1 \\xfftag:a 3660000 #\n", "[2\n:5\n$" N1},
      {"SET k " TAGGED "1 EX 3600\n" PROBE("k"), "+OK\n$" TAGGED "1\n:-1"},
      {MGET, "[1\n$" N1}},
     ANSWER(
         "{\"status\":200,\"key\":\"k\",\"value\":1,\"ttl\":3600,\"tags\":[\"a\"],\"etag\":"
         "\"\\\"#\\\"\"},{\"status\":200,\"key\":\"k\",\"value\":1,\"ttl\":null,\"tags\":[\"a\"],"
         "\"etag\":\"\\\"#\\\"\"}")},
    {BATCH(SWAP("k", "2") "," GET("x")),
     {{PROBE("k") PROBE("x"), "$1\n:-1\n$5\n:-1"},
      {"EVALSHA guard 1 k @ SET 3600000 KEEPTTL 2\n", ":1"}},
     ANSWER(STORED("k", "2") "," FOUND("x", "5"))},
    /* A removal that goes to its end in one step is one round trip more for the next. */
    {BATCH(DELETE("k") "," GET("k")),
     {{"EVALSHA remove 1 k\n", ":1"}, {PROBE("k"), "$\n:-2"}},
     ANSWER(DELETED("k") "," MISSING("k"))},
    /* What reads twice does not see what was asked for after it. */
    {BATCH(GET("k") "," PUT("k", "2")),
     {{PROBE("k"), "$\n:-1"}, {RELOAD("k"), "$\n:-1"}, {"SET k 2 EX 3600\n", "+OK"}},
     ANSWER(FOUND("k", "\"\"") "," STORED("k", "2"))},
    {BATCH(GET("k") "," DELETE("k") "," GET("k")),
     {{PROBE("k"), "$1\n:-1"}, {"EVALSHA remove 1 k\n", ":1"}, {PROBE("k"), "$\n:-2"}},
     ANSWER(FOUND("k", "1") "," DELETED("k") "," MISSING("k"))},
};

START_TEST(operations_on_one_key_happen_in_their_order) {
    ck_assert_int_eq(start(orders[_i].body), STEP_WAIT);
    size_t turns = 0;
    while (turns < 4 && orders[_i].turns[turns].commands != NULL)
        turns++;
    for (size_t i = 0; i + 1 < turns; i++)
        turn(orders[_i].turns[i].commands, orders[_i].turns[i].replies);
    last_turn(orders[_i].turns[turns - 1].commands, orders[_i].turns[turns - 1].replies,
              orders[_i].answer);
}
END_TEST

/* A script that has to be sent again would otherwise undo what was asked for after it. */
START_TEST(lost_script_does_not_change_the_order) {
    ck_assert_int_eq(start(BATCH(DELETE("k") "," PUT("k", "1") "," GET("x"))), STEP_WAIT);
    turn("EVALSHA remove 1 k\n", "-NOSCRIPT No matching script.");
    turn("EVAL remove 1 k\n", ":1");
    last_turn("SET k 1 EX 3600\n" PROBE("x"), "+OK\n$\n:-2",
              ANSWER(DELETED("k") "," STORED("k", "1") "," MISSING("x")));
}
END_TEST

START_TEST(lost_script_is_sent_again_by_those_that_need_it) {
    ck_assert_int_eq(start(BATCH(GET("a") "," DELETE("b") "," PUT("c", "1") "," DELETE("d"))),
                     STEP_WAIT);
    turn(PROBE("a") "EVALSHA remove 1 b\nSET c 1 EX 3600\nEVALSHA remove 1 d\n",
         "$1\n:-1\n-NOSCRIPT No matching script.\n+OK\n-NOSCRIPT No matching script.");
    last_turn("EVAL remove 1 b\nEVAL remove 1 d\n", ":1\n:0",
              ANSWER(FOUND("a", "1") "," DELETED("b") "," STORED("c", "1") "," MISSING("d")));
}
END_TEST

/* --- failures -------------------------------------------------------------------------------- */

START_TEST(refused_operation_fails_alone) {
    ck_assert_int_eq(start(BATCH(GET("a") "," PUT("b", "1") "," DELETE("c") "," GET("d"))),
                     STEP_WAIT);
    last_turn(
        PROBE("a") "SET b 1 EX 3600\nEVALSHA remove 1 c\n" PROBE("d"),
        "-BUSY x\n-BUSY x\n+OK\n-BUSY x\n$1\n:-1",
        ANSWER(BUSY("a", "") "," STORED("b", "1") "," BUSY("c", NOT_APPLIED) "," FOUND("d", "1")));
}
END_TEST

/* What came with it may be anybody's, be it before or after it. */
START_TEST(senseless_reply_ends_the_trust_in_all_of_its_round) {
    ck_assert_int_eq(start(BATCH(GET("a") "," PUT("b", "1") "," GET("c") "," PUT("d", "2"))),
                     STEP_WAIT);
    last_turn(PROBE("a") "SET b 1 EX 3600\n" PROBE("c") "SET d 2 EX 3600\n",
              "$1\n:-1\n+OK\n$1\n+OK\n+OK",
              ANSWER(SENSELESS("a", "") "," SENSELESS("b", UNKNOWN) "," SENSELESS(
                  "c", "") "," SENSELESS("d", UNKNOWN)));
    ck_assert(talk_is_distrusted(&rig));
}
END_TEST

/* What was done before it, in another round, is done. What was about to be done isn't. */
START_TEST(senseless_reply_of_a_later_round_leaves_the_earlier_ones) {
    ck_assert_int_eq(start(BATCH(SWAP("b", "2") "," PUT("a", "1") "," SWAP("c", "3"))), STEP_WAIT);
    turn(PROBE("b") "SET a 1 EX 3600\n" PROBE("c"), "$1\n:-1\n+OK\n$1\n:-1");
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, ":1\n+OK"), STEP_ANSWER);
    talk_check_answer(
        &rig, ANSWER(SENSELESS("b", UNKNOWN) "," STORED("a", "1") "," SENSELESS("c", UNKNOWN)));
}
END_TEST

START_TEST(what_a_senseless_reply_prevents_is_not_applied) {
    ck_assert_int_eq(start(BATCH(SWAP("b", "2") "," GET("c"))), STEP_WAIT);
    last_turn(PROBE("b") PROBE("c"), "$1\n:-1\n:1\n$1",
              ANSWER(SENSELESS("b", NOT_APPLIED) "," SENSELESS("c", "")));
}
END_TEST

/* An array of the wrong length does not shift what belongs to the others, but nobody knows why it
 * is there. */
START_TEST(replies_are_counted_as_a_whole) {
    ck_assert_int_eq(
        start(BATCH("{\"method\":\"PUT\",\"key\":\"k\",\"value\":1,\"tags\":[\"a\"]}," GET("c"))),
        STEP_WAIT);
    last_turn("EVALSHA tags 1 \\xfftag:a 3660000 #\n" PROBE("c"), "[3\n:5\n$x\n$y\n$1\n:-1",
              ANSWER(SENSELESS("k", NOT_APPLIED) "," SENSELESS("c", "")));
}
END_TEST

START_TEST(redis_that_leaves_at_once_fails_all_of_it) {
    ck_assert_int_eq(start(BATCH(GET("a") "," PUT("b", "1"))), STEP_WAIT);
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
    talk_check_answer(&rig, "503 {\"type\":\"/errors/backend-unavailable\",\"title\":\"Service "
                            "Unavailable\",\"status\":503,\"detail\":\"Redis connection failed\","
                            "\"outcome\":\"unknown\",\"retry_after\":1}");
}
END_TEST

START_TEST(redis_that_is_away_fails_all_of_it_before_it_began) {
    talk_lose_redis(&rig);
    ck_assert_int_eq(start(BATCH(GET("a") "," PUT("b", "1"))), STEP_ANSWER);
    talk_check_answer(&rig, "503 {\"type\":\"/errors/backend-unavailable\",\"title\":\"Service "
                            "Unavailable\",\"status\":503,\"detail\":\"Redis connection failed\","
                            "\"outcome\":\"not-applied\",\"retry_after\":1}");
}
END_TEST

/* What is done stays done; of the rest each says what may have become of it. */
START_TEST(redis_that_leaves_in_the_middle_fails_what_is_left) {
    ck_assert_int_eq(start(BATCH(PUT("a", "1") "," SWAP("b", "2") "," GET("c") "," DELETE(
                         "d") "," SWAP("e", "2") "," GET("e"))),
                     STEP_WAIT);
    turn("SET a 1 EX 3600\n" PROBE("b") PROBE("c") "EVALSHA remove 1 d\n" PROBE("e"),
         "+OK\n$1\n:-1\n$\n:-1\n$" TAGGED "\n$" TAGGED "1\n:-1");
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_hang_up(&rig), STEP_ANSWER);
    (void)rig_json(&rig);
    talk_check_answer(&rig,
                      ANSWER(STORED("a", "1") "," GONE("b", UNKNOWN) "," GONE("c", "") "," GONE(
                          "d", UNKNOWN) "," GONE("e", NOT_APPLIED) "," GONE("e", "")));
}
END_TEST

START_TEST(redis_that_is_away_in_the_middle_fails_what_is_left) {
    ck_assert_int_eq(start(BATCH(PUT("a", "1") "," SWAP("b", "2") "," DELETE("d"))), STEP_WAIT);
    talk_expect(&rig, "SET a 1 EX 3600\n" PROBE("b") "EVALSHA remove 1 d\n");
    talk_deliver(&rig, "+OK\n$1\n:-1\n$" TAGGED);
    talk_lose_redis(&rig);
    ck_assert_int_eq(request_continue(&rig.request), STEP_ANSWER);
    talk_check_answer(&rig,
                      ANSWER(STORED("a", "1") "," GONE("b", NOT_APPLIED) "," GONE("d", UNKNOWN)));
}
END_TEST

START_TEST(want_of_memory_fails_what_is_left) {
    ck_assert_int_eq(start(BATCH(PUT("a", "1") "," SWAP("b", "2"))), STEP_WAIT);
    turn("SET a 1 EX 3600\n" PROBE("b"), "+OK\n$1\n:-1");
    (void)rig_commands(&rig);
    rig.request.arena.failed = true;
    ck_assert_int_eq(talk_reply(&rig, ":1"), STEP_ANSWER);
    talk_check_answer(
        &rig,
        ANSWER(STORED("a", "1") ",{\"status\":503,\"type\":\"/errors/out-of-memory\","
                                "\"title\":\"Service Unavailable\",\"detail\":\"The service "
                                "is out of memory.\",\"key\":\"b\"" UNKNOWN ",\"retry_after\":1}"));
}
END_TEST

/* --- size ------------------------------------------------------------------------------------ */

static void put_reply(struct buf *replies, size_t n) {
    buf_put_char(replies, '$');
    ck_assert(buf_reserve(replies, n));
    memset(replies->p + replies->n, '1', n);
    replies->n += n;
    buf_puts(replies, "\n:-1\n");
}

static void deliver_sizes(const size_t *sizes, size_t n, enum step expected) {
    struct buf replies = {0};
    for (size_t i = 0; i < n; i++)
        put_reply(&replies, sizes[i]);
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(talk_reply(&rig, replies.p), expected);
    buf_fini(&replies);
}

/* A probe that is full may be cut. */
START_TEST(values_that_fill_their_probe_are_asked_for_again) {
    ck_assert_int_eq(start(BATCH(GET("a") "," GET("b"))), STEP_WAIT);
    talk_expect(&rig, PROBE("a") PROBE("b"));
    deliver_sizes((size_t[]){OP_PROBE_BYTES - 1, OP_PROBE_BYTES}, 2, STEP_WAIT);
    talk_expect(&rig, WHOLE("b"));
    deliver_sizes((size_t[]){OP_PROBE_BYTES + 1}, 1, STEP_ANSWER);
    size_t values = OP_PROBE_BYTES - 1 + OP_PROBE_BYTES + 1;
    ck_assert_uint_gt(rig.request.response.body.n, values);
    ck_assert_uint_lt(rig.request.response.body.n, values + 300);
}
END_TEST

/* Values of one round stay where they are while the next is asked for. */
START_TEST(values_of_an_earlier_round_are_still_theirs) {
    ck_assert_int_eq(start(BATCH(GET("a") "," SWAP("b", "2") "," GET("c"))), STEP_WAIT);
    turn(PROBE("a") PROBE("b") PROBE("c"), "$\"first\"\n:-1\n$1\n:-1\n$" TAGGED "\"third\"\n:-1");
    (void)rig_commands(&rig);
    ck_assert_int_eq(talk_reply(&rig, ":0\n[1\n$" N1), STEP_WAIT);
    turn(PROBE("b"), "$another value, to be where they were\n:-1");
    last_turn("EVALSHA guard 1 b @ SET 3600000 KEEPTTL 2\n", ":1",
              ANSWER(FOUND("a", "\"first\"") "," STORED(
                  "b", "2") ","
                            "{\"status\":200,\"key\":\"c\",\"value\":\"third\",\"ttl\":null,"
                            "\"tags\":[\"a\"],\"etag\":\"\\\"#\\\"\"}"));
}
END_TEST

enum { LARGE = 8 << 20 };

/* The answer has `n` large values, and then one that was too much. */
static void check_cut(size_t n) {
    const struct buf *body = &rig.request.response.body;
    ck_assert_uint_gt(body->n, n * LARGE);
    ck_assert_uint_lt(body->n, n * LARGE + 2000);
    const char *last = memmem(body->p + n * LARGE, body->n - n * LARGE, "{\"status\":413,", 14);
    ck_assert_ptr_nonnull(last);
    ck_assert_ptr_nonnull(
        memmem(last, (size_t)(body->p + body->n - last), "/errors/batch-too-large", 23));
}

/* The last one has no room. */
START_TEST(large_values_come_a_few_at_a_time_up_to_a_limit) {
    const size_t probes[] = {OP_PROBE_BYTES, OP_PROBE_BYTES, OP_PROBE_BYTES, OP_PROBE_BYTES,
                             OP_PROBE_BYTES};
    const size_t large[] = {LARGE, LARGE, LARGE, LARGE};
    ck_assert_int_eq(start(BATCH(GET("a") "," GET("b") "," GET("c") "," GET("d") "," GET("e"))),
                     STEP_WAIT);
    talk_expect(&rig, PROBE("a") PROBE("b") PROBE("c") PROBE("d") PROBE("e"));
    deliver_sizes(probes, COUNT_OF(probes), STEP_WAIT);
    talk_expect(&rig, WHOLE("a") WHOLE("b") WHOLE("c") WHOLE("d"));
    deliver_sizes(large, COUNT_OF(large), STEP_WAIT);
    talk_expect(&rig, WHOLE("e"));
    deliver_sizes(large, 1, STEP_ANSWER);
    check_cut(4);
}
END_TEST

START_TEST(values_are_limited_together) {
    const size_t probes[] = {1, OP_PROBE_BYTES, OP_PROBE_BYTES, OP_PROBE_BYTES, OP_PROBE_BYTES};
    const size_t large[] = {LARGE, LARGE, LARGE, LARGE};
    ck_assert_int_eq(start(BATCH(GET("a") "," GET("b") "," GET("c") "," GET("d") "," GET("e"))),
                     STEP_WAIT);
    talk_expect(&rig, PROBE("a") PROBE("b") PROBE("c") PROBE("d") PROBE("e"));
    deliver_sizes(probes, COUNT_OF(probes), STEP_WAIT);
    talk_expect(&rig, WHOLE("b") WHOLE("c") WHOLE("d") WHOLE("e"));
    deliver_sizes(large, COUNT_OF(large), STEP_ANSWER);
    check_cut(3);
}
END_TEST

static size_t count_lines(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

/* Each holds some memory: so many go at once, and the next one begins when one of them has ended.
 */
START_TEST(so_many_batches_go_at_once) {
    unsigned most = 0;
    while (request_may_claim(&rig.service, SHARE_BATCH) && most < 1000)
        rig.service.shares[SHARE_BATCH] = (uint8_t)++most;
    ck_assert_uint_lt(most, 100);
    ck_assert_int_eq(start("{\"operations\":[{\"method\":\"GET\",\"key\":\"a\"}]}"), STEP_HOLD);
    ck_assert_int_eq(rig.request.awaits, SHARE_BATCH);
    ck_assert_str_eq(rig_commands(&rig), "");
    rig.service.shares[SHARE_BATCH]--;
    ck_assert_int_eq(request_continue(&rig.request), STEP_WAIT);
    ck_assert_uint_eq(count_lines(rig_commands(&rig)), 2);
    ck_assert_int_eq(talk_reply(&rig, "_\n:-2"), STEP_ANSWER);
    request_reset(&rig.request);
    ck_assert(request_may_claim(&rig.service, SHARE_BATCH));
}
END_TEST

START_TEST(long_batches_go_in_rounds) {
    enum { ITEMS = 1100, AT_ONCE = 1024 };
    struct buf body = {0};
    struct buf replies = {0};
    buf_puts(&body, "{\"operations\":[");
    for (int i = 0; i < ITEMS; i++)
        buf_printf(&body, "%s{\"method\":\"GET\",\"key\":\"k%d\"}", i > 0 ? "," : "", i);
    buf_puts(&body, "]}");
    buf_put_char(&body, '\0');
    ck_assert_int_eq(start(body.p), STEP_WAIT);
    ck_assert_uint_eq(count_lines(rig_commands(&rig)), (size_t)2 * AT_ONCE);
    for (int i = 0; i < AT_ONCE; i++)
        buf_printf(&replies, "$%d\n:-1\n", i);
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(talk_reply(&rig, replies.p), STEP_WAIT);
    ck_assert_uint_eq(count_lines(rig_commands(&rig)), (size_t)2 * (ITEMS - AT_ONCE));
    buf_reset(&replies, SIZE_MAX);
    for (int i = AT_ONCE; i < ITEMS; i++)
        buf_printf(&replies, "$%d\n:-1\n", i);
    buf_put_char(&replies, '\0');
    ck_assert_int_eq(talk_reply(&rig, replies.p), STEP_ANSWER);
    struct slice results = buf_slice(&rig.request.response.body);
    ck_assert_int_eq(jsontext_check(results, NULL, NULL), OK);
    const char *at = results.p;
    for (int i = 0; i < ITEMS; i++) {
        char result[64];
        int n = snprintf(result, sizeof(result), "\"key\":\"k%d\",\"value\":%d,", i, i);
        at = memmem(at, (size_t)(results.p + results.n - at), result, (size_t)n);
        ck_assert_msg(at != NULL, "%s", result);
    }
    buf_fini(&body);
    buf_fini(&replies);
}
END_TEST

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_set_timeout(t, 20);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_batch(void) {
    Suite *s = suite_create("batch");
    TCase *t = add_case(s, "results");
    tcase_add_test(t, operations_go_together_and_are_answered_in_order);
    tcase_add_test(t, operations_take_what_they_take_alone);
    tcase_add_test(t, operations_that_are_none_fail_alone);
    tcase_add_test(t, batch_of_nothing_but_faults_asks_nothing);
    t = add_case(s, "documents");
    tcase_add_test(t, documents_that_are_no_batch_are_refused);
    t = add_case(s, "order");
    tcase_add_loop_test(t, operations_on_one_key_happen_in_their_order, 0, COUNT_OF(orders));
    tcase_add_test(t, lost_script_does_not_change_the_order);
    tcase_add_test(t, lost_script_is_sent_again_by_those_that_need_it);
    t = add_case(s, "failures");
    tcase_add_test(t, refused_operation_fails_alone);
    tcase_add_test(t, senseless_reply_ends_the_trust_in_all_of_its_round);
    tcase_add_test(t, senseless_reply_of_a_later_round_leaves_the_earlier_ones);
    tcase_add_test(t, what_a_senseless_reply_prevents_is_not_applied);
    tcase_add_test(t, replies_are_counted_as_a_whole);
    tcase_add_test(t, redis_that_leaves_at_once_fails_all_of_it);
    tcase_add_test(t, redis_that_is_away_fails_all_of_it_before_it_began);
    tcase_add_test(t, redis_that_leaves_in_the_middle_fails_what_is_left);
    tcase_add_test(t, redis_that_is_away_in_the_middle_fails_what_is_left);
    tcase_add_test(t, want_of_memory_fails_what_is_left);
    t = add_case(s, "size");
    tcase_add_test(t, values_that_fill_their_probe_are_asked_for_again);
    tcase_add_test(t, values_of_an_earlier_round_are_still_theirs);
    tcase_add_test(t, large_values_come_a_few_at_a_time_up_to_a_limit);
    tcase_add_test(t, values_are_limited_together);
    tcase_add_test(t, so_many_batches_go_at_once);
    tcase_add_test(t, long_batches_go_in_rounds);
    return s;
}
