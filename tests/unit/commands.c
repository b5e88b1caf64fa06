/* Redis's protocol for people: see commands.h. */
#include "commands.h"

#include "base/digest.h"
#include "require.h"

enum { TEXT_MAX = 65536 };

static char text[TEXT_MAX];

/* Takes "<type><number>\r\n" off; false if it is not all there. */
static bool take_number(struct slice *bytes, char type, size_t *number) {
    const char *end = bytes->n > 0 ? memmem(bytes->p, bytes->n, "\r\n", 2) : NULL;
    if (end == NULL)
        return false;
    require(bytes->p[0] == type);
    *number = 0;
    for (const char *c = bytes->p + 1; c < end; c++) {
        require(*c >= '0' && *c <= '9');
        *number = *number * 10 + (size_t)(*c - '0');
    }
    *bytes = (struct slice){end + 2, bytes->n - (size_t)(end + 2 - bytes->p)};
    return true;
}

static struct slice named(struct slice argument) {
    static const char *const names[] = {
#define SCRIPT(name) #name,
#include "redis/scripts.def"
#undef SCRIPT
    };
    for (enum script i = 0; i < SCRIPT_COUNT; i++) {
        char digest[DIGEST_SHA1_HEX];
        digest_sha1_hex(script_text(i), digest);
        if (slice_eq(argument, script_text(i)) ||
            slice_eq(argument, (struct slice){digest, sizeof(digest)}))
            return slice_of(names[i]);
    }
    return argument;
}

static size_t put_text(size_t at, struct slice words) {
    require(at + words.n < TEXT_MAX);
    memcpy(text + at, words.p, words.n);
    return at + words.n;
}

static size_t put_argument(size_t at, struct slice argument) {
    for (size_t i = 0; i < argument.n; i++) {
        struct slice shown = {argument.p + i, 1};
        if (argument.p[i] == '\0')
            shown = SLICE("\\0");
        else if (argument.p[i] == '\n')
            shown = SLICE("\\n");
        else if (argument.p[i] == '\xff')
            shown = SLICE("\\xff");
        at = put_text(at, shown);
    }
    return at;
}

/* Takes one command off and appends it at `*at`; false if it is not all there. */
static bool take_command(struct slice *bytes, size_t *at) {
    size_t args;
    size_t length;
    if (!take_number(bytes, '*', &args))
        return false;
    for (; args > 0; args--) {
        if (!take_number(bytes, '$', &length) || bytes->n < length + 2)
            return false;
        require(memcmp(bytes->p + length, "\r\n", 2) == 0);
        *at = put_argument(*at, named((struct slice){bytes->p, length}));
        *at = put_text(*at, args > 1 ? SLICE(" ") : SLICE("\n"));
        *bytes = (struct slice){bytes->p + length + 2, bytes->n - length - 2};
    }
    return true;
}

const char *commands_take(struct slice *bytes) {
    struct slice rest = *bytes;
    size_t at = 0;
    size_t end = 0;
    while (take_command(&rest, &at)) {
        *bytes = rest;
        end = at;
    }
    text[end] = '\0';
    return text;
}
