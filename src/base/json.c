/* Documents of ours: see json.h. The only file that knows json-c; struct json is its object. */
#include "base/json.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include <json-c/json.h>

#include "base/utf8.h"

static struct json_object *inside(struct json *node) {
    return (struct json_object *)node;
}

static struct json *outside(struct json_object *object) {
    return (struct json *)object;
}

void json_init(struct json_doc *doc) {
    doc->root = outside(json_object_new_object());
    doc->failed = doc->root == NULL;
}

void json_fini(struct json_doc *doc) {
    json_object_put(inside(doc->root));
    *doc = (struct json_doc){0};
}

struct json *json_root(struct json_doc *doc) {
    return doc->root;
}

static bool add_member(struct json_object *parent, const char *name, struct json_object *node) {
    if (name == NULL || json_object_object_get_ex(parent, name, NULL))
        return false;
    return json_object_object_add_ex(parent, name, node, JSON_C_OBJECT_ADD_KEY_IS_NEW) == 0;
}

static bool add_to(struct json_object *parent, const char *name, struct json_object *node) {
    if (json_object_is_type(parent, json_type_object))
        return add_member(parent, name, node);
    if (json_object_is_type(parent, json_type_array) && name == NULL)
        return json_object_array_add(parent, node) == 0;
    return false;
}

/* Takes `node` over, where NULL is json-c's way to say null. */
static struct json *attach(struct json_doc *doc, struct json *parent, const char *name,
                           struct json_object *node) {
    if (!doc->failed && add_to(inside(parent), name, node))
        return outside(node);
    doc->failed = true;
    json_object_put(node);
    return NULL;
}

/* As attach, for a node that json-c was to make: NULL is its way to say out of memory, too. */
static struct json *attach_new(struct json_doc *doc, struct json *parent, const char *name,
                               struct json_object *node) {
    if (node == NULL)
        doc->failed = true;
    return attach(doc, parent, name, node);
}

struct json *json_add_object(struct json_doc *doc, struct json *parent, const char *name) {
    return attach_new(doc, parent, name, json_object_new_object());
}

struct json *json_add_array(struct json_doc *doc, struct json *parent, const char *name) {
    return attach_new(doc, parent, name, json_object_new_array());
}

void json_add_string(struct json_doc *doc, struct json *parent, const char *name, struct slice v) {
    struct json_object *node = NULL;
    if (v.n <= INT_MAX && utf8_valid(v))
        node = json_object_new_string_len(v.n > 0 ? v.p : "", (int)v.n);
    attach_new(doc, parent, name, node);
}

void json_add_int(struct json_doc *doc, struct json *parent, const char *name, int64_t v) {
    attach_new(doc, parent, name, json_object_new_int64(v));
}

void json_add_uint(struct json_doc *doc, struct json *parent, const char *name, uint64_t v) {
    attach_new(doc, parent, name, json_object_new_uint64(v));
}

void json_add_fixed(struct json_doc *doc, struct json *parent, const char *name, double v,
                    int digits) {
    char text[328]; /* the largest double has 309 digits before the point */
    if (!isfinite(v)) {
        json_add_null(doc, parent, name);
        return;
    }
    int n = snprintf(text, sizeof(text), "%.*f", digits, v);
    bool fits = n > 0 && (size_t)n < sizeof(text);
    attach_new(doc, parent, name, fits ? json_object_new_double_s(v, text) : NULL);
}

void json_add_bool(struct json_doc *doc, struct json *parent, const char *name, bool v) {
    attach_new(doc, parent, name, json_object_new_boolean(v));
}

void json_add_null(struct json_doc *doc, struct json *parent, const char *name) {
    attach(doc, parent, name, NULL);
}

enum error json_write(struct json_doc *doc, struct buf *out) {
    size_t n = 0;
    if (doc->failed)
        return E_OUT_OF_MEMORY;
    /* json-c passes over a growth of its text that failed, and what had no room is missing in the
     * middle; errno is the only trace of it. */
    errno = 0;
    const char *text = json_object_to_json_string_length(
        inside(doc->root), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    if (text == NULL || errno == ENOMEM)
        return E_OUT_OF_MEMORY;
    buf_put(out, text, n);
    return buf_failed(out) ? E_OUT_OF_MEMORY : OK;
}
