/* The option table and the spelling of values. */
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_option.h"

static struct config config;

static const struct option *row(const char *name) {
    const struct option *option = option_find(slice_of(name));
    ck_assert_msg(option != NULL, "no option %s", name);
    return option;
}

static const char *text(struct buf *b) {
    buf_put_char(b, '\0');
    b->n--;
    ck_assert(!buf_failed(b));
    return b->p;
}

START_TEST(rows_are_sound) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        struct buf why = {0};
        struct buf printed = {0};
        ck_assert_msg(option_parse(option, slice_of(option->fallback), &config, &why) == OK,
                      "%s: its default %s", option->name, text(&why));
        option_print(option, &config, &printed);
        ck_assert_str_eq(text(&printed), option->fallback);
        ck_assert_uint_eq(strspn(option->name, "abcdefghijklmnopqrstuvwxyz_"),
                          strlen(option->name));
        ck_assert_uint_eq(strspn(option->environment, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"),
                          strlen(option->environment));
        for (size_t j = 0; j < i; j++) {
            ck_assert_str_ne(option->environment, option_table[j].environment);
            ck_assert_str_ne(option->name, option_table[j].name);
        }
        /* Groups stand together, so that --help has each heading once. */
        ck_assert(i == 0 || option->group >= option_table[i - 1].group);
        ck_assert(option->kind != OPTION_KIND_CHOICE || option->words != NULL);
        buf_fini(&printed);
        buf_fini(&why);
    }
}
END_TEST

/* Those that are not larder's own have the names that users of Redis and of the original service
 * know. */
START_TEST(environment_names_are_the_promised_ones) {
    static const char *const plain[] = {
        "redis_url",           "redis_host",        "redis_port", "redis_socket", "redis_db",
        "redis_username",      "redis_password",    "max_memory", "default_ttl",  "max_ttl",
        "redis_password_file", "max_memory_policy", "max_value",  "key_prefix"};
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        bool is_plain = false;
        for (size_t j = 0; j < sizeof(plain) / sizeof(plain[0]); j++)
            is_plain = is_plain || strcmp(plain[j], option->name) == 0;
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "%s%s", is_plain ? "" : "LARDER_", option->name);
        for (char *p = expected; *p != '\0'; p++)
            *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
        ck_assert_str_eq(option->environment, expected);
    }
}
END_TEST

START_TEST(fixed_and_secret_are_the_promised_ones) {
    static const char *const fixed[] = {
        "listen", "listen_mode", "listen_group", "listen_users", "listen_backlog",
        "user",   "group",       "run_dir",      "pid_file",     "daemon"};
    static const char *const secret[] = {"redis_url", "redis_password"};
    size_t n_fixed = 0;
    size_t n_secret = 0;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        n_fixed += option_table[i].fixed;
        n_secret += option_table[i].secret;
    }
    ck_assert_uint_eq(n_fixed, sizeof(fixed) / sizeof(fixed[0]));
    ck_assert_uint_eq(n_secret, sizeof(secret) / sizeof(secret[0]));
    for (size_t i = 0; i < n_fixed; i++)
        ck_assert(row(fixed[i])->fixed);
    for (size_t i = 0; i < n_secret; i++)
        ck_assert(row(secret[i])->secret);
}
END_TEST

