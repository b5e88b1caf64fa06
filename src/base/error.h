/*
 * The one error enum. Every fallible function of larder returns it; errors.def says what HTTP
 * makes of each value (RFC 9457). http/problem.c is the one place that writes an error answer.
 */
#ifndef LARDER_BASE_ERROR_H
#define LARDER_BASE_ERROR_H

#define LARDER_MUST_CHECK         __attribute__((warn_unused_result))
#define LARDER_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

enum error {
    OK = 0,
#define ERROR(name, slug, status, title, detail, retry_after) E_##name,
#include "base/errors.def"
#undef ERROR
    ERROR_COUNT
};

struct error_info {
    const char *slug;   /* last segment of the problem's type URI; stable */
    int status;         /* HTTP status code */
    const char *title;  /* the same for every occurrence (RFC 9457, 3.1.3) */
    const char *detail; /* what to do; a more precise one may replace it */
    int retry_after;    /* seconds; 0: no Retry-After */
};

/* The row of `e`; OK and values outside the enum give the row of E_INTERNAL. Never NULL. */
const struct error_info *error_info(enum error e);

#endif
