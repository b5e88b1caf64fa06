/* The command line: see config_args.h. */
#include "base/config_args.h"

#include <string.h>

#include "base/printable.h"

enum flag { FLAG_CONFIG, FLAG_CHECK, FLAG_HELP, FLAG_VERSION, FLAG_COUNT };

static const char *const flag_names[] = {
    [FLAG_CONFIG] = "config",   [FLAG_CHECK] = "check", [FLAG_HELP] = "help",
    [FLAG_VERSION] = "version", [FLAG_COUNT] = NULL,
};

/* One walk along argv. */
struct walk {
    int argc;
    char *const *argv;
    int at;
    struct config_args *args;
    struct buf *why;
    size_t faults;
};

void config_args_put_name(struct buf *out, struct slice name) {
    buf_puts(out, "--");
    size_t start = out->n;
    printable_put(out, name);
    for (size_t i = start; i < out->n; i++)
        if (out->p[i] == '_')
            out->p[i] = '-';
}

static void fault(struct walk *w, const char *name, const char *reason) {
    config_args_put_name(w->why, slice_of(name));
    buf_printf(w->why, ": %s\n", reason);
    w->faults++;
}

/* The argument after this one, if it can be a value. */
static const char *peek(const struct walk *w) {
    const char *next = w->at + 1 < w->argc ? w->argv[w->at + 1] : NULL;
    return next != NULL && strncmp(next, "--", 2) != 0 ? next : NULL;
}

/* The value of an option that needs one; `inline_value` is what followed its "=", or NULL. */
static const char *take_value(struct walk *w, const char *name, const char *inline_value) {
    if (inline_value != NULL)
        return inline_value;
    const char *value = peek(w);
    if (value == NULL)
        fault(w, name, "a value is missing; one that starts with -- goes behind an equals sign");
    else
        w->at++;
    return value;
}

static const char *take_bool(struct walk *w, const char *inline_value) {
    if (inline_value != NULL)
        return inline_value;
    const char *next = peek(w);
    if (next == NULL || (strcmp(next, "yes") != 0 && strcmp(next, "no") != 0))
        return "yes";
    w->at++;
    return next;
}

static void take_flag(struct walk *w, enum flag flag, const char *inline_value) {
    if (flag == FLAG_CONFIG) {
        const char *file = take_value(w, flag_names[flag], inline_value);
        if (file != NULL && *file == '\0')
            fault(w, flag_names[flag], "a file is missing; /dev/null stands for none");
        else if (file != NULL)
            w->args->file = file;
        return;
    }
    if (inline_value != NULL)
        fault(w, flag_names[flag], "takes no value");
    else if (flag == FLAG_CHECK)
        w->args->action = CONFIG_CHECK;
    else
        w->args->action = flag == FLAG_HELP ? CONFIG_HELP : CONFIG_VERSION;
}

/* `name` has underscores for dashes. A dash too few or an underscore is no name, but near one. */
static void unknown(struct walk *w, struct slice shown, struct slice name) {
    printable_put(w->why, shown);
    buf_puts(w->why, ": there is no such option");
    const char *nearest = option_nearest(name, flag_names);
    if (nearest != NULL) {
        buf_puts(w->why, "; did you mean ");
        config_args_put_name(w->why, slice_of(nearest));
    }
    buf_puts(w->why, nearest != NULL ? "? See --help.\n" : ". See --help.\n");
    w->faults++;
    /* What follows is its value, and no second fault. */
    if (shown.p[shown.n] == '\0' && peek(w) != NULL && *peek(w) != '-')
        w->at++;
}

static void take_option(struct walk *w, const char *arg) {
    const char *equals = strchr(arg, '=');
    const char *inline_value = equals != NULL ? equals + 1 : NULL;
    struct slice shown = {arg, equals != NULL ? (size_t)(equals - arg) : strlen(arg)};
    char folded[64];
    struct slice name = {folded, 0};
    for (size_t i = strspn(arg, "-"); i < shown.n && name.n < sizeof(folded); i++)
        folded[name.n++] = (char)(arg[i] == '-' ? '_' : arg[i]);
    if (strncmp(arg, "--", 2) != 0 || memchr(arg, '_', shown.n) != NULL || name.n + 2 != shown.n) {
        unknown(w, shown, name);
        return;
    }
    for (enum flag flag = 0; flag < FLAG_COUNT; flag++) {
        if (slice_eq(slice_of(flag_names[flag]), name)) {
            take_flag(w, flag, inline_value);
            return;
        }
    }
    const struct option *option = option_find(name);
    if (option == NULL) {
        unknown(w, shown, name);
        return;
    }
    const char *value = option->kind == OPTION_KIND_BOOL
                            ? take_bool(w, inline_value)
                            : take_value(w, option->name, inline_value);
    w->args->values[option - option_table] = value;
}

size_t config_args_parse(int argc, char *const argv[], struct config_args *args, struct buf *why) {
    *args = (struct config_args){.action = CONFIG_RUN};
    struct walk w = {.argc = argc, .argv = argv, .args = args, .why = why};
    for (w.at = 1; w.at < argc; w.at++) {
        const char *arg = argv[w.at];
        if (strcmp(arg, "-h") == 0) {
            args->action = CONFIG_HELP;
        } else if (strcmp(arg, "-V") == 0) {
            args->action = CONFIG_VERSION;
        } else if (arg[0] == '-' && arg[1] != '\0' && strcmp(arg, "--") != 0) {
            take_option(&w, arg);
        } else {
            buf_printf(why, "argument %d: options start with --. See --help.\n", w.at);
            w.faults++;
        }
        if (args->action == CONFIG_HELP || args->action == CONFIG_VERSION)
            break;
    }
    return w.faults;
}
