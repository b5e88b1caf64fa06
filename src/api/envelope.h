/*
 * The JSON documents that clients send: objects whose members are ours to know. One table of names
 * serves all of them; each kind of document takes some.
 */
#ifndef LARDER_API_ENVELOPE_H
#define LARDER_API_ENVELOPE_H

#include "base/error.h"
#include "cache/op.h"
#include "http/request.h"

enum envelope_member {
    ENVELOPE_VALUE,
    ENVELOPE_TTL,
    ENVELOPE_KEY,
    ENVELOPE_TIMESTAMP,
    ENVELOPE_ENCODING,
    ENVELOPE_CONTENT_TYPE,
    ENVELOPE_CONTENT_ENCODING,
    ENVELOPE_IDLE,
    ENVELOPE_TAGS,
    ENVELOPE_BY,
    ENVELOPE_INITIAL,
    ENVELOPE_OPERATIONS,
    ENVELOPE_METHOD,
    ENVELOPE_IF_MATCH,
    ENVELOPE_IF_NONE_MATCH,
    ENVELOPE_MEMBERS
};

/* A kind of document: which members it takes, one bit each. */
struct envelope_kind {
    unsigned members;
    const char *takes; /* for people: "value, ttl, idle and tags" */
    const char *needs; /* what its problem details say if there is no object */
    bool may_be_empty; /* no body is as good as {} */
};

/* PUT. It takes what GET answers with, so that a document can be put back. */
extern const struct envelope_kind envelope_put, envelope_patch, envelope_count, envelope_batch,
    envelope_operation;

struct envelope {
    struct slice text[ENVELOPE_MEMBERS]; /* JSON texts of the members; empty: absent */
};

struct envelope_fault {
    char detail[256]; /* UTF-8, for the client; empty: the error table's own text */
};

/* Checks the headers of a request whose body is such a document, and its size. An empty body is
 * E_BODY_REQUIRED unless it may be empty: then it has no type that could be wrong, either. */
LARDER_MUST_CHECK enum error envelope_check_headers(const struct request *r,
                                                    const struct envelope_kind *kind,
                                                    struct envelope_fault *fault);

/* Takes an object apart. A member that the kind doesn't take is refused, since a misspelt "ttl"
 * would otherwise be lost. */
LARDER_MUST_CHECK enum error envelope_read(struct slice text, const struct envelope_kind *kind,
                                           struct envelope *envelope, struct envelope_fault *fault);

/* The document's member "key", if there is one, must be this key. */
LARDER_MUST_CHECK enum error envelope_check_key(const struct envelope *envelope, struct slice key);

/* Fills in what a PUT writes: op->entry (the exact text of the value, without outer white space;
 * bytes, if "encoding" or "content_type" says so) and op->ttl. */
LARDER_MUST_CHECK enum error envelope_get_entry(const struct envelope *envelope,
                                                const struct config *config, struct arena *arena,
                                                struct op *op, struct envelope_fault *fault);

/* The ttl in seconds, 0 for none; what is missing or null is `fallback`. */
LARDER_MUST_CHECK enum error envelope_get_ttl(const struct envelope *envelope,
                                              const struct config *config, int64_t fallback,
                                              int64_t *ttl, struct envelope_fault *fault);

/* A member that is a whole number of 64 bits. */
LARDER_MUST_CHECK enum error envelope_get_integer(const struct envelope *envelope,
                                                  enum envelope_member member, int64_t fallback,
                                                  int64_t *value, struct envelope_fault *fault);

/* A member is there, a string, and means exactly `plain`, whatever escapes it is spelled with. */
bool envelope_string_is(const struct envelope *envelope, enum envelope_member member,
                        struct slice plain);

/* What a member that is a string means, in the arena or the text; *valid is false if it is none. */
struct slice envelope_get_string(const struct envelope *envelope, enum envelope_member member,
                                 struct arena *arena, bool *valid);

#endif
