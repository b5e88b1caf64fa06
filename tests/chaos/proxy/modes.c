/* The faults: see proxy.h. Each is a function that is given what comes, and sends on what it likes.
 */
#include "proxy.h"

#include <stdio.h>
#include <string.h>

static uint64_t number(const struct flow *f, int i) {
    return flow_setting(f)->number[i];
}

/* An optional number: at least one. */
static uint64_t count(const struct flow *f) {
    uint64_t n = number(f, 1);
    return n > 0 ? n : 1;
}

static bool is_due(const struct flow *f) {
    uint64_t every = number(f, 0);
    return f->values % (every > 0 ? every : 1) == 0;
}

static int64_t after(const struct flow *f) {
    return (int64_t)number(f, 0) * NS_PER_MS;
}

/* --- bytes ----------------------------------------------------------------------------------- */

static void pass(struct flow *f, char *p, size_t n) {
    flow_send(f, p, n);
}

static void delay(struct flow *f, char *p, size_t n) {
    flow_count_fault(f);
    flow_send_at(f, p, n, f->link->proxy->now + after(f));
}

/* A stall: what comes during it goes on at its end, all at once. */
static void late(struct flow *f, char *p, size_t n) {
    int64_t now = f->link->proxy->now;
    if (now >= f->released) {
        f->released = now + after(f);
        flow_count_fault(f);
    }
    flow_send_at(f, p, n, f->released);
}

static void drip(struct flow *f, char *p, size_t n) {
    int64_t now = f->link->proxy->now;
    if (f->released < now)
        f->released = now;
    flow_count_fault(f);
    for (size_t i = 0; i < n; i++) {
        f->released += after(f);
        flow_send_at(f, p + i, 1, f->released);
    }
}

static void blackhole(struct flow *f, char *p, size_t n) {
    (void)p;
    (void)n;
    f->lossy = true;
    flow_count_fault(f);
}

/* Gives how many of the `n` bytes may still pass; the link ends with them. */
static size_t rest(const struct flow *f, size_t n) {
    uint64_t before = f->bytes - n;
    uint64_t left = number(f, 0) > before ? number(f, 0) - before : 0;
    return n < left ? n : (size_t)left;
}

static void end_after(struct flow *f, const char *p, size_t n, bool reset) {
    size_t passed = rest(f, n);
    flow_send(f, p, passed);
    if (passed == n || f->ended)
        return;
    flow_count_fault(f);
    flow_end_link(f, reset);
}

static void reset(struct flow *f, char *p, size_t n) {
    end_after(f, p, n, true);
}

static void truncate_stream(struct flow *f, char *p, size_t n) {
    end_after(f, p, n, false);
}

static void flip(struct flow *f, char *p, size_t n) {
    uint64_t every = number(f, 0) > 0 ? number(f, 0) : 1;
    uint64_t before = f->bytes - n;
    for (size_t i = every - 1 - (size_t)(before % every); i < n; i += every) {
        p[i] = (char)(p[i] ^ (1 << (proxy_random(f->link->proxy) % 8)));
        flow_count_fault(f);
    }
    flow_send(f, p, n);
}

/* --- values ---------------------------------------------------------------------------------- */

/* Every Nth value ends a group of COUNT, which comes twice. */
static void duplicate(struct flow *f, char *p, size_t n) {
    uint64_t every = number(f, 0) > 0 ? number(f, 0) : 1;
    uint64_t left = (every - f->values % every) % every; /* values until the group ends */
    flow_send(f, p, n);
    if (left < count(f))
        flow_keep(f, p, n);
    if (left > 0)
        return;
    flow_count_fault(f);
    flow_send(f, f->aside.p, f->aside.n);
    f->aside.n = 0;
}

/* The last COUNT of every N values are gone. */
static void lose(struct flow *f, char *p, size_t n) {
    uint64_t every = number(f, 0) > 0 ? number(f, 0) : 1;
    uint64_t left = (every - f->values % every) % every;
    if (left >= count(f)) {
        flow_send(f, p, n);
        return;
    }
    f->lossy = true;
    flow_count_fault(f);
}

/* A value changes places with the one COUNT after it. */
static void reorder(struct flow *f, char *p, size_t n) {
    uint64_t every = number(f, 0) > count(f) ? number(f, 0) : count(f) + 1;
    uint64_t at = f->values % every;
    if (at == 0) {
        flow_keep(f, p, n);
        f->aside_first = n;
    } else if (f->aside.n > 0 && at < count(f)) {
        flow_keep(f, p, n);
    } else if (f->aside.n > 0) {
        flow_send(f, p, n);
        flow_send(f, f->aside.p + f->aside_first, f->aside.n - f->aside_first);
        flow_send(f, f->aside.p, f->aside_first);
        f->aside.n = 0;
        flow_count_fault(f);
    } else {
        flow_send(f, p, n);
    }
}

static void send_text(struct flow *f, const char *text) {
    flow_send(f, text, strlen(text));
    flow_count_fault(f);
}

