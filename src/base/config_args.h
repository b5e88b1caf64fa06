/*
 * The command line taken apart; values are looked at later, in config.c.
 */
#ifndef LARDER_BASE_CONFIG_ARGS_H
#define LARDER_BASE_CONFIG_ARGS_H

#include "base/buf.h"
#include "base/config.h"
#include "base/config_option.h"

struct config_args {
    enum config_action action;
    const char *file;                 /* of --config; NULL: not given */
    const char *values[OPTION_COUNT]; /* as argv has them; NULL: not given */
};

/* Of an option given twice the last counts. Appends one line per fault to `why` and returns how
 * many there are; --help and --version end the matter where they stand. No value is in `why`,
 * because what looks like a stray argument may be half of a password. */
LARDER_MUST_CHECK size_t config_args_parse(int argc, char *const argv[], struct config_args *args,
                                           struct buf *why);

/* Appends an option's name as the command line spells it: redis_host as --redis-host. */
void config_args_put_name(struct buf *out, struct slice name);

#endif
