/* If-Match and If-None-Match: cache/condition.c against RFC 9110's grammar, walked by states. */
#include "cache/condition.h"
#include "fuzz.h"
#include "reference.h"

enum state { GAP, WEAK, SLASH, TAG, AFTER, BROKEN };

struct tag {
    struct slice opaque;
    bool weak;
};

enum { TAGS_SEEN = 8192 };
static struct tag tags[TAGS_SEEN];

/* Gives how many tags there are; -1 if it is no list of them. */
static long walk(struct slice list) {
    enum state state = GAP;
    long n = 0;
    for (size_t i = 0; i < list.n && state != BROKEN; i++) {
        char c = list.p[i];
        unsigned char byte = (unsigned char)c;
        bool blank = c == ' ' || c == '\t';
        switch (state) {
        case GAP:
            tags[n].weak = c == 'W';
            tags[n].opaque = (struct slice){list.p + i + 1, 0};
            if (c == '"' || c == 'W')
                state = c == 'W' ? WEAK : TAG;
            else
                state = blank || c == ',' ? GAP : BROKEN;
            break;
        case WEAK:
            state = c == '/' ? SLASH : BROKEN;
            break;
        case SLASH:
            tags[n].opaque = (struct slice){list.p + i + 1, 0};
            state = c == '"' ? TAG : BROKEN;
            break;
        case TAG:
            tags[n].opaque.n = (size_t)(list.p + i - tags[n].opaque.p);
            if (c == '"') {
                n++;
                state = AFTER;
            } else if (byte < 0x21 || byte == 0x7F) {
                state = BROKEN;
            }
            break;
        case AFTER:
            state = c == ',' ? GAP : blank ? AFTER : BROKEN;
            break;
        case BROKEN:
            break;
        }
    }
    return state == GAP || state == AFTER ? n : -1;
}

static bool is_this(struct slice opaque, struct slice etag) {
    static const char *const endings[] = {"",        "-gzip",  "-br",      "-zstd", "-deflate",
                                          "-x-gzip", "-bzip2", "-x-bzip2", ";gzip"};
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t n = strlen(endings[i]);
        if (opaque.n == etag.n + n && memcmp(opaque.p, etag.p, etag.n) == 0 &&
            memcmp(opaque.p + etag.n, endings[i], n) == 0)
            return true;
    }
    return false;
}

static void check_matches(const struct condition *c, long count, struct slice etag) {
    bool weakly = false;
    bool strongly = false;
    for (long i = 0; i < count; i++) {
        bool same = is_this(tags[i].opaque, etag);
        weakly = weakly || same;
        strongly = strongly || (same && !tags[i].weak);
    }
    need(condition_matches(c, etag, true) == weakly);
    need(condition_matches(c, etag, false) == strongly);
}

static bool is_star(struct slice field) {
    size_t stars = 0;
    for (size_t i = 0; i < field.n; i++) {
        stars += field.p[i] == '*';
        if (field.p[i] != '*' && field.p[i] != ' ' && field.p[i] != '\t')
            return false;
    }
    return stars == 1 && memchr(field.p, '*', field.n) != NULL;
}

void fuzz_condition(struct slice input) {
    struct condition c = {0};
    if (input.n >= TAGS_SEEN)
        return;
    if (input.n == 0)
        input = SLICE("");
    enum error e = condition_parse(input, &c);
    if (is_star(input)) {
        need(e == OK && c.kind == CONDITION_ANY);
        need(condition_matches(&c, SLICE("x"), false));
        return;
    }
    long count = walk(input);
    bool fine = count > 0 && count <= 64 && input.n <= 4096;
    need(e == (fine ? OK : E_INVALID_PRECONDITION));
    need(c.kind == (fine ? CONDITION_LIST : CONDITION_NONE));
    if (!fine) {
        need(!condition_matches(&c, SLICE("x"), true));
        return;
    }
    check_matches(&c, count, SLICE("0123456789abcdef0123456789abcdef"));
    for (long i = 0; i < count; i += 7)
        check_matches(&c, count, tags[i].opaque);
}
