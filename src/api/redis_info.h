/* What /stats and /metrics ask of Redis: the number of keys, and a few fields of INFO. */
#ifndef LARDER_API_REDIS_INFO_H
#define LARDER_API_REDIS_INFO_H

#include <stdint.h>

#include "base/error.h"
#include "base/prometheus.h"
#include "base/slice.h"
#include "http/request.h"

enum redis_section { REDIS_MEMORY, REDIS_STATS, REDIS_SECTIONS };

struct redis_info {
    int64_t keys;                         /* -1: not known */
    bool keys_approximate;                /* counted in the background */
    struct slice section[REDIS_SECTIONS]; /* INFO's text, in the call's memory; empty: not known */
    const struct reply *refused;          /* the first reply that is not what was asked for */
};

/* A number in it: a row of redis_figures.def. */
struct redis_figure {
    const char *name;
    enum redis_section section;
    enum prometheus_type type;
    const char *suffix;
    const char *help;
};

enum {
#define FIGURE(name, section, type, suffix, help) REDIS_FIGURE_##name,
#include "api/redis_figures.def"
#undef FIGURE
    REDIS_FIGURES
};

extern const struct redis_figure redis_figures[REDIS_FIGURES];

/* Begins the request's call with the commands, and commits it. An error of store_begin's: nothing
 * was begun. */
LARDER_MUST_CHECK enum error redis_info_ask(struct request *r);

/* Reads the replies of a call that came back whole. */
struct redis_info redis_info_read(const struct request *r);

/* The figure's value; negative if Redis did not tell. */
int64_t redis_info_figure(const struct redis_info *info, const struct redis_figure *figure);

/* A field that is a word, such as "1.02M" or "allkeys-lru". Empty if Redis did not tell, or told
 * something that is none: at most 32 characters of printable ASCII. */
struct slice redis_info_word(const struct redis_info *info, enum redis_section section,
                             const char *field);

#endif
