/*
 * FastCGI 1.0 as a web server speaks it: writes the records of a request, reads those of an answer.
 * It knows the specification and nothing of the service's code, so that a misreading there is not
 * repeated here.
 */
#ifndef LARDER_TESTS_RECORDS_H
#define LARDER_TESTS_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

enum record_type {
    RECORD_BEGIN = 1,
    RECORD_ABORT = 2,
    RECORD_END = 3,
    RECORD_PARAMS = 4,
    RECORD_STDIN = 5,
    RECORD_STDOUT = 6,
    RECORD_STDERR = 7,
    RECORD_DATA = 8,
    RECORD_GET_VALUES = 9,
};

enum { RECORD_HEADER = 8, RECORD_CONTENT_MAX = 65535, ROLE_RESPONDER = 1, FLAG_KEEP = 1 };

/* What a web server passes on. Steps are the content bytes of each record, 0: as many as fit. */
struct web_request {
    unsigned id; /* 0: 1 */
    bool close;  /* without FCGI_KEEP_CONN */
    const char *method;
    const char *target;
    const char *length;  /* CONTENT_LENGTH; NULL: as long as the body */
    struct slice params; /* further pairs, encoded */
    struct slice body;
    size_t params_step;
    size_t body_step;
    unsigned padding; /* bytes, of every record */
};

/* One record. `content` is at most RECORD_CONTENT_MAX bytes. */
void records_put(struct buf *out, unsigned type, unsigned id, struct slice content,
                 unsigned padding);

void records_put_begin(struct buf *out, unsigned id, unsigned role, unsigned flags,
                       unsigned padding);

/* One name-value pair of a PARAMS stream, each length in its shortest form. */
void records_put_pair(struct buf *pairs, const char *name, struct slice value);

/* A stream: records of at most `step` bytes each, and the empty one. */
void records_put_stream(struct buf *out, unsigned type, unsigned id, struct slice content,
                        size_t step, unsigned padding);

void records_put_request(struct buf *out, const struct web_request *request);

struct web_answer {
    struct buf text;   /* what STDOUT carried: CGI header and body */
    struct slice head; /* the header lines, each with its CRLF, without the empty line */
    struct slice body;
    int status;
    size_t bytes; /* of the records */
};

/* Reads the answer at the start of `bytes`: false if it is not whole yet. Fails the test for what
 * no application may send. */
bool records_read_answer(struct slice bytes, unsigned id, struct web_answer *answer);
void records_free_answer(struct web_answer *answer);

/* The value of a header field, the empty slice without it. */
struct slice records_field(const struct web_answer *answer, const char *name);

#endif
