/* Values of header fields, read and checked: lists of strings (RFC 9651), Prefer (RFC 7240), and
 * what is stored with a value to be sent back as it is (RFC 9110). */
#ifndef LARDER_HTTP_FIELDS_H
#define LARDER_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum {
    FIELDS_STRINGS_MAX = 32,
    FIELDS_STRING_MAX = 128,     /* bytes */
    FIELDS_MEDIA_TYPE_MAX = 255, /* bytes */
    FIELDS_CODING_MAX = 64,      /* bytes */
};

struct fields_strings {
    struct slice string[FIELDS_STRINGS_MAX];
    size_t n;
};

/* Reads a List of Strings, as Cache-Groups (RFC 9875) is one. An empty field is the empty list;
 * parameters of members are held to the grammar and ignored. E_INVALID_FIELD: anything else, other
 * kinds of members included. E_INVALID_TAG: more than FIELDS_STRINGS_MAX strings, an empty one, or
 * one of more than FIELDS_STRING_MAX bytes. E_OUT_OF_MEMORY.
 *
 * The strings are appended to `decoded` and point into it, until it is next appended to. After an
 * error there are none, and `decoded` holds what it held. */
LARDER_MUST_CHECK enum error fields_read_strings(struct slice field, struct buf *decoded,
                                                 struct fields_strings *strings);

/* A String of RFC 9651 can say this text: it is printable ASCII. */
bool fields_is_string(struct slice text);

/* Appends the text, of which fields_is_string holds, as a String. */
void fields_put_string(struct buf *out, struct slice text);

/* A Prefer value asks for return=minimal. Names and values of preferences are case-insensitive, of
 * several `return`s the first counts (RFC 7240, 2), and what is malformed asks for nothing: a
 * preference may always be ignored. */
bool fields_prefers_minimal(struct slice prefer);

/* A Content-Type value that we may send back as it came: a media type (RFC 9110, 8.3.1) in
 * printable ASCII, so that no answer of ours carries a header field of somebody else's making; at
 * most FIELDS_MEDIA_TYPE_MAX bytes. E_INVALID_FIELD. */
LARDER_MUST_CHECK enum error fields_check_media_type(struct slice value);

/* A Content-Encoding value, likewise: one or more codings (RFC 9110, 8.4), without the empty list
 * elements that nobody may send; at most FIELDS_CODING_MAX bytes. E_INVALID_FIELD. */
LARDER_MUST_CHECK enum error fields_check_coding(struct slice value);

#endif
