/* JSON answers that are built member by member: what their handlers have in common. */
#ifndef LARDER_API_DOCUMENT_H
#define LARDER_API_DOCUMENT_H

#include <stdint.h>

#include "base/json.h"
#include "http/request.h"

/* A member that is our own text: a C string of UTF-8. */
void document_add_text(struct json_doc *doc, struct json *parent, const char *name,
                       const char *text);

/* A member that is a time stamp; `realtime` is clock_realtime's. */
void document_add_time(struct json_doc *doc, struct json *parent, const char *name,
                       int64_t realtime);

/* Makes the document the answer, a 200 that no cache keeps, and frees it. A document that failed
 * becomes a problem. */
enum step document_answer(struct request *r, struct json_doc *doc);

#endif
