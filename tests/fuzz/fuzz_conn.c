/*
 * Whole connections: a web server's bytes, in pieces, through framer, libfcgi, router, handlers and
 * encoder, with a Redis that has an entry for every key: its value is the key. So an answer that is
 * another request's would show it.
 *
 * An input is a byte that says how it is cut, then parts: what is sent on each of up to three
 * connections, with the four bytes FF FF FF FF between them. The first is served alone, the others
 * at the same time.
 */
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"
#include "base/clock.h"
#include "base/jsontext.h"
#include "fuzz.h"
#include "house.h"
#include "http/fcgi.h"
#include "process/round.h"

enum { PEERS = 3, WORDS_MAX = 200, EVENTS_MAX = 32, TURNS_MAX = 10000, READ_BYTES = 65536 };

struct peer {
    int fd; /* -1: none */
    struct slice unsent;
    struct buf got;
};

static struct house *house;
static struct round r;
static struct peer peers[PEERS];
static struct buf replies;

/* --- Redis -------------------------------------------------------------------------------------
 */

static bool is_word(struct slice word, const char *text) {
    return slice_eq(word, slice_of(text));
}

static void put_bytes(struct slice bytes) {
    buf_printf(&replies, "$%zu\r\n", bytes.n);
    buf_put_slice(&replies, bytes);
    buf_puts(&replies, "\r\n");
}

