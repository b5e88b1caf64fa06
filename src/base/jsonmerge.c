/*
 * Merge patches: see jsonmerge.h. The patch is listed once, flat, with an index of its names. Then
 * the target is walked twice, once to find the members that the patch names and once to write: only
 * at the end of an object is it known which of several members of one name is the last. A walk
 * passes each byte once, however deep it lies, because it goes into an object without looking for
 * its end first.
 *
 * The functions here that recurse go one level down for each object inside an object, and so no
 * deeper than JSONTEXT_DEPTH_MAX: both texts have been checked.
 */
#include "base/jsonmerge.h"

#include <stdlib.h>

#include "base/jsontext.h"

/*
 * A member of the patch or of an object in it (but not inside an array: there is nothing to merge).
 * They stand in the order of the patch's text, so the members of an object follow it. Number 0 is
 * the patch itself: nobody's member and without a name, so its number is free to mean none.
 * Offsets instead of pointers, because there may be a million of these.
 */
struct change {
    uint32_t object; /* whose member it is */
    uint32_t end;    /* the next change that is not inside this one */
    uint32_t text;   /* in the patch: the member, from the opening quote of its name */
    uint32_t name;   /* what it means: in the patch or, if it has escapes, in m->names */
    uint32_t name_n;
    uint32_t value; /* in the patch */
    uint32_t value_n;
    uint32_t last; /* in the target: the name of the last member that it names; 0: not seen yet */
    bool escaped;
    bool settled; /* not to be appended: the target has it, or a duplicate comes later */
    bool impure;  /* an object that has, however deep, a null or a duplicate to be left out */
};

enum { WHOLE = 0, NONE = 0 };

/* What a member of the target and the change to it have in common. */
struct key {
    uint32_t object;   /* the change to the object around it */
    struct slice name; /* what it means */
};

/* Of the index. The hash saves a look at the change, which is seldom in a cache. */
struct entry {
    uint32_t hash;
    uint32_t change;
};

/* A member of the target that the patch names. */
struct hit {
    uint32_t at; /* in the target: its name */
    uint32_t change;
};

struct merge {
    struct slice target;
    struct slice patch;
    struct buf *out;
    struct buf changes; /* of struct change */
    struct buf names;   /* what those of the patch that have escapes mean */
    struct buf name;    /* what the one at hand of the target means, likewise */
    struct buf hits;    /* of struct hit, in the order of the target's text */
    size_t hit;         /* the second walk is here */
    /* Hashes share the index out to buckets, each of them sorted: names that are made to collide
     * cost a sort and binary searches instead of a linear search each, so the hash needs no
     * secret. */
    struct entry *index;
    uint32_t *buckets; /* where in the index each starts, and where the last one ends */
    unsigned shift;    /* leaves of a hash the number of its bucket */
};

static struct change *change_at(const struct merge *m, uint32_t i) {
    return (struct change *)(void *)m->changes.p + i;
}

static uint32_t change_count(const struct merge *m) {
    return (uint32_t)(m->changes.n / sizeof(struct change));
}

static bool is_object(const struct merge *m, const struct change *c) {
    return m->patch.p[c->value] == '{';
}

static bool is_removal(const struct merge *m, const struct change *c) {
    return m->patch.p[c->value] == 'n';
}

static struct key key_of(const struct merge *m, const struct change *c) {
    const char *names = c->escaped ? m->names.p : m->patch.p;
    return (struct key){c->object, {names + c->name, c->name_n}};
}

static bool has_escape(struct slice raw) {
    return memchr(raw.p, '\\', raw.n) != NULL;
}

/* --- the patch, listed ----------------------------------------------------------------------- */

/* What is impure makes everything around it so. */
static void note_impurity(struct merge *m, uint32_t object) {
    while (!change_at(m, object)->impure) {
        change_at(m, object)->impure = true;
        object = change_at(m, object)->object;
    }
}

static uint32_t in_patch(const struct merge *m, const char *p) {
    return (uint32_t)(p - m->patch.p);
}

