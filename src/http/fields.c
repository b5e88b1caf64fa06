/* Values of header fields, by the grammar of RFC 9110, 5.6: see fields.h. */
#include "http/fields.h"

#include <strings.h>

#include "base/scan.h"

static bool scan_token(struct slice *rest, struct slice *token) {
    *token = scan_while(rest, scan_is_tchar);
    return token->n > 0;
}

static bool may_be_quoted(char c) {
    unsigned char byte = (unsigned char)c;
    return c == '\t' || (byte >= ' ' && byte != 0x7F);
}

/* 5.6.4; gives what stands between the quotes, escapes and all. */
static bool scan_quoted(struct slice *rest, struct slice *inner) {
    if (!scan_char(rest, '"'))
        return false;
    *inner = (struct slice){rest->p, 0};
    while (rest->n > 0 && may_be_quoted(rest->p[0])) {
        inner->n = (size_t)(rest->p - inner->p);
        if (scan_char(rest, '"'))
            return true;
        bool escaped = scan_char(rest, '\\');
        if (escaped && (rest->n == 0 || !may_be_quoted(rest->p[0])))
            return false;
        (void)scan_bytes(rest, 1);
    }
    return false;
}

static bool scan_word(struct slice *rest, struct slice *word) {
    return rest->n > 0 && rest->p[0] == '"' ? scan_quoted(rest, word) : scan_token(rest, word);
}

/* A word says `text`, in any case. */
static bool word_is(struct slice word, struct slice text) {
    while (word.n > 0 && text.n > 0) {
        (void)scan_char(&word, '\\');
        if (strncasecmp(scan_bytes(&word, 1).p, scan_bytes(&text, 1).p, 1) != 0)
            return false;
    }
    return word.n == 0 && text.n == 0;
}

/* RFC 7240, 2: token [ BWS "=" BWS word ]; without a value, it is empty. */
static bool scan_setting(struct slice *rest, struct slice *name, struct slice *value) {
    *value = (struct slice){0};
    if (!scan_token(rest, name))
        return false;
    scan_blanks(rest);
    if (!scan_char(rest, '='))
        return true;
    scan_blanks(rest);
    return scan_word(rest, value);
}

/* RFC 7240, 2: a setting and its parameters, which nothing here has a use for. */
static bool scan_preference(struct slice *rest, struct slice *name, struct slice *value) {
    struct slice ignored[2];
    if (!scan_setting(rest, name, value))
        return false;
    scan_blanks(rest);
    while (scan_char(rest, ';')) {
        scan_blanks(rest);
        bool empty = rest->n == 0 || rest->p[0] == ';' || rest->p[0] == ',';
        if (!empty && !scan_setting(rest, &ignored[0], &ignored[1]))
            return false;
        scan_blanks(rest);
    }
    return true;
}

bool fields_prefers_minimal(struct slice prefer) {
    bool found = false;
    bool minimal = false;
    struct slice name;
    struct slice value;
    (void)scan_while(&prefer, scan_is_list_gap);
    while (prefer.n > 0) {
        if (!scan_preference(&prefer, &name, &value))
            return false;
        if (prefer.n > 0 && prefer.p[0] != ',')
            return false;
        if (!found && word_is(name, SLICE("return"))) {
            found = true;
            minimal = word_is(value, SLICE("minimal"));
        }
        (void)scan_while(&prefer, scan_is_list_gap);
    }
    return minimal;
}

/* Comes through a web server as it is: those cut off blanks, and choke on control characters. */
static bool is_clean(struct slice value, size_t max) {
    return value.n <= max && ascii_text_is_printable(value) && scan_trim(value).n == value.n;
}

/* 5.6.6. */
static bool scan_parameter(struct slice *rest) {
    struct slice name;
    struct slice value;
    return scan_token(rest, &name) && scan_char(rest, '=') && scan_word(rest, &value);
}

enum error fields_check_media_type(struct slice value) {
    struct slice name;
    if (!is_clean(value, FIELDS_MEDIA_TYPE_MAX))
        return E_INVALID_FIELD;
    if (!scan_token(&value, &name) || !scan_char(&value, '/') || !scan_token(&value, &name))
        return E_INVALID_FIELD;
    while (value.n > 0) {
        scan_blanks(&value);
        if (!scan_char(&value, ';'))
            return E_INVALID_FIELD;
        scan_blanks(&value);
        bool empty = value.n == 0 || value.p[0] == ';';
        if (!empty && !scan_parameter(&value))
            return E_INVALID_FIELD;
    }
    return OK;
}

enum error fields_check_coding(struct slice value) {
    struct slice coding;
    if (!is_clean(value, FIELDS_CODING_MAX))
        return E_INVALID_FIELD;
    do {
        scan_blanks(&value);
        if (!scan_token(&value, &coding))
            return E_INVALID_FIELD;
        scan_blanks(&value);
    } while (scan_char(&value, ','));
    return value.n == 0 ? OK : E_INVALID_FIELD;
}
