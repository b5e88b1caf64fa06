/* What is known of every key: see ledger.h. */
#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>

bool ledger_init(struct ledger *l, uint32_t count, const char *tag) {
    *l = (struct ledger){.count = count};
    l->keys = calloc(count, sizeof(l->keys[0]));
    if (l->keys == NULL)
        return false;
    for (uint32_t i = 0; i < count; i++)
        (void)snprintf(l->keys[i].name, sizeof(l->keys[i].name), "%.40s-%u", tag, i);
    return true;
}

void ledger_fini(struct ledger *l) {
    free(l->keys);
    *l = (struct ledger){0};
}

struct sight ledger_look(const struct known *k) {
    return (struct sight){k->floor, k->deleted};
}

/* NULL if it was too long ago. */
static const struct past *recall(const struct known *k, uint64_t version) {
    const struct past *past = &k->past[version % LEDGER_PAST];
    return past->version == version && version > 0 ? past : NULL;
}

uint64_t ledger_begin_write(struct known *k, enum change change) {
    uint64_t version = ++k->attempted;
    if (change == CHANGE_DELETE)
        k->deleted = version;
    k->past[version % LEDGER_PAST] = (struct past){version, change, OUTCOME_PENDING};
    return version;
}

/* The last deletion before this one that may have happened. */
static uint64_t deletion_before(const struct known *k, uint64_t version) {
    while (--version > 0) {
        const struct past *past = recall(k, version);
        if (past == NULL)
            return version; /* nobody remembers: it is taken for possible */
        if (past->change == CHANGE_DELETE && past->outcome != OUTCOME_NOT_APPLIED)
            return version;
    }
    return 0;
}

void ledger_end_write(struct ledger *l, struct known *k, uint64_t version, enum outcome outcome) {
    struct past *past = &k->past[version % LEDGER_PAST];
    past->outcome = outcome;
    if (outcome == OUTCOME_NOT_APPLIED && k->deleted == version)
        k->deleted = deletion_before(k, version);
    if (outcome != OUTCOME_ACKNOWLEDGED)
        return;
    if (version > k->floor)
        k->floor = version;
    if (!k->ready)
        l->ready++;
    k->ready = true;
}

/* Whether a write that nobody heard the end of explains what came. */
static bool is_late(const struct ledger *l, const struct known *k, uint64_t version) {
    const struct past *past = recall(k, version);
    return l->late_writes && past != NULL && past->outcome == OUTCOME_UNKNOWN;
}

enum verdict ledger_judge_value(const struct ledger *l, struct known *k, struct sight sight,
                                uint64_t version) {
    const struct past *past = recall(k, version);
    if (version == 0 || version > k->attempted)
        return VERDICT_wrong;
    if (past != NULL && (past->change == CHANGE_DELETE || past->outcome == OUTCOME_NOT_APPLIED))
        return VERDICT_wrong;
    if (version < sight.floor)
        return is_late(l, k, version) ? VERDICT_late : VERDICT_stale;
    if (version > k->floor)
        k->floor = version;
    return VERDICT_right;
}

/* Versions 1 to floor - 1 are over, unless they may come late. */
static bool may_be_deleted_late(const struct ledger *l, const struct known *k) {
    for (uint32_t i = 0; i < LEDGER_PAST; i++)
        if (k->past[i].change == CHANGE_DELETE && is_late(l, k, k->past[i].version))
            return true;
    return false;
}

enum verdict ledger_judge_absence(const struct ledger *l, const struct known *k,
                                  struct sight sight) {
    /* Of all deletions that may have happened the last is the one that counts: if it is older than
     * the floor, so are the others. */
    if (l->may_vanish || sight.floor == 0 || k->deleted >= sight.floor)
        return VERDICT_right;
    return may_be_deleted_late(l, k) ? VERDICT_late : VERDICT_lost;
}

enum verdict ledger_judge_nothing_deleted(const struct ledger *l, const struct known *k,
                                          struct sight sight) {
    if (l->may_vanish || sight.floor == 0 || sight.deleted >= sight.floor)
        return VERDICT_right;
    return may_be_deleted_late(l, k) ? VERDICT_late : VERDICT_lost;
}
