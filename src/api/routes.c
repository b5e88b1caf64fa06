/* The route table: routes.def expanded, and checked against the room that statistics have. */
#include "api/routes.h"

#include "api/handlers.h"
#include "base/stats.h"

/* The path up to "{key}". The compiler folds this for literals, but a static initializer must not
 * depend on that: the length is computed from the literal's size. */
#define TAKES_KEY(path) (sizeof(path) > sizeof("{key}") && (path)[sizeof(path) - 2] == '}')
#define FIXED(path)                                                                                \
    { path, sizeof(path) - 1 - (TAKES_KEY(path) ? sizeof("{key}") - 1 : 0) }

static const struct route rows[] = {
#define ROUTE(name, method, path, plan, finish, query, summary)                                    \
    {#name, METHOD_##method, path, FIXED(path), TAKES_KEY(path), plan, finish, summary, query},
#include "api/routes.def"
#undef ROUTE
};

/* The statistics' last row counts what matched no route. */
_Static_assert(sizeof(rows) / sizeof(rows[0]) < STATS_ROUTES, "STATS_ROUTES is too small");

const struct route_table api_routes = {rows, sizeof(rows) / sizeof(rows[0])};
