/* Query parameters: the part of a raw request target behind "?", as HTML forms and every URL
 * library write it. */
#ifndef LARDER_HTTP_QUERY_H
#define LARDER_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

/* A parameter that a request takes. */
struct query_wanted {
    struct slice name;
    struct slice *value; /* p is NULL: absent. "?name" and "?name=" are there, and empty */
};

/* What is wrong with a query. */
struct query_fault {
    char detail[160]; /* UTF-8, for the client; empty: the error table's own text */
};

/* Reads "name=value&name=value" into the values of `wanted`; what isn't there gets an absent one.
 * Names and values are percent-decoded exactly once, and a plus is a space, as in a form ("%2B" is
 * a plus). Empty pairs are skipped. A value may hold any byte; to judge it is the caller's.
 *
 * Of the first fault: E_INVALID_PARAMETER: a broken percent escape in a name or a wanted value, a
 * byte in a wanted value that RFC 3986, 3.4, does not allow raw, a wanted parameter that comes
 * twice (whichever was meant, the other would be ignored). E_UNKNOWN_PARAMETER: a name that isn't
 * wanted, if `strict`; else such a pair is ignored, whatever its value. E_OUT_OF_MEMORY.
 * `fault` names the parameter, or those there are; it shows nothing that the client sent.
 *
 * The values are appended to `decoded` and point into it, until it is next appended to. After an
 * error they are all absent, and `decoded` holds what it held. */
LARDER_MUST_CHECK enum error query_read(struct slice query, bool strict,
                                        const struct query_wanted *wanted, size_t count,
                                        struct buf *decoded, struct query_fault *fault);

#endif
