/* The document of a batch: see batch.h. */
#include "api/batch.h"

#include <stdio.h>

#include "api/single.h"
#include "base/digest.h"
#include "base/jsontext.h"

static struct slice item_name(struct request *r, struct slice key) {
    size_t prefix = r->key.prefix;
    char *name = arena_take(&r->arena, prefix + key.n);
    if (name == NULL)
        return (struct slice){0};
    memcpy(name, r->key.bytes, prefix);
    memcpy(name + prefix, key.p, key.n);
    return (struct slice){name, prefix + key.n};
}

static enum error read_key(struct request *r, const struct envelope *envelope, struct item *item,
                           struct envelope_fault *fault) {
    bool valid = true;
    struct slice key = envelope_get_string(envelope, ENVELOPE_KEY, &r->arena, &valid);
    if (!valid) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "Every operation has a member \"key\", a string.");
        return E_SCHEMA_VIOLATION;
    }
    enum error e = key_check(key);
    if (e != OK)
        return e;
    item->key = key;
    item->op.name = item_name(r, key);
    return OK;
}

static enum error read_condition(struct request *r, const struct envelope *envelope,
                                 enum envelope_member member, struct condition *condition) {
    bool valid = true;
    if (envelope->text[member].n == 0)
        return OK;
    struct slice text = envelope_get_string(envelope, member, &r->arena, &valid);
    return valid ? condition_parse(text, condition) : E_INVALID_PRECONDITION;
}

static enum error read_method(const struct envelope *envelope, struct item *item,
                              struct envelope_fault *fault) {
    if (envelope_string_is(envelope, ENVELOPE_METHOD, SLICE("GET"))) {
        item->op.kind = OP_READ;
    } else if (envelope_string_is(envelope, ENVELOPE_METHOD, SLICE("PUT"))) {
        item->op.kind = OP_WRITE;
    } else if (envelope_string_is(envelope, ENVELOPE_METHOD, SLICE("DELETE"))) {
        item->op.kind = OP_REMOVE;
    } else {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "An operation's method is \"GET\", \"PUT\" or \"DELETE\".");
        return E_SCHEMA_VIOLATION;
    }
    return OK;
}

static enum error read_item(struct request *r, struct slice text, struct item *item,
                            struct envelope_fault *fault) {
    struct envelope envelope;
    enum error e = envelope_read(text, &envelope_operation, &envelope, fault);
    if (e == OK)
        e = read_method(&envelope, item, fault);
    if (e == OK)
        e = read_key(r, &envelope, item, fault);
    if (e == OK)
        e = read_condition(r, &envelope, ENVELOPE_IF_MATCH, &item->op.if_match);
    if (e == OK)
        e = read_condition(r, &envelope, ENVELOPE_IF_NONE_MATCH, &item->op.if_none_match);
    if (e == OK && item->op.kind == OP_WRITE)
        e = envelope_get_entry(&envelope, r->service->config, &r->arena, &item->op, fault);
    return e;
}

static void read_items(struct request *r, struct slice array, struct batch *batch) {
    struct envelope_fault fault;
    struct slice text;
    for (size_t i = 0; i < batch->count && jsontext_next_element(&array, &text); i++) {
        struct item *item = &batch->items[i];
        *item = (struct item){.op.probes = true};
        enum error e = read_item(r, text, item, &fault);
        if (e == OK)
            continue;
        if (fault.detail[0] != '\0')
            item->detail =
                arena_copy(&r->arena, (struct slice){fault.detail, strlen(fault.detail) + 1}).p;
        batch_finish_item(batch, item, e);
    }
}

/* Tells each item which one before it has its key. A hash table, since batches are long. */
static void link_items(struct request *r, struct batch *batch) {
    size_t slots = 16;
    while (slots < 2 * batch->count)
        slots *= 2;
    struct item **table = arena_take(&r->arena, slots * sizeof(struct item *));
    if (table == NULL)
        return;
    memset(table, 0, slots * sizeof(struct item *));
    /* Where memory lies is nobody's to know, so keys can't be chosen to collide. */
    uint64_t seed = (uint64_t)(uintptr_t)table;
    for (size_t i = 0; i < batch->count; i++) {
        struct item *item = &batch->items[i];
        size_t slot = digest_xxh64(item->key, seed) & (slots - 1);
        while (table[slot] != NULL && !slice_eq(table[slot]->key, item->key))
            slot = (slot + 1) & (slots - 1);
        item->same_key = table[slot];
        table[slot] = item;
    }
}

static size_t count_elements(struct slice array) {
    struct slice element;
    size_t n = 0;
    while (jsontext_next_element(&array, &element))
        n++;
    return n;
}

static enum error refuse(struct envelope_fault *fault, enum error e, long long most) {
    if (e == E_BATCH_TOO_LARGE)
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "A batch has at most %lld operations (batch_max).", most);
    else
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "\"operations\" is an array of at least one operation.");
    return e;
}

enum error batch_read(struct request *r, struct batch *batch, struct envelope_fault *fault) {
    struct envelope envelope;
    long long most = (long long)r->service->config->batch_max;
    enum error e = envelope_check_headers(r, &envelope_batch, fault);
    if (e == E_VALUE_TOO_LARGE) {
        (void)snprintf(fault->detail, sizeof(fault->detail),
                       "A batch has at most max_value bytes, %lld, and a little more.",
                       (long long)r->service->config->max_value);
        e = E_BATCH_TOO_LARGE;
    }
    if (e == OK)
        e = envelope_read(r->body, &envelope_batch, &envelope, fault);
    if (e != OK)
        return e;
    struct slice array = envelope.text[ENVELOPE_OPERATIONS];
    if (array.n == 0 || array.p[0] != '[')
        return refuse(fault, E_SCHEMA_VIOLATION, most);
    batch->count = count_elements(array);
    if (batch->count == 0)
        return refuse(fault, E_SCHEMA_VIOLATION, most);
    if (batch->count > (size_t)most)
        return refuse(fault, E_BATCH_TOO_LARGE, most);
    batch->items = arena_take(&r->arena, batch->count * sizeof(*batch->items));
    if (batch->items == NULL)
        return E_OUT_OF_MEMORY;
    read_items(r, array, batch);
    link_items(r, batch);
    batch->bytes = r->arena.bytes;
    return arena_failed(&r->arena) ? E_OUT_OF_MEMORY : OK;
}
