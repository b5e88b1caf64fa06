/*
 * The framer: walks FastCGI record headers (FastCGI 1.0, part 3.3) in a connection's input until a
 * whole request is there, and refuses everything that libfcgi should never see: management
 * records, a second BEGIN, other roles, too large parameters, lengths that lie. It
 * decodes nothing; libfcgi does that, from memory, on a request known to be complete.
 */
#ifndef LARDER_HTTP_FRAMER_H
#define LARDER_HTTP_FRAMER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

enum {
    FRAMER_PARAMS_MAX = 65536, /* bytes of all parameters; nginx sends at most 65,535 */
    FRAMER_PARAM_COUNT_MAX = 256,
    FRAMER_DISCARD_MAX = 256 << 20, /* bytes of a body over the limit before we hang up */
};

enum framer_state { FRAMER_BEGIN, FRAMER_PARAMS, FRAMER_STDIN, FRAMER_COMPLETE };

struct framer {
    enum framer_state state;
    size_t at;            /* the next record's header, in the input */
    unsigned id;          /* the request's */
    bool keep;            /* FCGI_KEEP_CONN */
    bool nul_in_params;   /* a parameter that C strings would cut: the request is malformed */
    bool too_many_params; /* so is it then, and libfcgi must not see it */
    size_t params_start;  /* the first PARAMS record */
    size_t params_bytes;
    size_t stdin_start;  /* the first STDIN record */
    size_t stdin_bytes;  /* bytes of the body that are in the input */
    bool body_too_large; /* more than the limit came: all of it was thrown away */
    size_t discarded;
    size_t skip; /* bytes of a record being thrown away that have not come yet */
};

/* Back to the start of the next request. */
void framer_reset(struct framer *f);

/* Walks on. OK: input[0, f->at) is one whole request; what follows belongs to the next. E_AGAIN:
 * more is needed. E_PROTOCOL: hang up. A body of more than `body_max` bytes is removed from the
 * input as it comes. */
LARDER_MUST_CHECK enum error framer_walk(struct framer *f, struct buf *input, size_t body_max);

#endif
