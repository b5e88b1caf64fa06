/* Requests and what they say to Redis: see talk.h. */
#include "talk.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/digest.h"
#include "require.h"

enum { TEXT_MAX = 65536 };

/* What the last GET or GETRANGE gave. */
static char loaded[DIGEST_SHA1_HEX];
static bool load_comes;

static struct slice optional(const char *text) {
    return text != NULL ? slice_of(text) : (struct slice){0};
}

enum step talk_start(struct rig *rig, const struct talk *talk) {
    struct slice body = optional(talk->body);
    char length[24];
    (void)snprintf(length, sizeof(length), "%zu", body.n);
    const struct request_params params = {
        .method = slice_of(talk->method),
        .target = slice_of(talk->target),
        .content_type = optional(talk->type),
        .content_length = slice_of(length),
        .fields = {.if_match = optional(talk->if_match),
                   .if_none_match = optional(talk->if_none_match),
                   .prefer = optional(talk->prefer)},
    };
    request_reset(&rig->request);
    return request_start(&rig->request, &params, body, false);
}

/* --- texts that are like others -------------------------------------------------------------- */

static size_t run_of(const char *text, const char *characters, size_t n) {
    return strspn(text, characters) >= n ? n : 0;
}

/* How many bytes of `text` the wildcard stands for; 0: it isn't one, or they aren't there. */
static size_t wildcard(const char *text, char c) {
    if (c == '#')
        return run_of(text, "0123456789abcdef", 32);
    if (c == '~')
        return run_of(text, "0123456789-:.TZ", CLOCK_TIMESTAMP_BYTES);
    if (c == '@' && strncmp(text, loaded, sizeof(loaded)) == 0)
        return sizeof(loaded);
    return 0;
}

static bool is_like(const char *text, const char *pattern) {
    for (; *pattern != '\0'; pattern++) {
        size_t n = wildcard(text, *pattern);
        if (n == 0 && *text != *pattern)
            return false;
        text += n > 0 ? n : 1;
    }
    return *text == '\0';
}

void talk_expect(struct rig *rig, const char *commands) {
    const char *got = rig_commands(rig);
    load_comes = strncmp(got, "GET", 3) == 0;
    ck_assert_msg(is_like(got, commands), "\n%sinstead of\n%s", got, commands);
}

void talk_expect_whole(struct rig *rig, const char *commands) {
    struct buf whole = {0};
    const char *sha;
    for (; (sha = strstr(commands, "EVALSHA ")) != NULL; commands = sha + strlen("EVALSHA ")) {
        buf_put(&whole, commands, (size_t)(sha - commands));
        buf_puts(&whole, "EVAL ");
    }
    buf_puts(&whole, commands);
    buf_put_char(&whole, '\0');
    talk_expect(rig, whole.p);
    buf_fini(&whole);
}

/* --- replies --------------------------------------------------------------------------------- */

static struct slice plain_bytes(struct slice text, struct buf *plain) {
    static const struct {
        const char *escape;
        struct slice byte;
    } escapes[] = {{"\\0", SLICE_INIT("\0")},
                   {"\\n", SLICE_INIT("\n")},
                   {"\\r", SLICE_INIT("\r")},
                   {"\\xff", SLICE_INIT("\xff")}};
    for (size_t at = 0, used; at < text.n; at += used) {
        const char *escape = memchr(text.p + at, '\\', text.n - at);
        struct slice bytes = {text.p + at, text.n - at};
        if (escape != NULL)
            bytes.n = escape == bytes.p ? 1 : (size_t)(escape - bytes.p);
        used = bytes.n;
        for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
            size_t n = strlen(escapes[i].escape);
            if (text.n - at < n || memcmp(text.p + at, escapes[i].escape, n) != 0)
                continue;
            bytes = escapes[i].byte;
            used = n;
        }
        buf_put_slice(plain, bytes);
    }
    return buf_slice(plain);
}

static void put_string(struct buf *out, struct slice text) {
    struct buf plain = {0};
    struct slice bytes = plain_bytes(text, &plain);
    if (load_comes)
        digest_sha1_hex(bytes, loaded);
    load_comes = false;
    buf_printf(out, "$%zu\r\n", bytes.n);
    buf_put_slice(out, bytes);
    buf_puts(out, "\r\n");
    buf_fini(&plain);
}

static void put_element(struct buf *out, struct slice line) {
    struct slice text = {line.p + 1, line.n - 1};
    switch (line.p[0]) {
    case '$':
        put_string(out, text);
        break;
    case '_':
        buf_puts(out, "$-1\r\n");
        break;
    default:
        buf_put(out, line.p[0] == '[' ? "*" : line.p, 1);
        buf_put_slice(out, text);
        buf_puts(out, "\r\n");
        break;
    }
}

void talk_deliver(struct rig *rig, const char *replies) {
    struct buf out = {0};
    while (*replies != '\0') {
        size_t n = strcspn(replies, "\n");
        put_element(&out, (struct slice){replies, n});
        replies += n + (replies[n] == '\n');
    }
    rig_say(rig, buf_slice(&out));
    buf_fini(&out);
    ck_assert_ptr_eq(store_next_done(rig->service.store), &rig->request.call);
}

enum step talk_reply(struct rig *rig, const char *replies) {
    talk_deliver(rig, replies);
    return request_continue(&rig->request);
}

/* What was not sent waits for another connection first. */
void talk_lose_redis(struct rig *rig) {
    rig_hang_up(rig);
    for (int i = 0; i < 10; i++) {
        rig->service.now += 100 * NS_PER_MS;
        store_tick(rig->service.store, rig->service.now);
    }
}

enum step talk_hang_up(struct rig *rig) {
    talk_lose_redis(rig);
    ck_assert_ptr_eq(store_next_done(rig->service.store), &rig->request.call);
    return request_continue(&rig->request);
}

/* --- the whole of it ------------------------------------------------------------------------- */

size_t talk_turns(const struct talk *talk) {
    size_t n = 0;
    while (n < TALK_TURNS_MAX && talk->turns[n].commands != NULL)
        n++;
    return n;
}

enum step talk_play(struct rig *rig, const struct talk *talk, size_t turns) {
    enum step step = talk_start(rig, talk);
    for (size_t i = 0; i < turns; i++) {
        ck_assert_msg(step == STEP_WAIT, "%s", talk_answer(rig));
        talk_expect(rig, talk->turns[i].commands);
        step = talk_reply(rig, talk->turns[i].replies);
    }
    return step;
}

const char *talk_answer(struct rig *rig) {
    static char text[TEXT_MAX];
    const struct response *response = &rig->request.response;
    size_t at = response->splice.n > 0 ? response->splice_at : response->body.n;
    ck_assert(!buf_failed(&response->body) && !buf_failed(&response->fields));
    int n = snprintf(text, sizeof(text), "%d %.*s%.*s%.*s", response->status, (int)at,
                     response->body.n > 0 ? response->body.p : "", (int)response->splice.n,
                     response->splice.n > 0 ? response->splice.p : "", (int)(response->body.n - at),
                     response->body.n > 0 ? response->body.p + at : "");
    ck_assert(n > 0 && n < TEXT_MAX);
    return text;
}

void talk_check_answer(struct rig *rig, const char *answer) {
    const char *got = talk_answer(rig);
    ck_assert_msg(is_like(got, answer), "\n%s\ninstead of\n%s", got, answer);
}

bool talk_is_distrusted(const struct rig *rig) {
    return !store_get_status(rig->service.store).ready;
}
