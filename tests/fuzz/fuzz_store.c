/*
 * The store with several calls outstanding, and everything that can happen to its connection. Each
 * command has a number of its own, and the Redis here, which is otherwise a good one, answers with
 * that number. Then a call must never get another number than its own, whatever is cut, late, lost
 * or too much; each call that was committed comes back once; and one that is told that nothing was
 * done had none of its commands arrive.
 *
 * An input is a list of acts, a byte each, some with bytes behind them.
 */
#include <sys/epoll.h>

#include "base/clock.h"
#include "fuzz.h"
#include "house.h"

enum { CALLS = 6, COMMANDS_MAX = 4, WORDS_MAX = 8, ACTS_MAX = 200, QUEUE_MAX = 512 };

struct asked {
    struct call call;
    unsigned first; /* number of its first command */
    unsigned count;
    unsigned arrived;   /* commands of it that Redis has seen, whole */
    bool out;           /* committed, and not back */
    bool any_bytes_bad; /* Redis lied while it was out */
};

static struct asked calls[CALLS];
static unsigned next_number;
/* Numbers that Redis has yet to answer, in a ring; of a PING, with a bit that says so. */
static unsigned answers[QUEUE_MAX];
#define A_PING 0x80000000U
static unsigned answer_first, answer_last;
static bool lied;   /* Redis has sent on this connection what it should not have */
static bool greets; /* Redis has yet to answer the handshake */
static struct house *house;

static struct asked *owner_of(unsigned number) {
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].out && number >= calls[i].first && number - calls[i].first < calls[i].count)
            return &calls[i];
    return NULL;
}

/* --- coming back -------------------------------------------------------------------------------
 */

static void check_replies(const struct asked *a) {
    const struct reply *r = replies_get(&a->call.replies, 0);
    for (unsigned i = 0; i < a->count; i++, r = replies_next(&a->call.replies, r)) {
        need(r != NULL);
        if (a->any_bytes_bad)
            continue;
        need(r->type == REPLY_INTEGER && r->integer == (int64_t)(a->first + i));
    }
    need(r == NULL);
}

static void take_back(void) {
    struct call *call;
    while ((call = store_next_done(house->service.store)) != NULL) {
        struct asked *a = (struct asked *)(void *)call;
        need(a >= calls && a < calls + CALLS && a->out);
        a->out = false;
        if (call->error == OK)
            check_replies(a);
        else if (call->outcome_known && !a->any_bytes_bad)
            need(a->arrived == 0);
    }
}

/* --- Redis -------------------------------------------------------------------------------------
 */

/* The commands that have come. */
static void note_commands(void) {
    struct slice words[WORDS_MAX];
    size_t n;
    while ((n = house_command(house, words, WORDS_MAX)) > 0) {
        if (greets)
            continue;
        need(n == 2);
        unsigned number = (unsigned)strtoul(words[1].p, NULL, 10);
        bool pings = slice_eq(words[0], SLICE("PING"));
        struct asked *a = pings ? NULL : owner_of(number);
        if (a != NULL)
            a->arrived++;
        need(answer_last - answer_first < QUEUE_MAX);
        answers[answer_last++ % QUEUE_MAX] = pings ? number | A_PING : number;
    }
}

static void hear(void) {
    house_listen(house);
    note_commands();
}

static void say(struct slice bytes) {
    if (house->peer >= 0)
        (void)house_say(house, bytes);
    take_back();
}

/* `part`: so many bytes of the next answer come alone, before the rest of it. */
static void answer_next(unsigned part) {
    char text[64];
    hear();
    if (greets || answer_first == answer_last)
        return;
    unsigned number = answers[answer_first++ % QUEUE_MAX];
    int n = snprintf(text, sizeof(text), ":%u\r\n", number);
    if ((number & A_PING) != 0) {
        char digits[16];
        int length = snprintf(digits, sizeof(digits), "%u", number & ~A_PING);
        n = snprintf(text, sizeof(text), "$%d\r\n%s\r\n", length, digits);
    }
    size_t first = part < (size_t)n ? part : (size_t)n;
    say((struct slice){text, first});
    say((struct slice){text + first, (size_t)n - first});
}

