/*
 * JSON text: the scanner of base/jsontext.c against a recursive recogniser, and what is spliced
 * with what it has let through: members, elements, strings.
 */
#include "base/jsontext.h"
#include "fuzz.h"
#include "reference.h"

enum { MEMBERS = 4 };

static struct buf plain, quoted;

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct slice trim(struct slice text) {
    while (text.n > 0 && is_space(text.p[0]))
        text = (struct slice){text.p + 1, text.n - 1};
    while (text.n > 0 && is_space(text.p[text.n - 1]))
        text.n--;
    return text;
}

/* What a string means, written again, means the same and is as short as can be. */
static void check_string(struct slice raw) {
    plain.n = quoted.n = 0;
    jsontext_decode(&plain, raw);
    need(reference_is_utf8(buf_slice(&plain)));
    need(jsontext_string_is(raw, buf_slice(&plain)));
    buf_put_char(&plain, 'x');
    need(!jsontext_string_is(raw, buf_slice(&plain)));
    plain.n--;
    jsontext_put_string(&quoted, buf_slice(&plain));
    need(reference_json(buf_slice(&quoted), 0) == JSON_VALID);
    need(jsontext_string_is((struct slice){quoted.p + 1, quoted.n - 2}, buf_slice(&plain)));
    need(quoted.n <= raw.n + 2 || memchr(raw.p, '\\', raw.n) != NULL);
}

static void check_value(struct slice value) {
    struct slice again;
    need(jsontext_check(value, &again, NULL) == OK);
    need(again.p == value.p && again.n == value.n);
    if (value.p[0] == '"')
        check_string((struct slice){value.p + 1, value.n - 2});
}

/* Both ways of going through an object tell the same, and in order. */
static void check_object(struct slice text) {
    struct jsontext_member members[MEMBERS];
    struct jsontext_member member;
    struct slice rest = text;
    size_t count = 0;
    size_t seen = 0;
    const char *at = text.p;
    need(jsontext_members(text, members, MEMBERS, &count, NULL) == OK);
    for (; jsontext_next_member(&rest, &member); seen++) {
        need(member.name.p > at && member.value.p > member.name.p + member.name.n);
        at = member.value.p + member.value.n - 1;
        need(at < text.p + text.n);
        if (seen < MEMBERS)
            need(members[seen].name.p == member.name.p && members[seen].name.n == member.name.n &&
                 members[seen].value.p == member.value.p &&
                 members[seen].value.n == member.value.n);
        check_string(member.name);
        check_value(member.value);
    }
    need(seen == count);
    need(rest.n == 0);
}

static void check_array(struct slice text) {
    struct slice rest = text;
    struct slice element;
    const char *at = text.p;
    while (jsontext_next_element(&rest, &element)) {
        need(element.p > at && element.p + element.n < text.p + text.n);
        at = element.p + element.n - 1;
        check_value(element);
    }
    need(rest.n == 0);
}

static void check_fault(struct slice input, const struct jsontext_fault *fault) {
    need(fault->reason != NULL && fault->offset <= input.n);
    /* What stands before the fault is the beginning of something, so what stands behind it
     * doesn't matter. */
    struct jsontext_fault again;
    if (fault->offset < input.n)
        need(jsontext_check((struct slice){input.p, fault->offset}, NULL, &again) != OK ||
             strcmp(fault->reason, "something follows the value") == 0);
}

void fuzz_json(struct slice input) {
    static const enum error errors[] = {
        [JSON_VALID] = OK, [JSON_INVALID] = E_INVALID_JSON, [JSON_TOO_DEEP] = E_TOO_DEEP};
    struct slice value = {0};
    struct jsontext_fault fault = {0};
    struct jsontext_member none;
    size_t count;
    enum error wanted = errors[reference_json(input, JSONTEXT_DEPTH_MAX)];
    enum error e = jsontext_check(input, &value, &fault);
    need(e == wanted);
    struct slice text = trim(input);
    bool object = text.n > 0 && text.p[0] == '{';
    enum error of_object = jsontext_members(input, &none, 0, &count, NULL);
    need(of_object == (e == OK && !object ? E_SCHEMA_VIOLATION : e));
    if (e != OK) {
        check_fault(input, &fault);
        return;
    }
    need(value.p == text.p && value.n == text.n);
    check_value(value);
    if (object)
        check_object(value);
    else if (text.p[0] == '[')
        check_array(value);
}
