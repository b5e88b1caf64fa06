/* A connection's beginning and its end: see store_impl.h. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "redis/breaker.h"
#include "redis/handshake.h"
#include "redis/store_impl.h"

enum {
    FLAP_MS = 100, /* a connection lost sooner than this after READY is flapping */
    FLAP_DELAY_MS = 50,
};

/* --- the end --------------------------------------------------------------------------------- */

void link_log_fault(struct store *s, enum error e, int64_t now, const char *what) {
    if (log_is_due(&s->fault_logged[e], now))
        log_warning("Redis: %s", what);
}

/* The one place where a wire is closed. */
void link_hang_up(struct store *s, enum error e, int64_t now, const char *what) {
    link_log_fault(s, e, now, what);
    wire_close(&s->wire);
    s->watch = WATCH_NOT;
    bool flapping = s->state == READY && now - s->ready_since < FLAP_MS * NS_PER_MS;
    s->connect_after = flapping ? now + FLAP_DELAY_MS * NS_PER_MS : now;
    s->state = CLOSED;
    s->reason = e;
    s->leave_when_idle = s->readable = false;
    atomic_store_explicit(&s->row->redis_ready, 0, memory_order_relaxed);
    outqueue_reset(&s->hello);
}

void link_drop(struct store *s, enum error e, int64_t now, const char *what) {
    link_hang_up(s, e, now, what);
    calls_fail_all(s, e);
}

void link_connect_failed(struct store *s, enum error e, int64_t now, const char *what) {
    stats_add(&s->row->counter[STAT_redis_errors], 1);
    breaker_connect_failed(&s->segment->breaker, e, now);
    atomic_store_explicit(&s->segment->resolve_wanted, 1, memory_order_relaxed);
    link_drop(s, e, now, what);
}

void link_drop_broken(struct store *s, int64_t now, const char *what) {
    if (s->state != READY) {
        link_connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
        return;
    }
    stats_add(&s->row->counter[STAT_redis_errors], 1);
    link_hang_up(s, E_BACKEND_UNAVAILABLE, now, what);
    calls_fail_sent(s, E_BACKEND_UNAVAILABLE);
}

void link_drop_doubtful(struct store *s, int64_t now, const char *what) {
    for (struct call *call = s->done.first; call != NULL; call = call->next)
        if (call->error == OK) {
            call->error = E_BACKEND_UNAVAILABLE;
            call->outcome_known = false;
        }
    link_drop_broken(s, now, what);
}

/* --- the beginning --------------------------------------------------------------------------- */

static void begin_handshake(struct store *s) {
    s->state = HANDSHAKE;
    s->writable = true;
    call_reset(&s->greeting);
    s->greeting.wanted = handshake_put(s->config, &s->hello);
}

/* Whether the name is known well enough to connect; a Unix socket needs none. */
static bool open_wire(struct store *s) {
    char address[SEGMENT_ADDRESS_MAX];
    if (s->config->redis_socket[0] != '\0') {
        s->wire = wire_open_unix(s->config->redis_socket);
        return true;
    }
    if (!segment_read_address(s->segment, s->config->redis_host, address))
        return false;
    s->wire = wire_open_tcp(address, (int)s->config->redis_port);
    return true;
}

static bool watch(struct store *s, enum watch wanted) {
    return watch_set(s->epoll, wire_fd(s->wire), s->tag, &s->watch, wanted);
}

bool link_watch(struct store *s, enum watch wanted, int64_t now) {
    if (watch(s, wanted))
        return true;
    link_drop_broken(s, now, "the connection cannot be watched; is memory out?");
    return false;
}

