/* A client: one connection to the web server, one request at a time on it. */
#ifndef VERIFY_CLIENT_H
#define VERIFY_CLIENT_H

#include "request.h"

enum client_state {
    CLIENT_IDLE,       /* may send the next request */
    CLIENT_CONNECTING, /* the rest: with a request under way */
    CLIENT_SENDING,
    CLIENT_WAITING,
};

enum client_result {
    CLIENT_BUSY,     /* nothing yet */
    CLIENT_ANSWERED, /* `answer` is whole, until the next request */
    CLIENT_FAILED,   /* `failure` says how; the connection is closed */
    CLIENT_SURPLUS,  /* something came though nothing was asked; the connection is closed */
};

struct client {
    int fd; /* -1: not connected */
    int epoll;
    uint32_t port;
    enum client_state state;
    enum failure failure;
    bool kept; /* the connection has served a request before */
    bool wants_out;
    struct request request;
    size_t sent;
    struct bytes in;
    struct answer answer;
    int64_t begun;      /* the request, ns */
    int64_t not_before; /* the next one, ns */
    uint32_t number;
    uint32_t prepared; /* own keys that have been written */
    uint32_t tries;    /* to write the next */
};

void client_init(struct client *c, uint32_t number, int epoll, uint32_t port);
void client_fini(struct client *c);

/* Sends what request_make has put into `request`. */
enum client_result client_start(struct client *c, int64_t now);

/* epoll reports something of its connection. */
enum client_result client_on_event(struct client *c, uint32_t events);

/* Gives up the request under way. */
enum client_result client_give_up(struct client *c, enum failure failure);

/* To be called after CLIENT_ANSWERED, when the answer is done with. False if more came than that.
 */
bool client_rest(struct client *c);

#endif
