/* What an entry looks like in Redis: see entry.h. */
#include "cache/entry.h"

#include <string.h>
#include <sys/random.h>

#include "base/digest.h"
#include "base/jsontext.h"
#include "cache/key.h"

#define MARK "\0larder1 "

enum member {
    MEMBER_TYPE,
    MEMBER_CODING,
    MEMBER_TAGS,
    MEMBER_IDLE,
    MEMBER_END,
    MEMBER_ID,
    MEMBERS
};

static const struct slice member_names[MEMBERS] = {
    [MEMBER_TYPE] = SLICE_INIT("type"), [MEMBER_CODING] = SLICE_INIT("coding"),
    [MEMBER_TAGS] = SLICE_INIT("tags"), [MEMBER_IDLE] = SLICE_INIT("idle"),
    [MEMBER_END] = SLICE_INIT("end"),   [MEMBER_ID] = SLICE_INIT("id"),
};

/* --- reading --------------------------------------------------------------------------------- */

bool entry_begins_like_header(struct slice bytes) {
    const struct slice mark = SLICE(MARK);
    return bytes.n > mark.n && memcmp(bytes.p, mark.p, mark.n) == 0;
}

/* The line of JSON in the header; empty if the bytes begin with none. */
static struct slice find_line(struct slice stored) {
    const struct slice mark = SLICE(MARK);
    if (!entry_begins_like_header(stored))
        return (struct slice){0};
    size_t most = stored.n < ENTRY_HEADER_MAX ? stored.n : ENTRY_HEADER_MAX;
    const char *end = memchr(stored.p, '\n', most);
    if (end == NULL)
        return (struct slice){0};
    return (struct slice){stored.p + mark.n, (size_t)(end - stored.p) - mark.n};
}

/* What a JSON string means; not `valid` if it is none, or longer than `max` bytes. */
static struct slice read_string(struct slice text, size_t max, struct arena *arena, bool *valid) {
    if (text.n < 2 || text.p[0] != '"') {
        *valid = false;
        return (struct slice){0};
    }
    struct slice inner = {text.p + 1, text.n - 2};
    if (inner.n > 0 && memchr(inner.p, '\\', inner.n) != NULL) {
        struct buf plain = {0};
        jsontext_decode(&plain, inner);
        inner = arena_copy(arena, buf_slice(&plain));
        if (buf_failed(&plain))
            arena->failed = true;
        buf_fini(&plain);
    }
    *valid = *valid && inner.n <= max;
    return inner;
}

static int64_t read_number(struct slice text, bool *valid) {
    int64_t v = 0;
    for (size_t i = 0; i < text.n && v >= 0; i++)
        v = text.p[i] >= '0' && text.p[i] <= '9' && i < 18 ? v * 10 + (text.p[i] - '0') : -1;
    *valid = *valid && v > 0;
    return v;
}

static void read_tags(struct slice text, struct arena *arena, struct entry *entry, bool *valid) {
    struct jsontext_member members[ENTRY_TAGS_MAX];
    size_t count = 0;
    if (jsontext_members(text, members, ENTRY_TAGS_MAX, &count, NULL) != OK || count == 0 ||
        count > ENTRY_TAGS_MAX) {
        *valid = false;
        return;
    }
    struct entry_tag *tags = arena_take(arena, count * sizeof(*tags));
    if (tags == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        /* The name's quotes are there in the text, around the slice. */
        struct slice quoted = {members[i].name.p - 1, members[i].name.n + 2};
        tags[i].name = read_string(quoted, ENTRY_TAG_BYTES_MAX, arena, valid);
        tags[i].nonce = read_string(members[i].value, ENTRY_NONCE_BYTES, arena, valid);
        *valid = *valid && entry_tag_is_valid(tags[i].name) && entry_is_nonce(tags[i].nonce);
    }
    entry->tags = tags;
    entry->tag_count = count;
}

/* Another program may have written it, and it goes out as a field of a header. */
static bool may_be_field(struct slice text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    return text.n > 0;
}

static void read_member(struct entry *entry, enum member m, struct slice text, struct arena *arena,
                        bool *valid) {
    switch (m) {
    case MEMBER_TYPE:
        entry->raw = true;
        entry->type = read_string(text, ENTRY_TYPE_BYTES_MAX, arena, valid);
        *valid = *valid && may_be_field(entry->type);
        break;
    case MEMBER_CODING:
        entry->coding = read_string(text, ENTRY_CODING_BYTES_MAX, arena, valid);
        *valid = *valid && may_be_field(entry->coding);
        break;
    case MEMBER_TAGS:
        read_tags(text, arena, entry, valid);
        break;
    case MEMBER_IDLE:
        entry->idle = read_number(text, valid);
        *valid = *valid && entry->idle <= ENTRY_IDLE_MAX;
        break;
    case MEMBER_END:
        entry->end = read_number(text, valid);
        break;
    case MEMBER_ID:
        entry->id = read_string(text, ENTRY_NONCE_BYTES, arena, valid);
        *valid = *valid && entry_is_nonce(entry->id);
        break;
    case MEMBERS:
        *valid = false;
        break;
    }
}

