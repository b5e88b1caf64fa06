/* Routes for tests of the machinery under the handlers: they say what they were asked, at once or
 * after asking Redis. */
#ifndef LARDER_TESTS_ECHO_H
#define LARDER_TESTS_ECHO_H

#include "http/route.h"

/*
 * GET, DELETE /echo    "<method> <query>"; a HEAD is answered as its GET
 * PUT /echo            the body, spliced; 413 if it was thrown away
 * GET /large           ECHO_LARGE bytes
 * GET, PUT /wait/{key} asks Redis "GET <key>", answers what it said; 404 for nil, 503 if it failed
 * GET /again/{key}     the same twice in a row: "GET <key>", then "GET again"
 * GET /large/{key}     as /wait, with SHARE_LARGE
 * GET /walk/{key}      as /wait, with SHARE_SWEEP
 */
extern const struct route_table echo_routes;

enum { ECHO_LARGE = 1 << 20 };

/* How often a plan ran since the program's start. */
extern unsigned echo_plans;

#endif
