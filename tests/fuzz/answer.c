/* What every answer must be: see answer.h. */
#include "answer.h"

#include <strings.h>

#include "base/jsontext.h"
#include "fuzz.h"
#include "reference.h"

static bool begins(struct slice text, const char *with) {
    size_t n = strlen(with);
    return text.n >= n && strncasecmp(text.p, with, n) == 0;
}

static struct slice take_line(struct slice *head) {
    const char *end = memmem(head->p, head->n, "\r\n", 2);
    need(end != NULL);
    struct slice line = {head->p, (size_t)(end - head->p)};
    *head = (struct slice){end + 2, head->n - line.n - 2};
    return line;
}

static long number_of(struct slice text) {
    long v = 0;
    need(text.n > 0 && text.n < 12);
    for (size_t i = 0; i < text.n; i++) {
        need(text.p[i] >= '0' && text.p[i] <= '9');
        v = v * 10 + (text.p[i] - '0');
    }
    return v;
}

/* "Name: value"; gives the value. */
static struct slice split(struct slice line) {
    const char *colon = memchr(line.p, ':', line.n);
    need(colon != NULL && colon > line.p && colon + 2 <= line.p + line.n && colon[1] == ' ');
    for (const char *c = line.p; c < colon; c++)
        need(*c > ' ' && *c <= '~');
    for (const char *c = colon; c < line.p + line.n; c++)
        need((unsigned char)*c >= ' ' && *c != 0x7F);
    return (struct slice){colon + 2, line.n - (size_t)(colon + 2 - line.p)};
}

static void check_problem(const struct answer *answer) {
    static const char *const members[] = {"type", "title", "status", "detail"};
    need(slice_eq(answer->type, SLICE("application/problem+json")));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
        need(answer_member(answer, members[i]).n > 0);
    need(number_of(answer_member(answer, "status")) == answer->status);
}

struct answer answer_check(struct slice text, bool bodiless) {
    struct answer answer = {0};
    long length = -1;
    struct slice line;
    while ((line = take_line(&text)).n > 0) {
        struct slice value = split(line);
        if (begins(line, "Status: ")) {
            need(answer.status == 0 && value.n > 4 && value.p[3] == ' ');
            answer.status = (int)number_of((struct slice){value.p, 3});
        } else if (begins(line, "Content-Type: ")) {
            need(answer.type.n == 0);
            answer.type = value;
        } else if (begins(line, "Content-Length: ")) {
            need(length == -1);
            length = number_of(value);
        }
    }
    answer.body = text;
    need(answer.status >= 200 && answer.status <= 599);
    need(bodiless ? text.n == 0 : length < 0 ? text.n == 0 : (long)text.n == length);
    if (bodiless)
        return answer;
    bool json =
        begins(answer.type, "application/json") || begins(answer.type, "application/problem+json");
    if (json && answer.status != 200)
        need(reference_json(text, JSONTEXT_DEPTH_MAX + 3) == JSON_VALID);
    if (answer.status >= 400)
        check_problem(&answer);
    return answer;
}

struct slice answer_member(const struct answer *answer, const char *name) {
    struct jsontext_member member;
    struct slice rest = answer->body;
    while (jsontext_next_member(&rest, &member))
        if (jsontext_string_is(member.name, slice_of(name)))
            return member.value;
    return (struct slice){0};
}
