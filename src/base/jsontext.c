/*
 * Containers and whole texts: see jsontext.h. A value is scanned by going down through the brackets
 * that open and up through those that close; the open ones are bits on a small stack. Functions
 * that scan keep jsonscan.h's manners.
 */
#include "base/jsontext.h"

#include <stdint.h>

#include "base/jsonscan.h"

enum { STACK_WORD_BITS = 64 };

struct nest {
    struct jsonscan in;
    size_t depth;                                           /* containers open */
    uint64_t objects[JSONTEXT_DEPTH_MAX / STACK_WORD_BITS]; /* one bit each: an object, no array */
};

static bool in_object(const struct nest *s) {
    size_t level = s->depth - 1;
    return (s->objects[level / STACK_WORD_BITS] >> level % STACK_WORD_BITS & 1) != 0;
}

/* Takes the bracket and what space follows it. */
static bool open_container(struct nest *s, bool object) {
    if (s->depth == JSONTEXT_DEPTH_MAX) {
        s->in.error = E_TOO_DEEP;
        s->in.reason = "it is nested too deeply";
        return false;
    }
    uint64_t *word = &s->objects[s->depth / STACK_WORD_BITS];
    uint64_t bit = UINT64_C(1) << s->depth % STACK_WORD_BITS;
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    s->in.at++;
    jsonscan_skip_space(&s->in);
    return true;
}

/* Takes the bracket that ends the innermost container. False, and no fault, if it isn't here. */
static bool close_container(struct nest *s) {
    if (jsonscan_peek(&s->in) != (in_object(s) ? '}' : ']'))
        return false;
    s->in.at++;
    s->depth--;
    return true;
}

/* A member's name and colon, up to where its value starts. `raw`, if not NULL, is the name. */
static bool scan_name(struct jsonscan *in, struct slice *raw) {
    if (jsonscan_peek(in) != '"')
        return jsonscan_fail(in, "a member's name in double quotes is missing");
    const char *quote = in->at;
    if (!jsonscan_string(in))
        return false;
    if (raw != NULL)
        *raw = (struct slice){quote + 1, (size_t)(in->at - quote) - 2};
    jsonscan_skip_space(in);
    if (jsonscan_peek(in) != ':')
        return jsonscan_fail(in, "the colon after a member's name is missing");
    in->at++;
    jsonscan_skip_space(in);
    return true;
}

/* The comma between two elements or members, up to where the next one starts. */
static bool scan_comma(struct nest *s) {
    if (jsonscan_peek(&s->in) != ',')
        return jsonscan_fail(&s->in, in_object(s) ? "a comma or the closing brace is missing"
                                                  : "a comma or the closing bracket is missing");
    s->in.at++;
    jsonscan_skip_space(&s->in);
    return true;
}

/* The brackets that open here, down to the first value that is no container or an empty one. */
static bool scan_descent(struct nest *s) {
    for (;;) {
        int c = jsonscan_peek(&s->in);
        if (c != '{' && c != '[')
            return jsonscan_scalar(&s->in);
        if (!open_container(s, c == '{'))
            return false;
        if (close_container(s))
            return true;
        if (c == '{' && !scan_name(&s->in, NULL))
            return false;
    }
}

/* After a value: the brackets that close here, up to the next value or out to `depth`. */
static bool scan_ascent(struct nest *s, size_t depth) {
    while (s->depth > depth) {
        jsonscan_skip_space(&s->in);
        if (close_container(s))
            continue;
        return scan_comma(s) && (!in_object(s) || scan_name(&s->in, NULL));
    }
    return true;
}

/* One value of any kind, with everything inside it. */
static bool scan_value(struct nest *s, struct slice *value) {
    const char *first = s->in.at;
    size_t depth = s->depth;
    do {
        if (!scan_descent(s) || !scan_ascent(s, depth))
            return false;
    } while (s->depth > depth);
    *value = (struct slice){first, (size_t)(s->in.at - first)};
    return true;
}

/* --- whole texts ----------------------------------------------------------------------------- */

