/* Finding a route: see route.h. */
#include "http/route.h"

#include "base/buf.h"

static const struct {
    struct slice name;
    enum method method;
} methods[] = {
    {SLICE_INIT("GET"), METHOD_GET},         {SLICE_INIT("PUT"), METHOD_PUT},
    {SLICE_INIT("DELETE"), METHOD_DELETE},   {SLICE_INIT("HEAD"), METHOD_HEAD},
    {SLICE_INIT("PATCH"), METHOD_PATCH},     {SLICE_INIT("POST"), METHOD_POST},
    {SLICE_INIT("OPTIONS"), METHOD_OPTIONS},
};

enum { METHOD_NAMES = sizeof(methods) / sizeof(methods[0]) };

enum method method_parse(struct slice text) {
    for (size_t i = 0; i < METHOD_NAMES; i++)
        if (slice_eq(text, methods[i].name))
            return methods[i].method;
    return METHOD_OTHER;
}

bool method_writes(enum method method) {
    return method == METHOD_PUT || method == METHOD_DELETE || method == METHOD_PATCH ||
           method == METHOD_POST;
}

struct slice method_name(enum method method) {
    for (size_t i = 0; i < METHOD_NAMES; i++)
        if (methods[i].method == method)
            return methods[i].name;
    return (struct slice){0};
}

/* Whether the row's pattern takes this path; the key may be anything, also empty: whether it is a
 * key is not the router's to say. */
static bool path_matches(const struct route *route, struct slice path) {
    if (!route->takes_key)
        return slice_eq(path, route->fixed);
    return path.n >= route->fixed.n && memcmp(path.p, route->fixed.p, route->fixed.n) == 0;
}

enum error route_find(const struct route_table *table, enum method method, struct slice path,
                      const struct route **route, struct slice *tail) {
    enum method wanted = method == METHOD_HEAD ? METHOD_GET : method;
    bool exists = false;
    for (size_t i = 0; i < table->count; i++) {
        const struct route *row = &table->rows[i];
        if (!path_matches(row, path))
            continue;
        exists = true;
        if (row->method != wanted)
            continue;
        *route = row;
        *tail = (struct slice){path.p + row->fixed.n, path.n - row->fixed.n};
        return OK;
    }
    return exists ? E_METHOD_NOT_ALLOWED : E_NOT_FOUND;
}

static void put_method(struct buf *out, enum method method) {
    if (out->n > 0)
        buf_puts(out, ", ");
    buf_put_slice(out, method_name(method));
}

void route_put_allow(const struct route_table *table, struct slice path, struct buf *out) {
    struct buf list = {0};
    for (size_t i = 0; i < table->count; i++) {
        const struct route *row = &table->rows[i];
        if (!path_matches(row, path))
            continue;
        put_method(&list, row->method);
        if (row->method == METHOD_GET)
            put_method(&list, METHOD_HEAD);
    }
    if (list.n > 0)
        put_method(&list, METHOD_OPTIONS);
    buf_put_slice(out, buf_slice(&list));
    if (buf_failed(&list))
        out->failed = true;
    buf_fini(&list);
}
