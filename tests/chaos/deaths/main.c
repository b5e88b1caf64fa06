/*
 * larder-deaths: whether the shared segment survives its writers.
 *
 * Processes stop in the middle of everything that the service does to the segment: one at every
 * single instruction in turn, and several at once, killed at any moment. A survivor then does what
 * others would do. One JSON object on standard output says what came of it. The status is 0 if that
 * could be carried out, 2 on bad usage.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crowd.h"
#include "step.h"

static const char usage[] =
    "usage: larder-deaths [--stepped N] [--random N] [--seed N]\n"
    "  --stepped N  instructions to stop at, one after the other, in whole rounds (1000)\n"
    "  --random N   kills at any moment, of five processes at once (1000)\n"
    "  --seed N     of the dice (1)\n";

struct wanted {
    uint64_t stepped;
    uint64_t at_random;
    uint64_t seed;
};

static bool parse_number(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *text >= '0' && *text <= '9';
}

static bool parse(int argc, char **argv, struct wanted *wanted) {
    static const struct option table[] = {
        {"stepped", required_argument, NULL, 's'},
        {"random", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 'd'},
        {0},
    };
    int option;
    bool ok = true;
    while (ok && (option = getopt_long(argc, argv, "", table, NULL)) >= 0)
        ok = option == 's'   ? parse_number(optarg, &wanted->stepped)
             : option == 'r' ? parse_number(optarg, &wanted->at_random)
             : option == 'd' ? parse_number(optarg, &wanted->seed)
                             : false;
    return ok && optind == argc;
}

static bool step_rounds(uint64_t instants, const struct ground *ground,
                        const struct ground *scratch, struct tally *tally) {
    while (tally->stepped < instants)
        for (enum act act = 0; act < ACTS; act++)
            if (!step_through(act, ground, scratch, tally)) {
                (void)fprintf(stderr, "larder-deaths: cannot trace a process: %s\n",
                              strerror(errno));
                return false;
            }
    return true;
}

/* Kept until the process ends. */
static bool prepare(struct ground *ground) {
    int fd;
    const size_t bytes = ROWS * sizeof(ground->done[0]);
    /* cppcheck-suppress invalidFunctionArg ; no file: -1 is what is asked for */
    void *ledger = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (ledger == MAP_FAILED || segment_create(&ground->segment, &fd, ROWS) != OK)
        return false;
    ground->done = ledger;
    segment_publish_address(ground->segment, ACT_HOST, act_addresses[0]);
    return true;
}

static void report(const struct tally *tally) {
    printf("{\"stepped\":%" PRIu64 ",\"random\":%" PRIu64 ",\"wrong_sums\":%" PRIu64
           ",\"events_open\":%" PRIu64 ",\"torn\":%" PRIu64 ",\"stuck\":%" PRIu64
           ",\"longest_us\":%" PRId64 ",\"instructions\":{",
           tally->stepped, tally->at_random, tally->wrong_sums, tally->events_open, tally->torn,
           tally->stuck, tally->longest_ns / 1000);
    for (enum act act = 0; act < ACTS; act++)
        printf("%s\"%s\":%" PRIu64, act > 0 ? "," : "", act_names[act], tally->instructions[act]);
    printf("}}\n");
}

int main(int argc, char **argv) {
    struct wanted wanted = {1000, 1000, 1};
    struct tally tally = {0};
    struct ground ground = {.row = FIRST_ROW};
    struct ground scratch = {.row = FIRST_ROW};
    if (!parse(argc, argv, &wanted)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (!prepare(&ground) || !prepare(&scratch))
        return EXIT_FAILURE;
    bool ok = step_rounds(wanted.stepped, &ground, &scratch, &tally) &&
              crowd_run(wanted.at_random, (unsigned)wanted.seed, &ground, &tally);
    if (ok)
        report(&tally);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
