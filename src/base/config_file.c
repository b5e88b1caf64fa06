/* Configuration files: see config_file.h. */
#include "base/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { READ_BYTES = 4096 };

static enum error read_all(int fd, struct buf *out) {
    for (;;) {
        if (!buf_reserve(out, READ_BYTES)) {
            errno = ENOMEM;
            return E_SYSTEM;
        }
        ssize_t n = read(fd, out->p + out->n, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return E_SYSTEM;
        if (n == 0)
            return OK;
        out->n += (size_t)n;
        if (out->n > CONFIG_FILE_MAX) {
            errno = EFBIG;
            return E_SYSTEM;
        }
    }
}

enum error config_file_read(const char *path, struct buf *out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return E_SYSTEM;
    enum error e = read_all(fd, out);
    int read_errno = errno;
    close(fd);
    errno = read_errno;
    return e;
}

bool config_file_next(struct slice *rest, struct slice *line) {
    if (rest->n == 0)
        return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n;
    size_t used = end != NULL ? n + 1 : n;
    *line = (struct slice){rest->p, n > 0 && rest->p[n - 1] == '\r' ? n - 1 : n};
    *rest = (struct slice){rest->p + used, rest->n - used};
    return true;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static void skip(struct slice *s, size_t n) {
    *s = (struct slice){s->p + n, s->n - n};
}

static void skip_blanks(struct slice *s) {
    while (s->n > 0 && is_blank(s->p[0]))
        skip(s, 1);
}

static bool at_end(struct slice rest) {
    struct slice after = rest;
    skip_blanks(&after);
    return after.n == 0 || (after.p[0] == '#' && after.n < rest.n);
}

/* `rest` starts at the opening quote. */
static const char *take_quoted(struct slice rest, struct config_line *line) {
    size_t n = 0;
    for (skip(&rest, 1); rest.n > 0 && rest.p[0] != '"'; skip(&rest, 1)) {
        if (rest.p[0] == '\\') {
            skip(&rest, 1);
            if (rest.n == 0 || (rest.p[0] != '"' && rest.p[0] != '\\'))
                return "in double quotes a backslash must be followed by \" or \\";
        }
        line->text[n++] = rest.p[0];
    }
    if (rest.n == 0)
        return "the closing double quote is missing";
    skip(&rest, 1);
    if (!at_end(rest))
        return "nothing but a comment may follow the closing double quote";
    line->value = (struct slice){line->text, n};
    return NULL;
}

/* Something, at least the "=", stands before `rest`. */
static const char *take_plain(struct slice rest, struct config_line *line) {
    const char *end = rest.p + rest.n;
    const char *stop = rest.p;
    while (stop < end && !(*stop == '#' && is_blank(stop[-1])))
        stop++;
    if (stop == rest.p && stop < end)
        return "a value that starts with # needs double quotes; \"\" is none";
    while (stop > rest.p && is_blank(stop[-1]))
        stop--;
    line->value = (struct slice){rest.p, (size_t)(stop - rest.p)};
    return NULL;
}

static const char *take_line(struct slice rest, struct config_line *line) {
    if (rest.n > CONFIG_LINE_MAX)
        return "the line is longer than 1024 bytes";
    if (rest.n > 0 && memchr(rest.p, '\0', rest.n) != NULL)
        return "the line has a NUL byte";
    skip_blanks(&rest);
    if (rest.n == 0 || rest.p[0] == '#')
        return NULL;
    struct slice name = {rest.p, 0};
    while (name.n < rest.n && !is_blank(rest.p[name.n]) && rest.p[name.n] != '=')
        name.n++;
    skip(&rest, name.n);
    skip_blanks(&rest);
    if (name.n == 0 || rest.n == 0 || rest.p[0] != '=')
        return "the line must be: name = value";
    line->name = name;
    skip(&rest, 1);
    skip_blanks(&rest);
    return rest.n > 0 && rest.p[0] == '"' ? take_quoted(rest, line) : take_plain(rest, line);
}

enum error config_line_parse(struct slice text, struct config_line *line, const char **reason) {
    line->name = (struct slice){0};
    line->value = (struct slice){0};
    *reason = take_line(text, line);
    return *reason == NULL ? OK : E_CONFIG;
}
