/* The route table: routes.def expanded. */
#ifndef LARDER_API_ROUTES_H
#define LARDER_API_ROUTES_H

#include "http/route.h"

extern const struct route_table api_routes;

#endif
