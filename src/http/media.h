/* Media types (RFC 9110, 8.3). */
#ifndef LARDER_HTTP_MEDIA_H
#define LARDER_HTTP_MEDIA_H

#include <stdbool.h>

#include "base/slice.h"

/* A Content-Type value says JSON in UTF-8: "application/json" or "application/...+json" (but no
 * patch) in any case, with any parameters except a charset other than UTF-8, or nothing at all. */
bool media_is_json(struct slice content_type);

/* "application/merge-patch+json" (RFC 7396), with any parameters. */
bool media_is_merge_patch(struct slice content_type);

/* A Content-Encoding value that changes nothing: empty or "identity". */
bool media_coding_is_identity(struct slice content_encoding);

#endif
