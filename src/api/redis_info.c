/* What /stats and /metrics ask of Redis: see redis_info.h. */
#include "api/redis_info.h"

#include "base/digest.h"
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

/* The database has others' keys, too: a worker counts ours. */
static bool counts_by_itself(const struct request *r) {
    return r->service->config->key_prefix[0] != '\0';
}

enum error redis_info_ask(struct request *r) {
    struct service *service = r->service;
    enum error e = store_begin(service->store, &r->call, service->now);
    if (e != OK)
        return e;
    if (!counts_by_itself(r))
        store_append(service->store, &r->call, (struct slice[]){SLICE("DBSIZE")}, 1);
    /* Redis 6.2 takes one section at a time. */
    for (size_t i = 0; i < REDIS_SECTIONS; i++)
        store_append(service->store, &r->call, (struct slice[]){SLICE("INFO"), section_names[i]},
                     2);
    store_commit(service->store, &r->call, service->now);
    return OK;
}

static int64_t counted_keys(const struct request *r) {
    struct census_state *census = &r->service->segment->census;
    atomic_store_explicit(&census->wanted, r->service->now, memory_order_relaxed);
    if (atomic_load_explicit(&census->counted, memory_order_acquire) == 0 ||
        atomic_load_explicit(&census->prefix, memory_order_relaxed) !=
            digest_xxh64(slice_of(r->service->config->key_prefix), 0))
        return -1;
    int64_t keys = atomic_load_explicit(&census->keys, memory_order_relaxed);
    return keys < 0 ? -1 : keys;
}

struct redis_info redis_info_read(const struct request *r) {
    const struct call *call = &r->call;
    struct redis_info info = {.keys = -1, .keys_approximate = counts_by_itself(r)};
    const struct reply *text = replies_get(&call->replies, 0);
    if (info.keys_approximate) {
        info.keys = counted_keys(r);
    } else {
        if (text->type == REPLY_INTEGER)
            info.keys = text->integer;
        else
            info.refused = text;
        text = replies_next(&call->replies, text);
    }
    for (size_t i = 0; i < REDIS_SECTIONS; i++, text = replies_next(&call->replies, text)) {
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
