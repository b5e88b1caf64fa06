/*
 * Configuration: a file and a command line, of which something is made or something is said; the
 * lines of a file, against regular expressions; and Redis URLs. The input is the file, then the
 * arguments, with 0xFF between them.
 */
#include <regex.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
#include "base/config_file.h"
#include "base/config_option.h"
#include "base/config_url.h"
#include "fuzz.h"
#include "reference.h"

enum { ARGUMENTS = 8 };

static int file = -1;
static char program[] = "larderd";
static char file_argument[64];

static void open_file(void) {
    if (file >= 0)
        return;
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        (void)unsetenv(option_table[id].environment);
    file = memfd_create("config", MFD_CLOEXEC);
    need(file >= 0);
    (void)snprintf(file_argument, sizeof(file_argument), "--config=/proc/self/fd/%d", file);
}

static void put_file(struct slice content) {
    need(ftruncate(file, 0) == 0);
    need(pwrite(file, content.p, content.n, 0) == (ssize_t)content.n);
}

/* Lines that can neither be forged nor speak to a terminal. */
static void check_lines(const struct buf *why) {
    struct slice rest = buf_slice(why);
    need(rest.n == 0 || rest.p[rest.n - 1] == '\n');
    while (rest.n > 0) {
        struct slice line = fuzz_part(&rest, '\n');
        need(line.n > 0 && reference_is_clean(line));
    }
}

/* What is shown can be loaded, and is the same. Secrets are not shown. */
static void check_dump(const struct config *config) {
    static struct config again;
    static struct buf dump;
    static struct buf why;
    enum config_action action;
    char *const argv[] = {program, file_argument, NULL};
    if (config->redis_password[0] != '\0' || config->redis_url[0] != '\0' ||
        config->redis_password_file[0] != '\0')
        return;
    buf_reset(&dump, SIZE_MAX);
    config_dump(config, &dump);
    put_file(buf_slice(&dump));
    need(config_load(&again, 2, argv, &action, &why) == OK);
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        need(option_equal(&option_table[id], config, &again));
    need(config->max_memory_set == again.max_memory_set);
    need(config->max_memory_policy_set == again.max_memory_policy_set);
}

/* --- lines -------------------------------------------------------------------------------------
 */

#define NAME "^[ \t]*([^ \t=#][^ \t=]*)[ \t]*="

/* Without the comment, and the blanks around it. False: there is only a comment. */
static bool cut_comment(struct slice *value) {
    bool cut = false;
    for (size_t i = 1; i < value->n && !cut; i++) {
        cut = value->p[i] == '#' && reference_is_one_of(value->p[i - 1], " \t");
        value->n = cut ? i : value->n;
    }
    while (value->n > 0 && reference_is_one_of(value->p[0], " \t"))
        (void)fuzz_byte(value);
    while (value->n > 0 && reference_is_one_of(value->p[value->n - 1], " \t"))
        value->n--;
    return value->n > 0 || !cut;
}

static void unescape(struct slice inner, struct buf *out) {
    for (size_t i = 0; i < inner.n; i++) {
        i += inner.p[i] == '\\';
        buf_put_char(out, inner.p[i]);
    }
}

/* False: it is none. The name is empty for a comment. */
static bool expect_line(const char *line, struct slice *name, struct buf *value) {
    static regex_t nothing;
    static regex_t plain;
    static regex_t quote;
    static regex_t quoted;
    static bool compiled;
    regmatch_t m[5];
    if (!compiled)
        need(regcomp(&nothing, "^[ \t]*(#.*)?$", REG_EXTENDED) == 0 &&
             regcomp(&plain, NAME, REG_EXTENDED) == 0 &&
             regcomp(&quote, NAME "[ \t]*\"", REG_EXTENDED) == 0 &&
             regcomp(&quoted, NAME "[ \t]*\"(([^\"\\]|\\\\[\"\\])*)\"([ \t]*|[ \t]+#.*)$",
                     REG_EXTENDED) == 0);
    compiled = true;
    *name = (struct slice){0};
    buf_reset(value, SIZE_MAX);
    if (strlen(line) > 1024)
        return false;
    if (regexec(&nothing, line, 0, NULL, 0) == 0)
        return true;
    bool in_quotes = regexec(&quote, line, 0, NULL, 0) == 0;
    if (regexec(in_quotes ? &quoted : &plain, line, 5, m, 0) != 0)
        return false;
    *name = (struct slice){line + m[1].rm_so, (size_t)(m[1].rm_eo - m[1].rm_so)};
    struct slice text = slice_of(line + m[0].rm_eo);
    if (in_quotes)
        unescape((struct slice){line + m[2].rm_so, (size_t)(m[2].rm_eo - m[2].rm_so)}, value);
    else if (!cut_comment(&text))
        return false;
    else
        buf_put_slice(value, text);
    return true;
}

