/* From parameters to a routed request: see request.h. */
#include "http/request.h"

#include <strings.h>

#include "http/problem.h"

void request_init(struct request *r, struct service *service) {
    r->service = service;
    key_set_prefix(&r->key, slice_of(service->config->key_prefix));
}

static const uint8_t shares[SHARES] = {
    [SHARE_BATCH] = 16, [SHARE_LARGE] = 1, [SHARE_SWEEP] = 4, [SHARE_LIST] = 8};

bool request_may_claim(const struct service *service, enum share share) {
    return share == SHARE_REDIS ? !service->busy : service->shares[share] < shares[share];
}

bool request_claim(struct request *r, enum share share) {
    if (request_has(r, share))
        return true;
    r->awaits = share;
    if (!request_may_claim(r->service, share))
        return false;
    r->service->shares[share]++;
    r->shares = (uint8_t)(r->shares | 1U << share);
    return true;
}

static void give_back(struct request *r) {
    for (enum share share = SHARE_REDIS; r->shares != 0 && share < SHARES; share++)
        if (request_has(r, share))
            r->service->shares[share]--;
    r->shares = 0;
}

void request_fini(struct request *r) {
    give_back(r);
    call_fini(&r->call);
    response_fini(&r->response);
    arena_fini(&r->arena);
}

void request_release(struct request *r) {
    call_release(&r->call);
    response_reset(&r->response);
    arena_reset(&r->arena);
}

void request_reset(struct request *r) {
    give_back(r);
    request_release(r);
    r->route = NULL;
    r->path = r->query = r->content_type = r->content_encoding = (struct slice){0};
    r->body = (struct slice){0};
    r->has_query = r->body_too_large = r->peer_gone = r->planned = false;
    r->key.n = 0;
    r->job = NULL;
}

/* An absolute-form target (RFC 9112, 3.2.2) without its scheme and authority, which end where a
 * path or query begins (RFC 3986, 3.2); both web servers cut that off already, a raw FastCGI peer
 * may not. */
static struct slice without_authority(struct slice target) {
    static const struct slice schemes[] = {SLICE_INIT("http://"), SLICE_INIT("https://")};
    if (target.n > 0 && target.p[0] == '/')
        return target;
    for (size_t i = 0; i < 2; i++) {
        size_t n = schemes[i].n;
        if (target.n < n || strncasecmp(target.p, schemes[i].p, n) != 0)
            continue;
        while (n < target.n && target.p[n] != '/' && target.p[n] != '?' && target.p[n] != '#')
            n++;
        return (struct slice){target.p + n, target.n - n};
    }
    return target;
}

static void split_target(struct request *r, struct slice target) {
    struct slice rest = without_authority(target);
    const char *mark = rest.n > 0 ? memchr(rest.p, '?', rest.n) : NULL;
    r->path = rest;
    if (mark != NULL) {
        r->path.n = (size_t)(mark - rest.p);
        r->has_query = true;
        r->query = (struct slice){mark + 1, rest.n - r->path.n - 1};
    }
    if (r->path.n == 0)
        r->path = SLICE("/");
}

/* CONTENT_LENGTH agrees with the bytes that came. nginx passes an empty one when there is none. */
static bool length_agrees(struct slice text, size_t body_bytes, bool thrown_away) {
    if (text.n == 0)
        return body_bytes == 0 && !thrown_away;
    if (text.n > 18)
        return false;
    uint64_t announced = 0;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        announced = announced * 10 + (uint64_t)(text.p[i] - '0');
    }
    return thrown_away || announced == body_bytes;
}

static enum step answer_options(struct request *r) {
    struct buf allow = {0};
    route_put_allow(r->service->routes, r->path, &allow);
    if (allow.n == 0) {
        enum error e = buf_failed(&allow) ? E_OUT_OF_MEMORY : E_NOT_FOUND;
        buf_fini(&allow);
        return problem(r, e, NULL);
    }
    r->response.status = 204;
    response_field(&r->response, "Allow", buf_slice(&allow));
    /* RFC 5789, 3.1. */
    if (memmem(allow.p, allow.n, "PATCH", 5) != NULL)
        response_field(&r->response, "Accept-Patch", SLICE("application/merge-patch+json"));
    buf_fini(&allow);
    return STEP_ANSWER;
}

static enum step refuse_method(struct request *r) {
    struct buf allow = {0};
    route_put_allow(r->service->routes, r->path, &allow);
    enum step step = problem(r, E_METHOD_NOT_ALLOWED, NULL);
    response_field(&r->response, "Allow", buf_slice(&allow));
    buf_fini(&allow);
    return step;
}

/* What the master can say of this worker if nothing more comes of it. */
static void note(const struct request *r, enum worker_phase phase) {
    struct stats_row *row = r->service->row;
    atomic_store_explicit(&row->route, (uint32_t)(r->route - r->service->routes->rows),
                          memory_order_relaxed);
    atomic_store_explicit(&row->phase, (uint32_t)phase, memory_order_relaxed);
}

static enum step plan(struct request *r) {
    r->planned = true;
    note(r, WORKER_STARTS);
    return r->route->plan(r);
}

static enum step route_request(struct request *r) {
    struct slice tail;
    if (r->method == METHOD_OPTIONS)
        return answer_options(r);
    enum error e = route_find(r->service->routes, r->method, r->path, &r->route, &tail);
    if (e == E_METHOD_NOT_ALLOWED)
        return refuse_method(r);
    if (e != OK)
        return problem(r, e, NULL);
    if (r->route->takes_key) {
        e = key_decode(&r->key, tail);
        if (e != OK) {
            r->key.n = 0;
            return problem(r, e, NULL);
        }
    }
    /* A parameter that this service does not know must not turn a change into another change
     * ("DELETE /cache?key=a" is no flush); a read does no harm. */
    if (r->has_query && r->query.n > 0 && r->route->method != METHOD_GET && !r->route->takes_query)
        return problem(r, E_UNKNOWN_PARAMETER,
                       "This request takes no query parameter; nothing was changed.");
    /* RFC 9110, 13.1.1: what has no representation is as no If-Match demands, "*" included. */
    if (r->fields.if_match.p != NULL && r->route->method != METHOD_GET && !r->route->takes_key)
        return problem(
            r, E_PRECONDITION_FAILED,
            "If-Match is about one entry, and this request is not; nothing was changed.");
    if (r->service->busy && r->route->finish != NULL) {
        r->awaits = SHARE_REDIS;
        return STEP_HOLD;
    }
    return plan(r);
}

enum step request_start(struct request *r, const struct request_params *params, struct slice body,
                        bool body_too_large) {
    r->method = method_parse(params->method);
    r->content_type = params->content_type;
    r->content_encoding = params->content_encoding;
    r->fields = params->fields;
    r->body = body;
    r->body_too_large = body_too_large;
    r->taken = r->service->now;
    if (params->error != OK)
        return problem(r, params->error, params->detail);
    if (params->method.n == 0 || params->target.n == 0)
        return problem(r, E_MALFORMED_REQUEST, NULL);
    if (!length_agrees(params->content_length, body.n, body_too_large))
        return problem(r, E_INCOMPLETE_BODY, NULL);
    split_target(r, params->target);
    return route_request(r);
}

enum step request_continue(struct request *r) {
    if (!r->planned)
        return plan(r);
    note(r, WORKER_FINISHES);
    return r->route->finish(r);
}
