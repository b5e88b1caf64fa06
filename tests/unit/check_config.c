/* Loading: which level wins, and what is said about everything that is wrong. */
#include "units.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/config_file.h"
#include "base/config_option.h"

enum { ARGUMENTS_MAX = 16 };

/* Every test runs in a directory of its own, so files have short names in messages. */
static char dir[64];
static int home = -1;

static struct config config;
static enum config_action action;
static struct buf why;

static void setup(void) {
    (void)snprintf(dir, sizeof(dir), "/tmp/larder-config.XXXXXX");
    home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(home, 0);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    ck_assert_int_eq(chdir(dir), 0);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        unsetenv(option_table[i].environment);
}

static void teardown(void) {
    buf_fini(&why);
    unlink("larder.conf");
    unlink("password");
    ck_assert_int_eq(fchdir(home), 0);
    close(home);
    ck_assert_int_eq(rmdir(dir), 0);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        unsetenv(option_table[i].environment);
}

static void write_bytes(const char *path, const void *bytes, size_t n) {
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
}

static void overwrite(char *at, struct slice s) {
    memcpy(at, s.p, s.n);
}

static void write_file(const char *path, const char *text) {
    write_bytes(path, text, strlen(text));
}

static void set_environment(const char *name, const char *value) {
    ck_assert_int_eq(setenv(name, value, 1), 0);
}

/* Loads with the arguments that follow argv[0], up to the first NULL. */
static enum error load(const char *const argv[ARGUMENTS_MAX]) {
    int argc = 0;
    while (argv[argc] != NULL)
        argc++;
    ck_assert_int_lt(argc, ARGUMENTS_MAX);
    enum error e = config_load(&config, argc, (char *const *)argv, &action, &why);
    buf_put_char(&why, '\0');
    ck_assert(!buf_failed(&why));
    return e;
}

#define LOAD_ALONE(...) load((const char *const[ARGUMENTS_MAX]){"larderd", __VA_ARGS__})
#define LOAD(...)       LOAD_ALONE("--config", "/dev/null", __VA_ARGS__)
#define LOAD_FILE(...)  LOAD_ALONE("--config", "larder.conf", __VA_ARGS__)

/* The load went well, or was refused with exactly these lines. */
static void expect_ok(enum error e) {
    ck_assert_msg(e == OK, "refused: %s", why.p);
    ck_assert_str_eq(why.p, "");
}

static void expect_fault(enum error e, const char *lines) {
    ck_assert_int_eq(e, E_CONFIG);
    ck_assert_str_eq(why.p, lines);
}

static void expect_printed(const char *name, const char *value) {
    struct buf printed = {0};
    option_print(option_find(slice_of(name)), &config, &printed);
    buf_put_char(&printed, '\0');
    ck_assert_msg(strcmp(printed.p, value) == 0, "%s is %s, not %s", name, printed.p, value);
    buf_fini(&printed);
}

START_TEST(defaults_hold_without_anything) {
    expect_ok(LOAD());
    ck_assert_int_eq(action, CONFIG_RUN);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        expect_printed(option_table[i].name, option_table[i].fallback);
    ck_assert_str_eq(config.listen, "/run/larder/larder.sock");
    ck_assert_int_eq(config.listen_mode, 0660);
    ck_assert_int_eq(config.redis_port, 6379);
    ck_assert_int_eq(config.max_value, 1048576);
    ck_assert_int_eq(config.max_memory_policy, POLICY_ALLKEYS_LRU);
    ck_assert_int_eq(config.max_memory, 0);
    ck_assert(!config.max_memory_set);
    ck_assert(!config.daemon);
}
END_TEST

START_TEST(default_file_need_not_exist) {
    if (access(CONFIG_FILE_DEFAULT, F_OK) == 0)
        return; /* a machine where larder is installed */
    expect_ok(LOAD_ALONE());
}
END_TEST

START_TEST(later_levels_win) {
    write_file("larder.conf", "redis_db = 1\nworkers = 1\nmax_ttl = 99999\n");
    set_environment("REDIS_DB", "2");
    set_environment("LARDER_WORKERS", "2");
    set_environment("LARDER_LISTEN", "");
    expect_ok(LOAD_FILE("--redis-db", "3"));
    ck_assert_int_eq(config.max_ttl, 99999);
    ck_assert_int_eq(config.workers, 2);
    ck_assert_int_eq(config.redis_db, 3);
    /* An empty environment variable is none. */
    ck_assert_str_eq(config.listen, "/run/larder/larder.sock");
}
END_TEST

