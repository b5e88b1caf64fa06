/*
 * The steps of an operation: what op.c, op_load.c and op_change.c share. A step appends commands,
 * and then takes their replies, all of which are there. `take` gives true when the operation is
 * done; otherwise it has set the next phase.
 */
#ifndef LARDER_CACHE_OP_PHASE_H
#define LARDER_CACHE_OP_PHASE_H

#include "cache/op.h"
#include "redis/script.h"

/* Appends. */
typedef void op_append_step(struct op *op, struct op_context *context);
/* Takes. */
typedef bool op_take_step(struct op *op, struct op_context *context, const struct reply *first);

op_append_step op_append_load, op_append_reload, op_append_wait, op_append_check, op_append_confirm,
    op_append_prepare, op_append_set, op_append_create, op_append_guard, op_append_unlink,
    op_append_unlinked, op_append_add;
op_take_step op_take_load, op_take_wait, op_take_check, op_take_confirm, op_take_prepare,
    op_take_set, op_take_create, op_take_guard, op_take_unlink, op_take_unlinked, op_take_add;

/* The entry is read and judged (op->exists, alive, found, left): what now? */
bool op_loaded(struct op *op, struct op_context *context);

/* Ends it. */
bool op_done(struct op *op, enum error e);

/* Sets the next step. */
bool op_next(struct op *op, enum op_phase phase);

/* Redis's reply is an error, or makes no sense: ends the operation, or has the step done again if
 * it is only that a script is missing. */
bool op_refused(struct op *op, const struct op_context *context, const struct reply *reply);

/* The conditions hold: works out what to write of op->found, and goes on to OP_GUARD. */
bool op_change(struct op *op, struct op_context *context);

/* Adds the names of tags as keys, and the nonces that an entry carries as arguments. */
void op_add_tag_keys(struct script_call *script, const struct op_context *context,
                     const struct entry_tag *tags, size_t n);
void op_add_nonces(struct script_call *script, const struct entry_tag *tags, size_t n);

/* How an entry whose bytes are known (op->stored) is written. */
enum op_phase op_write_phase(const struct op *op);

#endif
