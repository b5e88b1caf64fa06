/* The error table, expanded. */
#include "base/error.h"

#include <stddef.h>

static const struct error_info table[ERROR_COUNT] = {
#define ERROR(name, slug, status, title, detail, retry_after)                                      \
    [E_##name] = {slug, status, title, detail, retry_after},
#include "base/errors.def"
#undef ERROR
};

const struct error_info *error_info(enum error e) {
    if ((int)e <= OK || e >= ERROR_COUNT)
        return &table[E_INTERNAL];
    return &table[e];
}
