/* The handshake: what is said for each configuration, and what is made of the replies. */
#include "units.h"

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "redis/handshake.h"
#include "support.h"

static struct config config;
static struct outqueue q;
static struct replies replies;
static struct handshake_result result;

static void setup(void) {
    config = (struct config){.max_memory_policy = POLICY_ALLKEYS_LRU};
    q = (struct outqueue){0};
    replies = (struct replies){0};
}

static void teardown(void) {
    outqueue_fini(&q);
    buf_fini(&replies.nodes);
    buf_fini(&replies.bytes);
}

static void set(char text[CONFIG_TEXT_MAX], const char *value) {
    (void)snprintf(text, CONFIG_TEXT_MAX, "%s", value);
}

/* --- commands -------------------------------------------------------------------------------- */

/* The commands as text, one a line; how many there are is what handshake_put gave. */
static const char *commands(void) {
    unsigned count = handshake_put(&config, &q);
    ck_assert(!outqueue_failed(&q));
    ck_assert_uint_eq(q.unsent, q.bytes.n);
    struct slice bytes = buf_slice(&q.bytes);
    const char *text = commands_take(&bytes);
    ck_assert_uint_eq(bytes.n, 0);
    for (const char *end = strchr(text, '\n'); end != NULL; end = strchr(end + 1, '\n'))
        count--;
    ck_assert_uint_eq(count, 0);
    return text;
}

START_TEST(plain_connection_asks_selects_and_sets_the_policy) {
    ck_assert_str_eq(commands(), "INFO server\n"
                                 "SELECT 0\n"
                                 "CONFIG SET maxmemory-policy allkeys-lru\n" SCRIPTS_LOAD);
}
END_TEST

START_TEST(password_comes_first) {
    set(config.redis_password, "secret word");
    ck_assert_str_eq(commands(), "AUTH secret word\n"
                                 "INFO server\n"
                                 "SELECT 0\n"
                                 "CONFIG SET maxmemory-policy allkeys-lru\n" SCRIPTS_LOAD);
}
END_TEST

START_TEST(user_goes_with_the_password) {
    set(config.redis_password, "p");
    set(config.redis_username, "u");
    ck_assert_str_eq(commands(), "AUTH u p\n"
                                 "INFO server\n"
                                 "SELECT 0\n"
                                 "CONFIG SET maxmemory-policy allkeys-lru\n" SCRIPTS_LOAD);
}
END_TEST

START_TEST(user_without_a_password_is_nobody) {
    set(config.redis_username, "u");
    ck_assert_int_eq(strncmp(commands(), "INFO", 4), 0);
}
END_TEST

START_TEST(database_and_memory_are_numbers) {
    config.redis_db = 1000000;
    config.max_memory_set = true;
    config.max_memory = INT64_C(1) << 50;
    ck_assert_str_eq(commands(), "INFO server\n"
                                 "SELECT 1000000\n"
                                 "CONFIG SET maxmemory-policy allkeys-lru\n"
                                 "CONFIG SET maxmemory 1125899906842624\n" SCRIPTS_LOAD);
}
END_TEST

START_TEST(memory_may_be_unlimited) {
    config.max_memory_set = true;
    ck_assert_ptr_nonnull(strstr(commands(), "CONFIG SET maxmemory 0\n"));
}
END_TEST

START_TEST(every_policy_has_redis_name) {
    static const char *const names[POLICY_COUNT] = {
        [POLICY_NOEVICTION] = "noeviction",           [POLICY_ALLKEYS_LRU] = "allkeys-lru",
        [POLICY_ALLKEYS_LFU] = "allkeys-lfu",         [POLICY_ALLKEYS_RANDOM] = "allkeys-random",
        [POLICY_VOLATILE_LRU] = "volatile-lru",       [POLICY_VOLATILE_LFU] = "volatile-lfu",
        [POLICY_VOLATILE_RANDOM] = "volatile-random", [POLICY_VOLATILE_TTL] = "volatile-ttl",
    };
    for (int i = 0; i < POLICY_COUNT; i++) {
        char line[64];
        outqueue_reset(&q);
        config.max_memory_policy = i;
        (void)snprintf(line, sizeof(line), "CONFIG SET maxmemory-policy %s\n", names[i]);
        ck_assert_ptr_nonnull(strstr(commands(), line));
    }
}
END_TEST

