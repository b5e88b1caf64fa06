/* Error answers: RFC 9457 problem documents, all written here. */
#ifndef LARDER_HTTP_PROBLEM_H
#define LARDER_HTTP_PROBLEM_H

#include "http/request.h"

/* Makes the response a problem document for `e`, replacing what was there, and gives STEP_ANSWER so
 * that a handler can `return problem(...)`. `detail` replaces the table's if not NULL; it is UTF-8
 * text of ours that shows no raw bytes of the client's. The request's key is added when it is
 * decoded. */
enum step problem(struct request *r, enum error e, const char *detail);

/* `detail` where it says something, else the table's. */
enum step problem_say(struct request *r, enum error e, const char *detail);

/* The store refused to begin the request's call with `e`: answered, and counted as such. */
enum step problem_refused(struct request *r, enum error e);

/* Adds a member to the problem that is the response. Both texts are ours and need no escaping. */
void problem_add(struct request *r, const char *name, const char *text);

/* The request's call failed as a whole: a 503 that, for a method that writes, says whether the
 * write may have happened ("outcome": "not-applied" or "unknown"). */
enum step problem_call_failed(struct request *r);

/* The error of an operation; for a method that writes and a failure of the service, "outcome" says
 * whether it may have written. */
enum step problem_outcome(struct request *r, enum error e, bool maybe_written);

/* Redis answered a command with an error reply: logged, told apart by the table, answered. A write
 * that Redis refused was not applied. */
enum step problem_reply(struct request *r, const struct reply *reply);

#endif
