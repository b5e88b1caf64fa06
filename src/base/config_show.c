/* The configuration shown to people: --help and the dump. See config.h. */
#include "base/config.h"

#include <string.h>

#include "base/config_args.h"
#include "base/config_file.h"
#include "base/config_option.h"

enum { WIDTH = 100, INDENT = 6, OPTION_COLUMN = 26, ENVIRONMENT_COLUMN = 30 };

static const char *const group_titles[] = {
    [OPTION_GROUP_LISTENING] = "Listening",
    [OPTION_GROUP_PROCESSES] = "Processes",
    [OPTION_GROUP_REDIS] = "Redis",
    [OPTION_GROUP_CACHE] = "Cache",
    [OPTION_GROUP_LOG] = "Log",
};

/* Breaks lines at spaces. A word that is longer than a line has one of its own. */
static void put_wrapped(struct slice text, struct buf *out) {
    size_t column = 0;
    while (text.n > 0) {
        const char *space = memchr(text.p, ' ', text.n);
        size_t word = space != NULL ? (size_t)(space - text.p) : text.n;
        if (column > 0 && column + 1 + word > WIDTH) {
            buf_put_char(out, '\n');
            column = 0;
        }
        int before = column > 0 ? 1 : INDENT;
        buf_printf(out, "%*s%.*s", before, "", (int)word, text.p);
        column += (size_t)before + word;
        size_t used = space != NULL ? word + 1 : word;
        text = (struct slice){text.p + used, text.n - used};
    }
    buf_put_char(out, '\n');
}

static void put_option(const struct option *option, struct buf *out) {
    struct buf text = {0};
    config_args_put_name(&text, slice_of(option->name));
    buf_printf(out, "  %-*.*s%-*s%s\n", OPTION_COLUMN, (int)text.n, text.p, ENVIRONMENT_COLUMN,
               option->environment, option->fallback[0] != '\0' ? option->fallback : "none");
    buf_reset(&text, SIZE_MAX);
    buf_printf(&text, "%s (", option->help);
    option_describe(option, &text);
    buf_put_char(&text, ')');
    put_wrapped(buf_slice(&text), out);
    buf_fini(&text);
}

static const char usage[] =
    "Usage: larderd [--config FILE] [--NAME VALUE | --NAME=VALUE]...\n"
    "The cache service: answers the web server's FastCGI requests out of Redis.\n"
    "\n"
    "  --config FILE  read options from FILE; /dev/null stands for no file. By default, if it\n"
    "                 exists: " CONFIG_FILE_DEFAULT "\n"
    "  --check        say what is wrong with the configuration, and stop\n"
    "  -h, --help     show this text, and stop\n"
    "  -V, --version  show the version, and stop\n"
    "\n"
    "An option's value is the last one given: its default, its line in the file (name = value,\n"
    "with underscores for dashes), its environment variable, its argument. Where the default is\n"
    "none, \"\" stands for none in a file and as an argument.\n";

static const char epilogue[] =
    "\n"
    "Signals: TERM and INT stop larderd after the requests in hand, HUP loads the configuration\n"
    "again, USR1 opens the log file again.\n"
    "Exit status: 0 after a stop, 2 for a bad configuration, 1 if something else went wrong.\n";

void config_help(FILE *out) {
    struct buf text = {0};
    buf_puts(&text, usage);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        enum option_group group = option_table[i].group;
        if (i == 0 || option_table[i - 1].group != group)
            buf_printf(&text, "\n  %-*s%-*s%s\n", OPTION_COLUMN, group_titles[group],
                       ENVIRONMENT_COLUMN, "Environment", "Default");
        put_option(&option_table[i], &text);
    }
    buf_puts(&text, epilogue);
    /* Whoever asks for help on a closed or full standard output gets none. */
    if (!buf_failed(&text))
        (void)fwrite(text.p, 1, text.n, out);
    buf_fini(&text);
}

/* In a file, quotes keep what is empty, and spaces and "#" from being lost. */
static void put_quoted(struct slice value, struct buf *out) {
    buf_put_char(out, '"');
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] == '"' || value.p[i] == '\\')
            buf_put_char(out, '\\');
        buf_put_char(out, value.p[i]);
    }
    buf_put_char(out, '"');
}

static bool needs_quotes(struct slice value) {
    for (size_t i = 0; i < value.n; i++)
        if (strchr(" \t#\"", value.p[i]) != NULL)
            return true;
    return value.n == 0;
}

void config_dump(const struct config *config, struct buf *out) {
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        struct buf value = {0};
        option_print_masked(&option_table[i], config, &value);
        /* Where a prefix is set, a line with the policy is a wish to set it in Redis. */
        if (i == OPT_max_memory_policy && !config->max_memory_policy_set)
            buf_puts(out, "# ");
        buf_printf(out, "%s = ", option_table[i].name);
        if (needs_quotes(buf_slice(&value)))
            put_quoted(buf_slice(&value), out);
        else
            buf_put_slice(out, buf_slice(&value));
        buf_put_char(out, '\n');
        buf_fini(&value);
    }
}
