/* The spelling of values: parsed, printed, described. See config_option.h. */
#include "base/config_option.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/config_url.h"

static void *member(struct config *config, const struct option *option) {
    return (char *)config + option->offset;
}

static const char *text_of(const struct option *option, const struct config *config) {
    return (const char *)config + option->offset;
}

static int64_t number_of(const struct option *option, const struct config *config) {
    int64_t value;
    memcpy(&value, (const char *)config + option->offset, sizeof(value));
    return value;
}

static bool bool_of(const struct option *option, const struct config *config) {
    bool value;
    memcpy(&value, (const char *)config + option->offset, sizeof(value));
    return value;
}

static bool is_text(const struct option *option) {
    return option->kind == OPTION_KIND_TEXT || option->kind == OPTION_KIND_PATH ||
           option->kind == OPTION_KIND_URL;
}

static bool takes_none(const struct option *option) {
    return option->fallback[0] == '\0';
}

static bool parse_text(const struct option *option, struct slice text, struct config *config) {
    if (text.n > (size_t)option->max)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == 0 || (!option->secret && (c < 0x20 || c == 0x7f)))
            return false;
    }
    if (option->kind == OPTION_KIND_PATH && text.p[0] != '/')
        return false;
    char *to = member(config, option);
    /* All of it: nothing of a longer secret stays behind. */
    memset(to, 0, option->size);
    memcpy(to, text.p, text.n);
    return true;
}