/* A Redis that others use, too, keeps its own policy. */
START_TEST(policy_is_left_alone_where_others_are) {
    set(config.key_prefix, "app:");
    ck_assert_str_eq(commands(), "INFO server\n"
                                 "SELECT 0\n" SCRIPTS_LOAD);
}
END_TEST

START_TEST(policy_is_set_where_others_are_if_it_is_wanted) {
    set(config.key_prefix, "app:");
    config.max_memory_policy_set = true;
    config.max_memory_set = true;
    ck_assert_str_eq(commands(), "INFO server\n"
                                 "SELECT 0\n"
                                 "CONFIG SET maxmemory-policy allkeys-lru\n"
                                 "CONFIG SET maxmemory 0\n" SCRIPTS_LOAD);
}
END_TEST

/* --- replies --------------------------------------------------------------------------------- */

/* "+status", "-error" or a bulk string. */
static void put_reply(const char *text) {
    enum reply_type type = REPLY_STRING;
    if (text[0] == '+')
        type = REPLY_STATUS;
    else if (text[0] == '-')
        type = REPLY_ERROR;
    const char *words = type == REPLY_STRING ? text : text + 1;
    struct reply node = {type, 0, replies.bytes.n, strlen(words)};
    buf_puts(&replies.bytes, words);
    buf_put(&replies.nodes, &node, sizeof(node));
}

#define DIGEST "0123456789abcdef0123456789abcdef01234567"

static void put_scripts_loaded(void) {
    for (enum script script = 0; script < SCRIPT_COUNT; script++)
        put_reply(DIGEST);
}

#define INFO "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\n"

enum { REPLIES_MAX = 6 };