static void check_line(struct slice text) {
    static struct buf wanted;
    struct config_line line;
    struct slice name;
    const char *reason = NULL;
    enum error e = config_line_parse(text, &line, &reason);
    need((e == OK) == (reason == NULL));
    char *string = strndup(text.p, text.n);
    need(string != NULL);
    bool valid = strlen(string) == text.n && expect_line(string, &name, &wanted);
    need((e == OK) == valid);
    if (valid && name.n > 0)
        need(slice_eq(line.name, name) && slice_eq(line.value, buf_slice(&wanted)));
    else if (valid)
        need(line.name.n == 0);
    free(string);
}

static void check_file(struct slice rest) {
    struct slice line;
    while (config_file_next(&rest, &line))
        check_line(line);
}

/* --- URLs --------------------------------------------------------------------------------------
 */

static void put_encoded(struct buf *out, const char *text) {
    for (; *text != '\0'; text++)
        buf_printf(out, "%%%02X", (unsigned char)*text);
}

/* Put together again from its parts, it is the same URL. */
static void check_url(struct slice text) {
    static struct buf whole;
    struct config_url url;
    struct config_url again;
    const char *reason = NULL;
    enum error e = config_url_parse(text, &url, &reason);
    need((e == OK) == (reason == NULL));
    if (e != OK)
        return;
    need((url.socket[0] == '\0') != (url.host[0] == '\0'));
    buf_reset(&whole, SIZE_MAX);
    buf_puts(&whole, url.socket[0] != '\0' ? "unix://" : "redis://");
    if (url.has_user) {
        put_encoded(&whole, url.username);
        buf_puts(&whole, ":");
        put_encoded(&whole, url.password);
        buf_puts(&whole, "@");
    }
    if (url.socket[0] != '\0')
        buf_puts(&whole, "/"); /* stands for the first character, which is one */
    put_encoded(&whole, url.socket[0] != '\0' ? url.socket + 1 : url.host);
    if (url.port[0] != '\0')
        buf_printf(&whole, ":%s", url.port);
    if (url.db[0] != '\0')
        buf_printf(&whole, "?db=%s", url.db);
    need(config_url_parse(buf_slice(&whole), &again, &reason) == OK);
    need(memcmp(&url, &again, sizeof(url)) == 0);
}

void fuzz_config(struct slice input) {
    static struct config config;
    static struct buf why;
    char *argv[ARGUMENTS + 3] = {program, file_argument};
    int argc = 2;
    enum config_action action;
    open_file();
    check_url(input);
    struct slice content = fuzz_part(&input, '\xff');
    check_file(content);
    put_file(content);
    while (input.n > 0 && argc < ARGUMENTS + 2) {
        struct slice part = fuzz_part(&input, '\xff');
        argv[argc] = strndup(part.p, part.n);
        need(argv[argc++] != NULL);
    }
    enum error e = config_load(&config, argc, argv, &action, &why);
    need(e == OK || e == E_CONFIG);
    need((e == OK) == (why.n == 0));
    check_lines(&why);
    if (e == OK && action <= CONFIG_CHECK)
        check_dump(&config);
    for (int i = 2; i < argc; i++)
        free(argv[i]);
}
