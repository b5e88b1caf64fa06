/* Structured field values (RFC 9651), as far as a List of Strings needs them: see fields.h. The
 * parsers are those of its section 4.2, and give false where it says that parsing fails. */
#include "http/fields.h"

#include "base/scan.h"
#include "base/uri.h"
#include "base/utf8.h"

/* 4.2.5; appends what the string says. */
static bool scan_string(struct slice *rest, struct buf *out) {
    if (!scan_char(rest, '"'))
        return false;
    while (rest->n > 0 && ascii_is_printable(rest->p[0])) {
        if (scan_char(rest, '"'))
            return true;
        bool escaped = scan_char(rest, '\\');
        if (escaped && (rest->n == 0 || (rest->p[0] != '"' && rest->p[0] != '\\')))
            return false;
        buf_put_slice(out, scan_bytes(rest, 1));
    }
    return false;
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

/* 4.2.10; appends what the string says. Its escapes are those of URIs, in lower case only. */
static bool scan_display_string(struct slice *rest, struct buf *out) {
    const size_t start = out->n;
    if (!scan_char(rest, '%') || !scan_char(rest, '"'))
        return false;
    while (rest->n > 0 && ascii_is_printable(rest->p[0])) {
        if (scan_char(rest, '"'))
            return utf8_valid((struct slice){out->p + start, out->n - start});
        char c = rest->p[0];
        if (c != '%')
            (void)scan_char(rest, c);
        else if ((rest->n > 2 && (is_upper(rest->p[1]) || is_upper(rest->p[2]))) ||
                 !uri_scan_escape(rest, &c))
            return false;
        buf_put_char(out, c);
    }
    return false;
}

/* 4.2.4. */
static bool scan_number(struct slice *rest) {
    (void)scan_char(rest, '-');
    size_t whole = scan_while(rest, ascii_is_digit).n;
    if (!scan_char(rest, '.'))
        return whole >= 1 && whole <= 15;
    size_t fraction = scan_while(rest, ascii_is_digit).n;
    return whole >= 1 && whole <= 12 && fraction >= 1 && fraction <= 3;
}

/* 4.2.9. A point behind the seconds stays, and fits nowhere. */
static bool scan_date(struct slice *rest) {
    if (!scan_char(rest, '@'))
        return false;
    (void)scan_char(rest, '-');
    size_t digits = scan_while(rest, ascii_is_digit).n;
    return digits >= 1 && digits <= 15;
}

static bool is_token_char(char c) {
    return scan_is_tchar(c) || c == ':' || c == '/';
}

/* 4.2.6. */
static bool scan_token(struct slice *rest) {
    if (rest->n == 0 || (!ascii_is_letter(rest->p[0]) && rest->p[0] != '*'))
        return false;
    (void)scan_while(rest, is_token_char);
    return true;
}

static bool is_base64_char(char c) {
    return ascii_is_letter(c) || ascii_is_digit(c) || c == '+' || c == '/' || c == '=';
}

/* 4.2.7, but for the decoding, of which nobody wants the outcome. */
static bool scan_byte_sequence(struct slice *rest) {
    if (!scan_char(rest, ':'))
        return false;
    (void)scan_while(rest, is_base64_char);
    return scan_char(rest, ':');
}

/* 4.2.8. */
static bool scan_boolean(struct slice *rest) {
    return scan_char(rest, '?') && (scan_char(rest, '0') || scan_char(rest, '1'));
}

/* 4.2.3.1. Of an item that is text, the text is appended. */
static bool scan_bare_item(struct slice *rest, struct buf *out) {
    if (rest->n == 0)
        return false;
    char first = rest->p[0];
    switch (first) {
    case '"':
        return scan_string(rest, out);
    case '%':
        return scan_display_string(rest, out);
    case ':':
        return scan_byte_sequence(rest);
    case '?':
        return scan_boolean(rest);
    case '@':
        return scan_date(rest);
    default:
        return first == '-' || ascii_is_digit(first) ? scan_number(rest) : scan_token(rest);
    }
}

static bool starts_key(char c) {
    return (c >= 'a' && c <= 'z') || c == '*';
}

static bool is_key_char(char c) {
    return starts_key(c) || ascii_is_digit(c) || c == '_' || c == '-' || c == '.';
}

static bool is_space(char c) {
    return c == ' ';
}

/* 4.2.3.2. */
static bool skip_parameters(struct slice *rest, struct buf *scratch) {
    const size_t start = scratch->n;
    while (scan_char(rest, ';')) {
        (void)scan_while(rest, is_space);
        if (rest->n == 0 || !starts_key(rest->p[0]))
            return false;
        (void)scan_while(rest, is_key_char);
        if (scan_char(rest, '=') && !scan_bare_item(rest, scratch))
            return false;
        scratch->n = start;
    }
    return true;
}

static enum error read_member(struct slice *rest, struct buf *decoded,
                              struct fields_strings *strings) {
    const size_t start = decoded->n;
    if (!scan_string(rest, decoded))
        return E_INVALID_FIELD;
    struct slice string = {decoded->p + start, decoded->n - start};
    if (!skip_parameters(rest, decoded))
        return E_INVALID_FIELD;
    if (string.n == 0 || string.n > FIELDS_STRING_MAX || strings->n == FIELDS_STRINGS_MAX)
        return E_INVALID_TAG;
    strings->string[strings->n++] = string;
    return OK;
}

/* 4.2 and 4.2.1. */
static enum error read_list(struct slice rest, struct buf *decoded,
                            struct fields_strings *strings) {
    (void)scan_while(&rest, is_space);
    while (rest.n > 0) {
        enum error e = read_member(&rest, decoded, strings);
        if (e != OK)
            return e;
        scan_blanks(&rest);
        if (rest.n == 0)
            return OK;
        if (!scan_char(&rest, ','))
            return E_INVALID_FIELD;
        scan_blanks(&rest);
        if (rest.n == 0)
            return E_INVALID_FIELD;
    }
    return OK;
}

enum error fields_read_strings(struct slice field, struct buf *decoded,
                               struct fields_strings *strings) {
    const size_t start = decoded->n;
    strings->n = 0;
    /* Room for all there can be, so that strings stay where they are. */
    if (!buf_reserve(decoded, field.n))
        return E_OUT_OF_MEMORY;
    enum error e = read_list(field, decoded, strings);
    if (e != OK) {
        strings->n = 0;
        decoded->n = start;
    }
    return e;
}

bool fields_is_string(struct slice text) {
    return ascii_text_is_printable(text);
}

void fields_put_string(struct buf *out, struct slice text) {
    buf_put_char(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\')
            buf_put_char(out, '\\');
        buf_put_char(out, text.p[i]);
    }
    buf_put_char(out, '"');
}
