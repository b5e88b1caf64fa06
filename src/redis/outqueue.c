/* Commands on their way to Redis: see outqueue.h. */
#include "redis/outqueue.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/decimal.h"

enum { KEEP_BYTES = 262144, KEEP_SEGMENTS = 4096, VECTORS = 64 };

struct segment_ref {
    const char *external; /* NULL: in q->bytes at `offset` */
    size_t offset;
    size_t n;
};

static struct segment_ref *refs(const struct outqueue *q) {
    return (struct segment_ref *)(void *)q->segments.p;
}

static size_t ref_count(const struct outqueue *q) {
    return q->segments.n / sizeof(struct segment_ref);
}

void outqueue_fini(struct outqueue *q) {
    buf_fini(&q->bytes);
    buf_fini(&q->segments);
    *q = (struct outqueue){0};
}

void outqueue_reset(struct outqueue *q) {
    buf_reset(&q->bytes, KEEP_BYTES);
    buf_reset(&q->segments, KEEP_SEGMENTS);
    q->first = 0;
    q->unsent = 0;
}

/* The bytes from `from` to the buffer's end were appended: they belong to the last segment if that
 * ends there. */
static void cover(struct outqueue *q, size_t from) {
    size_t n = q->bytes.n - from;
    size_t count = ref_count(q);
    if (n == 0 || outqueue_failed(q))
        return;
    if (count > q->first) {
        struct segment_ref *last = &refs(q)[count - 1];
        if (last->external == NULL && last->offset + last->n == from) {
            last->n += n;
            q->unsent += n;
            return;
        }
    }
    buf_put(&q->segments, &(struct segment_ref){NULL, from, n}, sizeof(struct segment_ref));
    q->unsent += n;
}

static void put_length(struct buf *b, char type, size_t n) {
    if (!buf_reserve(b, 1 + DECIMAL_MAX + 2))
        return;
    char *p = b->p + b->n;
    *p++ = type;
    p += decimal_put(p, n);
    *p++ = '\r';
    *p++ = '\n';
    b->n = (size_t)(p - b->p);
}

size_t outqueue_put(struct outqueue *q, const struct slice *args, size_t n) {
    size_t before = q->unsent;
    size_t from = q->bytes.n;
    put_length(&q->bytes, '*', n);
    for (size_t i = 0; i < n; i++) {
        put_length(&q->bytes, '$', args[i].n);
        if (args[i].n > OUTQUEUE_COPY_MAX) {
            cover(q, from);
            struct segment_ref ref = {args[i].p, 0, args[i].n};
            buf_put(&q->segments, &ref, sizeof(ref));
            q->unsent += args[i].n;
            from = q->bytes.n;
        } else {
            buf_put_slice(&q->bytes, args[i]);
        }
        buf_put(&q->bytes, "\r\n", 2);
    }
    cover(q, from);
    return q->unsent - before;
}

struct outqueue_mark outqueue_mark(const struct outqueue *q) {
    size_t count = ref_count(q);
    return (struct outqueue_mark){
        .bytes = q->bytes.n,
        .segments = q->segments.n,
        .last_length = count > 0 ? refs(q)[count - 1].n : 0,
        .unsent = q->unsent,
    };
}

void outqueue_rollback(struct outqueue *q, struct outqueue_mark mark) {
    q->bytes.n = mark.bytes;
    q->segments.n = mark.segments;
    q->bytes.failed = q->segments.failed = false;
    q->unsent = mark.unsent;
    if (ref_count(q) > 0)
        refs(q)[ref_count(q) - 1].n = mark.last_length;
}

void outqueue_skip(struct outqueue *q, size_t sent) {
    q->unsent -= sent;
    while (sent > 0) {
        struct segment_ref *ref = &refs(q)[q->first];
        if (sent < ref->n) {
            ref->n -= sent;
            if (ref->external != NULL)
                ref->external += sent;
            else
                ref->offset += sent;
            return;
        }
        sent -= ref->n;
        q->first++;
    }
    if (q->first == ref_count(q))
        outqueue_reset(q);
}

/* A queue that is never empty would grow without end: what is sent is cut off once it is more than
 * what is left. */
static void compact(struct outqueue *q) {
    size_t count = ref_count(q);
    size_t used = q->bytes.n;
    for (size_t i = q->first; i < count; i++)
        if (refs(q)[i].external == NULL) {
            used = refs(q)[i].offset;
            break;
        }
    if (used < KEEP_BYTES || used < q->bytes.n / 2)
        return;
    buf_consume(&q->bytes, used);
    buf_consume(&q->segments, q->first * sizeof(struct segment_ref));
    q->first = 0;
    for (size_t i = 0; i < ref_count(q); i++)
        if (refs(q)[i].external == NULL)
            refs(q)[i].offset -= used;
}

ssize_t outqueue_send(struct outqueue *q, int fd) {
    ssize_t total = 0;
    while (q->unsent > 0) {
        struct iovec iov[VECTORS];
        size_t vectors = 0;
        size_t asked = 0;
        for (size_t i = q->first; i < ref_count(q) && vectors < VECTORS; i++) {
            const struct segment_ref *ref = &refs(q)[i];
            const char *p = ref->external != NULL ? ref->external : q->bytes.p + ref->offset;
            iov[vectors++] = (struct iovec){(void *)(uintptr_t)p, ref->n};
            asked += ref->n;
        }
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = vectors};
        ssize_t n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            /* What the kernel took before the error counts as sent; the next send says -1. */
            if (errno == EAGAIN || errno == EWOULDBLOCK || total > 0)
                break;
            return -1;
        }
        total += n;
        outqueue_skip(q, (size_t)n);
        if ((size_t)n < asked)
            break;
    }
    if (q->unsent > 0)
        compact(q);
    return total;
}
