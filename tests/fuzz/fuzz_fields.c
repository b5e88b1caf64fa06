/* Values of header fields: http/fields*.c against RFC 9651's algorithms written with pointers, and
 * against regular expressions for the grammars of RFC 9110 and RFC 7240. */
#include <regex.h>
#include <strings.h>

#include "fuzz.h"
#include "http/fields.h"
#include "http/media.h"
#include "reference.h"

/* --- RFC 9651: each takes what it reads off the text at p, and gives NULL where parsing fails ---
 */

struct text {
    const char *p;
    const char *end;
};

static char next(struct text t) {
    return t.p < t.end ? *t.p : '\0';
}

static bool is_digit(char c) {
    return reference_is_one_of(c, "0123456789");
}

static bool is_lower(char c) {
    return reference_is_one_of(c, "abcdefghijklmnopqrstuvwxyz");
}

static bool is_alpha(char c) {
    return is_lower(c) || reference_is_one_of(c, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static const char *read_string(struct text t, char *out, size_t *n) {
    *n = 0;
    for (const char *p = t.p + 1; p < t.end; p++) {
        if (*p == '"')
            return p + 1;
        if (*p == '\\' && (++p == t.end || (*p != '"' && *p != '\\')))
            return NULL;
        if (*p < 0x20 || *p > 0x7E)
            return NULL;
        out[(*n)++] = *p;
    }
    return NULL;
}

static const char *read_display(struct text t) {
    static char bytes[4096];
    size_t n = 0;
    const char *p = t.p + 2;
    if (t.end - t.p < 2 || t.p[1] != '"')
        return NULL;
    for (; p < t.end && *p != '"'; p++) {
        char c = *p;
        if (c < 0x20 || c > 0x7E)
            return NULL;
        if (c == '%') {
            if (t.end - p < 3 || (!is_digit(p[1]) && !reference_is_one_of(p[1], "abcdef")) ||
                (!is_digit(p[2]) && !reference_is_one_of(p[2], "abcdef")))
                return NULL;
            c = (char)(reference_hex(p[1]) * 16 + reference_hex(p[2]));
            p += 2;
        }
        bytes[n++] = c;
    }
    return p < t.end && reference_is_utf8((struct slice){bytes, n}) ? p + 1 : NULL;
}

static const char *read_number(struct text t, bool integer_only) {
    const char *p = t.p + (next(t) == '-');
    const char *start = p;
    while (p < t.end && is_digit(*p))
        p++;
    long whole = p - start;
    if (integer_only || p == t.end || *p != '.')
        return whole >= 1 && whole <= 15 ? p : NULL;
    const char *point = p++;
    while (p < t.end && is_digit(*p))
        p++;
    return whole >= 1 && whole <= 12 && p - point >= 2 && p - point <= 4 ? p : NULL;
}

static const char *read_bytes(struct text t) {
    const char *colon = memchr(t.p + 1, ':', (size_t)(t.end - t.p - 1));
    for (const char *p = t.p + 1; colon != NULL && p < colon; p++)
        if (!is_alpha(*p) && !is_digit(*p) && !reference_is_one_of(*p, "+/="))
            return NULL;
    return colon != NULL ? colon + 1 : NULL;
}

static const char *read_item(struct text t) {
    static char ignored[4096];
    size_t n;
    char c = next(t);
    if (c == '"')
        return read_string(t, ignored, &n);
    if (c == '%')
        return read_display(t);
    if (c == '-' || is_digit(c))
        return read_number(t, false);
    if (c == '@')
        return read_number((struct text){t.p + 1, t.end}, true);
    if (c == ':')
        return read_bytes(t);
    if (c == '?')
        return t.end - t.p > 1 && (t.p[1] == '0' || t.p[1] == '1') ? t.p + 2 : NULL;
    if (!is_alpha(c) && c != '*')
        return NULL;
    while (is_alpha(next(t)) || is_digit(next(t)) ||
           reference_is_one_of(next(t), "!#$%&'*+-.^_`|~:/"))
        t.p++;
    return t.p;
}

static const char *read_parameters(struct text t) {
    while (next(t) == ';') {
        do
            t.p++;
        while (next(t) == ' ');
        if (!is_lower(next(t)) && next(t) != '*')
            return NULL;
        while (is_lower(next(t)) || is_digit(next(t)) || reference_is_one_of(next(t), "_-.*"))
            t.p++;
        if (next(t) != '=')
            continue;
        t.p = read_item((struct text){t.p + 1, t.end});
        if (t.p == NULL)
            return NULL;
    }
    return t.p;
}

static void skip_ows(struct text *t) {
    while (next(*t) == ' ' || next(*t) == '\t')
        t->p++;
}

static enum error expect_strings(struct slice field, char *out, struct fields_strings *strings) {
    struct text t = {field.p, field.p + field.n};
    while (next(t) == ' ')
        t.p++;
    strings->n = 0;
    while (t.p < t.end) {
        size_t n;
        if (next(t) != '"')
            return E_INVALID_FIELD;
        t.p = read_string(t, out, &n);
        if (t.p != NULL)
            t.p = read_parameters(t);
        if (t.p == NULL)
            return E_INVALID_FIELD;
        if (n == 0 || n > 128 || strings->n == 32)
            return E_INVALID_TAG;
        strings->string[strings->n++] = (struct slice){out, n};
        out += n;
        skip_ows(&t);
        if (t.p == t.end)
            return OK;
        if (*t.p++ != ',')
            return E_INVALID_FIELD;
        skip_ows(&t);
        if (t.p == t.end)
            return E_INVALID_FIELD;
    }
    return OK;
}

static void check_strings(struct slice field) {
    static struct buf decoded;
    static char room[4096];
    struct fields_strings wanted;
    struct fields_strings got;
    decoded.n = 0;
    buf_puts(&decoded, "kept");
    enum error expected = expect_strings(field, room, &wanted);
    need(fields_read_strings(field, &decoded, &got) == expected);
    need(memcmp(decoded.p, "kept", 4) == 0);
    need(got.n == (expected == OK ? wanted.n : 0));
    for (size_t i = 0; i < got.n; i++)
        need(slice_eq(got.string[i], wanted.string[i]));
    if (!fields_is_string(field) || field.n == 0 || field.n > 128)
        return;
    decoded.n = 0;
    fields_put_string(&decoded, field);
    char *copy = fuzz_exact(buf_slice(&decoded));
    need(fields_read_strings((struct slice){copy, decoded.n}, &decoded, &got) == OK);
    need(got.n == 1 && slice_eq(got.string[0], field));
    free(copy);
}

/* --- RFC 9110 and RFC 7240, as regular expressions ---------------------------------------------
 */

#define TOKEN  "[-!#$%&'*+.^_`|~0-9A-Za-z]+"
#define QUOTED "\"([^\"\\\x01-\x08\x0a-\x1f\x7f]|\\\\[^\x01-\x08\x0a-\x1f\x7f])*\""
#define WORD   "(" TOKEN "|" QUOTED ")"
#define SET    TOKEN "[ \t]*(=[ \t]*" WORD ")?"

static regex_t media, coding, preference;

static void compile(regex_t *r, const char *expression) {
    need(regcomp(r, expression, REG_EXTENDED) == 0);
}

static void compile_all(void) {
    static bool done;
    if (done)
        return;
    compile(&media, "^" TOKEN "/" TOKEN "([ \t]*;[ \t]*(" TOKEN "=" WORD ")?)*$");
    compile(&coding, "^" TOKEN "([ \t]*,[ \t]*" TOKEN ")*$");
    compile(&preference,
            "^(" TOKEN ")[ \t]*(=[ \t]*(" WORD "))?[ \t]*(;[ \t]*(" SET ")?[ \t]*)*(,|$)");
    done = true;
}

static bool has(const char *text, regex_t *r) {
    return regexec(r, text, 0, NULL, 0) == 0;
}

/* Printable ASCII with no blank at its ends, and so a C string. */
static bool is_clean(struct slice s, size_t max) {
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < 0x20 || s.p[i] > 0x7E)
            return false;
    return s.n <= max && (s.n == 0 || (s.p[0] != ' ' && s.p[s.n - 1] != ' '));
}

static void check_types(struct slice field, const char *text) {
    bool is_media = is_clean(field, 255) && has(text, &media);
    bool is_coding = is_clean(field, 64) && has(text, &coding);
    need((fields_check_media_type(field) == OK) == is_media);
    need((fields_check_coding(field) == OK) == is_coding);
}

/* The word, without quotes and escapes, is this one in any case. */
static bool word_is(const char *text, regmatch_t word, const char *wanted) {
    bool quoted = word.rm_so >= 0 && text[word.rm_so] == '"';
    long end = quoted ? word.rm_eo - 1 : word.rm_eo;
    for (long i = quoted ? word.rm_so + 1 : word.rm_so; word.rm_so >= 0 && i < end; i++) {
        if (quoted && text[i] == '\\')
            i++;
        if (*wanted == '\0' || strncasecmp(text + i, wanted++, 1) != 0)
            return false;
    }
    return *wanted == '\0';
}

static bool expect_minimal(struct slice field, const char *text) {
    bool found = false;
    bool minimal = false;
    if (memchr(text, '\0', field.n) != NULL)
        return false;
    for (;;) {
        regmatch_t parts[4];
        text += strspn(text, " \t,");
        if (*text == '\0')
            return minimal;
        if (regexec(&preference, text, 4, parts, 0) != 0)
            return false;
        if (!found && word_is(text, parts[1], "return")) {
            found = true;
            minimal = word_is(text, parts[3], "minimal");
        }
        text += parts[0].rm_eo;
    }
}

/* --- media types that say JSON -----------------------------------------------------------------
 */

static void check_json_type(struct slice type, const char *text) {
    static char longer[8192];
    bool json = media_is_json(type);
    if (!json || memchr(text, '"', type.n) != NULL || text[strspn(text, " \t")] == '\0')
        return;
    need(strncasecmp(text + strspn(text, " \t"), "application/", 12) == 0);
    int n = snprintf(longer, sizeof(longer), "%s;charset=latin1", text);
    need(!media_is_json((struct slice){longer, (size_t)n}));
    n = snprintf(longer, sizeof(longer), "%s ; x=\"a;charset=latin1\" ;charset=UTF-8", text);
    need(media_is_json((struct slice){longer, (size_t)n}));
    need(!media_is_merge_patch(type));
}

void fuzz_fields(struct slice input) {
    static char text[4096];
    compile_all();
    if (input.n >= sizeof(text))
        return;
    if (input.n == 0)
        input = SLICE("");
    memcpy(text, input.p, input.n);
    text[input.n] = '\0';
    check_strings(input);
    check_types(input, text);
    need(fields_prefers_minimal(input) == expect_minimal(input, text));
    if (memchr(text, '\0', input.n) == NULL)
        check_json_type(input, text);
    (void)media_is_json(input);
    (void)media_is_merge_patch(input);
    (void)media_coding_is_identity(input);
}
