/* Memory that is out: see scarce.h. */
#include "scarce.h"

static struct {
    bool on;
    bool refused;
    size_t before; /* allocations that go well until one fails */
    size_t used;   /* blocks */
} scarce;

void scarce_begin(size_t before) {
    scarce.before = before;
    scarce.used = 0;
    scarce.refused = false;
    scarce.on = true;
}

size_t scarce_end(bool *refused) {
    scarce.on = false;
    *refused = scarce.refused;
    return scarce.used;
}

void scarce_pause(void) {
    scarce.on = false;
}

void scarce_resume(void) {
    scarce.on = true;
}

static bool refuse(void) {
    if (!scarce.on || scarce.refused)
        return false;
    scarce.refused = scarce.before == 0;
    if (!scarce.refused)
        scarce.before--;
    return scarce.refused;
}

static void *count(void *block) {
    if (scarce.on && block != NULL)
        scarce.used++;
    return block;
}

/* The names are the linker's (--wrap). */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__real_malloc(size_t n);
void *__real_calloc(size_t items, size_t n);
void *__real_realloc(void *block, size_t n);
void __real_free(void *block);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t items, size_t n);
void *__wrap_realloc(void *block, size_t n);
void __wrap_free(void *block);

void *__wrap_malloc(size_t n) {
    return refuse() ? NULL : count(__real_malloc(n));
}

void *__wrap_calloc(size_t items, size_t n) {
    return refuse() ? NULL : count(__real_calloc(items, n));
}

void *__wrap_realloc(void *block, size_t n) {
    if (refuse())
        return NULL;
    void *moved = __real_realloc(block, n);
    return block == NULL ? count(moved) : moved;
}

void __wrap_free(void *block) {
    if (scarce.on && block != NULL)
        scarce.used--;
    __real_free(block);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
