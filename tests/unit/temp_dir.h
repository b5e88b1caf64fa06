/* A directory of a test's own, short enough for Unix sockets in it. */
#ifndef LARDER_TESTS_TEMP_DIR_H
#define LARDER_TESTS_TEMP_DIR_H

#include <stddef.h>

enum { TEMP_DIR_PATH_MAX = 100 };

struct temp_dir {
    char path[TEMP_DIR_PATH_MAX];
};

/* Makes it under $TMPDIR, or /tmp. Fails the test if it cannot. */
void temp_dir_setup(struct temp_dir *d);

/* Removes it with all that is in it. */
void temp_dir_teardown(struct temp_dir *d);

/* Puts the path of `name` in it into `out`, `n` bytes. */
void temp_dir_join(const struct temp_dir *d, const char *name, char *out, size_t n);

#endif
