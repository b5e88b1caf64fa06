/* The handlers, declared from routes.def: one file per resource defines them. */
#ifndef LARDER_API_HANDLERS_H
#define LARDER_API_HANDLERS_H

#include "http/request.h"

/* A route that always answers at once has NULL for its finish; the name of it is never declared. */
#define ROUTE(name, method, path, plan, finish, query, summary) enum step plan(struct request *);
#include "api/routes.def"
#undef ROUTE

enum step cache_get_finish(struct request *);
enum step cache_put_finish(struct request *);
enum step cache_patch_finish(struct request *);
enum step cache_delete_finish(struct request *);
enum step cache_clear_finish(struct request *);
enum step raw_get_finish(struct request *);
enum step raw_put_finish(struct request *);
enum step counter_finish(struct request *);
enum step batch_finish(struct request *);
enum step keys_finish(struct request *);
enum step stats_finish(struct request *);
enum step metrics_finish(struct request *);

#endif