static const struct {
    const char *password;
    const char *reply[REPLIES_MAX];
    enum error e;
    bool policy_refused;
    const char *version;
    const char *fault; /* starts so */
} verdicts[] = {
    {"", {INFO, "+OK", "+OK"}, OK, false, "7.0.15", ""},
    {"", {INFO, "+OK", "+OK", "+OK"}, OK, false, "7.0.15", ""},
    {"p", {"+OK", INFO, "+OK", "+OK"}, OK, false, "7.0.15", ""},

    /* Versions. 6.2 is the oldest. */
    {"", {"redis_version:6.2.0\r\n", "+OK", "+OK"}, OK, false, "6.2.0", ""},
    {"", {"redis_version:6.10\r\n", "+OK", "+OK"}, OK, false, "6.10", ""},
    {"", {"redis_version:10.0\r\n", "+OK", "+OK"}, OK, false, "10.0", ""},
    {"", {"redis_version:255.255.255\r\n", "+OK", "+OK"}, OK, false, "255.255.255", ""},
    {"", {"redis_version:unstable\r\n", "+OK", "+OK"}, OK, false, "unstable", ""},
    {"", {"", "+OK", "+OK"}, OK, false, "", ""},
    {"", {"redis_mode:standalone\r\n", "+OK", "+OK"}, OK, false, "", ""},
    {"", {"redis_version:6.1.9\r\n", "+OK", "+OK"}, E_BACKEND_REFUSED, false, "6.1.9", "this "},
    {"", {"redis_version:6.0.16\r\n", "+OK", "+OK"}, E_BACKEND_REFUSED, false, "6.0.16", "this "},
    {"", {"redis_version:5.9\r\n", "+OK", "+OK"}, E_BACKEND_REFUSED, false, "5.9", "this "},

    /* Authentication. */
    {"p",
     {"-WRONGPASS invalid username-password pair or user is disabled.",
      "-NOAUTH Authentication required.", "-NOAUTH Authentication required.",
      "-NOAUTH Authentication required."},
     E_BACKEND_REFUSED,
     false,
     "",
     "AUTH: WRONGPASS"},
    {"",
     {"-NOAUTH Authentication required.", "-NOAUTH Authentication required.",
      "-NOAUTH Authentication required."},
     E_BACKEND_REFUSED,
     false,
     "",
     "INFO: NOAUTH"},
    {"p", {"+OK", "-NOAUTH x", "-NOAUTH x", "-NOAUTH x"}, E_BACKEND_REFUSED, false, "", "INFO: "},
    {"p",
     {"-ERR AUTH <password> called without any password configured for the default user.", INFO,
      "+OK", "+OK"},
     E_BACKEND_REFUSED,
     false,
     "",
     "AUTH: ERR"},

    /* A user with few rights. */
    {"p",
     {"+OK", "-NOPERM this user has no permissions to run the 'info' command", "+OK", "+OK"},
     OK,
     false,
     "",
     ""},
    {"p",
     {"+OK", INFO, "+OK", "-NOPERM this user has no permissions to run the 'config|set'"},
     OK,
     true,
     "7.0.15",
     "CONFIG SET: NOPERM"},
    {"p",
     {"+OK", "-NOPERM info", "+OK", "-NOPERM config", "-NOPERM config"},
     OK,
     true,
     "",
     "CONFIG SET: "},
    {"p",
     {"+OK", "-NOPERM info", "-NOPERM select", "+OK"},
     E_BACKEND_REFUSED,
     false,
     "",
     "SELECT: NOPERM"},

    /* CONFIG renamed, or a value it does not take. */
    {"", {INFO, "+OK", "-ERR unknown command 'CONFIG'"}, OK, true, "7.0.15", "CONFIG SET: ERR"},
    {"", {INFO, "+OK", "+OK", "-ERR CONFIG SET failed"}, OK, true, "7.0.15", "CONFIG SET: ERR"},
    {"", {INFO, "+OK", "-ERR first", "+OK"}, OK, true, "7.0.15", "CONFIG SET: ERR first"},

    {"",
     {INFO, "-ERR DB index is out of range", "+OK"},
     E_BACKEND_REFUSED,
     false,
     "7.0.15",
     "SELECT: ERR DB"},

    /* Redis is not well, or not ours to use. */
    {"",
     {"-LOADING Redis is loading the dataset in memory", "-LOADING x", "-LOADING x"},
     E_BACKEND_LOADING,
     false,
     "",
     "INFO: LOADING"},
    {"",
     {INFO, "-LOADING Redis is loading the dataset in memory", "+OK"},
     E_BACKEND_LOADING,
     false,
     "7.0.15",
     "SELECT: LOADING"},
    {"",
     {"-ERR max number of clients reached", "x", "x"},
     E_BACKEND_UNAVAILABLE,
     false,
     "",
     "INFO: ERR max"},
    {"",
     {"-DENIED Redis is running in protected mode", "x", "x"},
     E_BACKEND_REFUSED,
     false,
     "",
     "INFO: DENIED"},
    {"", {"-BUSY Redis is busy running a script.", "x", "x"}, E_BACKEND_BUSY, false, "", "INFO: "},
    {"",
     {"-MASTERDOWN Link with MASTER is down", "x", "x"},
     E_BACKEND_UNAVAILABLE,
     false,
     "",
     "INFO: "},

    /* Replies to something else: with one too many or too few, nothing that follows is ours. */
    {"p", {INFO, INFO, "+OK", "+OK"}, E_BACKEND_REFUSED, false, "", "AUTH: the reply"},
    {"p", {"+PONG", INFO, "+OK", "+OK"}, E_BACKEND_REFUSED, false, "", "AUTH: the reply"},
    {"", {"+OK", INFO, "+OK"}, E_BACKEND_REFUSED, false, "", "INFO: the reply"},
    {"", {"-NOSCRIPT no", "+OK", "+OK"}, E_BACKEND_REFUSED, false, "", "INFO: the reply"},
    {"", {INFO, INFO, "+OK", "+OK"}, E_BACKEND_REFUSED, false, "7.0.15", "SELECT: the reply"},
    {"", {INFO, "+QUEUED", "+OK"}, E_BACKEND_REFUSED, false, "7.0.15", "SELECT: the reply"},
    {"", {INFO, "+OK", "x"}, E_BACKEND_REFUSED, false, "7.0.15", "CONFIG SET: the reply"},
    {"", {INFO, "+OK", "+OK", "+OK", "+OK"}, E_BACKEND_REFUSED, false, "7.0.15", "SCRIPT LOAD: "},
    {"", {INFO, "+OK", "+OK", "+OK", "01"}, E_BACKEND_REFUSED, false, "7.0.15", "SCRIPT LOAD: "},
};

