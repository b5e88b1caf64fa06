/* What /stats and /metrics ask of Redis: see redis_info.h. */
#include "api/redis_info.h"

#include "redis/reply.h"
#include "redis/store.h"

const struct redis_figure redis_figures[REDIS_FIGURES] = {
#define FIGURE(name, section, type, suffix, help)                                                  \
    {#name, REDIS_##section, PROMETHEUS_##type, suffix, help},
#include "api/redis_figures.def"
#undef FIGURE
};

static const struct slice section_names[REDIS_SECTIONS] = {
    [REDIS_MEMORY] = SLICE_INIT("memory"),
    [REDIS_STATS] = SLICE_INIT("stats"),
};

enum error redis_info_ask(struct request *r) {
    struct service *service = r->service;
    enum error e = store_begin(service->store, &r->call, service->now);
    if (e != OK)
        return e;
    store_append(service->store, &r->call, (struct slice[]){SLICE("DBSIZE")}, 1);
    /* Redis 6.2 takes one section at a time. */
    for (size_t i = 0; i < REDIS_SECTIONS; i++)
        store_append(service->store, &r->call, (struct slice[]){SLICE("INFO"), section_names[i]},
                     2);
    store_commit(service->store, &r->call, service->now);
    return OK;
}

struct redis_info redis_info_read(const struct call *call) {
    struct redis_info info = {.keys = -1};
    const struct reply *keys = replies_get(&call->replies, 0);
    if (keys->type == REPLY_INTEGER)
        info.keys = keys->integer;
    else
        info.refused = keys;
    for (size_t i = 0; i < REDIS_SECTIONS; i++) {
        const struct reply *text = replies_get(&call->replies, 1 + i);
        if (text->type == REPLY_STRING)
            info.section[i] = replies_bytes(&call->replies, text);
        else if (info.refused == NULL)
            info.refused = text;
    }
    return info;
}

int64_t redis_info_figure(const struct redis_info *info, const struct redis_figure *figure) {
    return reply_info_int(info->section[figure->section], figure->name, -1);
}

struct slice redis_info_word(const struct redis_info *info, enum redis_section section,
                             const char *field) {
    enum { WORD_MAX = 32 };
    struct slice word;
    if (!reply_info_field(info->section[section], field, &word) || word.n > WORD_MAX)
        return (struct slice){0};
    for (size_t i = 0; i < word.n; i++)
        if (word.p[i] <= ' ' || word.p[i] > '~')
            return (struct slice){0};
    return word;
}
