/* Taking values and telling faults: see config_loader.h. */
#include "base/config_loader.h"

#include "base/config_args.h"
#include "base/printable.h"

void loader_put_line(struct loader *l, unsigned line) {
    printable_put(l->why, slice_of(l->file));
    buf_printf(l->why, ":%u", line);
}

static void put_value(struct loader *l, const struct option *option, struct slice value) {
    if (option->secret)
        buf_puts(l->why, "***");
    else
        printable_put(l->why, value);
}

/* "larder.conf:12: redis_port = 70000: " and its like: the start of a fault's line. */
void loader_put_given(struct loader *l, enum option_id id, struct origin origin,
                      struct slice value) {
    const struct option *option = &option_table[id];
    switch (origin.rank) {
    case RANK_FILE_URL:
    case RANK_ENVIRONMENT_URL:
    case RANK_ARGUMENT_URL:
        loader_put_given(l, OPT_redis_url, l->origins[OPT_redis_url], value);
        return;
    case RANK_FILE:
        loader_put_line(l, origin.line);
        buf_printf(l->why, ": %s = ", option->name);
        break;
    case RANK_ENVIRONMENT:
        buf_printf(l->why, "environment %s=", option->environment);
        break;
    case RANK_ARGUMENT:
        config_args_put_name(l->why, slice_of(option->name));
        buf_puts(l->why, " ");
        break;
    case RANK_DEFAULT:
        buf_printf(l->why, "default: %s = ", option->name);
        break;
    }
    put_value(l, option, value);
    buf_puts(l->why, ": ");
}

void loader_end_fault(struct loader *l, struct slice reason) {
    buf_put_slice(l->why, reason);
    buf_put_char(l->why, '\n');
    l->faults++;
}

void loader_fault(struct loader *l, enum option_id id, struct slice reason) {
    struct buf value = {0};
    option_print(&option_table[id], l->config, &value);
    loader_put_given(l, id, l->origins[id], buf_slice(&value));
    loader_end_fault(l, reason);
    l->faulty[id] = true;
    buf_fini(&value);
}

void loader_take(struct loader *l, enum option_id id, struct slice text, struct origin origin) {
    struct buf reason = {0};
    if (option_parse(&option_table[id], text, l->config, &reason) == OK) {
        l->origins[id] = origin;
    } else {
        loader_put_given(l, id, origin, text);
        loader_end_fault(l, buf_slice(&reason));
        l->faulty[id] = true;
    }
    buf_fini(&reason);
}
