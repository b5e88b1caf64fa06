/* Everything that is counted: see tally.h. */
#include "tally.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

const char *const method_names[METHODS] = {[GET] = "GET", [PUT] = "PUT", [DELETE] = "DELETE"};

const char *const failure_words[FAILURES] = {
#define FAILURE(name, word) [FAILURE_##name] = (word),
#include "failures.def"
#undef FAILURE
};

const char *const verdict_words[VERDICTS] = {
    [VERDICT_right] = "right",
#define VERDICT(name) [VERDICT_##name] = #name,
#include "verdicts.def"
#undef VERDICT
};

void tally_init(struct tally *t, int64_t now) {
    memset(t, 0, sizeof(*t));
    timeline_init(&t->timeline, now);
}

void tally_fini(struct tally *t) {
    timeline_fini(&t->timeline);
}

bool tally_end(struct tally *t, int64_t now, bool ok, int64_t taken_ns) {
    histogram_note(ok ? &t->took_ok : &t->took_failed, (uint64_t)(taken_ns / NS_PER_US));
    if (taken_ns > t->longest_ns)
        t->longest_ns = taken_ns;
    return timeline_note(&t->timeline, now, ok, taken_ns);
}

/* What doesn't fit into the table is counted in its last row. */
void tally_slug(struct tally *t, const char *name, size_t n) {
    if (n >= SLUG_BYTES)
        n = SLUG_BYTES - 1;
    struct slug *slug = t->slugs;
    struct slug *last = t->slugs + SLUGS - 1;
    while (slug < last && slug->count > 0 &&
           (strlen(slug->name) != n || memcmp(slug->name, name, n) != 0))
        slug++;
    if (slug->count++ == 0) {
        memcpy(slug->name, name, n);
        slug->name[n] = '\0';
    }
}

static void keep(struct examples *e, const char *format, va_list args) {
    if (e->count == EXAMPLES)
        return;
    (void)vsnprintf(e->text[e->count++], EXAMPLE_BYTES, format, args);
}

void tally_verdict(struct tally *t, enum verdict verdict, const char *format, ...) {
    va_list args;
    t->verdicts[verdict]++;
    va_start(args, format);
    keep(&t->wrong[verdict], format, args);
    va_end(args);
}

void tally_failure(struct tally *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    keep(&t->failures, format, args);
    va_end(args);
}
