/*
 * A web server's end of a FastCGI connection, played by the test itself in the same process. It
 * never waits.
 */
#ifndef LARDER_TESTS_WEB_PEER_H
#define LARDER_TESTS_WEB_PEER_H

#include <stdbool.h>

#include "base/buf.h"
#include "records.h"

struct web_peer {
    int fd;
    struct buf got; /* what came and was not looked at yet */
};

/* Makes the connection and gives the service's end, which is the caller's. */
int web_peer_setup(struct web_peer *p);
void web_peer_teardown(struct web_peer *p);

/* All of it, at once. */
void web_peer_send(struct web_peer *p, struct slice bytes);
void web_peer_request(struct web_peer *p, const struct web_request *request);

/* Takes the next answer, to be freed with records_free_answer; false if it is not whole yet. */
bool web_peer_answer(struct web_peer *p, unsigned id, struct web_answer *answer);

/* Nothing came that was not looked at. */
bool web_peer_is_quiet(struct web_peer *p);

/* The service has closed the connection, and nothing is left to read. */
bool web_peer_was_left(struct web_peer *p);

void web_peer_hang_up(struct web_peer *p);

#endif