START_TEST(replies_decide_whether_the_connection_serves) {
    set(config.redis_password, verdicts[_i].password);
    size_t count = 0;
    for (; count < REPLIES_MAX && verdicts[_i].reply[count] != NULL; count++)
        put_reply(verdicts[_i].reply[count]);
    config.max_memory_set = count >= (verdicts[_i].password[0] != '\0' ? 5 : 4);
    put_scripts_loaded();
    memset(&result, 'x', sizeof(result));
    enum error e = handshake_check(&config, &replies, &result);
    ck_assert_msg(e == verdicts[_i].e, "%s instead of %s", e == OK ? "ok" : error_info(e)->slug,
                  verdicts[_i].e == OK ? "ok" : error_info(verdicts[_i].e)->slug);
    ck_assert_str_eq(result.version, verdicts[_i].version);
    ck_assert_int_eq(result.policy_refused, verdicts[_i].policy_refused);
    ck_assert_msg(strncmp(result.fault, verdicts[_i].fault, strlen(verdicts[_i].fault)) == 0, "%s",
                  result.fault);
    ck_assert(verdicts[_i].fault[0] != '\0' || result.fault[0] == '\0');
}
END_TEST

/* The replies come one by one: what is good so far is neither good nor bad. */
START_TEST(first_replies_are_judged_without_the_rest) {
    static const char *const good[] = {"+OK", INFO, "+OK", "+OK", "+OK"};
    set(config.redis_password, "p");
    config.max_memory_set = true;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        ck_assert_int_eq(handshake_check(&config, &replies, &result), E_AGAIN);
        put_reply(good[i]);
    }
    for (enum script script = 0; script < SCRIPT_COUNT; script++) {
        ck_assert_int_eq(handshake_check(&config, &replies, &result), E_AGAIN);
        put_reply(DIGEST);
    }
    ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
}
END_TEST

/* A reply is not taken for one of a command that was not sent. */
START_TEST(replies_are_as_many_as_commands) {
    set(config.key_prefix, "app:");
    put_reply(INFO);
    put_reply("+OK");
    for (enum script script = 0; script < SCRIPT_COUNT; script++) {
        ck_assert_int_eq(handshake_check(&config, &replies, &result), E_AGAIN);
        put_reply("-NOPERM no");
    }
    ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
    ck_assert(!result.policy_refused);
    ck_assert_str_eq(result.fault, "");
    ck_assert_str_eq(result.scripts_fault, "NOPERM no");
}
END_TEST

/* Most requests need no script. */
START_TEST(scripts_that_are_refused_are_no_failure) {
    for (enum script refused = 0; refused < SCRIPT_COUNT; refused++) {
        buf_reset(&replies.nodes, 0);
        buf_reset(&replies.bytes, 0);
        put_reply(INFO);
        put_reply("+OK");
        put_reply("+OK");
        for (enum script script = 0; script < SCRIPT_COUNT; script++) {
            if (script == refused)
                put_reply("-NOPERM first");
            else
                put_reply(script > refused ? "-NOPERM second" : DIGEST);
        }
        ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
        ck_assert_str_eq(result.scripts_fault, "NOPERM first");
        ck_assert_str_eq(result.fault, "");
        ck_assert(!result.policy_refused);
    }
    ck_assert_str_eq(result.version, "7.0.15");
}
END_TEST

