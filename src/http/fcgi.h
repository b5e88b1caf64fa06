/*
 * libfcgi as decoder. fcgi.c is the one file that knows it. The library gets its bytes from memory:
 * its sockets, its waiting and its signal handlers are replaced (see fcgi.c), so nothing in here
 * can block. It keeps nothing of a request once it is decoded.
 */
#ifndef LARDER_HTTP_FCGI_H
#define LARDER_HTTP_FCGI_H

#include "base/buf.h"
#include "base/error.h"
#include "http/request.h"

/* Sets up the library and proves on a canned request that our port of its system layer is the one
 * in force; E_SYSTEM, with the reason in the log, if it is not (a static libfcgi would do that).
 * Once per process, before the first fcgi_decode. */
LARDER_MUST_CHECK enum error fcgi_setup(void);

/* Decodes one whole request (as the framer delimits it) whose STDIN has `body_bytes` bytes into
 * `params`, which are zeroed. The
 * parameters that the service reads are put into `strings`, where their slices point, and the body
 * into `body`. */
LARDER_MUST_CHECK enum error fcgi_decode(struct slice records, size_t body_bytes,
                                         struct request_params *params, struct buf *strings,
                                         struct buf *body);

#endif
