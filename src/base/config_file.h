/*
 * Configuration files: reading one, and taking its lines apart. Knows no option.
 */
#ifndef LARDER_BASE_CONFIG_FILE_H
#define LARDER_BASE_CONFIG_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/slice.h"

#define CONFIG_FILE_DEFAULT LARDER_SYSCONFDIR "/larder/larder.conf"

enum {
    CONFIG_LINE_MAX = 1024,   /* bytes, without the line's end */
    CONFIG_FILE_MAX = 1 << 20 /* bytes; /dev/zero ends somewhere */
};

struct config_line {
    struct slice name;          /* empty: a blank line or a comment */
    struct slice value;         /* without quotes and comment; in the line or in `text` */
    char text[CONFIG_LINE_MAX]; /* a quoted value, unescaped */
};

/* Appends the whole file to `out`. E_SYSTEM with errno; EFBIG above CONFIG_FILE_MAX. */
LARDER_MUST_CHECK enum error config_file_read(const char *path, struct buf *out);

/* Takes the next line, without LF or CRLF, from what is left of a file. False at its end. */
bool config_file_next(struct slice *rest, struct slice *line);

/* `name = value # comment`. White space around both is left out; a value in double quotes keeps
 * its own, and \" and \\ mean " and \ there. E_CONFIG: `*reason` is a static text that quotes
 * nothing of the line, for it may hold a secret; `line->name` is set if the name could be read.
 * `line` points into `text` and itself. */
LARDER_MUST_CHECK enum error config_line_parse(struct slice text, struct config_line *line,
                                               const char **reason);

#endif