START_TEST(every_option_is_taken_on_every_level) {
    static const struct {
        const char *name;
        const char *value;
    } cases[] = {
        {"listen", "/tmp/l.sock"},
        {"listen_mode", "0600"},
        {"listen_backlog", "7"},
        {"workers", "7"},
        {"max_requests", "7"},
        {"drain_timeout", "7"},
        {"watchdog_timeout", "7000"},
        {"run_dir", "/tmp/run"},
        {"pid_file", "/tmp/pid"},
        {"daemon", "yes"},
        {"redis_url", "redis://u:p@h"},
        {"redis_host", "h"},
        {"redis_port", "7"},
        {"redis_socket", "/tmp/r.sock"},
        {"redis_db", "7"},
        {"redis_password", "p"},
        {"redis_connect_timeout", "70"},
        {"redis_timeout", "70"},
        {"max_memory_policy", "noeviction"},
        {"max_memory", "7mb"},
        {"default_ttl", "7"},
        {"max_ttl", "7000"},
        {"max_value", "7kb"},
        {"log_file", "/tmp/log"},
        {"log_level", "debug"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char line[128];
        const struct option *option = option_find(slice_of(cases[i].name));
        ck_assert_ptr_nonnull(option);
        (void)snprintf(line, sizeof(line), "%s = %s\n", cases[i].name, cases[i].value);
        write_file("larder.conf", line);
        expect_ok(LOAD_FILE());
        expect_printed(cases[i].name, cases[i].value);
        set_environment(option->environment, cases[i].value);
        expect_ok(LOAD());
        expect_printed(cases[i].name, cases[i].value);
        unsetenv(option->environment);
        (void)snprintf(line, sizeof(line), "--%s", cases[i].name);
        for (char *p = line; *p != '\0'; p++)
            *p = (char)(*p == '_' ? '-' : *p);
        expect_ok(LOAD(line, cases[i].value));
        expect_printed(cases[i].name, cases[i].value);
        (void)snprintf(line + strlen(line), 64, "=%s", cases[i].value);
        expect_ok(LOAD(line));
        expect_printed(cases[i].name, cases[i].value);
    }
}
END_TEST

START_TEST(files_may_come_from_elsewhere) {
    write_file("larder.conf", "# larder\r\n\r\nredis_host = \"a b\" # why not\r\n"
                              "\tredis_port=7\r\nredis_password = \"#\"\r\nmax_ttl = 5000");
    expect_ok(LOAD_FILE());
    ck_assert_str_eq(config.redis_host, "a b");
    ck_assert_str_eq(config.redis_password, "#");
    ck_assert_int_eq(config.redis_port, 7);
    ck_assert_int_eq(config.max_ttl, 5000);
}
END_TEST

START_TEST(all_faults_are_told) {
    write_file("larder.conf", "# a comment\n"
                              "redis_port = 70000\n"
                              "redis_prot = 1\n"
                              "redis_port = 6379\n"
                              "listen = larder.sock\n"
                              "max_memory_policy = lru\n"
                              "nonsense\n"
                              "what_is_this_thing = 1\n"
                              "redis_username = \"a\n"
                              "log_file = a\tb\x1b\n"
                              "zz\x1b = 1\n");
    set_environment("DEFAULT_TTL", "abc");
    set_environment("MAX_VALUE", "9mb");
    expect_fault(
        LOAD_FILE("--workers", "99", "--redis-timeout=1"),
        "larder.conf:2: redis_port = 70000: must be a whole number from 1 to 65535\n"
        "larder.conf:3: redis_prot: there is no such option; did you mean redis_port?\n"
        "larder.conf:4: redis_port is given twice, first on line 2\n"
        "larder.conf:5: listen = larder.sock: must be an absolute path, starting with /, of at "
        "most 107 bytes\n"
        "larder.conf:6: max_memory_policy = lru: must be one of noeviction, allkeys-lru, "
        "allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random, volatile-ttl\n"
        "larder.conf:7: the line must be: name = value\n"
        "larder.conf:8: what_is_this_thing: there is no such option\n"
        "larder.conf:9: redis_username: the closing double quote is missing\n"
        "larder.conf:10: log_file = a\\x09b\\x1b: must be an absolute path, starting with /, of at "
        "most 255 bytes\n"
        "larder.conf:11: zz\\x1b: there is no such option\n"
        "environment DEFAULT_TTL=abc: must be a whole number of seconds from 0 to 10000000000\n"
        "environment MAX_VALUE=9mb: must be a whole number of bytes, kb, mb or gb from 1 to 8mb\n"
        "--workers 99: must be a whole number from 0 to 64\n"
        "--redis-timeout 1: must be a whole number of milliseconds from 10 to 60000\n");
}
END_TEST

START_TEST(a_fault_counts_although_a_later_level_is_right) {
    write_file("larder.conf", "workers = x\n");
    set_environment("LARDER_WORKERS", "2");
    expect_fault(LOAD_FILE("--workers=3"),
                 "larder.conf:1: workers = x: must be a whole number from 0 to 64\n");
}
END_TEST

START_TEST(files_that_cannot_be_read_are_named) {
    expect_fault(LOAD_ALONE("--config", "/nonexistent/larder.conf"),
                 "/nonexistent/larder.conf: cannot be read: No such file or directory\n");
    expect_fault(LOAD_ALONE("--config=/"), "/: cannot be read: Is a directory\n");
    expect_fault(LOAD_ALONE("--config=/dev/zero"), "/dev/zero: cannot be read: File too large\n");
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused) {
    static const char nul[] = "redis_db = 1\nredis_host = a\0b\n\0\n";
    char line[1100];
    write_bytes("larder.conf", nul, sizeof(nul) - 1);
    expect_fault(LOAD_FILE(), "larder.conf:2: the line has a NUL byte\n"
                              "larder.conf:3: the line has a NUL byte\n");
    memset(line, 'a', sizeof(line));
    overwrite(line, SLICE("redis_host="));
    write_bytes("larder.conf", line, 11 + 255);
    expect_ok(LOAD_FILE());
    ck_assert_uint_eq(strlen(config.redis_host), 255);
    write_bytes("larder.conf", line, 1025);
    expect_fault(LOAD_FILE(), "larder.conf:1: the line is longer than 1024 bytes\n");
    /* The value in a message has its limit, too. */
    write_bytes("larder.conf", line, 11 + 300);
    char expected[512];
    (void)snprintf(expected, sizeof(expected),
                   "larder.conf:1: redis_host = %.256s...: must be text of 1 to 255 bytes without "
                   "control characters\n",
                   line + 11);
    expect_fault(LOAD_FILE(), expected);
}
END_TEST

START_TEST(arguments_that_are_wrong_are_told) {
    static const struct {
        const char *arguments[4];
        const char *why;
    } cases[] = {
        {{"--redis-prot", "1"},
         "--redis-prot: there is no such option; did you mean --redis-port? "
         "See --help.\n"},
        {{"--redis-prot=1", "--workers=1"},
         "--redis-prot: there is no such option; did you mean --redis-port? See --help.\n"},
        {{"--redis_port", "1"},
         "--redis_port: there is no such option; did you mean --redis-port? "
         "See --help.\n"},
        {{"-daemon"}, "-daemon: there is no such option; did you mean --daemon? See --help.\n"},
        {{"---daemon"}, "---daemon: there is no such option; did you mean --daemon? See --help.\n"},
        {{"--hepl"}, "--hepl: there is no such option; did you mean --help? See --help.\n"},
        {{"-x"}, "-x: there is no such option. See --help.\n"},
        {{"--frobnicate\n=3"}, "--frobnicate\\x0a: there is no such option. See --help.\n"},
        {{"larder.conf"}, "argument 3: options start with --. See --help.\n"},
        {{"--daemon", "maybe"}, "argument 4: options start with --. See --help.\n"},
        {{""}, "argument 3: options start with --. See --help.\n"},
        {{"-"}, "argument 3: options start with --. See --help.\n"},
        {{"--"}, "argument 3: options start with --. See --help.\n"},
        {{"--redis-host"},
         "--redis-host: a value is missing; one that starts with -- goes behind an equals sign\n"},
        {{"--redis-host", "--daemon"},
         "--redis-host: a value is missing; one that starts with -- goes behind an equals sign\n"},
        {{"--config"},
         "--config: a value is missing; one that starts with -- goes behind an equals sign\n"},
        {{"--config="}, "--config: a file is missing; /dev/null stands for none\n"},
        {{"--check=yes"}, "--check: takes no value\n"},
        {{"--version=1"}, "--version: takes no value\n"},
        {{"--redis-host="},
         "--redis-host : must be text of 1 to 255 bytes without control "
         "characters\n"},
        {{"--daemon=maybe"}, "--daemon maybe: must be yes or no\n"},
        {{"--redis-port", "-1"}, "--redis-port -1: must be a whole number from 1 to 65535\n"},
        {{"--x", "--y", "--workers", "99"},
         "--x: there is no such option. See --help.\n"
         "--y: there is no such option. See --help.\n"
         "--workers 99: must be a whole number from 0 to 64\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *const *a = cases[i].arguments;
        expect_fault(LOAD(a[0], a[1], a[2], a[3]), cases[i].why);
    }
}
END_TEST

START_TEST(arguments_have_two_forms) {
    expect_ok(LOAD("--redis-host", "-h", "--redis-socket=", "--redis-password=--help"));
    ck_assert_str_eq(config.redis_host, "-h");
    ck_assert_str_eq(config.redis_password, "--help");
    expect_ok(LOAD("--redis-password=a=b", "--redis-port=1", "--redis-port", "2"));
    ck_assert_str_eq(config.redis_password, "a=b");
    ck_assert_int_eq(config.redis_port, 2);
    expect_ok(LOAD("--daemon"));
    ck_assert(config.daemon);
    expect_ok(LOAD("--daemon", "--workers=3"));
    ck_assert(config.daemon);
    ck_assert_int_eq(config.workers, 3);
    set_environment("LARDER_DAEMON", "yes");
    expect_ok(LOAD("--daemon", "no", "--workers=4"));
    ck_assert(!config.daemon);
    ck_assert_int_eq(config.workers, 4);
    expect_ok(LOAD("--daemon=no"));
    ck_assert(!config.daemon);
}
END_TEST

START_TEST(actions_are_told_apart) {
    expect_ok(LOAD("--check"));
    ck_assert_int_eq(action, CONFIG_CHECK);
    expect_fault(LOAD("--check", "--workers", "99"),
                 "--workers 99: must be a whole number from 0 to 64\n");
    ck_assert_int_eq(action, CONFIG_CHECK);
    static const struct {
        const char *argument;
        enum config_action action;
    } cases[] = {{"--help", CONFIG_HELP},
                 {"-h", CONFIG_HELP},
                 {"--version", CONFIG_VERSION},
                 {"-V", CONFIG_VERSION}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* Nothing else matters then: neither what is wrong, nor what could be read. */
        set_environment("LARDER_WORKERS", "99");
        expect_ok(
            LOAD_ALONE("--config=/nonexistent", "--nonsense", cases[i].argument, "--workers=99"));
        ck_assert_int_eq(action, cases[i].action);
        ck_assert_int_eq(config.redis_port, 6379);
    }
}
END_TEST

START_TEST(secrets_are_in_no_message) {
    char value[300];
    char expected[512];
    write_file("larder.conf", "redis_password = \"hunter2\nhunter2\nredis_pasword = hunter2\n"
                              "redis_password = \"hunter2\" hunter2\n"
                              "redis_url = hunter2\nredis_url = redis://u:hunter2@h:hunter2\n"
                              "redis_passwords hunter2\n");
    set_environment("REDIS_URL", "rediss://:hunter2@h");
    expect_fault(
        LOAD_FILE("--redis-url=redis://hunter2:%hunter2@h", "--redis-pasword", "hunter2",
                  "--redis-paswords=hunter2", "hunter2"),
        "--redis-pasword: there is no such option; did you mean --redis-password? See --help.\n"
        "--redis-paswords: there is no such option; did you mean --redis-password? See --help.\n"
        "argument 7: options start with --. See --help.\n"
        "larder.conf:1: redis_password: the closing double quote is missing\n"
        "larder.conf:2: the line must be: name = value\n"
        "larder.conf:3: redis_pasword: there is no such option; did you mean redis_password?\n"
        "larder.conf:4: redis_password: nothing but a comment may follow the closing double quote\n"
        "larder.conf:5: redis_url = ***: must be redis://[user[:password]@]host[:port][/db] or "
        "unix://[user[:password]@]/path[?db=N]\n"
        "larder.conf:6: redis_url is given twice, first on line 5\n"
        "larder.conf:7: the line must be: name = value\n"
        "environment REDIS_URL=***: rediss:// (TLS) is not possible here: run stunnel on this "
        "machine and give redis:// with the address where it listens\n"
        "--redis-url ***: percent signs must be followed by two hexadecimal digits, and %00 is not "
        "allowed (a literal percent sign is %25)\n");
    memset(value, 'p', 299);
    value[299] = '\0';
    unsetenv("REDIS_URL");
    set_environment("REDIS_PASSWORD", value);
    expect_fault(LOAD("--redis-password", value),
                 "environment REDIS_PASSWORD=***: must be text of at most 255 bytes\n"
                 "--redis-password ***: must be text of at most 255 bytes\n");
    unsetenv("REDIS_PASSWORD");
    write_file("password", value);
    (void)snprintf(expected, sizeof(expected),
                   "--redis-password-file %s/password: the first line of the file must be text of "
                   "at most 255 bytes\n",
                   dir);
    (void)snprintf(value, sizeof(value), "%s/password", dir);
    expect_fault(LOAD("--redis-password-file", value), expected);
}
END_TEST

/* Arguments on one side, what to expect on the other. */
struct redis_case {
    const char *file;
    const char *url; /* in the environment */
    const char *argument;
    const char *host;
    int64_t port;
    const char *socket;
    int64_t db;
    const char *username;
    const char *password;
};

START_TEST(url_is_taken_apart_and_has_its_place_among_the_levels) {
    static const struct redis_case cases[] = {
        {"", "redis://h", NULL, "h", 6379, "", 0, "", ""},
        {"", "redis://u:p@[::1]:7/3", NULL, "::1", 7, "", 3, "u", "p"},
        {"", "unix://:p@/r%20s?db=4", NULL, "localhost", 6379, "/r s", 4, "", "p"},
        /* The URL says where Redis is, with the default port if it names none ... */
        {"redis_host=x\nredis_port=9\nredis_socket=/x", "redis://h", NULL, "h", 6379, "", 0, "",
         ""},
        {"redis_host=x\nredis_port=9\nredis_socket=/x", "unix:///r", NULL, "x", 9, "/r", 0, "", ""},
        /* ... but leaves alone what it doesn't name. */
        {"redis_db=3\nredis_password=q", "redis://h", NULL, "h", 6379, "", 3, "", "q"},
        {"redis_db=3\nredis_password=q", "redis://u@h/0", NULL, "h", 6379, "", 0, "u", "q"},
        {"redis_username=v\nredis_password=q", "redis://:p@h", NULL, "h", 6379, "", 0, "", "p"},
        /* What is given besides it at a later level wins, */
        {"", "redis://u:p@h:7/3", "--redis-port=8", "h", 8, "", 3, "u", "p"},
        {"", "redis://u:p@h:7/3", "--redis-db=8", "h", 7, "", 8, "u", "p"},
        {"", "redis://u:p@h:7/3", "--redis-username=v", "h", 7, "", 3, "v", "p"},
        {"", "redis://u:p@h:7/3", "--redis-password=q", "h", 7, "", 3, "u", "q"},
        {"", "redis://u:p@h:7/3", "--redis-socket=/r", "h", 7, "/r", 3, "u", "p"},
        {"", "unix:///r", "--redis-host=h", "h", 6379, "", 0, "", ""},
        {"", "unix:///r", "--redis-socket=", "localhost", 6379, "", 0, "", ""},
        /* at the same level, wherever the line stands, */
        {"redis_db=8\nredis_url=redis://h:7/3\nredis_port=9", NULL, NULL, "h", 9, "", 8, "", ""},
        {"redis_url=unix:///r\nredis_host=h", NULL, NULL, "h", 6379, "", 0, "", ""},
        {"redis_url=unix:///r\nredis_socket=/s", NULL, NULL, "localhost", 6379, "/s", 0, "", ""},
        {"redis_url=redis://h\nredis_socket=/s", NULL, NULL, "h", 6379, "/s", 0, "", ""},
        /* and a URL replaces one of an earlier level altogether. */
        {"redis_url=redis://u:p@x:9/3", "redis://h", NULL, "h", 6379, "", 0, "", ""},
        {"redis_url=unix:///x?db=3", "redis://h", "--redis-url=redis://i:2", "i", 2, "", 0, "", ""},
        {"redis_url=unix:///x?db=3", NULL, "--redis-url=", "localhost", 6379, "", 0, "", ""},
        /* Without a URL, too, the later address wins, and the socket within one level. */
        {"redis_socket=/r\nredis_host=h\nredis_port=7", NULL, NULL, "h", 7, "/r", 0, "", ""},
        {"redis_socket=/r", NULL, "--redis-host=h", "h", 6379, "", 0, "", ""},
        {"redis_socket=/r", NULL, "--redis-port=7", "localhost", 7, "", 0, "", ""},
        {"redis_host=h", NULL, "--redis-socket=/r", "h", 6379, "/r", 0, "", ""},
        {"redis_socket=/r", NULL, "--redis-db=1", "localhost", 6379, "/r", 1, "", ""},
    };
    const struct redis_case *c = &cases[_i];
    ck_assert_uint_eq(sizeof(cases) / sizeof(cases[0]), 27);
    write_file("larder.conf", c->file);
    if (c->url != NULL)
        set_environment("REDIS_URL", c->url);
    expect_ok(LOAD_FILE(c->argument));
    ck_assert_str_eq(config.redis_host, c->host);
    ck_assert_int_eq(config.redis_port, c->port);
    ck_assert_str_eq(config.redis_socket, c->socket);
    ck_assert_int_eq(config.redis_db, c->db);
    ck_assert_str_eq(config.redis_username, c->username);
    ck_assert_str_eq(config.redis_password, c->password);
}
END_TEST

START_TEST(parts_of_a_url_have_the_bounds_of_their_options) {
    static char url[200];
    memset(url, 'a', 8 + 107);
    overwrite(url, SLICE("unix:///"));
    write_file("larder.conf", "\nredis_url = redis://h:0/1000001\n");
    expect_fault(LOAD_FILE(), "larder.conf:2: redis_url = ***: its part for redis_port must be a "
                              "whole number from 1 to 65535\n"
                              "larder.conf:2: redis_url = ***: its part for redis_db must be a "
                              "whole number from 0 to 1000000\n");
    set_environment("REDIS_URL", url);
    expect_fault(LOAD(), "environment REDIS_URL=***: its part for redis_socket must be an absolute "
                         "path, starting with /, of at most 107 bytes\n");
    expect_fault(LOAD("--redis-url=redis://a%0ab"),
                 "--redis-url ***: its part for redis_host must be text of 1 to 255 bytes without "
                 "control characters\n");
}
END_TEST

START_TEST(password_file_gives_its_first_line) {
    char argument[128];
    static const struct {
        const char *content;
        const char *password;
    } cases[] = {{"secret", "secret"},
                 {"secret\n", "secret"},
                 {"secret\r\nmore\n", "secret"},
                 {" se \"cret# \n\n", " se \"cret# "}};
    (void)snprintf(argument, sizeof(argument), "--redis-password-file=%s/password", dir);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file("password", cases[i].content);
        expect_ok(LOAD(argument));
        ck_assert_str_eq(config.redis_password, cases[i].password);
    }
    /* Given besides a URL, the file wins; given at an earlier level, it loses. */
    expect_ok(LOAD(argument, "--redis-url=redis://u:p@h"));
    ck_assert_str_eq(config.redis_password, " se \"cret# ");
    set_environment("REDIS_PASSWORD", "other");
    expect_ok(LOAD(argument));
    ck_assert_str_eq(config.redis_password, " se \"cret# ");
    unsetenv("REDIS_PASSWORD");
    set_environment("REDIS_PASSWORD_FILE", strchr(argument, '=') + 1);
    expect_ok(LOAD("--redis-password=other"));
    ck_assert_str_eq(config.redis_password, "other");
    expect_ok(LOAD("--redis-url=redis://u:p@h"));
    ck_assert_str_eq(config.redis_password, "p");
    expect_ok(LOAD("--redis-password=", "--redis-username="));
    ck_assert_str_eq(config.redis_password, "");
    /* Nobody reads a file that isn't used. */
    unlink("password");
    expect_ok(LOAD("--redis-password=other"));
}
END_TEST

START_TEST(password_file_that_is_of_no_use_is_told) {
    char path[128];
    char expected[256];
    static const struct {
        struct slice content;
        const char *reason;
    } cases[] = {
        {SLICE_INIT(""), "the first line of the file, which should be the password, is empty"},
        {SLICE_INIT("\nx"), "the first line of the file, which should be the password, is empty"},
        {SLICE_INIT("\r\n"), "the first line of the file, which should be the password, is empty"},
        {SLICE_INIT("a\0b\n"), "the first line of the file must be text of at most 255 bytes"},
    };
    (void)snprintf(path, sizeof(path), "%s/password", dir);
    set_environment("REDIS_PASSWORD_FILE", path);
    (void)snprintf(
        expected, sizeof(expected),
        "environment REDIS_PASSWORD_FILE=%s: cannot be read: No such file or directory\n", path);
    /* One fault, not another one about a user without a password. */
    expect_fault(LOAD("--redis-username=u"), expected);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_bytes("password", cases[i].content.p, cases[i].content.n);
        (void)snprintf(expected, sizeof(expected), "environment REDIS_PASSWORD_FILE=%s: %s\n", path,
                       cases[i].reason);
        expect_fault(LOAD("--redis-username=u"), expected);
    }
    write_file("password", "secret\n");
    set_environment("REDIS_PASSWORD", "other");
    (void)snprintf(expected, sizeof(expected),
                   "environment REDIS_PASSWORD_FILE=%s: redis_password is given as well; give one "
                   "of them\n",
                   path);
    expect_fault(LOAD(), expected);
}
END_TEST

