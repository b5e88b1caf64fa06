/* What is said on standard output: see report.h. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "clock.h"

/* --- pieces ---------------------------------------------------------------------------------- */

static void put_text(const char *text) {
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)putchar('\\');
        if ((unsigned char)*text >= ' ')
            (void)putchar(*text);
    }
    (void)putchar('"');
}

static void put_number(const char *name, uint64_t n) {
    (void)printf("\"%s\":%" PRIu64 ",", name, n);
}

static void put_examples(const char *name, const struct examples *e) {
    (void)printf("\"%s\":[", name);
    for (unsigned i = 0; i < e->count; i++) {
        if (i > 0)
            (void)putchar(',');
        put_text(e->text[i]);
    }
    (void)putchar(']');
}

/* Members with a count above 0, each with a comma before it but the first. */
static void put_count(bool *first, const char *name, uint64_t n) {
    if (n == 0)
        return;
    (void)printf("%s\"%s\":%" PRIu64, *first ? "" : ",", name, n);
    *first = false;
}

static void put_statuses(bool *first, const uint64_t counts[STATUS_MAX]) {
    char name[16];
    for (int status = 0; status < STATUS_MAX; status++) {
        (void)snprintf(name, sizeof(name), "%d", status);
        put_count(first, name, counts[status]);
    }
}

static void put_status_object(const char *name, const uint64_t counts[STATUS_MAX]) {
    bool first = true;
    (void)printf("\"%s\":{", name);
    put_statuses(&first, counts);
    (void)fputs("},", stdout);
}

static void put_latency(const char *name, const struct histogram *h) {
    (void)printf("\"%s\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64 ",\"p99\":%" PRIu64
                 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
                 name, h->count, histogram_at(h, 0.5), histogram_at(h, 0.99),
                 histogram_at(h, 0.999), h->most);
}

/* --- the sums -------------------------------------------------------------------------------- */

static uint64_t failures(const struct tally *t) {
    uint64_t n = 0;
    for (int m = 0; m < METHODS; m++) {
        for (int f = 0; f < FAILURES; f++)
            n += t->failed[m][f];
        for (int s = 0; s < STATUS_MAX; s++)
            n += t->refused[m][s];
    }
    return n;
}

static void put_sums(const struct load *l) {
    const struct tally *t = &l->tally;
    put_number("requests", t->requests);
    put_number("gets_verified", t->hits + t->misses);
    put_number("hits", t->hits);
    put_number("misses", t->misses);
    put_number("puts_acked", t->ok[PUT]);
    put_number("deletes_acked", t->ok[DELETE]);
    put_number("failed", failures(t));
    put_number("bytes_verified", t->bytes_verified);
    put_number("keys", l->options.keys);
    put_number("keys_ready", l->ledger.ready);
    for (int v = VERDICT_right + 1; v < VERDICTS; v++)
        put_number(verdict_words[v], t->verdicts[v]);
}

bool report_progress(const struct load *l) {
    (void)putchar('{');
    put_sums(l);
    (void)printf("\"seconds\":%.3f}\n", (double)(clock_now() - l->begun) / (double)NS_PER_S);
    return fflush(stdout) == 0;
}

/* --- the end --------------------------------------------------------------------------------- */

static void put_wrong(const struct tally *t) {
    (void)fputs("\"examples\":{", stdout);
    for (int v = VERDICT_right + 1; v < VERDICTS; v++) {
        if (v > VERDICT_right + 1)
            (void)putchar(',');
        put_examples(verdict_words[v], &t->wrong[v]);
    }
    (void)fputs("},", stdout);
}

static void put_failures(const struct tally *t) {
    (void)fputs("\"failures\":{", stdout);
    for (int m = 0; m < METHODS; m++) {
        bool first = true;
        (void)printf("%s\"%s\":{", m > 0 ? "," : "", method_names[m]);
        for (int f = 0; f < FAILURES; f++)
            put_count(&first, failure_words[f], t->failed[m][f]);
        put_statuses(&first, t->refused[m]);
        (void)putchar('}');
    }
    (void)fputs("},", stdout);
    put_examples("failure_examples", &t->failures);
    (void)putchar(',');
}

static void put_slugs(const struct tally *t) {
    bool first = true;
    (void)fputs("\"slugs\":{", stdout);
    for (int i = 0; i < SLUGS && t->slugs[i].count > 0; i++)
        put_count(&first, t->slugs[i].name, t->slugs[i].count);
    (void)fputs("},", stdout);
}

static void put_timeline(const struct timeline *t) {
    bool first = true;
    (void)printf("\"bucket_ms\":%d,\"timeline\":[", TIMELINE_MS);
    for (size_t i = 0; i < t->count; i++) {
        const struct bucket *b = &t->buckets[i];
        if (b->ok == 0 && b->failed == 0)
            continue;
        (void)printf("%s[%" PRId64 ",%" PRIu32 ",%" PRIu32 ",%" PRIu32 "]", first ? "" : ",",
                     t->begun / NS_PER_MS + (int64_t)i * TIMELINE_MS, b->ok, b->failed,
                     b->slowest_us);
        first = false;
    }
    (void)putchar(']');
}

bool report_end(const struct load *l) {
    const struct tally *t = &l->tally;
    (void)putchar('{');
    put_sums(l);
    put_wrong(t);
    put_failures(t);
    put_status_object("statuses", t->statuses);
    put_status_object("front_errors", t->front_errors);
    put_slugs(t);
    (void)printf("\"hang_ms\":%.3f,", (double)t->longest_ns / (double)NS_PER_MS);
    (void)fputs("\"latency\":{", stdout);
    put_latency("ok", &t->took_ok);
    (void)putchar(',');
    put_latency("failed", &t->took_failed);
    (void)fputs("},", stdout);
    (void)printf("\"seconds\":%.3f,", (double)(l->ended - l->begun) / (double)NS_PER_S);
    put_timeline(&t->timeline);
    (void)fputs("}\n", stdout);
    return fflush(stdout) == 0 && ferror(stdout) == 0;
}
