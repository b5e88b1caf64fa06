/*
 * Configuration: options.def expanded into a struct, and the loader that fills it from defaults,
 * file, environment and command line, in that order. Children inherit the struct through fork and
 * never parse. A reload loads into a spare struct and swaps it in only when all of it is good.
 */
#ifndef LARDER_BASE_CONFIG_H
#define LARDER_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"

enum { CONFIG_TEXT_MAX = 256 };

/* One member per row of options.def, named as the option: texts are char[CONFIG_TEXT_MAX], numbers,
 * sizes, durations and choices are int64_t, yes/no is bool. */
struct config {
#define OPTION_TEXT(name, ...)   char name[CONFIG_TEXT_MAX];
#define OPTION_INT(name, ...)    int64_t name;
#define OPTION_BOOL(name, ...)   bool name;
#define OPTION_CHOICE(name, ...) int64_t name;
#include "base/options.def"
#undef OPTION_TEXT
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_CHOICE
    bool max_memory_set;        /* max_memory was given; otherwise Redis's own setting stays */
    bool max_memory_policy_set; /* max_memory_policy was given, and is not just the default */
};

/* The values of max_memory_policy: what Redis 7 can evict by. */
enum config_policy {
    POLICY_NOEVICTION,
    POLICY_ALLKEYS_LRU,
    POLICY_ALLKEYS_LFU,
    POLICY_ALLKEYS_RANDOM,
    POLICY_VOLATILE_LRU,
    POLICY_VOLATILE_LFU,
    POLICY_VOLATILE_RANDOM,
    POLICY_VOLATILE_TTL,
    POLICY_COUNT
};

/* What the command line asks for besides options. */
enum config_action { CONFIG_RUN, CONFIG_CHECK, CONFIG_HELP, CONFIG_VERSION };

/* Loads everything into `config`, which is overwritten also on failure. Reads the file named by
 * --config, else the default file if it exists.
 *
 * redis_url is taken apart into redis_host, port, socket, db, username and password; an option
 * given besides the URL at the same or a later level wins. Of redis_socket on one side and host and
 * port on the other the later level wins, the socket within one level; redis_socket is empty
 * exactly if host and port count. redis_password_file is read into redis_password.
 *
 * With CONFIG_HELP and CONFIG_VERSION the defaults are all that was loaded, and nothing is wrong.
 * E_CONFIG: `why` has one line per fault, each ended by a newline, naming the file and line,
 * environment variable or argument, the value, and what is allowed. A secret's value is never in
 * it. E_OUT_OF_MEMORY. */
LARDER_MUST_CHECK enum error config_load(struct config *config, int argc, char *const argv[],
                                         enum config_action *action, struct buf *why);

/* The usage text, every option with environment name, default and range, in aligned columns of at
 * most 100 characters. */
void config_help(FILE *out);

/* Appends every option and its value as lines of a configuration file, which gives the same
 * configuration again; secrets as "***" when set. max_memory_policy is a comment if nobody gave it.
 */
void config_dump(const struct config *config, struct buf *out);

/* The name that Redis knows a policy by: "allkeys-lru". "unknown" for what is no policy. */
const char *config_policy_name(int64_t max_memory_policy);

/* Copies the options that cannot change by a reload (listen, run_dir and so on) from `running` into
 * `fresh`, and appends a line for each whose value that changes, for the log. */
void config_keep_fixed(const struct config *running, struct config *fresh, struct buf *notes);

#endif
