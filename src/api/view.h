/* The JSON view of an entry: {"key","value",...,"ttl",...}, as /cache and /batch show it. */
#ifndef LARDER_API_VIEW_H
#define LARDER_API_VIEW_H

#include "base/buf.h"
#include "cache/op.h"
#include "http/response.h"

/* Appends `"key":...`. */
void view_put_key(struct buf *body, struct slice key);

/* Appends `,"value":...`, what else there is to say of it, and its lifetime as below. With a
 * response whose body that is, the value is spliced in rather than copied; NULL copies. */
void view_put_entry(struct buf *body, struct response *response, const struct op *op);

/* Appends `,"ttl":...` with "idle" and "tags", if there are any. */
void view_put_lifetime(struct buf *body, const struct op *op);

/* Appends `,"timestamp":"..."}`. */
void view_put_timestamp(struct buf *body);

#endif
