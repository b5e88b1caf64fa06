/* Reading a text from its front: each function takes off `rest` what it read. */
#ifndef LARDER_BASE_SCAN_H
#define LARDER_BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/ascii.h"
#include "base/slice.h"

/* Takes n bytes off; n is at most rest->n. */
static inline struct slice scan_bytes(struct slice *rest, size_t n) {
    struct slice bytes = {rest->p, n};
    if (n > 0)
        *rest = (struct slice){rest->p + n, rest->n - n};
    return bytes;
}

/* Takes the character off if it is there. */
static inline bool scan_char(struct slice *rest, char c) {
    if (rest->n == 0 || rest->p[0] != c)
        return false;
    (void)scan_bytes(rest, 1);
    return true;
}

/* Takes off the longest run, empty perhaps, of characters that belong. */
static inline struct slice scan_while(struct slice *rest, bool (*belongs)(char)) {
    size_t n = 0;
    while (n < rest->n && belongs(rest->p[n]))
        n++;
    return scan_bytes(rest, n);
}

/* OWS (RFC 9110, 5.6.3). */
static inline bool scan_is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Between two elements of a list, empty elements included (RFC 9110, 5.6.1.2). */
static inline bool scan_is_list_gap(char c) {
    return c == ',' || scan_is_blank(c);
}

static inline void scan_blanks(struct slice *rest) {
    (void)scan_while(rest, scan_is_blank);
}

/* tchar (RFC 9110, 5.6.2). */
static inline bool scan_is_tchar(char c) {
    static const char marks[] = "!#$%&'*+-.^_`|~";
    return ascii_is_letter(c) || ascii_is_digit(c) || memchr(marks, c, sizeof(marks) - 1) != NULL;
}

/* Without the blanks around it. */
static inline struct slice scan_trim(struct slice s) {
    scan_blanks(&s);
    while (s.n > 0 && scan_is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

#endif
