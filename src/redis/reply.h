/*
 * What Redis answered to one request's commands: a flat list of nodes in the order they came, with
 * all their bytes in one buffer, so that a request needs no allocation of its own once warm.
 */
#ifndef LARDER_REDIS_REPLY_H
#define LARDER_REDIS_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum reply_type {
    REPLY_STRING,
    REPLY_STATUS,
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_NIL,
    REPLY_ARRAY,
};

struct reply {
    enum reply_type type;
    int64_t integer; /* REPLY_INTEGER; REPLY_ARRAY: the number of elements, nodes that follow */
    size_t offset;   /* REPLY_STRING, STATUS, ERROR: its bytes in the list's buffer */
    size_t n;
};

struct replies {
    struct buf nodes; /* of struct reply */
    struct buf bytes;
    bool has_error; /* one of them came as an error */
};

/* The i-th top-level reply; NULL if there are not that many. */
const struct reply *replies_get(const struct replies *list, size_t i);

/* The reply after `r` and all its elements: its next sibling; NULL at the end. */
const struct reply *replies_next(const struct replies *list, const struct reply *r);

/* The bytes of a string, status or error, valid until the list is reset; else the empty slice. */
struct slice replies_bytes(const struct replies *list, const struct reply *r);

/* What an error reply means (replies.def), OK if `r` is none. E_BACKEND_ERROR for one not in the
 * table. Redis's own text is for the log, never for a client. */
enum error reply_error(const struct replies *list, const struct reply *r);

/* Why the command whose reply this is not fails: what the error means, or E_BACKEND_ERROR for one
 * not in the table. `*senseless`: it is no error, or one that only a script's caller gets, so
 * nobody knows whose reply it was. */
enum error reply_refusal(const struct replies *list, const struct reply *r, bool *senseless);

/* It is this status, and not another command's. */
bool reply_is_status(const struct replies *list, const struct reply *r, struct slice words);

/* The value of `field` in an INFO text ("used_memory:1024\r\n"); false if it isn't there. */
bool reply_info_field(struct slice info, const char *field, struct slice *value);

/* The same as a number; `fallback` if it isn't there or isn't one. */
int64_t reply_info_int(struct slice info, const char *field, int64_t fallback);

#endif
