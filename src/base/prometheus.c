/* Prometheus text: see prometheus.h. */
#include "base/prometheus.h"

#include <stdarg.h>
#include <stdio.h>

#define US_PER_S 1e6

static const char *const type_names[] = {
    [PROMETHEUS_COUNTER] = "counter",
    [PROMETHEUS_GAUGE] = "gauge",
    [PROMETHEUS_HISTOGRAM] = "histogram",
};

/* In a help text a quote stands for itself, in a label's value it doesn't. */
static void put_escaped(struct buf *out, const char *text, bool in_quotes) {
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            buf_puts(out, "\\n");
        else if (*text == '\\' || (in_quotes && *text == '"'))
            buf_put(out, (char[]){'\\', *text}, 2);
        else
            buf_put_char(out, *text);
    }
}

static void put_comment(struct prometheus *p, const char *keyword) {
    buf_puts(p->out, keyword);
    buf_puts(p->out, p->name);
    buf_put_char(p->out, ' ');
}

void prometheus_family(struct prometheus *p, enum prometheus_type type, const char *help,
                       const char *name, ...) {
    va_list args;
    va_start(args, name);
    int n = vsnprintf(p->name, sizeof(p->name), name, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(p->name))
        p->out->failed = true;
    put_comment(p, "# HELP ");
    put_escaped(p->out, help, false);
    put_comment(p, "\n# TYPE ");
    buf_puts(p->out, type_names[type]);
    buf_put_char(p->out, '\n');
}

/* Everything of a sample's line but its value. `suffix` is what a histogram's parts add. */
static void put_series(struct prometheus *p, const char *suffix,
                       const struct prometheus_label *labels, size_t n) {
    buf_puts(p->out, p->name);
    buf_puts(p->out, suffix);
    for (size_t i = 0; i < n; i++) {
        buf_put_char(p->out, i == 0 ? '{' : ',');
        buf_puts(p->out, labels[i].name);
        buf_puts(p->out, "=\"");
        put_escaped(p->out, labels[i].value, true);
        buf_put_char(p->out, '"');
    }
    buf_puts(p->out, n > 0 ? "} " : " ");
}

static void put_uint_line(struct prometheus *p, const char *suffix,
                          const struct prometheus_label *labels, size_t n, uint64_t v) {
    put_series(p, suffix, labels, n);
    buf_put_uint(p->out, v);
    buf_put_char(p->out, '\n');
}

static void put_seconds_line(struct prometheus *p, const char *suffix, uint64_t microseconds) {
    put_series(p, suffix, NULL, 0);
    buf_printf(p->out, "%.6f\n", (double)microseconds / US_PER_S);
}

void prometheus_uint(struct prometheus *p, const struct prometheus_label *labels, size_t n,
                     uint64_t v) {
    put_uint_line(p, "", labels, n, v);
}

void prometheus_seconds(struct prometheus *p, uint64_t microseconds) {
    put_seconds_line(p, "", microseconds);
}

void prometheus_histogram(struct prometheus *p, const struct prometheus_bucket *buckets, size_t n,
                          uint64_t count, uint64_t sum_us) {
    for (size_t i = 0; i < n; i++) {
        char bound[32];
        (void)snprintf(bound, sizeof(bound), "%.6f", buckets[i].bound_us / US_PER_S);
        put_uint_line(p, "_bucket", &(struct prometheus_label){"le", bound}, 1, buckets[i].count);
    }
    put_uint_line(p, "_bucket", &(struct prometheus_label){"le", "+Inf"}, 1, count);
    put_seconds_line(p, "_sum", sum_us);
    put_uint_line(p, "_count", NULL, 0, count);
}
