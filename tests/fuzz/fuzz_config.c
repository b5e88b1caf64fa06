/*
 * Configuration: a file and a command line, of which something is made or something is said; and
 * Redis URLs. The input is the file, then the arguments, with 0xFF between them.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/config.h"
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
    put_file(fuzz_part(&input, '\xff'));
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
