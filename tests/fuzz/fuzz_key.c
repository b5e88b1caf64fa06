/* Keys in request targets: cache/key.c against a decoder that does in four passes, over whole
 * texts, what that does in one. */
#include "base/utf8.h"
#include "cache/key.h"
#include "fuzz.h"
#include "reference.h"

/* RFC 3986, 3.3: what may stand in a path as it is. */
static const char path_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    "-._~!$&'()*+,;=:@/";

/* Percent-decodes the text; -1 if it is malformed. */
static long decode(struct slice raw, char *out) {
    static bool plain[256];
    if (!plain['a'])
        for (const char *c = path_characters; *c != '\0'; c++)
            plain[(unsigned char)*c] = true;
    long n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] != '%') {
            if (!plain[(unsigned char)raw.p[i]])
                return -1;
            out[n++] = raw.p[i];
            continue;
        }
        if (raw.n - i < 3 || reference_hex(raw.p[i + 1]) < 0 || reference_hex(raw.p[i + 2]) < 0)
            return -1;
        out[n++] = (char)(reference_hex(raw.p[i + 1]) * 16 + reference_hex(raw.p[i + 2]));
        i += 2;
    }
    return n;
}

/* Split at each slash, no part is empty, "." or "..". */
static bool segments_are_fine(struct slice path) {
    const char *end = path.p + path.n;
    for (const char *part = path.p;;) {
        const char *slash = memchr(part, '/', (size_t)(end - part));
        struct slice segment = {part, (size_t)((slash != NULL ? slash : end) - part)};
        if (segment.n == 0 || slice_eq(segment, SLICE(".")) || slice_eq(segment, SLICE("..")))
            return false;
        if (slash == NULL)
            return true;
        part = slash + 1;
    }
}

static enum error expect(struct slice raw, char *out, struct slice *plain) {
    *plain = (struct slice){out, 0};
    if (raw.n == 0)
        return E_INVALID_KEY;
    long n = decode(raw, out);
    if (n < 0)
        return E_MALFORMED_PATH;
    plain->n = (size_t)n;
    if (!segments_are_fine(*plain))
        return E_MALFORMED_PATH;
    if (plain->n > 512)
        return E_KEY_TOO_LONG;
    return reference_is_clean(*plain) ? OK : E_INVALID_KEY;
}

/* The same bytes as plain text, as a JSON document or Redis has them. */
static void check_plain(struct slice plain) {
    bool clean = reference_is_clean(plain);
    bool fine = plain.n > 0 && segments_are_fine(plain) && clean;
    enum error e = key_check(plain);
    need(key_text_is_valid(plain) == clean);
    if (plain.n > 512)
        need(e == E_KEY_TOO_LONG);
    else
        need(e == (fine ? OK : E_INVALID_KEY));
    need(utf8_valid(plain) == reference_is_utf8(plain));
    if (plain.n > 0) {
        uint32_t got = 0;
        uint32_t wanted = 0;
        need(utf8_decode(plain.p, plain.n, &got) == reference_utf8(plain, &wanted));
        need(got == wanted);
    }
}

void fuzz_key(struct slice input) {
    static char decoded[4096];
    static struct key key;
    static char prefix[KEY_PREFIX_MAX];
    if (key.prefix == 0) {
        memset(prefix, 'P', sizeof(prefix));
        key_set_prefix(&key, (struct slice){prefix, sizeof(prefix)});
    }
    if (input.n > sizeof(decoded))
        return;
    struct slice plain;
    enum error wanted = expect(input, decoded, &plain);
    need(key_decode(&key, input) == wanted);
    if (wanted == OK) {
        need(slice_eq(key_slice(&key), plain));
        need(key_name(&key).n == sizeof(prefix) + plain.n);
        need(memcmp(key_name(&key).p, prefix, sizeof(prefix)) == 0);
        need(key_check(plain) == OK);
    }
    check_plain(input);
}
