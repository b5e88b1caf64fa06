/*
 * Requests that are one operation on one entry, and what such answers have in common. A handler
 * fills in r->op, starts it, and is called back until it is done:
 *
 *     plan    struct op *op = single_prepare(r, OP_...); ...; return single_start(r);
 *     finish  enum step step; if (!single_done(r, &step)) return step; ... the answer
 */
#ifndef LARDER_API_SINGLE_H
#define LARDER_API_SINGLE_H

#include "http/request.h"

/* An empty operation on the request's key. */
struct op *single_prepare(struct request *r, enum op_kind kind);

/* Adds the request's preconditions and begins. */
enum step single_start(struct request *r);

/* Takes what came back. False: `*step` is to be returned; it waits on, or the answer is a problem
 * already. True: the operation is done and went well. */
bool single_done(struct request *r, enum step *step);

/* What to say of an operation that failed, where the error table's text is too general; or NULL. */
const char *single_detail(const struct op *op);

/* What r->op works with. */
struct op_context single_context(struct request *r);

/* Starts the request's call; STEP_WAIT after single_commit, if OK. Otherwise it is answered. */
LARDER_MUST_CHECK enum error single_begin(struct request *r);
enum step single_commit(struct request *r);

/* Whether the client wants as little as possible back (Prefer: return=minimal, RFC 7240): then the
 * answer is made, a 204. */
bool single_answer_minimal(struct request *r);

/* ETag, of the operation's entry, if it has one. */
void single_put_etag(struct request *r);

/* What every successful read carries: Cache-Control, Cache-Status (RFC 9211), ETag, Cache-Groups
 * (RFC 9875). */
void single_put_read_fields(struct request *r);

/* The client has it already: the answer to a read is a 304. */
bool single_answer_not_modified(struct request *r);

#endif
