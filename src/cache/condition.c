/* Preconditions: see condition.h. */
#include "cache/condition.h"

#include "base/scan.h"

struct tag {
    struct slice opaque;
    bool weak;
};

/* RFC 9110, 8.8.3: etagc. A backslash is one, and escapes nothing. */
static bool is_tag_char(char c) {
    unsigned char byte = (unsigned char)c;
    return byte > ' ' && byte != '"' && byte != 0x7F;
}

static bool scan_tag(struct slice *rest, struct tag *tag) {
    tag->weak = scan_char(rest, 'W');
    if (tag->weak && !scan_char(rest, '/'))
        return false;
    if (!scan_char(rest, '"'))
        return false;
    tag->opaque = scan_while(rest, is_tag_char);
    return scan_char(rest, '"');
}

/* Takes the next tag off a list. False at its end, where nothing is left, or at a fault, where
 * something is. */
static bool next_tag(struct slice *rest, struct tag *tag) {
    (void)scan_while(rest, scan_is_list_gap);
    struct slice list = *rest;
    if (!scan_tag(&list, tag))
        return false;
    scan_blanks(&list);
    if (list.n > 0 && list.p[0] != ',')
        return false;
    *rest = list;
    return true;
}

enum error condition_parse(struct slice field, struct condition *c) {
    struct slice list = scan_trim(field);
    if (slice_eq(list, SLICE("*"))) {
        *c = (struct condition){.kind = CONDITION_ANY};
        return OK;
    }
    struct slice rest = list;
    struct tag tag;
    size_t tags = 0;
    if (field.n > CONDITION_FIELD_MAX)
        return E_INVALID_PRECONDITION;
    while (next_tag(&rest, &tag))
        tags++;
    if (rest.n > 0 || tags == 0 || tags > CONDITION_TAGS_MAX)
        return E_INVALID_PRECONDITION;
    *c = (struct condition){.kind = CONDITION_LIST, .list = list};
    return OK;
}

static bool is_coding_suffix(struct slice s) {
    static const struct slice suffixes[] = {
        SLICE_INIT("-gzip"),   SLICE_INIT("-br"),    SLICE_INIT("-zstd"),    SLICE_INIT("-deflate"),
        SLICE_INIT("-x-gzip"), SLICE_INIT("-bzip2"), SLICE_INIT("-x-bzip2"), SLICE_INIT(";gzip"),
    };
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (slice_eq(s, suffixes[i]))
            return true;
    return false;
}

static bool names(struct slice opaque, struct slice etag) {
    if (opaque.n < etag.n)
        return false;
    struct slice suffix = opaque;
    return slice_eq(scan_bytes(&suffix, etag.n), etag) &&
           (suffix.n == 0 || is_coding_suffix(suffix));
}

bool condition_matches(const struct condition *c, struct slice etag, bool weak) {
    struct slice rest = c->list;
    struct tag tag;
    if (c->kind != CONDITION_LIST)
        return c->kind == CONDITION_ANY;
    while (next_tag(&rest, &tag))
        if ((weak || !tag.weak) && names(tag.opaque, etag))
            return true;
    return false;
}