static void set_up_wire(struct store *s, int64_t now) {
    char what[256];
    bool tcp = s->config->redis_socket[0] == '\0';
    if (s->wire == NULL) {
        link_connect_failed(s, E_OUT_OF_MEMORY, now, "memory is out for a connection");
        return;
    }
    if (wire_fault(s->wire) != NULL) {
        (void)snprintf(what, sizeof(what), "cannot connect: %s", wire_fault(s->wire));
        link_connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
        return;
    }
    if (!watch(s, tcp ? WATCH_WRITE : WATCH_READ)) {
        (void)snprintf(what, sizeof(what), "cannot watch the connection: %s", strerror(errno));
        link_connect_failed(s, E_OUT_OF_MEMORY, now, what);
        return;
    }
    /* A Unix socket is connected or refused at once; a TCP one says so by EPOLLOUT. */
    if (!tcp)
        begin_handshake(s);
}

void link_try(struct store *s, int64_t now) {
    if (s->state == CLOSED) {
        s->state = CONNECTING;
        s->connect_deadline = now + s->config->redis_connect_timeout * NS_PER_MS;
    }
    if (open_wire(s))
        set_up_wire(s, now);
}

void link_try_if_allowed(struct store *s, int64_t now) {
    if (s->state != CLOSED || now < s->connect_after)
        return;
    struct breaker_state *breaker = &s->segment->breaker;
    int64_t lease = 2 * s->config->redis_connect_timeout * NS_PER_MS;
    if (breaker_position(breaker) == BREAKER_CLOSED || breaker_take_probe(breaker, now, lease))
        link_try(s, now);
}

void link_tcp_connected(struct store *s, int64_t now) {
    int error = 0;
    socklen_t length = sizeof(error);
    char what[256];
    if (getsockopt(wire_fd(s->wire), SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    if (error == 0) {
        begin_handshake(s);
        return;
    }
    (void)snprintf(what, sizeof(what), "cannot connect: %s", strerror(error));
    link_connect_failed(s, E_BACKEND_UNAVAILABLE, now, what);
}

/* --- the handshake --------------------------------------------------------------------------- */

static void count_ready(struct store *s) {
    stats_add(&s->row->counter[STAT_redis_connects], 1);
    if (s->ever_ready)
        stats_add(&s->row->counter[STAT_redis_reconnects], 1);
    s->ever_ready = true;
    atomic_store_explicit(&s->row->redis_ready, 1, memory_order_relaxed);
}

static void note_scripts(struct store *s, const struct handshake_result *result, int64_t now) {
    char what[320];
    if (result->scripts_fault[0] == '\0')
        return;
    (void)snprintf(
        what, sizeof(what),
        "takes no scripts (%s): DELETE of a key, conditional requests, tags and counters "
        "fail; allow this user +script|load +evalsha +eval",
        result->scripts_fault);
    link_log_fault(s, E_BACKEND_REFUSED, now, what);
}

static void note_policy(struct store *s, const struct handshake_result *result) {
    uint32_t before = atomic_exchange_explicit(
        &s->segment->policy_refused, result->policy_refused ? 1 : 0, memory_order_relaxed);
    if (result->policy_refused && before == 0)
        log_warning("Redis keeps its own eviction settings (%s); to let max_memory_policy and "
                    "max_memory apply, allow this user CONFIG SET",
                    result->fault);
}

/* A refusal counts at once, since Redis may close without the other replies. */
void link_step_handshake(struct store *s, bool whole, int64_t now) {
    struct handshake_result result;
    char what[320];
    enum error e = handshake_check(s->config, &s->greeting.replies, &result);
    if (e == E_AGAIN && !whole)
        return;
    if (e != OK) {
        (void)snprintf(what, sizeof(what), "the handshake failed: %s", result.fault);
        link_connect_failed(s, e, now, what);
        return;
    }
    s->state = READY;
    s->reason = OK;
    s->ready_since = s->last_reply = s->pinged = now;
    s->unproved = 0;
    breaker_close(&s->segment->breaker);
    count_ready(s);
    note_policy(s, &result);
    note_scripts(s, &result, now);
    log_info("connected to Redis %s", result.version);
}