START_TEST(values_are_taken_and_printed) {
    static const struct {
        const char *name;
        const char *value;
        const char *printed; /* NULL: as it was given */
    } cases[] = {
        {"listen", "/x", NULL},
        {"listen_mode", "0600", NULL},
        {"listen_mode", "777", "0777"},
        {"listen_backlog", "1", NULL},
        {"listen_backlog", "65535", NULL},
        {"workers", "0", NULL},
        {"workers", "64", NULL},
        {"workers", "007", "7"},
        {"max_requests", "1000000000000", NULL},
        {"drain_timeout", "3600000", NULL},
        {"watchdog_timeout", "1000", NULL},
        {"pid_file", "", NULL},
        {"pid_file", "/run/a b.pid", NULL},
        {"daemon", "yes", NULL},
        {"daemon", "no", NULL},
        {"redis_url", "redis://h", NULL},
        {"redis_url", "", NULL},
        {"redis_host", "a", NULL},
        {"redis_host",
         "r\xc3\xa9"
         "dis",
         NULL},
        {"redis_socket", "", NULL},
        {"redis_db", "1000000", NULL},
        {"redis_password", "\t a\"\\#\x01", NULL},
        {"redis_connect_timeout", "10", NULL},
        {"redis_timeout", "60000", NULL},
        {"max_memory", "", NULL},
        {"max_memory", "0", NULL},
        {"max_memory", "1024", "1kb"},
        {"max_memory", "1025", NULL},
        {"max_memory", "64kb", NULL},
        {"max_memory", "100MB", "100mb"},
        {"max_memory", "2Gb", "2gb"},
        {"max_memory", "1048576gb", NULL},
        {"max_memory", "1125899906842624", "1048576gb"},
        {"max_memory", "3072mb", "3gb"},
        {"default_ttl", "0", NULL},
        {"max_ttl", "10000000000", NULL},
        {"max_value", "1", NULL},
        {"max_value", "8mb", NULL},
        {"max_value", "8388608", "8mb"},
        {"max_value", "8192kb", "8mb"},
        {"log_level", "error", NULL},
        {"log_level", "warning", NULL},
        {"log_level", "DEBUG", "debug"},
        {"max_memory_policy", "noeviction", NULL},
        {"max_memory_policy", "allkeys-lru", NULL},
        {"max_memory_policy", "allkeys-lfu", NULL},
        {"max_memory_policy", "allkeys-random", NULL},
        {"max_memory_policy", "volatile-lru", NULL},
        {"max_memory_policy", "volatile-lfu", NULL},
        {"max_memory_policy", "volatile-random", NULL},
        {"max_memory_policy", "volatile-ttl", NULL},
        {"max_memory_policy", "Volatile-TTL", "volatile-ttl"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf why = {0};
        struct buf printed = {0};
        const struct option *option = row(cases[i].name);
        ck_assert_msg(option_parse(option, slice_of(cases[i].value), &config, &why) == OK,
                      "%s = %s: %s", cases[i].name, cases[i].value, text(&why));
        option_print(option, &config, &printed);
        ck_assert_str_eq(text(&printed),
                         cases[i].printed != NULL ? cases[i].printed : cases[i].value);
        buf_fini(&printed);
        buf_fini(&why);
    }
}
END_TEST

START_TEST(values_that_are_refused_change_nothing) {
    static const char path107[] = "must be an absolute path, starting with /, of at most 107 bytes";
    static const char path255[] = "must be an absolute path, starting with /, of at most 255 bytes";
    static const char mode[] = "must be an octal number from 0600 to 0777";
    static const char size[] = "must be a whole number of bytes, kb, mb or gb from 1 to 8mb";
    static const char memory[] =
        "must be a whole number of bytes, kb, mb or gb from 0 to 1048576gb";
    static const char port[] = "must be a whole number from 1 to 65535";
    static const char host[] = "must be text of 1 to 255 bytes without control characters";
    static const char policy[] =
        "must be one of noeviction, allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, "
        "volatile-lfu, volatile-random, volatile-ttl";
    static const struct {
        const char *name;
        struct slice value;
        const char *why;
    } cases[] = {
        {"listen", SLICE_INIT(""), path107},
        {"listen", SLICE_INIT("run/larder.sock"), path107},
        {"listen", SLICE_INIT(":9000"), path107},
        {"listen", SLICE_INIT("127.0.0.1:9000"), path107},
        {"listen", SLICE_INIT("@larder"), path107},
        {"listen", SLICE_INIT("\0larder"), path107},
        {"listen", SLICE_INIT("/a\0b"), path107},
        {"listen", SLICE_INIT("/a\nb"), path107},
        {"listen", SLICE_INIT("/a\x7f"), path107},
        {"redis_socket", SLICE_INIT("redis.sock"), path107},
        {"run_dir", SLICE_INIT(""), path255},
        {"pid_file", SLICE_INIT("./larder.pid"), path255},
        {"log_file", SLICE_INIT("larder.log"), path255},
        {"redis_password_file", SLICE_INIT("~/password"), path255},
        {"listen_mode", SLICE_INIT(""), mode},
        {"listen_mode", SLICE_INIT("0577"), mode},
        {"listen_mode", SLICE_INIT("01000"), mode},
        {"listen_mode", SLICE_INIT("0680"), mode},
        {"listen_mode", SLICE_INIT("0x1b0"), mode},
        {"listen_backlog", SLICE_INIT("0"), port},
        {"redis_port", SLICE_INIT("65536"), port},
        {"redis_port", SLICE_INIT("70000"), port},
        {"redis_port", SLICE_INIT("-1"), port},
        {"redis_port", SLICE_INIT("+1"), port},
        {"redis_port", SLICE_INIT("1.0"), port},
        {"redis_port", SLICE_INIT("1e3"), port},
        {"redis_port", SLICE_INIT(" 1"), port},
        {"redis_port", SLICE_INIT("1 "), port},
        {"redis_port", SLICE_INIT("1\0"), port},
        {"redis_port", SLICE_INIT("0x50"), port},
        {"redis_port", SLICE_INIT("tcp://10.0.0.1:6379"), port},
        {"redis_port", SLICE_INIT("18446744073709551617"), port},
        {"redis_port", SLICE_INIT("9223372036854775808"), port},
        {"redis_port", SLICE_INIT("4294967297"), port},
        {"workers", SLICE_INIT("65"), "must be a whole number from 0 to 64"},
        {"max_requests", SLICE_INIT("1000000000001"),
         "must be a whole number from 0 to 1000000000000"},
        {"drain_timeout", SLICE_INIT("5s"),
         "must be a whole number of milliseconds from 0 to 3600000"},
        {"watchdog_timeout", SLICE_INIT("999"),
         "must be a whole number of milliseconds from 1000 to 3600000"},
        {"redis_connect_timeout", SLICE_INIT("9"),
         "must be a whole number of milliseconds from 10 to 60000"},
        {"redis_timeout", SLICE_INIT("60001"),
         "must be a whole number of milliseconds from 10 to 60000"},
        {"daemon", SLICE_INIT("true"), "must be yes or no"},
        {"daemon", SLICE_INIT("1"), "must be yes or no"},
        {"daemon", SLICE_INIT(""), "must be yes or no"},
        {"redis_host", SLICE_INIT(""), host},
        {"redis_host", SLICE_INIT("a\tb"), host},
        {"redis_host", SLICE_INIT("a\0"), host},
        {"redis_username", SLICE_INIT("a\r"),
         "must be text of at most 255 bytes without control characters"},
        {"redis_password", SLICE_INIT("a\0"), "must be text of at most 255 bytes"},
        {"redis_db", SLICE_INIT("1000001"), "must be a whole number from 0 to 1000000"},
        {"redis_url", SLICE_INIT("redis://"), "the URL names no host"},
        {"redis_url", SLICE_INIT("localhost:6379"),
         "must be redis://[user[:password]@]host[:port][/db] or "
         "unix://[user[:password]@]/path[?db=N]"},
        {"max_memory", SLICE_INIT("1048577gb"), memory},
        {"max_memory", SLICE_INIT("1125899906842625"), memory},
        {"max_memory", SLICE_INIT("100m"), memory},
        {"max_memory", SLICE_INIT("100 mb"), memory},
        {"max_memory", SLICE_INIT("mb"), memory},
        {"max_memory", SLICE_INIT("-1mb"), memory},
        {"max_memory", SLICE_INIT("1.5gb"), memory},
        {"max_memory", SLICE_INIT("50%"), memory},
        {"max_value", SLICE_INIT("0"), size},
        {"max_value", SLICE_INIT("0mb"), size},
        {"max_value", SLICE_INIT("9mb"), size},
        {"max_value", SLICE_INIT("8388609"), size},
        {"max_value", SLICE_INIT(""), size},
        {"default_ttl", SLICE_INIT("10000000001"),
         "must be a whole number of seconds from 0 to 10000000000"},
        {"max_ttl", SLICE_INIT("0"), "must be a whole number of seconds from 1 to 10000000000"},
        {"max_memory_policy", SLICE_INIT("lru"), policy},
        {"max_memory_policy", SLICE_INIT("allkeys-lru "), policy},
        {"max_memory_policy", SLICE_INIT("allkeys"), policy},
        {"max_memory_policy", SLICE_INIT(""), policy},
        {"log_level", SLICE_INIT("warn"), "must be one of error, warning, info, debug"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf why = {0};
        struct config before;
        const struct option *option = row(cases[i].name);
        memset(&config, 0, sizeof(config));
        ck_assert_int_eq(option_parse(option, slice_of(option->fallback), &config, &why), OK);
        before = config;
        ck_assert_msg(option_parse(option, cases[i].value, &config, &why) == E_CONFIG, "%s = %s",
                      cases[i].name, cases[i].value.p);
        ck_assert_msg(strcmp(text(&why), cases[i].why) == 0, "%s = %s: %s", cases[i].name,
                      cases[i].value.p, why.p);
        ck_assert_mem_eq(&before, &config, sizeof(config));
        buf_fini(&why);
    }
}
END_TEST

START_TEST(texts_end_at_their_length) {
    static const struct {
        const char *name;
        size_t most;
    } cases[] = {{"listen", 107},
                 {"redis_socket", 107},
                 {"run_dir", 255},
                 {"redis_host", 255},
                 {"redis_username", 255},
                 {"redis_password", 255},
                 {"redis_password_file", 255}};
    static char value[257];
    memset(value, '/', sizeof(value));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf why = {0};
        struct buf printed = {0};
        const struct option *option = row(cases[i].name);
        struct slice most = {value, cases[i].most};
        struct slice more = {value, cases[i].most + 1};
        ck_assert_int_eq(option_parse(option, most, &config, &why), OK);
        option_print(option, &config, &printed);
        ck_assert_uint_eq(printed.n, most.n);
        ck_assert_int_eq(option_parse(option, more, &config, &why), E_CONFIG);
        buf_fini(&printed);
        buf_fini(&why);
    }
}
END_TEST

START_TEST(a_shorter_secret_leaves_nothing_of_a_longer_one) {
    struct buf why = {0};
    ck_assert_int_eq(option_parse(row("redis_password"), SLICE("long secret"), &config, &why), OK);
    ck_assert_int_eq(option_parse(row("redis_password"), SLICE("x"), &config, &why), OK);
    ck_assert_ptr_null(memmem(&config, sizeof(config), "secret", 6));
    ck_assert_int_eq(option_parse(row("redis_password"), SLICE(""), &config, &why), OK);
    ck_assert_int_eq(config.redis_password[0], '\0');
    buf_fini(&why);
}
END_TEST

START_TEST(names_that_are_near_are_suggested) {
    static const char *const others[] = {"check", "version", NULL};
    static const struct {
        const char *name;
        const char *nearest;
    } cases[] = {
        {"redis_prot", "redis_port"},
        {"redis-port", "redis_port"},
        {"redisport", "redis_port"},
        {"REDIS_PORT", NULL},
        {"log_levl", "log_level"},
        {"loglevel", "log_level"},
        {"worker", "workers"},
        {"daemonize", "daemon"},
        {"maxmemory_policy", "max_memory_policy"},
        {"maxmemory", "max_memory"},
        {"ttl", NULL},
        {"chekc", "check"},
        {"verson", "version"},
        {"", NULL},
        {"x", NULL},
        {"completely_different_thing", NULL},
        {"redis_port_redis_port_redis_port_redis_port", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *nearest = option_nearest(slice_of(cases[i].name), others);
        if (cases[i].nearest == NULL)
            ck_assert_msg(nearest == NULL, "%s: %s", cases[i].name, nearest);
        else
            ck_assert_pstr_eq(nearest, cases[i].nearest);
    }
}
END_TEST

START_TEST(options_are_found_by_their_whole_name) {
    ck_assert_ptr_eq(option_find(SLICE("redis_port")), &option_table[OPT_redis_port]);
    ck_assert_ptr_null(option_find(SLICE("redis_por")));
    ck_assert_ptr_null(option_find(SLICE("redis_ports")));
    ck_assert_ptr_null(option_find(SLICE("Redis_port")));
    ck_assert_ptr_null(option_find(SLICE("")));
}
END_TEST

START_TEST(values_are_copied_and_compared) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        static const char *const spellings[] = {"/tmp/x", "redis://h", "no",         "0640", "17",
                                                "2000",   "debug",     "noeviction", "yes"};
        const struct option *option = &option_table[i];
        struct config a = {0};
        struct config b = {0};
        struct buf why = {0};
        ck_assert_int_eq(option_parse(option, slice_of(option->fallback), &a, &why), OK);
        b = a;
        ck_assert(option_equal(option, &a, &b));
        for (size_t j = 0; j < sizeof(spellings) / sizeof(spellings[0]); j++)
            if (option_equal(option, &a, &b))
                (void)!option_parse(option, slice_of(spellings[j]), &b, &why);
        ck_assert_msg(!option_equal(option, &a, &b), "%s", option->name);
        option_copy(option, &a, &b);
        ck_assert(option_equal(option, &a, &b));
        ck_assert_mem_eq(&a, &b, sizeof(a));
        buf_fini(&why);
    }
}
END_TEST