START_TEST(user_needs_a_password) {
    static const char *const needs =
        "the user needs a password: give redis_password or redis_password_file\n";
    char expected[256];
    write_file("larder.conf", "redis_username = bob\n");
    (void)snprintf(expected, sizeof(expected), "larder.conf:1: redis_username = bob: %s", needs);
    expect_fault(LOAD_FILE(), expected);
    (void)snprintf(expected, sizeof(expected), "--redis-url ***: %s", needs);
    expect_fault(LOAD("--redis-url=redis://bob@h"), expected);
    expect_ok(LOAD_FILE("--redis-password=x"));
    expect_ok(LOAD_FILE("--redis-username="));
}
END_TEST

START_TEST(default_ttl_is_at_most_max_ttl) {
    set_environment("MAX_TTL", "60");
    expect_fault(LOAD(), "default: default_ttl = 3600: must be at most max_ttl, which is 60\n");
    expect_fault(LOAD("--default-ttl=61"),
                 "--default-ttl 61: must be at most max_ttl, which is 60\n");
    expect_ok(LOAD("--default-ttl=60"));
    expect_ok(LOAD("--default-ttl=0"));
    /* A value that was refused is no ground for a second fault. */
    expect_fault(LOAD("--default-ttl=x"), "--default-ttl x: must be a whole number of seconds from "
                                          "0 to 10000000000\n");
    set_environment("MAX_TTL", "x");
    expect_fault(
        LOAD("--default-ttl=9999999999"),
        "environment MAX_TTL=x: must be a whole number of seconds from 1 to 10000000000\n");
}
END_TEST

