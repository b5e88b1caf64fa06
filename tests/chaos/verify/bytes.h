/* A growing piece of memory. */
#ifndef VERIFY_BYTES_H
#define VERIFY_BYTES_H

#include <stdbool.h>
#include <stdlib.h>

struct bytes {
    char *p;
    size_t n;    /* in use */
    size_t room; /* allocated */
};

/* Makes room for so many bytes in all; false when memory is short. */
static inline bool bytes_reserve(struct bytes *b, size_t room) {
    if (room <= b->room)
        return true;
    char *p = realloc(b->p, room);
    if (p == NULL)
        return false;
    b->p = p;
    b->room = room;
    return true;
}

static inline void bytes_fini(struct bytes *b) {
    free(b->p);
    *b = (struct bytes){0};
}

#endif
