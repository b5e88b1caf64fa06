/*
 * What Redis says: redis/wire.c (hiredis) and redis/reply.c. The first byte says which of two:
 * replies that are well formed come back as the same nodes, however they are cut; and any bytes do
 * no harm, and mean the same however they are cut.
 */
#include "base/buf.h"
#include "fuzz.h"
#include "redis/reply.h"
#include "redis/wire.h"

enum { DEPTH_MAX = 6, REPLIES_MAX = 64, ELEMENTS_MAX = 5 };

static const char nowhere[] = "/dev/null/no-socket";

/* --- well-formed replies -----------------------------------------------------------------------
 */

static struct buf spoken; /* as Redis says them */
static struct replies wanted;

static void expect(enum reply_type type, int64_t integer, struct slice bytes) {
    struct reply node = {type, integer, wanted.bytes.n, bytes.n};
    buf_put_slice(&wanted.bytes, bytes);
    buf_put(&wanted.nodes, &node, sizeof(node));
    wanted.has_error = wanted.has_error || type == REPLY_ERROR;
}

/* Of a line: CR and LF can't be in it. */
static struct slice take_line(struct slice *input) {
    struct slice line = fuzz_part(input, '\n');
    const char *cr = memchr(line.p, '\r', line.n);
    return cr != NULL ? (struct slice){line.p, (size_t)(cr - line.p)} : line;
}

static void speak(struct slice *input, unsigned depth) {
    unsigned kind = fuzz_below(input, depth < DEPTH_MAX ? 6 : 5);
    struct slice text;
    switch (kind) {
    case 0: {
        unsigned n = fuzz_byte(input);
        n = n < input->n ? n : (unsigned)input->n;
        text = (struct slice){n > 0 ? input->p : "", n};
        *input = (struct slice){input->p + n, input->n - n};
        buf_printf(&spoken, "$%u\r\n", n);
        buf_put_slice(&spoken, text);
        buf_puts(&spoken, "\r\n");
        expect(REPLY_STRING, 0, text);
        break;
    }
    case 1:
    case 2:
        text = take_line(input);
        buf_put_char(&spoken, kind == 1 ? '+' : '-');
        buf_put_slice(&spoken, text);
        buf_puts(&spoken, "\r\n");
        expect(kind == 1 ? REPLY_STATUS : REPLY_ERROR, 0, text);
        break;
    case 3: {
        int64_t v = (int64_t)fuzz_word(input) >> fuzz_below(input, 64);
        /* hiredis computes it by its size, and the least has none. */
        v = v == INT64_MIN ? 0 : v;
        buf_printf(&spoken, ":%lld\r\n", (long long)v);
        expect(REPLY_INTEGER, v, (struct slice){0});
        break;
    }
    case 4:
        buf_puts(&spoken, fuzz_below(input, 2) == 0 ? "$-1\r\n" : "*-1\r\n");
        expect(REPLY_NIL, 0, (struct slice){0});
        break;
    default: {
        unsigned n = fuzz_below(input, ELEMENTS_MAX);
        buf_printf(&spoken, "*%u\r\n", n);
        expect(REPLY_ARRAY, n, (struct slice){0});
        for (; n > 0; n--)
            speak(input, depth + 1);
        break;
    }
    }
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void forget(struct replies *list) {
    list->nodes.n = list->bytes.n = 0;
    list->has_error = false;
}

/* Gives how many are whole; `*end` is how it ended. */
static size_t read(struct slice bytes, unsigned step, struct replies *list, enum error *end) {
    struct wire *w = wire_open_unix(nowhere);
    size_t count = 0;
    forget(list);
    need(w != NULL && wire_fault(w) != NULL && wire_fd(w) == -1);
    *end = E_AGAIN;
    while (bytes.n > 0 && *end == E_AGAIN) {
        size_t n = step == 0 || step > bytes.n ? bytes.n : step;
        char *exact = fuzz_exact((struct slice){bytes.p, n});
        need(wire_feed(w, exact, n) == OK);
        free(exact);
        bytes = (struct slice){bytes.p + n, bytes.n - n};
        while ((*end = wire_parse(w, list)) == OK)
            count++;
    }
    need(*end == E_AGAIN || *end == E_PROTOCOL);
    wire_close(&w);
    need(w == NULL);
    return count;
}

static const struct reply *nodes_of(const struct replies *list) {
    return (const struct reply *)(const void *)list->nodes.p;
}

static void check_nodes(const struct replies *list) {
    size_t count = list->nodes.n / sizeof(struct reply);
    need(count * sizeof(struct reply) == list->nodes.n);
    for (size_t i = 0; i < count; i++) {
        const struct reply *r = nodes_of(list) + i;
        struct slice bytes = replies_bytes(list, r);
        need(r->offset <= list->bytes.n && r->n <= list->bytes.n - r->offset);
        need(bytes.n == r->n);
        need((reply_error(list, r) != OK) == (r->type == REPLY_ERROR));
    }
}

static void check_equal(const struct replies *a, const struct replies *b) {
    need(a->nodes.n == b->nodes.n && a->bytes.n == b->bytes.n && a->has_error == b->has_error);
    for (size_t i = 0; i < a->nodes.n / sizeof(struct reply); i++) {
        const struct reply *x = nodes_of(a) + i;
        const struct reply *y = nodes_of(b) + i;
        need(x->type == y->type && x->integer == y->integer && x->n == y->n);
        need(slice_eq(replies_bytes(a, x), replies_bytes(b, y)));
    }
}

/* By index and one after the other they are the same, and as many as there are. */
static void check_siblings(const struct replies *list, size_t count) {
    const struct reply *r = replies_get(list, 0);
    for (size_t i = 0; i < count; i++) {
        need(r != NULL && replies_get(list, i) == r);
        r = replies_next(list, r);
    }
}

static void check_info(struct slice info) {
    struct slice value = {0};
    bool found = reply_info_field(info, "used_memory", &value);
    int64_t v = reply_info_int(info, "used_memory", -5);
    need(!found || (value.p > info.p && value.p + value.n <= info.p + info.n));
    need(!found || memchr(value.p, '\n', value.n) == NULL);
    need(found || v == -5);
    char text[32];
    (void)snprintf(text, sizeof(text), "%lld", (long long)v);
    need(v == -5 || (value.n > 0 && value.p[value.n - 1] == text[strlen(text) - 1]));
}

void fuzz_resp(struct slice input) {
    static struct replies whole;
    static struct replies pieces;
    enum error end;
    enum error end_of_pieces;
    unsigned mode = fuzz_byte(&input);
    unsigned step = 1 + mode / 2 % 16;
    if (mode % 2 == 0) {
        size_t said = 0;
        spoken.n = 0;
        forget(&wanted);
        for (; input.n > 0 && said < REPLIES_MAX; said++)
            speak(&input, 0);
        need(read(buf_slice(&spoken), step, &pieces, &end) == said && end == E_AGAIN);
        check_equal(&pieces, &wanted);
        check_siblings(&pieces, said);
        need(replies_get(&pieces, said) == NULL);
        return;
    }
    size_t count = read(input, 0, &whole, &end);
    need(read(input, step, &pieces, &end_of_pieces) == count && end == end_of_pieces);
    check_equal(&whole, &pieces);
    check_nodes(&whole);
    check_siblings(&whole, count);
    if (input.n > 0)
        check_info(input);
}