/* The number of the new change, whose value is still to come; or NONE when memory is out. */
static uint32_t add_change(struct merge *m, uint32_t object, struct slice raw) {
    struct change c = {
        .object = object,
        .name = in_patch(m, raw.p),
        .name_n = (uint32_t)raw.n,
        .text = in_patch(m, raw.p) - 1,
        .escaped = has_escape(raw),
    };
    if (c.escaped) {
        c.name = (uint32_t)m->names.n;
        jsontext_decode(&m->names, raw);
        c.name_n = (uint32_t)m->names.n - c.name;
    }
    buf_put(&m->changes, &c, sizeof(c));
    return buf_failed(&m->names) || buf_failed(&m->changes) ? NONE : change_count(m) - 1;
}

static bool list_members(struct merge *m, struct slice *rest, uint32_t object);

static bool list_member(struct merge *m, struct slice *rest, uint32_t object, struct slice raw) {
    uint32_t value = in_patch(m, rest->p);
    uint32_t i = add_change(m, object, raw);
    if (i == NONE)
        return false;
    if (*rest->p != '{')
        (void)jsontext_take_value(rest);
    else if (!list_members(m, rest, i))
        return false;
    struct change *c = change_at(m, i);
    c->value = value;
    c->value_n = in_patch(m, rest->p) - value;
    c->end = change_count(m);
    if (is_removal(m, c))
        note_impurity(m, object);
    return true;
}

/* The object that `rest` starts with. */
static bool list_members(struct merge *m, struct slice *rest, uint32_t object) {
    struct slice raw;
    while (jsontext_next_name(rest, &raw))
        if (!list_member(m, rest, object, raw))
            return false;
    return true;
}

static bool list_patch(struct merge *m) {
    struct change whole = {.value_n = (uint32_t)m->patch.n};
    struct slice rest = m->patch;
    buf_put(&m->changes, &whole, sizeof(whole));
    if (buf_failed(&m->changes) || !list_members(m, &rest, WHOLE))
        return false;
    change_at(m, WHOLE)->end = change_count(m);
    return true;
}

/* --- the index of names ---------------------------------------------------------------------- */

/* Any order will do in which equal keys stand together. */
static int key_compare(struct key a, struct key b) {
    if (a.object != b.object)
        return a.object < b.object ? -1 : 1;
    if (a.name.n != b.name.n)
        return a.name.n < b.name.n ? -1 : 1;
    return a.name.n == 0 ? 0 : memcmp(a.name.p, b.name.p, a.name.n);
}

