/* Reading HTTP/1.1 answers: see answer.h. */
#include "answer.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { HEAD_MAX = 65536, BODY_DIGITS = 9 };

static bool is_field(const char *line, size_t n, const char *name, const char **value,
                     size_t *value_n) {
    size_t name_n = strlen(name);
    if (n <= name_n || line[name_n] != ':' || strncasecmp(line, name, name_n) != 0)
        return false;
    const char *at = line + name_n + 1;
    const char *end = line + n;
    while (at < end && *at == ' ')
        at++;
    *value = at;
    *value_n = (size_t)(end - at);
    return true;
}

static bool begins(const char *p, size_t n, const char *with) {
    size_t with_n = strlen(with);
    return n >= with_n && strncasecmp(p, with, with_n) == 0;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool take_length(struct answer *a, const char *p, size_t n) {
    if (n == 0 || n > BODY_DIGITS)
        return false;
    a->body_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_digit(p[i]))
            return false;
        a->body_n = a->body_n * 10 + (size_t)(p[i] - '0');
    }
    return true;
}

/* "HTTP/1.1 200 OK": final answers only. *line is then the next line. */
static bool parse_status(struct answer *a, const char **line, const char *end) {
    static const char version[] = "HTTP/1.1 ";
    enum { VERSION_N = sizeof(version) - 1 };
    const char *p = *line;
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    if (newline == NULL || newline - p < VERSION_N + 4 || memcmp(p, version, VERSION_N) != 0)
        return false;
    p += VERSION_N;
    if (p[0] < '2' || p[0] > '5' || !is_digit(p[1]) || !is_digit(p[2]))
        return false;
    a->status = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
    *line = newline + 1;
    return true;
}

/* The head's lines, the last one's end included. */
static bool parse_head(struct answer *a, const char *p, size_t n) {
    bool has_length = false;
    const char *end = p + n;
    const char *line = p;
    if (!parse_status(a, &line, end))
        return false;
    a->keep = true;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t line_n = (size_t)(newline - line);
        const char *value;
        size_t value_n;
        if (line_n > 0 && line[line_n - 1] == '\r')
            line_n--;
        if (is_field(line, line_n, "Content-Length", &value, &value_n)) {
            if (has_length || !take_length(a, value, value_n))
                return false;
            has_length = true;
        } else if (is_field(line, line_n, "Connection", &value, &value_n)) {
            a->keep = !begins(value, value_n, "close");
        } else if (is_field(line, line_n, "Content-Type", &value, &value_n)) {
            a->problem = begins(value, value_n, "application/problem+json");
        }
        line = newline + 1;
    }
    /* No method and status that is used here goes without a body. */
    return has_length;
}

enum answer_state answer_parse(struct answer *a, const char *p, size_t n) {
    if (a->head_n == 0) {
        const char *end = memmem(p, n, "\r\n\r\n", 4);
        if (end == NULL)
            return n > HEAD_MAX ? ANSWER_MALFORMED : ANSWER_MORE;
        if (!parse_head(a, p, (size_t)(end - p) + 2))
            return ANSWER_MALFORMED;
        a->head_n = (size_t)(end - p) + 4;
    }
    if (n < a->head_n + a->body_n)
        return ANSWER_MORE;
    a->body = p + a->head_n;
    return ANSWER_WHOLE;
}

static const char *text_behind(const struct answer *a, const char *lead, size_t *n) {
    const char *at = memmem(a->body, a->body_n, lead, strlen(lead));
    if (at == NULL)
        return NULL;
    at += strlen(lead);
    const char *end = memchr(at, '"', (size_t)(a->body + a->body_n - at));
    if (end == NULL)
        return NULL;
    *n = (size_t)(end - at);
    return at;
}

const char *answer_slug(const struct answer *a, size_t *n) {
    return text_behind(a, "{\"type\":\"/errors/", n);
}

const char *answer_member(const struct answer *a, const char *name, size_t *n) {
    char lead[64];
    (void)snprintf(lead, sizeof(lead), ",\"%s\":\"", name);
    return text_behind(a, lead, n);
}
