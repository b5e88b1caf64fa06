/* What people read: --help, the dump, docs/options.md and conf/larder.conf. The last two are
 * written by hand, and these tests are what keeps them as complete as the table. */
#include "units.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config.h"
#include "base/config_file.h"
#include "base/config_option.h"

static struct config config;
static struct buf why;

static void setup(void) {
    for (size_t i = 0; i < OPTION_COUNT; i++)
        unsetenv(option_table[i].environment);
}

static void teardown(void) {
    buf_fini(&why);
}

/* Loads a file, and one more argument unless that is NULL. */
static void load(const char *path, const char *argument) {
    const char *const argv[] = {"larderd", "--config", path, argument};
    enum config_action action;
    enum error e =
        config_load(&config, argument != NULL ? 4 : 3, (char *const *)argv, &action, &why);
    buf_put_char(&why, '\0');
    ck_assert_msg(e == OK, "%s: %s", path, why.p);
}

/* A string, so that strstr works; to be freed by the caller. */
static char *help(void) {
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    ck_assert_ptr_nonnull(out);
    config_help(out);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static void put_description(struct buf *b, const struct option *option) {
    option_describe(option, b);
    buf_put_char(b, '\0');
    b->n--;
}

START_TEST(help_fits_100_columns) {
    char *text = help();
    struct slice rest = slice_of(text);
    struct slice line;
    ck_assert_int_eq(text[rest.n - 1], '\n');
    while (config_file_next(&rest, &line)) {
        ck_assert_msg(line.n <= 100, "%.*s", (int)line.n, line.p);
        ck_assert(line.n == 0 || line.p[line.n - 1] != ' ');
    }
    free(text);
}
END_TEST

START_TEST(help_has_every_option_in_columns) {
    char *text = help();
    const char *at = text;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        char name[64];
        char row[256];
        (void)snprintf(name, sizeof(name), "--%s", option->name);
        for (char *p = name; *p != '\0'; p++)
            *p = (char)(*p == '_' ? '-' : *p);
        (void)snprintf(row, sizeof(row), "\n  %-26s%-30s%s\n      ", name, option->environment,
                       option->fallback[0] != '\0' ? option->fallback : "none");
        const char *found = strstr(at, row);
        ck_assert_msg(found != NULL, "missing or out of order:%s", row);
        at = found + 1;
    }
    free(text);
}
END_TEST

/* The explanation of each option, with its lines joined again. */
START_TEST(help_explains_every_option) {
    char *text = help();
    char *joined = text;
    for (char *p = text; *p != '\0'; p++) {
        if (strncmp(p, "\n      ", 7) == 0)
            p += 6;
        *joined++ = *p;
    }
    *joined = '\0';
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct buf expected = {0};
        buf_printf(&expected, "%s (", option_table[i].help);
        option_describe(&option_table[i], &expected);
        buf_put(&expected, ")\n", 3);
        ck_assert_msg(strstr(text, expected.p) != NULL, "missing: %s", expected.p);
        buf_fini(&expected);
    }
    free(text);
}
END_TEST

START_TEST(help_has_its_groups_and_flags_once) {
    static const char file[] = CONFIG_FILE_DEFAULT;
    const char *const parts[] = {"Usage: larderd ", "\n  --config FILE ", file,
                                 "\n  --check ",    "\n  -h, --help ",    "\n  -V, --version ",
                                 "\n  Listening ",  "\n  Processes ",     "\n  Redis ",
                                 "\n  Cache ",      "\n  Log ",           "\nSignals: ",
                                 "\nExit status: "};
    char *text = help();
    const char *at = text;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *found = strstr(at, parts[i]);
        ck_assert_msg(found != NULL, "missing or out of order: %s", parts[i]);
        ck_assert_msg(strstr(found + 1, parts[i]) == NULL, "twice: %s", parts[i]);
        at = found;
    }
    free(text);
}
END_TEST

START_TEST(dump_is_a_file_that_gives_the_same_again) {
    static const char *const arguments[] = {NULL,
                                            "--max-memory=0",
                                            "--max-memory=3gb",
                                            "--redis-host=a b#c\"\\d\"",
                                            "--daemon=yes",
                                            "--redis-host= #",
                                            "--pid-file=/x\xff",
                                            "--redis-host=\"\\",
                                            "--redis-host=#",
                                            "--listen-mode=0777",
                                            "--max-memory-policy=allkeys-lru",
                                            "--key-prefix=a b:",
                                            "--max-value=1025"};
    for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        char path[] = "/tmp/larder-dump.XXXXXX";
        struct buf dump = {0};
        struct buf again = {0};
        load("/dev/null", arguments[i]);
        struct config first = config;
        config_dump(&config, &dump);
        int fd = mkstemp(path);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, dump.p, dump.n), (ssize_t)dump.n);
        close(fd);
        load(path, NULL);
        unlink(path);
        config_dump(&config, &again);
        ck_assert(slice_eq(buf_slice(&dump), buf_slice(&again)));
        ck_assert_mem_eq(&first, &config, sizeof(config));
        buf_fini(&dump);
        buf_fini(&again);
    }
}
END_TEST

