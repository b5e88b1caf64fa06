/* What Redis answered: see reply.h. */
#include "redis/reply.h"

#include <string.h>

static const struct {
    struct slice words;
    enum error meaning;
} table[] = {
#define REPLY(words, meaning) {SLICE_INIT(words), meaning},
#include "redis/replies.def"
#undef REPLY
};

enum { TABLE_ROWS = sizeof(table) / sizeof(table[0]) };

/* --- the list -------------------------------------------------------------------------------- */

/* A buf's memory is realloc's, aligned for every type. */
static const struct reply *nodes_of(const struct replies *list) {
    return (const struct reply *)(const void *)list->nodes.p;
}

static size_t node_count(const struct replies *list) {
    return list->nodes.n / sizeof(struct reply);
}

/* The node after `at` and everything below it. */
static size_t skip(const struct replies *list, size_t at) {
    const struct reply *nodes = nodes_of(list);
    size_t count = node_count(list);
    uint64_t pending = 1;
    while (pending > 0 && at < count) {
        pending--;
        if (nodes[at].type == REPLY_ARRAY && nodes[at].integer > 0)
            pending += (uint64_t)nodes[at].integer;
        at++;
    }
    return at;
}

const struct reply *replies_get(const struct replies *list, size_t i) {
    size_t at = 0;
    for (; i > 0 && at < node_count(list); i--)
        at = skip(list, at);
    return at < node_count(list) ? nodes_of(list) + at : NULL;
}

const struct reply *replies_next(const struct replies *list, const struct reply *r) {
    size_t at = skip(list, (size_t)(r - nodes_of(list)));
    return at < node_count(list) ? nodes_of(list) + at : NULL;
}

struct slice replies_bytes(const struct replies *list, const struct reply *r) {
    bool has_bytes = r->type == REPLY_STRING || r->type == REPLY_STATUS || r->type == REPLY_ERROR;
    if (!has_bytes || r->n == 0)
        return (struct slice){0};
    return (struct slice){list->bytes.p + r->offset, r->n};
}

/* --- errors ---------------------------------------------------------------------------------- */

/* `text` begins with `words`, and the last of them ends there: BUSY is not BUSYKEY. */
static bool begins_with(struct slice text, struct slice words) {
    if (text.n == 0 || text.n < words.n || memcmp(text.p, words.p, words.n) != 0)
        return false;
    return text.n == words.n || text.p[words.n] == ' ';
}

enum error reply_error(const struct replies *list, const struct reply *r) {
    if (r->type != REPLY_ERROR)
        return OK;
    struct slice text = replies_bytes(list, r);
    for (size_t i = 0; i < TABLE_ROWS; i++)
        if (begins_with(text, table[i].words))
            return table[i].meaning;
    return E_BACKEND_ERROR;
}

enum error reply_refusal(const struct replies *list, const struct reply *r, bool *senseless) {
    enum error e = reply_error(list, r);
    *senseless = e == OK || e == E_AGAIN;
    return *senseless ? E_BACKEND_ERROR : e;
}

bool reply_is_status(const struct replies *list, const struct reply *r, struct slice words) {
    return r->type == REPLY_STATUS && slice_eq(replies_bytes(list, r), words);
}

/* --- INFO ------------------------------------------------------------------------------------ */

/* Takes the first line off `text`, without its line end. */
static struct slice take_line(struct slice *text) {
    const char *end = memchr(text->p, '\n', text->n);
    size_t n = end != NULL ? (size_t)(end - text->p) : text->n;
    size_t used = end != NULL ? n + 1 : n;
    struct slice line = {text->p, n};
    *text = (struct slice){text->p + used, text->n - used};
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

bool reply_info_field(struct slice info, const char *field, struct slice *value) {
    size_t name = strlen(field);
    while (info.n > 0) {
        struct slice line = take_line(&info);
        if (line.n <= name || line.p[name] != ':' || memcmp(line.p, field, name) != 0)
            continue;
        *value = (struct slice){line.p + name + 1, line.n - name - 1};
        return true;
    }
    return false;
}

/* Decimal digits with an optional minus, and nothing else. */
static bool parse_int(struct slice text, int64_t *out) {
    bool negative = text.n > 0 && text.p[0] == '-';
    size_t sign = negative ? 1 : 0;
    int64_t v = 0;
    if (text.n == sign)
        return false;
    for (size_t i = sign; i < text.n; i++) {
        int digit = text.p[i] - '0';
        if (digit < 0 || digit > 9)
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, negative ? -digit : digit, &v))
            return false;
    }
    *out = v;
    return true;
}

int64_t reply_info_int(struct slice info, const char *field, int64_t fallback) {
    struct slice text;
    int64_t v = 0;
    return reply_info_field(info, field, &text) && parse_int(text, &v) ? v : fallback;
}
