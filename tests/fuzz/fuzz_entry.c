/*
 * Entries as they are in Redis: what cache/entry.c reads of any bytes, and that it reads back what
 * it has written, whatever the body is: nobody forges a header by what he stores.
 */
#include "base/clock.h"
#include "cache/entry.h"
#include "fuzz.h"
#include "http/fields.h"
#include "reference.h"

static const char mark[] = "\0larder1 ";
enum { MARK_BYTES = sizeof(mark) - 1 };

static bool is_printable(struct slice text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] > 0x7E)
            return false;
    return text.n > 0;
}

static bool is_hex32(struct slice text) {
    for (size_t i = 0; i < text.n; i++)
        if (!reference_is_one_of(text.p[i], "0123456789abcdef"))
            return false;
    return text.n == 32;
}

static void check_headed(struct slice stored, const struct entry *entry) {
    need(entry->header.p == stored.p && entry->header.n <= ENTRY_HEADER_MAX);
    need(entry->header.n > MARK_BYTES && memcmp(stored.p, mark, MARK_BYTES) == 0);
    need(stored.p[entry->header.n - 1] == '\n');
    struct slice line = {stored.p + MARK_BYTES, entry->header.n - MARK_BYTES - 1};
    need(reference_json(line, 128) == JSON_VALID);
    need(entry->body.n == stored.n - entry->header.n);
    need(!entry->raw || (is_printable(entry->type) && entry->type.n <= ENTRY_TYPE_BYTES_MAX));
    need(entry->coding.n == 0 || (entry->raw && is_printable(entry->coding)));
    need(entry->tag_count <= ENTRY_TAGS_MAX);
    for (size_t i = 0; i < entry->tag_count; i++)
        need(entry->tags[i].name.n > 0 && reference_is_clean(entry->tags[i].name) &&
             is_hex32(entry->tags[i].nonce));
    need(entry->idle >= 0 && entry->idle <= ENTRY_IDLE_MAX && entry->end >= 0);
    need(entry->idle == 0 ? entry->end == 0 && entry->id.n == 0 : is_hex32(entry->id));
}

static void check_same(const struct entry *a, const struct entry *b) {
    char etags[2][ENTRY_ETAG_BYTES];
    need(slice_eq(a->body, b->body) && a->raw == b->raw);
    need(slice_eq(a->type, b->type) && slice_eq(a->coding, b->coding));
    need(a->idle == b->idle && a->end == b->end && slice_eq(a->id, b->id));
    need(a->tag_count == b->tag_count);
    for (size_t i = 0; i < a->tag_count; i++)
        need(slice_eq(a->tags[i].name, b->tags[i].name) &&
             slice_eq(a->tags[i].nonce, b->tags[i].nonce));
    entry_etag(a, etags[0]);
    entry_etag(b, etags[1]);
    need(memcmp(etags[0], etags[1], ENTRY_ETAG_BYTES) == 0);
}

/* Written and read, it is the same; and there is one way of writing it. */
static void check_round_trip(const struct entry *entry, struct arena *arena) {
    struct slice stored;
    struct slice again;
    struct entry read;
    need(entry_format(entry, arena, &stored) == OK);
    char *exact = fuzz_exact(stored);
    need(entry_parse((struct slice){exact, stored.n}, arena, &read) == OK);
    need(read.header.n > 0);
    check_same(entry, &read);
    need(entry_format(&read, arena, &again) == OK && slice_eq(stored, again));
    free(exact);
}

static void read_any(struct slice stored, struct arena *arena) {
    struct entry entry;
    need(entry_parse(stored, arena, &entry) == OK);
    if (entry.header.n == 0) {
        need(entry.body.p == stored.p && entry.body.n == stored.n);
        need(!entry.raw && entry.tag_count == 0 && entry.idle == 0);
        return;
    }
    check_headed(stored, &entry);
    if (entry.raw || entry.tag_count > 0 || entry.idle > 0)
        check_round_trip(&entry, arena);
}

/* What a client may store: a media type, a coding, tags, an idle time, and any body. */
static void write_any(struct slice input, struct arena *arena) {
    static const struct slice nonce = SLICE_INIT("0123456789abcdef0123456789abcdef");
    struct entry_tag tags[4];
    struct entry entry = {.tags = tags};
    entry.type = fuzz_part(&input, '\xff');
    entry.coding = fuzz_part(&input, '\xff');
    entry.raw = fields_check_media_type(entry.type) == OK;
    if (!entry.raw)
        entry.type = (struct slice){0};
    if (!entry.raw || fields_check_coding(entry.coding) != OK)
        entry.coding = (struct slice){0};
    for (unsigned i = fuzz_below(&input, 5); i > 0; i--) {
        struct slice name = fuzz_part(&input, '\xff');
        if (entry_tag_is_valid(name) && !entry_has_tag(tags, entry.tag_count, name))
            tags[entry.tag_count++] = (struct entry_tag){name, nonce};
    }
    entry.idle = fuzz_below(&input, 3);
    if (entry.idle > 0) {
        entry.end = fuzz_byte(&input);
        entry.id = nonce;
    }
    entry.body = input;
    if (!entry.raw && entry.tag_count == 0 && entry.idle == 0)
        return;
    check_round_trip(&entry, arena);
}

void fuzz_entry(struct slice input) {
    static struct arena arena;
    arena_reset(&arena);
    switch (fuzz_below(&input, 3)) {
    case 0: {
        char *marked = malloc(MARK_BYTES + input.n);
        need(marked != NULL);
        memcpy(marked, mark, MARK_BYTES);
        if (input.n > 0)
            memcpy(marked + MARK_BYTES, input.p, input.n);
        read_any((struct slice){marked, MARK_BYTES + input.n}, &arena);
        free(marked);
        break;
    }
    case 1:
        read_any(input, &arena);
        break;
    default:
        write_any(input, &arena);
        break;
    }
}