START_TEST(dump_masks_secrets) {
    struct buf dump = {0};
    load("/dev/null", "--redis-url=redis://hunter2:hunter2@h:7");
    memset(config.redis_username, 0, sizeof(config.redis_username));
    config_dump(&config, &dump);
    buf_put_char(&dump, '\0');
    ck_assert_ptr_null(strstr(dump.p, "hunter2"));
    ck_assert_ptr_nonnull(strstr(dump.p, "\nredis_url = ***\n"));
    ck_assert_ptr_nonnull(strstr(dump.p, "\nredis_password = ***\n"));
    ck_assert_ptr_nonnull(strstr(dump.p, "\nredis_host = h\nredis_port = 7\n"));
    load("/dev/null", NULL);
    buf_reset(&dump, SIZE_MAX);
    config_dump(&config, &dump);
    buf_put_char(&dump, '\0');
    ck_assert_ptr_nonnull(strstr(dump.p, "\nredis_url = \"\"\n"));
    ck_assert_ptr_nonnull(strstr(dump.p, "\nredis_password = \"\"\n"));
    ck_assert_ptr_nonnull(strstr(dump.p, "\nmax_memory = \"\"\n"));
    buf_fini(&dump);
}
END_TEST

/* A file of the source tree, as a string. */
static void read_source(const char *name, char path[PATH_MAX], struct buf *content) {
    const char *srcdir = getenv("SRCDIR");
    ck_assert_msg(srcdir != NULL,
                  "SRCDIR, the directory of the sources, is not in the environment");
    (void)snprintf(path, PATH_MAX, "%s/%s", srcdir, name);
    enum error e = config_file_read(path, content);
    ck_assert_msg(e == OK, "%s: %s", path, strerror(errno));
    buf_put_char(content, '\0');
}

START_TEST(options_md_has_every_option) {
    char path[PATH_MAX];
    struct buf content = {0};
    read_source("docs/options.md", path, &content);
    const char *at = content.p;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        const char *tick = option->fallback[0] != '\0' ? "`" : "";
        struct buf values = {0};
        struct buf row = {0};
        put_description(&values, option);
        buf_printf(&row, "\n| `%s` | `%s` | %s%s%s | %s | %s | %s |\n", option->name,
                   option->environment, tick, *tick != '\0' ? option->fallback : "none", tick,
                   option->help, values.p, option->fixed ? "no" : "yes");
        const char *found = strstr(at, row.p);
        ck_assert_msg(found != NULL, "%s lacks this row, or has it out of order:%s", path, row.p);
        at = found + row.n - 1;
        buf_fini(&row);
        buf_fini(&values);
    }
    /* No row of an option that is no more: these rows start with a name in backticks. */
    size_t rows = 0;
    for (const char *p = content.p; (p = strstr(p, "\n| `")) != NULL; p++)
        rows++;
    ck_assert_uint_eq(rows, OPTION_COUNT);
    buf_fini(&content);
}
END_TEST

static bool is_word(const char *text, const char *at, size_t n) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    bool starts = at == text || strchr(letters, at[-1]) == NULL;
    return starts && (at[n] == '\0' || strchr(letters, at[n]) == NULL);
}

static bool has_word(const char *text, const char *word) {
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        if (is_word(text, at, n))
            return true;
    return false;
}

/* `name = default`, or the same behind a "#"; for an option without a default any value. */
static bool has_setting(const char *text, const struct option *option) {
    struct slice rest = slice_of(text);
    struct slice raw;
    while (config_file_next(&rest, &raw)) {
        struct config_line line;
        const char *reason;
        while (raw.n > 0 && strchr("# ", raw.p[0]) != NULL)
            raw = (struct slice){raw.p + 1, raw.n - 1};
        if (config_line_parse(raw, &line, &reason) == OK &&
            slice_eq(line.name, slice_of(option->name)) &&
            (option->fallback[0] == '\0' || slice_eq(line.value, slice_of(option->fallback))))
            return true;
    }
    return false;
}

START_TEST(larder_conf_has_every_option) {
    char path[PATH_MAX];
    struct buf content = {0};
    read_source("conf/larder.conf", path, &content);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &option_table[i];
        ck_assert_msg(has_setting(content.p, option), "%s lacks the line \"#%s = %s\"", path,
                      option->name, option->fallback);
        ck_assert_msg(has_word(content.p, option->environment), "%s does not mention %s", path,
                      option->environment);
    }
    load(path, NULL);
    buf_fini(&content);
}
END_TEST

Suite *suite_config_show(void) {
    Suite *s = suite_create("config_show");
    TCase *program = tcase_create("program");
    tcase_add_checked_fixture(program, setup, teardown);
    tcase_add_test(program, help_fits_100_columns);
    tcase_add_test(program, help_has_every_option_in_columns);
    tcase_add_test(program, help_explains_every_option);
    tcase_add_test(program, help_has_its_groups_and_flags_once);
    tcase_add_test(program, dump_is_a_file_that_gives_the_same_again);
    tcase_add_test(program, dump_masks_secrets);
    suite_add_tcase(s, program);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, options_md_has_every_option);
    tcase_add_test(files, larder_conf_has_every_option);
    suite_add_tcase(s, files);
    return s;
}
