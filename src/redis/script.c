/* The scripts that run inside Redis: see script.h. */
#include "redis/script.h"

#include "base/decimal.h"
#include "base/digest.h"

#include "redis/scripts.inc"

static const struct slice texts[SCRIPT_COUNT] = {
#define SCRIPT(name) SLICE_INIT(name##_lua),
#include "redis/scripts.def"
#undef SCRIPT
};

struct slice script_text(enum script script) {
    return texts[script];
}

/* Computed once: the texts are the program's own. */
static struct slice digest_of(enum script script) {
    static char digests[SCRIPT_COUNT][DIGEST_SHA1_HEX];
    if (digests[script][0] == '\0')
        digest_sha1_hex(texts[script], digests[script]);
    return (struct slice){digests[script], DIGEST_SHA1_HEX};
}

static void add(struct script_call *c, struct slice arg) {
    if (c->n < SCRIPT_ARGS_MAX)
        c->args[c->n++] = arg;
}

void script_begin(struct script_call *c, enum script script, bool whole) {
    c->n = c->keys = 0;
    add(c, whole ? SLICE("EVAL") : SLICE("EVALSHA"));
    add(c, whole ? texts[script] : digest_of(script));
    add(c, (struct slice){0}); /* the number of keys, when it is known */
}

void script_key(struct script_call *c, struct slice key) {
    add(c, key);
    c->keys++;
}

void script_arg(struct script_call *c, struct slice arg) {
    add(c, arg);
}

void script_send(struct script_call *c, struct store *store, struct call *call) {
    char keys[DECIMAL_MAX];
    c->args[2] = (struct slice){keys, decimal_put(keys, c->keys)};
    store_append(store, call, c->args, c->n);
}

bool script_is_missing(const struct replies *replies, const struct reply *reply) {
    return reply_error(replies, reply) == E_AGAIN;
}
