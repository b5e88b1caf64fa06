/* Routes for tests: see echo.h. */
#include "echo.h"

#include <string.h>

#include "http/problem.h"
#include "http/request.h"

unsigned echo_plans;

static char large[ECHO_LARGE];

static enum step echo_plan(struct request *r) {
    static const char *const names[] = {
        [METHOD_GET] = "GET", [METHOD_HEAD] = "GET", [METHOD_DELETE] = "DELETE"};
    echo_plans++;
    response_json(&r->response, 200);
    buf_puts(&r->response.body, names[r->method]);
    buf_put_char(&r->response.body, ' ');
    buf_put_slice(&r->response.body, r->query);
    return STEP_ANSWER;
}

static enum step body_plan(struct request *r) {
    echo_plans++;
    if (r->body_too_large)
        return problem(r, E_VALUE_TOO_LARGE, NULL);
    response_json(&r->response, 200);
    buf_puts(&r->response.body, "<");
    response_splice(&r->response, r->body);
    buf_puts(&r->response.body, ">");
    return STEP_ANSWER;
}

static enum step large_plan(struct request *r) {
    echo_plans++;
    memset(large, 'L', sizeof(large));
    response_json(&r->response, 200);
    response_splice(&r->response, (struct slice){large, sizeof(large)});
    return STEP_ANSWER;
}

static enum step ask(struct request *r, struct slice key) {
    struct store *store = r->service->store;
    enum error e = store_begin(store, &r->call, r->service->now);
    if (e != OK)
        return problem(r, e, NULL);
    store_append(store, &r->call, (struct slice[]){SLICE("GET"), key}, 2);
    store_commit(store, &r->call, r->service->now);
    return STEP_WAIT;
}

static enum step wait_plan(struct request *r) {
    echo_plans++;
    return ask(r, key_slice(&r->key));
}

static enum step wait_finish(struct request *r) {
    if (r->call.error != OK)
        return problem_call_failed(r);
    const struct reply *reply = replies_get(&r->call.replies, 0);
    if (reply->type == REPLY_NIL) {
        enum step step = problem(r, E_KEY_NOT_FOUND, NULL);
        r->response.lookup = LOOKUP_MISS;
        return step;
    }
    response_json(&r->response, 200);
    response_splice(&r->response, replies_bytes(&r->call.replies, reply));
    r->response.lookup = LOOKUP_HIT;
    return STEP_ANSWER;
}

static enum step claim_and_ask(struct request *r, enum share share) {
    return request_claim(r, share) ? ask(r, key_slice(&r->key)) : STEP_HOLD;
}

static enum step share_plan(struct request *r) {
    echo_plans++;
    return claim_and_ask(r, SHARE_LARGE);
}

static enum step share_finish(struct request *r) {
    return request_has(r, SHARE_LARGE) ? wait_finish(r) : claim_and_ask(r, SHARE_LARGE);
}

static enum step walk_plan(struct request *r) {
    echo_plans++;
    return claim_and_ask(r, SHARE_SWEEP);
}

static enum step walk_finish(struct request *r) {
    return request_has(r, SHARE_SWEEP) ? wait_finish(r) : claim_and_ask(r, SHARE_SWEEP);
}

static enum step again_finish(struct request *r) {
    if (r->call.error != OK || r->job != NULL)
        return wait_finish(r);
    r->job = r; /* the second time */
    return ask(r, SLICE("again"));
}

static const struct route rows[] = {
    {"echo_get", METHOD_GET, "/echo", SLICE_INIT("/echo"), false, echo_plan, NULL, "", false},
    {"echo_delete", METHOD_DELETE, "/echo", SLICE_INIT("/echo"), false, echo_plan, NULL, "", false},
    {"echo_put", METHOD_PUT, "/echo", SLICE_INIT("/echo"), false, body_plan, NULL, "", false},
    {"large", METHOD_GET, "/large", SLICE_INIT("/large"), false, large_plan, NULL, "", false},
    {"wait", METHOD_GET, "/wait/{key}", SLICE_INIT("/wait/"), true, wait_plan, wait_finish, "",
     false},
    {"wait_put", METHOD_PUT, "/wait/{key}", SLICE_INIT("/wait/"), true, wait_plan, wait_finish, "",
     false},
    {"share", METHOD_GET, "/large/{key}", SLICE_INIT("/large/"), true, share_plan, share_finish, "",
     false},
    {"walk", METHOD_GET, "/walk/{key}", SLICE_INIT("/walk/"), true, walk_plan, walk_finish, "",
     false},
    {"again", METHOD_GET, "/again/{key}", SLICE_INIT("/again/"), true, wait_plan, again_finish, "",
     false},
};

const struct route_table echo_routes = {rows, sizeof(rows) / sizeof(rows[0])};
