/* Routes: which row serves a path, what 405 allows, what is left over as the key. */
#include "units.h"

#include <stdlib.h>
#include <string.h>

#include "api/routes.h"
#include "base/buf.h"
#include "http/route.h"
#include "support.h"

#define FIXED(path) (path), SLICE_INIT(path), false
#define KEYED(path) path "{key}", SLICE_INIT(path), true

enum { THING_GET, THING_PUT, THING_DELETE, THINGS_DELETE, NEWS, NEWS_ALL, ROOT, ROWS };

static const struct route rows[ROWS] = {
    [THING_GET] = {"thing_get", METHOD_GET, KEYED("/thing/"), NULL, NULL, "", false},
    [THING_PUT] = {"thing_put", METHOD_PUT, KEYED("/thing/"), NULL, NULL, "", false},
    [THING_DELETE] = {"thing_delete", METHOD_DELETE, KEYED("/thing/"), NULL, NULL, "", false},
    [THINGS_DELETE] = {"things_delete", METHOD_DELETE, FIXED("/thing"), NULL, NULL, "", false},
    [NEWS] = {"news", METHOD_GET, FIXED("/news"), NULL, NULL, "", false},
    [NEWS_ALL] = {"news_all", METHOD_GET, FIXED("/news/all"), NULL, NULL, "", false},
    [ROOT] = {"root", METHOD_GET, FIXED("/"), NULL, NULL, "", false},
};

static const struct route_table table = {rows, ROWS};

/* --- finding --------------------------------------------------------------------------------- */