START_TEST(none_is_said_with_nothing) {
    write_file("larder.conf", "pid_file = /tmp/x\nmax_memory = 1mb\nlog_file = \"\"\n");
    expect_ok(LOAD_FILE());
    ck_assert(config.max_memory_set);
    ck_assert_int_eq(config.max_memory, 1048576);
    set_environment("MAX_MEMORY", "");
    expect_ok(LOAD_FILE());
    ck_assert(config.max_memory_set);
    expect_ok(LOAD_FILE("--max-memory=", "--pid-file", ""));
    ck_assert(!config.max_memory_set);
    ck_assert_str_eq(config.pid_file, "");
    write_file("larder.conf", "redis_host =\nlisten = \"\"\n");
    expect_fault(LOAD_FILE(),
                 "larder.conf:1: redis_host = : must be text of 1 to 255 bytes without control "
                 "characters\n"
                 "larder.conf:2: listen = : must be an absolute path, starting with /, of at most "
                 "107 bytes\n");
}
END_TEST

START_TEST(nothing_of_an_earlier_load_is_left) {
    expect_ok(LOAD("--redis-password=secret", "--max-memory=1mb"));
    expect_fault(LOAD("--workers=99"), "--workers 99: must be a whole number from 0 to 64\n");
    expect_ok(LOAD());
    ck_assert_ptr_null(memmem(&config, sizeof(config), "secret", 6));
    ck_assert(!config.max_memory_set);
}
END_TEST

