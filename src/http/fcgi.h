/*
 * libfcgi as decoder and encoder. fcgi.c is the one file that knows it. The library gets its bytes
 * from memory and gives them to memory: its sockets, its waiting and its signal handlers are
 * replaced (see fcgi.c), so nothing in here can block.
 */
#ifndef LARDER_HTTP_FCGI_H
#define LARDER_HTTP_FCGI_H

#include "base/buf.h"
#include "base/error.h"
#include "http/request.h"
#include "http/response.h"

struct fcgi; /* one per connection */

/* Sets up the library and proves on a canned request that our port of its system layer is the one
 * in force; E_SYSTEM, with the reason in the log, if it is not (a static libfcgi would do that).
 * Once per process. */
LARDER_MUST_CHECK enum error fcgi_setup(void);

/* NULL when memory is out. Closing abandons a request that is open. */
struct fcgi *fcgi_open(void);
void fcgi_close(struct fcgi **f);

/* Decodes one whole request (as the framer delimits it) whose STDIN has `body_bytes` bytes. The
 * parameters' slices live until fcgi_encode or fcgi_close; the body is put into `body`. */
LARDER_MUST_CHECK enum error fcgi_decode(struct fcgi *f, struct slice records, size_t body_bytes,
                                         struct request_params *params, struct buf *body);

/* Appends the encoded answer, END_REQUEST included, to `out` and ends the request. `with_body` is
 * false for HEAD: the length is told, the bytes are not sent. A failed buf in the response becomes
 * a 503. E_OUT_OF_MEMORY: `out` holds nothing usable, hang up. */
LARDER_MUST_CHECK enum error fcgi_encode(struct fcgi *f, struct response *response, bool with_body,
                                         struct buf *out);

#endif