static uint64_t mix(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

static uint32_t hash_of(struct key key) {
    uint64_t hash = mix(key.object, key.name.n);
    uint64_t word;
    for (; key.name.n >= sizeof(word); key.name.p += sizeof(word), key.name.n -= sizeof(word)) {
        memcpy(&word, key.name.p, sizeof(word));
        hash = mix(hash, word);
    }
    word = 0;
    if (key.name.n > 0)
        memcpy(&word, key.name.p, key.name.n);
    return (uint32_t)(mix(hash, word) >> 32);
}

static int entry_compare(const struct merge *m, struct entry entry, uint32_t hash, struct key key) {
    if (entry.hash != hash)
        return entry.hash < hash ? -1 : 1;
    return key_compare(key_of(m, change_at(m, entry.change)), key);
}

/* By hash and key; the same key twice in the order of the patch. */
static int by_key(const void *a, const void *b, void *merge) {
    const struct entry *x = a;
    const struct entry *y = b;
    const struct merge *m = merge;
    int order = entry_compare(m, *x, y->hash, key_of(m, change_at(m, y->change)));
    return order != 0 ? order : x->change < y->change ? -1 : 1;
}

/* A look first: many of one name, the cheapest way to a long bucket, are in order. */
static void sort_bucket(struct merge *m, struct entry *first, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (by_key(&first[i - 1], &first[i], m) > 0) {
            qsort_r(first, n, sizeof(*first), by_key, m);
            return;
        }
}

static void settle_duplicates(struct merge *m, const struct entry *first, size_t n) {
    for (size_t i = 1; i < n; i++) {
        struct change *later = change_at(m, first[i].change);
        if (entry_compare(m, first[i - 1], first[i].hash, key_of(m, later)) == 0) {
            change_at(m, first[i - 1].change)->settled = true;
            note_impurity(m, later->object);
        }
    }
}

static bool index_changes(struct merge *m) {
    uint32_t count = change_count(m);
    unsigned bits = 1;
    while (bits < 31 && UINT32_C(1) << bits < count)
        bits++;
    size_t buckets = (size_t)1 << bits;
    m->shift = 32 - bits;
    m->index = calloc(count, sizeof(*m->index));
    m->buckets = calloc(buckets + 1, sizeof(*m->buckets));
    if (m->index == NULL || m->buckets == NULL)
        return false;
    for (uint32_t i = 1; i < count; i++)
        m->buckets[hash_of(key_of(m, change_at(m, i))) >> m->shift]++;
    for (size_t b = 1; b <= buckets; b++)
        m->buckets[b] += m->buckets[b - 1];
    /* Each says where its bucket ends; filled from behind, they come to say where it starts. */
    for (uint32_t i = count; i-- > 1;) {
        uint32_t hash = hash_of(key_of(m, change_at(m, i)));
        m->index[--m->buckets[hash >> m->shift]] = (struct entry){hash, i};
    }
    for (size_t b = 0; b < buckets; b++) {
        struct entry *first = m->index + m->buckets[b];
        size_t n = m->buckets[b + 1] - m->buckets[b];
        sort_bucket(m, first, n);
        settle_duplicates(m, first, n);
    }
    return true;
}

/* Valid until the next one. */
static struct slice meaning(struct merge *m, struct slice raw) {
    if (!has_escape(raw))
        return raw;
    buf_reset(&m->name, SIZE_MAX);
    jsontext_decode(&m->name, raw);
    if (buf_failed(&m->name))
        m->out->failed = true;
    return buf_slice(&m->name);
}

/* What the patch has for a member of the target, the last one if there are several; or NONE.
 * `object` is what it has for the object around it. */
static uint32_t find_change(struct merge *m, uint32_t object, struct slice raw) {
    struct key key = {object, meaning(m, raw)};
    uint32_t hash = hash_of(key);
    uint32_t first = m->buckets[hash >> m->shift];
    uint32_t low = first;
    uint32_t high = m->buckets[(hash >> m->shift) + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (entry_compare(m, m->index[middle], hash, key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == first || entry_compare(m, m->index[low - 1], hash, key) != 0)
        return NONE;
    return m->index[low - 1].change;
}

/* --- the target, walked ---------------------------------------------------------------------- */

/* Both are objects, so the change goes into the value that `rest` starts with. */
static bool goes_inside(const struct merge *m, uint32_t i, struct slice rest) {
    return i != NONE && is_object(m, change_at(m, i)) && *rest.p == '{';
}

static uint32_t in_target(const struct merge *m, const char *p) {
    return (uint32_t)(p - m->target.p);
}

static void note_hit(struct merge *m, uint32_t change, struct slice raw) {
    struct hit hit = {in_target(m, raw.p), change};
    change_at(m, change)->last = hit.at;
    buf_put(&m->hits, &hit, sizeof(hit));
}

/* The first walk. An object that turns out not to be the last of its name has noted its members as
 * the last of theirs, but then nobody asks for them. */
static void find_hits(struct merge *m, struct slice *rest, uint32_t object) {
    struct slice raw;
    while (jsontext_next_name(rest, &raw)) {
        uint32_t i = find_change(m, object, raw);
        if (i != NONE)
            note_hit(m, i, raw);
        if (goes_inside(m, i, *rest))
            find_hits(m, rest, i);
        else
            (void)jsontext_take_value(rest);
    }
}

/* In the second walk: what the first found for the member of this name, or NONE. Passes over what
 * it found in a value that is left out. */
static uint32_t next_hit(struct merge *m, struct slice raw) {
    const struct hit *hits = (const struct hit *)(void *)m->hits.p;
    size_t count = m->hits.n / sizeof(*hits);
    uint32_t at = in_target(m, raw.p);
    while (m->hit < count && hits[m->hit].at < at)
        m->hit++;
    return m->hit < count && hits[m->hit].at == at ? hits[m->hit].change : NONE;
}

static void put_text(struct merge *m, const char *from, const char *to) {
    buf_put(m->out, from, (size_t)(to - from));
}

static void put_new_members(struct merge *m, uint32_t object, bool any);

/* What a merge with nothing makes of the patch's value: nulls are gone from its objects. */
static void put_value(struct merge *m, uint32_t i) {
    const struct change *c = change_at(m, i);
    const char *value = m->patch.p + c->value;
    if (!c->impure) {
        put_text(m, value, value + c->value_n);
        return;
    }
    buf_put_char(m->out, '{');
    put_new_members(m, i, false);
    buf_put_char(m->out, '}');
}

/* What the patch has for an object and the target hasn't; `any`: other members stand before. */
static void put_new_members(struct merge *m, uint32_t object, bool any) {
    uint32_t end = change_at(m, object)->end;
    for (uint32_t i = object + 1; i < end; i = change_at(m, i)->end) {
        const struct change *c = change_at(m, i);
        if (c->settled || is_removal(m, c))
            continue;
        if (any)
            buf_put_char(m->out, ',');
        put_text(m, m->patch.p + c->text, m->patch.p + c->value);
        put_value(m, i);
        any = true;
    }
}

static void put_merged(struct merge *m, struct slice *rest, uint32_t object);

/* The value that `rest` starts with, as the patch would have it. */
static void put_next_value(struct merge *m, struct slice *rest, uint32_t i) {
    if (goes_inside(m, i, *rest)) {
        put_merged(m, rest, i);
        return;
    }
    struct slice value = jsontext_take_value(rest);
    if (i == NONE)
        buf_put_slice(m->out, value);
    else
        put_value(m, i);
}

/* What stands between a member of the target and the one before, or the brace: white space, and a
 * comma, for which there is no use if no member before is left. */
static void put_gap(struct merge *m, const char *gap, const char *member, bool any) {
    const char *comma = memchr(gap, ',', (size_t)(member - gap));
    put_text(m, any || comma == NULL ? gap : comma + 1, member);
}

static bool stays(const struct merge *m, uint32_t i, struct slice raw) {
    const struct change *c = change_at(m, i);
    return i == NONE || (!is_removal(m, c) && c->last == in_target(m, raw.p));
}

/* The object of the target that `rest` starts with, changed by what the patch has for it. */
static void put_merged(struct merge *m, struct slice *rest, uint32_t object) {
    const char *gap = rest->p + 1;
    bool any = false;
    struct slice raw;
    buf_put_char(m->out, '{');
    while (jsontext_next_name(rest, &raw)) {
        const char *member = raw.p - 1;
        uint32_t i = next_hit(m, raw);
        if (stays(m, i, raw)) {
            put_gap(m, gap, member, any);
            put_text(m, member, rest->p);
            put_next_value(m, rest, i);
            any = true;
        } else {
            (void)jsontext_take_value(rest);
        }
        if (i != NONE)
            change_at(m, i)->settled = true;
        gap = rest->p;
    }
    put_new_members(m, object, any);
    put_text(m, gap, rest->p);
}

static void put_merge(struct merge *m) {
    struct slice rest = m->target;
    if (*rest.p != '{') {
        put_value(m, WHOLE);
        return;
    }
    find_hits(m, &rest, WHOLE);
    if (buf_failed(&m->hits)) {
        m->out->failed = true;
        return;
    }
    rest = m->target;
    put_merged(m, &rest, WHOLE);
}

enum error jsonmerge(struct slice target, struct slice patch, struct buf *out) {
    struct merge m = {.target = target, .patch = patch, .out = out};
    if (*patch.p != '{')
        buf_put_slice(out, patch);
    else if (target.n <= UINT32_MAX && patch.n <= UINT32_MAX && list_patch(&m) && index_changes(&m))
        put_merge(&m);
    else
        out->failed = true;
    buf_fini(&m.changes);
    buf_fini(&m.names);
    buf_fini(&m.name);
    buf_fini(&m.hits);
    free(m.index);
    free(m.buckets);
    return buf_failed(out) ? E_OUT_OF_MEMORY : OK;
}