START_TEST(scripts_that_are_taken_are_no_fault) {
    memset(&result, 'x', sizeof(result));
    put_reply(INFO);
    put_reply("+OK");
    put_reply("-ERR no");
    put_scripts_loaded();
    ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
    ck_assert_str_eq(result.scripts_fault, "");
    ck_assert(result.policy_refused);
}
END_TEST

START_TEST(first_reply_may_be_the_last) {
    put_reply("-DENIED Redis is running in protected mode");
    ck_assert_int_eq(handshake_check(&config, &replies, &result), E_BACKEND_REFUSED);
    ck_assert_int_eq(strncmp(result.fault, "INFO: DENIED", 12), 0);
}
END_TEST

START_TEST(words_without_end_are_cut) {
    char words[1000];
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    words[0] = '-';
    put_reply(words);
    put_reply("+OK");
    put_reply("+OK");
    ck_assert_int_eq(handshake_check(&config, &replies, &result), E_BACKEND_REFUSED);
    ck_assert_uint_eq(strlen(result.fault), sizeof(result.fault) - 1);
    buf_reset(&replies.nodes, 0);
    buf_reset(&replies.bytes, 0);
    memcpy(words, "redis_version:7.", strlen("redis_version:7."));
    put_reply(words);
    put_reply("+OK");
    put_reply("+OK");
    put_scripts_loaded();
    ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
    ck_assert_uint_eq(strlen(result.version), sizeof(result.version) - 1);
    buf_reset(&replies.nodes, 0);
    buf_reset(&replies.bytes, 0);
    memset(words, 'w', sizeof(words) - 1);
    words[0] = '-';
    put_reply(INFO);
    put_reply("+OK");
    put_reply("+OK");
    for (enum script script = 0; script < SCRIPT_COUNT; script++)
        put_reply(words);
    ck_assert_int_eq(handshake_check(&config, &replies, &result), OK);
    ck_assert_uint_lt(strlen(result.scripts_fault), sizeof(result.scripts_fault));
    ck_assert_uint_gt(strlen(result.scripts_fault), 50);
}
END_TEST

START_TEST(fault_has_no_password) {
    set(config.redis_password, "hunter2");
    put_reply("-WRONGPASS x");
    put_reply("-NOAUTH x");
    put_reply("-NOAUTH x");
    put_reply("-NOAUTH x");
    ck_assert_int_eq(handshake_check(&config, &replies, &result), E_BACKEND_REFUSED);
    ck_assert_ptr_null(strstr(result.fault, "hunter2"));
}
END_TEST

/* --- the suite ------------------------------------------------------------------------------- */

static TCase *add_case(Suite *s, const char *name) {
    TCase *t = tcase_create(name);
    tcase_add_checked_fixture(t, setup, teardown);
    suite_add_tcase(s, t);
    return t;
}

Suite *suite_handshake(void) {
    Suite *s = suite_create("handshake");
    TCase *t = add_case(s, "commands");
    tcase_add_test(t, plain_connection_asks_selects_and_sets_the_policy);
    tcase_add_test(t, password_comes_first);
    tcase_add_test(t, user_goes_with_the_password);
    tcase_add_test(t, user_without_a_password_is_nobody);
    tcase_add_test(t, database_and_memory_are_numbers);
    tcase_add_test(t, memory_may_be_unlimited);
    tcase_add_test(t, every_policy_has_redis_name);
    tcase_add_test(t, policy_is_left_alone_where_others_are);
    tcase_add_test(t, policy_is_set_where_others_are_if_it_is_wanted);
    t = add_case(s, "replies");
    tcase_add_loop_test(t, replies_decide_whether_the_connection_serves, 0, COUNT_OF(verdicts));
    tcase_add_test(t, first_replies_are_judged_without_the_rest);
    tcase_add_test(t, replies_are_as_many_as_commands);
    tcase_add_test(t, scripts_that_are_refused_are_no_failure);
    tcase_add_test(t, scripts_that_are_taken_are_no_fault);
    tcase_add_test(t, first_reply_may_be_the_last);
    tcase_add_test(t, words_without_end_are_cut);
    tcase_add_test(t, fault_has_no_password);
    return s;
}
