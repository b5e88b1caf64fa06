/* JSON answers that are built member by member: see document.h. */
#include "api/document.h"

#include "base/clock.h"
#include "http/problem.h"

void document_add_text(struct json_doc *doc, struct json *parent, const char *name,
                       const char *text) {
    json_add_string(doc, parent, name, slice_of(text));
}

void document_add_time(struct json_doc *doc, struct json *parent, const char *name,
                       int64_t realtime) {
    char text[CLOCK_TIMESTAMP_BYTES];
    clock_format(realtime, text);
    json_add_string(doc, parent, name, (struct slice){text, sizeof(text)});
}

enum step document_answer(struct request *r, struct json_doc *doc) {
    response_json(&r->response, 200);
    r->response.no_store = true;
    enum error e = json_write(doc, &r->response.body);
    json_fini(doc);
    return e == OK ? STEP_ANSWER : problem(r, e, NULL);
}
