/* What the standards say: see reference.h. */
#include "reference.h"

/* --- UTF-8: the rows of RFC 3629's grammar --------------------------------------------------- */

static const struct row {
    unsigned char first[2];
    unsigned char second[2];
    unsigned length;
} rows[] = {
    {{0x00, 0x7F}, {0x00, 0x00}, 1}, {{0xC2, 0xDF}, {0x80, 0xBF}, 2},
    {{0xE0, 0xE0}, {0xA0, 0xBF}, 3}, {{0xE1, 0xEC}, {0x80, 0xBF}, 3},
    {{0xED, 0xED}, {0x80, 0x9F}, 3}, {{0xEE, 0xEF}, {0x80, 0xBF}, 3},
    {{0xF0, 0xF0}, {0x90, 0xBF}, 4}, {{0xF1, 0xF3}, {0x80, 0xBF}, 4},
    {{0xF4, 0xF4}, {0x80, 0x8F}, 4},
};

static bool within(unsigned char byte, const unsigned char bounds[2]) {
    return byte >= bounds[0] && byte <= bounds[1];
}

size_t reference_utf8(struct slice text, uint32_t *code) {
    static const unsigned char tail[2] = {0x80, 0xBF};
    static const unsigned char payload[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && text.n > 0; i++) {
        const struct row *row = &rows[i];
        if (!within(p[0], row->first))
            continue;
        if (row->length > text.n || (row->length > 1 && !within(p[1], row->second)) ||
            (row->length > 2 && !within(p[2], tail)) || (row->length > 3 && !within(p[3], tail)))
            return 0;
        uint32_t c = p[0] & payload[row->length];
        for (unsigned k = 1; k < row->length; k++)
            c = c * 64 + (p[k] - 0x80U);
        if (code != NULL)
            *code = c;
        return row->length;
    }
    return 0;
}

bool reference_is_utf8(struct slice text) {
    while (text.n > 0) {
        size_t n = reference_utf8(text, NULL);
        if (n == 0)
            return false;
        text = (struct slice){text.p + n, text.n - n};
    }
    return true;
}

bool reference_is_clean(struct slice text) {
    while (text.n > 0) {
        uint32_t code = 0;
        size_t n = reference_utf8(text, &code);
        if (n == 0 || code <= 0x1F || (code >= 0x7F && code <= 0x9F))
            return false;
        text = (struct slice){text.p + n, text.n - n};
    }
    return true;
}

int reference_hex(char c) {
    static const char digits[] = "0123456789ABCDEFabcdef";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    if (found == NULL)
        return -1;
    int i = (int)(found - digits);
    return i < 16 ? i : i - 6;
}

bool reference_is_one_of(char c, const char *characters) {
    return c != '\0' && strchr(characters, c) != NULL;
}

/* --- JSON: RFC 8259, a function for each of its rules ---------------------------------------- */

struct reading {
    const char *p;
    size_t n;
    unsigned depth; /* brackets that may still open */
    bool too_deep;
};

static bool value(struct reading *r);

static char look(const struct reading *r) {
    return r->n > 0 ? r->p[0] : '\0';
}

static bool take(struct reading *r, char c) {
    if (r->n == 0 || r->p[0] != c)
        return false;
    r->p++;
    r->n--;
    return true;
}

static void ws(struct reading *r) {
    while (take(r, ' ') || take(r, '\t') || take(r, '\n') || take(r, '\r'))
        ;
}

static bool word(struct reading *r, const char *text) {
    for (; *text != '\0'; text++)
        if (!take(r, *text))
            return false;
    return true;
}

static bool digits(struct reading *r) {
    bool any = false;
    while (look(r) >= '0' && look(r) <= '9')
        any = take(r, look(r));
    return any;
}

/* 6: [ minus ] int [ frac ] [ exp ] */
static bool number(struct reading *r) {
    (void)take(r, '-');
    if (!take(r, '0') && !digits(r))
        return false;
    if (take(r, '.') && !digits(r))
        return false;
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '-'))
            (void)take(r, '+');
        return digits(r);
    }
    return true;
}

/* 7: four hexadecimal digits; -1 if they aren't there. */
static long unit(struct reading *r) {
    long v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = reference_hex(look(r));
        if (digit < 0 || r->n == 0)
            return -1;
        v = v * 16 + digit;
        (void)take(r, look(r));
    }
    return v;
}

static bool escape(struct reading *r) {
    if (!take(r, 'u')) {
        bool known = reference_is_one_of(look(r), "\"\\/bfnrt");
        return known && take(r, look(r));
    }
    long high = unit(r);
    if (high < 0xD800 || high > 0xDFFF)
        return high >= 0;
    if (high > 0xDBFF || !word(r, "\\u"))
        return false;
    long low = unit(r);
    return low >= 0xDC00 && low <= 0xDFFF;
}

static bool string(struct reading *r) {
    if (!take(r, '"'))
        return false;
    while (!take(r, '"')) {
        if (take(r, '\\')) {
            if (!escape(r))
                return false;
            continue;
        }
        uint32_t code = 0;
        size_t n = reference_utf8((struct slice){r->p, r->n}, &code);
        if (n == 0 || code < 0x20)
            return false;
        r->p += n;
        r->n -= n;
    }
    return true;
}

static bool member(struct reading *r) {
    if (!string(r))
        return false;
    ws(r);
    if (!take(r, ':'))
        return false;
    ws(r);
    return value(r);
}

/* 4 and 5, which differ in their brackets and in what stands between them. */
static bool container(struct reading *r, bool (*part)(struct reading *), char close) {
    if (r->depth == 0) {
        r->too_deep = true;
        return false;
    }
    r->depth--;
    (void)take(r, look(r));
    ws(r);
    if (!take(r, close)) {
        do {
            ws(r);
            if (!part(r))
                return false;
            ws(r);
        } while (take(r, ','));
        if (!take(r, close))
            return false;
    }
    r->depth++;
    return true;
}

static bool value(struct reading *r) {
    switch (look(r)) {
    case '{':
        return container(r, member, '}');
    case '[':
        return container(r, value, ']');
    case '"':
        return string(r);
    case 't':
        return word(r, "true");
    case 'f':
        return word(r, "false");
    case 'n':
        return word(r, "null");
    default:
        return number(r);
    }
}

enum reference_json reference_json(struct slice text, unsigned depth) {
    struct reading r = {text.p, text.n, depth, false};
    ws(&r);
    bool valid = value(&r);
    if (valid)
        ws(&r);
    if (r.too_deep)
        return JSON_TOO_DEEP;
    return valid && r.n == 0 ? JSON_VALID : JSON_INVALID;
}
