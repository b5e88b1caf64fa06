/* Everything that is counted, and the first examples of what should not have been. */
#ifndef VERIFY_TALLY_H
#define VERIFY_TALLY_H

#include "histogram.h"
#include "ledger.h"
#include "timeline.h"

enum method { GET, PUT, DELETE, METHODS };

extern const char *const method_names[METHODS];

enum failure {
#define FAILURE(name, word) FAILURE_##name,
#include "failures.def"
#undef FAILURE
    FAILURES,
};

extern const char *const failure_words[FAILURES];
extern const char *const verdict_words[VERDICTS];

enum {
    STATUS_MAX = 600,
    EXAMPLES = 10,
    EXAMPLE_BYTES = 512,
    SLUGS = 64,
    SLUG_BYTES = 40,
};

struct examples {
    unsigned count;
    char text[EXAMPLES][EXAMPLE_BYTES];
};

struct slug {
    char name[SLUG_BYTES];
    uint64_t count;
};

struct tally {
    uint64_t requests;    /* sent, or tried to */
    uint64_t ok[METHODS]; /* answered as they should be */
    uint64_t failed[METHODS][FAILURES];
    uint64_t refused[METHODS][STATUS_MAX]; /* answered with a status that says no */
    uint64_t statuses[STATUS_MAX];
    uint64_t front_errors[STATUS_MAX]; /* those of them that the web server said itself */
    uint64_t hits, misses;             /* GETs that were right */
    uint64_t verdicts[VERDICTS];       /* of GETs, and of what writes answered */
    uint64_t bytes_verified;
    int64_t longest_ns;
    struct slug slugs[SLUGS];
    struct examples wrong[VERDICTS];
    struct examples failures;
    struct histogram took_ok, took_failed;
    struct timeline timeline;
};

void tally_init(struct tally *t, int64_t now);
void tally_fini(struct tally *t);

/* The end of a request that took so long. False when memory is short. */
bool tally_end(struct tally *t, int64_t now, bool ok, int64_t taken_ns);

void tally_slug(struct tally *t, const char *name, size_t n);

/* Counts a verdict that isn't right, with what was expected and what came. */
void tally_verdict(struct tally *t, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keeps the text as an example of a failure, if it is one of the first. */
void tally_failure(struct tally *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