static bool read_line(struct slice line, struct arena *arena, struct entry *entry) {
    struct jsontext_member members[MEMBERS];
    bool seen[MEMBERS] = {false};
    bool valid = true;
    size_t count = 0;
    if (jsontext_members(line, members, MEMBERS, &count, NULL) != OK || count > MEMBERS)
        return false;
    for (size_t i = 0; i < count && valid; i++) {
        enum member m = 0;
        while (m < MEMBERS && !slice_eq(members[i].name, member_names[m]))
            m++;
        if (m == MEMBERS || seen[m])
            return false;
        seen[m] = true;
        read_member(entry, m, members[i].value, arena, &valid);
    }
    return valid && (entry->idle > 0) == seen[MEMBER_ID] &&
           (!seen[MEMBER_END] || entry->idle > 0) && (!seen[MEMBER_CODING] || entry->raw);
}

enum error entry_parse(struct slice stored, struct arena *arena, struct entry *entry) {
    *entry = (struct entry){.body = stored};
    if (stored.n == 0 || stored.p[0] != '\0')
        return OK;
    struct slice line = find_line(stored);
    if (line.n == 0)
        return OK;
    struct entry headed = {0};
    bool valid = read_line(line, arena, &headed);
    if (arena_failed(arena))
        return E_OUT_OF_MEMORY;
    if (!valid)
        return OK;
    size_t length = (size_t)(line.p + line.n + 1 - stored.p);
    headed.header = (struct slice){stored.p, length};
    headed.body = (struct slice){stored.p + length, stored.n - length};
    *entry = headed;
    return OK;
}

/* --- writing --------------------------------------------------------------------------------- */

static void begin_member(struct buf *out, bool *first, enum member m) {
    buf_put_char(out, *first ? '{' : ',');
    buf_put_char(out, '"');
    buf_put_slice(out, member_names[m]);
    buf_put(out, "\":", 2);
    *first = false;
}

static void put_tags(struct buf *out, const struct entry *entry) {
    for (size_t i = 0; i < entry->tag_count; i++) {
        buf_put_char(out, i == 0 ? '{' : ',');
        jsontext_put_string(out, entry->tags[i].name);
        buf_put_char(out, ':');
        jsontext_put_string(out, entry->tags[i].nonce);
    }
    buf_put_char(out, '}');
}

static void put_header(struct buf *out, const struct entry *entry) {
    bool first = true;
    buf_put_slice(out, SLICE(MARK));
    if (entry->raw) {
        begin_member(out, &first, MEMBER_TYPE);
        jsontext_put_string(out, entry->type);
    }
    if (entry->coding.n > 0) {
        begin_member(out, &first, MEMBER_CODING);
        jsontext_put_string(out, entry->coding);
    }
    if (entry->tag_count > 0) {
        begin_member(out, &first, MEMBER_TAGS);
        put_tags(out, entry);
    }
    if (entry->idle > 0) {
        begin_member(out, &first, MEMBER_IDLE);
        buf_put_int(out, entry->idle);
        if (entry->end > 0) {
            begin_member(out, &first, MEMBER_END);
            buf_put_int(out, entry->end);
        }
        begin_member(out, &first, MEMBER_ID);
        jsontext_put_string(out, entry->id);
    }
    buf_puts(out, "}\n");
}

enum error entry_format(const struct entry *entry, struct arena *arena, struct slice *stored) {
    struct buf out = {0};
    *stored = entry->body;
    if (!entry->raw && entry->tag_count == 0 && entry->idle == 0)
        return OK;
    put_header(&out, entry);
    buf_put_slice(&out, entry->body);
    *stored = buf_slice(&out);
    if (buf_failed(&out) || !arena_adopt(arena, &out)) {
        buf_fini(&out);
        return E_OUT_OF_MEMORY;
    }
    return OK;
}

/* --- the rest -------------------------------------------------------------------------------- */

void entry_etag(const struct entry *entry, char out[ENTRY_ETAG_BYTES]) {
    uint64_t seed = 0;
    if (entry->raw)
        seed = digest_xxh64(entry->coding, digest_xxh64(entry->type, 1));
    digest_xxh128_hex(entry->body, seed, out);
}

bool entry_has_tag(const struct entry_tag *tags, size_t count, struct slice name) {
    for (size_t i = 0; i < count; i++)
        if (slice_eq(tags[i].name, name))
            return true;
    return false;
}

bool entry_tag_is_valid(struct slice tag) {
    return tag.n > 0 && tag.n <= ENTRY_TAG_BYTES_MAX && key_text_is_valid(tag);
}

bool entry_is_nonce(struct slice text) {
    for (size_t i = 0; i < text.n; i++)
        if (strchr("0123456789abcdef", text.p[i]) == NULL || text.p[i] == '\0')
            return false;
    return text.n == ENTRY_NONCE_BYTES;
}

enum error entry_make_nonce(char out[ENTRY_NONCE_BYTES]) {
    unsigned char bytes[ENTRY_NONCE_BYTES / 2];
    static const char digits[] = "0123456789abcdef";
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return E_SYSTEM;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return OK;
}
