/*
 * A request through router and handler, with a Redis that says whatever the input has it say. The
 * answer must be one that any client can read.
 *
 * An input is parts with 0xFF between them, a byte that UTF-8 doesn't have: the method's number and
 * the target, six header fields, the body, then what Redis says to one command after the other, in
 * short: "$text" a string, "+text" a status, "-text" an error, ":5" an integer, "_" nil, "[2$a$b"
 * an array whose elements end at a newline, "=..." these bytes and no others, "!" it hangs up. What
 * isn't there is nil.
 */
#include <sys/epoll.h>

#include "answer.h"
#include "base/clock.h"
#include "base/jsontext.h"
#include "fuzz.h"
#include "house.h"
#include "http/response.h"

enum { WORDS_MAX = 200, STEPS_MAX = 64, COMMANDS_MAX = 400 };

static struct house *house;
static struct request request;

/* --- Redis -------------------------------------------------------------------------------------
 */

static struct buf reply;

static void put_element(struct slice text);

static void put_array(struct slice text) {
    struct slice elements[16];
    unsigned n = 0;
    while (text.n > 0 && n < 16)
        elements[n++] = fuzz_part(&text, '\n');
    buf_printf(&reply, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++)
        put_element(elements[i]);
}

/* In an array of an array, elements end at a vertical tab. */
static void put_inner_array(struct slice text) {
    struct slice elements[16];
    unsigned n = 0;
    while (text.n > 0 && n < 16)
        elements[n++] = fuzz_part(&text, '\v');
    buf_printf(&reply, "*%u\r\n", n);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&reply, "$%zu\r\n%.*s\r\n", elements[i].n, (int)elements[i].n, elements[i].p);
}

static void put_line(char type, struct slice text) {
    buf_put_char(&reply, type);
    for (size_t i = 0; i < text.n; i++)
        buf_put_char(&reply, text.p[i] == '\r' || text.p[i] == '\n' ? '?' : text.p[i]);
    buf_puts(&reply, "\r\n");
}

static void put_integer(struct slice text) {
    char digits[32];
    (void)snprintf(digits, sizeof(digits), "%.*s", (int)text.n, text.p);
    buf_printf(&reply, ":%lld\r\n", strtoll(digits, NULL, 10));
}

static void put_element(struct slice text) {
    char kind = text.n > 0 ? text.p[0] : '_';
    (void)fuzz_byte(&text);
    switch (kind) {
    case '$':
        buf_printf(&reply, "$%zu\r\n", text.n);
        buf_put_slice(&reply, text);
        buf_puts(&reply, "\r\n");
        break;
    case '+':
    case '-':
        put_line(kind, text);
        break;
    case ':':
        put_integer(text);
        break;
    case '[':
        put_inner_array(text);
        break;
    default:
        buf_puts(&reply, "$-1\r\n");
        break;
    }
}

static void hang_up(void) {
    house_hang_up(house);
    store_on_event(house->service.store, EPOLLIN | EPOLLRDHUP | EPOLLHUP, house->service.now);
}

/* Answers the commands that have come. */
static void play_redis(struct slice *script) {
    struct slice words[WORDS_MAX];
    house_listen(house);
    reply.n = 0;
    while (house_command(house, words, WORDS_MAX) > 0) {
        struct slice text = fuzz_part(script, '\xff');
        if (text.n > 0 && text.p[0] == '=')
            buf_put(&reply, text.p + 1, text.n - 1);
        else if (text.n > 0 && text.p[0] == '[')
            put_array((struct slice){text.p + 1, text.n - 1});
        else if (text.n == 1 && text.p[0] == '!') {
            hang_up();
            return;
        } else {
            put_element(text);
        }
    }
    if (house->peer >= 0)
        (void)house_say(house, buf_slice(&reply));
}

/* Until the request's call is back, whatever it takes. */
static void wait_for_call(struct slice *script) {
    struct call *done;
    for (int i = 0; i < STEPS_MAX; i++) {
        play_redis(script);
        done = store_next_done(house->service.store);
        if (done != NULL) {
            need(done == &request.call);
            return;
        }
        house->service.now += 300 * NS_PER_MS;
        store_tick(house->service.store, house->service.now);
    }
    need(!"the call never comes back");
}

/* --- the request -------------------------------------------------------------------------------
 */

static enum step start(struct slice *input) {
    static const char *const methods[] = {"GET",    "HEAD",    "PUT", "PATCH", "POST",
                                          "DELETE", "OPTIONS", "FOO", ""};
    static char length[24];
    struct request_params params = {0};
    params.method = slice_of(methods[fuzz_below(input, 9)]);
    params.target = fuzz_part(input, '\xff');
    struct slice *fields[] = {&params.content_type,    &params.content_encoding,
                              &params.fields.if_match, &params.fields.if_none_match,
                              &params.fields.prefer,   &params.fields.cache_groups};
    for (size_t i = 0; i < 6; i++) {
        struct slice field = fuzz_part(input, '\xff');
        if (field.n > 0)
            *fields[i] = field;
    }
    struct slice body = fuzz_part(input, '\xff');
    (void)snprintf(length, sizeof(length), "%zu", body.n);
    params.content_length = slice_of(length);
    return request_start(&request, &params, body, false);
}

/* As http/encode.c puts it together. */
static void check_answer(void) {
    static struct buf text;
    const struct response *response = &request.response;
    bool head_only = request.method == METHOD_HEAD;
    text.n = 0;
    response_put_head(response, &text);
    if (!head_only) {
        buf_put(&text, response->body.p, response->splice_at);
        buf_put_slice(&text, response->splice);
        buf_put(&text, response->body.p + response->splice_at,
                response->body.n - response->splice_at);
    }
    need(!buf_failed(&text) && !buf_failed(&response->body));
    struct answer answer = answer_check(buf_slice(&text), head_only);
    if (!head_only && slice_eq(answer.type, SLICE("application/json")) && request.route != NULL &&
        strcmp(request.route->name, "raw_get") != 0)
        need(jsontext_check(answer.body, NULL, NULL) == OK);
}

void fuzz_handler(struct slice input) {
    house = house_open("");
    house_connect(house);
    house->said.n = 0;
    if (request.service == NULL)
        request_init(&request, &house->service);
    request_reset(&request);
    enum step step = start(&input);
    /* A batch or a sweep that would go on for ever has a client that has gone. */
    for (int i = 0; step == STEP_WAIT; i++) {
        wait_for_call(&input);
        request.peer_gone = i > COMMANDS_MAX;
        step = request_continue(&request);
        need(i < 3 * COMMANDS_MAX);
    }
    check_answer();
    need(store_next_done(house->service.store) == NULL);
}
