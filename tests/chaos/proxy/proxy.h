/*
 * larder-faults: stands between a worker and Redis, passes everything on, and does to it what it is
 * told to. One thread, one epoll loop, libc alone.
 *
 *     proxy.c    options, the loop
 *     listen.c   the socket in front, and the ways in which it lets nobody in
 *     control.c  the commands
 *     modes.c    the faults, one table
 *     link.c     a connection: two flows, and what waits in them
 *     resp.c     where a reply ends
 */
#ifndef LARDER_PROXY_H
#define LARDER_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "resp.h"

enum { TEXT_MAX = 512, ADDRESS_MAX = 108, NUMBERS_MAX = 2, NS_PER_MS = 1000000 };

struct mode;

/* What is done to one direction. */
struct setting {
    const struct mode *mode;
    uint64_t number[NUMBERS_MAX];
    char text[TEXT_MAX];
};

enum direction { REPLIES, REQUESTS, DIRECTIONS };

struct buffer {
    char *p;
    size_t n, size;
};

struct link;
struct chunk;

/* Bytes on their way from one end to the other. */
struct flow {
    struct link *link;
    enum direction direction;
    int from, to;
    struct resp resp;
    bool passing;         /* the present value's beginning has gone on: so does the rest */
    struct buffer part;   /* else its bytes so far, while a mode wants it whole */
    struct buffer aside;  /* what a mode keeps for later */
    size_t aside_first;   /* ... of which so much is the first value */
    struct chunk *chunks; /* what waits, in order */
    struct chunk *last;
    size_t queued;    /* their memory */
    bool blocked;     /* the socket takes no more at the moment */
    bool ended;       /* nothing more comes */
    bool lossy;       /* bytes were swallowed */
    uint64_t values;  /* since the mode was set */
    uint64_t bytes;   /* ... likewise */
    int64_t released; /* for modes with a clock: when the last byte so far goes on */
};

/* One of a link's two sockets; what an event's data points to. */
struct end {
    struct link *link;
    int fd;
    uint32_t watched;
};

struct link {
    struct proxy *proxy;
    struct link *next;
    struct end client, redis;
    struct flow flow[DIRECTIONS];
    bool dead; /* freed at the end of the turn */
};

struct proxy {
    char listen[ADDRESS_MAX], connect[ADDRESS_MAX], control[ADDRESS_MAX];
    int epoll, listener, control_listener, controller, signals;
    int fillers[8]; /* connections of our own that fill the backlog */
    struct setting setting[DIRECTIONS];
    struct link *links;
    int64_t now; /* CLOCK_MONOTONIC, ns: the turn's */
    uint64_t seed;
    bool stopping;
    struct {
        uint64_t connections, refused, bytes[DIRECTIONS], values[DIRECTIONS], faults;
    } stats;
};

/* --- proxy.c --- */

/* Ends the process with a message; errno is added if it is set. */
__attribute__((noreturn, format(printf, 1, 2))) void proxy_die(const char *format, ...);

/* Pseudo-random, of the seed. */
uint64_t proxy_random(struct proxy *proxy);

/* --- listen.c --- */

/* How the socket in front meets who connects. */
enum listening {
    LISTENING,     /* as it should */
    NOT_LISTENING, /* ECONNREFUSED */
    HANGING_UP,    /* accepts and closes */
    NOT_ACCEPTING, /* the backlog is full */
};

/* Whether a path is meant, or HOST:PORT. */
bool address_is_path(const char *address);

/* A socket that listens there. Ends the process if it can't. */
int listen_open(const char *address, int backlog);

/* Makes the socket in front be as `how` says. */
void listen_as(struct proxy *proxy, enum listening how);

/* Lets in who waits there. */
void listen_accept(struct proxy *proxy);

/* --- control.c --- */

/* Accepts one who gives commands, in place of the one before. */
void control_accept(struct proxy *proxy);

/* Reads commands, carries them out, answers each with a line. */
void control_read(struct proxy *proxy);

/* --- modes.c --- */

enum { MODE_COUNT = 19 };

struct mode {
    const char *name;
    const char *arguments; /* as one types them */
    unsigned least, most;  /* numbers it takes */
    bool takes_text;
    enum listening listening;
    /* The first is given whole values, the other bytes as they come; one of them is there. */
    void (*on_value)(struct flow *flow, char *p, size_t n);
    void (*on_bytes)(struct flow *flow, char *p, size_t n);
    const char *help;
};

extern const struct mode modes[MODE_COUNT];

/* NULL: there is none of that name. */
const struct mode *mode_find(const char *name);

/* --- link.c --- */

/* Takes a connection that was accepted; without Redis it is closed at once. */
void link_open(struct proxy *proxy, int client);

/* An event at one of a link's sockets. */
void link_on_event(struct end *end, uint32_t events);

/* Sends what is due on every link, and frees those that are over. */
void links_turn(struct proxy *proxy);

/* When something is due next (CLOCK_MONOTONIC, ns); INT64_MAX: nothing waits. */
int64_t links_due(const struct proxy *proxy);

/* The direction's mode is another from now on: what was held back goes on. */
void links_changed(struct proxy *proxy, enum direction direction);

/* Ends all of them. */
void links_cut(struct proxy *proxy);

/* The setting that holds for the flow. */
const struct setting *flow_setting(const struct flow *flow);

/* Sends on, as soon as possible or when it is time. */
void flow_send(struct flow *flow, const char *p, size_t n);
void flow_send_at(struct flow *flow, const char *p, size_t n, int64_t due);

/* Keeps bytes aside. */
void flow_keep(struct flow *flow, const char *p, size_t n);

/* Ends the link: `reset` with a RST where the kind of socket has one, and what waits is lost. */
void flow_end_link(struct flow *flow, bool reset);

/* Something was done to the bytes. */
void flow_count_fault(struct flow *flow);

#endif
