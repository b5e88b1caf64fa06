/*
 * What is known of every key, and so what an answer to a read may be.
 *
 * A key has one writer at a time with one write under way, so its writes are numbered: version 1,
 * 2, 3 ... A deletion is a version, too. A write that was acknowledged, or whose value somebody has
 * seen, happened: nothing older may be seen by whoever asks after that (the key's floor). One whose
 * outcome is unknown may have happened or not. One that was refused as "not applied" never did.
 */
#ifndef VERIFY_LEDGER_H
#define VERIFY_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "value.h"

enum verdict {
    VERDICT_right,
#define VERDICT(name) VERDICT_##name,
#include "verdicts.def"
#undef VERDICT
    VERDICTS,
};

enum change { CHANGE_PUT, CHANGE_DELETE };

enum outcome { OUTCOME_PENDING, OUTCOME_ACKNOWLEDGED, OUTCOME_UNKNOWN, OUTCOME_NOT_APPLIED };

/* The last writes of a key are remembered one by one. */
enum { LEDGER_PAST = 16 };

struct past {
    uint64_t version;
    enum change change;
    enum outcome outcome;
};

struct known {
    char name[VALUE_KEY_MAX + 1];
    uint64_t floor;     /* the last version that certainly happened; 0: none */
    uint64_t attempted; /* the last version that was sent; 0: none */
    uint64_t deleted;   /* the last version that is a deletion and may have happened; 0: none */
    bool ready;         /* a write of it was acknowledged */
    struct past past[LEDGER_PAST]; /* of version v at v % LEDGER_PAST */
};

struct ledger {
    struct known *keys;
    uint32_t count;
    uint32_t ready;
    bool may_vanish;
    bool late_writes;
};

/* What a request knows when it is sent, to be judged by when its answer is there. */
struct sight {
    uint64_t floor;
    uint64_t deleted;
};

/* False when memory is short. Names are tag-0, tag-1 ...; the tag is at most 40 bytes. */
bool ledger_init(struct ledger *l, uint32_t count, const char *tag);
void ledger_fini(struct ledger *l);

struct sight ledger_look(const struct known *k);

/* Gives the version of the write that is about to be sent. */
uint64_t ledger_begin_write(struct known *k, enum change change);
void ledger_end_write(struct ledger *l, struct known *k, uint64_t version, enum outcome outcome);

/* A read that `sight` was taken for gave this version, or nothing. What is right becomes known. */
enum verdict ledger_judge_value(const struct ledger *l, struct known *k, struct sight sight,
                                uint64_t version);
enum verdict ledger_judge_absence(const struct ledger *l, const struct known *k,
                                  struct sight sight);

/* A deletion found nothing; `sight` is from before it. */
enum verdict ledger_judge_nothing_deleted(const struct ledger *l, const struct known *k,
                                          struct sight sight);

#endif
