/* Calls and their queue: see call.h. */
#include "redis/call.h"

#include <stddef.h>

enum { KEEP_REPLY_BYTES = 65536, KEEP_REPLY_NODES = 4096 };

void call_fini(struct call *call) {
    buf_fini(&call->replies.nodes);
    buf_fini(&call->replies.bytes);
    buf_fini(&call->previous.nodes);
    buf_fini(&call->previous.bytes);
}

static void release(struct replies *replies) {
    buf_reset(&replies->nodes, KEEP_REPLY_NODES);
    buf_reset(&replies->bytes, KEEP_REPLY_BYTES);
    replies->has_error = false;
}

void call_release(struct call *call) {
    release(&call->replies);
    if (call->previous.nodes.p != NULL)
        release(&call->previous);
}

void call_keep_previous(struct call *call) {
    struct replies kept = call->replies;
    call->replies = call->previous;
    call->previous = kept;
}

void call_reset(struct call *call) {
    release(&call->replies);
    call->next = NULL;
    call->wanted = call->got = 0;
    call->error = OK;
    call->outcome_known = false;
}

void call_queue_push(struct call_queue *q, struct call *call) {
    call->next = NULL;
    if (q->first == NULL)
        q->first = call;
    else
        q->last->next = call;
    q->last = call;
}

struct call *call_queue_pop(struct call_queue *q) {
    struct call *call = q->first;
    if (call == NULL)
        return NULL;
    q->first = call->next;
    call->next = NULL;
    return call;
}
