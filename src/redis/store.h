/*
 * The store: one worker's one connection to Redis. Requests append commands, the round writes them
 * all in one go, and replies are handed back in order, each to the call that asked for it. Nothing
 * here waits: the descriptor is in the worker's epoll set.
 *
 * How a client never gets another key's value: replies belong to calls by order alone, so whatever
 * makes the order doubtful (a deadline, a surplus byte, a protocol error, EOF) ends the connection,
 * and every call that was waiting on it fails. A context is never reused.
 */
#ifndef LARDER_REDIS_STORE_H
#define LARDER_REDIS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/error.h"
#include "base/segment.h"
#include "base/slice.h"
#include "redis/call.h"

struct store;

/* What the worker needs to know of the connection, for /health and /stats. */
struct store_status {
    bool ready;          /* a handshake succeeded on the present connection */
    bool connecting;     /* one is being made: what is committed now waits for it */
    enum error reason;   /* why it is not ready; OK when ready */
    int64_t last_reply;  /* clock_monotonic; 0: none yet */
    bool policy_refused; /* Redis refused CONFIG SET at the present connection's handshake */
};

/* Allocates a store in the present process; it must not be carried across a fork. `epoll` is where
 * it registers its descriptor, with `tag` as the event's data. All pointers stay the caller's.
 * NULL when memory is out. */
struct store *store_open(const struct config *config, struct segment *segment,
                         struct stats_row *row, int epoll, void *tag);
void store_close(struct store **store);

/* Starts a call. E_BACKEND_*: Redis is known to be away, answer so at once; nothing may be appended
 * then. OK: append, then commit, without another call's begin in between. */
LARDER_MUST_CHECK enum error store_begin(struct store *store, struct call *call, int64_t now);

/* Appends one command. Arguments above 64 KiB are not copied: they must stay where they are until
 * the call is done. */
void store_append(struct store *store, struct call *call, const struct slice *args, size_t n);

/* Queues the call with its deadline. After this it comes back through store_next_done, whatever
 * happens. */
void store_commit(struct store *store, struct call *call, int64_t now);

/* Writes what is waiting. */
void store_flush(struct store *store, int64_t now);

/* The descriptor reported `events` (EPOLL*): connect, read, parse. */
void store_on_event(struct store *store, uint32_t events, int64_t now);

/* Deadlines, reconnecting, keep-alive pings. Call once a turn; cheap when nothing is due. */
void store_tick(struct store *store, int64_t now);

/* When store_tick next has something to do (clock_monotonic). */
int64_t store_next_deadline(const struct store *store, int64_t now);

/* The next call that is complete or failed; NULL if none. */
struct call *store_next_done(struct store *store);

/* A reply made no sense for its command: replies may have come apart from their calls, so the
 * connection ends, and every call fails that still waits on it or was not yet handed back. */
void store_distrust(struct store *store, int64_t now);

struct store_status store_get_status(const struct store *store);

/* Bytes of commands that wait to be written. */
size_t store_unsent_bytes(const struct store *store);

/* Whether Redis has as much to do as it should have at once, by the commands that it has not taken
 * yet and by the replies that are to come, which are thought to be as large as those of late. A
 * Redis that is asked for more than that at once works it all out before it says anything, and
 * every deadline passes. */
bool store_is_full(const struct store *store);

#endif
