/*
 * The wire: one hiredis context, used for connecting and for parsing, never for waiting. wire.c is
 * the one file that knows hiredis. A wire is used for one connection and then closed; it must not
 * be carried across a fork.
 */
#ifndef LARDER_REDIS_WIRE_H
#define LARDER_REDIS_WIRE_H

#include <stddef.h>

#include "base/error.h"
#include "redis/reply.h"

struct wire;

/* Begin to connect. NULL when memory is out; otherwise ask wire_fault. A Unix socket is connected
 * (or refused) at once; TCP says so when the descriptor becomes writable. `address` is numeric. */
struct wire *wire_open_unix(const char *path);
struct wire *wire_open_tcp(const char *address, int port);
void wire_close(struct wire **w);

/* Why it could not be opened; NULL if it could. */
const char *wire_fault(const struct wire *w);

/* Non-blocking; -1 when there is a fault. */
int wire_fd(const struct wire *w);

/* Gives bytes that were read to the parser. E_OUT_OF_MEMORY; E_PROTOCOL: more than 16 MiB without a
 * whole element. The wire is of no use after an error. */
LARDER_MUST_CHECK enum error wire_feed(struct wire *w, const void *bytes, size_t n);

/* Parses on. OK: one whole reply was appended to `into`. E_AGAIN: there is none yet (parts of one
 * may have been appended). E_PROTOCOL: what came is no RESP2, or memory is out, or anything at all,
 * half a reply too, came with `into` NULL, which means that nothing is expected. */
LARDER_MUST_CHECK enum error wire_parse(struct wire *w, struct replies *into);

#endif
