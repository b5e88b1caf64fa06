/* larderd: options, then the master. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/routes.h"
#include "base/config.h"
#include "base/log.h"
#include "process/daemon.h"
#include "process/listen.h"
#include "process/master.h"
#include "process/notify.h"

enum { EXIT_USAGE = 2 };

static int refuse_config(struct buf *why) {
    (void)fprintf(stderr, "larderd: the configuration has faults:\n%.*s", (int)why->n,
                  why->p != NULL ? why->p : "");
    buf_fini(why);
    return EXIT_USAGE;
}

static int show_config(const struct config *config) {
    struct buf text = {0};
    config_dump(config, &text);
    printf("# The configuration is good. This is what it comes to:\n%.*s", (int)text.n,
           text.p != NULL ? text.p : "");
    buf_fini(&text);
    return EXIT_SUCCESS;
}

/* A descriptor 0 to 2 that is closed would be taken by the next open: by a socket that a stray line
 * on standard error would then break. */
static bool fill_standard_descriptors(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}

/* Whatever else the starter left open is not ours to keep open. */
static void close_the_rest(int listener) {
    unsigned first = STDERR_FILENO + 1;
    if (listener >= (int)first) {
        if (listener > (int)first)
            (void)close_range(first, (unsigned)listener - 1, 0);
        first = (unsigned)listener + 1;
    }
    (void)close_range(first, ~0U, 0);
}

static int run(const struct config *config, int argc, char **argv) {
    struct master_setup setup = {
        .config = config,
        .routes = &api_routes,
        .argc = argc,
        .argv = argv,
        .ready_fd = -1,
    };
    log_set_role("larderd");
    if (!fill_standard_descriptors())
        return EXIT_FAILURE;
    /* First of all: a passed descriptor has a number that the next open would take. */
    if (listen_inherit(&setup.listener) != OK)
        return EXIT_FAILURE;
    close_the_rest(setup.listener.fd);
    if (privileges_lower(&setup.privileges, config) != OK)
        return EXIT_FAILURE;
    if (log_open(config->log_file, (enum log_level)config->log_level) != OK) {
        log_error("cannot open log_file %s: %m", config->log_file);
        return EXIT_FAILURE;
    }
    /* Whoever passed a socket supervises this process and wants it to stay. */
    bool detach = config->daemon && !setup.listener.inherited;
    bool log_is_stderr = config->log_file[0] == '\0';
    if (detach && daemon_detach(log_is_stderr, &setup.ready_fd) != OK) {
        log_error("cannot go into the background: %m");
        return EXIT_FAILURE;
    }
    /* A service manager that is to be told means the process that it started. */
    if (detach)
        notify_decline(&setup.notify);
    else
        notify_open(&setup.notify);
    return master_run(&setup);
}

int main(int argc, char **argv) {
    struct config config;
    enum config_action action;
    struct buf why = {0};
    if (config_load(&config, argc, argv, &action, &why) != OK)
        return refuse_config(&why);
    buf_fini(&why);
    switch (action) {
    case CONFIG_HELP:
        config_help(stdout);
        return EXIT_SUCCESS;
    case CONFIG_VERSION:
        printf("larderd %s\n", PACKAGE_VERSION);
        return EXIT_SUCCESS;
    case CONFIG_CHECK:
        return show_config(&config);
    case CONFIG_RUN:
        break;
    }
    return run(&config, argc, argv);
}