static const struct {
    enum method method;
    const char *path;
    enum error e;
    int row;
    const char *tail;
} cases[] = {
    {METHOD_GET, "/thing/a", OK, THING_GET, "a"},
    {METHOD_HEAD, "/thing/a", OK, THING_GET, "a"},
    {METHOD_PUT, "/thing/a", OK, THING_PUT, "a"},
    {METHOD_DELETE, "/thing/a", OK, THING_DELETE, "a"},
    {METHOD_DELETE, "/thing", OK, THINGS_DELETE, ""},
    {METHOD_GET, "/", OK, ROOT, ""},
    {METHOD_GET, "/news", OK, NEWS, ""},
    {METHOD_GET, "/news/all", OK, NEWS_ALL, ""},
    {METHOD_HEAD, "/news/all", OK, NEWS_ALL, ""},
    /* The key is not the router's business. */
    {METHOD_GET, "/thing/", OK, THING_GET, ""},
    {METHOD_DELETE, "/thing/", OK, THING_DELETE, ""},
    {METHOD_GET, "/thing/a/b//c/", OK, THING_GET, "a/b//c/"},
    {METHOD_GET, "/thing/%2e%zz#", OK, THING_GET, "%2e%zz#"},
    {METHOD_GET, "/thing//thing/a", OK, THING_GET, "/thing/a"},

    {METHOD_PUT, "/", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_DELETE, "/news", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_GET, "/thing", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_HEAD, "/thing", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_OTHER, "/thing/a", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_OTHER, "/", E_METHOD_NOT_ALLOWED, 0, NULL},
    {METHOD_OPTIONS, "/thing/a", E_METHOD_NOT_ALLOWED, 0, NULL},

    {METHOD_GET, "", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "*", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/thin", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/thingx", E_NOT_FOUND, 0, NULL},
    {METHOD_DELETE, "/thingx", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/Thing/a", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "thing/a", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "//thing/a", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/news/", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/news/a", E_NOT_FOUND, 0, NULL},
    {METHOD_GET, "/news/all/", E_NOT_FOUND, 0, NULL},
    {METHOD_OTHER, "/nothing", E_NOT_FOUND, 0, NULL},
    {METHOD_OPTIONS, "/nothing", E_NOT_FOUND, 0, NULL},
};

START_TEST(path_and_method_choose_the_row) {
    const struct route *route = NULL;
    struct slice tail = {0};
    struct slice path = {exact_copy(slice_of(cases[_i].path)), strlen(cases[_i].path)};
    ck_assert_int_eq(route_find(&table, cases[_i].method, path, &route, &tail), cases[_i].e);
    if (cases[_i].e == OK) {
        ck_assert_ptr_eq(route, &rows[cases[_i].row]);
        ck_assert(slice_eq(tail, slice_of(cases[_i].tail)));
        ck_assert_ptr_eq(tail.p + tail.n, path.p + path.n);
    }
    free((void *)(uintptr_t)path.p);
}
END_TEST

START_TEST(no_path_is_not_found) {
    const struct route *route = NULL;
    struct slice tail;
    ck_assert_int_eq(route_find(&table, METHOD_GET, (struct slice){0}, &route, &tail), E_NOT_FOUND);
    ck_assert_int_eq(
        route_find(&(struct route_table){NULL, 0}, METHOD_GET, SLICE("/"), &route, &tail),
        E_NOT_FOUND);
}
END_TEST

/* --- Allow ----------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    const char *allow;
} allowed[] = {
    {"/thing/a", "GET, HEAD, PUT, DELETE, OPTIONS"},
    {"/thing/", "GET, HEAD, PUT, DELETE, OPTIONS"},
    {"/thing", "DELETE, OPTIONS"},
    {"/news", "GET, HEAD, OPTIONS"},
    {"/", "GET, HEAD, OPTIONS"},
    {"/nothing", ""},
    {"", ""},
};

START_TEST(allow_lists_what_the_path_takes) {
    struct buf out = {0};
    buf_puts(&out, "Allow: ");
    route_put_allow(&table, slice_of(allowed[_i].path), &out);
    ck_assert(!buf_failed(&out));
    ck_assert_mem_eq(out.p, "Allow: ", 7);
    ck_assert_msg(slice_eq((struct slice){out.p + 7, out.n - 7}, slice_of(allowed[_i].allow)),
                  "%s: %.*s", allowed[_i].path, (int)out.n, out.p);
    buf_fini(&out);
}
END_TEST

/* --- methods --------------------------------------------------------------------------------- */

START_TEST(methods_are_read_exactly) {
    static const struct {
        struct slice text;
        enum method method;
    } methods[] = {
        {SLICE_INIT("GET"), METHOD_GET},         {SLICE_INIT("HEAD"), METHOD_HEAD},
        {SLICE_INIT("PUT"), METHOD_PUT},         {SLICE_INIT("DELETE"), METHOD_DELETE},
        {SLICE_INIT("OPTIONS"), METHOD_OPTIONS}, {SLICE_INIT("POST"), METHOD_POST},
        {SLICE_INIT("PATCH"), METHOD_PATCH},     {SLICE_INIT("TRACE"), METHOD_OTHER},
        {SLICE_INIT("patch"), METHOD_OTHER},     {SLICE_INIT("POS"), METHOD_OTHER},
        {SLICE_INIT("get"), METHOD_OTHER},       {SLICE_INIT("GET "), METHOD_OTHER},
        {SLICE_INIT(" GET"), METHOD_OTHER},      {SLICE_INIT("GE"), METHOD_OTHER},
        {SLICE_INIT("GETS"), METHOD_OTHER},      {SLICE_INIT("GET\0"), METHOD_OTHER},
        {SLICE_INIT(""), METHOD_OTHER},          {{NULL, 0}, METHOD_OTHER},
    };
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        ck_assert_int_eq(method_parse(methods[i].text), methods[i].method);
}
END_TEST

/* --- the service's own table ----------------------------------------------------------------- */

START_TEST(every_row_of_the_table_can_be_reached) {
    for (size_t i = 0; i < api_routes.count; i++) {
        const struct route *row = &api_routes.rows[i];
        const struct route *found = NULL;
        struct slice tail;
        struct buf path = {0};
        ck_assert_int_eq(strncmp(row->path, row->fixed.p, row->fixed.n), 0);
        ck_assert_str_eq(row->path + row->fixed.n, row->takes_key ? "{key}" : "");
        ck_assert_ptr_nonnull((void *)(uintptr_t)row->plan);
        buf_puts(&path, row->path);
        ck_assert_int_eq(route_find(&api_routes, row->method, buf_slice(&path), &found, &tail), OK);
        ck_assert_ptr_eq(found, row);
        ck_assert(slice_eq(tail, row->takes_key ? SLICE("{key}") : SLICE("")));
        for (const char *c = row->name; *c != '\0'; c++)
            ck_assert(*c == '_' || (*c >= 'a' && *c <= 'z'));
        buf_fini(&path);
    }
}
END_TEST

Suite *suite_route(void) {
    Suite *s = suite_create("route");
    TCase *t = tcase_create("finding");
    tcase_add_loop_test(t, path_and_method_choose_the_row, 0, COUNT_OF(cases));
    tcase_add_test(t, no_path_is_not_found);
    suite_add_tcase(s, t);
    t = tcase_create("methods");
    tcase_add_loop_test(t, allow_lists_what_the_path_takes, 0, COUNT_OF(allowed));
    tcase_add_test(t, methods_are_read_exactly);
    tcase_add_test(t, every_row_of_the_table_can_be_reached);
    suite_add_tcase(s, t);
    return s;
}
