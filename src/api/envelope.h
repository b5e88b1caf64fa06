/* The JSON envelope of a PUT, read: {"value": any JSON, "ttl"?: seconds, ...}. */
#ifndef LARDER_API_ENVELOPE_H
#define LARDER_API_ENVELOPE_H

#include "base/error.h"
#include "http/request.h"

struct envelope_fault {
    char detail[256]; /* UTF-8, for the client; empty: the error table's own text */
};

/* Checks the request's type, coding and body, and fills r->value (a slice of the body: the exact
 * text, without outer white space; with "encoding": "base64" the decoded bytes) and r->ttl
 * (seconds; 0: the entry does not expire). The key must be decoded. Members that a GET answers with
 * are accepted, so that its document can be put back; a member that nobody knows is refused, since
 * a misspelt "ttl" would otherwise be lost. */
LARDER_MUST_CHECK enum error envelope_read(struct request *r, struct envelope_fault *fault);

#endif
