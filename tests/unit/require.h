/* An assertion for loops. ck_assert reports every place it passes to the parent process, which a
 * million of them make slow; this one speaks only when it fails. */
#ifndef LARDER_TESTS_REQUIRE_H
#define LARDER_TESTS_REQUIRE_H

#include <check.h>

#define require(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("'%s' is not so", #condition);                                            \
    } while (0)

#endif
