/*
 * The scripts that run inside Redis (scripts.def), where several commands must be one. They are
 * loaded at each connect and called by their SHA-1; a Redis that has lost them (SCRIPT FLUSH) says
 * NOSCRIPT, has done nothing, and is then asked with the whole text.
 */
#ifndef LARDER_REDIS_SCRIPT_H
#define LARDER_REDIS_SCRIPT_H

#include <stdbool.h>

#include "base/slice.h"
#include "redis/store.h"

enum script {
#define SCRIPT(name) SCRIPT_##name,
#include "redis/scripts.def"
#undef SCRIPT
    SCRIPT_COUNT
};

struct slice script_text(enum script script);

/* Keys, arguments, and the three words in front of them. */
enum { SCRIPT_ARGS_MAX = 3 + 33 + 5 + 33 };

/* A call under construction: keys first, then arguments. The bytes stay the caller's until
 * script_send; those above 64 KiB until the call is done. */
struct script_call {
    struct slice args[SCRIPT_ARGS_MAX];
    size_t n;
    size_t keys;
};

/* `whole`: send the text rather than its digest. */
void script_begin(struct script_call *c, enum script script, bool whole);
void script_key(struct script_call *c, struct slice key);
void script_arg(struct script_call *c, struct slice arg);
void script_send(struct script_call *c, struct store *store, struct call *call);

/* The reply is NOSCRIPT: nothing was done, ask again with the whole text. */
bool script_is_missing(const struct replies *replies, const struct reply *reply);

#endif
