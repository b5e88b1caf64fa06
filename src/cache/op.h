/*
 * One operation on one entry: what is asked, the commands it takes, what came of it. It sees no
 * request and no socket; a request has one, a batch many. The life of one:
 *
 *     op_start    once
 *     op_append   puts the commands of its present step into a call
 *     op_take     reads their replies: true when it is done, else back to op_append
 *
 * Most take one step. What must look before it writes (conditions, merging) reads the entry, judges
 * it here, and then has a script in Redis write only if the entry is still the one that was read
 * (redis/scripts/guard.lua); it starts over, so many times, if it is not.
 *
 * An entry that carries a tag whose nonce is another by now, or gone, is dead: it does not exist
 * for anybody.
 */
#ifndef LARDER_CACHE_OP_H
#define LARDER_CACHE_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/config.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/slice.h"
#include "cache/condition.h"
#include "cache/entry.h"
#include "cache/turns.h"
#include "redis/store.h"

enum op_kind { OP_READ, OP_WRITE, OP_REMOVE, OP_PATCH, OP_COUNT };

enum op_phase {
    OP_LOAD,     /* read the entry */
    OP_RELOAD,   /* ... by GET, since GETRANGE could not tell */
    OP_WAIT,     /* it is another one's turn to read and change the entry */
    OP_CHECK,    /* are its tags alive? a read renews an idle entry */
    OP_CONFIRM,  /* it is dead: is it still there? */
    OP_PREPARE,  /* nonces for the tags of the new entry, and Redis's time */
    OP_SET,      /* write whatever was there */
    OP_CREATE,   /* write if nothing is there */
    OP_GUARD,    /* write or remove what was read */
    OP_UNLINK,   /* remove whatever was there */
    OP_UNLINKED, /* was it alive? */
    OP_ADD,      /* count */
    OP_PHASES
};

/* What an operation works with; all of it is somebody else's. */
struct op_context {
    struct store *store;
    struct call *call;
    struct arena *arena; /* what the operation keeps, and its answer, live here */
    const struct config *config;
    struct turns *turns; /* among this worker's operations */
    int64_t now;         /* clock_monotonic */
    bool keep_replies;   /* set by op_take: the replies' bytes are needed on: see op_keep_replies */
    bool starts_over;    /* set by op_take: nothing that it found so far is needed any more */
};

struct op {
    /* What is asked. Slices must stay until the operation is done. */
    enum op_kind kind;
    struct slice name; /* in Redis: with its prefix */
    struct condition if_match;
    struct condition if_none_match;
    struct entry entry;  /* OP_WRITE: body, raw, type, coding, idle, and tags without nonces */
    int64_t ttl;         /* seconds; 0: no end. OP_WRITE; OP_COUNT, if it is made; OP_PATCH */
    bool sets_ttl;       /* OP_PATCH: to `ttl` */
    struct slice patch;  /* OP_PATCH: the JSON text to merge; empty: none */
    int64_t by, initial; /* OP_COUNT */
    bool probes;         /* asks for OP_PROBE_BYTES first, and for more only if there is more */

    /* What came of it. */
    enum error error; /* OK; E_KEY_NOT_FOUND; E_PRECONDITION_FAILED; any that stands for itself */
    bool outcome_unknown;        /* with an error: something may have been written */
    bool distrust;               /* a reply made no sense: see store_distrust */
    bool not_modified;           /* OP_READ: if_none_match holds the entity tag */
    struct entry found;          /* the entry: as it is read, or as it is now */
    char etag[ENTRY_ETAG_BYTES]; /* of `found`; also with E_PRECONDITION_FAILED if there is one */
    bool has_etag;
    int64_t left;  /* milliseconds until it ends; -1: it does not */
    int64_t fresh; /* milliseconds until it expires if nobody reads it; -1: it does not */

    /* The operation's own. */
    enum op_phase phase;
    bool whole_scripts; /* Redis has lost them */
    bool exists;        /* something is in Redis, dead or alive */
    bool alive;
    unsigned tries;
    int64_t expiry;      /* milliseconds of the ttl that is written, jitter taken off; 0: no end */
    int64_t redis_now;   /* OP_CHECK of an idle entry: Redis's time in milliseconds */
    struct slice stored; /* the bytes to write */
    const char *action;  /* for guard.lua */
    bool keeps_expiry;
    char digest[DIGEST_SHA1_HEX]; /* of what was read */
};

/* What an operation that probes gets at first, at most. */
enum { OP_PROBE_BYTES = 16384 };

/* A conditional write gives up when the entry has changed under it this often. */
enum { OP_TRIES_MAX = 128 };

/* Decides on the first step. The asked part must be filled in, the rest zero. Done at once, with
 * op->error set, if it is true. */
bool op_start(struct op *op, struct op_context *context);

/* Whether it may go on: false while it is another's turn to change the entry. Nothing need be asked
 * of Redis until that has been given back; op_append would ask for no more than a reply. */
bool op_has_turn(struct op *op, const struct op_context *context);

/* Appends the commands of its step. */
void op_append(struct op *op, struct op_context *context);

/* Reads its replies, of which `first` is the first. True when it is done. Unless `next` is NULL,
 * `*next` is the reply that follows them, NULL at the end. */
bool op_take(struct op *op, struct op_context *context, const struct reply *first,
             const struct reply **next);

/* To be called before the call is begun again, after every op_take of the round. */
void op_keep_replies(struct op_context *context);

/* The call failed as a whole, or could not begin: whether this operation may have written. `sent`:
 * the commands of its present step may have reached Redis. */
bool op_may_have_written(const struct op *op, bool sent);

/* It failed because If-Match names the entry by a weak tag: see condition.h. */
bool op_failed_by_weakness(const struct op *op);

/* `later` is on the same entry, and was asked for after `op`, which is under way: whether no
 * command of it may go out before `op` is done. */
bool op_holds_up(const struct op *op, const struct op *later);

/* Its present step brings an entry: of at most OP_PROBE_BYTES if it probes, else of any size. */
bool op_asks_for_entry(const struct op *op);

/* The name in Redis of a tag, in the arena; it begins as no entry's does. */
struct slice op_tag_name(struct arena *arena, const struct config *config, struct slice tag);

#endif
