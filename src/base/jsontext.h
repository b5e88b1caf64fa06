/*
 * JSON as text: the strict RFC 8259 scanner and the few functions that splice JSON text. Values go
 * into Redis and come back as the bytes the client wrote, so this scanner is what stands between
 * a client's bytes and everybody's answers. Nothing here allocates except through a buf, and
 * nothing recurses.
 */
#ifndef LARDER_BASE_JSONTEXT_H
#define LARDER_BASE_JSONTEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

enum { JSONTEXT_DEPTH_MAX = 128 };

/* Why a text was refused, for the client: a static phrase to stand after "the text is not JSON:",
 * without the client's bytes. */
struct jsontext_fault {
    size_t offset; /* bytes from the start of the text */
    const char *reason;
};

struct jsontext_member {
    struct slice name;  /* the raw text between the quotes, escapes and all */
    struct slice value; /* exactly the value's text, without outer white space */
};

/* The whole text is one JSON value, with JSON white space around it. E_INVALID_JSON, E_TOO_DEEP
 * (`fault` is filled then; may be NULL). On success `*value` (may be NULL) is the text without
 * the outer white space. The empty text is E_INVALID_JSON. */
LARDER_MUST_CHECK enum error jsontext_check(struct slice text, struct slice *value,
                                            struct jsontext_fault *fault);

/* The whole text is one JSON object: checks all of it, as jsontext_check does, in the same single
 * pass, and lists its first `max` members in order; `*count` is how many there are in all, so it
 * may exceed `max`. E_SCHEMA_VIOLATION, without a fault, when the text is valid JSON but no
 * object. */
LARDER_MUST_CHECK enum error jsontext_members(struct slice text, struct jsontext_member *members,
                                              size_t max, size_t *count,
                                              struct jsontext_fault *fault);

/*
 * Cursors over one object or array of a checked text. `*rest` starts as its text, from the opening
 * bracket on (what follows the closing one does not matter), and shrinks from the front. False when
 * there is nothing more; `*rest` is then what follows the closing bracket.
 */
bool jsontext_next_member(struct slice *rest, struct jsontext_member *member);
bool jsontext_next_element(struct slice *rest, struct slice *value);

/* jsontext_next_member in two steps. After the first `*rest` starts with the member's value, and if
 * that is an object or array, a cursor over it may take the place of the second: that passes each
 * byte once, where taking values and looking into them passes a byte as often as it lies deep. */
bool jsontext_next_name(struct slice *rest, struct slice *name);
struct slice jsontext_take_value(struct slice *rest);

/* The raw text between a string's quotes (taken from a checked text) means exactly `plain`
 * (UTF-8). Understands escapes: "\u0074tl" means "ttl". Allocates nothing. */
bool jsontext_string_is(struct slice raw, struct slice plain);

/* Appends what the raw text between a string's quotes (from a checked text) means, as UTF-8. */
void jsontext_decode(struct buf *out, struct slice raw);

/* Appends `text`, which is valid UTF-8, as a JSON string with its quotes. Escapes what RFC 8259
 * demands (and U+007F, U+2028 and U+2029 stay as they are). */
void jsontext_put_string(struct buf *out, struct slice text);

/* Appends arbitrary bytes as a JSON string of their base64 (RFC 4648, part 4, with padding). */
void jsontext_put_base64(struct buf *out, struct slice bytes);

#endif