static void mark_lied(void) {
    lied = true;
    for (size_t i = 0; i < CALLS; i++)
        calls[i].any_bytes_bad = true;
}

static void begin_connection(void) {
    if (!house_accept(house))
        return;
    answer_first = answer_last = 0;
    lied = false;
    greets = true;
}

static void greet(void) {
    if (!greets)
        return;
    hear();
    greets = false;
    (void)house_greet(house);
    take_back();
    /* Whatever it had half sent belongs to no command of ours. */
    answer_first = answer_last = 0;
}

/* An answer too many, when nothing that was asked is unanswered: the connection must end, and not
 * be taken for the answer to what is about to be asked. */
static void say_too_much(void) {
    house_read(house);
    note_commands();
    if (house->peer < 0 || greets || lied || answer_first != answer_last ||
        !store_get_status(house->service.store).ready)
        return;
    say(SLICE(":4294967295\r\n"));
    need(!store_get_status(house->service.store).ready);
}

/* --- acts --------------------------------------------------------------------------------------
 */

static void ask(struct slice *input) {
    struct asked *a = &calls[fuzz_below(input, CALLS)];
    struct store *store = house->service.store;
    unsigned count = 1 + fuzz_below(input, COMMANDS_MAX);
    if (a->out || store_begin(store, &a->call, house->service.now) != OK)
        return;
    a->first = next_number;
    a->count = count;
    a->arrived = 0;
    a->out = true;
    a->any_bytes_bad = lied;
    for (unsigned i = 0; i < count; i++) {
        char number[16];
        int n = snprintf(number, sizeof(number), "%u", next_number++);
        store_append(store, &a->call, (struct slice[]){SLICE("GET"), {number, (size_t)n}}, 2);
    }
    store_commit(store, &a->call, house->service.now);
}

static void tick(int64_t ms) {
    house->service.now += ms * NS_PER_MS;
    store_tick(house->service.store, house->service.now);
    take_back();
    begin_connection();
}

static void lie(struct slice *input) {
    unsigned n = fuzz_byte(input) % 24;
    n = n < input->n ? n : (unsigned)input->n;
    if (n == 0 || house->peer < 0)
        return;
    mark_lied();
    struct slice bytes = {input->p, n};
    *input = (struct slice){input->p + n, input->n - n};
    say(bytes);
}

static void hang_up(void) {
    if (house->peer < 0)
        return;
    hear();
    house_hang_up(house);
    store_on_event(house->service.store, EPOLLIN | EPOLLRDHUP | EPOLLHUP, house->service.now);
    take_back();
}

static void act(struct slice *input) {
    switch (fuzz_below(input, 12)) {
    case 0:
    case 1:
        ask(input);
        break;
    case 2:
        store_flush(house->service.store, house->service.now);
        take_back();
        break;
    case 3:
    case 4:
        answer_next(fuzz_byte(input) % 8);
        break;
    case 5:
        tick(1);
        break;
    case 6:
        tick((int64_t)fuzz_byte(input) * 4);
        break;
    case 7:
        hang_up();
        break;
    case 8:
        begin_connection();
        greet();
        break;
    case 9:
        lie(input);
        break;
    case 10:
        say_too_much();
        break;
    case 11:
        store_distrust(house->service.store, house->service.now);
        take_back();
        break;
    default:
        break;
    }
    need(store_next_deadline(house->service.store, house->service.now) > 0);
}

static bool anybody_waits(void) {
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].out)
            return true;
    return false;
}

void fuzz_store(struct slice input) {
    house = house_open("");
    house_renew(house);
    next_number = 1;
    answer_first = answer_last = 0;
    lied = greets = false;
    if (fuzz_below(&input, 4) > 0) {
        tick(0);
        greet();
        need(store_get_status(house->service.store).ready);
    }
    for (int i = 0; i < ACTS_MAX && input.n > 0; i++)
        act(&input);
    /* In the end everybody is told. */
    for (int i = 0; i < 20 && anybody_waits(); i++)
        tick(500);
    for (size_t i = 0; i < CALLS; i++) {
        need(!calls[i].out);
        call_release(&calls[i].call);
    }
}
