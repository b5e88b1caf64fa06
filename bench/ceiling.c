/*
 * larder-ceiling: the ceiling of the FastCGI hop, for the benchmark. larderd's own engine,
 * processes and options, with a route table of its own: GET and PUT of /cache/{key} are answered at
 * once with a constant and ask nothing of Redis. What larderd reaches of its throughput is what
 * handlers and Redis leave of it.
 *
 *     larder-ceiling BODY [OPTION OF larderd]...
 *
 * BODY is the whole body of every answer; the benchmark passes one that larderd gave.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/log.h"
#include "http/request.h"
#include "process/listen.h"
#include "process/master.h"

enum { EXIT_USAGE = 2 };

/* Set before the workers are forked. */
static struct slice answer;

static enum step put_plan(struct request *r) {
    response_json(&r->response, 200);
    buf_put_slice(&r->response.body, answer);
    return STEP_ANSWER;
}

/* With the field that a GET of larderd has, so that the heads are of one size too. */
static enum step get_plan(struct request *r) {
    response_field(&r->response, "Cache-Control", SLICE("private, no-cache"));
    return put_plan(r);
}

static const struct route rows[] = {
    {"cache_get", METHOD_GET, "/cache/{key}", SLICE_INIT("/cache/"), true, get_plan, NULL,
     "A constant"},
    {"cache_put", METHOD_PUT, "/cache/{key}", SLICE_INIT("/cache/"), true, put_plan, NULL,
     "A constant"},
};

static const struct route_table routes = {rows, sizeof(rows) / sizeof(rows[0])};

static int run(const struct config *config, int argc, char **argv) {
    struct master_setup setup = {
        .config = config,
        .routes = &routes,
        .argc = argc,
        .argv = argv,
        .ready_fd = -1,
    };
    log_set_role("larder-ceiling");
    if (listen_inherit(&setup.listener) != OK)
        return EXIT_FAILURE;
    if (log_open(config->log_file, (enum log_level)config->log_level) != OK) {
        log_error("cannot open log_file %s: %m", config->log_file);
        return EXIT_FAILURE;
    }
    return master_run(&setup);
}

int main(int argc, char **argv) {
    struct config config;
    enum config_action action;
    struct buf why = {0};
    if (argc < 2) {
        (void)fputs("usage: larder-ceiling BODY [OPTION OF larderd]...\n", stderr);
        return EXIT_USAGE;
    }
    answer = slice_of(argv[1]);
    /* The options begin behind BODY, which stands where a program's name does. */
    enum error e = config_load(&config, argc - 1, argv + 1, &action, &why);
    if (e != OK || action != CONFIG_RUN) {
        (void)fprintf(stderr, "larder-ceiling: not a configuration to run with\n%.*s", (int)why.n,
                      why.p != NULL ? why.p : "");
        buf_fini(&why);
        return EXIT_USAGE;
    }
    buf_fini(&why);
    return run(&config, argc - 1, argv + 1);
}
