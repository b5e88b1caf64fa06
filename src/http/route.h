/* A route: a method and a path pattern, and the two functions that serve it. The table is api's. */
#ifndef LARDER_HTTP_ROUTE_H
#define LARDER_HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/slice.h"

struct request;

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_POST,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_OTHER, /* anything else: 405 wherever the path exists */
};

/* What a handler's step left behind. */
enum step {
    STEP_ANSWER, /* the response is filled in */
    STEP_WAIT,   /* a call was begun and appended to: come back with its replies */
    STEP_HOLD,   /* something that only so many may have (request_claim): come back with it */
};

/*
 * plan    validates and either fills the response or begins request->call and appends commands
 * finish  gets the call back, complete or failed, and fills the response or begins it again; after
 *         a STEP_HOLD there was no call, and what was waited for can be claimed
 * Both are data in, data out: they see no socket, and never wait.
 */
struct route {
    const char *name; /* in statistics: [a-z_]+ */
    enum method method;
    const char *path;   /* "/cache/{key}": the pattern as people read it */
    struct slice fixed; /* the path up to "{key}", or all of it */
    bool takes_key;
    enum step (*plan)(struct request *);
    enum step (*finish)(struct request *); /* NULL if plan always answers */
    const char *summary;                   /* one line, for GET / */
    bool takes_query;                      /* else one is refused, unless the method is GET */
};

struct route_table {
    const struct route *rows;
    size_t count;
};

/* Finds the route for a method and a raw path (no query). HEAD is served by GET's route.
 * E_NOT_FOUND; E_METHOD_NOT_ALLOWED (also for OPTIONS: the caller answers it). `*tail` is what
 * stands in place of {key}, still encoded. */
LARDER_MUST_CHECK enum error route_find(const struct route_table *table, enum method method,
                                        struct slice path, const struct route **route,
                                        struct slice *tail);

struct buf;
/* Appends the Allow value of a path: "GET, HEAD, PUT, OPTIONS"; nothing if no route has it. */
void route_put_allow(const struct route_table *table, struct slice path, struct buf *out);

enum method method_parse(struct slice text);

/* Whether a request of that method may change something. */
bool method_writes(enum method method);

/* Its name; the empty slice for METHOD_OTHER. */
struct slice method_name(enum method method);

#endif
