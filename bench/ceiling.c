/*
 * larder-ceiling: the ceiling of the FastCGI hop, for the benchmark. larderd's own engine,
 * processes and options, with a route table of its own: GET and PUT of /cache/{key} are answered at
 * once with a constant and ask nothing of Redis. What larderd reaches of its throughput is what
 * handlers and Redis leave of it.
 *
 *     larder-ceiling BODY [PAGE [BLOB]] [OPTION OF larderd]...
 *
 * BODY is the whole body of every answer; the benchmark passes one that larderd gave. Keys that
 * begin with "page:" and "blob:" get the larger PAGE and BLOB, if given.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/config.h"
#include "base/log.h"
#include "http/request.h"
#include "process/listen.h"
#include "process/master.h"

enum { EXIT_USAGE = 2 };

enum { BODY, PAGE, BLOB, ANSWERS };

/* Set before the workers are forked. */
static struct slice answers[ANSWERS];

static enum step answer(struct request *r, struct slice body) {
    response_json(&r->response, 200);
    buf_put_slice(&r->response.body, body);
    return STEP_ANSWER;
}

static enum step put_plan(struct request *r) {
    return answer(r, answers[BODY]);
}

/* With the field that a GET of larderd has, so that the heads are of one size too. */
static enum step get(struct request *r, struct slice body) {
    response_field(&r->response, "Cache-Control", SLICE("private, no-cache"));
    return answer(r, body);
}

static enum step get_plan(struct request *r) {
    return get(r, answers[BODY]);
}

static enum step page_plan(struct request *r) {
    return get(r, answers[PAGE]);
}

static enum step blob_plan(struct request *r) {
    return get(r, answers[BLOB]);
}

/* The first row that fits counts. */
static const struct route rows[] = {
    {"page_get", METHOD_GET, "/cache/page:{key}", SLICE_INIT("/cache/page:"), true, page_plan, NULL,
     "A constant", false},
    {"blob_get", METHOD_GET, "/cache/blob:{key}", SLICE_INIT("/cache/blob:"), true, blob_plan, NULL,
     "A constant", false},
    {"cache_get", METHOD_GET, "/cache/{key}", SLICE_INIT("/cache/"), true, get_plan, NULL,
     "A constant", false},
    {"cache_put", METHOD_PUT, "/cache/{key}", SLICE_INIT("/cache/"), true, put_plan, NULL,
     "A constant", false},
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
    int bodies = 0;
    while (bodies < ANSWERS && bodies + 1 < argc && argv[bodies + 1][0] != '-')
        bodies++;
    if (bodies == 0) {
        (void)fputs("usage: larder-ceiling BODY [PAGE [BLOB]] [OPTION OF larderd]...\n", stderr);
        return EXIT_USAGE;
    }
    for (int i = 0; i < ANSWERS; i++)
        answers[i] = slice_of(argv[i < bodies ? i + 1 : 1]);
    /* The options begin behind the last body, which stands where a program's name does. */
    enum error e = config_load(&config, argc - bodies, argv + bodies, &action, &why);
    if (e != OK || action != CONFIG_RUN) {
        (void)fprintf(stderr, "larder-ceiling: not a configuration to run with\n%.*s", (int)why.n,
                      why.p != NULL ? why.p : "");
        buf_fini(&why);
        return EXIT_USAGE;
    }
    buf_fini(&why);
    return run(&config, argc - bodies, argv + bodies);
}
