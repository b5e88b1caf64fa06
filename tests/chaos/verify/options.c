/* The command line: see options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: larder-verify --port P [OPTION]...\n"
    "Keeps the web server on 127.0.0.1:P busy, checks every answer, and reports in JSON.\n"
    "  --connections N    clients, one request at a time each (16)\n"
    "  --keys N           keys they share (4 for each connection)\n"
    "  --writes PERCENT   of requests that are PUTs (30)\n"
    "  --deletes PERCENT  of requests that are DELETEs (0)\n"
    "  --rate N           requests a second in all (as fast as answers come)\n"
    "  --seconds N        stops after so long; --gets N after so many GETs were checked\n"
    "                     (when told to: by `stop` or the end of standard input, or SIGTERM)\n"
    "  --sizes WHICH      of values: small (to 1 KB), mixed (to 128 KB) or large (to 900 KB)\n"
    "  --target WHICH     cache (/cache/KEY), raw (/raw/KEY) or mixed\n"
    "  --may-vanish       Redis may lose its entries: a 404 is never wrong\n"
    "  --late-writes      writes without an answer may still be done after later ones\n"
    "  --timeout MS       for one request (20000)\n"
    "  --pause MS         of a client after a request that failed (10)\n"
    "  --tag TEXT         what keys begin with (one that no other run has)\n"
    "  --seed N           of the dice (one that the clock gives)\n"
    "While it runs it reads commands, one a line: progress, rate N, stop.\n";

enum {
    PORT = 1,
    CONNECTIONS,
    KEYS,
    WRITES,
    DELETES,
    RATE,
    SECONDS,
    GETS,
    SIZES,
    TARGET,
    MAY_VANISH,
    LATE_WRITES,
    TIMEOUT,
    PAUSE,
    TAG,
    SEED,
    HELP
};

static const struct option table[] = {
    {"port", required_argument, NULL, PORT},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"keys", required_argument, NULL, KEYS},
    {"writes", required_argument, NULL, WRITES},
    {"deletes", required_argument, NULL, DELETES},
    {"rate", required_argument, NULL, RATE},
    {"seconds", required_argument, NULL, SECONDS},
    {"gets", required_argument, NULL, GETS},
    {"sizes", required_argument, NULL, SIZES},
    {"target", required_argument, NULL, TARGET},
    {"may-vanish", no_argument, NULL, MAY_VANISH},
    {"late-writes", no_argument, NULL, LATE_WRITES},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"pause", required_argument, NULL, PAUSE},
    {"tag", required_argument, NULL, TAG},
    {"seed", required_argument, NULL, SEED},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static bool complain(const char *name, const char *text, const char *should) {
    (void)fprintf(stderr, "larder-verify: --%s must be %s, not '%s'\n", name, should, text);
    return false;
}

static bool number64(const char *name, const char *text, uint64_t low, uint64_t high,
                     uint64_t *out) {
    char should[80];
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && n >= low && n <= high) {
        *out = n;
        return true;
    }
    (void)snprintf(should, sizeof(should), "a number from %" PRIu64 " to %" PRIu64, low, high);
    return complain(name, text, should);
}

static bool number(const char *name, const char *text, uint32_t low, uint32_t high, uint32_t *out) {
    uint64_t n;
    if (!number64(name, text, low, high, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool word(const char *name, const char *text, const char *const *words, const char *should,
                 int *out) {
    for (*out = 0; words[*out] != NULL; (*out)++)
        if (strcmp(words[*out], text) == 0)
            return true;
    return complain(name, text, should);
}

static bool take_tag(struct options *o, const char *text) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t n = strlen(text);
    if (n == 0 || n >= sizeof(o->tag) || strspn(text, letters) != n)
        return complain("tag", text, "1 to 40 letters, digits, '-', '_' and '.'");
    memcpy(o->tag, text, n + 1);
    return true;
}

static bool take(struct options *o, int which, const char *text) {
    static const char *const targets[] = {"cache", "raw", "mixed", NULL};
    static const char *const sizes[] = {"small", "mixed", "large", NULL};
    int i;
    switch (which) {
    case PORT:
        return number("port", text, 1, 65535, &o->port);
    case CONNECTIONS:
        return number("connections", text, 1, 10000, &o->connections);
    case KEYS:
        return number("keys", text, 1, 1000000, &o->keys);
    case WRITES:
        return number("writes", text, 0, 100, &o->writes);
    case DELETES:
        return number("deletes", text, 0, 100, &o->deletes);
    case RATE:
        return number("rate", text, 0, OPTIONS_RATE_MAX, &o->rate);
    case SECONDS:
        return number("seconds", text, 1, 1000000, &o->seconds);
    case GETS:
        return number64("gets", text, 1, UINT64_MAX / 2, &o->gets);
    case TIMEOUT:
        return number("timeout", text, 1, 1000000, &o->timeout_ms);
    case PAUSE:
        return number("pause", text, 0, 1000000, &o->pause_ms);
    case SEED:
        return number64("seed", text, 0, UINT64_MAX / 2, &o->seed);
    case TAG:
        return take_tag(o, text);
    case TARGET:
        if (!word("target", text, targets, "cache, raw or mixed", &i))
            return false;
        o->target = (enum target)i;
        return true;
    case SIZES:
        if (!word("sizes", text, sizes, "small, mixed or large", &i))
            return false;
        o->sizes = (enum sizes)i;
        return true;
    case MAY_VANISH:
        return o->may_vanish = true;
    case LATE_WRITES:
        return o->late_writes = true;
    default:
        (void)fputs(usage, stderr);
        return false;
    }
}

static bool check(struct options *o, int argc, char **argv) {
    if (optind < argc) {
        (void)fprintf(stderr, "larder-verify: '%s' is no option; --help shows them\n",
                      argv[optind]);
        return false;
    }
    if (o->port == 0) {
        (void)fputs("larder-verify: give --port, the web server's\n", stderr);
        return false;
    }
    if (o->writes + o->deletes > 100) {
        (void)fputs("larder-verify: --writes and --deletes are above 100 percent together\n",
                    stderr);
        return false;
    }
    if (o->keys == 0)
        o->keys = 4 * o->connections;
    /* Each key has a connection that writes it, and each connection a key. */
    if (o->keys < o->connections) {
        (void)fputs("larder-verify: give at least as many --keys as --connections\n", stderr);
        return false;
    }
    return true;
}

bool options_parse(struct options *o, int argc, char **argv) {
    struct timespec t;
    int which;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    *o = (struct options){
        .connections = 16,
        .writes = 30,
        .timeout_ms = 20000,
        .pause_ms = 10,
        .seed = (uint64_t)t.tv_nsec ^ (uint64_t)t.tv_sec << 20U,
    };
    (void)snprintf(o->tag, sizeof(o->tag), "v%lx%lx%x", (unsigned long)t.tv_sec,
                   (unsigned long)t.tv_nsec, (unsigned)getpid());
    while ((which = getopt_long(argc, argv, "", table, NULL)) != -1)
        if (!take(o, which, optarg))
            return false;
    return check(o, argc, argv);
}