static bool parse_digits(struct slice digits, int base, int64_t max, int64_t *value) {
    *value = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int digit = digits.p[i] - '0';
        if (digit < 0 || digit >= base || digit > max || *value > (max - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return digits.n > 0;
}

/* Cuts off kb, mb or gb. Gives the power of two that it stands for. */
static int take_unit(struct slice *text) {
    static const char units[][3] = {"kb", "mb", "gb"};
    for (int i = 0; i < 3 && text->n > 2; i++) {
        if (strncasecmp(text->p + text->n - 2, units[i], 2) == 0) {
            text->n -= 2;
            return 10 * (i + 1);
        }
    }
    return 0;
}

static bool parse_number(const struct option *option, struct slice text, struct config *config) {
    int base = option->kind == OPTION_KIND_OCTAL ? 8 : 10;
    int shift = option->kind == OPTION_KIND_SIZE ? take_unit(&text) : 0;
    int64_t value;
    if (!parse_digits(text, base, option->max >> shift, &value))
        return false;
    value <<= shift;
    if (value < option->min)
        return false;
    memcpy(member(config, option), &value, sizeof(value));
    return true;
}

static bool parse_bool(const struct option *option, struct slice text, struct config *config) {
    bool value = slice_eq(text, SLICE("yes"));
    if (!value && !slice_eq(text, SLICE("no")))
        return false;
    memcpy(member(config, option), &value, sizeof(value));
    return true;
}

/* Redis, too, takes its policies in either case. */
static bool parse_choice(const struct option *option, struct slice text, struct config *config) {
    for (int64_t i = 0; option->words[i] != NULL; i++) {
        const char *word = option->words[i];
        if (strlen(word) == text.n && strncasecmp(word, text.p, text.n) == 0) {
            memcpy(member(config, option), &i, sizeof(i));
            return true;
        }
    }
    return false;
}

static bool parse(const struct option *option, struct slice text, struct config *config) {
    switch (option->kind) {
    case OPTION_KIND_TEXT:
    case OPTION_KIND_PATH:
    case OPTION_KIND_URL:
        return parse_text(option, text, config);
    case OPTION_KIND_NUMBER:
    case OPTION_KIND_MILLISECONDS:
    case OPTION_KIND_SECONDS:
    case OPTION_KIND_SIZE:
    case OPTION_KIND_OCTAL:
        return parse_number(option, text, config);
    case OPTION_KIND_BOOL:
        return parse_bool(option, text, config);
    case OPTION_KIND_CHOICE:
        return parse_choice(option, text, config);
    }
    return false;
}

/* Says what exactly is wrong, which the description of all that is right would hide. */
static bool is_url(struct slice text, struct buf *why) {
    struct config_url url;
    const char *reason = NULL;
    if (config_url_parse(text, &url, &reason) == OK)
        return true;
    buf_puts(why, reason);
    return false;
}

enum error option_parse(const struct option *option, struct slice text, struct config *config,
                        struct buf *why) {
    if (text.n == 0 && takes_none(option)) {
        memset(member(config, option), 0, option->size);
    } else if (option->kind == OPTION_KIND_URL && !is_url(text, why)) {
        return E_CONFIG;
    } else if (text.n == 0 || !parse(option, text, config)) {
        buf_puts(why, "must be ");
        option_describe(option, why);
        return E_CONFIG;
    }
    if (option == &option_table[OPT_max_memory])
        config->max_memory_set = text.n > 0;
    return OK;
}

bool option_is_none(const struct option *option, const struct config *config) {
    if (option == &option_table[OPT_max_memory])
        return !config->max_memory_set;
    return is_text(option) && *text_of(option, config) == '\0';
}

static void print_size(int64_t value, struct buf *out) {
    static const struct {
        int shift;
        const char *unit;
    } units[] = {{30, "gb"}, {20, "mb"}, {10, "kb"}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t whole = value >> units[i].shift;
        if (whole > 0 && whole << units[i].shift == value) {
            buf_printf(out, "%" PRId64 "%s", whole, units[i].unit);
            return;
        }
    }
    buf_put_int(out, value);
}

static void print_number(enum option_kind kind, int64_t value, struct buf *out) {
    if (kind == OPTION_KIND_SIZE)
        print_size(value, out);
    else if (kind == OPTION_KIND_OCTAL)
        buf_printf(out, "%04" PRIo64, (uint64_t)value);
    else
        buf_put_int(out, value);
}

void option_print(const struct option *option, const struct config *config, struct buf *out) {
    if (option_is_none(option, config))
        return;
    if (is_text(option))
        buf_puts(out, text_of(option, config));
    else if (option->kind == OPTION_KIND_BOOL)
        buf_puts(out, bool_of(option, config) ? "yes" : "no");
    else if (option->kind == OPTION_KIND_CHOICE)
        buf_puts(out, option->words[number_of(option, config)]);
    else
        print_number(option->kind, number_of(option, config), out);
}

void option_print_masked(const struct option *option, const struct config *config,
                         struct buf *out) {
    if (option->secret && !option_is_none(option, config))
        buf_puts(out, "***");
    else
        option_print(option, config, out);
}

static void describe_range(const struct option *option, const char *what, struct buf *out) {
    buf_printf(out, "%s from ", what);
    print_number(option->kind, option->min, out);
    buf_puts(out, " to ");
    print_number(option->kind, option->max, out);
}

void option_describe(const struct option *option, struct buf *out) {
    switch (option->kind) {
    case OPTION_KIND_TEXT:
        buf_printf(out, "text of %s%" PRId64 " bytes%s", takes_none(option) ? "at most " : "1 to ",
                   option->max, option->secret ? "" : " without control characters");
        break;
    case OPTION_KIND_PATH:
        buf_printf(out, "an absolute path, starting with /, of at most %" PRId64 " bytes",
                   option->max);
        break;
    case OPTION_KIND_URL:
        buf_printf(out,
                   "redis://[user[:password]@]host[:port][/db] or "
                   "unix://[user[:password]@]/path[?db=N] of at most %" PRId64 " bytes",
                   option->max);
        break;
    case OPTION_KIND_NUMBER:
        describe_range(option, "a whole number", out);
        break;
    case OPTION_KIND_MILLISECONDS:
        describe_range(option, "a whole number of milliseconds", out);
        break;
    case OPTION_KIND_SECONDS:
        describe_range(option, "a whole number of seconds", out);
        break;
    case OPTION_KIND_SIZE:
        describe_range(option, "a whole number of bytes, kb, mb or gb", out);
        break;
    case OPTION_KIND_OCTAL:
        describe_range(option, "an octal number", out);
        break;
    case OPTION_KIND_BOOL:
        buf_puts(out, "yes or no");
        break;
    case OPTION_KIND_CHOICE:
        buf_puts(out, "one of ");
        for (const char *const *word = option->words; *word != NULL; word++)
            buf_printf(out, "%s%s", word == option->words ? "" : ", ", *word);
        break;
    }
}
