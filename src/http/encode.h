/*
 * The encoder: a response as FastCGI records. libfcgi could do it, by way of a buffer of 8 KB that
 * it allocates for each request and copies everything through; this is one copy.
 */
#ifndef LARDER_HTTP_ENCODE_H
#define LARDER_HTTP_ENCODE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/response.h"

/* Appends the answer to request `id`, END_REQUEST included, to `out`. `with_body` is false for
 * HEAD: the length is told, the bytes are not sent. A failed buf in the response makes it a 503.
 * E_OUT_OF_MEMORY: `out` holds nothing usable, hang up. */
LARDER_MUST_CHECK enum error encode_answer(unsigned id, struct response *response, bool with_body,
                                           struct buf *out);

#endif