START_TEST(fixed_options_keep_their_values) {
    struct config running;
    struct buf notes = {0};
    expect_ok(LOAD("--listen=/a", "--listen-mode=0600", "--workers=1", "--daemon"));
    running = config;
    config_keep_fixed(&running, &config, &notes);
    ck_assert_uint_eq(notes.n, 0);
    expect_ok(LOAD("--listen=/b\xff", "--listen-backlog=7", "--run-dir=/c", "--pid-file=/d",
                   "--workers=2", "--log-file=/e", "--redis-host=h"));
    config_keep_fixed(&running, &config, &notes);
    buf_put_char(&notes, '\0');
    ck_assert_str_eq(notes.p, "listen = /b\\xff waits for a restart; until then it stays /a\n"
                              "listen_mode = 0660 waits for a restart; until then it stays 0600\n"
                              "listen_backlog = 7 waits for a restart; until then it stays 1024\n"
                              "run_dir = /c waits for a restart; until then it stays /run/larder\n"
                              "pid_file = /d waits for a restart; until then it stays \n"
                              "daemon = no waits for a restart; until then it stays yes\n");
    buf_fini(&notes);
    expect_printed("listen", "/a");
    expect_printed("listen_mode", "0600");
    expect_printed("listen_backlog", "1024");
    expect_printed("run_dir", "/run/larder");
    expect_printed("pid_file", "");
    expect_printed("daemon", "yes");
    expect_printed("workers", "2");
    expect_printed("log_file", "/e");
    expect_printed("redis_host", "h");
}
END_TEST

