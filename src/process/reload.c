/*
 * Reload: check the new configuration, start a generation of workers with it, and once all of them
 * are ready let the old ones retire. Whatever fails on the way, the old ones go on. See
 * master_state.h.
 */
#include <string.h>

#include "base/log.h"
#include "process/master_state.h"
#include "process/worker.h"

enum { RELOAD_MS = 3000 }; /* for a new generation to get ready */

static void log_lines(const struct buf *text, void (*say)(const char *format, ...)) {
    const char *p = text->p;
    size_t left = text->n;
    while (left > 0) {
        const char *newline = memchr(p, '\n', left);
        size_t n = newline != NULL ? (size_t)(newline - p) : left;
        say("%.*s", (int)n, p);
        size_t used = newline != NULL ? n + 1 : n;
        p += used;
        left -= used;
    }
}

/* One that was asked for meanwhile goes on from here. */
static bool nobody_waits(const struct master *m) {
    return !m->up || m->reload_wanted;
}

static void refuse_reload(struct master *m, const char *why) {
    stats_add(&master_row(m)->counter[STAT_reloads_refused], 1);
    atomic_store_explicit(&m->segment->reload_refused, 1, memory_order_relaxed);
    log_error("reload refused, the configuration stays as it was: %s", why);
    if (!nobody_waits(m))
        notify_ready(&m->notify, MASTER_STATUS "; the last reload was refused, see the log",
                     pool_target(&m->config), m->generation);
}

static bool load_fresh(struct master *m) {
    enum config_action action;
    struct buf text = {0};
    enum error e = config_load(&m->fresh, m->setup->argc, m->setup->argv, &action, &text);
    if (e != OK) {
        log_lines(&text, log_error);
        refuse_reload(m, "it has faults");
        buf_fini(&text);
        return false;
    }
    config_keep_fixed(&m->config, &m->fresh, &text);
    log_lines(&text, log_warning);
    buf_fini(&text);
    if (2 * pool_target(&m->fresh) + SEGMENT_FIRST_WORKER_ROW > m->rows) {
        refuse_reload(m, "that many workers need a restart");
        return false;
    }
    return true;
}

void reload_rehearse(struct master *m) {
    enum config_action action;
    struct buf text = {0};
    if (config_load(&m->fresh, m->setup->argc, m->setup->argv, &action, &text) != OK) {
        log_lines(&text, log_warning);
        log_warning("root could read that, user = %s can't: no reload will succeed until it may be "
                    "read by him",
                    m->config.user);
    }
    buf_fini(&text);
}

static void begin_reload(struct master *m, int64_t now) {
    m->reload_wanted = false;
    if (!load_fresh(m))
        return;
    log_info("reloading");
    m->reloading = true;
    m->reload_deadline = now + RELOAD_MS * NS_PER_MS;
    m->last_generation++;
    m->resolve_after = now;
    pool_resolve(m, now);
    for (uint32_t i = 0; i < pool_target(&m->fresh); i++)
        if (!pool_spawn(m, &m->fresh, m->last_generation, now))
            break;
}

static void dismiss_generation(struct master *m, bool current, int signal, int64_t now) {
    for (uint32_t i = SEGMENT_FIRST_WORKER_ROW; i < m->children.count; i++) {
        const struct child *child = &m->children.slots[i];
        if ((child->state == CHILD_STARTING || child->state == CHILD_LIVE) &&
            (child->generation == m->generation) == current)
            children_dismiss(&m->children, i, signal, master_drain_deadline(m, now));
    }
}

static void commit_reload(struct master *m, int64_t now) {
    m->config = m->fresh;
    m->generation = m->last_generation;
    m->reloading = false;
    stats_add(&master_row(m)->counter[STAT_reloads], 1);
    atomic_store_explicit(&m->segment->reload_refused, 0, memory_order_relaxed);
    log_change(m->config.log_file, (enum log_level)m->config.log_level);
    dismiss_generation(m, false, WORKER_SIGNAL_RETIRE, now);
    log_info("reloaded: generation %u serves", m->generation);
    if (!nobody_waits(m))
        notify_ready(&m->notify, MASTER_STATUS, pool_target(&m->config), m->generation);
}

static void abandon_reload(struct master *m, int64_t now) {
    refuse_reload(m, "its workers did not get ready; their lines above say why");
    m->reloading = false;
    /* Not to stop: what they have accepted goes to those that stay. */
    dismiss_generation(m, false, WORKER_SIGNAL_RETIRE, now);
}

void reload_step(struct master *m, int64_t now) {
    /* One starting and one retiring generation at most: further HUPs wait as one flag. */
    if (!m->reloading) {
        if (m->reload_wanted && children_count(&m->children, CHILD_LEAVING, 0) == 0 &&
            children_count(&m->children, CHILD_STARTING, 0) == 0)
            begin_reload(m, now);
        return;
    }
    uint32_t target = pool_target(&m->fresh);
    uint32_t live = children_count(&m->children, CHILD_LIVE, m->last_generation);
    uint32_t starting = children_count(&m->children, CHILD_STARTING, m->last_generation);
    if (live >= target)
        commit_reload(m, now);
    else if (live + starting < target || now >= m->reload_deadline)
        abandon_reload(m, now);
}