static void inject(struct flow *f, char *p, size_t n) {
    static const char surplus[] = "$7\r\n\"wrong\"\r\n";
    flow_send(f, p, n);
    for (uint64_t i = 0; is_due(f) && i < count(f); i++)
        send_text(f, i % 2 == 0 ? surplus : ":77777\r\n");
}

static void garbage(struct flow *f, char *p, size_t n) {
    enum { BYTES = 24 };
    char bytes[BYTES];
    if (!is_due(f)) {
        flow_send(f, p, n);
        return;
    }
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (char)proxy_random(f->link->proxy);
    flow_send(f, bytes, BYTES);
    flow_count_fault(f);
}

/* In place of every Nth value one of `texts`, in turn. */
static void replace(struct flow *f, const char *p, size_t n, const char *const *texts,
                    size_t text_count) {
    if (is_due(f))
        send_text(f, texts[f->link->proxy->stats.faults % text_count]);
    else
        flow_send(f, p, n);
}

static void huge(struct flow *f, char *p, size_t n) {
    static const char *const texts[] = {
        "$512000000\r\nxxxxxxxx",
        "*2147483647\r\n",
        "$9223372036854775807\r\nx",
        "*1000000000\r\n:1\r\n:2\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    };
    replace(f, p, n, texts, sizeof(texts) / sizeof(texts[0]));
}

static void resp3(struct flow *f, char *p, size_t n) {
    static const char *const texts[] = {
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(3492890328409238509324850943850943825024385\r\n",
        "!10\r\nERR resp 3\r\n",
        "=5\r\ntxt:a\r\n",
        "%1\r\n+a\r\n+b\r\n",
        "~1\r\n+a\r\n",
        "|1\r\n+ttl\r\n:1\r\n",
        ">2\r\n+invalidate\r\n*1\r\n+a\r\n",
    };
    replace(f, p, n, texts, sizeof(texts) / sizeof(texts[0]));
}

static void answer(struct flow *f, char *p, size_t n) {
    char text[TEXT_MAX + 2];
    const char *texts[] = {text};
    (void)snprintf(text, sizeof(text), "%.*s\r\n", TEXT_MAX - 1, flow_setting(f)->text);
    replace(f, p, n, texts, 1);
}

/* --- the table ------------------------------------------------------------------------------- */

const struct mode modes[MODE_COUNT] = {
    {"pass", "", 0, 0, false, LISTENING, NULL, pass, "everything goes on as it comes"},
    {"delay", "MS", 1, 1, false, LISTENING, NULL, delay, "each byte comes MS later"},
    {"late", "MS", 1, 1, false, LISTENING, NULL, late, "stalls of MS, then all of it at once"},
    {"drip", "MS", 1, 1, false, LISTENING, NULL, drip, "a byte each MS"},
    {"blackhole", "", 0, 0, false, LISTENING, NULL, blackhole, "nothing comes; nobody is told"},
    {"refuse", "", 0, 0, false, NOT_LISTENING, NULL, pass, "connections end; ECONNREFUSED"},
    {"hangup", "", 0, 0, false, HANGING_UP, NULL, pass, "connections end; new ones at once"},
    {"backlog", "", 0, 0, false, NOT_ACCEPTING, NULL, pass, "connections end; none is accepted"},
    {"reset", "AFTER_BYTES", 1, 1, false, LISTENING, NULL, reset, "then a RST"},
    {"truncate", "AFTER_BYTES", 1, 1, false, LISTENING, NULL, truncate_stream, "then EOF"},
    {"flip", "EVERY_N_BYTES", 1, 1, false, LISTENING, NULL, flip, "one bit of that byte"},
    {"duplicate", "EVERY_N [COUNT]", 1, 2, false, LISTENING, duplicate, NULL,
     "COUNT replies that end with the Nth come twice"},
    {"lose", "EVERY_N [COUNT]", 1, 2, false, LISTENING, lose, NULL,
     "the last COUNT of N replies never come"},
    {"reorder", "EVERY_N [DISTANCE]", 1, 2, false, LISTENING, reorder, NULL,
     "a reply changes places with a later one"},
    {"inject", "EVERY_N [COUNT]", 1, 2, false, LISTENING, inject, NULL,
     "COUNT replies that nobody asked for"},
    {"garbage", "EVERY_N", 1, 1, false, LISTENING, garbage, NULL, "random bytes for a reply"},
    {"huge", "EVERY_N", 1, 1, false, LISTENING, huge, NULL, "lengths beyond all bounds"},
    {"resp3", "EVERY_N", 1, 1, false, LISTENING, resp3, NULL, "types that RESP2 doesn't have"},
    {"answer", "EVERY_N TEXT", 1, 1, true, LISTENING, answer, NULL, "TEXT for a reply"},
};

const struct mode *mode_find(const char *name) {
    for (int i = 0; i < MODE_COUNT; i++)
        if (strcmp(modes[i].name, name) == 0)
            return &modes[i];
    return NULL;
}
