/* The option table, expanded, and how a row is found: see config_option.h. */
#include "base/config_option.h"

#include <string.h>

#include "base/log.h"

static const char *const policy_words[] = {
    [POLICY_NOEVICTION] = "noeviction",
    [POLICY_ALLKEYS_LRU] = "allkeys-lru",
    [POLICY_ALLKEYS_LFU] = "allkeys-lfu",
    [POLICY_ALLKEYS_RANDOM] = "allkeys-random",
    [POLICY_VOLATILE_LRU] = "volatile-lru",
    [POLICY_VOLATILE_LFU] = "volatile-lfu",
    [POLICY_VOLATILE_RANDOM] = "volatile-random",
    [POLICY_VOLATILE_TTL] = "volatile-ttl",
    [POLICY_COUNT] = NULL,
};

/* The columns of options.def that are words, as members of struct option. */
#define RELOAD_FIXED      true
#define RELOAD_RELOADABLE false
#define SECRECY_SECRET    true
#define SECRECY_PLAIN     false

#define COMMON(option_name, in_group, variable, initial, reload, text)                             \
    .name = #option_name, .environment = (variable), .fallback = (initial), .help = (text),        \
    .offset = offsetof(struct config, option_name),                                                \
    .size = sizeof(((struct config *)NULL)->option_name), .group = OPTION_GROUP_##in_group,        \
    .fixed = RELOAD_##reload

const struct option option_table[OPTION_COUNT] = {
#define OPTION_TEXT(name, group, environment, fallback, text_kind, bytes, reload, secrecy, help)   \
    [OPT_##name] = {COMMON(name, group, environment, fallback, reload, help),                      \
                    .kind = OPTION_KIND_##text_kind, .max = (bytes), .secret = SECRECY_##secrecy},
#define OPTION_INT(name, group, environment, fallback, int_kind, minimum, maximum, reload, help)   \
    [OPT_##name] = {COMMON(name, group, environment, fallback, reload, help),                      \
                    .kind = OPTION_KIND_##int_kind, .min = (minimum), .max = (maximum)},
#define OPTION_BOOL(name, group, environment, fallback, reload, help)                              \
    [OPT_##name] = {COMMON(name, group, environment, fallback, reload, help),                      \
                    .kind = OPTION_KIND_BOOL},
#define OPTION_CHOICE(name, group, environment, fallback, choices, reload, help)                   \
    [OPT_##name] = {COMMON(name, group, environment, fallback, reload, help),                      \
                    .kind = OPTION_KIND_CHOICE, .words = (choices)},
#include "base/options.def"
#undef OPTION_TEXT
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_CHOICE
};

/* Every text fits its member with the NUL. */
#define OPTION_TEXT(name, group, environment, fallback, kind, bytes, ...)                          \
    _Static_assert((bytes) < CONFIG_TEXT_MAX, #name);
#define OPTION_INT(...)
#define OPTION_BOOL(...)
#define OPTION_CHOICE(...)
#include "base/options.def"
#undef OPTION_TEXT
#undef OPTION_INT
#undef OPTION_BOOL
#undef OPTION_CHOICE

const struct option *option_find(struct slice name) {
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (slice_eq(slice_of(option_table[i].name), name))
            return &option_table[i];
    return NULL;
}

enum { NAME_MAX_BYTES = 40 };

/* Levenshtein's: letters to insert, leave out or replace. `b` has at most NAME_MAX_BYTES. */
static size_t edit_distance(struct slice a, struct slice b) {
    size_t row[NAME_MAX_BYTES + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t replaced = diagonal + (a.p[i - 1] == b.p[j - 1] ? 0 : 1);
            diagonal = row[j];
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            row[j] = shorter + 1 < replaced ? shorter + 1 : replaced;
        }
    }
    return row[b.n];
}

static void consider(struct slice name, const char *candidate, const char **best, size_t *limit) {
    size_t distance = edit_distance(name, slice_of(candidate));
    if (distance < *limit) {
        *best = candidate;
        *limit = distance;
    }
}

const char *option_nearest(struct slice name, const char *const *others) {
    const char *best = NULL;
    if (name.n > NAME_MAX_BYTES)
        return NULL;
    /* A third of the letters may be wrong, and one more: two that changed places count as two. */
    size_t limit = name.n / 3 + 2;
    for (size_t i = 0; i < OPTION_COUNT; i++)
        consider(name, option_table[i].name, &best, &limit);
    for (; *others != NULL; others++)
        consider(name, *others, &best, &limit);
    return best;
}

bool option_equal(const struct option *option, const struct config *a, const struct config *b) {
    return option_is_none(option, a) == option_is_none(option, b) &&
           memcmp((const char *)a + option->offset, (const char *)b + option->offset,
                  option->size) == 0;
}

void option_copy(const struct option *option, struct config *to, const struct config *from) {
    memcpy((char *)to + option->offset, (const char *)from + option->offset, option->size);
    if (option == &option_table[OPT_max_memory])
        to->max_memory_set = from->max_memory_set;
}

const char *config_policy_name(int64_t max_memory_policy) {
    if (max_memory_policy < 0 || max_memory_policy >= POLICY_COUNT)
        return "unknown";
    return policy_words[max_memory_policy];
}
