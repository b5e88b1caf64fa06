/* A directory of a test's own: see temp_dir.h. */
#include "temp_dir.h"

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

void temp_dir_setup(struct temp_dir *d) {
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(d->path, sizeof(d->path), "%s/larder-unit.XXXXXX", tmp != NULL ? tmp : "/tmp");
    /* sockaddr_un has room for 107 bytes, and names in here are short. */
    ck_assert(n > 0 && n < 80);
    ck_assert_ptr_nonnull(mkdtemp(d->path));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

void temp_dir_teardown(struct temp_dir *d) {
    (void)nftw(d->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void temp_dir_join(const struct temp_dir *d, const char *name, char *out, size_t n) {
    int length = snprintf(out, n, "%s/%s", d->path, name);
    ck_assert(length > 0 && (size_t)length < n);
}
