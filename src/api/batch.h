/*
 * A batch: its operations, and how far they are. batch_read.c makes it of the document, batch.c has
 * it run, batch_answer.c writes what came of it.
 */
#ifndef LARDER_API_BATCH_H
#define LARDER_API_BATCH_H

#include "api/envelope.h"
#include "http/request.h"

enum {
    BATCH_RESULT_BYTES = 32 << 20, /* values in one answer */
    /* The answer itself: with keys, tags, and what bytes take as a string, up to six for one. */
    BATCH_ANSWER_BYTES = BATCH_RESULT_BYTES + BATCH_RESULT_BYTES / 4,
};

enum item_state { ITEM_WAITING, ITEM_RUNNING, ITEM_DONE };

struct item {
    struct op op;
    struct item *same_key; /* the one before it with the same key that may not be done, or NULL */
    struct slice key;      /* as clients know it */
    const char *detail;    /* of op.error, if the table's is not precise enough; or NULL */
    enum item_state state;
    bool asked; /* its commands are in the present round */
};

/* What r->job points to. */
struct batch {
    struct item *items;
    size_t count;
    size_t first;   /* those before it are done */
    size_t started; /* those from here on have not begun */
    size_t done;
    size_t results; /* bytes of the values that were read */
    bool full;      /* one more did not fit */
    bool blocked;   /* the large ones wait for SHARE_LARGE */
    size_t bytes;   /* that the arena held before anything was asked */
};

/* Takes the request's document apart, into its arena. An operation that is not as it should be is
 * done, with its error; one for the whole of it is E_BATCH_TOO_LARGE or what envelope.h says, with
 * `fault` for the client. */
LARDER_MUST_CHECK enum error batch_read(struct request *r, struct batch *batch,
                                        struct envelope_fault *fault);

/* The item is done. */
void batch_finish_item(struct batch *batch, struct item *item, enum error e);

/* All are done: makes their results the answer, and counts them. */
enum step batch_answer(struct request *r, struct batch *batch);

#endif
