/* GET /: what this service is, and what can be asked of it. */
#include "api/document.h"
#include "api/handlers.h"

static const struct {
    const char *endpoint; /* "GET /cache/{key}" */
    const char *summary;
} endpoints[] = {
#define ROUTE(name, method, path, plan, finish, query, summary) {#method " " path, summary},
#include "api/routes.def"
#undef ROUTE
};

enum { ENDPOINTS = sizeof(endpoints) / sizeof(endpoints[0]) };

enum step index_plan(struct request *r) {
    struct json_doc doc;
    json_init(&doc);
    struct json *root = json_root(&doc);
    document_add_text(&doc, root, "service", "Cache Server");
    document_add_text(&doc, root, "version", PACKAGE_VERSION);
    document_add_text(&doc, root, "description",
                      "A REST cache in front of Redis: JSON values under keys, each with a ttl");
    struct json *list = json_add_object(&doc, root, "endpoints");
    for (size_t i = 0; i < ENDPOINTS; i++)
        document_add_text(&doc, list, endpoints[i].endpoint, endpoints[i].summary);
    enum step step = document_answer(r, &doc);
    /* RFC 8631. */
    response_field(&r->response, "Link",
                   SLICE("</openapi.json>; rel=\"service-desc\", </docs>; rel=\"service-doc\""));
    return step;
}