static void put_reply(const struct slice *words, size_t n) {
    static struct buf value;
    if (n > 1 && (is_word(words[0], "GET") || is_word(words[0], "GETRANGE"))) {
        value.n = 0;
        jsontext_put_string(&value, words[1]);
        put_bytes(buf_slice(&value));
    } else if (is_word(words[0], "PTTL")) {
        buf_puts(&replies, ":60000\r\n");
    } else if (is_word(words[0], "SCAN")) {
        buf_puts(&replies, "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    } else if (is_word(words[0], "SET") || is_word(words[0], "FLUSHDB")) {
        buf_puts(&replies, "+OK\r\n");
    } else if (is_word(words[0], "INFO")) {
        put_bytes(SLICE("used_memory:1024\r\nused_memory_human:1.00K\r\n"));
    } else if (is_word(words[0], "TIME")) {
        buf_puts(&replies, "*2\r\n$10\r\n1700000000\r\n$1\r\n5\r\n");
    } else {
        buf_puts(&replies, ":1\r\n");
    }
}

static void play_redis(void) {
    struct slice words[WORDS_MAX];
    size_t n;
    (void)house_welcome(house);
    house_listen(house);
    replies.n = 0;
    while ((n = house_command(house, words, WORDS_MAX)) > 0)
        put_reply(words, n);
    if (replies.n > 0 && house->peer >= 0)
        (void)house_say(house, buf_slice(&replies));
}

/* --- the worker's turn -------------------------------------------------------------------------
 */

static bool look(void) {
    struct epoll_event events[EVENTS_MAX];
    int n = epoll_wait(house->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr == &house->listener)
            store_on_event(house->service.store, events[i].events, house->service.now);
        else
            round_on_event(&r, events[i].data.ptr, events[i].events);
    return n > 0;
}

static void pass(int64_t ms) {
    r.service.now = house->service.now += ms * NS_PER_MS;
    store_tick(house->service.store, house->service.now);
}

/* False: nothing is to be done. While requests wait there is: time passes, where Redis was given up
 * and is connected to anew. */
static bool turn(void) {
    uint64_t answered = r.answered;
    bool events = look();
    round_scatter(&r);
    round_gather(&r);
    if (r.in_flight > 0)
        play_redis();
    round_scatter(&r);
    round_end_turn(&r);
    if (r.in_flight > 0 && !events)
        pass(20);
    return events || round_has_work(&r) || r.answered != answered || r.in_flight > 0;
}

/* --- the web server's end ----------------------------------------------------------------------
 */

static void open_peer(struct peer *peer, struct slice bytes) {
    int pair[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    peer->fd = pair[0];
    peer->unsent = bytes;
    peer->got.n = 0;
    round_add(&r, pair[1]);
}

static void send_some(struct peer *peer, size_t most) {
    size_t n = peer->unsent.n < most ? peer->unsent.n : most;
    if (peer->fd < 0 || n == 0)
        return;
    ssize_t sent = send(peer->fd, peer->unsent.p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* Whoever was hung up on has no more to say. */
    n = sent < 0 ? peer->unsent.n : (size_t)sent;
    peer->unsent = (struct slice){peer->unsent.p + n, peer->unsent.n - n};
}

static void receive(struct peer *peer) {
    ssize_t n = 1;
    while (peer->fd >= 0 && n > 0) {
        need(buf_reserve(&peer->got, READ_BYTES));
        n = recv(peer->fd, peer->got.p + peer->got.n, READ_BYTES, MSG_DONTWAIT);
        peer->got.n += n > 0 ? (size_t)n : 0;
    }
}

/* The value of an entry is the key that it was asked for by. */
static void check_own(const struct answer *answer) {
    struct slice key = answer_member(answer, "key");
    struct slice value = answer_member(answer, "value");
    if (answer->status != 200 || key.n == 0 || value.n == 0 || value.p[0] != '"')
        return;
    need(slice_eq(key, value));
}

static void check_answer(struct slice text) {
    bool bodiless = text.n >= 4 && memcmp(text.p + text.n - 4, "\r\n\r\n", 4) == 0;
    struct answer answer = answer_check(text, bodiless);
    if (!bodiless && slice_eq(answer.type, SLICE("application/json")))
        check_own(&answer);
}

/* FastCGI 1.0: STDOUT until it is empty, then the end; gives how many answers there are. */
static unsigned check_answers(struct slice bytes) {
    static struct buf text;
    unsigned answers = 0;
    text.n = 0;
    while (bytes.n >= 8) {
        const unsigned char *h = (const unsigned char *)bytes.p;
        struct slice content = {bytes.p + 8, (size_t)(h[4] << 8 | h[5])};
        if (bytes.n < 8 + content.n + h[6])
            break;
        need(h[0] == 1 && (h[1] == 6 || h[1] == 3));
        if (h[1] == 6) {
            buf_put_slice(&text, content);
        } else {
            static const char complete[8];
            need(content.n == 8 && memcmp(content.p, complete, 8) == 0);
            check_answer(buf_slice(&text));
            text.n = 0;
            answers++;
        }
        bytes = (struct slice){content.p + content.n + h[6], bytes.n - 8 - content.n - h[6]};
    }
    return answers;
}

/* --- what must be answered ---------------------------------------------------------------------
 */

/* A record of this type and id (0: any) at the front, whole; gives its id, or 0. */
static unsigned take_record(struct slice *rest, unsigned type, unsigned id, struct slice *content) {
    const unsigned char *h = (const unsigned char *)rest->p;
    if (rest->n < 8 || h[0] != 1 || h[1] != type)
        return 0;
    unsigned got = (unsigned)(h[2] << 8 | h[3]);
    size_t n = (size_t)(h[4] << 8 | h[5]);
    if ((id != 0 && got != id) || rest->n < 8 + n + h[6])
        return 0;
    *content = (struct slice){rest->p + 8, n};
    *rest = (struct slice){rest->p + 8 + n + h[6], rest->n - 8 - n - h[6]};
    return got;
}

static bool take_stream(struct slice *rest, unsigned type, unsigned id, struct buf *out) {
    struct slice content;
    out->n = 0;
    while (take_record(rest, type, id, &content) != 0) {
        if (content.n == 0)
            return true;
        buf_put_slice(out, content);
    }
    return false;
}

static size_t take_length(struct slice *rest) {
    size_t n = fuzz_byte(rest);
    for (int i = 0; n >= 128 && i < 3; i++)
        n = n << 8 | fuzz_byte(rest);
    return n & 0x7FFFFFFF;
}

/* Lengths that don't lie; of more parameters than there may be, those that may. */
static bool params_are_fine(struct slice rest) {
    for (int count = 0; rest.n > 0 && count < FRAMER_PARAM_COUNT_MAX; count++) {
        size_t lengths = 0;
        for (int i = 0; i < 2; i++) {
            size_t bytes = rest.n > 0 && (unsigned char)rest.p[0] >= 128 ? 4 : 1;
            if (rest.n < bytes)
                return false;
            lengths += take_length(&rest);
        }
        if (lengths > rest.n)
            return false;
        rest = (struct slice){rest.p + lengths, rest.n - lengths};
    }
    return true;
}

/* The requests on a connection that are whole, up to one that isn't well-formed or is the last. */
static unsigned count_requests(struct slice bytes) {
    static struct buf stream;
    unsigned requests = 0;
    for (;;) {
        struct slice begin;
        unsigned id = take_record(&bytes, 1, 0, &begin);
        if (id == 0 || begin.n != 8 || begin.p[0] != 0 || begin.p[1] != 1 ||
            !take_stream(&bytes, 4, id, &stream) || !params_are_fine(buf_slice(&stream)) ||
            !take_stream(&bytes, 5, id, &stream))
            return requests;
        requests++;
        if ((begin.p[2] & 1) == 0)
            return requests;
    }
}

static void serve(size_t first, size_t count, size_t step) {
    bool more = true;
    for (int i = 0; more && i < TURNS_MAX; i++) {
        more = false;
        for (size_t k = first; k < first + count; k++) {
            send_some(&peers[k], step);
            more = more || peers[k].unsent.n > 0;
        }
        more = turn() || more;
        for (size_t k = first; k < first + count; k++)
            receive(&peers[k]);
    }
}

/* --- an input ----------------------------------------------------------------------------------
 */

static struct slice take_part(struct slice *input) {
    const char *end = input->n > 0 ? memmem(input->p, input->n, "\xff\xff\xff\xff", 4) : NULL;
    size_t n = end != NULL ? (size_t)(end - input->p) : input->n;
    size_t used = end != NULL ? n + 4 : n;
    struct slice part = {input->p, n};
    *input = (struct slice){input->p + used, input->n - used};
    return part;
}

static void begin(void) {
    static bool set_up;
    house = house_open("");
    house_connect(house);
    house->said.n = 0;
    if (!set_up)
        need(fcgi_setup() == OK);
    if (!set_up || r.service.store != house->service.store)
        round_init(&r, house->service, house->epoll);
    set_up = true;
}

/* Everybody hangs up, and nothing is left of them. */
static void end(void) {
    for (size_t k = 0; k < PEERS; k++) {
        if (peers[k].fd >= 0)
            (void)close(peers[k].fd);
        peers[k].fd = -1;
    }
    for (int i = 0; i < TURNS_MAX && (turn() || r.connections > 0); i++) {
        pass(2000);
        round_tick(&r);
    }
    need(r.connections == 0 && r.in_flight == 0 && r.conns == NULL && r.ready.first == NULL &&
         r.held[SHARE_REDIS].first == NULL);
}

void fuzz_conn(struct slice input) {
    unsigned how = fuzz_byte(&input);
    size_t step = how % 4 == 0 ? SIZE_MAX : 1 + how;
    struct slice parts[PEERS];
    begin();
    for (size_t k = 0; k < PEERS; k++) {
        parts[k] = take_part(&input);
        peers[k].fd = -1;
        peers[k].unsent.n = 0;
        peers[k].got.n = 0;
    }
    open_peer(&peers[0], parts[0]);
    serve(0, 1, step);
    if (parts[1].n > 0 || parts[2].n > 0) {
        open_peer(&peers[1], parts[1]);
        open_peer(&peers[2], parts[2]);
        serve(1, 2, step);
    }
    for (size_t k = 0; k < PEERS; k++)
        need(check_answers(buf_slice(&peers[k].got)) == count_requests(parts[k]));
    end();
}
