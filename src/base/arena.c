/* Memory that lives as long as a request: see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 4096 - 64 /* with malloc's own, a page */ };

struct arena_chunk {
    struct arena_chunk *next;
    void *adopted; /* somebody's former buffer, or NULL */
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

static void free_chunk(struct arena_chunk *chunk) {
    free(chunk->adopted);
    free(chunk);
}

void arena_fini(struct arena *a) {
    while (a->chunks != NULL) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        free_chunk(chunk);
    }
    *a = (struct arena){0};
}

void arena_reset(struct arena *a) {
    struct arena_chunk *kept = NULL;
    a->failed = false;
    while (a->chunks != NULL) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->next;
        if (kept == NULL && chunk->size == CHUNK_BYTES)
            kept = chunk;
        else
            free_chunk(chunk);
    }
    if (kept != NULL) {
        free(kept->adopted);
        kept->adopted = NULL;
        kept->next = NULL;
        kept->used = 0;
    }
    a->chunks = kept;
    a->bytes = kept != NULL ? kept->size : 0;
}

/* A chunk of its own for what is large: the one in use stays in front, with the room it has. */
static struct arena_chunk *add_chunk(struct arena *a, size_t size) {
    struct arena_chunk *chunk =
        size > SIZE_MAX / 2 ? NULL : malloc(sizeof(struct arena_chunk) + size);
    if (chunk == NULL) {
        a->failed = true;
        return NULL;
    }
    *chunk = (struct arena_chunk){.size = size};
    a->bytes += size;
    if (a->chunks != NULL && size > CHUNK_BYTES) {
        chunk->next = a->chunks->next;
        a->chunks->next = chunk;
    } else {
        chunk->next = a->chunks;
        a->chunks = chunk;
    }
    return chunk;
}

void *arena_take(struct arena *a, size_t n) {
    struct arena_chunk *chunk = a->chunks;
    size_t aligned = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (aligned < n) {
        a->failed = true;
        return NULL;
    }
    if (chunk == NULL || chunk->size - chunk->used < aligned)
        chunk = add_chunk(a, aligned > CHUNK_BYTES ? aligned : CHUNK_BYTES);
    if (chunk == NULL)
        return NULL;
    void *p = chunk->bytes + chunk->used;
    chunk->used += aligned;
    return p;
}

struct slice arena_copy(struct arena *a, struct slice bytes) {
    char *p = arena_take(a, bytes.n);
    if (p == NULL)
        return (struct slice){0};
    if (bytes.n > 0)
        memcpy(p, bytes.p, bytes.n);
    return (struct slice){p, bytes.n};
}

bool arena_adopt(struct arena *a, struct buf *b) {
    if (b->p == NULL)
        return true;
    struct arena_chunk *chunk = malloc(sizeof(*chunk));
    if (chunk == NULL) {
        a->failed = true;
        return false;
    }
    *chunk = (struct arena_chunk){.adopted = b->p};
    a->bytes += b->n;
    if (a->chunks != NULL) {
        chunk->next = a->chunks->next;
        a->chunks->next = chunk;
    } else {
        a->chunks = chunk;
    }
    *b = (struct buf){0};
    return true;
}
