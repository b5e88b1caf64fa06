/*
 * JSON documents that are built member by member (statistics, health, the index): json-c behind a
 * small face. A document has a sticky error like a buf: build it, then ask json_write once.
 * Values of cache entries never come through here; they are text (jsontext.h).
 */
#ifndef LARDER_BASE_JSON_H
#define LARDER_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

struct json; /* a node; every node belongs to the document it was added to */

struct json_doc {
    struct json *root;
    bool failed;
};

/* An empty object as root. */
void json_init(struct json_doc *doc);
void json_fini(struct json_doc *doc);
struct json *json_root(struct json_doc *doc);

/* Adds to `parent`: under `name` if it is an object, at its end (name NULL) if it is an array. A
 * NULL parent is a failed document and is passed over. Strings are copied and must be valid UTF-8.
 * A name that is there already is a failure: no document of ours has a member twice. */
struct json *json_add_object(struct json_doc *doc, struct json *parent, const char *name);
struct json *json_add_array(struct json_doc *doc, struct json *parent, const char *name);
void json_add_string(struct json_doc *doc, struct json *parent, const char *name, struct slice v);
void json_add_int(struct json_doc *doc, struct json *parent, const char *name, int64_t v);
void json_add_uint(struct json_doc *doc, struct json *parent, const char *name, uint64_t v);
/* `digits` after the point, 0 to 9; a value that is not finite is null. */
void json_add_fixed(struct json_doc *doc, struct json *parent, const char *name, double v,
                    int digits);
void json_add_bool(struct json_doc *doc, struct json *parent, const char *name, bool v);
void json_add_null(struct json_doc *doc, struct json *parent, const char *name);

/* Appends the compact text, with '/' unescaped. E_OUT_OF_MEMORY if anything on the way failed. */
LARDER_MUST_CHECK enum error json_write(struct json_doc *doc, struct buf *out);

#endif
