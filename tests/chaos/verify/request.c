/* One request: see request.h. */
#include "request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The head is written in front of the body, whose length it says. */
enum { HEAD_ROOM = 256 };

static const char lead[] = "{\"value\":\"";
static const char tail[] = "\",\"ttl\":86400}";

static size_t write_body(struct request *r, char *out, size_t filler) {
    size_t n = 0;
    if (!r->raw) {
        memcpy(out, lead, sizeof(lead) - 1);
        n = sizeof(lead) - 1;
    }
    r->value_n = value_make(out + n, r->key->name, r->version, filler);
    n += r->value_n;
    if (!r->raw) {
        memcpy(out + n, tail, sizeof(tail) - 1);
        n += sizeof(tail) - 1;
    }
    return n;
}

static size_t write_head(const struct request *r, char *out, size_t body_n) {
    int n = snprintf(out, HEAD_ROOM, "%s /%s/%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                     method_names[r->method], r->raw ? "raw" : "cache", r->key->name,
                     r->raw && r->method == PUT ? "?ttl=86400" : "");
    if (r->method == PUT)
        n += snprintf(out + n, HEAD_ROOM - (size_t)n, "Content-Type: %s\r\nContent-Length: %zu\r\n",
                      r->raw ? "text/plain" : "application/json", body_n);
    n += snprintf(out + n, HEAD_ROOM - (size_t)n, "\r\n");
    return (size_t)n;
}

bool request_make(struct request *r, enum method method, struct known *key, bool raw,
                  size_t filler) {
    char head[HEAD_ROOM];
    size_t body_n = 0;
    if (!bytes_reserve(&r->text,
                       HEAD_ROOM + (method == PUT ? VALUE_MAX - VALUE_FILLER_MAX + filler +
                                                        sizeof(lead) + sizeof(tail)
                                                  : 0)))
        return false;
    r->method = method;
    r->raw = raw;
    r->key = key;
    r->sight = ledger_look(key);
    r->version = 0;
    if (method != GET)
        r->version = ledger_begin_write(key, method == PUT ? CHANGE_PUT : CHANGE_DELETE);
    if (method == PUT)
        body_n = write_body(r, r->text.p + HEAD_ROOM, filler);
    size_t head_n = write_head(r, head, body_n);
    r->from = HEAD_ROOM - head_n;
    memcpy(r->text.p + r->from, head, head_n);
    r->text.n = head_n + body_n;
    return true;
}

void request_fini(struct request *r) {
    bytes_fini(&r->text);
}

/* --- what the answer shows ------------------------------------------------------------------- */

/* As much as helps of a text that may be anything, in a place that the next call overwrites. */
static const char *excerpt(const char *p, size_t n) {
    static char out[160];
    size_t i;
    for (i = 0; i < n && i < sizeof(out) - 1; i++)
        out[i] = (char)(p[i] >= ' ' && p[i] <= '~' ? p[i] : '?');
    out[i] = '\0';
    return out;
}

static enum verdict complain(struct tally *tally, enum verdict verdict, const struct request *r,
                             const char *why, const struct answer *a) {
    tally_verdict(tally, verdict,
                  "%s /%s/%s: %s; acknowledged before it was sent: version %" PRIu64
                  ", sent until now: %" PRIu64 "; answer %d, %zu bytes: %s",
                  method_names[r->method], r->raw ? "raw" : "cache", r->key->name, why,
                  r->sight.floor, r->key->attempted, a->status, a->body_n,
                  excerpt(a->body, a->body_n));
    return verdict;
}

