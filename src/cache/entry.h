/*
 * What an entry looks like in Redis. A JSON value is stored as its text, and nothing else. Whatever
 * needs more (bytes with a media type, tags, an idle time) is a header and the body:
 *
 *     \0larder1
 * {"type":"image/png","tags":{"a":"<nonce>"},"idle":60,"end":<ms>,"id":"<nonce>"}\n...
 *
 * which no JSON text begins like. What has the mark but not the form of a header is another
 * program's, as is everything that is no JSON.
 */
#ifndef LARDER_CACHE_ENTRY_H
#define LARDER_CACHE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    ENTRY_HEADER_MAX = 16384, /* bytes, the mark and the line end included */
    ENTRY_TAGS_MAX = 32,
    ENTRY_TAG_BYTES_MAX = 128,
    ENTRY_TYPE_BYTES_MAX = 255,
    ENTRY_CODING_BYTES_MAX = 64,
    ENTRY_NONCE_BYTES = 32, /* 128 random bits in hexadecimal */
    ENTRY_ETAG_BYTES = 32,
};

/* Seconds: what max_ttl can be. Another program's header with more is none, so that milliseconds
 * fit. */
#define ENTRY_IDLE_MAX INT64_C(10000000000)

struct entry_tag {
    struct slice name;  /* UTF-8 */
    struct slice nonce; /* ENTRY_NONCE_BYTES */
};

/* Slices into what was parsed or will be written, or into its arena. */
struct entry {
    struct slice header; /* as stored; empty: it has none */
    struct slice body;
    bool raw;            /* bytes of a media type, not a JSON value */
    bool is_json;        /* the body is known to be JSON text */
    struct slice type;   /* raw: Content-Type */
    struct slice coding; /* raw: Content-Encoding; empty: none */
    const struct entry_tag *tags;
    size_t tag_count;
    int64_t idle;    /* seconds without a read after which it expires; 0: none */
    int64_t end;     /* with idle: when it expires at last, Redis's time in ms; 0: never */
    struct slice id; /* with idle: tells this writing from every other */
};

/* Takes apart what Redis keeps. E_OUT_OF_MEMORY. */
LARDER_MUST_CHECK enum error entry_parse(struct slice stored, struct arena *arena,
                                         struct entry *entry);

/* The bytes begin as a header does: without one of their own they would be taken for it. */
bool entry_begins_like_header(struct slice bytes);

/* The bytes to store: the body alone, or a header and a copy of the body in the arena.
 * E_OUT_OF_MEMORY. */
LARDER_MUST_CHECK enum error entry_format(const struct entry *entry, struct arena *arena,
                                          struct slice *stored);

/* The entity tag without its quotes: the same for the same value and media type, whatever its ttl
 * and tags (XXH3-128 of type, coding and body). */
void entry_etag(const struct entry *entry, char out[ENTRY_ETAG_BYTES]);

/* 1 to ENTRY_TAG_BYTES_MAX bytes of UTF-8 without control characters. */
bool entry_tag_is_valid(struct slice tag);

/* It looks like one of entry_make_nonce's. */
bool entry_is_nonce(struct slice text);

/* One of the tags has this name. */
bool entry_has_tag(const struct entry_tag *tags, size_t count, struct slice name);

/* 128 random bits. E_SYSTEM: the kernel has none to give. */
LARDER_MUST_CHECK enum error entry_make_nonce(char out[ENTRY_NONCE_BYTES]);

#endif
