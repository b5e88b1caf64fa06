/* What every answer of the service must be, whoever asked for what. */
#ifndef LARDER_TESTS_FUZZ_ANSWER_H
#define LARDER_TESTS_FUZZ_ANSWER_H

#include <stdbool.h>

#include "base/slice.h"

struct answer {
    int status;
    struct slice type; /* Content-Type; empty: there is none */
    struct slice body;
};

/* Takes a CGI answer apart, and needs it to be right: one line a field, of printable text; a
 * Content-Length that is the body's (`bodiless`: to HEAD, it has none); JSON where it says so; and
 * a problem document where it is no success. */
struct answer answer_check(struct slice text, bool bodiless);

/* The value, as text, of a member of the object that is the body; empty without it. */
struct slice answer_member(const struct answer *answer, const char *name);

#endif