Suite *suite_config(void) {
    Suite *s = suite_create("config");
    TCase *levels = tcase_create("levels");
    tcase_add_checked_fixture(levels, setup, teardown);
    tcase_add_test(levels, defaults_hold_without_anything);
    tcase_add_test(levels, default_file_need_not_exist);
    tcase_add_test(levels, later_levels_win);
    tcase_add_test(levels, every_option_is_taken_on_every_level);
    tcase_add_test(levels, files_may_come_from_elsewhere);
    tcase_add_test(levels, arguments_have_two_forms);
    tcase_add_test(levels, actions_are_told_apart);
    tcase_add_test(levels, none_is_said_with_nothing);
    tcase_add_test(levels, nothing_of_an_earlier_load_is_left);
    tcase_add_test(levels, fixed_options_keep_their_values);
    suite_add_tcase(s, levels);
    TCase *faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_test(faults, all_faults_are_told);
    tcase_add_test(faults, a_fault_counts_although_a_later_level_is_right);
    tcase_add_test(faults, files_that_cannot_be_read_are_named);
    tcase_add_test(faults, bytes_that_are_no_text_are_refused);
    tcase_add_test(faults, arguments_that_are_wrong_are_told);
    tcase_add_test(faults, secrets_are_in_no_message);
    suite_add_tcase(s, faults);
    TCase *redis = tcase_create("redis");
    tcase_add_checked_fixture(redis, setup, teardown);
    tcase_add_loop_test(redis, url_is_taken_apart_and_has_its_place_among_the_levels, 0, 27);
    tcase_add_test(redis, parts_of_a_url_have_the_bounds_of_their_options);
    tcase_add_test(redis, password_file_gives_its_first_line);
    tcase_add_test(redis, password_file_that_is_of_no_use_is_told);
    tcase_add_test(redis, user_needs_a_password);
    tcase_add_test(redis, default_ttl_is_at_most_max_ttl);
    suite_add_tcase(s, redis);
    return s;
}
