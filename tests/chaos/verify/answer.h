/* Reading HTTP/1.1 answers: a head, and as many bytes as Content-Length says. */
#ifndef VERIFY_ANSWER_H
#define VERIFY_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

struct answer {
    int status;
    bool keep;     /* the connection may be used again */
    bool problem;  /* application/problem+json: larder says it, not the web server */
    size_t head_n; /* 0: the head isn't whole yet */
    size_t body_n; /* as announced */
    const char *body;
};

enum answer_state { ANSWER_MORE, ANSWER_WHOLE, ANSWER_MALFORMED };

/* p are the n bytes that have come so far, from the answer's first; they may lie elsewhere at the
 * next call. `answer` is zeroed before the first one. What comes behind a whole answer is left. */
enum answer_state answer_parse(struct answer *a, const char *p, size_t n);

/* The text of a problem document's `type` behind "/errors/", or of another member: a place in the
 * body and *n bytes, or NULL. */
const char *answer_slug(const struct answer *a, size_t *n);
const char *answer_member(const struct answer *a, const char *name, size_t *n);

#endif
