/* Media types: see media.h. */
#include "http/media.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "base/scan.h"

static bool equals_ignoring_case(struct slice a, struct slice b) {
    return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* RFC 6838, 4.2. */
static bool is_subtype_char(char c) {
    return ascii_is_letter(c) || ascii_is_digit(c) || (c != '\0' && strchr("!#$&-^_.+", c) != NULL);
}

/* Takes the next ';'-separated part off `rest`; a quoted string may contain semicolons. */
static struct slice next_part(struct slice *rest) {
    size_t i = 0;
    bool quoted = false;
    for (; i < rest->n && (quoted || rest->p[i] != ';'); i++) {
        if (quoted && rest->p[i] == '\\' && i + 1 < rest->n)
            i++;
        else if (rest->p[i] == '"')
            quoted = !quoted;
    }
    struct slice part = {rest->p, i};
    size_t used = i < rest->n ? i + 1 : i;
    *rest = (struct slice){rest->p + used, rest->n - used};
    return scan_trim(part);
}

static bool charset_is_utf8(struct slice value) {
    if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
        value = (struct slice){value.p + 1, value.n - 2};
    return equals_ignoring_case(value, SLICE("utf-8")) ||
           equals_ignoring_case(value, SLICE("utf8"));
}

static bool ends_with(struct slice s, struct slice end) {
    return s.n > end.n && equals_ignoring_case((struct slice){s.p + s.n - end.n, end.n}, end);
}

/* "application/json", or a type that is JSON by its suffix (RFC 6839, 3.1). The patch formats
 * (RFC 6902, RFC 7396) are so too, but tell how to change a document: they are none to store. */
static bool type_is_json(struct slice type) {
    const struct slice prefix = SLICE("application/");
    if (equals_ignoring_case(type, SLICE("application/json")))
        return true;
    if (type.n < prefix.n || !equals_ignoring_case((struct slice){type.p, prefix.n}, prefix))
        return false;
    struct slice subtype = {type.p + prefix.n, type.n - prefix.n};
    for (size_t i = 0; i < subtype.n; i++)
        if (!is_subtype_char(subtype.p[i]))
            return false;
    return ends_with(subtype, SLICE("+json")) && !ends_with(subtype, SLICE("-patch+json"));
}

bool media_is_json(struct slice content_type) {
    struct slice rest = scan_trim(content_type);
    /* What nearly everybody sends. */
    if (rest.n == 0 || slice_eq(rest, SLICE("application/json")))
        return true;
    if (!type_is_json(next_part(&rest)))
        return false;
    while (rest.n > 0) {
        struct slice parameter = next_part(&rest);
        const char *equals = parameter.n > 0 ? memchr(parameter.p, '=', parameter.n) : NULL;
        if (equals == NULL)
            continue;
        size_t name = (size_t)(equals - parameter.p);
        struct slice value = {equals + 1, parameter.n - name - 1};
        if (equals_ignoring_case((struct slice){parameter.p, name}, SLICE("charset")) &&
            !charset_is_utf8(value))
            return false;
    }
    return true;
}

bool media_is_merge_patch(struct slice content_type) {
    struct slice rest = scan_trim(content_type);
    return rest.n > 0 &&
           equals_ignoring_case(next_part(&rest), SLICE("application/merge-patch+json"));
}

bool media_coding_is_identity(struct slice content_encoding) {
    struct slice coding = scan_trim(content_encoding);
    return coding.n == 0 || equals_ignoring_case(coding, SLICE("identity"));
}
