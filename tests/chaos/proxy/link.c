/* A connection through the proxy: see proxy.h. */
#include "proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 65536,
    QUEUED_MAX = 4 << 20, /* what waits in a flow before no more is read */
};

struct chunk {
    struct chunk *next;
    int64_t due;
    size_t n, sent;
    char bytes[];
};

static char input[READ_BYTES];

/* --- buffers --------------------------------------------------------------------------------- */

static void buffer_put(struct buffer *b, const char *p, size_t n) {
    if (n > b->size - b->n) {
        b->size = 2 * (b->n + n);
        b->p = realloc(b->p, b->size);
        if (b->p == NULL)
            proxy_die("memory is out");
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void drop_chunks(struct flow *f) {
    while (f->chunks != NULL) {
        struct chunk *chunk = f->chunks;
        f->chunks = chunk->next;
        free(chunk);
    }
    f->last = NULL;
    f->queued = 0;
}

static void queue(struct flow *f, const char *p, size_t n, int64_t due) {
    struct chunk *chunk = malloc(sizeof(*chunk) + n);
    if (chunk == NULL)
        proxy_die("memory is out");
    *chunk = (struct chunk){.due = due, .n = n};
    memcpy(chunk->bytes, p, n);
    if (f->chunks == NULL)
        f->chunks = chunk;
    else
        f->last->next = chunk;
    f->last = chunk;
    f->queued += sizeof(*chunk) + n;
}

/* --- sending --------------------------------------------------------------------------------- */

const struct setting *flow_setting(const struct flow *f) {
    return &f->link->proxy->setting[f->direction];
}

/* Gives how much the socket took. Whoever has gone away gets nothing more: all of it is "sent". */
static size_t send_some(struct flow *f, const char *p, size_t n) {
    ssize_t sent = send(f->to, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0)
        return (size_t)sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return 0;
    return n;
}

static void send_chunks(struct flow *f) {
    int64_t now = f->link->proxy->now;
    while (f->chunks != NULL && f->chunks->due <= now) {
        struct chunk *chunk = f->chunks;
        chunk->sent += send_some(f, chunk->bytes + chunk->sent, chunk->n - chunk->sent);
        f->blocked = chunk->sent < chunk->n;
        if (f->blocked)
            return;
        f->chunks = chunk->next;
        f->queued -= sizeof(*chunk) + chunk->n;
        free(chunk);
    }
}

void flow_send_at(struct flow *f, const char *p, size_t n, int64_t due) {
    size_t sent = 0;
    if (n == 0)
        return;
    if (f->chunks == NULL && due <= f->link->proxy->now) {
        sent = send_some(f, p, n);
        f->blocked = sent < n;
    }
    if (sent < n)
        queue(f, p + sent, n - sent, due);
}

void flow_send(struct flow *f, const char *p, size_t n) {
    flow_send_at(f, p, n, 0);
}

void flow_keep(struct flow *f, const char *p, size_t n) {
    buffer_put(&f->aside, p, n);
}

void flow_count_fault(struct flow *f) {
    f->link->proxy->stats.faults++;
}

void flow_end_link(struct flow *f, bool reset) {
    struct link *link = f->link;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (reset) {
        /* On a Unix socket this does nothing; there, what was not read makes a close a reset. */
        (void)setsockopt(link->client.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        drop_chunks(&link->flow[REPLIES]);
        link->dead = true;
    }
    f->ended = true;
}

/* --- taking ---------------------------------------------------------------------------------- */

static void track(struct flow *f, const char *p, size_t n) {
    bool whole;
    while (n > 0) {
        size_t used = resp_scan(&f->resp, p, n, &whole);
        f->link->proxy->stats.values[f->direction] += whole ? 1 : 0;
        p += used;
        n -= used;
    }
    f->passing = resp_is_inside(&f->resp);
}

static void give_value(struct flow *f, char *p, size_t n) {
    f->values++;
    f->link->proxy->stats.values[f->direction]++;
    flow_setting(f)->mode->on_value(f, p, n);
}

/* Cuts the bytes into values for the mode. What belongs to one whose beginning has gone goes, too.
 */
static void cut(struct flow *f, char *p, size_t n) {
    while (n > 0) {
        bool whole;
        size_t used = resp_scan(&f->resp, p, n, &whole);
        if (f->passing) {
            flow_send(f, p, used);
            f->passing = !whole;
        } else if (whole && f->part.n == 0) {
            give_value(f, p, used);
        } else {
            buffer_put(&f->part, p, used);
            if (whole) {
                give_value(f, f->part.p, f->part.n);
                f->part.n = 0;
            }
        }
        p += used;
        n -= used;
    }
}

static void take(struct flow *f, char *p, size_t n) {
    const struct mode *mode = flow_setting(f)->mode;
    f->bytes += n;
    f->link->proxy->stats.bytes[f->direction] += n;
    if (mode->on_value != NULL) {
        cut(f, p, n);
        return;
    }
    track(f, p, n);
    mode->on_bytes(f, p, n);
}

static void read_flow(struct flow *f) {
    ssize_t n = recv(f->from, input, sizeof(input), MSG_DONTWAIT);
    if (n > 0)
        take(f, input, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        f->ended = true;
}

/* --- links ----------------------------------------------------------------------------------- */

static int connect_redis(const struct proxy *proxy) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        proxy_die("socket");
    memcpy(address.sun_path, proxy->connect, sizeof(proxy->connect));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Asks epoll for what the flows want of this socket: `in` comes from it, `out` goes to it. */
static void watch(struct end *end, const struct flow *in, const struct flow *out) {
    int64_t now = end->link->proxy->now;
    bool reads = !in->ended && in->queued < QUEUED_MAX;
    bool writes = out->blocked && out->chunks != NULL && out->chunks->due <= now;
    uint32_t wanted = (reads ? (uint32_t)EPOLLIN : 0U) | (writes ? (uint32_t)EPOLLOUT : 0U);
    struct epoll_event event = {wanted, {.ptr = end}};
    if (wanted == end->watched)
        return;
    /* Nobody wants anything: not even to hear again and again that the peer has hung up. */
    int how = end->watched == 0 ? EPOLL_CTL_ADD : wanted == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    if (epoll_ctl(end->link->proxy->epoll, how, end->fd, &event) != 0)
        proxy_die("epoll_ctl");
    end->watched = wanted;
}

static void flow_init(struct flow *f, struct link *link, enum direction direction) {
    const struct end *from = direction == REPLIES ? &link->redis : &link->client;
    const struct end *to = direction == REPLIES ? &link->client : &link->redis;
    *f = (struct flow){.link = link, .direction = direction, .from = from->fd, .to = to->fd};
}

void link_open(struct proxy *proxy, int client) {
    struct link *link = calloc(1, sizeof(*link));
    int redis = connect_redis(proxy);
    if (link == NULL)
        proxy_die("memory is out");
    if (redis < 0) {
        proxy->stats.refused++;
        close(client);
        free(link);
        return;
    }
    *link = (struct link){.proxy = proxy,
                          .next = proxy->links,
                          .client = {link, client, 0},
                          .redis = {link, redis, 0}};
    flow_init(&link->flow[REPLIES], link, REPLIES);
    flow_init(&link->flow[REQUESTS], link, REQUESTS);
    proxy->links = link;
    proxy->stats.connections++;
}

static void link_free(struct link *link) {
    close(link->client.fd);
    close(link->redis.fd);
    for (int i = 0; i < DIRECTIONS; i++) {
        drop_chunks(&link->flow[i]);
        free(link->flow[i].part.p);
        free(link->flow[i].aside.p);
    }
    free(link);
}

void link_on_event(struct end *end, uint32_t events) {
    struct link *link = end->link;
    struct flow *in = &link->flow[end == &link->redis ? REPLIES : REQUESTS];
    struct flow *out = &link->flow[end == &link->redis ? REQUESTS : REPLIES];
    if ((events & EPOLLOUT) != 0)
        send_chunks(out);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !in->ended && !link->dead)
        read_flow(in);
}

/* A flow that has ended ends the link, when everything that came of it has gone on. */
static bool is_over(const struct link *link) {
    for (int i = 0; i < DIRECTIONS; i++)
        if (link->flow[i].ended && link->flow[i].chunks == NULL)
            return true;
    return link->dead;
}

static void link_turn(struct link *link) {
    struct flow *flow = link->flow;
    for (int i = 0; i < DIRECTIONS; i++)
        if (flow[i].chunks != NULL && !flow[i].blocked)
            send_chunks(&flow[i]);
    watch(&link->client, &flow[REQUESTS], &flow[REPLIES]);
    watch(&link->redis, &flow[REPLIES], &flow[REQUESTS]);
}

void links_turn(struct proxy *proxy) {
    for (struct link **at = &proxy->links; *at != NULL;) {
        struct link *link = *at;
        if (!is_over(link))
            link_turn(link);
        if (is_over(link)) {
            *at = link->next;
            link_free(link);
        } else {
            at = &link->next;
        }
    }
}

int64_t links_due(const struct proxy *proxy) {
    int64_t due = INT64_MAX;
    for (const struct link *link = proxy->links; link != NULL; link = link->next)
        for (int i = 0; i < DIRECTIONS; i++) {
            const struct flow *f = &link->flow[i];
            if (f->chunks != NULL && !f->blocked && f->chunks->due < due)
                due = f->chunks->due;
        }
    return due;
}

static void flow_changed(struct flow *f) {
    for (struct chunk *chunk = f->chunks; chunk != NULL; chunk = chunk->next)
        chunk->due = 0;
    /* No connection goes on without bytes that were lost. */
    if (f->lossy)
        f->link->dead = true;
    flow_send(f, f->aside.p, f->aside.n);
    flow_send(f, f->part.p, f->part.n);
    f->passing = resp_is_inside(&f->resp);
    f->aside.n = f->part.n = 0;
    f->values = f->bytes = 0;
    f->released = 0;
}

void links_changed(struct proxy *proxy, enum direction direction) {
    for (struct link *link = proxy->links; link != NULL; link = link->next)
        flow_changed(&link->flow[direction]);
}

void links_cut(struct proxy *proxy) {
    for (struct link *link = proxy->links; link != NULL; link = link->next)
        flow_end_link(&link->flow[REPLIES], true);
}