/* Steps over `text` if that is what comes next. */
static bool skip(const char **p, const char *end, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

/* Whether the document is about this key; *p is then behind the name's quote. */
static bool skip_key(const char **p, const char *end, const struct request *r) {
    return skip(p, end, "{\"key\":\"") && skip(p, end, r->key->name) && skip(p, end, "\"");
}

/* The value in a document, or in bare bytes, of which JSON has its quotes. False if the document
 * isn't about this key. A text without its closing quote goes to the end of the answer. */
static bool find_value(const struct request *r, const struct answer *a, bool document,
                       const char **value, size_t *n) {
    const char *p = a->body;
    const char *end = p + a->body_n;
    if (document && (!skip_key(&p, end, r) || !skip(&p, end, ",\"value\":")))
        return false;
    if (skip(&p, end, "\"")) {
        const char *quote = memchr(p, '"', (size_t)(end - p));
        if (quote != NULL)
            end = quote;
    }
    *value = p;
    *n = (size_t)(end - p);
    return true;
}

/* The version of the value that the answer shows, 0 if it is none of this key that is whole. */
static uint64_t read_version(const struct request *r, const struct answer *a, bool document,
                             struct tally *tally) {
    const char *value;
    size_t n;
    uint64_t version = 0;
    if (!find_value(r, a, document, &value, &n)) {
        (void)complain(tally, VERDICT_wrong, r, "no document about this key", a);
        return 0;
    }
    switch (value_check(value, n, r->key->name, &version)) {
    case VALUE_WHOLE:
        tally->bytes_verified += n;
        if (version == 0)
            (void)complain(tally, VERDICT_wrong, r, "version 0, which nobody wrote", a);
        return version;
    case VALUE_FOREIGN:
        (void)complain(tally, VERDICT_wrong, r, "the value of another key", a);
        return 0;
    case VALUE_DAMAGED:
        (void)complain(tally, VERDICT_torn, r, "length or checksum doesn't fit", a);
        return 0;
    default:
        (void)complain(tally, VERDICT_wrong, r, "nothing that was ever written", a);
        return 0;
    }
}

static bool judge_get(struct request *r, const struct answer *a, struct ledger *ledger,
                      struct tally *tally) {
    uint64_t version = read_version(r, a, !r->raw, tally);
    if (version == 0)
        return false;
    enum verdict verdict = ledger_judge_value(ledger, r->key, r->sight, version);
    if (verdict != VERDICT_right) {
        char why[80];
        (void)snprintf(why, sizeof(why), "version %" PRIu64 " is %s", version,
                       verdict == VERDICT_wrong ? "not possible" : "too old");
        (void)complain(tally, verdict, r, why, a);
        return false;
    }
    tally->hits++;
    return true;
}

/* A PUT shows the document that it made: through /raw one without the value. */
static bool judge_put(const struct request *r, const struct answer *a, struct tally *tally) {
    if (!r->raw) {
        uint64_t version = read_version(r, a, true, tally);
        if (version != 0 && version != r->version)
            (void)complain(tally, VERDICT_wrong, r, "it shows another version than was sent", a);
        return version == r->version;
    }
    char size[40];
    const char *p = a->body;
    const char *end = p + a->body_n;
    (void)snprintf(size, sizeof(size), ",\"size\":%zu,", r->value_n);
    if (skip_key(&p, end, r) && skip(&p, end, ",\"content_type\":\"text/plain\"") &&
        skip(&p, end, size))
        return true;
    (void)complain(tally, VERDICT_wrong, r, "not what was written", a);
    return false;
}

static bool judge_delete(const struct request *r, const struct answer *a, struct tally *tally) {
    const char *p = a->body;
    const char *end = p + a->body_n;
    if (skip_key(&p, end, r) && skip(&p, end, ",\"deleted\":true,"))
        return true;
    (void)complain(tally, VERDICT_wrong, r, "not what was deleted", a);
    return false;
}

static bool is_text(const char *p, size_t n, const char *text) {
    return p != NULL && n == strlen(text) && memcmp(p, text, n) == 0;
}

static bool is_miss(const struct answer *a) {
    size_t n = 0;
    const char *slug = answer_slug(a, &n);
    return a->status == 404 && a->problem && is_text(slug, n, "key-not-found");
}

static bool judge_miss(const struct request *r, const struct answer *a, const struct ledger *ledger,
                       struct tally *tally) {
    enum verdict verdict = r->method == GET
                               ? ledger_judge_absence(ledger, r->key, r->sight)
                               : ledger_judge_nothing_deleted(ledger, r->key, r->sight);
    if (verdict != VERDICT_right) {
        (void)complain(tally, verdict, r, "an acknowledged entry isn't there", a);
        return false;
    }
    if (r->method == GET)
        tally->misses++;
    return true;
}

/* --- the end --------------------------------------------------------------------------------- */

/* A status that says no: by whom, and whether the write was done. */
static enum outcome take_refusal(const struct request *r, const struct answer *a,
                                 struct tally *tally) {
    size_t n = 0;
    tally->refused[r->method][a->status]++;
    tally_failure(tally, "%s /%s/%s: answer %d: %s", method_names[r->method],
                  r->raw ? "raw" : "cache", r->key->name, a->status, excerpt(a->body, a->body_n));
    const char *slug = a->problem ? answer_slug(a, &n) : NULL;
    if (slug == NULL) {
        tally->front_errors[a->status]++;
        return OUTCOME_UNKNOWN;
    }
    tally_slug(tally, slug, n);
    const char *said = answer_member(a, "outcome", &n);
    return a->status < 500 || is_text(said, n, "not-applied") ? OUTCOME_NOT_APPLIED
                                                              : OUTCOME_UNKNOWN;
}

bool request_judge(struct request *r, const struct answer *a, struct ledger *ledger,
                   struct tally *tally) {
    bool ok = false;
    enum outcome outcome = OUTCOME_UNKNOWN;
    tally->statuses[a->status]++;
    if (a->status == 200 && r->method == GET)
        ok = judge_get(r, a, ledger, tally);
    else if (a->status == 200)
        ok = r->method == PUT ? judge_put(r, a, tally) : judge_delete(r, a, tally);
    else if (is_miss(a) && r->method != PUT)
        ok = judge_miss(r, a, ledger, tally);
    else
        outcome = take_refusal(r, a, tally);
    if (ok) {
        tally->ok[r->method]++;
        outcome = OUTCOME_ACKNOWLEDGED;
    }
    if (r->method != GET)
        ledger_end_write(ledger, r->key, r->version, outcome);
    return ok;
}

void request_fail(struct request *r, enum failure failure, struct ledger *ledger,
                  struct tally *tally) {
    tally->failed[r->method][failure]++;
    tally_failure(tally, "%s /%s/%s: %s", method_names[r->method], r->raw ? "raw" : "cache",
                  r->key->name, failure_words[failure]);
    if (r->method == GET)
        return;
    /* Without a connection nothing was sent. */
    ledger_end_write(ledger, r->key, r->version,
                     failure == FAILURE_REFUSED ? OUTCOME_NOT_APPLIED : OUTCOME_UNKNOWN);
}
