/*
 * The numbers of FastCGI 1.0 (its part 8) that framer.c and encode.c need.
 */
#ifndef LARDER_HTTP_RECORD_H
#define LARDER_HTTP_RECORD_H

enum {
    RECORD_VERSION = 1,
    RECORD_HEADER_BYTES = 8,
    RECORD_CONTENT_MAX = 65535,

    RECORD_BEGIN_REQUEST = 1,
    RECORD_END_REQUEST = 3,
    RECORD_PARAMS = 4,
    RECORD_STDIN = 5,
    RECORD_STDOUT = 6,

    BEGIN_BODY_BYTES = 8,
    BEGIN_ROLE_RESPONDER = 1,
    BEGIN_KEEP_CONN = 1,

    END_BODY_BYTES = 8, /* all zero: status 0, FCGI_REQUEST_COMPLETE */
};

#endif
