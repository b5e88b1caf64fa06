/* The documents that clients send: what api/envelope.c takes, what it makes of it, and what it says
 * where it takes none. */
#include "api/envelope.h"
#include "base/jsontext.h"
#include "fuzz.h"
#include "http/fields.h"
#include "reference.h"

static const struct config config = {
    .default_ttl = 3600, .max_ttl = 31536000, .max_value = 300, .batch_max = 20};

static void check_said(enum error e, const struct envelope_fault *fault) {
    struct slice said = {fault->detail, strnlen(fault->detail, sizeof(fault->detail))};
    need(said.n < sizeof(fault->detail) && reference_is_utf8(said));
    need(e != OK || said.n == 0);
}

/* What is stored means the same when it is read again, and by nobody's body it means more. */
static void check_entry(struct op *op, struct arena *arena) {
    const struct entry *entry = &op->entry;
    struct slice stored;
    struct entry read;
    struct entry_tag tags[ENTRY_TAGS_MAX];
    need(op->ttl >= 1 && op->ttl <= config.max_ttl);
    need(entry->idle >= 0 && entry->idle <= config.max_ttl);
    need(entry->body.n <= (size_t)config.max_value && entry->tag_count <= ENTRY_TAGS_MAX);
    need(!entry->is_json || reference_json(entry->body, JSONTEXT_DEPTH_MAX) == JSON_VALID);
    need(!entry->raw || fields_check_media_type(entry->type) == OK);
    need(entry->coding.n == 0 || (entry->raw && fields_check_coding(entry->coding) == OK));
    for (size_t i = 0; i < entry->tag_count; i++) {
        need(reference_is_clean(entry->tags[i].name) && entry->tags[i].name.n > 0);
        need(!entry_has_tag(entry->tags, i, entry->tags[i].name));
        tags[i] = entry->tags[i];
        tags[i].nonce = SLICE("0123456789abcdef0123456789abcdef");
    }
    struct entry written = *entry;
    written.tags = tags;
    if (written.idle > 0)
        written.id = SLICE("0123456789abcdef0123456789abcdef");
    need(entry_format(&written, arena, &stored) == OK);
    need(entry_parse(stored, arena, &read) == OK);
    need(slice_eq(read.body, entry->body) && read.raw == entry->raw);
    need(read.tag_count == entry->tag_count && slice_eq(read.type, entry->type));
}

static void use(const struct envelope *envelope, const struct envelope_kind *kind,
                struct arena *arena) {
    struct envelope_fault fault = {0};
    struct op op = {0};
    int64_t v = 0;
    enum error e = OK;
    if (kind == &envelope_put || kind == &envelope_operation) {
        e = envelope_get_entry(envelope, &config, arena, &op, &fault);
        check_said(e, &fault);
        if (e == OK)
            check_entry(&op, arena);
    } else if (kind == &envelope_count) {
        e = envelope_get_integer(envelope, ENVELOPE_BY, 1, &v, &fault);
        check_said(e, &fault);
    } else {
        e = envelope_get_ttl(envelope, &config, 5, &v, &fault);
        check_said(e, &fault);
        need(e != OK || (v >= 1 && v <= config.max_ttl));
    }
    for (enum envelope_member m = 0; m < ENVELOPE_MEMBERS; m++) {
        bool valid = true;
        struct slice text = envelope->text[m];
        struct slice string = envelope_get_string(envelope, m, arena, &valid);
        need(text.n == 0 || reference_json(text, JSONTEXT_DEPTH_MAX) == JSON_VALID);
        need(valid == (text.n >= 2 && text.p[0] == '"'));
        need(!valid || reference_is_utf8(string));
        if (m == ENVELOPE_KEY)
            need((envelope_check_key(envelope, string) == OK) == (text.n == 0 || valid));
    }
}

void fuzz_envelope(struct slice input) {
    static struct arena arena;
    static const struct envelope_kind *const kinds[] = {
        &envelope_put, &envelope_patch, &envelope_count, &envelope_batch, &envelope_operation};
    const struct envelope_kind *kind = kinds[fuzz_below(&input, 5)];
    struct envelope envelope;
    struct envelope_fault fault;
    struct slice text = input;
    enum error e = envelope_read(input, kind, &envelope, &fault);
    check_said(e, &fault);
    while (text.n > 0 && reference_is_one_of(text.p[0], " \t\r\n"))
        (void)fuzz_byte(&text);
    switch (reference_json(input, JSONTEXT_DEPTH_MAX)) {
    case JSON_INVALID:
        need(e == E_INVALID_JSON);
        break;
    case JSON_TOO_DEEP:
        need(e == E_TOO_DEEP);
        break;
    case JSON_VALID:
        need((e == E_SCHEMA_VIOLATION) == (text.p[0] != '{'));
        need(e == OK || e == E_SCHEMA_VIOLATION || e == E_UNKNOWN_FIELD || e == E_DUPLICATE_FIELD);
        break;
    }
    if (e == OK) {
        arena_reset(&arena);
        use(&envelope, kind, &arena);
    }
}
