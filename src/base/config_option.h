/*
 * The rows of options.def as data, and what can be done with any option: parse it, print it, say
 * what it takes. For config*.c and its tests; everybody else reads struct config.
 */
#ifndef LARDER_BASE_CONFIG_OPTION_H
#define LARDER_BASE_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/config.h"
#include "base/error.h"
#include "base/slice.h"

/* OPT_redis_host and so on: the index in option_table. */
enum option_id {
#define OPTION_TEXT(name, ...)   OPT_##name,
#define OPTION_INT(name, ...)    OPT_##name,
#define OPTION_BOOL(name, ...)   OPT_##name,
#define OPTION_CHOICE(name, ...) OPT_##name,
#include "base/options.def"
#undef OPTION_TEXT
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_CHOICE
    OPTION_COUNT
};

enum option_kind {
    OPTION_KIND_TEXT,
    OPTION_KIND_PATH,
    OPTION_KIND_URL,
    OPTION_KIND_NUMBER,
    OPTION_KIND_MILLISECONDS,
    OPTION_KIND_SECONDS,
    OPTION_KIND_SIZE,
    OPTION_KIND_OCTAL,
    OPTION_KIND_BOOL,
    OPTION_KIND_CHOICE
};

enum option_group {
    OPTION_GROUP_LISTENING,
    OPTION_GROUP_PROCESSES,
    OPTION_GROUP_REDIS,
    OPTION_GROUP_CACHE,
    OPTION_GROUP_LOG
};

struct option {
    const char *name; /* as in a file: redis_host */
    const char *environment;
    const char *fallback; /* the default, spelled as a user would; "" is none */
    const char *help;
    const char *const *words; /* of a choice; ends with NULL */
    int64_t min;
    int64_t max;   /* of a text: its bytes */
    size_t offset; /* of the member in struct config */
    size_t size;   /* of that member */
    enum option_kind kind;
    enum option_group group;
    bool fixed;  /* for the life of the process */
    bool secret; /* never shown */
};

extern const struct option option_table[OPTION_COUNT];

/* The row named so, or NULL. */
const struct option *option_find(struct slice name);

/* The name most like `name`, for "did you mean": of a row, or one of `others` (ends with NULL).
 * NULL if none is near. */
const char *option_nearest(struct slice name, const char *const *others);

/* Stores the value spelled by `text` in the option's member. E_CONFIG: the member stays as it is,
 * and `why` gets what the value must be, without the value. */
LARDER_MUST_CHECK enum error option_parse(const struct option *option, struct slice text,
                                          struct config *config, struct buf *why);

/* Appends the value, spelled so that option_parse takes it back; also a secret's. */
void option_print(const struct option *option, const struct config *config, struct buf *out);

/* The same, but "***" for a secret that is set. */
void option_print_masked(const struct option *option, const struct config *config, struct buf *out);

/* Appends what the option takes: "a whole number from 1 to 65535". */
void option_describe(const struct option *option, struct buf *out);

/* The value is none: an empty text, or max_memory that was not given. */
bool option_is_none(const struct option *option, const struct config *config);

/* Same value; of configurations that config_load filled. */
bool option_equal(const struct option *option, const struct config *a, const struct config *b);
void option_copy(const struct option *option, struct config *to, const struct config *from);

#endif