START_TEST(no_limit_is_not_no_setting) {
    struct config none = {0};
    struct config zero = {0};
    struct buf why = {0};
    const struct option *option = row("max_memory");
    ck_assert_int_eq(option_parse(option, SLICE(""), &none, &why), OK);
    ck_assert_int_eq(option_parse(option, SLICE("0"), &zero, &why), OK);
    ck_assert(!none.max_memory_set);
    ck_assert(zero.max_memory_set);
    ck_assert(!option_equal(option, &none, &zero));
    ck_assert(option_is_none(option, &none));
    ck_assert(!option_is_none(option, &zero));
    buf_fini(&why);
}
END_TEST

START_TEST(policies_have_redis_names) {
    ck_assert_str_eq(config_policy_name(POLICY_NOEVICTION), "noeviction");
    ck_assert_str_eq(config_policy_name(POLICY_ALLKEYS_LRU), "allkeys-lru");
    ck_assert_str_eq(config_policy_name(POLICY_VOLATILE_TTL), "volatile-ttl");
    ck_assert_str_eq(config_policy_name(-1), "unknown");
    ck_assert_str_eq(config_policy_name(POLICY_COUNT), "unknown");
    ck_assert_int_eq(POLICY_COUNT, 8);
}
END_TEST

Suite *suite_config_option(void) {
    Suite *s = suite_create("config_option");
    TCase *table = tcase_create("table");
    tcase_add_test(table, rows_are_sound);
    tcase_add_test(table, environment_names_are_the_promised_ones);
    tcase_add_test(table, fixed_and_secret_are_the_promised_ones);
    tcase_add_test(table, options_are_found_by_their_whole_name);
    tcase_add_test(table, names_that_are_near_are_suggested);
    tcase_add_test(table, policies_have_redis_names);
    suite_add_tcase(s, table);
    TCase *values = tcase_create("values");
    tcase_add_test(values, values_are_taken_and_printed);
    tcase_add_test(values, values_that_are_refused_change_nothing);
    tcase_add_test(values, texts_end_at_their_length);
    tcase_add_test(values, a_shorter_secret_leaves_nothing_of_a_longer_one);
    tcase_add_test(values, values_are_copied_and_compared);
    tcase_add_test(values, no_limit_is_not_no_setting);
    suite_add_tcase(s, values);
    return s;
}
