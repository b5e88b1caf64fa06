/* Loading the configuration, level by level: see config.h. */
#include "base/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_args.h"
#include "base/config_file.h"
#include "base/config_loader.h"
#include "base/config_option.h"
#include "base/printable.h"

static void take_defaults(struct loader *l) {
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        loader_take(l, id, slice_of(option_table[id].fallback),
                    (struct origin){.rank = RANK_DEFAULT});
}

static void put_unknown(struct loader *l, struct slice name) {
    static const char *const no_others[] = {NULL};
    buf_puts(l->why, ": ");
    printable_put(l->why, name);
    buf_puts(l->why, ": there is no such option");
    const char *nearest = option_nearest(name, no_others);
    if (nearest != NULL)
        buf_printf(l->why, "; did you mean %s?", nearest);
}

static void take_line(struct loader *l, unsigned number, struct slice text, unsigned *lines) {
    struct config_line line;
    const char *reason;
    enum error e = config_line_parse(text, &line, &reason);
    if (e == OK && line.name.n == 0)
        return;
    const struct option *option = option_find(line.name);
    enum option_id id = option != NULL ? (enum option_id)(option - option_table) : OPTION_COUNT;
    if (e == OK && option != NULL && lines[id] == 0) {
        lines[id] = number;
        loader_take(l, id, line.value, (struct origin){.rank = RANK_FILE, .line = number});
        return;
    }
    loader_put_line(l, number);
    if (e != OK)
        buf_printf(l->why, ": %s%s%s", option != NULL ? option->name : "",
                   option != NULL ? ": " : "", reason);
    else if (option == NULL)
        put_unknown(l, line.name);
    else
        buf_printf(l->why, ": %s is given twice, first on line %u", option->name, lines[id]);
    loader_end_fault(l, SLICE(""));
    if (option != NULL)
        l->faulty[id] = true;
}

/* `path` is NULL for the default file, which need not exist. */
static void take_file(struct loader *l, const char *path) {
    struct buf content = {0};
    l->file = path != NULL ? path : CONFIG_FILE_DEFAULT;
    if (config_file_read(l->file, &content) == OK) {
        unsigned lines[OPTION_COUNT] = {0};
        struct slice rest = buf_slice(&content);
        struct slice text;
        for (unsigned number = 1; config_file_next(&rest, &text); number++)
            take_line(l, number, text, lines);
    } else if (path != NULL || (errno != ENOENT && errno != ENOTDIR)) {
        int read_errno = errno;
        printable_put(l->why, slice_of(l->file));
        buf_printf(l->why, ": cannot be read: %s", strerror(read_errno));
        loader_end_fault(l, SLICE(""));
    }
    buf_fini(&content);
}

static void take_environment(struct loader *l) {
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const char *value = getenv(option_table[id].environment);
        if (value != NULL && *value != '\0')
            loader_take(l, id, slice_of(value), (struct origin){.rank = RANK_ENVIRONMENT});
    }
}

static void take_arguments(struct loader *l, const struct config_args *args) {
    for (enum option_id id = 0; id < OPTION_COUNT; id++)
        if (args->values[id] != NULL)
            loader_take(l, id, slice_of(args->values[id]), (struct origin){.rank = RANK_ARGUMENT});
}

static void check_ttls(struct loader *l) {
    if (l->faulty[OPT_default_ttl] || l->faulty[OPT_max_ttl] ||
        l->config->default_ttl <= l->config->max_ttl)
        return;
    struct buf reason = {0};
    buf_puts(&reason, "must be at most max_ttl, which is ");
    option_print(&option_table[OPT_max_ttl], l->config, &reason);
    loader_fault(l, OPT_default_ttl, buf_slice(&reason));
    buf_fini(&reason);
}

enum error config_load(struct config *config, int argc, char *const argv[],
                       enum config_action *action, struct buf *why) {
    struct loader l = {.config = config, .why = why};
    struct config_args args;
    *config = (struct config){0};
    buf_reset(why, SIZE_MAX);
    l.faults = config_args_parse(argc, argv, &args, why);
    *action = args.action;
    if (args.action == CONFIG_HELP || args.action == CONFIG_VERSION) {
        buf_reset(why, SIZE_MAX);
        l.faults = 0;
        take_defaults(&l);
    } else {
        take_defaults(&l);
        take_file(&l, args.file);
        take_environment(&l);
        take_arguments(&l, &args);
        loader_settle_redis(&l);
        check_ttls(&l);
        config->max_memory_policy_set = loader_rank(&l, OPT_max_memory_policy) > RANK_DEFAULT;
    }
    if (buf_failed(why))
        return E_OUT_OF_MEMORY;
    return l.faults == 0 ? OK : E_CONFIG;
}

void config_keep_fixed(const struct config *running, struct config *fresh, struct buf *notes) {
    for (enum option_id id = 0; id < OPTION_COUNT; id++) {
        const struct option *option = &option_table[id];
        if (!option->fixed || option_equal(option, running, fresh))
            continue;
        struct buf value = {0};
        option_print_masked(option, fresh, &value);
        buf_printf(notes, "%s = ", option->name);
        printable_put(notes, buf_slice(&value));
        buf_puts(notes, " waits for a restart; until then it stays ");
        buf_reset(&value, SIZE_MAX);
        option_print_masked(option, running, &value);
        printable_put(notes, buf_slice(&value));
        buf_puts(notes, "\n");
        buf_fini(&value);
        option_copy(option, fresh, running);
    }
}