static struct nest start(struct slice text) {
    const char *p = text.n > 0 ? text.p : "";
    struct nest s = {.in = {.at = p, .end = p + text.n}};
    jsonscan_skip_space(&s.in);
    return s;
}

static bool scan_end(struct jsonscan *in) {
    jsonscan_skip_space(in);
    return in->at == in->end || jsonscan_fail(in, "something follows the value");
}

static enum error verdict(const struct nest *s, struct slice text, struct jsontext_fault *fault) {
    if (s->in.error != OK && fault != NULL) {
        size_t left = (size_t)(s->in.end - s->in.at);
        *fault = (struct jsontext_fault){text.n - left, s->in.reason};
    }
    return s->in.error;
}

enum error jsontext_check(struct slice text, struct slice *value, struct jsontext_fault *fault) {
    struct nest s = start(text);
    struct slice found;
    if (scan_value(&s, &found) && scan_end(&s.in) && value != NULL)
        *value = found;
    return verdict(&s, text, fault);
}

static bool scan_member(struct nest *s, struct jsontext_member *member) {
    if (!scan_name(&s->in, &member->name) || !scan_value(s, &member->value))
        return false;
    jsonscan_skip_space(&s->in);
    return true;
}

static bool scan_members(struct nest *s, struct jsontext_member *members, size_t max,
                         size_t *count) {
    if (!open_container(s, true))
        return false;
    while (!close_container(s)) {
        struct jsontext_member member;
        if (*count > 0 && !scan_comma(s))
            return false;
        if (!scan_member(s, &member))
            return false;
        if (*count < max)
            members[*count] = member;
        ++*count;
    }
    return true;
}

enum error jsontext_members(struct slice text, struct jsontext_member *members, size_t max,
                            size_t *count, struct jsontext_fault *fault) {
    struct nest s = start(text);
    *count = 0;
    if (jsonscan_peek(&s.in) != '{') {
        enum error e = jsontext_check(text, NULL, fault);
        return e == OK ? E_SCHEMA_VIOLATION : e;
    }
    if (scan_members(&s, members, max, count))
        (void)scan_end(&s.in);
    return verdict(&s, text, fault);
}

/* --- cursors --------------------------------------------------------------------------------- */

static struct jsonscan resume(struct slice rest) {
    struct jsonscan in = {.at = rest.p, .end = rest.p + rest.n};
    jsonscan_skip_space(&in);
    return in;
}

static struct slice rest_of(const struct jsonscan *in) {
    return (struct slice){in->at, (size_t)(in->end - in->at)};
}

/* Takes the opening bracket or the comma, and stands on what follows. False if that ends the
 * container, which is taken, too; and where the text is at its end already. */
static bool step(struct jsonscan *in, char close) {
    if (jsonscan_peek(in) == JSONSCAN_END)
        return false;
    if (*in->at != close) {
        in->at++;
        jsonscan_skip_space(in);
    }
    if (jsonscan_peek(in) != close)
        return true;
    in->at++;
    return false;
}

bool jsontext_next_name(struct slice *rest, struct slice *name) {
    struct jsonscan in = resume(*rest);
    bool found = step(&in, '}') && scan_name(&in, name);
    *rest = rest_of(&in);
    return found;
}

struct slice jsontext_take_value(struct slice *rest) {
    struct nest s = {.in = resume(*rest)};
    struct slice value = {0};
    (void)scan_value(&s, &value); /* the text has been checked */
    *rest = rest_of(&s.in);
    return value;
}

bool jsontext_next_member(struct slice *rest, struct jsontext_member *member) {
    if (!jsontext_next_name(rest, &member->name))
        return false;
    member->value = jsontext_take_value(rest);
    return true;
}

bool jsontext_next_element(struct slice *rest, struct slice *value) {
    struct jsonscan in = resume(*rest);
    bool found = step(&in, ']');
    *rest = rest_of(&in);
    if (found)
        *value = jsontext_take_value(rest);
    return found;
}
