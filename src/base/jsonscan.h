/*
 * A cursor over JSON text and the values that hold no others: strings, numbers, literals. The lower
 * half of jsontext.c, which is its only user. Each function leaves `at` behind what it took and
 * gives true, or notes what is wrong at `at` and gives false.
 */
#ifndef LARDER_BASE_JSONSCAN_H
#define LARDER_BASE_JSONSCAN_H

#include <stdbool.h>

#include "base/error.h"

struct jsonscan {
    const char *at;
    const char *end;
    enum error error;   /* OK, and E_INVALID_JSON after a fault */
    const char *reason; /* a static phrase */
};

enum { JSONSCAN_END = -1 };

/* The byte at `at`, or JSONSCAN_END. */
static inline int jsonscan_peek(const struct jsonscan *s) {
    return s->at < s->end ? (unsigned char)*s->at : JSONSCAN_END;
}

static inline void jsonscan_skip_space(struct jsonscan *s) {
    const char *p = s->at;
    while (p < s->end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    s->at = p;
}

/* Notes E_INVALID_JSON with `reason`, or with one of its own where the text has ended. */
bool jsonscan_fail(struct jsonscan *s, const char *reason);

/* `at` is on the opening quote. */
bool jsonscan_string(struct jsonscan *s);

/* Any value but an object or an array. */
bool jsonscan_scalar(struct jsonscan *s);

#endif
